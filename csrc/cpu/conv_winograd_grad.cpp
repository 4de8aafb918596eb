// The weight gradient of Winograd convolution, the adjoint of conv_winograd.cpp:
//
//   gU[e] = sum over tiles V[e]^T Z[e]     V: transformed patches of x, Z: of gy; turned into gw at the end
//
// gU is made in squares of channels by filters that stay in L2 until they are turned; only where V and Z of
// all tiles are too large for the cache, squares wait in memory for the next tiles.
#include <algorithm>

#include "../parallel.h"
#include "conv_winograd.h"

namespace nn::cpu {
namespace {

constexpr int64_t kSide = 64;  // of a square: channels and filters
template <class T> constexpr int64_t kSquareStep = kSide * kSide + 64 / int64_t(sizeof(T));  // see plane_step

template <class T> struct Squares {
  const Tiles& g;
  int64_t c, k;
  TileStore<T> v, z;
  int64_t rows() const { return ceil_div(c, kSide); }
  int64_t cols() const { return ceil_div(k, kSide); }
};

// u[e][channel][filter] (+)= the sum over the tiles at hand, of channels from c0 and filters from k0 on.
template <class T> void add_products(const Squares<T>& q, int64_t c0, int64_t k0, bool accumulate, T* u) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const int64_t c = std::min(kSide, q.c - c0), k = std::min(kSide, q.k - k0);
  const int64_t most = shape.max_rows[shape.vectors], rows = ceil_div(c, ceil_div(c, most));
  const double flops = 2.0 * double(q.v.tiles * c * k);
  parallel_for(q.g.planes(), std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t begin, int64_t end) {
    GemmTile<T> t = {};
    t.k = q.v.tiles, t.a_row = 1, t.a_k = q.v.deep, t.b_k = q.z.deep, t.c_row = kSide;
    t.accumulate = accumulate;
    for (int64_t e = begin; e < end; ++e)
      for (int64_t j = 0; j < k; j += shape.nr) {
        t.n = std::min<int64_t>(shape.nr, k - j);
        const int nv = int(ceil_div(t.n, shape.width));
        for (int64_t i = 0; i < c; i += rows) {
          t.a = q.v.at(0, c0 + i) + e * q.v.plane();
          t.b = q.z.at(0, k0 + j) + e * q.z.plane();
          t.c = u + e * kSquareStep<T> + i * kSide + j;
          kern.gemm_tile(int(std::min(rows, c - i)), nv, t);
        }
      }
  });
}

// gw of a finished square.
template <class T> void finish_square(const Squares<T>& q, int64_t c0, int64_t k0, const T* u, T* gw) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t taps = q.g.taps * q.g.taps, c = std::min(kSide, q.c - c0), k = std::min(kSide, q.k - k0);
  parallel_for(c, 16, [&](int64_t begin, int64_t end) {
    Workspace<T> turned(size_t((end - begin) * taps * k));
    for (int64_t i = begin; i < end; ++i)
      kern.winograd_filter_grad(q.g.form, u + i * kSide, kSquareStep<T>, k, turned + (i - begin) * taps * k,
                                k);
    kern.transpose_copy(turned, k, gw + k0 * q.c * taps + (c0 + begin) * taps, q.c * taps,
                        (end - begin) * taps, k);
  });
}

}  // namespace

template <class T> void conv_winograd(const ConvWeightGrad<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  const Kernels<T>& kern = kernels<T>();
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  const Tiles g(form, s.n, h.out, w.out);
  const Image<T> x = {p.x, s.c, h.in, w.in}, gy = {p.gy, s.k, h.out, w.out};
  const int64_t planes = g.planes(), c_deep = std::min(s.c, kSide), k_deep = std::min(s.k, kSide);
  const int64_t c = round_up(s.c, c_deep), k = round_up(s.k, k_deep);
  // Blocks don't depend on the number of threads: sums are made in the same order.
  const int64_t per_tile = planes * (c + k) * int64_t(sizeof(T));
  const bool small = s.c <= kSide && s.k <= kSide;  // one square, which waits in L2
  int64_t block = std::max((int64_t(small ? 1 : 2) << 20) / per_tile, int64_t(64));
  block = ceil_div(g.count, ceil_div(g.count, block));
  Workspace<T> v(TileStore<T>::size(planes, block, c_deep, c)),
      z(TileStore<T>::size(planes, block, k_deep, k));
  Squares<T> q = {g, s.c, s.k, {v, planes, 0, c_deep}, {z, planes, 0, k_deep}};
  const int64_t squares = q.rows() * q.cols(), size = planes * kSquareStep<T>;
  const bool once = block >= g.count;
  Workspace<T> waiting(size_t(once ? 1 : squares * size));
  for (int64_t t0 = 0; t0 < g.count; t0 += block) {
    q.v.tiles = q.z.tiles = std::min(block, g.count - t0);
    const int64_t grain = std::max<int64_t>(g.cols, ceil_div(32768, planes * (c + k)));
    parallel_for(q.v.tiles, grain, [&](int64_t i, int64_t j) {
      transform_tiles(g, x, t0 + i, t0 + j, g.reach, h.low, w.low, kern.winograd_input, q.v, i);
      transform_tiles(g, gy, t0 + i, t0 + j, g.m, 0, 0, kern.winograd_output_grad, q.z, i);
    });
    const bool last = t0 + block >= g.count;
    parallel_for(squares, squares >= 2 * num_threads() ? 1 : squares, [&](int64_t begin, int64_t end) {
      Workspace<T> one(size_t(once ? size : 1));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c0 = i % q.rows() * kSide, k0 = i / q.rows() * kSide;
        T* u = once ? one : waiting + i * size;
        add_products<T>(q, c0, k0, t0 > 0, u);
        if (last) finish_square<T>(q, c0, k0, u, p.gw);
      }
    });
  }
}

template void conv_winograd(const ConvWeightGrad<float>&, WinogradForm);
template void conv_winograd(const ConvWeightGrad<double>&, WinogradForm);

}  // namespace nn::cpu
