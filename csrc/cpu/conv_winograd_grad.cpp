// The weight gradient of Winograd convolution, the adjoint of conv_winograd.cpp:
//
//   gU[e] = sum over tiles V[e]^T Z[e]     V: transformed patches of x, Z: of gy; turned into gw at the end
//
// Summed over frames of a volume, too, for each frame of the filters. gU is made in squares of channels by
// filters that stay in L2 until they are turned; only where V and Z of all tiles are too large for the cache,
// squares wait in memory for the next tiles. Threads share the squares, or where these are few the tiles:
// sums of a fixed number of shares are added up in order.
#include <algorithm>

#include "../parallel.h"
#include "conv_winograd.h"

namespace nn::cpu {
namespace {

constexpr int64_t kSide = 64;  // of a square: channels and filters
constexpr int64_t kShares = 4;
template <class T> constexpr int64_t kSquareStep = kSide * kSide + 64 / int64_t(sizeof(T));  // see plane_step

// The tiles at hand: rows [frame][tile] of V and Z, `tiles` a frame, frames of x and of gy.
template <class T> struct Squares {
  const Tiles& g;
  const ConvShape& s;
  int64_t c;  // channels of V
  TileStore<T> v, z;
  int64_t tiles;
  Frames x, gy;
  T* taken;  // gw turned around, [channel][tap][filter], if residues are channels
  bool apart() const { return g.stride != s.axis[2].stride; }
  // Whether channel c of product e is part of gw: the last tap of a residue may be none.
  bool wanted(int64_t e, int64_t c) const {
    const int64_t stride = s.axis[2].stride, whole = s.axis[2].kernel - (g.taps - 1) * stride, r = c / s.c;
    return !apart() || ((e / g.reach < g.reach - 1 || r / stride < whole) &&
                        (e % g.reach < g.reach - 1 || r % stride < whole));
  }
  int64_t rows() const { return ceil_div(c, kSide); }
  int64_t cols() const { return ceil_div(s.k, kSide); }
};

// A square of one frame of the filters: channels from c0 and filters from k0 on.
struct Square {
  int64_t frame, c0, k0, c, k;
  template <class T> Square(const Squares<T>& q, int64_t i)
      : frame(i / (q.rows() * q.cols())),
        c0(i % q.rows() * kSide),
        k0(i / q.rows() % q.cols() * kSide),
        c(std::min(kSide, q.c - c0)),
        k(std::min(kSide, q.s.k - k0)) {}
};

// Asks for a part of rows of n numbers.
template <class T>
void ask_for(const T* x, int64_t rows, int64_t step, int64_t n, int64_t part, int64_t parts) {
  for (int64_t i = rows * part / parts; i < rows * (part + 1) / parts; ++i)
    for (int64_t j = 0; j < n; j += 64 / int64_t(sizeof(T))) __builtin_prefetch(x + i * step + j, 0, 2);
}

// u[e][channel][filter] (+)= the sum over the tiles at hand.
template <class T> void add_products(const Squares<T>& q, const Square& a, bool accumulate, T* u) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const ConvAxis& d = q.s.axis[0];
  // gy of frames [first, last) meets x in frames `ahead` of them
  const int64_t ahead = a.frame - d.low, first = std::max(q.gy.first, -ahead),
                last = std::max(first, std::min(q.gy.last, d.in - ahead)), depth = (last - first) * q.tiles;
  const int64_t most = shape.max_rows[shape.vectors], rows = ceil_div(a.c, ceil_div(a.c, most));
  const int64_t planes = q.g.planes(), parts = ceil_div(a.k, shape.nr) * ceil_div(a.c, rows);
  const T *v = q.v.at(depth ? (first + ahead - q.x.first) * q.tiles : 0, a.c0),
          *z = q.z.at(depth ? (first - q.gy.first) * q.tiles : 0, a.k0);
  const double flops = 2.0 * double((depth + 1) * a.c * a.k);
  parallel_for(planes, std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t begin, int64_t end) {
    GemmTile<T> t = {};
    t.k = depth, t.a_row = 1, t.a_k = q.v.deep, t.b_k = q.z.deep, t.c_row = kSide;
    t.accumulate = accumulate;
    for (int64_t e = begin; e < end; ++e) {
      if (!q.wanted(e, a.c0) && !q.wanted(e, a.c0 + a.c - 1) && q.s.c % kSide == 0) continue;
      int64_t part = 0;
      for (int64_t j = 0; j < a.k; j += shape.nr) {
        t.n = std::min<int64_t>(shape.nr, a.k - j);
        const int nv = int(ceil_div(t.n, shape.width));
        for (int64_t i = 0; i < a.c; i += rows, ++part) {
          if (e + 1 < end) {  // the next plane comes from L3 while this one is summed
            ask_for(v + (e + 1) * q.v.plane(), depth, q.v.deep, a.c, part, parts);
            ask_for(z + (e + 1) * q.z.plane(), depth, q.z.deep, a.k, part, parts);
            if (accumulate) ask_for(u + (e + 1) * kSquareStep<T>, a.c, kSide, a.k, part, parts);
          }
          t.a = v + e * q.v.plane() + i;
          t.b = z + e * q.z.plane() + j;
          t.c = u + e * kSquareStep<T> + i * kSide + j;
          kern.gemm_tile(int(std::min(rows, a.c - i)), nv, t);
        }
      }
    }
  });
}

