// Images sampled at the places of a grid, and the gradients of both.
//
//   y[n, c, p] = sum over t of w[t](grid[n, p]) * x[n, c, index[t](grid[n, p])]
//
// Places, weights and their derivatives are worked out once for a tile of pixels and serve all channels:
// whole pixels are added (images in NCHW are turned for it, results tile by tile), those of up to four
// channels as quads of numbers; where gathers are fast, images in NCHW go plane by plane. Taps outside the
// image have index -1 and weight 0. The gradient of x adds up in the order of the pixels, some channels of an
// image per thread; the grid's is a dot product over the channels. Bound by look-ups. Semantics:
// torch.nn.functional.grid_sample (Jaderberg et al. 2015, Spatial Transformer Networks).
#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../processor.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "grid_sample";
constexpr int64_t kTile = 256, kGrain = 1 << 17, kChannels = 64, kPack = 1 << 13, kQuads = 1 << 20;
enum Mode { kBilinear, kNearest, kBicubic };
enum Padding { kZeros, kBorder, kReflection };

struct Sampling {
  int axes, mode, padding, taps;
  bool align_corners, last, pixels;  // last: the user's layout; pixels: work on whole ones
  int64_t n, c, size[3], in, out;    // size: of x, the last axis (x of the grid) first; in, out: pixels

  // Of few channels: an image that is read much less than once stays as it is, others become quads.
  bool whole() const { return in <= 4 * out || (last && c == 4); }
  int64_t step() const {
    return pixels ? 1 : whole() ? 4 : last ? c : 1;
  }  // from pixel to pixel, as indices count
};

Sampling sampling(const View& x, const View& grid, int64_t mode, int64_t padding, bool align_corners) {
  const int axes = x.ndim - 2;
  if (axes < 2 || axes > 3 || grid.ndim != x.ndim || grid.shape[axes + 1] != axes ||
      grid.shape[0] != x.shape[0])
    fail(kOp, "input (N, C, H, W) needs grid (N, h, w, 2), input (N, C, D, H, W) grid (N, d, h, w, 3)",
         {{"input", x}, {"grid", grid}});
  if (mode < kBilinear || mode > kBicubic || padding < kZeros || padding > kReflection)
    fail(kOp, "mode and padding_mode must be 0 to 2", {{"input", x}});
  if (mode == kBicubic && axes == 3)
    fail(kOp, "bicubic needs an input with two spatial axes", {{"input", x}});
  Sampling s{axes,
             int(mode),
             int(padding),
             mode == kNearest   ? 1
             : mode == kBicubic ? 16
                                : 1 << axes,
             align_corners,
             is_channels_last(x),
             x.shape[1] > 4,
             x.shape[0],
             x.shape[1],
             {1, 1, 1},
             1,
             1};
  for (int i = 0; i < axes; ++i) {
    s.size[i] = x.shape[x.ndim - 1 - i];
    if (s.size[i] == 0) fail(kOp, "input must have a pixel", {{"input", x}, {"grid", grid}});
    s.in *= s.size[i], s.out *= grid.shape[i + 1];
  }
  if (s.in * (s.pixels ? 1 : 4) > std::numeric_limits<int32_t>::max())
    fail(kOp, "an image has more than 2^31 pixels", {{"input", x}});
  return s;
}

// The taps of `count` pixels: entry t of pixel p at [t * count + p]; slopes at [(axis * taps + t) * count +
// p]. Indices count numbers of an image whose pixels are `step` apart.
template <class T> struct Tile {
  Workspace<int32_t> index, place;
  Workspace<T> weight, slope, axis_weight, axis_slope;

  explicit Tile(const Sampling& s)
      : index(size_t(kTile * s.taps)),
        place(size_t(kTile * 12)),
        weight(size_t(kTile * s.taps)),
        slope(size_t(kTile * s.taps * s.axes)),
        axis_weight(size_t(kTile * 12)),
        axis_slope(size_t(kTile * 12)) {}

  void fill(const Sampling& s, const T* grid, int64_t count, bool slopes, int64_t step) {
    const int each = s.mode == kNearest ? 1 : s.mode == kBicubic ? 4 : 2;
    GridAxis axis[3];
    for (int i = 0; i < s.axes; ++i) {
      axis[i] = {s.mode, s.padding, s.align_corners, s.size[i]};
      kernels<T>().grid_places(axis[i], grid + i, s.axes, count, place + 4 * i * count,
                               axis_weight + 4 * i * count, slopes ? axis_slope + 4 * i * count : nullptr);
    }
    for (int t = 0; t < s.taps; ++t) {
      const int taken[3] = {t % each, t / each % each, t / each / each};
      kernels<T>().grid_products(s.axes, axis, taken, int32_t(step), count, place, axis_weight, axis_slope,
                                 index + t * count, weight + t * count, slopes ? slope + t * count : nullptr,
                                 s.taps * count);
    }
  }
};

