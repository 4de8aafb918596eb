// Activations of several parts of x along an axis.
//
// Gates: (..., 2n, ...) -> (..., n, ...), one half of x being the gate of the other; x is seen as (outer, 2,
// half), the halves of a row side by side. Maxout: the largest of each `pieces` neighbours; x is seen as
// (groups, pieces, inner), and where inner is 1, blocks of groups are turned first. Bound by memory.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "axis.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kTile = 1 << 12, kGrain = 1 << 14;  // elements of a half

// x as (outer, 2, half) about the axis, which is halved in `shape`.
struct Halves {
  int64_t outer = 1, half = 1, shape[kMaxDims];
  Halves(const char* op, const View& x, int64_t axis) {
    axis = axis_of(op, x, axis, x.ndim);
    if (x.shape[axis] % 2)
      fail(op,
           "dim " + std::to_string(axis) + " has " + std::to_string(x.shape[axis]) +
               " elements, which do not halve",
           {{"x", x}});
    for (int i = 0; i < x.ndim; ++i) {
      shape[i] = i == axis ? x.shape[i] / 2 : x.shape[i];
      (i < axis ? outer : half) *= shape[i];
    }
  }
  // f(row, first element of the half, count)
  template <class F> void each(F&& f) const {
    if (outer * half == 0) return;
    const int64_t tiles = (half + kTile - 1) / kTile;
    parallel_for(outer * tiles, std::max<int64_t>(1, kGrain / std::min(half, kTile)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t u = begin; u < end; ++u) {
                     const int64_t at = u % tiles * kTile;
                     f(u / tiles, at, std::min(kTile, half - at));
                   }
                 });
  }
};

Array gate_forward(const char* op, Gate which, const View& x, int64_t axis) {
  const Dtype dt = common_dtype(op, {{"x", x}});
  const Halves h(op, x, axis);
  Array y = output(op, dt, x.ndim, h.shape);
  const Dense dense(x);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    h.each([&, kernel = kernels<T>().gate](int64_t row, int64_t at, int64_t n) {
      const T* from = dense.as<T>() + 2 * row * h.half + at;
      kernel(int(which), from, from + h.half, y.as<T>() + row * h.half + at, n);
    });
  });
  return y;
}

Array gate_backward(const char* op, Gate which, const View& gy, const View& x, int64_t axis) {
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"x", x}});
  const Halves h(op, x, axis);
  if (gy.ndim != x.ndim || !std::equal(h.shape, h.shape + x.ndim, gy.shape))
    fail(op, "gy must have the shape of the result", {{"gy", gy}, {"x", x}});
  Array gx = output(op, dt, x.ndim, x.shape);
  const Dense dense(x), dense_gy(gy);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    h.each([&, kernel = kernels<T>().gate_grad](int64_t row, int64_t at, int64_t n) {
      const T* from = dense.as<T>() + 2 * row * h.half + at;
      T* to = gx.as<T>() + 2 * row * h.half + at;
      kernel(int(which), dense_gy.as<T>() + row * h.half + at, from, from + h.half, to, to + h.half, n);
    });
  });
  return gx;
}

// x as (groups, pieces, inner) about the axis, whose length becomes that of the groups in `shape`.
struct Pieces {
  int64_t groups = 1, pieces, inner = 1, shape[kMaxDims];
  Pieces(const char* op, const View& x, int64_t count, int64_t axis) : pieces(count) {
    axis = axis_of(op, x, axis, x.ndim);
    if (pieces < 1 || x.shape[axis] % pieces)
      fail(op, std::to_string(pieces) + " pieces do not divide dim " + std::to_string(axis), {{"x", x}});
    for (int i = 0; i < x.ndim; ++i) {
      shape[i] = i == axis ? x.shape[i] / pieces : x.shape[i];
      (i <= axis ? groups : inner) *= shape[i];
    }
  }
  // rows(first group, last group) where pieces are rows of `inner`, else columns(...): neighbours in memory
  template <class R, class C> void each(R&& rows, C&& columns) const {
    if (groups * inner == 0) return;
    parallel_for(groups, std::max<int64_t>(1, 2 * kGrain / (pieces * inner)),
                 [&](int64_t begin, int64_t end) { inner > 1 ? rows(begin, end) : columns(begin, end); });
  }
  int64_t block() const { return std::max<int64_t>(16, kTile / 2 / pieces); }  // columns turned at a time
};

Array maxout(const char* op, const View* gy, const View& x, int64_t count, int64_t axis) {
  const Dtype dt = gy ? common_dtype(op, {{"gy", *gy}, {"x", x}}) : common_dtype(op, {{"x", x}});
  const Pieces p(op, x, count, axis);
  if (gy && (gy->ndim != x.ndim || !std::equal(p.shape, p.shape + x.ndim, gy->shape)))
    fail(op, "gy must have the shape of the result", {{"gy", *gy}, {"x", x}});
  Array out = output(op, dt, x.ndim, gy ? x.shape : p.shape);
  const Dense dense(x), dense_gy(gy ? *gy : x);
  const int64_t k = p.pieces, n = p.inner, b = p.block();
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T *from = dense.as<T>(), *g = dense_gy.as<T>();
    T* to = out.as<T>();
    const Kernels<T>& kernel = kernels<T>();
    p.each(
        [&](int64_t begin, int64_t end) {
          for (int64_t u = begin; u < end; ++u)
            gy ? kernel.maxout_grad(g + u * n, from + u * k * n, k, n, to + u * k * n, n)
               : kernel.maxout(from + u * k * n, k, n, to + u * n, n);
        },
        [&](int64_t begin, int64_t end) {
          Workspace<T> turned{size_t(2 * k * b)};
          T *rows = turned, *grads = rows + k * b;
          for (int64_t u = begin; u < end; u += b) {
            const int64_t m = std::min(b, end - u);
            kernel.transpose_copy(from + u * k, k, rows, b, m, k);
            if (!gy) {
              kernel.maxout(rows, k, b, to + u, m);
              continue;
            }
            kernel.maxout_grad(g + u, rows, k, b, grads, m);
            kernel.transpose_copy(grads, b, to + u * k, k, k, m);
          }
        });
  });
  return out;
}

}  // namespace

#define NN_GATE_BODY(A, name)                                                                            \
  Array name##_forward(const View& x, int64_t axis) { return gate_forward(#name, Gate::name, x, axis); } \
  Array name##_backward(const View& gy, const View& x, int64_t axis) {                                   \
    return gate_backward(#name "_backward", Gate::name, gy, x, axis);                                    \
  }
NN_GATES(NN_GATE_BODY, )

Array maxout_forward(const View& x, int64_t pieces, int64_t axis) {
  return maxout("maxout", nullptr, x, pieces, axis);
}
Array maxout_backward(const View& gy, const View& x, int64_t pieces, int64_t axis) {
  return maxout("maxout_backward", &gy, x, pieces, axis);
}

}  // namespace nn::cpu
