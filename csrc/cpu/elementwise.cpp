// Elementwise ops: broadcasting, strides and threads around the contiguous loops of simd/elementwise.inl.
//
// The operands' axes are merged as far as all of them allow; the innermost merged axis is one call of a loop,
// the others are walked. Integers and bools take the same walk with plain loops.
#include <algorithm>
#include <cmath>
#include <limits>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"

namespace nn::cpu {
namespace {

constexpr int64_t kChunk = 1 << 15;  // elements worth a thread (about 10 us at least)
constexpr int kBlock = 512;          // elements gathered at a time when an inner stride is neither 0 nor 1

// Up to three inputs and a result over common axes; steps in elements, 0 where an input is broadcast.
struct Walk {
  static constexpr int kMax = 4;  // operand 0 is the result
  int operands = 0, ndim = 0;
  int64_t shape[kMaxDims];
  int64_t step[kMax][kMaxDims];

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }

  // Drops axes of length 1 and merges neighbours that every operand walks as one.
  void merge() {
    int kept = 0;
    for (int i = 0; i < ndim; ++i) {
      if (shape[i] == 1) continue;
      bool joins = kept > 0;
      for (int p = 0; joins && p < operands; ++p) joins = step[p][kept - 1] == step[p][i] * shape[i];
      if (joins)
        shape[kept - 1] *= shape[i];
      else
        shape[kept++] = shape[i];
      for (int p = 0; p < operands; ++p) step[p][kept - 1] = step[p][i];
    }
    ndim = kept;
  }

