// Images sampled at the places of a grid, and the gradients of both.
//
//   y[n, c, p] = sum over t of w[t](grid[n, p]) * x[n, c, index[t](grid[n, p])]
//
// Places, weights and their derivatives are worked out once for a tile of pixels and serve all channels:
// numbers of a plane are looked up a register at a time, pixels in channels-last order are whole rows. Taps
// outside the image have index -1 and weight 0. The gradient of x adds up in the order of the pixels, one
// channel (in channels-last order one image) per thread; the grid's is a dot product over the channels. Bound
// by look-ups. Semantics: torch.nn.functional.grid_sample (Jaderberg et al. 2015, Spatial Transformer
// Networks).
#include <algorithm>
#include <cmath>
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
constexpr int64_t kTile = 256, kGrain = 1 << 14, kChannels = 16;
enum Mode { kBilinear, kNearest, kBicubic };
enum Padding { kZeros, kBorder, kReflection };

struct Sampling {
  int axes, mode, padding, taps;
  bool align_corners, last;
  int64_t n, c, size[3], in, out;  // size: of x, the last axis (x of the grid) first; in, out: pixels
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
  if (s.in > std::numeric_limits<int32_t>::max())
    fail(kOp, "an image has more than 2^31 pixels", {{"input", x}});
  return s;
}

// The coordinate that padding makes of one beside the image; slope is multiplied by its derivative.
template <class T> T inside(const Sampling& s, int64_t size, T at, T& slope) {
  if (s.padding == kReflection) {
    const T low = s.align_corners ? T(0) : T(-0.5), span = s.align_corners ? T(size - 1) : T(size);
    if (span == 0) return slope = 0, T(0);
    at -= low;
    if (at < 0) at = -at, slope = -slope;
    const T rest = std::fmod(at, span), flips = std::floor(at / span);
    if (std::fmod(flips, T(2)) == 0)
      at = rest + low;
    else
      at = span - rest + low, slope = -slope;
  }
  if (s.padding != kZeros) {
    if (!(at > 0)) return slope = 0, T(0);  // NaN too
    if (at >= T(size - 1)) return slope = 0, T(size - 1);
  }
  return at;
}

// The taps of one axis: places (-1: outside), weights, and their derivatives by the grid's coordinate.
template <class T> struct AxisTaps {
  int64_t place[4];
  T weight[4], slope[4];
};

template <class T> int64_t checked(T at, int64_t size) {
  return at >= 0 && at <= T(size - 1) ? int64_t(at) : -1;
}

template <class T> void cubic_weights(T t, T* w, T* d) {
  constexpr T a = T(-0.75);
  const auto near = [](T u) { return ((a + 2) * u - (a + 3)) * u * u + 1; };
  const auto far = [](T u) { return ((a * u - 5 * a) * u + 8 * a) * u - 4 * a; };
  const auto near_slope = [](T u) { return (3 * (a + 2) * u - 2 * (a + 3)) * u; };
  const auto far_slope = [](T u) { return (3 * a * u - 10 * a) * u + 8 * a; };
  w[0] = far(t + 1), w[1] = near(t), w[2] = near(1 - t), w[3] = far(2 - t);
  d[0] = far_slope(t + 1), d[1] = near_slope(t), d[2] = -near_slope(1 - t), d[3] = -far_slope(2 - t);
}

template <class T> void axis_taps(const Sampling& s, int64_t size, T g, AxisTaps<T>& a) {
  T slope = s.align_corners ? T(size - 1) / 2 : T(size) / 2;
  T at = s.align_corners ? (g + 1) / 2 * T(size - 1) : ((g + 1) * T(size) - 1) / 2;
  if (s.mode == kBicubic) {
    const T floor = std::floor(at);
    cubic_weights(at - floor, a.weight, a.slope);
    for (int i = 0; i < 4; ++i) {
      T ignored = 1;
      a.place[i] = checked(inside(s, size, floor - 1 + T(i), ignored), size);
      a.slope[i] *= slope;
    }
    return;
  }
  at = inside(s, size, at, slope);
  if (s.mode == kNearest) {
    a.place[0] = checked(std::nearbyint(at), size), a.weight[0] = 1;
    return;
  }
  const T floor = std::floor(at), t = at - floor;
  a.place[0] = checked(floor, size), a.place[1] = checked(floor + 1, size);
  a.weight[0] = 1 - t, a.weight[1] = t, a.slope[0] = -slope, a.slope[1] = slope;
}