// q.taken of a finished square: the filters of a residue are those of a stride's part of the taps.
template <class T> void collect_square(const Squares<T>& q, const Square& a, const T* u) {
  const int64_t taps = q.g.taps, kernel = q.s.axis[2].kernel, stride = q.s.axis[2].stride;
  Workspace<T> part(size_t(taps * taps * a.k));
  for (int64_t i = 0; i < a.c; ++i) {
    const int64_t r = (a.c0 + i) / q.s.c, c = (a.c0 + i) % q.s.c;
    kernels<T>().winograd_filter_grad(q.g.form, u + i * kSide, kSquareStep<T>, a.k, part, a.k);
    for (int64_t t = 0; t < taps * taps; ++t) {
      const int64_t h = t / taps * stride + r / stride, w = t % taps * stride + r % stride;
      if (h < kernel && w < kernel)
        std::copy_n(part + t * a.k, a.k, q.taken + ((c * kernel + h) * kernel + w) * q.s.k + a.k0);
    }
  }
}

// gw of a finished square.
template <class T> void finish_square(const Squares<T>& q, const Square& a, const T* u, T* gw) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t taps = q.g.side() * q.g.side(), all = q.s.taps(), residues = q.g.residues();
  if (q.apart()) return collect_square<T>(q, a, u);
  parallel_for(a.c / residues, 16, [&](int64_t begin, int64_t end) {
    Workspace<T> turned(size_t((end - begin) * taps * a.k));
    for (int64_t i = begin; i < end; ++i)
      for (int64_t r = 0; r < residues; ++r)
        kern.winograd_filter_grad(
            q.g.form, u + (r * kResidueChannels + i) * kSide, kSquareStep<T>, a.k,
            turned + ((i - begin) * taps + r / q.g.stride * q.g.side() + r % q.g.stride) * a.k, a.k);
    T* to = gw + (a.k0 * q.s.c + a.c0 / residues + begin) * all + a.frame * taps;
    const int64_t together = all == taps ? end - begin : 1;  // channels whose taps lie side by side
    for (int64_t i = 0; i < end - begin; i += together)
      kern.transpose_copy(turned + i * taps * a.k, a.k, to + i * all, q.s.c * all, together * taps, a.k);
  });
}

// V and Z of `tiles` tiles from t0 on.
template <class T> void fill(Squares<T>& q, const Image<T>& x, const Image<T>& gy, int64_t t0) {
  const Kernels<T>& kern = kernels<T>();
  const ConvAxis &h = q.s.axis[1], &w = q.s.axis[2];
  q.v.tiles = q.tiles * (q.x.last - q.x.first), q.z.tiles = q.tiles * (q.gy.last - q.gy.first);
  const int64_t grain = std::max<int64_t>(q.g.cols, ceil_div(32768, q.g.planes() * (q.c + q.s.k)));
  parallel_for(q.tiles, grain, [&](int64_t i, int64_t j) {
    for (int64_t f = q.x.first; f < q.x.last; ++f)
      transform_tiles(q.g, x, f, t0 + i, t0 + j, q.g.reach, h.low, w.low, kern.winograd_input, q.v,
                      (f - q.x.first) * q.tiles + i, 0);
    for (int64_t f = q.gy.first; f < q.gy.last; ++f)
      transform_tiles(q.g, gy, f, t0 + i, t0 + j, q.g.m, 0, 0, kern.winograd_output_grad, q.z,
                      (f - q.gy.first) * q.tiles + i, 0);
  });
}

// u[0] += the squares of all other shares, `step` apart.
template <class T> void add_shares(const Square& a, int64_t planes, int64_t shares, int64_t step, T* u) {
  const int64_t count = (a.c - 1) * kSide + a.k;
  parallel_for(planes, std::max<int64_t>(1, 65536 / (shares * count)), [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e)
      for (int64_t i = 1; i < shares; ++i)
        kernels<T>().add_to(u + i * step + e * kSquareStep<T>, u + e * kSquareStep<T>, count);
  });
}

}  // namespace

