// Activations and their slopes, on top of math.inl. Errors: docs/accuracy.md.
namespace nn {
namespace {

template <class T> NN_INLINE vec<T> sigmoid(vec<T> x) { return set1(T(1)) / (set1(T(1)) + exp(-x)); }

// The lower tail of the normal distribution, for a >= 0: Phi(-a) = e^(-a^2/2) R(t) / (a + 5/4), t = (a -
// c)/(a + c). R is a Chebyshev fit made with 50 digits; it falls from 0.63 to 0.4, flat at both ends, so that
// t's rounding matters little.
NN_INLINE vec<float> normal_tail(vec<float> t) {  // minimax as far as a = 13.4, where the rest is denormal
  const double c[] = {0.49565586, -0.13930288,  0.045093924,    0.010672132,  -0.024471587,
                      0.01583212, -0.004924357, -0.00022726144, 0.0006971853, 7.690455e-05};
  return polynomial(t, c);
}
NN_INLINE vec<double> normal_tail(vec<double> t) {
  const double c[] = {
      0.480745656093789349,    -0.127416670650011924,    0.0600475713974640776,    -0.0102186169308133952,
      -0.0144372048952499293,  0.0186834881220909236,    -0.012922572765022544,    0.00592728957389397833,
      -0.00162118466040674435, 0.0000413608447063343297, 0.000167227288577998628,  -0.0000533674233612456963,
      -8.23510031675460073e-6, 8.74279072583063368e-6,   -2.38699877027644073e-7,  -1.24746988847961706e-6,
      1.46218082630554256e-7,  1.87352492889915107e-7,   -2.77883407854070086e-8,  -2.98980000525850916e-8,
      3.17247194342887904e-9,  4.17561086335053809e-9,   -5.72790072830045992e-11, -2.83552517739038175e-10};
  return polynomial(t, c);
}
// R, and 1 / (a + 5/4)
template <class T> NN_INLINE vec<T> normal_ratio(vec<T> a, vec<T>& inverse) {
  const vec<T> c = set1(T(sizeof(T) == 4 ? 4 : 5)), u = a + set1(T(1.25)), v = a + c,
               both = set1(T(1)) / (u * v);
  inverse = v * both;
  const vec<T> w = u * both, t = (a - c) * w;
  return normal_tail(fma(w, fnma(t, v, a - c), t));
}
// |x| as far as e^(-x^2/2) is not 0; a NaN comes through
template <class T> NN_INLINE vec<T> normal_argument(vec<T> x) {
  return min(set1(T(sizeof(T) == 4 ? 15 : 40)), abs(x));
}
// e^(-a^2/2) = (1 + p) 2^n with the rounding of a^2 made good
template <class T> NN_INLINE vec<T> normal_exp(vec<T> a, vec<T>& n) {
  const vec<T> half = set1(T(-0.5)), square = a * a;
  const vec<T> r = split_ln2(half * square, n, half * fma(a, a, -square));
  return fma(r * r, expm1_tail(r), r);
}

// x Phi(x) = max(x, 0) - a Phi(-a), a = |x|: one formula for both signs. d = a / (a + 5/4) and w = d R carry
// their rounding errors along.
template <class T> NN_INLINE vec<T> gelu(vec<T> x) {
  const vec<T> a = normal_argument(x);
  vec<T> n, inverse;
  const vec<T> p = normal_exp(a, n), r = normal_ratio(a, inverse);
  const vec<T> k = set1(T(1.25)), u = a + k, u_lo = a - (u - k);
  const vec<T> d = a * inverse, d_lo = inverse * fnma(d, u_lo, fnma(d, u, a));
  const vec<T> w = d * r, w_lo = fma(d_lo, r, fma(d, r, -w));
  return max(set1(T(0)), x) - scale2(w + fma(w, p, fma(w_lo, p, w_lo)), n);
}
NN_INLINE vec<float> gelu(vec<float> x) {
  if constexpr (vec<float>::width < 16) return gelu<float>(x);
  const vec<float> a = min(set1(14.5f), abs(x));
  vec<float> n;
  const vec<float> p = normal_exp(a, n), w = a * piecewise<20>(a, a + set1(1.0f), kNormal);
  return max(set1(0.0f), x) - scale2(fma(w, p, w), n);
}
// Phi(x) + x phi(x): S = Phi(-a) - a phi(a) for x < 0, and 1 - S for x > 0
template <class T> NN_INLINE vec<T> gelu_slope(vec<T> x) {
  const vec<T> a = normal_argument(x);
  vec<T> n, inverse;
  const vec<T> p = normal_exp(a, n), r = normal_ratio(a, inverse);
  const vec<T> g = r * inverse - a * set1(T(0.3989422804014327)), s = scale2(fma(g, p, g), n);
  return select(lt(x, set1(T(0))), s, set1(T(1)) - s);
}

template <class T> NN_INLINE vec<T> gelu_tanh_inner(vec<T> x) {
  return set1(T(0.7978845608028654)) * fma(set1(T(0.044715)) * x * x, x, x);
}
// 0.5 (1 + tanh(u)) = sigmoid(2u)
template <class T> NN_INLINE vec<T> gelu_tanh(vec<T> x) {
  const vec<T> c = set1(T(-2 * 0.7978845608028654)), cube = set1(T(-2 * 0.7978845608028654 * 0.044715));
  return x / (set1(T(1)) + exp(fma(cube, x * x, c) * x));
}
template <class T> NN_INLINE vec<T> gelu_tanh_slope(vec<T> x) {
  const vec<T> u = gelu_tanh_inner(x), s = sigmoid(u + u);
  const vec<T> du = set1(T(0.7978845608028654)) * fma(set1(T(3 * 0.044715)) * x, x, set1(T(1)));
  return fma(x * s * (set1(T(1)) - s), du + du, s);
}

template <class T> NN_INLINE vec<T> silu(vec<T> x) { return x / (set1(T(1)) + exp(-x)); }
template <class T> NN_INLINE vec<T> silu_slope(vec<T> x) {
  const vec<T> s = sigmoid(x);
  return s * fma(x, set1(T(1)) - s, set1(T(1)));
}

// (2 atanh(s) - 2s) / s^3 in s^2 on [0, 1/9]: a Chebyshev fit made with 50 digits
NN_INLINE vec<double> atanh_rest(vec<double> z) {
  const double c[] = {0.666666666666661496,  0.400000000001857475, 0.285714285454541145, 0.222222240807476732,
                      0.181817408325048045,  0.153866140423040078, 0.133003740326746243, 0.121101687280692177,
                      0.0832450651186082058, 0.170441635627813981};
  return polynomial(z, c);
}
// log(1 + e) for 0 <= e <= 1: doubles by 2 atanh(e / (2 + e)) as in log_rest, floats a minimax fit
NN_INLINE vec<double> log1p_unit(vec<double> e) {
  const vec<double> s = e / (set1(2.0) + e), z = s * s, h = set1(0.5) * e * e;
  return e - (h - s * fma(z, atanh_rest(z), h));
}
NN_INLINE vec<float> log1p_unit(vec<float> e) {
  const double c[] = {-0.4999993, 0.33330464,  -0.24958019, 0.19692102,   -0.1534488,
                      0.10661128, -0.05745723, 0.020086242, -0.0032904686};
  return fma(e * e, polynomial(e, c), e);
}
// log(1 + e^x) without its large part max(x, 0)
template <class T> NN_INLINE vec<T> softplus_tail(vec<T> x) { return log1p_unit(exp(-abs(x))); }
// e^-|x| = (1 + p) 2^n
NN_INLINE vec<float> decay(vec<float> a, vec<float>& n) {
  const vec<float> r = split_ln2(max(set1(-260.0f), -a), n);
  return fma(r * r, expm1_tail(r), r);
}
NN_INLINE vec<float> softplus_tail(vec<float> x) {
  if constexpr (vec<float>::width < 16) return softplus_tail<float>(x);
  const vec<float> a = abs(x), b = min(set1(18.0f), a);
  vec<float> n;
  const vec<float> p = decay(a, n), w = piecewise<20>(b, fma(b, set1(0.8f), set1(1.0f)), kSoftplus);
  return scale2(fma(w, p, w), n);
}

// x tanh(log(1 + e^x)) = x n / (n + 2), n = e^x (e^x + 2). Beyond 20 the quotient is 1 in either dtype.
template <class T> NN_INLINE vec<T> mish_exp(vec<T> x) { return exp(min(set1(T(20)), x)); }
// n + 2 and the quotient carry their rounding errors along.
template <class T> NN_INLINE vec<T> mish(vec<T> x) {
  const vec<T> two = set1(T(2)), bounded = min(set1(T(20)), x), e = exp(bounded), n = fma(e, e, e + e);
  const vec<T> u = n + two, u_lo = n - (u - two), inverse = reciprocal(u), q = n * inverse;
  return fma(x, q, bounded * (fnma(q, u_lo, fnma(q, u, n)) * inverse));
}
// x (piece of |x|) for x > 0, else x (piece of |x|) e^x: the pieces of either sign lie in octaves of their
// own.
NN_INLINE vec<float> mish(vec<float> x) {
  if constexpr (vec<float>::width < 16) return mish<float>(x);
  const vec<float> a = abs(x), b = min(set1(18.0f), a);
  const mask<float> right = gt(x, set1(0.0f));
  const vec<float> v = (b + set1(1.25f)) * select(right, set1(12.8f), set1(0.8f));
  vec<float> n;
  const vec<float> p = decay(a, n), w = x * piecewise<21>(b, v, kMish);
  return scale2(select(right, w, fma(w, p, w)), select(right, set1(0.0f), n));
}
template <class T> NN_INLINE vec<T> mish_slope(vec<T> x) {
  const vec<T> e = mish_exp(x), n = fma(e, e, e + e), r = set1(T(1)) / (n + set1(T(2)));
  const vec<T> bounded = min(set1(T(20)), x);  // what it multiplies is 0 beyond
  return r * fma(set1(T(4)) * bounded * e, (e + set1(T(1))) * r, n);
}

// (x - tanh x) / x^3 - 1/3 over x^2, in x^2 on [0, 1]: Chebyshev fits made with 50 digits
NN_INLINE vec<float> tanhshrink_rest(vec<float> z) {
  const double c[] = {-0.133333106555451006,   0.0539634147544388358,   -0.02182954884305937,
                      0.00869784759281487798,  -0.00320680338684656489, 0.000923500846348176088,
                      -0.000142793187996215648};
  return polynomial(z, c);
}
NN_INLINE vec<double> tanhshrink_rest(vec<double> z) {
  const double c[] = {-0.133333333333330901,    0.0539682539680463759,     -0.0218694885291290901,
                      0.00886323540457828249,   -0.0035921266793663412,    0.0014558246920964942,
                      -0.000589979294630005166, 0.000238957052287382252,   -0.0000964627774331318143,
                      0.0000383896078931473331, -0.0000146061316767153785, 4.98776031752034667e-6,
                      -1.37918144990833416e-6,  2.63307722329593346e-7,    -2.51550236593821058e-8};
  return polynomial(z, c);
}
// x^3 p on [0, 1], its products carrying their rounding errors along;
// |x| - tanh |x| = (|x| - 1) + 2 / (e^(2|x|) + 1) beyond, where nothing cancels
template <class T> NN_INLINE vec<T> tanhshrink(vec<T> x) {
  const vec<T> a = abs(x), one = set1(T(1)), third = set1(T(1 / 3.)),
               third_lo = set1(T(1 / 3. - double(T(1 / 3.))));
  const vec<T> z = x * x, z_lo = fma(x, x, -z);
  const vec<T> p = third + fma(z, tanhshrink_rest(z), third_lo);
  const vec<T> w = z * p, w_lo = fma(z_lo, p, fma(z, p, -w));
  const vec<T> large = (a - one) + set1(T(2)) / (exp(a + a) + one);
  return select(lt(a, one), fma(x, w, x * w_lo), copysign(large, x));
}

// One struct per activation, holding its numbers a, b, c in registers: y(x), and gx(g, x) = g y'(x).
#define NN_ACTIVATION(name, value, gradient)                           \
  template <class T> struct activation_##name {                        \
    vec<T> a, b, c, zero, one, three;                                  \
    NN_INLINE vec<T> y(vec<T> x) const { return value; }               \
    NN_INLINE vec<T> gx(vec<T> g, vec<T> x) const { return gradient; } \
  };
NN_ACTIVATION(leaky_relu, (select(gt(x, zero), x, a* x)), (select(gt(x, zero), g, a* g)))
NN_ACTIVATION(elu, (select(gt(x, zero), b* x, a* expm1(c* x))),
              (select(gt(x, zero), b* g, g*(a* c) * exp(c * x))))
NN_ACTIVATION(softplus, (select(gt(a * x, b), x, (max(zero, a* x) + softplus_tail(a * x)) * c)),
              (select(gt(a * x, b), g, g* sigmoid(a* x))))
NN_ACTIVATION(softsign, x / (one + abs(x)), (g / ((one + abs(x)) * (one + abs(x)))))
NN_ACTIVATION(hardtanh, min(b, max(a, x)), (select(gt(x, a) & lt(x, b), g, zero)))
NN_ACTIVATION(hardsigmoid, (min(three + three, max(zero, x + three)) / (three + three)),
              (select(lt(abs(x), three), g / (three + three), zero)))
NN_ACTIVATION(hardswish, (x * min(three + three, max(zero, x + three)) / (three + three)),
              (select(le(x, -three), zero, select(ge(x, three), g, g*(x / three + set1(T(0.5)))))))
NN_ACTIVATION(mish, mish(x), g* mish_slope(x))
NN_ACTIVATION(logsigmoid, (min(zero, x) - softplus_tail(x)), (g / (one + exp(x))))
NN_ACTIVATION(tanhshrink, tanhshrink(x), (g * tanh(x) * tanh(x)))
NN_ACTIVATION(softshrink, (select(le(abs(x), a), zero, x - copysign(a, x))), (select(gt(abs(x), a), g, zero)))
NN_ACTIVATION(hardshrink, (select(le(abs(x), a), zero, x)), (select(gt(abs(x), a), g, zero)))
NN_ACTIVATION(threshold, (select(le(x, a), b, x)), (select(le(x, a), zero, g)))
#undef NN_ACTIVATION

template <template <class> class A, class T> NN_INLINE A<T> with_numbers(T a, T b, T c) {
  return {set1(a), set1(b), set1(c), set1(T(0)), set1(T(1)), set1(T(3))};
}
template <class A, class T> NN_TURNS void activate_loop(const A f, const T* x, T* y, int64_t n, bool past) {
  write_each(y, n, past,
             [=](int64_t i, int k) __attribute__((always_inline)) { return f.y(load_part(x + i, k, past)); });
}
template <class A, class T>
NN_TURNS void activate_grad_loop(const A f, const T* gy, const T* x, T* gx, int64_t n, bool past) {
  write_each(gx, n, past, [=](int64_t i, int k) __attribute__((always_inline)) {
    return f.gx(load_part(gy + i, k, past), load_part(x + i, k, past));
  });
}

// softplus as nearly all call it: beta is 1, and beyond its threshold log(1 + e^x) is x anyway, in floats
struct plain_softplus {
  NN_INLINE vec<float> y(vec<float> x) const { return max(set1(0.0f), x) + softplus_tail(x); }
};
template <class T> void activate(int op, const T* x, T* y, int64_t n, T a, T b, T c, bool past) {
  if constexpr (sizeof(T) == 4)
    if (Activation(op) == Activation::softplus && a == 1 && b >= 20)
      return activate_loop(plain_softplus(), x, y, n, past);
  switch (Activation(op)) {
#define NN_CASE(A, name, ...) \
  case Activation::name:      \
    return activate_loop(with_numbers<activation_##name>(a, b, c), x, y, n, past);
    NN_ACTIVATIONS(NN_CASE, NN_CASE, NN_CASE, NN_CASE, )
#undef NN_CASE
  }
}
template <class T>
void activate_grad(int op, const T* gy, const T* x, T* gx, int64_t n, T a, T b, T c, bool past) {
  switch (Activation(op)) {
#define NN_CASE(A, name, ...) \
  case Activation::name:      \
    return activate_grad_loop(with_numbers<activation_##name>(a, b, c), gy, x, gx, n, past);
    NN_ACTIVATIONS(NN_CASE, NN_CASE, NN_CASE, NN_CASE, )
#undef NN_CASE
  }
}

// gx = x > 0 ? gy : w gy; returns the sum of gy x over the other x: the gradient of w
template <class T> T prelu_grad_row(const T* gy, const T* x, T w, T* gx, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> slope = set1(w), zero = set1(T(0));
  vec<T> total = zero;
  for (int64_t i = 0; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    const vec<T> g = load(gy + i, m), v = load(x + i, m);
    const mask<T> right = gt(v, zero);
    store(gx + i, select(right, g, slope * g), m);
    total = total + select(right, zero, g * v);
  }
  return sum(total);
}
// The same with a weight per column; the sums are added to gw.
template <class T>
void prelu_grad_cols(const T* gy, const T* x, const T* w, T* gx, T* gw, int64_t rows, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> zero = set1(T(0));
  for (int64_t r = 0; r < rows; ++r, gy += n, x += n, gx += n)
    for (int64_t i = 0; i < n; i += W) {
      const int m = int(n - i < W ? n - i : W);
      const vec<T> g = load(gy + i, m), v = load(x + i, m);
      const mask<T> right = gt(v, zero);
      store(gx + i, select(right, g, load(w + i, m) * g), m);
      store(gw + i, load(gw + i, m) + select(right, zero, g * v), m);
    }
}

}  // namespace
}  // namespace nn
