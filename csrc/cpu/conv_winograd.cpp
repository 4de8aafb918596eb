// Winograd convolution for stride and dilation 1: F(4 x 4, 3 x 3), F(2 x 2, 3 x 3) and F(2 x 2, 5 x 5); for a
// stride of 2 and 4 x 4 filters: F(4 x 4, 2 x 2); for any other stride by the taps that filters have per
// residue, F(4 x 4, 2 x 2) and F(3 x 3, 4 x 4) among them. Forward and input gradient (the weight gradient:
// conv_winograd_grad.cpp).
//
//   V[e][tile][c] = transformed patches     U[e][c][k] = transformed filters     e < (m + taps - 1)^2
//   S[e] = V[e] U[e], one small product per e; each tile of S turns into m x m results.
//
// Few filters: U is made once, tiles are taken in blocks whose V and S stay in cache. Many: U would not fit
// in cache and is up to four times as large as the filters, so V of many tiles is made, and each panel of U,
// some channels of it, right before it is used. Rows of a channels-first image are first turned into a strip
// with channels side by side, so that one set of transforms serves both layouts. The input gradient is the
// same convolution of gy with the filters turned around. In a volume each frame is transformed once, and the
// frames under a filter lie side by side as if they were channels. With a stride,
// positions modulo the stride of images and filters (their residues) are convolutions with unit stride: a
// forward pass adds up those of x, as if they were channels; an input gradient threads those of gx together.
#include <algorithm>
#include <limits>

#include "../processor.h"
#include "conv_winograd_filters.h"