// `count` pixels from `first` on of an image of n, as quads and back.
template <class T> void pack(const Sampling& s, const T* x, int64_t n, bool last, int64_t count, T* quads) {
  kernels<T>().quads_pack(x, s.c, last ? s.c : 1, last ? 1 : n, count, quads);
}
template <class T> void unpack(const Sampling& s, const T* quads, int64_t n, bool last, int64_t count, T* y) {
  kernels<T>().quads_unpack(quads, s.c, last ? s.c : 1, last ? 1 : n, count, y);
}

// Images of few channels as the kernels read them, one from another s.in * step() apart.
template <class T> class QuadImages {
 public:
  QuadImages(const Sampling& s, const T* x)
      : s_(s),
        p_(x),
        packed_(!s.pixels && s.whole() && !(s.last && s.c == 4)),
        block_(static_cast<size_t>(packed_ ? 4 * s.n * s.in : 0)) {
    if (!packed_) return;
    p_ = block_;
    const int64_t blocks = ceil_div(s.in, kPack);
    parallel_for(s.n * blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t n = u / blocks, at = u % blocks * kPack;
        pack(s, x + n * s.c * s.in + at * (s.last ? s.c : 1), s.in, s.last, std::min(kPack, s.in - at),
             block_ + 4 * (n * s.in + at));
      }
    });
  }
  Quads<T> image(int64_t n) const {
    return {p_ + n * s_.in * (packed_ ? 4 : s_.c), s_.c, s_.last ? 1 : s_.in, s_.whole()};
  }

 private:
  const Sampling& s_;
  const T* p_;
  bool packed_;
  Workspace<T> block_;
};

// f(begin, end, tiles of an image) for tiles of `most` pixels of all images.
template <class F> void each_tile(const Sampling& s, int64_t most, F&& f) {
  const int64_t tiles = ceil_div(s.out, most), cost = std::min(most, s.out) * s.taps * (s.c + 8);
  parallel_for(s.n * tiles, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, cost)),
               [&](int64_t begin, int64_t end) { f(begin, end, tiles); });
}

// Plane by plane was measured to pay there; with other instruction sets and makers it was not measured.
bool gathers_are_fast() {
  static const bool intel = is_intel();
  return intel && !std::strcmp(isa().name, "avx512");
}

// x and y in NCHW, or in channels-last order with few channels.
template <class T> void sample_planes(const Sampling& s, const T* x, const T* grid, T* y) {
  each_tile(s, kTile, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s);
    Workspace<T> scratch(static_cast<size_t>(s.last ? kTile * s.c : 0));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, false, s.last ? s.c : 1);
      T* plane = s.last ? static_cast<T*>(scratch) : y + n * s.c * s.out + p;
      const int64_t step = s.last ? count : s.out;
      kernels<T>().planes_sample(x + n * s.c * s.in, s.last ? 1 : s.in, s.c, tile.index, tile.weight, s.taps,
                                 count, plane, step);
      if (s.last) kernels<T>().transpose_copy(plane, step, y + (n * s.out + p) * s.c, s.c, s.c, count);
    }
  });
}