  // f(offsets[operands], n): runs of n elements of the innermost axis, in chunks shared among threads.
  template <class F> void run(F&& f) const {
    const int64_t total = size();
    if (total == 0) return;
    const int64_t inner = ndim ? shape[ndim - 1] : 1, rows = total / inner;
    if (rows == 1) {
      parallel_for(inner, kChunk, [&](int64_t begin, int64_t end) {
        int64_t at[kMax] = {};
        for (int p = 0; p < operands; ++p) at[p] = ndim ? begin * step[p][ndim - 1] : 0;
        f(at, end - begin);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(1, kChunk / inner), [&](int64_t begin, int64_t end) {
      int64_t index[kMaxDims], at[kMax] = {};
      int64_t rest = begin;
      for (int i = ndim - 2; i >= 0; --i) {
        index[i] = rest % shape[i];
        rest /= shape[i];
        for (int p = 0; p < operands; ++p) at[p] += index[i] * step[p][i];
      }
      for (int64_t row = begin; row < end; ++row) {
        f(at, inner);
        for (int i = ndim - 2; i >= 0; --i) {
          for (int p = 0; p < operands; ++p) at[p] += step[p][i];
          if (++index[i] < shape[i]) break;
          for (int p = 0; p < operands; ++p) at[p] -= index[i] * step[p][i];
          index[i] = 0;
        }
      }
    });
  }

  int64_t inner_step(int p) const { return ndim ? step[p][ndim - 1] : 0; }
};

// The common shape of the inputs by NumPy's broadcasting rule.
int broadcast(const char* op, const Named* args, int count, int64_t* shape) {
  int ndim = 0;
  for (int p = 0; p < count; ++p) ndim = std::max(ndim, args[p].view.ndim);
  for (int i = 0; i < ndim; ++i) {
    int64_t n = 1;
    for (int p = 0; p < count; ++p) {
      const View& v = args[p].view;
      const int at = i - (ndim - v.ndim);
      if (at < 0 || v.shape[at] == 1 || v.shape[at] == n) continue;
      if (n != 1) {
        const std::string what = "shapes do not broadcast: axis " + std::to_string(i - ndim) + " is " +
                                 std::to_string(n) + " and " + std::to_string(v.shape[at]) +
                                 "; equal lengths or 1 would fit";
        if (count == 2) fail(op, what, {args[0], args[1]});
        fail(op, what, {args[0], args[1], args[2]});
      }
      n = v.shape[at];
    }
    shape[i] = n;
  }
  return ndim;
}

Walk make_walk(const Array& y, const View* const* inputs, int count) {
  Walk w;
  w.operands = count + 1;
  w.ndim = y.ndim;
  for (int i = 0; i < y.ndim; ++i) {
    w.shape[i] = y.shape[i];
    w.step[0][i] = y.strides[i] / itemsize(y.dtype);
    for (int p = 0; p < count; ++p) {
      const View& v = *inputs[p];
      const int at = i - (y.ndim - v.ndim);
      w.step[p + 1][i] = at < 0 || v.shape[at] == 1 ? 0 : v.step(at);
    }
  }
  w.merge();
  return w;
}

template <class T> void gather(const T* x, int64_t step, int64_t n, T* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = x[i * step];
}

// loop(x, x_step, y, y_step, z, n) over runs whose steps it can take (1 or 0 for inputs, 1 for the result);
// other steps go through small buffers. Inputs X may be absent (null).
template <class X, class Y, class Z, class L>
void run_loop(const Walk& w, const X* x, const Y* y, Z* z, L&& loop) {
  const int64_t zs = w.inner_step(0), xs = w.inner_step(1), ys = w.operands > 2 ? w.inner_step(2) : 0;
  const bool x_ok = xs == 0 || xs == 1, y_ok = ys == 0 || ys == 1;
  if (x_ok && y_ok && zs == 1) {
    w.run([&](const int64_t* at, int64_t n) { loop(x + at[1], int(xs), y + at[2], int(ys), z + at[0], n); });
    return;
  }
  w.run([&](const int64_t* at, int64_t n) {
    X xb[kBlock];
    Y yb[kBlock];
    Z zb[kBlock];
    for (int64_t i = 0; i < n; i += kBlock) {
      const int64_t m = std::min<int64_t>(kBlock, n - i);
      const X* xp = x + at[1] + i * xs;
      const Y* yp = y + at[2] + i * ys;
      Z* zp = z + at[0] + i * zs;
      if (!x_ok) gather(xp, xs, m, xb);
      if (!y_ok) gather(yp, ys, m, yb);
      loop(x_ok ? xp : xb, x_ok ? int(xs) : 1, y_ok ? yp : yb, y_ok ? int(ys) : 1, zs == 1 ? zp : zb, m);
      if (zs != 1)
        for (int64_t j = 0; j < m; ++j) zp[j * zs] = zb[j];
    }
  });
}

// Computes into `out` directly when no input lies under it in another place; else into a fresh array that is
// copied.
template <class F> Array into(const char* op, Dtype dtype, int ndim, const int64_t* shape, const OptView* out,
                              const View* const* inputs, int count, F&& f) {
  Array y = output(op, dtype, ndim, shape, out);
  bool clash = false;
  if (out && *out)
    for (int p = 0; p < count; ++p)
      clash = clash || (!inputs[p]->is_scalar && overlaps(*inputs[p], y.view()));
  if (!clash) {
    f(y);
    return y;
  }
  Array fresh = output(op, dtype, ndim, shape);
  f(fresh);
  const View from = fresh.view();
  const View* one = &from;
  const Walk w = make_walk(y, &one, 1);
  auto copy = [&](auto t) {
    using T = decltype(t);
    run_loop(w, fresh.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
             [](const T* x, int xs, const T*, int, T* z, int64_t n) {
               for (int64_t i = 0; i < n; ++i) z[i] = x[i * xs];
             });
  };
  switch (itemsize(dtype)) {
    case 1:
      copy(uint8_t());
      break;
    case 4:
      copy(float());
      break;
    default:
      copy(double());
  }
  release(fresh.data);
  return y;
}

bool is_float(Dtype t) { return t == Dtype::f32 || t == Dtype::f64; }

// Calls f with a value of the C++ type of an integer dtype.
template <class F> void dispatch_integer(Dtype t, F&& f) {
  switch (t) {
    case Dtype::i32:
      return f(int32_t());
    case Dtype::i64:
      return f(int64_t());
    default:
      return f(uint8_t());  // u8 and b8
  }
}

// The dtype of two operands: numbers take that of the array beside them; arrays must agree.
Dtype operand_dtype(const char* op, const View& x, const View& y) {
  if (x.is_scalar && y.is_scalar) return Dtype::f32;
  if (x.is_scalar || y.is_scalar) {
    const View &array = x.is_scalar ? y : x, &number = x.is_scalar ? x : y;
    if (!is_float(array.dtype) && number.scalar != std::floor(number.scalar))
      fail_type(op, "the number " + std::to_string(number.scalar) + " does not fit an array of " +
                        name(array.dtype) + "; convert the array: .astype('float32')");
    return array.dtype;
  }
  if (x.dtype != y.dtype)
    fail_type(op, std::string("x is ") + name(x.dtype) + " but y is " + name(y.dtype) +
                      "; convert one of them with astype");
  return x.dtype;
}

// --- one input
// -----------------------------------------------------------------------------------------------------

Array unary(const char* op, Unary which, const View& x, const OptView& out) {
  const bool exact = which == Unary::neg || which == Unary::abs || which == Unary::sign ||
                     which == Unary::square || which == Unary::relu;
  if (!is_float(x.dtype) && !(exact && (x.dtype == Dtype::i32 || x.dtype == Dtype::i64)))
    common_dtype(op, {{"x", x}});
  const View* input = &x;
  return into(op, x.dtype, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const Walk w = make_walk(y, &input, 1);
    if (is_float(x.dtype)) {
      dispatch(x.dtype, [&](auto t) {
        using T = decltype(t);
        auto kernel = kernels<T>().unary;
        run_loop(w, x.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
                 [=](const T* a, int step, const T*, int, T* z, int64_t n) {
                   if (step == 1) return kernel(int(which), a, z, n);
                   kernel(int(which), a, z, n ? 1 : 0);
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
                     default:
                       z[i] = v > 0 ? v : T(0);
                   }
                 }
               });
    });
  });
}

Array test(const char* op, Test which, const View& x) {
  const View* input = &x;
  return into(op, Dtype::b8, x.ndim, x.shape, nullptr, &input, 1, [&](Array& y) {
    const Walk w = make_walk(y, &input, 1);
    if (!is_float(x.dtype)) {  // whole numbers are finite
      std::fill(y.as<uint8_t>(), y.as<uint8_t>() + y.size(), which == Test::isfinite);
      return;
    }
    dispatch(x.dtype, [&](auto t) {
      using T = decltype(t);
      run_loop(w, x.as<const T>(), static_cast<const T*>(nullptr), y.as<uint8_t>(),
               [=](const T* a, int step, const T*, int, uint8_t* z, int64_t n) {
                 if (step == 1) return kernels<T>().test(int(which), a, z, n);
                 kernels<T>().test(int(which), a, z, n ? 1 : 0);
                 std::fill(z, z + n, *z);
               });
    });
  });
}

// --- two inputs
// ----------------------------------------------------------------------------------------------------

// A number as an array of one element of type T, an array as it is.
template <class T> const T* data_or(const View& v, T& number) {
  if (!v.is_scalar) return v.as<const T>();
  number = T(v.scalar);
  return &number;
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
    const Walk w = make_walk(z, inputs, 2);
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

template <class T> bool compare_one(Compare op, T x, T y) {
  switch (op) {
    case Compare::eq:
      return x == y;
    case Compare::ne:
      return x != y;
    case Compare::lt:
      return x < y;
    case Compare::le:
      return x <= y;
    case Compare::gt:
      return x > y;
    default:
      return x >= y;
  }
}

Array compare(const char* op, Compare which, const View& x, const View& y, const OptView& out) {
  // An integer array meets a fraction: compared as what they are, in double.
  const bool mixed = (x.is_scalar != y.is_scalar) && !is_float((x.is_scalar ? y : x).dtype);
  const Dtype dt = mixed ? (x.is_scalar ? y : x).dtype : operand_dtype(op, x, y);
  const Named args[] = {{"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast(op, args, 2, shape);
  const View* inputs[] = {&x, &y};
  return into(op, Dtype::b8, ndim, shape, &out, inputs, 2, [&](Array& z) {
    const Walk w = make_walk(z, inputs, 2);
    if (is_float(dt)) {
      dispatch(dt, [&](auto t) {
        using T = decltype(t);
        T x0, y0;
        const T *xp = data_or<T>(x, x0), *yp = data_or<T>(y, y0);
        run_loop(w, xp, yp, z.as<uint8_t>(),
                 [=](const T* a, int as, const T* b, int bs, uint8_t* c, int64_t n) {
                   kernels<T>().compare(int(which), a, as, b, bs, c, n);
                 });
      });
      return;
    }
    dispatch_integer(dt, [&](auto t) {
      using T = decltype(t);
      if (mixed) {
        const double number = x.is_scalar ? x.scalar : y.scalar;
        const bool left = x.is_scalar;
        const T* p = (left ? y : x).as<const T>();
        const T none = 0;
        run_loop(w, left ? &none : p, left ? p : &none, z.as<uint8_t>(),
                 [=](const T* a, int as, const T* b, int bs, uint8_t* c, int64_t n) {
                   for (int64_t i = 0; i < n; ++i)
                     c[i] = left ? compare_one(which, number, double(b[i * bs]))
                                 : compare_one(which, double(a[i * as]), number);
                 });
        return;
      }
      run_loop(w, x.as<const T>(), y.as<const T>(), z.as<uint8_t>(),
               [=](const T* a, int as, const T* b, int bs, uint8_t* c, int64_t n) {
                 for (int64_t i = 0; i < n; ++i) c[i] = compare_one(which, a[i * as], b[i * bs]);
               });
    });
  });
}

enum class Logic { and_, or_, xor_ };

Array logic(const char* op, Logic which, const View& x, const View& y) {
  if (x.dtype != Dtype::b8 || y.dtype != Dtype::b8)
    fail_type(op, std::string("two bool arrays are needed, got ") + name(x.dtype) + " and " + name(y.dtype));
  const Named args[] = {{"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast(op, args, 2, shape);
  const View* inputs[] = {&x, &y};
  return into(op, Dtype::b8, ndim, shape, nullptr, inputs, 2, [&](Array& z) {
    run_loop(make_walk(z, inputs, 2), x.as<const uint8_t>(), y.as<const uint8_t>(), z.as<uint8_t>(),
             [=](const uint8_t* a, int as, const uint8_t* b, int bs, uint8_t* c, int64_t n) {
               for (int64_t i = 0; i < n; ++i) {
                 const uint8_t u = a[i * as], v = b[i * bs];
                 c[i] = which == Logic::and_ ? u & v : which == Logic::or_ ? u | v : u ^ v;
               }
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
#define NN_COMPARE_BODY(A, name)                                                 \
  Array name##_forward(const Operand& x, const Operand& y, const OptView& out) { \
    return compare(#name, Compare::name, x, y, out);                             \
  }
#define NN_TEST_BODY(A, name) \
  Array name##_forward(const View& x) { return test(#name, Test::name, x); }
NN_UNARY_OPS(NN_UNARY_BODY, )
NN_BINARY_OPS(NN_BINARY_BODY, )
NN_COMPARE_OPS(NN_COMPARE_BODY, )
NN_TEST_OPS(NN_TEST_BODY, )

Array logical_and_forward(const View& x, const View& y) { return logic("logical_and", Logic::and_, x, y); }
Array logical_or_forward(const View& x, const View& y) { return logic("logical_or", Logic::or_, x, y); }
Array logical_xor_forward(const View& x, const View& y) { return logic("logical_xor", Logic::xor_, x, y); }
Array logical_not_forward(const View& x) {
  const uint8_t one = 1;
  const View yes{const_cast<uint8_t*>(&one), Dtype::b8, false, false, 0, nullptr, nullptr, nullptr, 0};
  return logic("logical_not", Logic::xor_, x, yes);
}

Array where_forward(const View& c, const Operand& x, const Operand& y) {
  if (c.dtype != Dtype::b8)
    fail_type("where", std::string("the condition must be bool, got ") + name(c.dtype));
  const Dtype dt = operand_dtype("where", x, y);
  const Named args[] = {{"c", c}, {"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast("where", args, 3, shape);
  const View* inputs[] = {&x, &y, &c};
  return into("where", dt, ndim, shape, nullptr, inputs, 3, [&](Array& z) {
    const Walk w = make_walk(z, inputs, 3);
    const int64_t cs = w.inner_step(3), xs = w.inner_step(1), ys = w.inner_step(2);
    const uint8_t* cp = c.as<const uint8_t>();
    auto body = [&](auto t) {
      using T = decltype(t);
      T x0, y0;
      const T *xp = data_or<T>(x, x0), *yp = data_or<T>(y, y0);
      const bool direct = cs == 1 && (xs == 0 || xs == 1) && (ys == 0 || ys == 1);
      w.run([&](const int64_t* at, int64_t n) {
        const uint8_t* cc = cp + at[3];
        const T *a = xp + at[1], *b = yp + at[2];
        T* r = z.as<T>() + at[0];
        if constexpr (std::is_floating_point_v<T>)
          if (direct) return kernels<T>().where(cc, a, int(xs), b, int(ys), r, n);
        for (int64_t i = 0; i < n; ++i) r[i] = cc[i * cs] ? a[i * xs] : b[i * ys];
      });
    };
    if (is_float(dt))
      dispatch(dt, body);
    else
      dispatch_integer(dt, body);
  });
}

Array clamp_forward(const View& x, double low, double high, const OptView& out) {
  const Dtype dt = common_dtype("clamp", {{"x", x}});
  const View* input = &x;
  return into("clamp", dt, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const Walk w = make_walk(y, &input, 1);
    dispatch(dt, [&](auto t) {
      using T = decltype(t);
      run_loop(w, x.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
               [=](const T* a, int step, const T*, int, T* z, int64_t n) {
                 if (step == 1) return kernels<T>().clamp(a, T(low), T(high), z, n);
                 kernels<T>().clamp(a, T(low), T(high), z, n ? 1 : 0);
                 std::fill(z, z + n, *z);
               });
    });
  });
}

}  // namespace nn::cpu
