// unfold (im2col) lays every window of an image out as a column; fold (col2im), its adjoint, adds them up
// again.
//
//   y[n, (c, tap), place] = x[n, c, place * stride + tap * dilation - low], zero outside
//
// x (N, C, ...) with one to three spatial axes, y (N, C * taps, places), both contiguous. A tap's row of y is
// a sequence of runs along the last axis of x, so everything is copies (unfold) or sums (fold) of runs.
// unfold splits the rows of y, fold the planes of x; both are bound by y's bytes.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kLongest = int64_t(1) << 31;  // of any axis
constexpr int64_t kGrain = 1 << 16;             // elements of y: some 20 us

// Missing axes lead and have size 1.
struct FoldAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, low = 0;
};

// Places [begin, end) at which a tap meets the image; the first one meets element `at`.
struct Run {
  int64_t begin, end, at;
};

Run run_of(const FoldAxis& a, int64_t tap) {
  const int64_t offset = tap * a.dilation - a.low;  // of the element that place 0 meets
  const int64_t begin = offset >= 0 ? 0 : std::min(a.out, (-offset + a.stride - 1) / a.stride);
  const int64_t end = offset >= a.in ? 0 : std::min(a.out, (a.in - 1 - offset) / a.stride + 1);
  return {begin, std::max(begin, end), begin * a.stride + offset};
}

struct Windows {
  FoldAxis axis[3];
  int64_t taps = 1, places = 1, inputs = 1;

  Run run(int i, int64_t tap) const {  // of axis i, for a number of a tap
    for (int j = 2; j > i; --j) tap /= axis[j].kernel;
    return run_of(axis[i], tap % axis[i].kernel);
  }
};

struct FoldOptions {
  const Ints &kernel, &stride, &padding, &dilation;
};

[[noreturn]] void refuse(const char* op, const std::string& what) {
  throw std::invalid_argument(std::string(op) + ": " + what);
}

int64_t checked(const char* op, const char* what, int64_t value, int64_t least) {
  if (value < least || value > kLongest)
    refuse(op, std::string(what) + " must be at least " + std::to_string(least) + ", not " +
                   std::to_string(value));
  return value;
}

Windows windows(const char* op, const View& input, int axes, const int64_t* size, const FoldOptions& o) {
  if (o.kernel.count != axes || o.stride.count != axes || o.dilation.count != axes ||
      o.padding.count != 2 * axes)
    refuse(op, "kernel_size, stride and dilation take " + std::to_string(axes) +
                   " numbers and padding two per axis");
  Windows w;
  for (int i = 0; i < axes; ++i) {
    FoldAxis& a = w.axis[3 - axes + i];
    a.in = checked(op, "the size", size[i], 0);
    a.kernel = checked(op, "kernel_size", o.kernel[i], 1);
    a.stride = checked(op, "stride", o.stride[i], 1);
    a.dilation = checked(op, "dilation", o.dilation[i], 1);
    a.low = checked(op, "padding", o.padding[2 * i], 0);
    const int64_t padded = a.in + a.low + checked(op, "padding", o.padding[2 * i + 1], 0);
    const int64_t reach = a.dilation * (a.kernel - 1) + 1;
    if (padded < reach)
      fail(op,
           "the window reaches over " + std::to_string(reach) + " elements but the padded axis has " +
               std::to_string(padded),
           {{"input", input}});
    a.out = (padded - reach) / a.stride + 1;
    if (__builtin_mul_overflow(w.taps, a.kernel, &w.taps) ||
        __builtin_mul_overflow(w.places, a.out, &w.places) ||
        __builtin_mul_overflow(w.inputs, a.in, &w.inputs))
      throw std::bad_alloc();
  }
  return w;
}

// Calls f(element of the plane, element of the row, count) for each run of a tap's row, in order.
template <class F> void each_run(const Windows& w, int64_t tap, const F& f) {
  const FoldAxis *d = w.axis, *h = w.axis + 1, *v = w.axis + 2;
  const Run rd = w.run(0, tap), rh = w.run(1, tap), rv = w.run(2, tap);
  const int64_t count = rv.end - rv.begin;
  if (count == 0) return;
  for (int64_t i = rd.begin, x = rd.at; i < rd.end; ++i, x += d->stride)
    for (int64_t j = rh.begin, y = rh.at; j < rh.end; ++j, y += h->stride)
      f((x * h->in + y) * v->in + rv.at, (i * h->out + j) * v->out + rv.begin, count);
}