// x: in channels-last order for `pixels`.
template <class T> void sample(const Sampling& s, const T* x, const T* grid, T* y) {
  const QuadImages<T> images(s, x);
  const bool turn = s.pixels && !s.last;
  const int64_t most = turn ? kTile / 2 : kTile;  // what is turned stays in L1
  each_tile(s, most, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s);
    Workspace<T> scratch(static_cast<size_t>(most * (turn ? s.c : 4)));
    const T one = 1;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * most, count = std::min(most, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, false, s.step());
      const T* image = x + n * s.c * s.in;
      T *plane = y + n * s.c * s.out + p, *pixel = y + (n * s.out + p) * s.c;
      if (s.pixels) {
        kernels<T>().resample_pixels(&image, &one, 1, tile.index, tile.weight, s.taps, count, s.c,
                                     turn ? scratch : pixel);
        if (turn) kernels<T>().transpose_copy(scratch, s.c, plane, s.out, count, s.c);
      } else {
        kernels<T>().quads_sample(images.image(n), tile.index, tile.weight, s.taps, count, scratch);
        unpack<T>(s, scratch, s.out, s.last, count, s.last ? pixel : plane);
      }
    }
  });
}

// gy: pixels for `pixels`, else as x is laid out.
template <class T> void grid_grad(const Sampling& s, const T* gy, const T* x, const T* grid, T* ggrid) {
  const QuadImages<T> images(s, x);
  each_tile(s, kTile, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s);
    Workspace<T> dots(static_cast<size_t>(kTile * std::max(4, s.taps)));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, true, s.step());
      const T *image = x + n * s.c * s.in, *pixel = gy + (n * s.out + p) * s.c;
      T* to = ggrid + (n * s.out + p) * s.axes;
      if (!s.pixels) {
        pack<T>(s, s.last ? pixel : gy + n * s.c * s.out + p, s.out, s.last, count, dots);
        for (int i = 0; i < s.axes; ++i)
          kernels<T>().quads_dot(images.image(n), tile.index, tile.slope + i * s.taps * count, s.taps, count,
                                 dots, to + i, s.axes);
        continue;
      }
      for (int64_t t = 0; t < s.taps; ++t)
        kernels<T>().pixel_dot(image, tile.index + t * count, pixel, count, s.c, dots + t * count);
      for (int64_t q = 0; q < count; ++q)
        for (int64_t i = 0; i < s.axes; ++i) {
          T total = 0;
          for (int64_t t = 0; t < s.taps; ++t)
            total += tile.slope[(i * s.taps + t) * count + q] * dots[t * count + q];
          to[q * s.axes + i] = total;
        }
    }
  });
}

// gx: in channels-last order for `pixels`, else as the user has it (as gy).
template <class T> void image_grad(const Sampling& s, const T* gy, const T* grid, T* gx) {
  const int64_t blocks = s.pixels ? ceil_div(s.c, kChannels) : 1;
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, s.out * s.taps * kChannels));
  if (s.pixels) std::fill_n(gx, s.n * s.c * s.in, T(0));
  parallel_for(s.n * blocks, grain, [&](int64_t begin, int64_t end) {
    Tile<T> tile(s);
    Workspace<T> sums(static_cast<size_t>(s.pixels ? 0 : 4 * s.in)), quads(static_cast<size_t>(4 * kTile));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / blocks, first = u % blocks * kChannels, stop = std::min(s.c, first + kChannels);
      const T* g = gy + n * s.c * s.out;
      T* to = gx + n * s.c * s.in;
      if (!s.pixels) std::fill_n(static_cast<T*>(sums), 4 * s.in, T(0));
      for (int64_t p = 0; p < s.out; p += kTile) {
        const int64_t count = std::min(kTile, s.out - p);
        tile.fill(s, grid + (n * s.out + p) * s.axes, count, false, s.pixels ? 1 : 4);
        const int32_t* index = tile.index;
        const T* weight = tile.weight;
        if (!s.pixels) {
          pack<T>(s, g + p * (s.last ? s.c : 1), s.out, s.last, count, quads);
          kernels<T>().quads_scatter(quads, index, weight, s.taps, count, sums);
        }
        for (int64_t t = 0; s.pixels && t < s.taps; ++t)
          kernels<T>().scatter_pixels(g + p * s.c + first, index + t * count, weight + t * count, count,
                                      stop - first, s.c, to + first);
      }
      if (!s.pixels) unpack<T>(s, sums, s.in, s.last, s.in, to);
    }
  });
}

