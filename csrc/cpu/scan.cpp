// Running sums and products along one axis, and the gradient of the latter.
//
//   y[k] = y[k-1] + x[k]   (or from the end: y[k] = y[k+1] + x[k])        y[k] = y[k-1] * x[k]
//   gradient of the product: gx[k] = y[k-1] s[k],  s[k] = gy[k] + x[k+1] s[k+1]: no division, so zeros are
//   harmless
//
// The array is seen as (outer, n, inner) around the axis. Each step waits for the one before it, so several
// lanes go side by side: neighbouring columns, or rows if the axis is the last one. float32 is accumulated in
// double. Work is split over lanes.
#include <algorithm>
#include <stdexcept>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "axis.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements worth a thread
constexpr int kRows = 4, kColumns = 128;

struct Axis : AboutAxis {
  using AboutAxis::AboutAxis;

  // f(first element, lanes, lane step, element step along the axis) for all lanes
  template <class F> void each(F&& f) const {
    if (outer * n * inner == 0) return;
    if (inner == 1) {
      const int64_t groups = (outer + kRows - 1) / kRows;
      parallel_for(groups, std::max<int64_t>(1, kGrain / (n * kRows)), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin * kRows; row < std::min(outer, end * kRows); row += kRows)
          f(row * n, int(std::min<int64_t>(kRows, outer - row)), n, int64_t(1));
      });
      return;
    }
    const int64_t tiles = (inner + kColumns - 1) / kColumns, width = std::min<int64_t>(inner, kColumns);
    parallel_for(outer * tiles, std::max<int64_t>(1, kGrain / (n * width)), [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t column = u % tiles * kColumns;
        f(u / tiles * n * inner + column, int(std::min<int64_t>(kColumns, inner - column)), int64_t(1),
          inner);
      }
    });
  }
};

// L: number of lanes if known when compiled, else 0; S: the lane step, likewise
template <int L, int S, class A, class X, class Y, class F>
void scan_lanes(const X* x, Y* y, int64_t n, int lanes, int64_t lane, int64_t step, A start, F f) {
  A sum[kColumns];
  const int count = L ? L : lanes;
  const int64_t apart = S ? S : lane;
  for (int j = 0; j < count; ++j) sum[j] = start;
  for (int64_t k = 0; k < n; ++k, x += step, y += step)
    for (int j = 0; j < count; ++j) y[j * apart] = Y(sum[j] = f(sum[j], A(x[j * apart])));
}

template <class A, class X, class Y, class F>
void scan(const Axis& axis, bool reverse, const X* x, Y* y, A start, F f) {
  axis.each([&](int64_t first, int lanes, int64_t lane, int64_t step) {
    if (reverse) first += (axis.n - 1) * step, step = -step;
    const X* from = x + first;
    Y* to = y + first;
    if (lane == 1)
      scan_lanes<0, 1>(from, to, axis.n, lanes, lane, step, start, f);
    else if (lanes == kRows)
      scan_lanes<kRows, 0>(from, to, axis.n, lanes, lane, step, start, f);
    else
      for (int j = 0; j < lanes; ++j)
        scan_lanes<1, 0>(from + j * lane, to + j * lane, axis.n, 1, lane, step, start, f);
  });
}

template <class F>
Array scan_array(const char* op, const View& x, int64_t along, bool reverse, double start, F f) {
  const Axis axis(op, x, along);
  const bool floats = x.dtype == Dtype::f32 || x.dtype == Dtype::f64;
  const Dense dense(x);
  Array y = output(op, floats ? x.dtype : Dtype::i64, x.ndim, x.shape);
  auto whole = [&](auto t) {  // whole numbers and bools become int64; overflow wraps
    using T = decltype(t);
    scan(axis, reverse, dense.as<T>(), y.as<int64_t>(), uint64_t(start), f);
  };
  switch (x.dtype) {
    case Dtype::f32:
      scan(axis, reverse, dense.as<float>(), y.as<float>(), start, f);
      break;
    case Dtype::f64:
      scan(axis, reverse, dense.as<double>(), y.as<double>(), start, f);
      break;
    case Dtype::i32:
      whole(int32_t());
      break;
    case Dtype::i64:
      whole(int64_t());
      break;
    default:
      whole(uint8_t());
  }
  return y;
}

}  // namespace

Array cumsum_forward(const View& x, int64_t axis, bool reverse) {
  return scan_array("cumsum", x, axis, reverse, 0, [](auto a, auto b) { return a + b; });
}

Array cumprod_forward(const View& x, int64_t axis) {
  return scan_array("cumprod", x, axis, false, 1, [](auto a, auto b) { return a * b; });
}

Array cumprod_backward(const View& gy, const View& x, const View& y, int64_t along) {
  const Dtype dt = common_dtype("cumprod", {{"gy", gy}, {"x", x}, {"y", y}});
  for (const View* v : {&gy, &y})
    if (v->ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, v->shape))
      fail("cumprod", "gy, x and y must have one shape", {{"gy", gy}, {"x", x}, {"y", y}});
  const Axis axis("cumprod", x, along);
  const Dense dense_gy(gy), dense_x(x), dense_y(y);
  Array gx = output("cumprod", dt, x.ndim, x.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    axis.each([&](int64_t first, int lanes, int64_t lane, int64_t step) {
      double s[kColumns] = {};
      for (int64_t k = axis.n - 1; k >= 0; --k)
        for (int j = 0; j < lanes; ++j) {
          const int64_t at = first + k * step + j * lane;
          const double next = k + 1 < axis.n ? double(dense_x.as<T>()[at + step]) : 0;
          s[j] = double(dense_gy.as<T>()[at]) + next * s[j];
          gx.as<T>()[at] = T((k ? double(dense_y.as<T>()[at - step]) : 1) * s[j]);
        }
    });
  });
  return gx;
}

}  // namespace nn::cpu
