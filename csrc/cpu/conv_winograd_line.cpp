// Winograd convolution along one axis: F(3, 3) of pieces of three taps.
//
//   V[e][tile][c] = transformed positions 3 tile ... 3 tile + 4     U[e][piece][c][k] = transformed pieces
//
//   forward       S[e][tile] = sum over pieces of V[e][tile + piece] U[e][piece]: pieces are as long as tiles
//                 are apart, so they share V, and (piece, c) is the depth of one product
//   input grad    the same of gy with the filters turned around
//   weight grad   gU[e][piece] = sum over tiles of V[e][tile + piece]^T Z[e][tile], Z: transformed gy
//
// Five products for three results and taps instead of nine. Threads share blocks of tiles whose V and S stay
// in L2; gradients of filters are summed in a fixed number of shares. Source: see simd/winograd_maps.inl.
#include <algorithm>
#include <limits>

#include "../parallel.h"
#include "conv_winograd.h"

namespace nn::cpu {
namespace {

constexpr int64_t kPoints = 5, kTaps = 3;  // of a tile; results of a tile, taps of a piece
constexpr int64_t kShares = 4;
constexpr int64_t kBlockBytes = 384 << 10;

// n lines of `length` positions with channels.
template <class T> struct Lines {
  Field<const T> x;
  int64_t n, channels, length;
};

// Tiles of `out` results each of n lines, in blocks; `beside` numbers per point of a tile wait in L2.
struct LineTiles {
  int64_t tiles, block, blocks;  // of a line
  LineTiles(int64_t out, int64_t beside, int64_t number)
      : tiles(ceil_div(out, kTaps)),
        block(std::min(tiles, std::max<int64_t>(28, kBlockBytes / (kPoints * beside * number)))),
        blocks(ceil_div(tiles, block)) {
    block = ceil_div(tiles, blocks), blocks = ceil_div(tiles, block);
  }
};

// out[e * plane + t * channels + c] for tiles t < tiles: `map` of the positions from first + 3 t on.
template <class T> void transform_line(LineMap map, const Lines<T>& g, int64_t n, int64_t first,
                                       int64_t tiles, T* out, int64_t plane) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t count = kTaps * tiles + (map == LineMap::input ? kPoints - kTaps : 0);
  const int64_t a = std::min(std::max<int64_t>(0, -first), count),
                b = std::max(a, std::min(count, g.length - first));
  Workspace<T> strip(size_t(count * kStripChannels));
  for (int64_t c = 0; c < g.channels; c += kStripChannels) {
    const int64_t some = std::min(kStripChannels, g.channels - c), step = g.x.step[2];
    T* to = strip + a * some;
    std::fill(static_cast<T*>(strip), to, T(0));
    std::fill(strip + b * some, strip + count * some, T(0));
    const T* from = g.x.p + n * g.x.n + c * g.x.c + (first + a) * step;
    if (g.x.c == 1)
      kern.copy_rows(from, step, nullptr, to, some, b - a, some);
    else if (step == 1)
      kern.transpose_copy(from, g.x.c, to, some, some, b - a);
    else
      for (int64_t j = 0; j < b - a; ++j)
        for (int64_t i = 0; i < some; ++i) to[j * some + i] = from[i * g.x.c + j * step];
    kern.winograd_line(map, {strip, some, kTaps * some, out + c, plane, g.channels, tiles, some, nullptr, 0});
  }
}

// Filters by their steps; turned: the last tap first.
template <class T> struct LineFilters {
  const T* p;
  int64_t k, c, taps, k_step, c_step, tap_step;
  bool turned;
  int64_t pieces() const { return ceil_div(taps, kTaps); }
  int64_t depth() const { return pieces() * c; }
  int64_t columns() const { return round_up(k, kernels<T>().gemm_shape().nr); }
};

// U[e][panel][piece][c][nr].
template <class T> struct TransformedFilters {
  int64_t panel, plane;
  Workspace<T> u;
  explicit TransformedFilters(const LineFilters<T>& f)
      : panel(f.depth() * kernels<T>().gemm_shape().nr),
        plane(plane_step<T>(f.depth() * f.columns())),
        u(size_t(kPoints * plane)) {
    const int64_t nr = kernels<T>().gemm_shape().nr, some = 16, blocks = ceil_div(f.c, some);
    parallel_for(f.columns() / nr * blocks, std::max<int64_t>(1, 32768 / (f.taps * nr * some)),
                 [&](int64_t begin, int64_t end) {
                   Workspace<T> w(size_t(f.pieces() * kTaps * nr * some));
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t c = i % blocks * some;
                     transform(f, i / blocks, c, std::min(some, f.c - c), w);
                   }
                 });
  }

