// Winograd convolution for stride and dilation 1: F(4 x 4, 3 x 3), F(2 x 2, 3 x 3) and F(2 x 2, 5 x 5),
// forward and input gradient (the weight gradient: conv_winograd_grad.cpp).
//
//   V[e][tile][c] = transformed patches     U[e][c][k] = transformed filters     e < (m + taps - 1)^2
//   S[e] = V[e] U[e], one small product per e; each tile of S turns into m x m results.
//
// Few filters: U is made once, tiles are taken in blocks whose V and S stay in cache. Many: U would not fit
// in cache and is up to four times as large as the filters, so V of many tiles is made, and each panel of U,
// some channels of it, right before it is used. Rows of a channels-first image are first turned into a strip
// with channels side by side, so that one set of transforms serves both layouts. The input gradient is the
// same convolution of gy with the filters turned around.
#include "conv_winograd.h"

#include <algorithm>
#include <limits>

#include "../parallel.h"

namespace nn::cpu {
namespace {

constexpr int64_t kKeptFilters = int64_t(1) << 20;  // bytes of U that are made but once

// Filters (k results, c channels, taps) with dense taps, maybe turned around.
template <class T> struct Filters {
  const T* p;
  int64_t k_step, c_step;
  bool turned;
};

// What a forward convolution needs, whoever asks: conv itself or the input gradient.
template <class T> struct Plan {
  Tiles tiles;
  Image<T> x;
  int64_t low_h, low_w, k;
  Filters<T> filters;
  Field<T> y;
  const T* bias;
  T floor;
};

// u[e][c][nr] of filters [k0, k0 + nr) and channels [c0, c0 + count), planes u_step apart.
template <class T>
void transform_filters(const Plan<T>& p, int64_t k0, int64_t c0, int64_t count, T* u, int64_t u_step) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t nr = kern.gemm_shape().nr, taps = p.tiles.taps * p.tiles.taps;
  constexpr int64_t kSome = 32;  // channels at a time
  const Filters<T>& f = p.filters;
  const int lanes = int(std::min(nr, p.k - k0));
  Workspace<T> w(size_t(kSome * taps * nr));
  for (int64_t c = c0; c < c0 + count; c += kSome) {
    const int64_t some = std::min(kSome, c0 + count - c);
    const T* from = f.p + k0 * f.k_step + c * f.c_step;
    if (f.c_step == taps)
      kern.pack(from, f.k_step, 1, lanes, int(nr), some * taps, w, nr);
    else
      for (int64_t i = 0; i < some; ++i)
        kern.pack(from + i * f.c_step, f.k_step, 1, lanes, int(nr), taps, w + i * taps * nr, nr);
    for (int64_t i = 0; i < some; ++i)
      kern.winograd_filter(p.tiles.form, w + (f.turned ? (i + 1) * taps - 1 : i * taps) * nr,
                           f.turned ? -nr : nr, nr, u + (c - c0 + i) * nr, u_step);
  }
}

// s[tile][panel * nr ...] (+)= v[tile][depth] u[panel][depth][nr] of one plane
template <class T> void product(const T* v, int64_t v_row, const T* u, int64_t u_panel, int64_t depth,
                                int64_t tiles, int64_t columns, bool accumulate, T* s) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const int64_t most = shape.max_rows[shape.vectors], m = ceil_div(tiles, ceil_div(tiles, most));
  GemmTile<T> t = {};
  t.a_row = v_row, t.a_k = 1, t.b_k = shape.nr, t.c_row = columns, t.n = shape.nr;
  t.alpha = 1, t.floor = -std::numeric_limits<T>::infinity();
  t.k = depth, t.accumulate = accumulate;
  for (int64_t j = 0; j < columns / shape.nr; ++j)
    for (int64_t i = 0; i < tiles; i += m) {
      t.a = v + i * v_row;
      t.b = u + j * u_panel;
      t.c = s + i * columns + j * shape.nr;
      kern.gemm_tile(int(std::min(m, tiles - i)), shape.vectors, t);
    }
}

