// Pooling by places: max_unpool, the gradient of max pooling whose winners are int64 places, what lies at the
// winners (the gradient of that gradient), and fractional max pooling.
//
// Places are those of PyTorch: d H W + h W + w in the flattened image of one channel. Work is split over
// images and channels, so that two windows with the same winner add up in order.
#include <algorithm>

#include "../ops.h"
#include "../parallel.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements

void check_index(const char* op, const char* what, const View& x, const View& index) {
  if (x.ndim < 3 || x.ndim > 5 || index.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, index.shape))
    fail(op, std::string(what) + " and index must have the same shape (N, C, ...)",
         {{what, x}, {"index", index}});
}

int64_t spatial(const int64_t* shape, int ndim) {
  int64_t n = 1;
  for (int i = 2; i < ndim; ++i) n *= shape[i];
  return n;
}

[[noreturn]] void bad_place(const char* op, int64_t place, int64_t size) {
  throw std::out_of_range(std::string(op) + ": index " + std::to_string(place) +
                          " does not lie in an image of " + std::to_string(size) + " elements");
}

// f(channel of an image, its number among all of them)
template <class F> void each_plane(int64_t n, int64_t c, int64_t size, F&& f) {
  parallel_for(n * c, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, size)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) f(i / c, i % c);
               });
}

}  // namespace

Array pool_scatter(const char* op, const View& x, const View& index, const Ints& output_size, bool add) {
  const Dtype dt = common_dtype(op, {{"x", x}});
  check_index(op, "x", x, index);
  if (index.dtype != Dtype::i64) fail_type(op, std::string("index must be int64, not ") + name(index.dtype));
  if (output_size.count != x.ndim - 2)
    fail(op, "the size of the result needs a number per spatial axis", {{"x", x}});
  int64_t shape[kMaxDims] = {x.shape[0], x.shape[1]};
  for (int i = 2; i < x.ndim; ++i) {
    shape[i] = output_size[i - 2];
    if (shape[i] < 1 || shape[i] > int64_t(1) << 31)
      fail(op, "the size of the result must be positive", {{"x", x}});
  }
  const bool last = is_channels_last(index);
  Array y = pool_output(op, dt, x.ndim, shape, last);
  const Laid from(x, last, true), at(index, last, true);
  const int64_t count = spatial(x.shape, x.ndim), size = spatial(shape, x.ndim), unit = last ? shape[1] : 1;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    each_plane(shape[0], shape[1], count + size, [&](int64_t n, int64_t c) {
      T* to = y.as<T>() + (n * y.strides[0] + c * y.strides[1]) / int64_t(sizeof(T));
      const T* g = reinterpret_cast<const T*>(from.p + n * from.n + c * from.c);
      const int64_t* place = reinterpret_cast<const int64_t*>(at.p + n * at.n + c * at.c);
      for (int64_t i = 0; i < size; ++i) to[i * unit] = 0;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t p = place[i * unit];
        if (p < 0 || p >= size) bad_place(op, p, size);
        to[p * unit] = add ? to[p * unit] + g[i * unit] : g[i * unit];
      }
    });
  });
  return y;
}

Array max_unpool_forward(const View& x, const View& index, const Ints& output_size) {
  return pool_scatter("max_unpool", x, index, output_size, false);
}

Array pool_take_forward(const View& x, const View& index, const Ints& kernel_size, const Ints& stride,
                        const Ints& padding, const Ints& dilation) {
  const char* op = "pool_take";
  const Dtype dt = common_dtype(op, {{"x", x}});
  if (x.ndim < 3 || x.ndim > 5 || index.ndim != x.ndim || x.shape[0] != index.shape[0] ||
      x.shape[1] != index.shape[1])
    fail(op, "x and index must agree in images and channels", {{"x", x}, {"index", index}});
  const bool places = index.dtype == Dtype::i64, last = is_channels_last(index);
  PoolShape s;
  if (!places)
    s = pool_shape(op, x.ndim, x.shape, {kernel_size, stride, padding, dilation, false}, index.shape + 2);
  const bool wide = index.dtype == Dtype::i32;
  if (!places && (wide ? Dtype::i32 : Dtype::u8) != index.dtype)
    fail_type(op, std::string("index must be uint8, int32 or int64, not ") + name(index.dtype));
  Array y = pool_output(op, dt, x.ndim, index.shape, last);
  const Laid from(x, last, true), at(index, last, true);
  const int64_t size = spatial(x.shape, x.ndim), unit = last ? x.shape[1] : 1;
  const int64_t count = spatial(index.shape, x.ndim), h = s.axis[1].out, w = s.axis[2].out;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    each_plane(x.shape[0], x.shape[1], count, [&](int64_t n, int64_t c) {
      T* to = y.as<T>() + (n * y.strides[0] + c * y.strides[1]) / int64_t(sizeof(T));
      const T* g = reinterpret_cast<const T*>(from.p + n * from.n + c * from.c);
      const char* place = at.p + n * at.n + c * at.c;
      for (int64_t i = 0; i < count; ++i) {
        int64_t p = places ? reinterpret_cast<const int64_t*>(place)[i * unit]
                    : wide ? reinterpret_cast<const int32_t*>(place)[i * unit]
                           : reinterpret_cast<const uint8_t*>(place)[i * unit];
        if (!places) p = p < 0 ? -1 : s.place(p, i / w / h, i / w % h, i % w);
        if (p < 0 || p >= size) bad_place(op, p, size);
        to[i * unit] = g[p * unit];
      }
    });
  });
  return y;
}

