// matmul and linear: shapes, batches and strides; the work is gemm's.
#include <algorithm>
#include <optional>
#include <type_traits>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"
#include "gemm.h"

namespace nn::cpu {
namespace {

// NumPy's matmul: 1-d operands are rows or columns for the time being, leading axes are batches that
// broadcast.
struct MatmulShape {
  int64_t m, n, k;
  int ndim = 0, batch_dims = 0;
  int64_t shape[kMaxDims];                     // of the result
  int64_t x_step[kMaxDims], w_step[kMaxDims];  // of the batch axes, in elements
};

MatmulShape matmul_shape(const char* op, const View& x, const View& w) {
  if (x.ndim == 0 || w.ndim == 0)
    fail(op, "both operands need at least one axis; use mul for numbers", {{"x", x}, {"w", w}});
  MatmulShape s;
  s.m = x.ndim == 1 ? 1 : x.shape[x.ndim - 2];
  s.k = x.shape[x.ndim - 1];
  s.n = w.ndim == 1 ? 1 : w.shape[w.ndim - 1];
  const int64_t rows = w.ndim == 1 ? w.shape[0] : w.shape[w.ndim - 2];
  if (rows != s.k)
    fail(op, "x has " + std::to_string(s.k) + " columns but w has " + std::to_string(rows) + " rows",
         {{"x", x}, {"w", w}});
  const int xb = std::max(x.ndim - 2, 0), wb = std::max(w.ndim - 2, 0);
  s.batch_dims = std::max(xb, wb);
  for (int i = 0; i < s.batch_dims; ++i) {
    const int xi = i - (s.batch_dims - xb), wi = i - (s.batch_dims - wb);
    const int64_t xn = xi < 0 ? 1 : x.shape[xi], wn = wi < 0 ? 1 : w.shape[wi];
    if (xn != wn && xn != 1 && wn != 1)
      fail(op, "the batch axes " + std::to_string(xn) + " and " + std::to_string(wn) + " do not broadcast",
           {{"x", x}, {"w", w}});
    s.shape[i] = xn == 1 ? wn : xn;
    s.x_step[i] = xn == 1 ? 0 : x.step(xi);
    s.w_step[i] = wn == 1 ? 0 : w.step(wi);
  }
  s.ndim = s.batch_dims;
  if (x.ndim > 1) s.shape[s.ndim++] = s.m;
  if (w.ndim > 1) s.shape[s.ndim++] = s.n;
  return s;
}

template <class T> Matrix<T> left(const View& x) {
  return {x.as<const T>(), x.ndim > 1 ? x.step(x.ndim - 2) : 0, x.step(x.ndim - 1)};
}
template <class T> Matrix<T> right(const View& w) {
  return {w.as<const T>(), w.step(w.ndim > 1 ? w.ndim - 2 : 0), w.ndim > 1 ? w.step(w.ndim - 1) : 1};
}

// Batch axes that x walks like one long axis of rows (and w does not have) become rows. None is empty.
bool fold_batches(MatmulShape& s, int64_t& x_row) {
  int64_t rows = s.m;
  for (int i = s.batch_dims - 1; i >= 0; --i) {
    if (s.shape[i] == 1) continue;  // its step means nothing
    if (s.w_step[i] != 0) return false;
    if (rows == 1)
      x_row = s.x_step[i];
    else if (s.x_step[i] != rows * x_row)
      return false;
    rows *= s.shape[i];
  }
  s.m = rows;
  s.batch_dims = 0;
  return true;
}

template <class T> void run(MatmulShape s, const View& x, const View& w, T* y) {
  Gemm<T> g = {};
  g.alpha = 1;
  g.a = left<T>(x);
  g.b = right<T>(w);
  int64_t x_row = g.a.row;
  if (s.batch_dims > 0 && fold_batches(s, x_row)) g.a.row = x_row;
  g.m = s.m, g.n = s.n, g.k = s.k;
  g.c_row = s.n;
  int64_t batches = 1;
  for (int i = 0; i < s.batch_dims; ++i) batches *= s.shape[i];
  const int64_t flops = 2 * s.m * s.n * std::max<int64_t>(s.k, 1);
  const int64_t grain = flops <= 0 ? batches : std::max<int64_t>(1, (int64_t(2) << 20) / flops);
  // Large products share their own work among threads; small ones are handed out whole.
  const bool inner = flops > (int64_t(64) << 20) || batches == 1;
  parallel_for(batches, inner ? std::max<int64_t>(batches, 1) : grain, [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) {
      Gemm<T> one = g;
      int64_t rest = q;
      for (int i = s.batch_dims - 1; i >= 0; --i) {
        const int64_t at = rest % s.shape[i];
        rest /= s.shape[i];
        one.a.p += at * s.x_step[i];
        one.b.p += at * s.w_step[i];
      }
      one.c = y + q * s.m * s.n;
      gemm(one);
    }
  });
}

// Whole numbers, row by row of w: overflow wraps. Beside what kernels are for, so a plain loop.
template <class T> void run_whole(const MatmulShape& s, const View& x, const View& w, T* y) {
  using U = std::make_unsigned_t<T>;
  const Matrix<T> a = left<T>(x), b = right<T>(w);
  int64_t batches = 1;
  for (int i = 0; i < s.batch_dims; ++i) batches *= s.shape[i];
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, s.n * s.k));
  parallel_for(batches * s.m, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T *ap = a.p + row % s.m * a.row, *bp = b.p;
      int64_t rest = row / s.m;
      for (int i = s.batch_dims - 1; i >= 0; --i) {
        ap += rest % s.shape[i] * s.x_step[i];
        bp += rest % s.shape[i] * s.w_step[i];
        rest /= s.shape[i];
      }
      T* c = y + row * s.n;
      std::fill(c, c + s.n, T(0));
      for (int64_t k = 0; k < s.k; ++k)
        for (int64_t j = 0; j < s.n; ++j) c[j] = T(U(c[j]) + U(ap[k * a.col]) * U(bp[k * b.row + j * b.col]));
    }
  });
}