 private:
  // Channels [c0, c0 + count) of a panel; w: room for their taps.
  void transform(const LineFilters<T>& f, int64_t j, int64_t c0, int64_t count, T* w) {
    const Kernels<T>& kern = kernels<T>();
    const int64_t nr = kern.gemm_shape().nr, padded = f.pieces() * kTaps, size = padded * nr;
    const int lanes = int(std::min(nr, f.k - j * nr));
    std::fill(w, w + count * size, T(0));
    for (int64_t c = 0; c < count; ++c)
      kern.pack(f.p + j * nr * f.k_step + (c0 + c) * f.c_step, f.k_step, f.tap_step, lanes, int(nr), f.taps,
                w + c * size + (f.turned ? (padded - f.taps) * nr : 0), nr);
    for (int64_t p = 0; p < f.pieces(); ++p) {
      const T* first = w + (f.turned ? padded - 1 - p * kTaps : p * kTaps) * nr;
      kern.winograd_line(LineMap::filter,
                         {first, f.turned ? -nr : nr, size, u + j * panel + (p * f.c + c0) * nr, plane, nr,
                          count, nr, nullptr, 0});
    }
  }
};

// y = max(floor, x * filters + bias), position i from positions i - low on.
template <class T> struct LinePlan {
  Lines<T> x;
  int64_t low;
  LineFilters<T> filters;
  Field<T> y;
  int64_t out;
  const T* bias;
  T floor;
};

// The results of tiles [t0, t0 + tiles) from s[e * plane + tile * columns + k].
template <class T>
void line_results(const LinePlan<T>& p, int64_t n, int64_t t0, int64_t tiles, const T* s, int64_t plane) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t count = std::min(kTaps * tiles, p.out - kTaps * t0), step = p.y.step[2];
  Workspace<T> strip(size_t(kTaps * tiles * kStripChannels));
  for (int64_t k = 0; k < p.filters.k; k += kStripChannels) {
    const int64_t some = std::min(kStripChannels, p.filters.k - k);
    kern.winograd_line(LineMap::output, {s + k, plane, p.filters.columns(), strip, some, kTaps * some, tiles,
                                         some, p.bias ? p.bias + k : nullptr, p.floor});
    T* to = p.y.p + n * p.y.n + k * p.y.c + kTaps * t0 * step;
    if (p.y.c == 1)
      kern.copy_rows(strip, some, nullptr, to, step, count, some);
    else
      kern.transpose_copy(strip, some, to, p.y.c, count, some);
  }
}

template <class T> void run_lines(const LinePlan<T>& p) {
  const LineFilters<T>& f = p.filters;
  const TransformedFilters<T> u(f);
  const LineTiles g(p.out, f.c + f.columns(), sizeof(T));
  const int64_t rows = g.block + f.pieces() - 1, v_plane = plane_step<T>(rows * f.c),
                s_plane = plane_step<T>(g.block * f.columns());
  const double flops = 2.0 * kPoints * double(g.block * f.depth() * f.columns());
  parallel_for(p.x.n * g.blocks, int64_t(4e6 / flops) + 1, [&](int64_t begin, int64_t end) {
    Workspace<T> v(size_t(kPoints * v_plane)), s(size_t(kPoints * s_plane));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / g.blocks, t0 = i % g.blocks * g.block, tiles = std::min(g.block, g.tiles - t0);
      transform_line<T>(LineMap::input, p.x, n, kTaps * t0 - p.low, tiles + f.pieces() - 1, v, v_plane);
      for (int64_t e = 0; e < kPoints; ++e)
        product<T>(v + e * v_plane, f.c, u.u + e * u.plane, u.panel, f.depth(), tiles, f.k, false,
                   s + e * s_plane, f.columns());
      line_results<T>(p, n, t0, tiles, s, s_plane);
    }
  });
}

// gU[e * u_plane + (piece * c + channel) * columns + k] (+)= the sum over the tiles of v and z.
template <class T> void add_line_products(const LineFilters<T>& f, const T* v, int64_t v_plane, const T* z,
                                          int64_t z_plane, int64_t tiles, bool accumulate, T* u,
                                          int64_t u_plane) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const int64_t most = shape.max_rows[shape.vectors], rows = ceil_div(f.c, ceil_div(f.c, most));
  GemmTile<T> t = {};
  t.k = tiles, t.a_row = 1, t.a_k = f.c, t.b_k = f.k, t.c_row = f.columns(), t.accumulate = accumulate;
  for (int64_t e = 0; e < kPoints; ++e)
    for (int64_t j = 0; j < f.k; j += shape.nr) {
      t.n = std::min<int64_t>(shape.nr, f.k - j);
      for (int64_t p = 0; p < f.pieces(); ++p)
        for (int64_t i = 0; i < f.c; i += rows) {
          t.a = v + e * v_plane + p * f.c + i;
          t.b = z + e * z_plane + j;
          t.c = u + e * u_plane + (p * f.c + i) * f.columns() + j;
          kern.gemm_tile(int(std::min(rows, f.c - i)), int(ceil_div(t.n, shape.width)), t);
        }
    }
}