template <class T> void unfold_row(const Windows& w, int64_t tap, const T* plane, T* row) {
  int64_t done = 0;
  const int64_t stride = w.axis[2].stride;
  each_run(w, tap, [&](int64_t from, int64_t to, int64_t count) {
    std::fill(row + done, row + to, T(0));
    if (stride == 1)
      std::copy(plane + from, plane + from + count, row + to);
    else
      for (int64_t i = 0; i < count; ++i) row[to + i] = plane[from + i * stride];
    done = to + count;
  });
  std::fill(row + done, row + w.places, T(0));
}

template <class T> void fold_row(const Windows& w, int64_t tap, const T* row, T* plane) {
  const int64_t stride = w.axis[2].stride;
  each_run(w, tap, [&](int64_t to, int64_t from, int64_t count) {
    const T* __restrict a = row + from;
    T* __restrict b = plane + to;
    if (stride == 1)
      for (int64_t i = 0; i < count; ++i) b[i] += a[i];
    else
      for (int64_t i = 0; i < count; ++i) b[i * stride] += a[i];
  });
}

}  // namespace

Array unfold_forward(const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,
                     const Ints& dilation) {
  const Dtype dt = common_dtype("unfold", {{"input", x}});
  if (x.ndim < 3 || x.ndim > 5)
    fail("unfold", "input must have 3 to 5 axes (N, C, and 1 to 3 spatial ones)", {{"input", x}});
  const Windows w = windows("unfold", x, x.ndim - 2, x.shape + 2, {kernel_size, stride, padding, dilation});
  int64_t shape[3] = {x.shape[0], 0, w.places};
  if (__builtin_mul_overflow(x.shape[1], w.taps, &shape[1])) throw std::bad_alloc();
  Array y = output("unfold", dt, 3, shape);
  if (y.size() == 0) return y;
  const Dense dense(x);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = dense.as<T>();
    T* to = y.as<T>();
    parallel_for(shape[0] * shape[1], std::max<int64_t>(1, kGrain / w.places),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i)
                     unfold_row(w, i % w.taps, from + i / w.taps * w.inputs, to + i * w.places);
                 });
  });
  return y;
}

Array fold_forward(const View& y, const Ints& output_size, const Ints& kernel_size, const Ints& stride,
                   const Ints& padding, const Ints& dilation) {
  const Dtype dt = common_dtype("fold", {{"input", y}});
  const int axes = output_size.count;
  if (axes < 1 || axes > 3) refuse("fold", "output_size takes 1 to 3 numbers");
  const Windows w = windows("fold", y, axes, output_size.items, {kernel_size, stride, padding, dilation});
  if (y.ndim != 3 || y.shape[1] % w.taps || y.shape[2] != w.places)
    fail("fold",
         "input must be (N, C * " + std::to_string(w.taps) + ", " + std::to_string(w.places) +
             ") for this output_size and kernel_size",
         {{"input", y}});
  int64_t shape[5] = {y.shape[0], y.shape[1] / w.taps};
  std::copy(output_size.items, output_size.items + axes, shape + 2);
  Array x = output("fold", dt, axes + 2, shape);
  if (x.size() == 0) return x;
  const Dense dense(y);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = dense.as<T>();
    T* to = x.as<T>();
    const int64_t grain = std::max<int64_t>(1, kGrain / (w.taps * w.places));
    parallel_for(shape[0] * shape[1], grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T* plane = to + i * w.inputs;
        std::fill(plane, plane + w.inputs, T(0));
        for (int64_t tap = 0; tap < w.taps; ++tap)
          fold_row(w, tap, from + (i * w.taps + tap) * w.places, plane);
      }
    });
  });
  return x;
}

}  // namespace nn::cpu
