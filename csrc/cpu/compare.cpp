// Comparisons, tests, logic and choice: the walk of elementwise_walk.h around the loops of
// simd/elementwise.inl; integers and bools take plain loops. Bound by memory.
#include "../simd/kernels.h"
#include "elementwise_walk.h"

namespace nn::cpu {
namespace {

Array test(const char* op, Test which, const View& x) {
  const View* input = &x;
  return into(op, Dtype::b8, x.ndim, x.shape, nullptr, &input, 1, [&](Array& y) {
    const ElementWalk w = element_walk(y, &input, 1);
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
  // An integer array meets any number: compared as what they are.
  const bool mixed = (x.is_scalar != y.is_scalar) && !is_float((x.is_scalar ? y : x).dtype);
  const Dtype dt = mixed ? (x.is_scalar ? y : x).dtype : operand_dtype(op, x, y);
  if (!mixed && differ(x, y, dt)) {
    const Promoted a(op, x, dt), b(op, y, dt);
    return compare(op, which, a.view(), b.view(), out);
  }
  const Named args[] = {{"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast(op, args, 2, shape);
  const View* inputs[] = {&x, &y};
  return into(op, Dtype::b8, ndim, shape, &out, inputs, 2, [&](Array& z) {
    const ElementWalk w = element_walk(z, inputs, 2);
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
        const bool left = x.is_scalar;
        const View& number = left ? x : y;
        const T* p = (left ? y : x).as<const T>();
        const T none = 0;
        auto against = [&](auto value) {
          using N = decltype(value);
          run_loop(w, left ? &none : p, left ? p : &none, z.as<uint8_t>(),
                   [=](const T* a, int as, const T* b, int bs, uint8_t* c, int64_t n) {
                     for (int64_t i = 0; i < n; ++i)
                       c[i] = left ? compare_one(which, value, N(b[i * bs]))
                                   : compare_one(which, N(a[i * as]), value);
                   });
        };
        if (number.is_whole) return against(number.whole);
        // A fraction; or beyond all integers, where rounding must not make the largest of them equal.
        const bool beyond = std::fabs(number.scalar) >= 0x1p63;
        against(beyond ? std::copysign(std::numeric_limits<double>::infinity(), number.scalar)
                       : number.scalar);
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
    run_loop(element_walk(z, inputs, 2), x.as<const uint8_t>(), y.as<const uint8_t>(), z.as<uint8_t>(),
             [=](const uint8_t* a, int as, const uint8_t* b, int bs, uint8_t* c, int64_t n) {
               for (int64_t i = 0; i < n; ++i) {
                 const bool u = a[i * as], v = b[i * bs];
                 c[i] = which == Logic::and_ ? u & v : which == Logic::or_ ? u | v : u ^ v;
               }
             });
  });
}

}  // namespace

#define NN_COMPARE_BODY(A, name)                                                 \
  Array name##_forward(const Operand& x, const Operand& y, const OptView& out) { \
    return compare(#name, Compare::name, x, y, out);                             \
  }
#define NN_TEST_BODY(A, name) \
  Array name##_forward(const View& x) { return test(#name, Test::name, x); }
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

Array where_forward(const View& c, const Operand& given_x, const Operand& given_y) {
  if (c.dtype != Dtype::b8)
    fail_type("where", std::string("the condition must be bool, got ") + name(c.dtype));
  const bool numbers = given_x.is_scalar && given_y.is_scalar;
  const Dtype dt = numbers ? number_dtype(given_x, given_y) : operand_dtype("where", given_x, given_y);
  const Promoted promoted_x("where", given_x, dt), promoted_y("where", given_y, dt);
  const View &x = promoted_x.view(), &y = promoted_y.view();
  const Named args[] = {{"c", c}, {"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast("where", args, 3, shape);
  const View* inputs[] = {&x, &y, &c};
  return into("where", dt, ndim, shape, nullptr, inputs, 3, [&](Array& z) {
    const ElementWalk w = element_walk(z, inputs, 3);
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

namespace {

// Bounds that are not infinite are whole numbers of dtype T here.
template <class T> Array clamp_whole(const View& x, const View& low, const View& high, const OptView& out) {
  const T least = low.is_whole ? T(low.whole) : std::numeric_limits<T>::min();
  const T most = high.is_whole ? T(high.whole) : std::numeric_limits<T>::max();
  const View* input = &x;
  return into("clamp", x.dtype, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    run_loop(element_walk(y, &input, 1), x.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
             [=](const T* a, int step, const T*, int, T* z, int64_t n) {
               for (int64_t i = 0; i < n; ++i) z[i] = std::min(std::max(a[i * step], least), most);
             });
  });
}

}  // namespace

Array clamp_forward(const View& x, const Operand& low_number, const Operand& high_number,
                    const OptView& out) {
  if (!low_number.is_scalar || !high_number.is_scalar) fail_type("clamp", "low and high must be numbers");
  Dtype dt = x.dtype;
  const double low = low_number.scalar, high = high_number.scalar;
  if (!is_float(dt)) {
    for (const View& v : {View(low_number), View(high_number)})
      if (!is_float(dt) && !std::isinf(v.scalar)) dt = operand_dtype("clamp", View{nullptr, dt}, v);
    const Promoted promoted("clamp", x, dt == Dtype::b8 ? Dtype::i64 : dt);
    const View& whole = promoted.view();
    if (is_float(dt)) return clamp_forward(whole, low_number, high_number, out);
    if (whole.dtype == Dtype::i32) return clamp_whole<int32_t>(whole, low_number, high_number, out);
    if (whole.dtype == Dtype::i64) return clamp_whole<int64_t>(whole, low_number, high_number, out);
    return clamp_whole<uint8_t>(whole, low_number, high_number, out);
  }
  const View* input = &x;
  return into("clamp", dt, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const ElementWalk w = element_walk(y, &input, 1);
    dispatch(dt, [&](auto t) {
      using T = decltype(t);
      const T *from = x.as<const T>(), *none = nullptr;
      const bool past = streams(w, from, none, y.as<T>());
      run_loop(w, from, none, y.as<T>(), [=](const T* a, int step, const T*, int, T* z, int64_t n) {
        if (step == 1) return kernels<T>().clamp(a, T(low), T(high), z, n, past);
        kernels<T>().clamp(a, T(low), T(high), z, n ? 1 : 0, false);
        std::fill(z, z + n, *z);
      });
    });
  });
}

}  // namespace nn::cpu