namespace nn::cpu {
namespace {

constexpr int64_t kKeptFilters = int64_t(1) << 20;  // bytes of U that are made but once

// What a forward convolution needs, whoever asks: conv itself or the input gradient.
template <class T> struct Plan {
  Tiles tiles;
  Image<T> x;
  int64_t low_d, low_h, low_w, k, frames;  // of y
  Filters<T> filters;
  Field<T> y;
  const T* bias;
  T floor;
  // of y: tiles make pixels i * stride + residue - y_low
  int64_t stride = 1, y_low_h = 0, y_low_w = 0, height = tiles.height, width = tiles.width;
  // or pixels i * stride + (residue - own) modulo the stride: from V of each residue's own
  int64_t own_h = 0, own_w = 0;
  int64_t sets() const { return own_h || own_w ? stride * stride : 1; }  // of V
  int64_t depth() const { return x.depth() * filters.frames; }           // of the products
  bool apart() const { return tiles.stride == 1; }  // filters of all residues lie side by side
  int64_t result_columns() const { return apart() ? k : round_up(k, kernels<T>().gemm_shape().nr); }
  int64_t columns() const {
    return round_up(stride * stride * result_columns(), kernels<T>().gemm_shape().nr);
  }

  // f(begin, end) of the parts of all depths that product e needs: transformed filters whose last tap is 0
  // are 0 at infinity.
  template <class F> void each_depth(int64_t e, int64_t depth, F f) const {
    if (x.stride == 1 || !apart()) return f(0, depth);
    const int64_t whole = filters.taps[0].whole();
    const int64_t row = x.stride * x.channels, some = whole * x.channels;  // of residues
    if (e / tiles.reach == tiles.reach - 1) depth = whole * row;
    if (e % tiles.reach < tiles.reach - 1) return f(0, depth);
    for (int64_t begin = 0; begin < depth; begin += row) f(begin, begin + some);
  }
  // f(begin, end, whether product e isn't 0) of parts of all columns. Turned filters have their first tap
  // last.
  template <class F> void each_columns(int64_t e, F f) const {
    if (sets() > 1) {
      for (int64_t u = 0; u < sets(); ++u) f(u * result_columns(), (u + 1) * result_columns(), true);
      return;
    }
    if (stride == 1 || !apart() || k % kernels<T>().gemm_shape().nr)
      return f(0, stride == 1 ? k : columns(), true);
    const auto wanted = [&](const ResidueTaps& t, int64_t r, int64_t at) {
      return (at > 0 || t.has_last(r)) && (at < tiles.reach - 1 || t.has_first(r));
    };
    for (int64_t u = 0; u < stride * stride; ++u)
      f(u * k, (u + 1) * k,
        wanted(filters.taps[0], u / stride, e / tiles.reach) &&
            wanted(filters.taps[1], u % stride, e % tiles.reach));
  }
};

// u[e][c][nr] of frame `frame` of columns [k0, k0 + nr), channels [c0, c0 + count), planes u_step apart.
template <class T> void transform_filters(const Plan<T>& p, int64_t k0, int64_t frame, int64_t c0,
                                          int64_t count, T* u, int64_t u_step) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t nr = kern.gemm_shape().nr, side = p.tiles.side(), taps = side * side;
  constexpr int64_t kSome = 32;  // channels at a time
  const Filters<T>& f = p.filters;
  const int64_t residue = p.apart() ? 0 : k0 / p.result_columns(), residues = f.residues,
                stride = p.tiles.stride;
  k0 -= residue * p.result_columns();
  const int lanes = int(std::min(nr, (p.apart() ? p.stride * p.stride : 1) * p.k - k0));
  Workspace<T> w(size_t(kSome * taps * nr));
  for (int64_t c = c0; c < c0 + count; c += kSome) {
    const int64_t some = std::min(kSome, c0 + count - c);
    const T* from =
        f.p + k0 * f.k_step + c * f.c_step + (f.turned ? f.frames - 1 - frame : frame) * f.frame_step;
    if (f.c_step == taps)
      kern.pack(from, f.k_step, 1, lanes, int(nr), some * taps, w, nr);
    else
      for (int64_t i = 0; i < some; ++i)
        kern.pack(from + i * f.c_step, f.k_step, 1, lanes, int(nr), taps, w + i * taps * nr, nr);
    for (int64_t i = 0; i < some; ++i) {
      // the filters of the channels after these, a channel's or a filter's numbers side by side
      const T* soon = f.c_step == taps ? from + std::min<int64_t>(i, lanes - 1) * f.k_step + some * taps
                                       : from + (some + i) * f.c_step;
      for (int64_t j = 0; j < kSome * taps; j += 64 / int64_t(sizeof(T))) __builtin_prefetch(soon + j);
      for (int64_t r = residue; r < residue + residues; ++r) {
        // the first tap, or the last one
        const int64_t tap =
            r / stride * side + r % stride + (f.turned ? (p.tiles.taps - 1) * stride * (side + 1) : 0);
        const int64_t at = c - c0 + i, part = residues > 1 ? at % kResidueChannels : 0;
        kern.winograd_filter(p.tiles.form, w + (i * taps + tap) * nr, f.turned ? -nr : nr, nr,
                             u + ((at - part) * residues + r * kResidueChannels * (residues > 1) + part) * nr,
                             u_step);
      }
    }
  }
}

// The pixels of a strip's `rows` rows of `cols` that lie inside y: from one to the next.
template <class T> void store_strip(const Plan<T>& p, const T* strip, int64_t channels, int64_t rows,
                                    int64_t cols, int64_t h0, int64_t w0, T* y) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t left = std::max<int64_t>(0, -w0), count = std::min(cols, p.width - w0) - left;
  if (count <= 0) return;
  for (int64_t i = std::max<int64_t>(0, -h0); i < std::min(rows, p.height - h0); ++i) {
    const T* from = strip + (i * cols + left) * channels;
    T* to = y + (h0 + i) * p.y.step[1] + (w0 + left) * p.y.step[2];
    if (p.y.c == 1)
      kern.copy_rows(from, channels, nullptr, to, p.y.step[2], count, channels);
    else
      kern.transpose_copy(from, channels, to, p.y.c, count, channels);
  }
}

