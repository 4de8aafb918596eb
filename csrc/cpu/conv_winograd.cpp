// Winograd convolution: F(m x m, 3 x 3) with m = 4 or 2, for stride and dilation 1, in all three directions.
//
//   V[e][tile][c] = transformed patches     U[e][c][k] = transformed filters     e < (m + 2)^2
//   S[e] = V[e] U[e], one small product per e; each tile of S turns into m x m results.
//
// Tiles are taken in blocks whose V and S stay in cache. Rows of a channels-first image are first turned into
// a strip with channels side by side, so that one set of transforms serves both layouts. The input gradient
// is the same convolution of gy with the filters turned around; the weight gradient sums V[e]^T (transformed
// gy)[e] over all tiles and transforms once at the end.
#include <algorithm>
#include <cstring>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "conv_panels.h"

namespace nn::cpu {
namespace {

constexpr int64_t kStripChannels = 32;

// The tiles of a batch of height x width results, row by row.
struct Tiles {
  int m;
  int64_t height, width, rows, cols, count;
  Tiles(int size, int64_t n, int64_t h, int64_t w)
      : m(size),
        height(h),
        width(w),
        rows(ceil_div(h, size)),
        cols(ceil_div(w, size)),
        count(n * rows * cols) {}
  int planes() const { return (m + 2) * (m + 2); }
};

// Tiles from t on that stand side by side.
struct TileRun {
  int64_t n, h, w, length;  // h, w: first result
};
TileRun tile_run(const Tiles& g, int64_t t, int64_t end) {
  const int64_t col = t % g.cols, row = t / g.cols % g.rows;
  return {t / g.cols / g.rows, row * g.m, col * g.m, std::min(end - t, g.cols - col)};
}

// An image with channels that is read pixel by pixel; outside it there are zeros.
template <class T> struct Image {
  Field<const T> x;
  int64_t channels, height, width;
};

// out[i][j][c] = pixel (h0 + i, w0 + j), channel c0 + c.
template <class T> void load_strip(const Image<T>& g, int64_t n, int64_t h0, int64_t w0, int64_t rows,
                                   int64_t cols, int64_t c0, int64_t channels, T* out) {
  const int64_t first = std::min(std::max<int64_t>(0, -w0), cols),
                last = std::max(first, std::min(cols, g.width - w0));
  for (int64_t i = 0; i < rows; ++i, out += cols * channels) {
    const int64_t h = h0 + i;
    const bool inside = h >= 0 && h < g.height;
    const int64_t a = inside ? first : cols, b = inside ? last : cols;
    std::fill(out, out + a * channels, T(0));
    std::fill(out + b * channels, out + cols * channels, T(0));
    if (a == b) continue;
    const T* row = g.x.p + n * g.x.n + c0 * g.x.c + h * g.x.step[1] + (w0 + a) * g.x.step[2];
    if (g.x.c == 1)
      for (int64_t j = a; j < b; ++j)
        std::memcpy(out + j * channels, row + (j - a) * g.x.step[2], size_t(channels) * sizeof(T));
    else if (g.x.step[2] != 1)
      for (int64_t j = a; j < b; ++j)
        for (int64_t c = 0; c < channels; ++c) out[j * channels + c] = row[c * g.x.c + (j - a) * g.x.step[2]];
    else
      kernels<T>().transpose_copy(row, g.x.c, out + a * channels, channels, channels, b - a);
  }
}

// v[e][t][c] of the tiles [t0, t1): patches of `reach` pixels, m apart, `low` before the result's place.
template <class T, class Kernel> void transform_tiles(const Tiles& g, const Image<T>& x, int64_t t0,
                                                      int64_t t1, int64_t reach, int64_t low_h, int64_t low_w,
                                                      Kernel kernel, T* v, int64_t v_step) {
  Workspace<T> strip(size_t(reach * (g.cols * g.m + 2) * kStripChannels));
  for (int64_t t = t0; t < t1;) {
    const TileRun run = tile_run(g, t, t1);
    const int64_t h0 = run.h - low_h, w0 = run.w - low_w, cols = (run.length - 1) * g.m + reach;
    T* to = v + (t - t0) * x.channels;
    t += run.length;
    const bool inside = h0 >= 0 && h0 + reach <= x.height && w0 >= 0 && w0 + cols <= x.width;
    if (x.x.c == 1 && inside) {
      const T* from = x.x.p + run.n * x.x.n + h0 * x.x.step[1] + w0 * x.x.step[2];
      for (int64_t r = 0; r < run.length; ++r)
        kernel(g.m, from + r * g.m * x.x.step[2], x.x.step[1], x.x.step[2], x.channels, to + r * x.channels,
               v_step);
      continue;
    }
    for (int64_t c = 0; c < x.channels; c += kStripChannels) {
      const int64_t some = std::min(kStripChannels, x.channels - c);
      load_strip(x, run.n, h0, w0, reach, cols, c, some, static_cast<T*>(strip));
      for (int64_t r = 0; r < run.length; ++r)
        kernel(g.m, strip + r * g.m * some, cols * some, some, some, to + r * x.channels + c, v_step);
    }
  }
}

// u[e][panel][c][nr] of filters w[k][c][9].
template <class T> void transform_filters(int m, const T* w, int64_t k, int64_t c, T* u) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t nr = kern.gemm_shape().nr, panels = ceil_div(k, nr), plane = panels * c * nr;
  constexpr int64_t kSome = 32;  // channels at a time
  parallel_for(panels * ceil_div(c, kSome), 4, [&](int64_t begin, int64_t end) {
    Workspace<T> taps(size_t(kSome * 9 * nr));
    for (int64_t q = begin; q < end; ++q) {
      const int64_t p = q % panels, c0 = q / panels * kSome, some = std::min(kSome, c - c0);
      kern.pack(w + p * nr * c * 9 + c0 * 9, c * 9, 1, int(std::min(nr, k - p * nr)), int(nr), some * 9, taps,
                nr);
      for (int64_t i = 0; i < some; ++i)
        kern.winograd_filter(m, taps + i * 9 * nr, nr, nr, u + (p * c + c0 + i) * nr, plane);
    }
  });
}

// What a forward convolution needs, whoever asks: conv itself or the input gradient.
template <class T> struct Plan {
  Tiles tiles;
  Image<T> x;
  int64_t low_h, low_w, k;
  const T* filters;  // (k, channels of x, 9)
  Field<T> y;
  const T* bias;
  T floor;
};

// s[e][t][nr * panels] = v[e] u[e] for some tiles
template <class T>
void products(const Plan<T>& p, const T* v, const T* u, int64_t tiles, int64_t columns, T* s) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const int64_t c = p.x.channels, panels = columns / shape.nr, most = shape.max_rows[shape.vectors];
  const int64_t m = ceil_div(tiles, ceil_div(tiles, most)), deep = ceil_div(c, ceil_div(c, shape.kc));
  const double flops = 2.0 * double(tiles * c * columns);
  parallel_for(p.tiles.planes(), std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t begin, int64_t end) {
    GemmTile<T> t = {};
    t.a_row = c, t.a_k = 1, t.b_k = shape.nr, t.c_row = columns, t.n = shape.nr;
    t.alpha = 1, t.floor = -std::numeric_limits<T>::infinity();
    for (int64_t e = begin; e < end; ++e)
      for (int64_t d = 0; d < c; d += deep) {
        t.k = std::min(deep, c - d);
        t.accumulate = d > 0;
        for (int64_t j = 0; j < panels; ++j)
          for (int64_t i = 0; i < tiles; i += m) {
            t.a = v + (e * tiles + i) * c + d;
            t.b = u + ((e * panels + j) * c + d) * shape.nr;
            t.c = s + (e * tiles + i) * columns + j * shape.nr;
            kern.gemm_tile(int(std::min(m, tiles - i)), shape.vectors, t);
          }
      }
  });
}