// gw from the sums of all shares, u_share apart.
template <class T>
void finish_filters(const LineFilters<T>& f, T* u, int64_t u_plane, int64_t shares, int64_t u_share, T* gw) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t columns = f.columns(), padded = f.pieces() * kTaps;
  parallel_for(f.c, 16, [&](int64_t begin, int64_t end) {
    const int64_t count = end - begin;
    Workspace<T> turned(size_t(count * padded * f.k));
    for (int64_t p = 0; p < f.pieces(); ++p) {
      T* sums = u + (p * f.c + begin) * columns;
      for (int64_t e = 0; e < kPoints; ++e)
        for (int64_t q = 1; q < shares; ++q)
          kern.add_to(sums + q * u_share + e * u_plane, sums + e * u_plane, count * columns);
      kern.winograd_line(LineMap::filter_grad, {sums, u_plane, columns, turned + p * kTaps * f.k, f.k,
                                                padded * f.k, count, f.k, nullptr, 0});
    }
    const int64_t together = padded == f.taps ? count : 1;  // channels whose taps lie side by side
    for (int64_t i = 0; i < count; i += together)
      kern.transpose_copy(turned + i * padded * f.k, f.k, gw + (begin + i) * f.taps, f.c * f.taps,
                          together * f.taps, f.k);
  });
}

template <class T> LineFilters<T> line_filters(const ConvShape& s, const Field<const T>& w) {
  return {w.p, s.k, s.c, s.axis[2].kernel, w.n, w.c, w.step[2], false};
}

}  // namespace

template <class T> void conv_winograd_line(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis& w = s.axis[2];
  run_lines(LinePlan<T>{{p.x, s.n, s.c, w.in},
                        w.low,
                        line_filters(s, p.w),
                        p.y,
                        w.out,
                        p.b,
                        late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_winograd_line(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis& w = s.axis[2];
  LineFilters<T> f = line_filters(s, p.w);
  std::swap(f.k, f.c), std::swap(f.k_step, f.c_step);
  f.turned = true;
  run_lines(LinePlan<T>{{p.gy, s.n, s.k, w.out},
                        w.kernel - 1 - w.low,
                        f,
                        p.gx,
                        w.in,
                        p.b,
                        -std::numeric_limits<T>::infinity()});
}

template <class T> void conv_winograd_line(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis& w = s.axis[2];
  const Lines<T> x = {p.x, s.n, s.c, w.in}, gy = {p.gy, s.n, s.k, w.out};
  const LineFilters<T> f = line_filters(s, Field<const T>{});
  const LineTiles g(w.out, f.c + f.k, sizeof(T));
  const int64_t rows = g.block + f.pieces() - 1, v_plane = plane_step<T>(rows * f.c),
                z_plane = plane_step<T>(g.block * f.k);
  const int64_t u_plane = plane_step<T>(f.depth() * f.columns()), units = s.n * g.blocks,
                shares = std::min(kShares, units);
  Workspace<T> u(size_t(shares * kPoints * u_plane));
  parallel_for(shares, s.flops() > 4e6 ? 1 : shares, [&](int64_t begin, int64_t end) {
    Workspace<T> v(size_t(kPoints * v_plane)), z(size_t(kPoints * z_plane));
    for (int64_t q = begin; q < end; ++q)
      for (int64_t i = units * q / shares; i < units * (q + 1) / shares; ++i) {
        const int64_t n = i / g.blocks, t0 = i % g.blocks * g.block, tiles = std::min(g.block, g.tiles - t0);
        transform_line<T>(LineMap::input, x, n, kTaps * t0 - w.low, tiles + f.pieces() - 1, v, v_plane);
        transform_line<T>(LineMap::output_grad, gy, n, kTaps * t0, tiles, z, z_plane);
        add_line_products<T>(f, v, v_plane, z, z_plane, tiles, i > units * q / shares,
                             u + q * kPoints * u_plane, u_plane);
      }
  });
  finish_filters<T>(f, u, u_plane, shares, kPoints * u_plane, p.gw);
}

#define NN_INSTANTIATE(T)                                    \
  template void conv_winograd_line(const ConvForward<T>&);   \
  template void conv_winograd_line(const ConvInputGrad<T>&); \
  template void conv_winograd_line(const ConvWeightGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