// Results of tiles [t0, t1) of a frame and channels [k0, k0 + count) from s[e][t - first][columns]; a
// residue's columns lie p.result_columns() behind those of the one before.
template <class T> void results(const Plan<T>& p, const T* s, int64_t s_step, int64_t columns, int64_t first,
                                int64_t frame, int64_t k0, int64_t count, int64_t t0, int64_t t1) {
  const Kernels<T>& kern = kernels<T>();
  const Tiles& g = p.tiles;
  const int64_t stride = p.stride, side = g.m * stride;
  const bool last = p.y.c == 1 && stride == 1;  // tiles go where they belong
  Workspace<T> strip(last ? 1 : size_t(side * g.cols * side * kStripChannels));
  // the residues of a row lie side by side if a pixel has these channels only
  const int64_t joined = p.apart() && count == p.k && count <= kStripChannels ? stride : 1;
  const auto place = [&](int64_t residue, int64_t own) { return (residue - own + stride) % stride; };
  Workspace<T> biases(size_t(joined * count));
  for (int64_t i = 0; p.bias && joined > 1 && i < joined * count; ++i) biases[i] = p.bias[i % count];
  for (int64_t t = t0; t < t1;) {
    const TileRun run = tile_run(g, t, t1);
    const T* from = s + (t - first) * columns;
    t += run.length;
    const int64_t h0 = run.h * stride - p.y_low_h, w0 = run.w * stride - p.y_low_w;
    T* y = p.y.p + run.n * p.y.n + k0 * p.y.c + frame * p.y.step[0];
    const T* bias = !p.bias ? nullptr : joined > 1 ? static_cast<T*>(biases) : p.bias + k0;
    if (last) {
      y += h0 * p.y.step[1] + w0 * p.y.step[2];
      for (int64_t r = 0; r < run.length; ++r)
        kern.winograd_output(g.form, from + r * columns, s_step, count, bias, p.floor,
                             y + r * g.m * p.y.step[2], p.y.step[1], p.y.step[2],
                             int(std::min<int64_t>(g.m, p.height - h0)),
                             int(std::min<int64_t>(g.m, p.width - w0 - r * g.m)));
      continue;
    }
    for (int64_t k = 0; k < count; k += kStripChannels) {
      const int64_t some = std::min(kStripChannels, count - k), cols = run.length * side;
      for (int64_t u = 0; u < stride * stride; u += joined)
        for (int64_t r = 0; r < run.length; ++r)
          kern.winograd_output(
              g.form, from + u * p.result_columns() + r * columns + k, s_step, some * joined,
              bias ? bias + k : nullptr, p.floor,
              strip + (place(u / stride, p.own_h) * cols + r * side + place(u % stride, p.own_w)) * some,
              stride * cols * some, stride * some, g.m, g.m);
      store_strip<T>(p, strip, some, side, cols, h0, w0, y + k * p.y.c);
    }
  }
}

// A few rows of tiles at a time, so that threads can share a block.
int64_t tiles_grain(const Tiles& g, int64_t channels) {
  return std::max<int64_t>(g.cols, ceil_div(32768, g.planes() * channels));
}

template <class T> void transform_block(const Plan<T>& p, const Frames& frames, int64_t t0, int64_t channels,
                                        const TileStore<T>& v) {
  const int64_t sets = p.sets();
  parallel_for(v.tiles, tiles_grain(p.tiles, channels), [&](int64_t i, int64_t j) {
    for (int64_t d = frames.first * sets; d < frames.last * sets; ++d)
      transform_tiles(p.tiles, p.x, d / sets, t0 + i, t0 + j, p.tiles.reach,
                      p.low_h - (d % sets / p.stride < p.own_h), p.low_w - (d % p.stride < p.own_w),
                      kernels<T>().winograd_input, v, i, (d - frames.first * sets) * p.x.channels);
  });
}

// The frames of x under the filters of results in frames [d0, d1).
template <class T> Frames frames_under(const Plan<T>& p, int64_t d0, int64_t d1) {
  const int64_t first = std::min(std::max<int64_t>(0, d0 - p.low_d), p.x.frames);
  return {first, std::max(first, std::min(p.x.frames, d1 - 1 - p.low_d + p.filters.frames))};
}

// All of U: [e][panel][frame][c][nr].
template <class T> struct KeptFilters {
  int64_t panel, plane;
  Workspace<T> u;
  explicit KeptFilters(const Plan<T>& p)
      : panel(p.depth() * kernels<T>().gemm_shape().nr),
        plane(plane_step<T>(p.columns() * p.depth())),
        u(size_t(p.tiles.planes() * plane)) {
    const int64_t frames = p.filters.frames, c = p.x.depth(), nr = kernels<T>().gemm_shape().nr;
    parallel_for(p.columns() / nr * frames, std::max<int64_t>(1, 128 / c), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        transform_filters<T>(p, i / frames * nr, i % frames, 0, c / p.filters.residues, u + i * c * nr,
                             plane);
    });
  }
};

