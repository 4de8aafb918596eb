// What Winograd convolutions share: the tiles of the results, and the way of an image into transformed tiles.
#pragma once
#include <algorithm>
#include <cstring>
#include <limits>

#include "../memory.h"
#include "conv_panels.h"

namespace nn::cpu {

constexpr int64_t kStripChannels = 32;
constexpr int64_t kResidueChannels = 16;  // whose residues of a stride lie side by side

// F(m, taps) of the form that serves these filters, of each residue of the stride.
struct WinogradSizes {
  WinogradForm form;
  int m, taps, stride, reach;
  explicit WinogradSizes(WinogradForm f)
      : form(f),
        m(f == WinogradForm::f43 || f == WinogradForm::f42 || f == WinogradForm::strided ? 4
          : f == WinogradForm::f34                                                       ? 3
                                                                                         : 2),
        taps(f == WinogradForm::f25                                 ? 5
             : f == WinogradForm::f34                               ? 4
             : f == WinogradForm::strided || f == WinogradForm::f42 ? 2
                                                                    : 3),
        stride(f == WinogradForm::strided ? 2 : 1),
        reach(m + taps - 1) {}
  int planes() const { return reach * reach; }
  int residues() const { return stride * stride; }
  int side() const { return taps * stride; }  // of the filters
};

// The tiles of a batch of height x width results, row by row. A volume is a pile of such images, its frames:
// their tiles at one place belong together.
struct Tiles : WinogradSizes {
  int64_t height, width, rows, cols, count;
  Tiles(WinogradForm f, int64_t n, int64_t h, int64_t w)
      : WinogradSizes(f),
        height(h),
        width(w),
        rows(ceil_div(h, m)),
        cols(ceil_div(w, m)),
        count(n * rows * cols) {}
};

// Position i of the pixels of an input gradient along one axis makes the pixels i * stride + residue - low,
// and reads gy from i + first - taps + 1 on. Zeros in front of filters whose last residues lack a tap may
// save a position.
struct PixelGrid {
  int64_t front = 0, first = 0, count = INT64_MAX, low = 0;
  PixelGrid(const ConvAxis& a, int64_t taps) {
    for (int64_t f = 0; f <= taps * a.stride - a.kernel; ++f) {
      const int64_t before = a.low + f, from = before / a.stride,
                    positions = (a.in - 1 + before) / a.stride - from + 1;
      if (positions < count) front = f, first = from, count = positions, low = before - from * a.stride;
    }
  }
};

// The tiles of an input gradient's grid. own: those of a residue begin with its own first pixel, and so need
// V of their own; it pays if there are a fifth fewer.
struct GridTiles {
  PixelGrid h, w;
  Tiles tiles;
  bool own = false;
  GridTiles(WinogradForm form, const ConvShape& s, int64_t taps)
      : h(s.axis[1], taps), w(s.axis[2], taps), tiles(form, s.n, h.count, w.count) {
    const Tiles fewer(form, s.n, ceil_div(s.axis[1].in, s.axis[1].stride),
                      ceil_div(s.axis[2].in, s.axis[2].stride));
    own = form == WinogradForm::strided && 5 * fewer.count < 4 * tiles.count;
    if (own) tiles = fewer;
  }
};

// Tiles from t on that stand side by side.
struct TileRun {
  int64_t n, h, w, length;  // h, w: first result
};
inline TileRun tile_run(const Tiles& g, int64_t t, int64_t end) {
  const int64_t col = t % g.cols, row = t / g.cols % g.rows;
  return {t / g.cols / g.rows, row * g.m, col * g.m, std::min(end - t, g.cols - col)};
}

// An image with channels that is read pixel by pixel; outside it there are zeros. Each residue of its pixels
// modulo the stride is an image of its own: (c / group, residue, c % group) are its channels then.
template <class T> struct Image {
  Field<const T> x;
  int64_t channels, frames, height, width, stride, group = kResidueChannels;
  int64_t depth() const { return channels * stride * stride; }
};

// Elements from one plane to the next: planes a multiple of 4 KB apart would share a few lines of the caches.
template <class T> int64_t plane_step(int64_t elements) {
  return round_up(elements, int64_t(64 / sizeof(T))) + int64_t(64 / sizeof(T));
}

// Frames of an image.
struct Frames {
  int64_t first, last;
};

// Transformed tiles [c / deep][e][tile][c % deep]: products of a few channels read one straight line.
template <class T> struct TileStore {
  T* p;
  int64_t planes, tiles, deep;
  int64_t plane() const { return plane_step<T>(tiles * deep); }
  T* at(int64_t tile, int64_t c) const { return p + c / deep * planes * plane() + tile * deep + c % deep; }
  static size_t size(int64_t planes, int64_t tiles, int64_t deep, int64_t channels) {
    return size_t(ceil_div(channels, deep) * planes * plane_step<T>(tiles * deep));
  }
};

// conv_winograd_line.cpp: F(3, 3) for filters of one axis.
template <class T> void conv_winograd_line(const ConvForward<T>& p);
template <class T> void conv_winograd_line(const ConvInputGrad<T>& p);
template <class T> void conv_winograd_line(const ConvWeightGrad<T>& p);

// s[tile][s_row] (+)= v[tile][depth] u[panel][depth][nr] of one plane, k columns.
template <class T> void product(const T* v, int64_t v_row, const T* u, int64_t u_panel, int64_t depth,
                                int64_t tiles, int64_t k, bool accumulate, T* s, int64_t s_row) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape shape = kern.gemm_shape();
  const int64_t most = shape.max_rows[shape.vectors], m = ceil_div(tiles, ceil_div(tiles, most));
  GemmTile<T> t = {};
  t.a_row = v_row, t.a_k = 1, t.b_k = shape.nr, t.c_row = s_row;
  t.ahead_step = 64 / int64_t(sizeof(T));
  t.alpha = 1, t.floor = -std::numeric_limits<T>::infinity();
  // short sums: more exact, and U of a piece stays in L1
  const int64_t pieces = std::max<int64_t>(1, ceil_div(depth, 128)), piece = ceil_div(depth, pieces);
  for (int64_t j = 0; j < k; j += shape.nr) {
    const int vectors = int(ceil_div(std::min<int64_t>(shape.nr, k - j), shape.width));
    t.n = vectors * shape.width, t.panel = vectors == shape.vectors;
    for (int64_t d = 0; d < pieces; ++d) {
      t.k = std::min(piece, depth - d * piece), t.accumulate = accumulate || d > 0;
      for (int64_t i = 0; i < tiles; i += m) {
        t.a = v + i * v_row + d * piece;
        t.b = u + j / shape.nr * u_panel + d * piece * shape.nr;
        t.c = s + i * s_row + j;
        t.ahead = pieces == 1 ? t.a + m * v_row : nullptr;  // V waits in L3, a plane behind the other
        kern.gemm_tile(int(std::min(m, tiles - i)), vectors, t);
      }
    }
  }
}