void copy_out(const Array& from, const Array& to) {
  // out may have any strides: element by element, rarely used
  const int64_t size = itemsize(from.dtype);
  int64_t at[kMaxDims] = {};
  for (int64_t q = 0, n = from.size(); q < n; ++q) {
    char* p = to.as<char>();
    for (int i = 0; i < to.ndim; ++i) p += at[i] * to.strides[i];
    __builtin_memcpy(p, from.as<char>() + q * size, size_t(size));
    for (int i = to.ndim - 1; i >= 0 && ++at[i] == to.shape[i]; --i) at[i] = 0;
  }
}

// f writes a fresh C-contiguous result; an `out` that is strided or overlaps an input is copied to
// afterwards.
template <class F> Array with_output(const char* op, Dtype dtype, int ndim, const int64_t* shape,
                                     const OptView& out, std::initializer_list<const View*> inputs, F&& f) {
  Array y = output(op, dtype, ndim, shape, &out);
  bool direct = true;
  if (out) {
    direct = y.view().contiguous();
    for (const View* v : inputs)
      if (v->data == out.data || overlaps(*v, y.view())) direct = false;
  }
  if (direct) {
    f(y);
    return y;
  }
  Array fresh = output(op, dtype, ndim, shape);
  f(fresh);
  copy_out(fresh, y);
  return y;
}

}  // namespace

Array matmul_forward(const View& x, const View& w, const OptView& out) {
  const bool whole =
      x.dtype == w.dtype && (x.dtype == Dtype::i64 || x.dtype == Dtype::i32 || x.dtype == Dtype::u8);
  const Dtype dt = whole ? x.dtype : common_dtype("matmul", {{"x", x}, {"w", w}});
  const MatmulShape s = matmul_shape("matmul", x, w);
  return with_output("matmul", dt, s.ndim, s.shape, out, {&x, &w}, [&](Array& y) {
    if (y.size() == 0) return;
    dispatch_all(dt, [&](auto t) {
      using T = decltype(t);
      if constexpr (std::is_integral_v<T>)
        run_whole(s, x, w, y.as<T>());
      else
        run<T>(s, x, w, y.as<T>());
    });
  });
}

