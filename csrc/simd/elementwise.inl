// Contiguous elementwise loops; operands that are one number have step 0. Bound by memory except for the slow
// functions.
namespace nn {
namespace {

// One struct per op, so that a loop is instantiated per op and the switch stays outside of it.
#define NN_UNARY(name, body)                                                \
  struct unary_##name {                                                     \
    template <class T> static NN_INLINE vec<T> f(vec<T> x) { return body; } \
  };
NN_UNARY(neg, -x)
NN_UNARY(abs, abs(x))
NN_UNARY(sign, (select(gt(x, set1(T(0))), set1(T(1)), select(lt(x, set1(T(0))), set1(T(-1)), set1(T(0))))))
NN_UNARY(exp, exp(x))
NN_UNARY(exp2, exp2(x))
NN_UNARY(expm1, expm1(x))
NN_UNARY(log, log(x))
NN_UNARY(log2, log2(x))
NN_UNARY(log10, log10(x))
NN_UNARY(log1p, log1p(x))
NN_UNARY(sqrt, sqrt(x))
NN_UNARY(rsqrt, set1(T(1)) / sqrt(x))
NN_UNARY(square, x* x)
NN_UNARY(reciprocal, set1(T(1)) / x)
NN_UNARY(sin, sin(x))
NN_UNARY(cos, cos(x))
NN_UNARY(tan, tan(x))
NN_UNARY(sinh, sinh(x))
NN_UNARY(cosh, cosh(x))
NN_UNARY(tanh, tanh(x))
NN_UNARY(sigmoid, sigmoid(x))
NN_UNARY(erf, erf(x))
NN_UNARY(floor, floor(x))
NN_UNARY(ceil, ceil(x))
NN_UNARY(round, round(x))
NN_UNARY(trunc, trunc(x))
NN_UNARY(relu, (max(set1(T(0)), x)))  // NaN passes
NN_UNARY(gelu, gelu(x))
NN_UNARY(gelu_tanh, gelu_tanh(x))
NN_UNARY(silu, silu(x))
#undef NN_UNARY

#define NN_BINARY(name, body)                                                         \
  struct binary_##name {                                                              \
    template <class T> static NN_INLINE vec<T> f(vec<T> x, vec<T> y) { return body; } \
  };
NN_BINARY(add, x + y)
NN_BINARY(sub, x - y)
NN_BINARY(mul, x* y)
NN_BINARY(div, x / y)
NN_BINARY(maximum, (select(is_nan(x), x, max(x, y))))
NN_BINARY(minimum, (select(is_nan(x), x, min(x, y))))
NN_BINARY(pow, (pow(x, y)))
NN_BINARY(relu_grad, (select(le(y, set1(T(0))), set1(T(0)), x)))  // y: x or y of relu; passes at NaN
NN_BINARY(tanh_grad, (x * fnma(y, y, set1(T(1)))))                // y: y of tanh
NN_BINARY(sigmoid_grad, (x * y * (set1(T(1)) - y)))               // y: y of sigmoid
NN_BINARY(gelu_grad, x* gelu_slope(y))                            // y: x of gelu
NN_BINARY(gelu_tanh_grad, x* gelu_tanh_slope(y))
NN_BINARY(silu_grad, x* silu_slope(y))
NN_BINARY(prelu, (select(gt(x, set1(T(0))), x, x* y)))
#undef NN_BINARY

template <class Op, class T> NN_TURNS void unary_loop(const T* x, T* y, int64_t n, bool past) {
  write_each(y, n, past, [=](int64_t i, int k) __attribute__((always_inline)) {
    return Op::f(load_part(x + i, k, past));
  });
}

template <class T> void unary(int op, const T* x, T* y, int64_t n, bool past) {
  switch (Unary(op)) {
#define NN_CASE(A, name) \
  case Unary::name:      \
    return unary_loop<unary_##name>(x, y, n, past);
    NN_UNARY_OPS(NN_CASE, )
#undef NN_CASE
  }
}

// X, Y: step 1, or 0 for a single number.
template <class Op, int X, int Y, class T>
NN_TURNS void binary_loop(const T* x, const T* y, T* z, int64_t n, bool past) {
  const vec<T> x0 = set1(n ? *x : T(0)), y0 = set1(n ? *y : T(0));
  write_each(z, n, past, [=](int64_t i, int k) __attribute__((always_inline)) {
    return Op::f(X ? load_part(x + i, k, past) : x0, Y ? load_part(y + i, k, past) : y0);
  });
}

template <class Op, class T>
void binary_steps(const T* x, int x_step, const T* y, int y_step, T* z, int64_t n, bool past) {
  if (x_step && y_step) return binary_loop<Op, 1, 1>(x, y, z, n, past);
  if (x_step) return binary_loop<Op, 1, 0>(x, y, z, n, past);
  if (y_step) return binary_loop<Op, 0, 1>(x, y, z, n, past);
  return binary_loop<Op, 0, 0>(x, y, z, n, past);
}

template <class T>
void binary(int op, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n, bool past) {
  switch (Binary(op)) {
#define NN_CASE(A, name) \
  case Binary::name:     \
    return binary_steps<binary_##name>(x, x_step, y, y_step, z, n, past);
    NN_BINARY_OPS(NN_CASE, )
#undef NN_CASE
  }
}

#define NN_COMPARE(name)                                                                     \
  struct compare_##name {                                                                    \
    template <class T> static NN_INLINE mask<T> f(vec<T> x, vec<T> y) { return name(x, y); } \
  };
NN_COMPARE(eq)
NN_COMPARE(ne)
NN_COMPARE(lt)
NN_COMPARE(le)
NN_COMPARE(gt)
NN_COMPARE(ge)
#undef NN_COMPARE

template <class Op, class T>
void compare_loop(const T* x, int x_step, const T* y, int y_step, uint8_t* z, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> x0 = set1(n ? *x : T(0)), y0 = set1(n ? *y : T(0));
  for (int64_t i = 0; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    store_bool(z + i, Op::f(x_step ? load(x + i, m) : x0, y_step ? load(y + i, m) : y0), m);
  }
}
template <class T>
void compare(int op, const T* x, int x_step, const T* y, int y_step, uint8_t* z, int64_t n) {
  switch (Compare(op)) {
#define NN_CASE(A, name) \
  case Compare::name:    \
    return compare_loop<compare_##name>(x, x_step, y, y_step, z, n);
    NN_COMPARE_OPS(NN_CASE, )
#undef NN_CASE
  }
}

template <class T> void test(int op, const T* x, uint8_t* z, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> inf = set1(Limits<T>::inf);
  for (int64_t i = 0; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    const vec<T> a = abs(load(x + i, m));
    store_bool(z + i,
               Test(op) == Test::isnan   ? is_nan(a)
               : Test(op) == Test::isinf ? eq(a, inf)
                                         : lt(a, inf),
               m);
  }
}

// z = c ? x : y
template <class T>
void where(const uint8_t* c, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> x0 = set1(n ? *x : T(0)), y0 = set1(n ? *y : T(0));
  for (int64_t i = 0; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    store(z + i, select(load_bool<T>(c + i, m), x_step ? load(x + i, m) : x0, y_step ? load(y + i, m) : y0),
          m);
  }
}

// y = min(max(x, low), high); NaN stays
template <class T> void clamp(const T* x, T low, T high, T* y, int64_t n, bool past) {
  const vec<T> lo = set1(low), hi = set1(high);
  write_each(y, n, past, [=](int64_t i, int k) __attribute__((always_inline)) {
    return min(hi, max(lo, load_part(x + i, k, past)));
  });
}

}  // namespace
}  // namespace nn
