// Pooling by places: max_unpool, the gradient of max pooling whose winners are int64 places, and what lies at
// the winners (the gradient of that gradient).
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
    fail(op, std::string(what) + " and indices must have the same shape (N, C, ...)",
         {{what, x}, {"indices", index}});
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
  const Dtype dt = common_dtype(op, {{"input", x}});
  check_index(op, "input", x, index);
  if (index.dtype != Dtype::i64)
    fail_type(op, std::string("indices must be int64, not ") + name(index.dtype));
  if (output_size.count != x.ndim - 2)
    fail(op, "the size of the result needs a number per spatial axis", {{"input", x}});
  int64_t shape[kMaxDims] = {x.shape[0], x.shape[1]};
  for (int i = 2; i < x.ndim; ++i) {
    shape[i] = output_size[i - 2];
    if (shape[i] < 1 || shape[i] > int64_t(1) << 31)
      fail(op, "the size of the result must be positive", {{"input", x}});
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
  const Dtype dt = common_dtype(op, {{"input", x}});
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

}  // namespace nn::cpu