// out[i][j][c] = pixel (h0 + i, w0 + j), channel c0 + c of the image at x.
template <class T> void load_strip(const Image<T>& g, const T* x, int64_t h0, int64_t w0, int64_t rows,
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
    const T* row = x + c0 * g.x.c + h * g.x.step[1] + (w0 + a) * g.x.step[2];
    if (g.x.step[2] == 1 && g.x.c != 1) {
      const T* soon =
          i + 2 < rows ? row + 2 * g.x.step[1] : row + channels * g.x.c + (i + 2 - rows - i) * g.x.step[1];
      for (int64_t c = 0; c < channels; ++c, soon += g.x.c)
        for (int64_t j = 0; j < b - a; j += 64 / int64_t(sizeof(T))) __builtin_prefetch(soon + j);
    }
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

// Frame `frame` of the tiles [t0, t1), to v[place + t - t0][channel0 + c]: patches of `reach` pixels, m
// apart, `low` before the result's place. v.deep is a multiple of kStripChannels or holds all channels.
template <class T, class Kernel> void transform_tiles(const Tiles& g, const Image<T>& x, int64_t frame,
                                                      int64_t t0, int64_t t1, int64_t reach, int64_t low_h,
                                                      int64_t low_w, Kernel kernel, const TileStore<T>& v,
                                                      int64_t place, int64_t channel0) {
  const int64_t stride = x.stride, rows = reach * stride;
  Workspace<T> strip(size_t(rows * ((g.cols - 1) * g.m + reach) * stride * kStripChannels));
  for (int64_t t = t0; t < t1;) {
    const TileRun run = tile_run(g, t, t1);
    const int64_t h0 = run.h * stride - low_h, w0 = run.w * stride - low_w,
                  cols = ((run.length - 1) * g.m + reach) * stride;
    const bool inside = h0 >= 0 && h0 + rows <= x.height && w0 >= 0 && w0 + cols <= x.width;
    const bool direct = x.x.c == 1 && inside;
    const T* image = x.x.p + run.n * x.x.n + frame * x.x.step[0];
    for (int64_t c = 0, some; c < x.channels; c += some) {
      some = std::min(stride > 1 ? kResidueChannels : direct ? v.deep : kStripChannels, x.channels - c);
      const T* from = strip;
      int64_t row = cols * some, col = some;
      if (direct) {
        row = x.x.step[1], col = x.x.step[2];
        from = image + h0 * row + w0 * col + c;
      } else {
        load_strip(x, image, h0, w0, rows, cols, c, some, static_cast<T*>(strip));
      }
      // the residues of a row lie side by side if a pixel has these channels only
      const int64_t joined = some == x.group && col == some ? stride : 1,
                    column = c / x.group * stride * stride;
      for (int64_t u = 0; u < stride * stride; u += joined) {
        T* to = v.at(place + t - t0, channel0 + (column + u) * x.group + c % x.group);
        const T* first = from + u / stride * row + u % stride * col;
        for (int64_t r = 0; r < run.length; ++r)
          kernel(g.form, first + r * g.m * stride * col, row * stride, col * stride, some * joined,
                 to + r * v.deep, v.plane());
      }
    }
    t += run.length;
  }
}

}  // namespace nn::cpu
