// Vector exp, log, sin, erf and their kin, for float and double from one text.
//
// Method everywhere: reduce the argument with fma (so that the reduction is exact or nearly so), evaluate a
// polynomial, put the parts together. Series are Taylor's where they converge fast enough, else Chebyshev
// fits made with 50 digits (erf). Errors are measured, not estimated: docs/accuracy.md, at most 2.5 ulp.
// Denormal inputs and results are zero.
namespace nn {
namespace {

// c[0] + c[1] x + ... + c[N - 1] x^(N - 1) by halves (Estrin), since each step of Horner's rule waits for the
// one before it.
template <int N, class T> NN_INLINE vec<T> by_halves(vec<T> x, const double* c) {
  if constexpr (N == 1) {
    return set1(T(c[0]));
  } else if constexpr (N == 2) {
    return fma(set1(T(c[1])), x, set1(T(c[0])));
  } else {
    constexpr int half = N <= 4 ? 2 : N <= 8 ? 4 : N <= 16 ? 8 : 16;
    vec<T> power = x;
#pragma GCC unroll 4
    for (int k = 1; k < half; k *= 2) power = power * power;
    return fma(by_halves<N - half, T>(x, c + half), power, by_halves<half, T>(x, c));
  }
}
// The same; the step that c[0] ends stays alone, so that its rounding is the only large one.
template <class T, int N> NN_INLINE vec<T> polynomial(vec<T> x, const double (&c)[N]) {
  return fma(by_halves<N - 1, T>(x, c + 1), x, set1(T(c[0])));
}

template <class T> struct Limits;
template <> struct Limits<float> {
  static constexpr double max_exp = 128;  // 2^n overflows here
  static constexpr double trig = 30000;   // reductions of sin are accurate below
  static constexpr float inf = __builtin_inff(), nan = __builtin_nanf("");
};
template <> struct Limits<double> {
  static constexpr double max_exp = 1024;
  static constexpr double trig = 1e6;
  static constexpr double inf = __builtin_inf(), nan = __builtin_nan("");
};

// 1/2!, 1/3!, ...: expm1(r) = r + r^2 * P(r) for |r| <= ln2 / 2
NN_INLINE vec<float> expm1_tail(vec<float> r) {
  const double c[] = {.49999994, .166665211, .041668389, .00836874545,
                      .00138145383};  // minimax: one term less than Taylor
  return polynomial(r, c);
}
NN_INLINE vec<double> expm1_tail(vec<double> r) {
  const double c[] = {1 / 2.,     1 / 6.,      1 / 24.,      1 / 120.,      1 / 720.,       1 / 5040.,
                      1 / 40320., 1 / 362880., 1 / 3628800., 1 / 39916800., 1 / 479001600., 1 / 6227020800.};
  return polynomial(r, c);
}

// x = n ln2 + r. ln2 in two pieces, the first with so few bits that n * hi is exact.
template <class T> NN_INLINE vec<T> split_ln2(vec<T> x, vec<T>& n) {
  constexpr double hi = sizeof(T) == 4 ? 0x1.62e4p-1 : 0x1.62e42fefa3800p-1;
  constexpr double lo = sizeof(T) == 4 ? 0x1.7f7d1cf79abc9p-20 : 0x1.ef35793c76730p-45;
  n = round(x * set1(T(1.4426950408889634)));
  return fnma(n, set1(T(lo)), fnma(n, set1(T(hi)), x));
}

// The same for x + extra, extra small
template <class T> NN_INLINE vec<T> split_ln2(vec<T> x, vec<T>& n, vec<T> extra) {
  constexpr double hi = sizeof(T) == 4 ? 0x1.62e4p-1 : 0x1.62e42fefa3800p-1;
  constexpr double lo = sizeof(T) == 4 ? 0x1.7f7d1cf79abc9p-20 : 0x1.ef35793c76730p-45;
  n = round(x * set1(T(1.4426950408889634)));
  return fnma(n, set1(T(hi)), x) + fnma(n, set1(T(lo)), extra);
}

// r and n of e^x = e^r 2^n, also beyond the range; NaN stays NaN.
template <class T> NN_INLINE vec<T> exp_argument(vec<T> x, vec<T>& n) {
  const T top = T(Limits<T>::max_exp + 2);
  return split_ln2(min(set1(top), max(set1(-2 * top), x)), n);  // a NaN comes through, as the second operand
}
template <class T> NN_INLINE vec<T> exp_parts(vec<T> r, vec<T> n) {
  return scale2(fma(r * r, expm1_tail(r), r) + set1(T(1)), n);
}
// e^x * 2^shift
template <class T> NN_INLINE vec<T> exp_scaled(vec<T> x, T shift) {
  vec<T> n;
  const vec<T> r = exp_argument(x, n);
  return exp_parts(r, n + set1(shift));
}
template <class T> NN_INLINE vec<T> exp(vec<T> x) {
  vec<T> n;
  const vec<T> r = exp_argument(x, n);
  return exp_parts(r, n);
}

template <class T> NN_INLINE vec<T> exp2(vec<T> x) {
  const T top = T(Limits<T>::max_exp + 2);
  const vec<T> c = min(set1(top), max(set1(-2 * top), x)), n = round(c);
  const vec<T> r = (c - n) * set1(T(0.6931471805599453));
  return exp_parts(r, n);
}

template <class T> NN_INLINE vec<T> expm1(vec<T> x) {
  const T top = T(Limits<T>::max_exp * 0.7);
  vec<T> n, c = min(set1(top), max(set1(T(-45)), x));
  const vec<T> r = split_ln2(c, n);
  // 2^n (p + 1 - 2^-n): the 1 and the 2^-n meet first, so that nothing is lost where they cancel
  const vec<T> p = fma(r * r, expm1_tail(r), r);
  const vec<T> y = scale2(p + (set1(T(1)) - scale2(set1(T(1)), -n)), n);
  return select(is_nan(x), x,
                select(gt(x, set1(top)), set1(Limits<T>::inf), select(eq(x, set1(T(0))), x, y)));
}

// t / (t + 2) with t = e^(2|x|) - 1 = 2^n p + (2^n - 1); the rounding of t + 2 is made good. NaN comes
// through min.
template <class T> NN_INLINE vec<T> tanh(vec<T> x) {
  const vec<T> a = min(set1(T(24)), abs(x)), two = set1(T(2));
  vec<T> n;
  const vec<T> r = split_ln2(a + a, n), s = scale2(set1(T(1)), n);
  const vec<T> t = fma(fma(r * r, expm1_tail(r), r), s, s - set1(T(1)));
  const vec<T> u = t + two, u_lo = t - (u - two), q = t / u;
  const vec<T> rough = max(set1(T(0)), fnma(t, set1(T(0.125)), set1(T(0.5))));  // 1 / u, where u_lo matters
  return copysign(fnma(q, u_lo * rough, q), x);
}
NN_INLINE vec<float> tanh(vec<float> x) {
  if constexpr (vec<float>::width < 16) return tanh<float>(x);
  const vec<float> a = min(set1(14.0f), abs(x));
  return copysign(piecewise<20>(a, a + set1(1.0f), kTanh), x);
}

template <class T> NN_INLINE vec<T> cosh(vec<T> x) {
  const vec<T> e = exp_scaled(abs(x), T(-1));
  return e + set1(T(0.25)) / e;
}
template <class T> NN_INLINE vec<T> sinh(vec<T> x) {
  const vec<T> a = abs(x), e = exp_scaled(a, T(-1)), t = expm1(min(a, set1(T(2))));
  const vec<T> small = set1(T(0.5)) * (t + t / (t + set1(T(1))));
  return copysign(select(lt(a, set1(T(1))), small, e - set1(T(0.25)) / e), x);
}

// x = q pi/2 + r + low, pi/2 in three pieces of the full precision (fma keeps the products exact).
template <class T> NN_INLINE vec<T> split_pi(vec<T> x, vec<T>& q, vec<T>& low) {
  constexpr double mid = sizeof(T) == 4 ? -0x1.777a5cp-25 : 0x1.1a62633145c07p-54;
  constexpr double end = sizeof(T) == 4 ? -0x1.ee59dap-50 : -0x1.f1976b7ed8fbcp-110;
  q = round(x * set1(T(0.6366197723675814)));
  const vec<T> first = fnma(q, set1(T(sizeof(T) == 4 ? 0x1.921fb6p0 : 0x1.921fb54442d18p0)), x);
  const vec<T> p = q * set1(T(mid)), p_lo = fma(q, set1(T(end)), fma(q, set1(T(mid)), -p));
  const vec<T> r =
      first - p;  // not by fma: close to a multiple of pi/2 it would leave more than low can hold
  low = ((first - r) - p) - p_lo;
  return r;
}
NN_INLINE vec<float> sin_tail(vec<float> z) {
  const double c[] = {-1 / 6., 1 / 120., -1 / 5040., 1 / 362880.};
  return polynomial(z, c);
}
NN_INLINE vec<double> sin_tail(vec<double> z) {
  const double c[] = {-1 / 6.,        1 / 120.,        -1 / 5040.,          1 / 362880.,
                      -1 / 39916800., 1 / 6227020800., -1 / 1307674368000., 1 / 355687428096000.};
  return polynomial(z, c);
}
NN_INLINE vec<float> cos_tail(vec<float> z) {
  const double c[] = {1 / 24., -1 / 720., 1 / 40320., -1 / 3628800.};
  return polynomial(z, c);
}
NN_INLINE vec<double> cos_tail(vec<double> z) {
  const double c[] = {1 / 24.,        -1 / 720.,         1 / 40320.,         -1 / 3628800.,
                      1 / 479001600., -1 / 87178291200., 1 / 20922789888000.};
  return polynomial(z, c);
}
// sin(r + low) and cos(r + low) for |r| <= pi/4
template <class T> NN_INLINE vec<T> sin_series(vec<T> r, vec<T> low) {
  const vec<T> z = r * r;
  return r + fma(r * z, sin_tail(z), low);
}
template <class T> NN_INLINE vec<T> cos_series(vec<T> r, vec<T> low) {
  const vec<T> z = r * r, h = set1(T(0.5)) * z, w = set1(T(1)) - h;
  return w + fma(z * z, cos_tail(z), fnma(r, low, (set1(T(1)) - w) - h));
}

// sin(x + turns * pi/2)
template <class T> NN_INLINE vec<T> sin_turned(vec<T> x, T turns) {
  vec<T> q, low;
  const vec<T> r = split_pi(x, q, low);
  q = q + set1(turns);
  const vec<T> half = q * set1(T(0.5)), odd = half - floor(half);                      // 0 or 1/2
  const vec<T> quarter = floor(half) * set1(T(0.5)), flip = quarter - floor(quarter);  // 0 or 1/2
  const vec<T> y = select(gt(odd, set1(T(0))), cos_series(r, low), sin_series(r, low));
  return select(gt(flip, set1(T(0))), -y, y);
}

NN_INLINE float libm_sin(float x) { return sinf(x); }
NN_INLINE double libm_sin(double x) { return ::sin(x); }
NN_INLINE float libm_cos(float x) { return cosf(x); }
NN_INLINE double libm_cos(double x) { return ::cos(x); }
NN_INLINE float libm_tan(float x) { return tanf(x); }
NN_INLINE double libm_tan(double x) { return ::tan(x); }

// Lanes beyond the reduction's reach go through libm one by one.
template <class T, class F> NN_INLINE vec<T> beyond(vec<T> x, vec<T> y, F f) {
  const mask<T> far = ~le(abs(x), set1(T(Limits<T>::trig)));
  if (!any(far)) return y;
  T in[vec<T>::width], out[vec<T>::width];
  store(in, x);
  store(out, y);
  for (int i = 0; i < vec<T>::width; ++i)
    if (!(in[i] <= T(Limits<T>::trig) && in[i] >= -T(Limits<T>::trig))) out[i] = f(in[i]);
  return load(out);
}
template <class T> NN_INLINE vec<T> sin(vec<T> x) {
  return beyond(x, select(eq(x, set1(T(0))), x, sin_turned(x, T(0))), [](T v) { return libm_sin(v); });
}
template <class T> NN_INLINE vec<T> cos(vec<T> x) {
  return beyond(x, sin_turned(x, T(1)), [](T v) { return libm_cos(v); });
}
template <class T> NN_INLINE vec<T> tan(vec<T> x) {
  vec<T> q, low;
  const vec<T> r = split_pi(x, q, low), s = sin_series(r, low), c = cos_series(r, low);
  const vec<T> half = q * set1(T(0.5));
  const mask<T> odd = gt(half - floor(half), set1(T(0)));
  const vec<T> y = select(odd, -c, s) / select(odd, s, c);
  return beyond(x, select(eq(x, set1(T(0))), x, y), [](T v) { return libm_tan(v); });
}

// erf(x) / x in x^2 on [0, 1]
NN_INLINE vec<double> erf_small(vec<double> z) {
  const double c[] = {1.1283791670955125738,     -0.37612638903183748056,  0.11283791670954878666,
                      -0.026866170645076793248,  0.0052239776248180144673, -0.00085483269808337899,
                      0.00012055331111642711,    -0.000014925595266831182, 1.6461000484121368033e-6,
                      -1.6350312701054695011e-7, 1.4659775274047436e-8,    -1.1372848856791674e-9,
                      5.9571761477489114e-11};
  return polynomial(z, c);
}
// x e^(x^2) erfc(x) on [1, 28], in t = ((x - 2)/(x + 2) - 4/15) / 0.6
NN_INLINE vec<double> erfc_tail(vec<double> t) {
  const double c[] = {0.543034789072502509,    0.0492421218306289137,     -0.043212418615488843,
                      0.0188377003970729141,   -0.00433579117311430102,   0.0000676989790785235502,
                      0.000235265138184961432, -0.0000261280550265207783, -0.0000161873107186768772,
                      2.15202267287848699e-6,  1.50487683238084347e-6,    -9.88868216086688176e-8,
                      -1.61753633366476101e-7, -1.03113492634455217e-8,   1.65454503711705602e-8,
                      4.09689969954404312e-9,  -1.21766830707562599e-9,   -7.16445054417819945e-10,
                      5.33906566111975931e-12, 6.43858969095842398e-11,   9.21758602307885352e-12};
  return polynomial(t, c);
}

// erfc(a) for a >= 1, accurate relative to itself: e^(-a^2) with the rounding of a^2 made good
NN_INLINE vec<double> erfc_large(vec<double> a) {
  a = min(a, set1(28.0));
  const vec<double> square = a * a, lost = fma(a, a, -square);
  const vec<double> e = exp(-square), two = set1(2.0);
  const vec<double> t = ((a - two) / (a + two) - set1(4. / 15)) * set1(1 / 0.6);
  return fnma(e, lost, e) * erfc_tail(t) / a;
}
NN_INLINE vec<double> erf(vec<double> x) {
  const vec<double> a = abs(x);
  const mask<double> small = lt(a, set1(1.0));
  vec<double> y = x * erf_small(x * x);
  if (!all(small)) y = select(small, y, copysign(set1(1.0) - erfc_large(max(a, set1(1.0))), x));
  return select(is_nan(x), x, y);
}

// 2^t - 1, accurate relative to itself; 2^t must not overflow
NN_INLINE vec<float> exp2m1(vec<float> t) {
  const double c[] = {0.24022649, 0.055503707, 0.009618314, 0.0013386285, 0.00015380901};
  const vec<float> n = round(t), r = t - n, s = scale2(set1(1.0f), n);
  return fma(fma(r, set1(.693147181f), r * r * polynomial(r, c)), s, s - set1(1.0f));
}
// 1 - 2^(-a q(a)) of a = |x|: q = -log2(erfc(a)) / a, a minimax fit of the error's share in erf on [0, 3.93]
NN_INLINE vec<float> erf(vec<float> x) {
  const double c[] = {1.627907,    0.91844743,   0.14827918,    -0.027640117,  -0.00021788706,
                      0.002394681, -0.000909856, 0.00016968905, -1.3452319e-05};
  const vec<float> a = min(set1(3.93f), abs(x));
  if constexpr (vec<float>::width == 16) return copysign(piecewise<20>(a, a + set1(1.0f), kErf), x);
  return copysign(exp2m1(-a * polynomial(a, c)), x);
}

}  // namespace
}  // namespace nn
