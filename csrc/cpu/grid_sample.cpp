// Images sampled at the places of a grid, and the gradients of both.
//
//   y[n, c, p] = sum over t of w[t](grid[n, p]) * x[n, c, index[t](grid[n, p])]
//
// Places, weights and their derivatives are worked out once for a tile of pixels and serve all channels: of
// many channels whole pixels are added (images in NCHW are turned for it, results tile by tile), of few ones
// numbers are looked up a register at a time. Taps outside the image have index -1 and weight 0. The gradient
// of x adds up in the order of the pixels, some channels of an image per thread; the grid's is a dot product
// over the channels. Bound by look-ups. Semantics: torch.nn.functional.grid_sample (Jaderberg et al. 2015,
// Spatial Transformer Networks).
#include <algorithm>
#include <limits>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "grid_sample";
constexpr int64_t kTile = 256, kGrain = 1 << 14, kChannels = 64;
enum Mode { kBilinear, kNearest, kBicubic };
enum Padding { kZeros, kBorder, kReflection };

struct Sampling {
  int axes, mode, padding, taps;
  bool align_corners, last, pixels;  // last: the user's layout; pixels: work on whole ones
  int64_t n, c, size[3], in, out;    // size: of x, the last axis (x of the grid) first; in, out: pixels

  int64_t pixel_step() const { return last && !pixels ? c : 1; }
  int64_t channel_step() const { return last ? 1 : in; }
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
             x.shape[1] >= 8,
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
  if (s.in * s.pixel_step() > std::numeric_limits<int32_t>::max())
    fail(kOp, "an image has more than 2^31 pixels", {{"input", x}});
  return s;
}

// The taps of `count` pixels: entry t of pixel p at [t * count + p]; slopes at [(axis * taps + t) * count +
// p]. Indices count numbers of an image whose pixels are `pixel_step` apart.
template <class T> struct Tile {
  std::vector<int32_t> index, place;
  std::vector<T> weight, slope, axis_weight, axis_slope;
  int32_t pixel_step;

  Tile(const Sampling& s, int64_t step)
      : index(size_t(kTile * s.taps)),
        place(size_t(kTile * 12)),
        weight(size_t(kTile * s.taps)),
        slope(size_t(kTile * s.taps * s.axes)),
        axis_weight(size_t(kTile * 12)),
        axis_slope(size_t(kTile * 12)),
        pixel_step(int32_t(step)) {}

  void fill(const Sampling& s, const T* grid, int64_t count, bool slopes) {
    const int each = s.mode == kNearest ? 1 : s.mode == kBicubic ? 4 : 2;
    GridAxis axis[3];
    for (int i = 0; i < s.axes; ++i) {
      axis[i] = {s.mode, s.padding, s.align_corners, s.size[i]};
      kernels<T>().grid_places(axis[i], grid + i, s.axes, count, place.data() + 4 * i * count,
                               axis_weight.data() + 4 * i * count, axis_slope.data() + 4 * i * count);
    }
    for (int t = 0; t < s.taps; ++t) {
      const int taken[3] = {t % each, t / each % each, t / each / each};
      kernels<T>().grid_products(s.axes, axis, taken, pixel_step, count, place.data(), axis_weight.data(),
                                 axis_slope.data(), index.data() + t * count, weight.data() + t * count,
                                 slopes ? slope.data() + t * count : nullptr, s.taps * count);
    }
  }
};

// Numbers of all channels of a tile of `count` pixels on their way into the cache: look-ups wait for each
// miss.
template <class T> void prefetch(const Sampling& s, const Tile<T>& tile, int64_t count, const T* image) {
  for (int64_t c = 0; c < s.c; ++c)
    for (int64_t t = 0; t < s.taps; t += 2)  // the next tap lies beside this one
      for (int64_t q = 0; q < count; ++q)
        __builtin_prefetch(image + c * s.channel_step() + std::max(0, tile.index[size_t(t * count + q)]));
}

// f(n, first pixel, count) for tiles of all images.
template <class F> void each_tile(const Sampling& s, F&& f) {
  const int64_t tiles = (s.out + kTile - 1) / kTile;
  const int64_t cost = std::min(kTile, s.out) * s.taps * (s.c + 8);
  parallel_for(s.n * tiles, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, cost)),
               [&](int64_t begin, int64_t end) { f(begin, end, tiles); });
}

// Pixels of many channels are rows of numbers (`pixels`), whatever the layout of x and y; of few channels
// each is looked up by itself.
template <class T> void sample(const Sampling& s, const T* x, const T* grid, T* y) {
  each_tile(s, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s, s.pixel_step());
    const bool turn = s.pixels != s.last;
    Workspace<T> scratch(static_cast<size_t>(turn ? kTile * s.c : 0));
    const T one = 1;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, false);
      const T* image = x + n * s.c * s.in;
      T* to = y + n * s.c * s.out;
      if (s.pixels) {
        kernels<T>().resample_pixels(&image, &one, 1, tile.index.data(), tile.weight.data(), s.taps, count,
                                     s.c, turn ? scratch : to + p * s.c);
        if (turn) kernels<T>().transpose_copy(scratch, s.c, to + p, s.out, count, s.c);
        continue;
      }
      prefetch(s, tile, count, image);
      for (int64_t c = 0; c < s.c; ++c)
        kernels<T>().resample_row(image + c * s.channel_step(), tile.index.data(), tile.weight.data(), s.taps,
                                  count, turn ? scratch + c * count : to + c * s.out + p);
      for (int64_t q = 0; turn && q < count; ++q)
        for (int64_t c = 0; c < s.c; ++c) to[(p + q) * s.c + c] = scratch[c * count + q];
    }
  });
}