// The same where gx has the other layout.
template <class T> void image_grad_turned(const Sampling& s, const T* gy, const T* grid, const Array& gx) {
  Workspace<T> block(static_cast<size_t>(gx.size()));
  image_grad<T>(s, gy, grid, block);
  int64_t step = sizeof(T), strides[5];
  strides[1] = step, step *= s.c;
  for (int i = gx.ndim - 1; i != 1; i = i == 2 ? 0 : i == 0 ? 1 : i - 1)
    strides[i] = step, step *= gx.shape[i];
  View turned = gx.view();
  turned.data = block, turned.strides = strides;
  copy(turned, gx.view());
}

// f(part, first image): as many images at a time as L2 can hold quads of.
template <class T, class F> void each_group(const Sampling& s, F&& f) {
  const int64_t some = s.pixels ? s.n : std::max<int64_t>(1, kQuads / (s.in * int64_t(4 * sizeof(T))));
  for (int64_t n = 0; n < s.n; n += some) {
    Sampling part = s;
    part.n = std::min(some, s.n - n);
    f(part, n);
  }
}

void result_shape(const View& x, const View& grid, int64_t* shape) {
  shape[0] = x.shape[0], shape[1] = x.shape[1];
  for (int i = 2; i < x.ndim; ++i) shape[i] = grid.shape[i - 1];
}

}  // namespace

Array grid_sample_forward(const View& x, const View& grid, int64_t mode, int64_t padding_mode,
                          bool align_corners) {
  const Dtype dt = common_dtype(kOp, {{"input", x}, {"grid", grid}});
  const Sampling s = sampling(x, grid, mode, padding_mode, align_corners);
  int64_t shape[5];
  result_shape(x, grid, shape);
  Array y = pool_output(kOp, dt, x.ndim, shape, s.last);
  if (y.size() == 0) return y;
  const bool planes = (!s.last || !s.pixels) && gathers_are_fast();
  const Laid image(x, s.last || (s.pixels && !planes), true);
  const Dense places(grid);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (planes) return sample_planes<T>(s, reinterpret_cast<const T*>(image.p), places.as<T>(), y.as<T>());
    each_group<T>(s, [&](const Sampling& part, int64_t n) {
      sample<T>(part, reinterpret_cast<const T*>(image.p) + n * s.c * s.in,
                places.as<T>() + n * s.out * s.axes, y.as<T>() + n * s.c * s.out);
    });
  });
  return y;
}

Array2 grid_sample_backward(const View& gy, const View& x, const View& grid, int64_t mode,
                            int64_t padding_mode, bool align_corners, bool need_x, bool need_grid) {
  const char* op = "grid_sample_backward";
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"input", x}, {"grid", grid}});
  const Sampling s = sampling(x, grid, mode, padding_mode, align_corners);
  int64_t shape[5];
  const int64_t none[1] = {0};
  result_shape(x, grid, shape);
  if (gy.ndim != x.ndim || !std::equal(shape, shape + x.ndim, gy.shape))
    fail(op, "gy must have the shape of the result", {{"gy", gy}, {"input", x}, {"grid", grid}});
  Array gx = need_x ? pool_output(op, dt, x.ndim, x.shape, s.last) : output(op, dt, 1, none);
  Array ggrid = need_grid ? output(op, dt, grid.ndim, grid.shape) : output(op, dt, 1, none);
  const Laid g(gy, s.pixels || s.last, true);
  const Dense places(grid);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = reinterpret_cast<const T*>(g.p);
    if (gx.size() && s.pixels && !s.last)
      image_grad_turned<T>(s, from, places.as<T>(), gx);
    else if (gx.size())
      image_grad<T>(s, from, places.as<T>(), gx.as<T>());
    if (!ggrid.size()) return;
    if (s.mode == kNearest) {
      std::fill_n(ggrid.as<T>(), ggrid.size(), T(0));
      return;
    }
    const Laid image(x, s.pixels || s.last, true);
    each_group<T>(s, [&](const Sampling& part, int64_t n) {
      const int64_t at = n * s.out * s.axes;
      grid_grad<T>(part, from + n * s.c * s.out, reinterpret_cast<const T*>(image.p) + n * s.c * s.in,
                   places.as<T>() + at, ggrid.as<T>() + at);
    });
  });
  return {std::move(gx), std::move(ggrid)};
}

}  // namespace nn::cpu