// Results of tiles [t0, t1) and channels [k0, k0 + count) from s[e][t - first][columns].
template <class T> void results(const Plan<T>& p, const T* s, int64_t s_step, int64_t columns, int64_t first,
                                int64_t k0, int64_t count, int64_t t0, int64_t t1) {
  const Kernels<T>& kern = kernels<T>();
  const Tiles& g = p.tiles;
  const bool last = p.y.c == 1;
  Workspace<T> strip(last ? 1 : size_t(g.m * g.cols * g.m * kStripChannels));
  for (int64_t t = t0; t < t1;) {
    const TileRun run = tile_run(g, t, t1);
    const T* from = s + (t - first) * columns;
    t += run.length;
    const int64_t rows = std::min<int64_t>(g.m, g.height - run.h),
                  cols = std::min(run.length * g.m, g.width - run.w);
    T* y = p.y.p + run.n * p.y.n + k0 * p.y.c + run.h * p.y.step[1] + run.w * p.y.step[2];
    const T* bias = p.bias ? p.bias + k0 : nullptr;
    if (last) {
      for (int64_t r = 0; r < run.length; ++r)
        kern.winograd_output(g.form, from + r * columns, s_step, count, bias, p.floor,
                             y + r * g.m * p.y.step[2], p.y.step[1], p.y.step[2], int(rows),
                             int(std::min<int64_t>(g.m, cols - r * g.m)));
      continue;
    }
    for (int64_t k = 0; k < count; k += kStripChannels) {
      const int64_t some = std::min(kStripChannels, count - k), row_step = run.length * g.m * some;
      for (int64_t r = 0; r < run.length; ++r)
        kern.winograd_output(g.form, from + r * columns + k, s_step, some, bias ? bias + k : nullptr, p.floor,
                             strip + r * g.m * some, row_step, some, g.m, g.m);
      for (int64_t i = 0; i < rows; ++i)
        kern.transpose_copy(strip + i * row_step, some, y + k * p.y.c + i * p.y.step[1], p.y.c, cols, some);
    }
  }
}

// A few rows of tiles at a time, so that threads can share a block.
int64_t tiles_grain(const Tiles& g, int64_t channels) {
  return std::max<int64_t>(g.cols, ceil_div(32768, g.planes() * channels));
}

template <class T>
void transform_block(const Plan<T>& p, int64_t t0, int64_t channels, const TileStore<T>& v) {
  parallel_for(v.tiles, tiles_grain(p.tiles, channels), [&](int64_t i, int64_t j) {
    transform_tiles(p.tiles, p.x, t0 + i, t0 + j, p.tiles.reach, p.low_h, p.low_w,
                    kernels<T>().winograd_input, v, i);
  });
}

// All of U first, then blocks of tiles.
template <class T> void run_blocks(const Plan<T>& p) {
  const Tiles& g = p.tiles;
  const GemmShape shape = kernels<T>().gemm_shape();
  const int64_t c = p.x.channels, nr = shape.nr, columns = round_up(p.k, nr), planes = g.planes();
  const int64_t u_step = plane_step<T>(c * columns);
  Workspace<T> u(size_t(planes * u_step));
  parallel_for(columns / nr, std::max<int64_t>(1, 128 / c), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) transform_filters<T>(p, j * nr, 0, c, u + j * c * nr, u_step);
  });
  // V and S of a block stay in L2 if that leaves enough tiles to reuse U, else in L3.
  const int64_t per_tile = planes * (c + columns) * int64_t(sizeof(T)), rows = shape.max_rows[shape.vectors];
  int64_t block = (int64_t(640) << 10) / per_tile;
  if (block < 2 * rows) block = (int64_t(6) << 20) / per_tile;
  block = std::min(std::max(block / rows, int64_t(2)) * rows, g.count);
  const int64_t blocks = ceil_div(g.count, block);
  block = ceil_div(g.count, blocks);
  parallel_for(blocks, blocks >= 2 * num_threads() ? 1 : blocks, [&](int64_t begin, int64_t end) {
    Workspace<T> v(TileStore<T>::size(planes, block, c, c)),
        s(size_t(planes * plane_step<T>(block * columns)));
    for (int64_t b = begin; b < end; ++b) {
      const int64_t t0 = b * block, tiles = std::min(block, g.count - t0);
      if (tiles <= 0) break;
      const int64_t s_step = plane_step<T>(tiles * columns);
      const TileStore<T> store = {v, planes, tiles, c};
      transform_block<T>(p, t0, c + columns, store);
      const double flops = 2.0 * double(tiles * c * columns);
      parallel_for(planes, std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t e0, int64_t e1) {
        for (int64_t e = e0; e < e1; ++e)
          product<T>(v + e * store.plane(), c, u + e * u_step, c * nr, c, tiles, columns, false,
                     s + e * s_step);
      });
      parallel_for(tiles, tiles_grain(g, c + columns), [&](int64_t i, int64_t j) {
        results<T>(p, s, s_step, columns, t0, 0, p.k, t0 + i, t0 + j);
      });
    }
  });
}

