// Softmax and its logarithm along one axis.
//
//   y = exp(x - max x) / sum(exp(x - max x))        gx = y (gy - sum(gy y))
//
// The array is seen as (outer, n, inner) around the axis: rows if inner is 1, else columns side by side in
// registers, so that no axis needs a transposition. Work is split over outer (and never inside a sum).
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "axis.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements: some 20 us of exp

// A row is read twice and more, which leaves less of the caches to results.
bool goes_past_caches(const View& x) { return 2 * size_t(x.bytes()) >= past_caches_from(); }

constexpr int64_t kColumnTile = 1024;

// rows(first element, count) if the axis is the last one, else columns(first element, count) of each (n,
// inner) matrix.
template <class R, class C> void each(const AboutAxis& f, R&& rows, C&& columns) {
  if (f.outer * f.n * f.inner == 0) return;
  const int64_t tiles = (f.inner + kColumnTile - 1) / kColumnTile;
  const int64_t size = f.n * std::min(f.inner, kColumnTile);
  parallel_for(f.outer * tiles, std::max<int64_t>(1, kGrain / size), [&](int64_t begin, int64_t end) {
    if (f.inner == 1) return rows(begin * f.n, end - begin);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t column = u % tiles * kColumnTile;
      columns(u / tiles * f.n * f.inner + column, std::min(kColumnTile, f.inner - column));
    }
  });
}

}  // namespace

Array softmax_forward(const View& x, int64_t axis, bool log) {
  const char* op = log ? "log_softmax" : "softmax";
  const Dtype dt = common_dtype(op, {{"x", x}});
  const AboutAxis f(op, x, axis);
  Array y = output(op, dt, x.ndim, x.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense(x);
    const T* from = dense.as<T>();
    T* to = y.as<T>();
    const bool past = goes_past_caches(x);
    each(
        f,
        [&](int64_t at, int64_t rows) {
          kernels<T>().softmax_rows(log, past, from + at, rows, f.n, to + at);
        },
        [&](int64_t at, int64_t cols) {
          kernels<T>().softmax_cols(log, from + at, f.inner, f.n, cols, to + at);
        });
  });
  return y;
}

Array softmax_backward(const View& gy, const View& y, int64_t axis, bool log) {
  const char* op = log ? "log_softmax_backward" : "softmax_backward";
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"y", y}});
  if (gy.ndim != y.ndim || !std::equal(y.shape, y.shape + y.ndim, gy.shape))
    fail(op, "gy must have the shape of y", {{"gy", gy}, {"y", y}});
  const AboutAxis f(op, y, axis);
  Array gx = output(op, dt, y.ndim, y.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense_gy(gy), dense_y(y);
    const T *g = dense_gy.as<T>(), *p = dense_y.as<T>();
    T* to = gx.as<T>();
    const bool past = goes_past_caches(y);
    each(
        f,
        [&](int64_t at, int64_t rows) {
          kernels<T>().softmax_backward_rows(log, past, g + at, p + at, rows, f.n, to + at);
        },
        [&](int64_t at, int64_t cols) {
          kernels<T>().softmax_backward_cols(log, g + at, p + at, f.inner, f.n, cols, to + at);
        });
  });
  return gx;
}

}  // namespace nn::cpu