// Results of frame d of the tiles in v, which holds frames of x from v_first on; s: room for all columns.
template <class T> void run_frame(const Plan<T>& p, const KeptFilters<T>& f, const TileStore<T>& v,
                                  int64_t v_first, int64_t d, int64_t t0, T* s) {
  const int64_t nr = kernels<T>().gemm_shape().nr, c = p.x.depth(), columns = p.columns(),
                s_step = plane_step<T>(v.tiles * columns);
  const Frames under = frames_under(p, d, d + 1);
  const int64_t depth = (under.last - under.first) * c;
  const T *from = v.p + (under.first - v_first) * c, *u = f.u + (under.first + p.low_d - d) * c * nr;
  const double flops = 2.0 * double(v.tiles * (depth + 1) * columns);
  parallel_for(p.tiles.planes(), std::max<int64_t>(1, int64_t(4e6 / flops)), [&](int64_t e0, int64_t e1) {
    for (int64_t e = e0; e < e1; ++e)
      p.each_columns(e, [&](int64_t k0, int64_t k1, bool wanted) {
        T* to = s + e * s_step + k0;
        if (!wanted)
          for (int64_t i = 0; i < v.tiles; ++i) std::fill_n(to + i * columns, k1 - k0, T(0));
        else
          p.each_depth(e, depth, [&](int64_t d0, int64_t d1) {
            product<T>(from + e * v.plane() + (p.sets() > 1 ? k0 / p.result_columns() * c : 0) + d0, v.deep,
                       u + e * f.plane + k0 / nr * f.panel + d0 * nr, f.panel, d1 - d0, v.tiles, k1 - k0,
                       d0 > 0, to, columns);
          });
      });
  });
  parallel_for(v.tiles, tiles_grain(p.tiles, c + columns), [&](int64_t i, int64_t j) {
    results<T>(p, s, s_step, columns, t0, d, 0, p.k, t0 + i, t0 + j);
  });
}

// All of U first, then blocks of tiles.
template <class T> void run_blocks(const Plan<T>& p) {
  const Tiles& g = p.tiles;
  const GemmShape shape = kernels<T>().gemm_shape();
  const int64_t c = p.x.depth(), columns = p.columns(), planes = g.planes();
  const KeptFilters<T> filters(p);
  // Of a volume a few frames at a time: V of the fewest tiles that reuse U well takes 2 MB.
  const int64_t number = planes * int64_t(sizeof(T)), fewest = 2 * shape.max_rows[shape.vectors];
  const int64_t group = std::min(p.frames, std::max((int64_t(2) << 20) / (number * c * fewest), int64_t(8)));
  const int64_t window = std::min(p.x.frames, group + p.filters.frames - 1), deep = c * window * p.sets();
  // V and S of a block stay in L2 if that leaves enough tiles to reuse U.
  int64_t block = (int64_t(640) << 10) / (number * (deep + columns));
  block = std::min(std::max(2 * block / fewest, int64_t(2)) * fewest / 2, g.count);
  int64_t blocks = ceil_div(g.count, block);
  // threads that meet after every stage of a block wait for each other: rather smaller blocks, two for each
  const int64_t shares = round_up(blocks, 2 * num_threads()), least = ceil_div(g.count, shares);
  const double flops = 2.0 * double(planes * least) * double(c * columns);
  if (num_threads() > 1 && p.x.frames == 1 && blocks < shares && 2 * least >= fewest && flops > 4e6)
    blocks = shares;
  block = ceil_div(g.count, blocks);
  const int64_t whole = round_up(block, fewest / 2);  // of products' rows
  if (ceil_div(g.count, whole) == blocks) block = whole;
  parallel_for(blocks, blocks >= 2 * num_threads() ? 1 : blocks, [&](int64_t begin, int64_t end) {
    Workspace<T> v(TileStore<T>::size(planes, block, deep, deep)),
        s(size_t(planes * plane_step<T>(block * columns)));
    for (int64_t b = begin; b < end; ++b) {
      const int64_t t0 = b * block, tiles = std::min(block, g.count - t0);
      if (tiles <= 0) break;
      const TileStore<T> store = {v, planes, tiles, deep};
      for (int64_t d0 = 0; d0 < p.frames; d0 += group) {
        const int64_t d1 = std::min(d0 + group, p.frames);
        const Frames under = frames_under(p, d0, d1);
        transform_block<T>(p, under, t0, deep + columns, store);
        for (int64_t d = d0; d < d1; ++d) run_frame<T>(p, filters, store, under.first, d, t0, s);
      }
    }
  });
}