template <class T> void conv_winograd(const ConvWeightGrad<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  if (s.axes == 1) return conv_winograd_line(p);
  const ConvAxis &d = s.axis[0], &h = s.axis[1], &w = s.axis[2];
  const Tiles g(form, s.n, h.out, w.out);
  const Image<T> x = {p.x, s.c, d.in, h.in, w.in, w.stride, g.stride == w.stride ? kResidueChannels : s.c},
                 gy = {p.gy, s.k, d.out, h.out, w.out, 1};
  // residues of few channels are written across the ends of squares
  const bool apart = g.stride != w.stride, across = apart && s.c % kStripChannels;
  const int64_t planes = g.planes(), c_deep = across ? x.depth() : std::min(x.depth(), kSide),
                k_deep = std::min(s.k, kSide);
  const int64_t c = round_up(x.depth(), c_deep), k = round_up(s.k, k_deep);
  // Blocks of tiles and frames don't depend on the number of threads: sums are made in the same order.
  const int64_t squares = ceil_div(x.depth(), kSide) * (k / k_deep) * d.kernel,
                size = planes * kSquareStep<T>;
  const bool small = c <= kSide && s.k <= kSide;  // one square, which waits in L2
  const int64_t fit = (int64_t(small ? 1 : 2) << 20) / (planes * (c + k) * int64_t(sizeof(T)));
  const int64_t groups = ceil_div(d.out, std::max(fit / g.cols, int64_t(8))), group = ceil_div(d.out, groups);
  int64_t block = std::max(fit / group, ceil_div(64, group));
  if (d.out > 1) block = std::max(block, g.cols);
  const int64_t blocks = ceil_div(g.count, block);
  const int64_t shares = squares < kShares && blocks >= kShares ? kShares : 1;
  block = ceil_div(g.count, round_up(blocks, shares));
  const int64_t steps = ceil_div(g.count, block) * groups;
  Workspace<T> waiting(size_t(steps > 1 ? shares * squares * size : 1));
  Workspace<T> taken(size_t(apart ? s.c * s.taps() * s.k : 1));
  parallel_for(shares, 1, [&](int64_t share, int64_t) {
    Workspace<T> v(TileStore<T>::size(planes, block * std::min(d.in, group + d.kernel - 1), c_deep, c)),
        z(TileStore<T>::size(planes, block * group, k_deep, k));
    Squares<T> q = {g,      s,      x.depth(), {v, planes, 0, c_deep}, {z, planes, 0, k_deep}, 0,
                    {0, 0}, {0, 0}, taken};
    const int64_t first = steps * share / shares, end = steps * (share + 1) / shares;
    for (int64_t i = first; i < end; ++i) {
      const int64_t t0 = i / groups * block, d0 = i % groups * group;
      q.tiles = std::min(block, g.count - t0);
      q.gy = {d0, std::min(d0 + group, d.out)};
      q.x.first = std::min(std::max<int64_t>(0, d0 - d.low), d.in);
      q.x.last = std::max(q.x.first, std::min(d.in, q.gy.last - 1 - d.low + d.kernel));
      fill(q, x, gy, t0);
      parallel_for(squares, squares >= 2 * num_threads() ? 1 : squares, [&](int64_t a, int64_t b) {
        Workspace<T> one(size_t(steps == 1 ? size : 1));
        for (; a < b; ++a) {
          T* u = steps == 1 ? one : waiting + (share * squares + a) * size;
          add_products<T>(q, Square(q, a), i > first, u);
          if (shares == 1 && i + 1 == end) finish_square<T>(q, Square(q, a), u, p.gw);
        }
      });
    }
  });
  const Squares<T> q = {g, s, x.depth(), {}, {}, 0, {0, 0}, {0, 0}, taken};
  for (int64_t i = 0; i < squares && shares > 1; ++i) {
    T* u = waiting + i * size;
    add_shares<T>(Square(q, i), planes, shares, squares * size, u);
    finish_square<T>(q, Square(q, i), u, p.gw);
  }
  if (apart) kernels<T>().transpose_copy(taken, s.k, p.gw, s.c * s.taps(), s.c * s.taps(), s.k);
}

template void conv_winograd(const ConvWeightGrad<float>&, WinogradForm);
template void conv_winograd(const ConvWeightGrad<double>&, WinogradForm);

}  // namespace nn::cpu