template <class T> void grid_grad(const Sampling& s, const T* gy, const T* x, const T* grid, T* ggrid) {
  each_tile(s, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s, s.pixel_step());
    std::vector<T> dots(size_t(kTile * s.taps));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, true);
      const T *image = x + n * s.c * s.in, *g = gy + n * s.c * s.out;
      std::fill(dots.begin(), dots.end(), T(0));
      if (!s.pixels) prefetch(s, tile, count, image);
      for (int64_t c = 0; c < (s.pixels ? 1 : s.c); ++c)
        for (int64_t t = 0; t < s.taps; ++t) {
          const int32_t* index = tile.index.data() + t * count;
          if (s.pixels)
            kernels<T>().pixel_dot(image, index, g + p * s.c, count, s.c, dots.data() + t * count);
          else
            kernels<T>().lookup_dot(image + c * s.channel_step(), index, g + c * s.out + p, count,
                                    dots.data() + t * count);
        }
      for (int64_t q = 0; q < count; ++q)
        for (int64_t i = 0; i < s.axes; ++i) {
          T total = 0;
          for (int64_t t = 0; t < s.taps; ++t)
            total += tile.slope[size_t((i * s.taps + t) * count + q)] * dots[size_t(t * count + q)];
          ggrid[(n * s.out + p + q) * s.axes + i] = total;
        }
    }
  });
}

// gx: in channels-last order for `pixels`, else as the user has it.
template <class T> void image_grad(const Sampling& s, const T* gy, const T* grid, T* gx) {
  std::fill_n(gx, s.n * s.c * s.in, T(0));
  const int64_t blocks = ceil_div(s.c, kChannels);
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, s.out * s.taps * kChannels));
  parallel_for(s.n * blocks, grain, [&](int64_t begin, int64_t end) {
    Tile<T> tile(s, s.pixel_step());
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / blocks, first = u % blocks * kChannels, stop = std::min(s.c, first + kChannels);
      const T* g = gy + n * s.c * s.out;
      T* to = gx + n * s.c * s.in;
      for (int64_t p = 0; p < s.out; p += kTile) {
        const int64_t count = std::min(kTile, s.out - p);
        tile.fill(s, grid + (n * s.out + p) * s.axes, count, false);
        if (!s.pixels) prefetch<T>(s, tile, count, to);
        for (int64_t t = 0; t < s.taps; ++t) {
          const int32_t* index = tile.index.data() + t * count;
          const T* weight = tile.weight.data() + t * count;
          if (s.pixels)
            kernels<T>().scatter_pixels(g + p * s.c + first, index, weight, count, stop - first, s.c,
                                        to + first);
          for (int64_t c = first; !s.pixels && c < stop; ++c)
            for (int64_t q = 0; q < count; ++q)
              if (index[q] >= 0) to[c * s.channel_step() + index[q]] += weight[q] * g[c * s.out + p + q];
        }
      }
    }
  });
}

// The same where gx has the other layout.
template <class T> void image_grad_turned(const Sampling& s, const T* gy, const T* grid, const Array& gx) {
  Workspace<T> block(static_cast<size_t>(gx.size()));
  image_grad<T>(s, gy, grid, block);
  Array turned = gx;
  turned.data = block;
  int64_t step = sizeof(T);
  turned.strides[1] = step, step *= s.c;
  for (int i = gx.ndim - 1; i != 1; i = i == 2 ? 0 : i == 0 ? 1 : i - 1)
    turned.strides[i] = step, step *= gx.shape[i];
  copy(turned.view(), gx.view());
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
  const Laid image(x, s.pixels || s.last, true);
  const Dense places(grid);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    sample<T>(s, reinterpret_cast<const T*>(image.p), places.as<T>(), y.as<T>());
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
  const Laid image(x, s.pixels || s.last, true), g(gy, s.pixels, true);
  const Dense places(grid);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = reinterpret_cast<const T*>(g.p);
    if (gx.size() && s.pixels && !s.last)
      image_grad_turned<T>(s, from, places.as<T>(), gx);
    else if (gx.size())
      image_grad<T>(s, from, places.as<T>(), gx.as<T>());
    if (!ggrid.size()) return;
    if (s.mode == kNearest)
      std::fill_n(ggrid.as<T>(), ggrid.size(), T(0));
    else
      grid_grad<T>(s, from, reinterpret_cast<const T*>(image.p), places.as<T>(), ggrid.as<T>());
  });
  return {gx, ggrid};
}

}  // namespace nn::cpu