namespace {

// First elements of the windows of one axis (Graham 2014, pseudo-random sequences), rounded as PyTorch does.
template <class T>
void fractional_starts(T sample, int64_t in, int64_t out, int64_t kernel, int64_t* starts) {
  if (out > 1) {
    const T alpha = T(in - kernel) / T(out - 1);
    for (int64_t i = 0; i < out - 1; ++i)
      starts[i] =
          std::clamp<int64_t>(int64_t((T(i) + sample) * alpha) - int64_t(sample * alpha), 0, in - kernel);
  }
  starts[out - 1] = in - kernel;
}

template <class T> struct Winner {
  T value;
  int64_t place;
};

// Of equal elements the first one wins; NaN beats all, the last one, or is seen only where nothing else is.
template <bool ignore_nan, class T> Winner<T> strongest(const T* x, int64_t unit, const int64_t (&size)[3],
                                                        const int64_t (&start)[3],
                                                        const int64_t (&kernel)[3]) {
  const int64_t first = (start[0] * size[1] + start[1]) * size[2] + start[2];
  Winner<T> best = {x[first * unit], first};
  for (int64_t d = 0; d < kernel[0]; ++d)
    for (int64_t h = 0; h < kernel[1]; ++h) {
      int64_t place = first + (d * size[1] + h) * size[2];
      const T* row = x + place * unit;
      for (int64_t w = 0; w < kernel[2]; ++w, ++place, row += unit) {
        const T v = *row;
        // without branches, which would be taken at random
        const bool wins = (v > best.value) | (ignore_nan ? best.value != best.value && v == v : v != v);
        best.value = wins ? v : best.value;
        best.place = wins ? place : best.place;
      }
    }
  return best;
}

}  // namespace

Array2 fractional_max_pool_forward(const View& x, const Ints& kernel_size, const Ints& output_size,
                                   const View& samples, bool ignore_nan) {
  const char* op = "fractional_max_pool";
  const Dtype dt = common_dtype(op, {{"x", x}, {"samples", samples}});
  const int axes = x.ndim - 2;
  if (axes < 1 || axes > 3 || kernel_size.count != axes || output_size.count != axes)
    fail(op, "kernel_size and output_size need a number per spatial axis", {{"x", x}});
  if (samples.ndim != 3 || samples.shape[0] != x.shape[0] || samples.shape[1] != x.shape[1] ||
      samples.shape[2] != axes)
    fail(op, "_random_samples must have the shape (N, C, spatial axes)",
         {{"x", x}, {"_random_samples", samples}});
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1},
          shape[kMaxDims] = {x.shape[0], x.shape[1]};
  for (int i = 0; i < axes; ++i) {
    const int a = 3 - axes + i;
    in[a] = x.shape[2 + i], out[a] = shape[2 + i] = output_size[i], kernel[a] = kernel_size[i];
    if (kernel[a] < 1 || out[a] < 1 || out[a] + kernel[a] - 1 > in[a])
      fail(op,
           "an axis of " + std::to_string(in[a]) + " can't be pooled to " + std::to_string(out[a]) +
               " by windows of " + std::to_string(kernel[a]),
           {{"x", x}});
  }
  const bool last = is_channels_last(x);
  Array y = pool_output(op, dt, x.ndim, shape, last),
        index = pool_output(op, Dtype::i64, x.ndim, shape, last);
  const Laid from(x, last, true);
  const int64_t unit = last ? x.shape[1] : 1, count = out[0] * out[1] * out[2];
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    each_plane(x.shape[0], x.shape[1], count * kernel[0] * kernel[1] * kernel[2], [&](int64_t n, int64_t c) {
      std::vector<int64_t> starts[3];
      for (int a = 0; a < 3; ++a) {
        starts[a].assign(size_t(out[a]), 0);
        // two axes: the first sample is the width's; three: in the order of the axes
        const int i = axes == 3 ? a : 2 - a;
        if (a < 3 - axes) continue;
        fractional_starts(samples.as<T>()[n * samples.step(0) + c * samples.step(1) + i * samples.step(2)],
                          in[a], out[a], kernel[a], starts[a].data());
      }
      const int64_t at = (n * y.strides[0] + c * y.strides[1]) / int64_t(sizeof(T));
      const T* g = reinterpret_cast<const T*>(from.p + n * from.n + c * from.c);
      T* to = y.as<T>() + at;
      int64_t* places = index.as<int64_t>() + at;
      for (const int64_t d : starts[0])
        for (const int64_t h : starts[1])
          for (const int64_t w : starts[2]) {
            const Winner<T> best = ignore_nan ? strongest<true>(g, unit, in, {d, h, w}, kernel)
                                              : strongest<false>(g, unit, in, {d, h, w}, kernel);
            *to = best.value, *places = best.place;
            to += unit, places += unit;
          }
    });
  });
  return {y, index};
}

}  // namespace nn::cpu