// Results of tiles [t0, t1) from s[e][t][columns].
template <class T> void results(const Plan<T>& p, const T* s, int64_t first, int64_t all, int64_t columns,
                                int64_t t0, int64_t t1) {
  const Kernels<T>& kern = kernels<T>();
  const Tiles& g = p.tiles;
  const int64_t s_step = all * columns;
  const bool last = p.y.c == 1;
  Workspace<T> strip(last ? 1 : size_t(g.m * g.cols * g.m * kStripChannels));
  for (int64_t t = t0; t < t1;) {
    const TileRun run = tile_run(g, t, t1);
    const T* from = s + (t - first) * columns;
    t += run.length;
    const int64_t rows = std::min<int64_t>(g.m, g.height - run.h),
                  cols = std::min(run.length * g.m, g.width - run.w);
    T* y = p.y.p + run.n * p.y.n + run.h * p.y.step[1] + run.w * p.y.step[2];
    if (last) {
      for (int64_t r = 0; r < run.length; ++r)
        kern.winograd_output(g.m, from + r * columns, s_step, p.k, p.bias, p.floor, y + r * g.m * p.y.step[2],
                             p.y.step[1], p.y.step[2], int(rows),
                             int(std::min<int64_t>(g.m, cols - r * g.m)));
      continue;
    }
    for (int64_t k = 0; k < p.k; k += kStripChannels) {
      const int64_t some = std::min(kStripChannels, p.k - k), row_step = run.length * g.m * some;
      for (int64_t r = 0; r < run.length; ++r)
        kern.winograd_output(g.m, from + r * columns + k, s_step, some, p.bias ? p.bias + k : nullptr,
                             p.floor, strip + r * g.m * some, row_step, some, g.m, g.m);
      for (int64_t i = 0; i < rows; ++i)
        kern.transpose_copy(strip + i * row_step, some, y + k * p.y.c + i * p.y.step[1], p.y.c, cols, some);
    }
  }
}

