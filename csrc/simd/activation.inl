// Activations and their slopes, on top of math.inl. Errors: docs/accuracy.md.
namespace nn {
namespace {

template <class T> NN_INLINE vec<T> sigmoid(vec<T> x) { return set1(T(1)) / (set1(T(1)) + exp(-x)); }

// The lower tail of the normal distribution, for a >= 0: Phi(-a) = e^(-a^2/2) R(t) / (a + 5/4), t = (a -
// c)/(a + c). R is a Chebyshev fit made with 50 digits; it falls from 0.63 to 0.4, flat at both ends, so that
// t's rounding matters little.
NN_INLINE vec<float> normal_tail(vec<float> t) {
  const double c[] = {0.495655866858238767,      -0.13930290034905963,     0.045094437880516006,
                      0.0106732456891782883,     -0.0244814019171587104,   0.0158158925091642186,
                      -0.00487664852944914503,   -0.000138750357183477252, 0.000648098962194223904,
                      -0.0000789091877922930294, -0.0000717759506334102105};
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
  return normal_tail((a - c) * (u * both));
}
// |x| as far as e^(-x^2/2) is not 0; a NaN comes through
template <class T> NN_INLINE vec<T> normal_argument(vec<T> x) { return min(set1(T(40)), abs(x)); }
// e^(-a^2/2) = (1 + p) 2^n with the rounding of a^2 made good
template <class T> NN_INLINE vec<T> normal_exp(vec<T> a, vec<T>& n) {
  const vec<T> half = set1(T(-0.5)), square = a * a;
  const vec<T> r = fma(half, fma(a, a, -square), exp_argument(half * square, n));
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
  const vec<T> u = gelu_tanh_inner(x);
  return x * sigmoid(u + u);
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
template <class T> NN_INLINE vec<T> softplus(vec<T> x) { return max(x, set1(T(0))) + log1p(exp(-abs(x))); }

}  // namespace
}  // namespace nn
