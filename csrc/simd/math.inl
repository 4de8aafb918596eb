// Vector exp, log, sin, erf and their kin, for float and double from one text.
//
// Method everywhere: reduce the argument with fma (so that the reduction is exact or nearly so), evaluate a
// polynomial, put the parts together. Series are Taylor's where they converge fast enough, else Chebyshev
// fits made with 50 digits (erf). Errors are measured, not estimated: docs/accuracy.md, at most 2.5 ulp.
// Denormal inputs and results are zero.
namespace nn {
namespace {

// c[0] + x (c[1] + c[2] x + ...). Long ones run as two chains in x^2, since each step waits for the one
// before it; the step that c[0] ends stays alone, so that its rounding is the only large one.
template <class T, int N> NN_INLINE vec<T> polynomial(vec<T> x, const double (&c)[N]) {
  if constexpr (N < 8) {
    vec<T> y = set1(T(c[N - 1]));
#pragma GCC unroll 8
    for (int i = N - 2; i >= 0; --i) y = fma(y, x, set1(T(c[i])));
    return y;
  } else {
    const vec<T> square = x * x;
    vec<T> a = set1(T(c[N - 1])), b = set1(T(c[N - 2]));
#pragma GCC unroll 12
    for (int i = N - 3; i >= 1; i -= 2) {
      a = fma(a, square, set1(T(c[i])));
      if (i > 1) b = fma(b, square, set1(T(c[i - 1])));
    }
    return fma(N % 2 ? fma(a, x, b) : fma(b, x, a), x, set1(T(c[0])));
  }
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
template <class T> NN_INLINE vec<T> exp(vec<T> x) { return exp_scaled(x, T(0)); }

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

// log(2^e m) with m in [sqrt(1/2), sqrt(2)): with f = m - 1, s = f / (2 + f):
// log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2)), R(z) = 2z/3 + 2z^2/5 + ...; `extra` is added to the small
// terms.
NN_INLINE vec<float> log_series(vec<float> z) {
  const double c[] = {2 / 3., 2 / 5., 2 / 7., 2 / 9., 2 / 11.};
  return z * polynomial(z, c);
}
NN_INLINE vec<double> log_series(vec<double> z) {
  const double c[] = {2 / 3., 2 / 5., 2 / 7., 2 / 9., 2 / 11., 2 / 13., 2 / 15., 2 / 17., 2 / 19., 2 / 21.};
  return z * polynomial(z, c);
}

template <class T> NN_INLINE vec<T> log_parts(vec<T> x, vec<T>& e, vec<T>& half_square) {
  vec<T> m = mantissa(x);
  e = exponent(x);
  const mask<T> big = gt(m, set1(T(1.4142135623730951)));
  m = select(big, m * set1(T(0.5)), m);
  e = select(big, e + set1(T(1)), e);
  const vec<T> f = m - set1(T(1));
  half_square = set1(T(0.5)) * f * f;
  return f;
}

// s (f^2/2 + R): what log(1 + f) has beyond f - f^2/2
template <class T> NN_INLINE vec<T> log_rest(vec<T> f, vec<T> half_square) {
  const vec<T> s = f / (set1(T(2)) + f);
  return s * (half_square + log_series(s * s));
}

template <class T> NN_INLINE vec<T> log_edges(vec<T> x, vec<T> y) {
  y = select(eq(x, set1(Limits<T>::inf)), x, y);
  y = select(lt(x, set1(T(0))), set1(Limits<T>::nan), select(eq(x, set1(T(0))), set1(-Limits<T>::inf), y));
  return select(is_nan(x), x, y);
}

// log(x) + extra, extra small
template <class T> NN_INLINE vec<T> log_plus(vec<T> x, vec<T> extra) {
  constexpr double hi = sizeof(T) == 4 ? 0x1.62e4p-1 : 0x1.62e42fefa3800p-1;
  constexpr double lo = sizeof(T) == 4 ? 0x1.7f7d1cf79abc9p-20 : 0x1.ef35793c76730p-45;
  vec<T> e, h;
  const vec<T> f = log_parts(x, e, h);
  const vec<T> small = fma(e, set1(T(lo)), log_rest(f, h) + extra);
  return fma(e, set1(T(hi)), f - (h - small));
}
template <class T> NN_INLINE vec<T> log(vec<T> x) { return log_edges(x, log_plus(x, set1(T(0)))); }

template <class T> NN_INLINE vec<T> log1p(vec<T> x) {
  const vec<T> u = set1(T(1)) + x;
  const vec<T> lost = select(ge(x, set1(T(1))), set1(T(1)) - (u - x), x - (u - set1(T(1))));  // u is rounded
  const vec<T> y = log_edges(u, log_plus(u, lost / u));
  return select(eq(x, set1(T(0))), x, select(eq(x, set1(Limits<T>::inf)), x, y));
}

// log(1 + f) * c + e * d with the product of the leading part exact in two pieces
template <class T> NN_INLINE vec<T> log_base(vec<T> x, double c, double d) {
  vec<T> e, h;
  const vec<T> f = log_parts(x, e, h);
  const vec<T> top = f - h, low = (f - top) - h + log_rest(f, h);
  const vec<T> chi = set1(T(c)), clo = set1(T(c - double(T(c))));
  const vec<T> product = top * chi;
  const vec<T> rest = fma(top, chi, -product) + fma(low, chi, (top + low) * clo);
  const vec<T> whole = e * set1(T(d));
  const vec<T> whole_rest = fma(e, set1(T(d)), -whole) + e * set1(T(d - double(T(d))));
  const vec<T> sum = whole + product;
  const vec<T> carried = sum - whole;
  return log_edges(x, sum + ((product - carried) + (rest + whole_rest)));
}
template <class T> NN_INLINE vec<T> log2(vec<T> x) { return log_base(x, 1.4426950408889634, 1.0); }
template <class T> NN_INLINE vec<T> log10(vec<T> x) {
  return log_base(x, 0.4342944819032518, 0.30102999566398120);
}

// t / (t + 2) with t = e^(2|x|) - 1, as in expm1 but without its edges; NaN comes through min
template <class T> NN_INLINE vec<T> tanh(vec<T> x) {
  const vec<T> a = min(set1(T(24)), abs(x));
  vec<T> n;
  const vec<T> r = split_ln2(a + a, n);
  const vec<T> p = fma(r * r, expm1_tail(r), r);
  const vec<T> t = scale2(p + (set1(T(1)) - scale2(set1(T(1)), -n)), n);
  return copysign(t / (t + set1(T(2))), x);
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
  const vec<T> r = fnma(q, set1(T(mid)), first);
  low = fnma(q, set1(T(end)), fnma(q, set1(T(mid)), first - r));
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
NN_INLINE vec<float> erf_small(vec<float> z) {
  const double c[] = {1.128379165848350946,     -0.37612626666720331023,  0.11283594715160217732,
                      -0.026854212010626412443, 0.0051890874234339739861, -0.00080168642871658695,
                      0.000078758750626854883};
  return polynomial(z, c);
}
NN_INLINE vec<double> erf_small(vec<double> z) {
  const double c[] = {1.1283791670955125738,     -0.37612638903183748056,  0.11283791670954878666,
                      -0.026866170645076793248,  0.0052239776248180144673, -0.00085483269808337899,
                      0.00012055331111642711,    -0.000014925595266831182, 1.6461000484121368033e-6,
                      -1.6350312701054695011e-7, 1.4659775274047436e-8,    -1.1372848856791674e-9,
                      5.9571761477489114e-11};
  return polynomial(z, c);
}
// x e^(x^2) erfc(x) on [1, 28], in t = ((x - 2)/(x + 2) - 4/15) / 0.6
NN_INLINE vec<float> erfc_tail(vec<float> t) {
  const double c[] = {0.543034789072502509,    0.0492420547165590554,   -0.0432124605095675719,
                      0.018838599153663898,    -0.00433522806543426105, 0.00006442558649664292,
                      0.000233193468850534848, -0.00002164705508122797, -0.00001328259182955241};
  return polynomial(t, c);
}
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
template <class T> NN_INLINE vec<T> erfc_large(vec<T> a) {
  a = min(a, set1(T(28)));
  const vec<T> square = a * a, lost = fma(a, a, -square);
  const vec<T> e = exp(-square), two = set1(T(2));
  const vec<T> t = ((a - two) / (a + two) - set1(T(4. / 15))) * set1(T(1 / 0.6));
  return fnma(e, lost, e) * erfc_tail(t) / a;
}
template <class T> NN_INLINE vec<T> erf(vec<T> x) {
  const vec<T> a = abs(x);
  const mask<T> small = lt(a, set1(T(1)));
  vec<T> y = x * erf_small(x * x);
  if (!all(small)) y = select(small, y, copysign(set1(T(1)) - erfc_large(max(a, set1(T(1)))), x));
  return select(is_nan(x), x, y);
}

// --- powers: x^y = 2^(y log2 |x|), the logarithm and the product in two pieces
// -----------------------------------------

// log2(a) = hi + lo for a > 0, to 10 bits more than one piece holds: an error in it is multiplied by up to
// 2^10. With s = (m - 1)/(m + 1): log(m) = 2s (1 + z t), z = s^2, t = 1/3 + z (1/5 + z/7 + ...); s, z, t and
// their products carry the rounding errors of their leading pieces along.
NN_INLINE vec<float> atanh_tail(vec<float> z) {
  const double c[] = {1 / 5., 1 / 7., 1 / 9., 1 / 11., 1 / 13.};
  return z * polynomial(z, c);
}
NN_INLINE vec<double> atanh_tail(vec<double> z) {
  const double c[] = {1 / 5.,  1 / 7.,  1 / 9.,  1 / 11., 1 / 13., 1 / 15.,
                      1 / 17., 1 / 19., 1 / 21., 1 / 23., 1 / 25.};
  return z * polynomial(z, c);
}
template <class T> NN_INLINE vec<T> log2_two(vec<T> a, vec<T>& lo) {
  constexpr double third_lo = sizeof(T) == 4 ? -0x1.555556p-27 : 0x1.5555555555555p-56;
  constexpr double c_hi = sizeof(T) == 4 ? 0x1.715476p+1 : 0x1.71547652b82fep+1;  // 2 / ln2
  constexpr double c_lo = sizeof(T) == 4 ? 0x1.4ae0cp-25 : 0x1.777d0ffda0d24p-55;
  const vec<T> one = set1(T(1));
  vec<T> e, unused;
  const vec<T> f = log_parts(a, e, unused);
  const vec<T> u = f + set1(T(2)), u_lo = f - (u - set1(T(2))), inverse = one / u;
  const vec<T> s = f * inverse, s_lo = fnma(s, u_lo, fnma(s, u, f)) * inverse;
  const vec<T> z = s * s, z_lo = fma(s, s, -z) + (s + s) * s_lo;
  const vec<T> third = set1(T(1 / 3.)), tail = atanh_tail(z);
  const vec<T> t = third + tail, t_lo = (third - t) + tail + set1(T(third_lo));
  const vec<T> w = z * t, w_lo = fma(z, t, -w) + fma(z, t_lo, z_lo * t);
  const vec<T> v = one + w, v_lo = (one - v) + w + w_lo;
  const vec<T> p = s * v, p_lo = fma(s, v, -p) + fma(s, v_lo, s_lo * v);
  const vec<T> q = p * set1(T(c_hi)),
               q_lo = fma(p, set1(T(c_hi)), -q) + fma(p, set1(T(c_lo)), p_lo * set1(T(c_hi)));
  const vec<T> hi = e + q;
  lo = (e - hi) + q + q_lo;
  return hi;
}

// C's rules at the edges: x^0 = 1^y = 1, also for NaN; a negative x needs an integral y, whose oddness gives
// the sign.
template <class T> NN_INLINE vec<T> pow(vec<T> x, vec<T> y) {
  const vec<T> zero = set1(T(0)), one = set1(T(1)), inf = set1(Limits<T>::inf),
               top = set1(T(Limits<T>::max_exp + 2));
  const vec<T> a = abs(x);
  vec<T> lo, hi = log2_two(a, lo);
  const mask<T> edge = eq(a, zero) | eq(a, inf);
  hi = select(eq(a, zero), -inf, select(edge | is_nan(a), a, hi));
  const vec<T> p = y * hi;
  const mask<T> inside = lt(abs(p), top);  // beyond, the result is 0 or Inf (or NaN), whatever the low part
  const vec<T> p_lo = select(inside, fma(y, hi, -p) + y * select(edge, zero, lo), zero);
  const vec<T> bounded = min(top, max(-(top + top), p)), n = round(bounded);
  const vec<T> r = fma(bounded - n, set1(T(0.6931471805599453)), p_lo * set1(T(0.6931471805599453)));
  vec<T> power = exp_parts(r, n);
  power = select(eq(a, one) & ~is_nan(y), one, power);
  const mask<T> negative = lt(copysign(one, x), zero);
  if (any(negative)) {
    const vec<T> half = y * set1(T(0.5));
    const mask<T> odd = eq(floor(y), y) & ne(floor(half), half);
    power = select(negative & odd, -power, power);
    power =
        select(lt(x, zero) & ne(floor(y), y) & ~eq(a, inf) & ~eq(abs(y), inf), set1(Limits<T>::nan), power);
  }
  return select(eq(y, zero) | eq(x, one), one, power);
}

}  // namespace
}  // namespace nn