Array linear_forward(const View& x, const View& w, const OptView& b, const OptView& residual,
                     int64_t activation, double alpha, double beta, const OptView& out) {
  const char* op = "linear";
  Dtype dt = common_dtype(op, {{"x", x}, {"weight", w}});
  if (b) dt = common_dtype(op, {{"x", x}, {"bias", b}});
  if (residual) dt = common_dtype(op, {{"x", x}, {"residual", residual}});
  if (w.ndim != 2 || x.ndim < 1 || x.shape[x.ndim - 1] != w.shape[1])
    fail(op, "x's last axis must be weight's second: weight is (out_features, in_features)",
         {{"x", x}, {"weight", w}});
  const int64_t n = w.shape[0], k = w.shape[1];
  if (b && (b.ndim != 1 || b.shape[0] != n))
    fail(op, "bias must have one number per output feature, shape (" + std::to_string(n) + ",)",
         {{"weight", w}, {"bias", b}});
  if (activation < 0 || activation > int(Activation::silu))
    throw std::invalid_argument("linear: unknown activation");
  int64_t shape[kMaxDims];
  for (int i = 0; i < x.ndim - 1; ++i) shape[i] = x.shape[i];
  shape[x.ndim - 1] = n;
  const View result{nullptr, dt, true, false, x.ndim, shape, shape, nullptr, 0};
  if (residual) {
    bool same = residual.ndim == x.ndim;
    for (int i = 0; same && i < x.ndim; ++i) same = residual.shape[i] == shape[i];
    if (!same || !residual.contiguous())
      fail(op, "residual must be a contiguous array of the result's shape",
           {{"residual", residual}, {"result", result}});
  }
  return with_output(op, dt, x.ndim, shape, out, {&x, &w, &b, &residual}, [&](Array& y) {
    if (y.size() == 0) return;
    dispatch(dt, [&](auto t) {
      using T = decltype(t);
      MatmulShape s;
      s.n = n, s.k = k;
      s.m = x.ndim > 1 ? x.shape[x.ndim - 2] : 1;
      s.batch_dims = std::max(x.ndim - 2, 0);
      for (int i = 0; i < s.batch_dims; ++i)
        s.shape[i] = x.shape[i], s.x_step[i] = x.step(i), s.w_step[i] = 0;
      Gemm<T> g = {};
      g.alpha = T(alpha), g.beta = T(beta);
      g.a = left<T>(x);
      g.b = {w.as<const T>(), w.step(1), w.step(0)};
      g.n = n, g.k = k, g.c_row = n;
      Workspace<T> dense_b(b && b.step(0) != 1 ? size_t(n) : 1);
      if (b) g.bias = b.as<const T>();
      if (b && b.step(0) != 1) {
        for (int64_t j = 0; j < n; ++j) dense_b[j] = b.as<const T>()[j * b.step(0)];
        g.bias = dense_b;
      }
      g.activation = Activation(activation);

      int64_t x_row = g.a.row, batches = 1;
      if (fold_batches(s, x_row)) g.a.row = x_row;
      g.m = s.m;
      for (int i = 0; i < s.batch_dims; ++i) batches *= s.shape[i];
      for (int64_t q = 0; q < batches; ++q) {
        Gemm<T> one = g;
        int64_t rest = q;
        for (int i = s.batch_dims - 1; i >= 0; --i)
          one.a.p += rest % s.shape[i] * s.x_step[i], rest /= s.shape[i];
        one.c = y.as<T>() + q * s.m * n;
        one.residual = residual ? residual.as<const T>() + q * s.m * n : nullptr;
        gemm(one);
      }
    });
  });
}

Array pack_forward(const View& w) {
  const Dtype dt = common_dtype("PackedMatrix", {{"w", w}});
  if (w.ndim != 2) fail("PackedMatrix", "w must have two axes", {{"w", w}});
  return dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const int64_t size = packed_size<T>(w.shape[1], w.shape[0]);
    Array packed = output("PackedMatrix", dt, 1, &size);
    pack_b(right<T>(w), w.shape[1], w.shape[0], packed.as<T>());
    return packed;
  });
}

Array matmul_packed_forward(const View& x, const View& packed, int64_t k, int64_t n, const OptView& b,
                            int64_t activation) {
  const char* op = "matmul";
  Dtype dt = common_dtype(op, {{"x", x}, {"packed", packed}});
  if (b) dt = common_dtype(op, {{"x", x}, {"bias", b}});
  const int64_t w_shape[] = {k, n};
  const View w{nullptr, dt, false, false, 2, w_shape, w_shape, nullptr, 0};
  if (x.ndim < 1 || x.shape[x.ndim - 1] != k)
    fail(op, "x's last axis must be w's first", {{"x", x}, {"w", w}});
  if (b && (b.ndim != 1 || b.shape[0] != n || !b.contiguous()))
    fail(op, "bias must be a contiguous array of one number per column", {{"w", w}, {"bias", b}});
  if (activation < 0 || activation > int(Activation::silu))
    throw std::invalid_argument("matmul: unknown activation");
  int64_t shape[kMaxDims];
  for (int i = 0; i < x.ndim - 1; ++i) shape[i] = x.shape[i];
  shape[x.ndim - 1] = n;
  Array y = output(op, dt, x.ndim, shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (packed.ndim != 1 || !packed.contiguous() || k < 0 || n < 0 || packed.shape[0] != packed_size<T>(n, k))
      throw std::invalid_argument("matmul: the matrix was packed for another instruction set");
    if (y.size() == 0) return;
    Gemm<T> g = {};
    g.alpha = 1;
    g.m = y.size() / n, g.n = n, g.k = k;
    std::optional<Dense> dense;
    if (x.ndim <= 2)
      g.a = left<T>(x);
    else
      g.a = {dense.emplace(x).as<T>(), k, 1};
    g.b = {packed.as<const T>(), 0, 0};
    g.c = y.as<T>(), g.c_row = n;
    g.bias = b ? b.as<const T>() : nullptr;
    g.activation = Activation(activation);
    g.packed_b = k > 0 ? packed.as<const T>() : nullptr;
    gemm(g);
  });
  return y;
}

}  // namespace nn::cpu