template <class T> void run(const Plan<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const Tiles& g = p.tiles;
  const GemmShape shape = kern.gemm_shape();
  const int64_t c = p.x.channels, columns = round_up(p.k, shape.nr), planes = g.planes();
  Workspace<T> u(size_t(planes * c * columns));
  transform_filters<T>(g.m, p.filters, p.k, c, u);
  // V and S of a block stay in L2 if that leaves enough tiles to reuse U, else in L3.
  const int64_t per_tile = planes * (c + columns) * int64_t(sizeof(T)), rows = shape.max_rows[shape.vectors];
  int64_t block = (int64_t(640) << 10) / per_tile;
  if (block < 2 * rows) block = (int64_t(6) << 20) / per_tile;
  block = std::min(std::max(block / rows, int64_t(2)) * rows, g.count);
  const int64_t blocks = ceil_div(g.count, block);
  block = ceil_div(g.count, blocks);
  parallel_for(blocks, blocks >= 2 * num_threads() ? 1 : blocks, [&](int64_t begin, int64_t end) {
    Workspace<T> v(size_t(planes * block * c)), s(size_t(planes * block * columns));
    for (int64_t b = begin; b < end; ++b) {
      const int64_t t0 = b * block, tiles = std::min(block, g.count - t0);
      if (tiles <= 0) break;
      // a few rows of tiles at a time, so that threads can share a block
      const int64_t grain = std::max<int64_t>(g.cols, ceil_div(32768, planes * (c + columns)));
      parallel_for(tiles, grain, [&](int64_t i, int64_t j) {
        transform_tiles(g, p.x, t0 + i, t0 + j, g.m + 2, p.low_h, p.low_w, kern.winograd_input, v + i * c,
                        tiles * c);
      });
      products<T>(p, v, u, tiles, columns, s);
      parallel_for(tiles, grain,
                   [&](int64_t i, int64_t j) { results<T>(p, s, t0, tiles, columns, t0 + i, t0 + j); });
    }
  });
}

}  // namespace

bool winograd_serves(const ConvShape& s) {
  const ConvAxis *h = &s.axis[1], *w = &s.axis[2];
  return s.axes == 2 && s.groups == 1 && s.mode == PaddingMode::zeros && h->kernel == 3 && w->kernel == 3 &&
         h->stride == 1 && w->stride == 1 && h->dilation == 1 && w->dilation == 1 &&
         std::max(std::max(h->low, h->high), std::max(w->low, w->high)) <= 2;
}

double winograd_cost(const ConvShape& s, int m, bool weight_grad) {
  // In operations of the products: a transformed number of an image costs about 50, of a filter 300 (each is
  // written to a plane of its own and read back from L3), of the filters' gradient 100.
  const double planes = (m + 2) * (m + 2), c = double(s.c), k = double(s.k);
  const double tiles = double(Tiles(m, s.n, s.axis[1].out, s.axis[2].out).count);
  return planes * (2 * tiles * c * k + 50 * tiles * (c + k) + (weight_grad ? 100 : 300) * c * k);
}