// The taps of `count` pixels: entry t of pixel p at [t * count + p]; slopes at [(axis * taps + t) * count +
// p].
template <class T> struct Tile {
  std::vector<int32_t> index;
  std::vector<T> weight, slope;

  explicit Tile(const Sampling& s)
      : index(size_t(kTile * s.taps)),
        weight(size_t(kTile * s.taps)),
        slope(size_t(kTile * s.taps * s.axes)) {}

  void fill(const Sampling& s, const T* grid, int64_t count, bool slopes) {
    const int each = s.mode == kNearest ? 1 : s.mode == kBicubic ? 4 : 2;
    AxisTaps<T> a[3];
    for (int64_t p = 0; p < count; ++p, grid += s.axes) {
      for (int i = 0; i < s.axes; ++i) axis_taps(s, s.size[i], grid[i], a[i]);
      for (int t = 0; t < s.taps; ++t) {
        const int k[3] = {t % each, t / each % each, t / each / each};
        int64_t place = 0;
        T w = 1;
        for (int i = s.axes - 1; i >= 0; --i) {
          const int64_t here = a[i].place[k[i]];
          place = place < 0 || here < 0 ? -1 : place * s.size[i] + here;
          w *= a[i].weight[k[i]];
        }
        const size_t at = size_t(t * count + p);
        index[at] = int32_t(place), weight[at] = place < 0 ? T(0) : w;
        for (int i = 0; slopes && i < s.axes; ++i) {
          T d = place < 0 ? T(0) : a[i].slope[k[i]];
          for (int j = 0; place >= 0 && j < s.axes; ++j)
            if (j != i) d *= a[j].weight[k[j]];
          slope[size_t((i * s.taps + t) * count + p)] = d;
        }
      }
    }
  }
};

// f(n, first pixel, count) for tiles of all images.
template <class F> void each_tile(const Sampling& s, F&& f) {
  const int64_t tiles = (s.out + kTile - 1) / kTile;
  const int64_t cost = std::min(kTile, s.out) * s.taps * (s.c + 8);
  parallel_for(s.n * tiles, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, cost)),
               [&](int64_t begin, int64_t end) { f(begin, end, tiles); });
}

template <class T> void sample(const Sampling& s, const T* x, const T* grid, T* y) {
  each_tile(s, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, false);
      const T* image = x + n * s.c * s.in;
      T* to = y + n * s.c * s.out;
      if (s.last) {
        const T one = 1;
        kernels<T>().resample_pixels(&image, &one, 1, tile.index.data(), tile.weight.data(), s.taps, count,
                                     s.c, to + p * s.c);
        continue;
      }
      for (int64_t c = 0; c < s.c; ++c)
        kernels<T>().resample_row(image + c * s.in, tile.index.data(), tile.weight.data(), s.taps, count,
                                  to + c * s.out + p);
    }
  });
}

template <class T> void grid_grad(const Sampling& s, const T* gy, const T* x, const T* grid, T* ggrid) {
  each_tile(s, [&](int64_t begin, int64_t end, int64_t tiles) {
    Tile<T> tile(s);
    std::vector<T> dots(size_t(kTile * s.taps));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u / tiles, p = u % tiles * kTile, count = std::min(kTile, s.out - p);
      tile.fill(s, grid + (n * s.out + p) * s.axes, count, true);
      const T *image = x + n * s.c * s.in, *g = gy + n * s.c * s.out;
      std::fill(dots.begin(), dots.end(), T(0));
      for (int64_t c = 0; c < (s.last ? 1 : s.c); ++c)
        for (int64_t t = 0; t < s.taps; ++t) {
          const int32_t* index = tile.index.data() + t * count;
          if (s.last)
            kernels<T>().pixel_dot(image, index, g + p * s.c, count, s.c, dots.data() + t * count);
          else
            kernels<T>().lookup_dot(image + c * s.in, index, g + c * s.out + p, count,
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

template <class T> void image_grad(const Sampling& s, const T* gy, const T* grid, T* gx) {
  std::fill_n(gx, s.n * s.c * s.in, T(0));
  const int64_t blocks = s.last ? 1 : (s.c + kChannels - 1) / kChannels;
  parallel_for(s.n * blocks, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, s.out * s.taps * kChannels)),
               [&](int64_t begin, int64_t end) {
                 Tile<T> tile(s);
                 for (int64_t u = begin; u < end; ++u) {
                   const int64_t n = u / blocks, first = u % blocks * kChannels;
                   const T* g = gy + n * s.c * s.out;
                   T* to = gx + n * s.c * s.in;
                   for (int64_t p = 0; p < s.out; p += kTile) {
                     const int64_t count = std::min(kTile, s.out - p);
                     tile.fill(s, grid + (n * s.out + p) * s.axes, count, false);
                     for (int64_t t = 0; s.last && t < s.taps; ++t)
                       kernels<T>().scatter_pixels(g + p * s.c, tile.index.data() + t * count,
                                                   tile.weight.data() + t * count, count, s.c, to);
                     for (int64_t c = first; !s.last && c < std::min(s.c, first + kChannels); ++c)
                       for (int64_t t = 0; t < s.taps; ++t)
                         for (int64_t q = 0; q < count; ++q) {
                           const int32_t at = tile.index[size_t(t * count + q)];
                           if (at >= 0)
                             to[c * s.in + at] += tile.weight[size_t(t * count + q)] * g[c * s.out + p + q];
                         }
                   }
                 }
               });
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
  const Laid image(x, s.last, true);
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
  const Laid image(x, s.last, true), g(gy, s.last, true);
  const Dense places(grid);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = reinterpret_cast<const T*>(g.p);
    if (gx.size()) image_grad<T>(s, from, places.as<T>(), gx.as<T>());
    if (!ggrid.size()) return;
    if (s.mode == kNearest)
      std::fill_n(ggrid.as<T>(), ggrid.size(), T(0));
    else
      grid_grad<T>(s, from, reinterpret_cast<const T*>(image.p), places.as<T>(), ggrid.as<T>());
  });
  return {gx, ggrid};
}

}  // namespace nn::cpu
