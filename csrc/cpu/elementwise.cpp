// Functions of one array and of two: the walk of elementwise_walk.h around the loops of simd/elementwise.inl.
// Bound by memory except for the slow functions. Integers take the same walk with plain loops.
#include "../simd/kernels.h"
#include "elementwise_walk.h"

namespace nn::cpu {
namespace {

// What PyTorch makes of whole numbers: some functions keep them, some refuse bools, some refuse all, and the
// others give float32.
Dtype whole_result(const char* op, Unary which, const View& x) {
  const bool is_bool = x.dtype == Dtype::b8;
  switch (which) {
    case Unary::sign:
      return x.dtype;
    case Unary::square:
      return is_bool ? Dtype::i64 : x.dtype;
    case Unary::neg:
    case Unary::abs:
    case Unary::relu:
    case Unary::floor:
    case Unary::ceil:
    case Unary::round:
    case Unary::trunc:
      if (is_bool) fail_type(op, "x is bool; numbers are needed");
      return x.dtype;
    case Unary::gelu:
    case Unary::gelu_tanh:
    case Unary::silu:
      return common_dtype(op, {{"x", x}});
    default:
      return Dtype::f32;
  }
}

Array unary(const char* op, Unary which, const View& x, const OptView& out) {
  if (!is_float(x.dtype)) {
    const Dtype to = whole_result(op, which, x);
    if (to != x.dtype) return unary(op, which, Promoted(op, x, to).view(), out);
  }
  const View* input = &x;
  return into(op, x.dtype, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const ElementWalk w = element_walk(y, &input, 1);
    if (is_float(x.dtype)) {
      dispatch(x.dtype, [&](auto t) {
        using T = decltype(t);
        auto kernel = kernels<T>().unary;
        const T *from = x.as<const T>(), *none = nullptr;
        const bool past = streams(w, from, none, y.as<T>());
        run_loop(w, from, none, y.as<T>(), [=](const T* a, int step, const T*, int, T* z, int64_t n) {
          if (step == 1) return kernel(int(which), a, z, n, past);
          kernel(int(which), a, z, n ? 1 : 0, false);
          std::fill(z, z + n, *z);
        });
      });
      return;
    }
    dispatch_integer(x.dtype, [&](auto t) {
      using T = decltype(t);
      run_loop(w, x.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
               [=](const T* a, int step, const T*, int, T* z, int64_t n) {
                 using U = std::make_unsigned_t<T>;  // overflow wraps
                 for (int64_t i = 0; i < n; ++i) {
                   const T v = a[i * step];
                   switch (which) {
                     case Unary::neg:
                       z[i] = T(U(0) - U(v));
                       break;
                     case Unary::abs:
                       z[i] = v < 0 ? T(U(0) - U(v)) : v;
                       break;
                     case Unary::sign:
                       z[i] = T((v > 0) - (v < 0));
                       break;
                     case Unary::square:
                       z[i] = T(U(v) * U(v));
                       break;
                     case Unary::relu:
                       z[i] = v > 0 ? v : T(0);
                       break;
                     default:  // rounding
                       z[i] = v;
                   }
                 }
               });
    });
  });
}

// Overflow wraps; of the negative powers only those of 1 and -1 are whole, others count as 0.
template <class T> T integer_pow(T x, T y) {
  using U = std::make_unsigned_t<T>;
  if (y < 0) return x == 1 ? T(1) : U(x) != U(-1) ? T(0) : y % 2 ? x : T(1);
  U z = 1;
  for (U base = U(x); y; y = T(y / 2), base = U(base * base))
    if (y % 2) z = U(z * base);
  return T(z);
}

template <class T> T integer_binary(Binary op, T x, T y) {
  using U = std::make_unsigned_t<T>;
  switch (op) {
    case Binary::add:
      return T(U(x) + U(y));
    case Binary::sub:
      return T(U(x) - U(y));
    case Binary::mul:
      return T(U(x) * U(y));
    case Binary::maximum:
      return std::max(x, y);
    case Binary::pow:
      return integer_pow(x, y);
    default:
      return std::min(x, y);
  }
}

// The dtype of a result of which not all operands are floats.
Dtype whole_result(const char* op, Binary which, const View& x, const View& y, Dtype dt) {
  auto is_bool = [](const View& v) { return !v.is_scalar && v.dtype == Dtype::b8; };
  if (which == Binary::sub && (is_bool(x) || is_bool(y)))
    fail_type(op, "bool arrays have no differences; logical_xor and logical_not do what may be meant");
  switch (which) {
    case Binary::add:
    case Binary::sub:
    case Binary::mul:
    case Binary::maximum:
    case Binary::minimum:
      return dt;
    case Binary::div:
      return is_float(dt) ? dt : Dtype::f32;
    case Binary::pow:
      if (y.is_scalar && !is_float(dt) && y.whole < 0)
        fail(op, "whole numbers have no negative powers", {{"x", x}});
      return dt == Dtype::b8 ? common_dtype(op, {{"x", x}, {"y", y}}) : dt;
    default:
      return common_dtype(op, {{"x", x}, {"y", y}});
  }
}

Array binary(const char* op, Binary which, const View& x, const View& y, const OptView& out) {
  const bool quotient =
      which == Binary::div && (x.is_scalar ? !is_float(y.dtype) : y.is_scalar && !is_float(x.dtype));
  Dtype dt = quotient ? Dtype::f32 : operand_dtype(op, x, y);
  if (!is_float(dt) || differ(x, y, dt)) {
    dt = whole_result(op, which, x, y, dt);
    if (differ(x, y, dt)) {
      const Promoted a(op, x, dt), b(op, y, dt);
      return binary(op, which, a.view(), b.view(), out);
    }
    if (dt == Dtype::b8 && which == Binary::add) which = Binary::maximum;
  }
  const Named args[] = {{"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast(op, args, 2, shape);
  const View* inputs[] = {&x, &y};
  return into(op, dt, ndim, shape, &out, inputs, 2, [&](Array& z) {
    const ElementWalk w = element_walk(z, inputs, 2);
    if (is_float(dt)) {
      dispatch(dt, [&](auto t) {
        using T = decltype(t);
        T x0, y0;
        const T *xp = data_or<T>(x, x0), *yp = data_or<T>(y, y0);
        auto kernel = kernels<T>().binary;
        const bool past = streams(w, xp, yp, z.as<T>());
        run_loop(w, xp, yp, z.as<T>(), [=](const T* a, int as, const T* b, int bs, T* c, int64_t n) {
          kernel(int(which), a, as, b, bs, c, n, past);
        });
      });
      return;
    }
    dispatch_integer(dt, [&](auto t) {
      using T = decltype(t);
      T x0, y0;
      const T *xp = data_or<T>(x, x0), *yp = data_or<T>(y, y0);
      run_loop(w, xp, yp, z.as<T>(), [=](const T* a, int as, const T* b, int bs, T* c, int64_t n) {
        for (int64_t i = 0; i < n; ++i) c[i] = integer_binary(which, a[i * as], b[i * bs]);
      });
    });
  });
}

}  // namespace

#define NN_UNARY_BODY(A, name) \
  Array name##_forward(const View& x, const OptView& out) { return unary(#name, Unary::name, x, out); }
#define NN_BINARY_BODY(A, name)                                                  \
  Array name##_forward(const Operand& x, const Operand& y, const OptView& out) { \
    return binary(#name, Binary::name, x, y, out);                               \
  }
NN_UNARY_OPS(NN_UNARY_BODY, )
NN_BINARY_OPS(NN_BINARY_BODY, )

}  // namespace nn::cpu
