// Functions of one array and of two: the walk of elementwise_walk.h around the loops of simd/elementwise.inl.
// Bound by memory except for the slow functions. Integers take the same walk with plain loops.
#include "../simd/kernels.h"
#include "elementwise_walk.h"

namespace nn::cpu {
namespace {

bool may_stream(Unary f, Dtype t) {
  return t == Dtype::f32 && (f == Unary::exp || f == Unary::exp2 || f == Unary::log || f == Unary::log2 ||
                             f == Unary::log10 || f == Unary::sigmoid || f == Unary::silu);
}

Array unary(const char* op, Unary which, const View& x, const OptView& out) {
  const bool exact = which == Unary::neg || which == Unary::abs || which == Unary::sign ||
                     which == Unary::square || which == Unary::relu;
  if (!is_float(x.dtype) && !(exact && (x.dtype == Dtype::i32 || x.dtype == Dtype::i64)))
    common_dtype(op, {{"x", x}});
  const View* input = &x;
  return into(op, x.dtype, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const ElementWalk w = element_walk(y, &input, 1);
    if (is_float(x.dtype)) {
      dispatch(x.dtype, [&](auto t) {
        using T = decltype(t);
        auto kernel = kernels<T>().unary;
        run_loop(
            w, x.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
            [=](const T* a, int step, const T*, int, T* z, int64_t n) {
              if (step == 1) return kernel(int(which), a, z, n);
              kernel(int(which), a, z, n ? 1 : 0);
              std::fill(z, z + n, *z);
            },
            may_stream(which, x.dtype));
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
                     default:
                       z[i] = v > 0 ? v : T(0);
                   }
                 }
               });
    });
  });
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
    default:
      return std::min(x, y);
  }
}

Array binary(const char* op, Binary which, const View& x, const View& y, const OptView& out) {
  const Dtype dt = operand_dtype(op, x, y);
  const bool exact = which == Binary::add || which == Binary::sub || which == Binary::mul ||
                     which == Binary::maximum || which == Binary::minimum;
  if (!is_float(dt) && (!exact || dt == Dtype::b8)) common_dtype(op, {{"x", x}, {"y", y}});
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
        run_loop(w, xp, yp, z.as<T>(), [=](const T* a, int as, const T* b, int bs, T* c, int64_t n) {
          kernel(int(which), a, as, b, bs, c, n);
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