template <class T> void conv_winograd(const ConvForward<T>& p, int m) {
  const ConvShape& s = p.s;
  const int64_t kernel[3] = {1, 3, 3};
  const TurnedFilter<T> filters(p.w, s.k, s.c, kernel, p.w.step, {0, 1, 2});
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  run(Plan<T>{Tiles(m, s.n, h.out, w.out),
              {p.x, s.c, h.in, w.in},
              h.low,
              w.low,
              s.k,
              filters,
              p.y,
              p.b,
              late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_winograd(const ConvInputGrad<T>& p, int m) {
  const ConvShape& s = p.s;
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  const int64_t kernel[3] = {1, 3, 3}, turned[3] = {0, -p.w.step[1], -p.w.step[2]};
  Field<const T> last_tap = p.w;
  last_tap.p += 2 * (p.w.step[1] + p.w.step[2]);
  const TurnedFilter<T> filters(last_tap, s.k, s.c, kernel, turned, {1, 0, 2});
  run(Plan<T>{Tiles(m, s.n, h.in, w.in),
              {p.gy, s.k, h.out, w.out},
              2 - h.low,
              2 - w.low,
              s.c,
              filters,
              p.gx,
              p.b,
              -std::numeric_limits<T>::infinity()});
}

template <class T> void conv_winograd(const ConvWeightGrad<T>& p, int m) {
  const ConvShape& s = p.s;
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  const Tiles g(m, s.n, h.out, w.out);
  const Image<T> x = {p.x, s.c, h.in, w.in}, gy = {p.gy, s.k, h.out, w.out};
  const int64_t planes = g.planes(), c = s.c, k = s.k;
  // Blocks don't depend on the number of threads: sums are made in the same order.
  const int64_t per_tile = planes * (c + k) * int64_t(sizeof(T));
  int64_t block = std::min(std::max((int64_t(4) << 20) / per_tile, int64_t(64)), g.count);
  block = ceil_div(g.count, ceil_div(g.count, block));
  Workspace<T> v(size_t(planes * block * c)), z(size_t(planes * block * k)), u(size_t(planes * c * k));
  const int64_t most = shape.max_rows[shape.vectors], rows = ceil_div(c, ceil_div(c, most));
  for (int64_t t0 = 0; t0 < g.count; t0 += block) {
    const int64_t tiles = std::min(block, g.count - t0);
    const int64_t grain = std::max<int64_t>(g.cols, ceil_div(32768, planes * (c + k)));
    parallel_for(tiles, grain, [&](int64_t i, int64_t j) {
      transform_tiles(g, x, t0 + i, t0 + j, m + 2, h.low, w.low, kern.winograd_input, v + i * c, tiles * c);
      transform_tiles(g, gy, t0 + i, t0 + j, m, 0, 0, kern.winograd_output_grad, z + i * k, tiles * k);
    });
    const double flops = 2.0 * double(tiles * c * k);
    parallel_for(planes, std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t begin, int64_t end) {
      GemmTile<T> t = {};
      t.k = tiles, t.a_row = 1, t.a_k = c, t.b_k = k, t.c_row = k;
      t.accumulate = t0 > 0;
      for (int64_t e = begin; e < end; ++e)
        for (int64_t j = 0; j < k; j += shape.nr) {
          t.n = std::min<int64_t>(shape.nr, k - j);
          const int nv = int(ceil_div(t.n, shape.width));
          for (int64_t i = 0; i < c; i += rows) {
            t.a = v + e * tiles * c + i;
            t.b = z + e * tiles * k + j;
            t.c = u + (e * c + i) * k + j;
            kern.gemm_tile(int(std::min(rows, c - i)), nv, t);
          }
        }
    });
  }
  Workspace<T> gw(size_t(c * 9 * k));
  parallel_for(c, std::max<int64_t>(1, 32768 / (planes * k)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      kern.winograd_filter_grad(m, u + i * k, c * k, k, gw + i * 9 * k, k);
  });
  kern.transpose_copy(gw, k, p.gw, c * 9, c * 9, k);
}

#define NN_INSTANTIATE(T)                                    \
  template void conv_winograd(const ConvForward<T>&, int);   \
  template void conv_winograd(const ConvInputGrad<T>&, int); \
  template void conv_winograd(const ConvWeightGrad<T>&, int);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