// Panel by panel of U, made while V waits.
template <class T> void run_panels(const Plan<T>& p) {
  const Tiles& g = p.tiles;
  const int64_t c = p.x.channels, nr = kernels<T>().gemm_shape().nr, planes = g.planes();
  // S of a panel and some channels of U stay in L2, V in L3.
  const bool large = l2_bytes() >= int64_t(2) << 20;
  const int64_t line = planes * nr * int64_t(sizeof(T));
  const int64_t most = std::max((int64_t(large ? 900 : 600) << 10) / line, int64_t(32));
  // Each thread makes V of its own tiles, if that makes U no more often than reading V from afar is worth:
  // as often as 14 tiles' products take, against a fifth of all products.
  const int64_t fitting = ceil_div(g.count, most), shares = round_up(fitting, num_threads());
  const bool own = 5 * 14 * (shares - fitting) < g.count;
  const int64_t block = ceil_div(g.count, own ? shares : fitting), blocks = ceil_div(g.count, block);
  const int64_t fits = (int64_t(large ? 600 : 300) << 10) / line / kStripChannels;
  const int64_t deep = std::min(std::max<int64_t>(fits, 1), ceil_div(c, kStripChannels)) * kStripChannels;
  const int64_t panels = ceil_div(p.k, nr);
  const int64_t u_step = plane_step<T>(deep * nr);
  parallel_for(blocks, own ? 1 : blocks, [&](int64_t first, int64_t last) {
    Workspace<T> v(TileStore<T>::size(planes, block, deep, c));
    for (int64_t t0 = first * block; t0 < std::min(g.count, last * block); t0 += block) {
      const TileStore<T> tiles = {v, planes, std::min(block, g.count - t0), deep};
      transform_block<T>(p, {0, 1}, t0, c, tiles);
      const int64_t s_step = plane_step<T>(tiles.tiles * nr);
      parallel_for(panels, 1, [&](int64_t begin, int64_t end) {
        Workspace<T> u(size_t(planes * u_step)), s(size_t(planes * s_step));
        for (int64_t j = begin; j < end; ++j) {
          const int64_t count = std::min(nr, p.k - j * nr);
          for (int64_t d = 0; d < c; d += deep) {
            const int64_t some = std::min(deep, c - d);
            transform_filters<T>(p, j * nr, 0, d, some, u, u_step);
            for (int64_t e = 0; e < planes; ++e)
              product<T>(tiles.at(0, d) + e * tiles.plane(), deep, u + e * u_step, 0, some, tiles.tiles,
                         count, d > 0, s + e * s_step, nr);
          }
          results<T>(p, s, s_step, nr, t0, 0, j * nr, count, t0, t0 + tiles.tiles);
        }
      });
    }
  });
}

template <class T> void run(const Plan<T>& p) {
  const bool plane = p.x.frames == 1 && p.filters.frames == 1 && p.x.stride == 1 && p.stride == 1;
  if (plane && p.tiles.planes() * p.x.channels * p.columns() * int64_t(sizeof(T)) > kKeptFilters)
    run_panels(p);
  else
    run_blocks(p);
}

}  // namespace

template <class T> void conv_winograd(const ConvForward<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  if (s.axes == 1) return conv_winograd_line(p);
  const Tiles tiles(form, s.n, s.axis[1].out, s.axis[2].out);
  const DenseFilters<T> filters(s, p.w, tiles);
  const ConvAxis &d = s.axis[0], &h = s.axis[1], &w = s.axis[2];
  run(Plan<T>{tiles,
              {p.x, s.c, d.in, h.in, w.in, w.stride, tiles.stride == w.stride ? kResidueChannels : s.c},
              d.low,
              h.low,
              w.low,
              s.k,
              d.out,
              filters.forward(),
              p.y,
              p.b,
              late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_winograd(const ConvInputGrad<T>& p, WinogradForm form) {
  const ConvShape& s = p.s;
  if (s.axes == 1) return conv_winograd_line(p);
  const ConvAxis& d = s.axis[0];
  const WinogradSizes sizes(form);
  const GridTiles g(form, s, sizes.taps);
  const PixelGrid &h = g.h, &w = g.w;
  const DenseFilters<T> filters(s, p.w, sizes, h.front, w.front);
  run(Plan<T>{g.tiles,
              {p.gy, s.k, d.out, s.axis[1].out, s.axis[2].out, 1},
              d.kernel - 1 - d.low,
              sizes.taps - 1 - h.first,
              sizes.taps - 1 - w.first,
              s.c,
              d.in,
              filters.turned(),
              p.gx,
              p.b,
              -std::numeric_limits<T>::infinity(),
              s.axis[2].stride,
              g.own ? 0 : h.low,
              g.own ? 0 : w.low,
              s.axis[1].in,
              s.axis[2].in,
              g.own ? h.low : 0,
              g.own ? w.low : 0});
}

#define NN_INSTANTIATE(T)                                           \
  template void conv_winograd(const ConvForward<T>&, WinogradForm); \
  template void conv_winograd(const ConvInputGrad<T>&, WinogradForm);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