// Panel by panel of U, made while V waits.
template <class T> void run_panels(const Plan<T>& p) {
  const Tiles& g = p.tiles;
  const int64_t c = p.x.channels, nr = kernels<T>().gemm_shape().nr, planes = g.planes();
  // S of a panel and some channels of U stay in L2, V in L3.
  const int64_t line = planes * nr * int64_t(sizeof(T));
  const int64_t most = std::max((int64_t(600) << 10) / line, int64_t(32));
  const int64_t block = ceil_div(g.count, ceil_div(g.count, most));
  const int64_t deep = std::max((int64_t(300) << 10) / line / kStripChannels, int64_t(1)) * kStripChannels;
  const int64_t panels = ceil_div(p.k, nr);
  const int64_t u_step = plane_step<T>(deep * nr);
  Workspace<T> v(TileStore<T>::size(planes, block, deep, c));
  for (int64_t t0 = 0; t0 < g.count; t0 += block) {
    const TileStore<T> tiles = {v, planes, std::min(block, g.count - t0), deep};
    transform_block<T>(p, t0, c, tiles);
    const int64_t s_step = plane_step<T>(tiles.tiles * nr);
    parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
      Workspace<T> u(size_t(planes * u_step)), s(size_t(planes * s_step));
      for (int64_t j = begin; j < end; ++j) {
        for (int64_t d = 0; d < c; d += deep) {
          const int64_t some = std::min(deep, c - d);
          transform_filters<T>(p, j * nr, d, some, u, u_step);
          for (int64_t e = 0; e < planes; ++e)
            product<T>(tiles.at(0, d) + e * tiles.plane(), deep, u + e * u_step, 0, some, tiles.tiles, nr,
                       d > 0, s + e * s_step);
        }
        results<T>(p, s, s_step, nr, t0, j * nr, std::min(nr, p.k - j * nr), t0, t0 + tiles.tiles);
      }
    });
  }
}

template <class T> void run(const Plan<T>& p) {
  const int64_t columns = round_up(p.k, kernels<T>().gemm_shape().nr);
  if (p.tiles.planes() * p.x.channels * columns * int64_t(sizeof(T)) <= kKeptFilters)
    run_blocks(p);
  else
    run_panels(p);
}

// Filters whose taps are dense are read in place.
template <class T> class DenseFilters {
 public:
  DenseFilters(const ConvShape& s, const Field<const T>& w)
      : taps_(s.taps()),
        in_place_(w.step[2] == 1 && w.step[1] == s.axis[2].kernel),
        step_{in_place_ ? w.n : s.c * taps_, in_place_ ? w.c : taps_},
        w_(w),
        kernel_{1, s.axis[1].kernel, s.axis[2].kernel},
        copy_(w, in_place_ ? 0 : s.k, s.c, kernel_, w.step, {0, 1, 2}) {}
  Filters<T> forward() const { return {data(), step_[0], step_[1], false}; }
  Filters<T> turned() const { return {data(), step_[1], step_[0], true}; }

 private:
  const T* data() const { return in_place_ ? w_.p : static_cast<const T*>(copy_); }
  int64_t taps_;
  bool in_place_;
  int64_t step_[2];
  Field<const T> w_;
  int64_t kernel_[3];
  TurnedFilter<T> copy_;
};

}  // namespace

bool winograd_serves(const ConvShape& s, ConvAlgorithm a) {
  const ConvAxis *h = &s.axis[1], *w = &s.axis[2];
  const int64_t taps = h->kernel;
  return s.axes == 2 && s.groups == 1 && s.mode == PaddingMode::zeros && w->kernel == taps &&
         (taps == 3 || (taps == 5 && a == ConvAlgorithm::winograd)) && h->stride == 1 && w->stride == 1 &&
         h->dilation == 1 && w->dilation == 1 &&
         std::max(std::max(h->low, h->high), std::max(w->low, w->high)) < taps;
}

WinogradForm winograd_form(const ConvShape& s, ConvAlgorithm a) {
  return s.axis[1].kernel == 5           ? WinogradForm::f25
         : a == ConvAlgorithm::winograd2 ? WinogradForm::f23
                                         : WinogradForm::f43;
}

double winograd_cost(const ConvShape& s, ConvAlgorithm a) {
  // In operations of the products: a transformed number of an image costs about 50 (small tiles of results:
  // 40), of a filter 70.
  const Tiles g(winograd_form(s, a), s.n, s.axis[1].out, s.axis[2].out);
  const double c = double(s.c), k = double(s.k), tiles = double(g.count);
  return g.planes() * (2 * tiles * c * k + (g.taps == 5 ? 40 : 50) * tiles * (c + k) + 70 * c * k);
}

template <class T> void conv_winograd(const ConvForward<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  const DenseFilters<T> filters(s, p.w);
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  run(Plan<T>{Tiles(form, s.n, h.out, w.out),
              {p.x, s.c, h.in, w.in},
              h.low,
              w.low,
              s.k,
              filters.forward(),
              p.y,
              p.b,
              late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_winograd(const ConvInputGrad<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  const DenseFilters<T> filters(s, p.w);
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  run(Plan<T>{Tiles(form, s.n, h.in, w.in),
              {p.gy, s.k, h.out, w.out},
              h.kernel - 1 - h.low,
              w.kernel - 1 - w.low,
              s.c,
              filters.turned(),
              p.gx,
              p.b,
              -std::numeric_limits<T>::infinity()});
}

#define NN_INSTANTIATE(T)                                           \
  template void conv_winograd(const ConvForward<T>&, WinogradForm); \
  template void conv_winograd(const ConvInputGrad<T>&, WinogradForm);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
