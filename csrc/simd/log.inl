// Vector logarithms and powers, for float and double: floats with a table of 32 entries in registers, doubles
// with a division. Errors are measured: docs/accuracy.md.
namespace nn {
namespace {

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
NN_INLINE vec<double> log(vec<double> x) { return log_edges(x, log_plus(x, set1(0.0))); }

template <class T> NN_INLINE vec<T> log1p(vec<T> x) {
  const vec<T> u = set1(T(1)) + x;
  const vec<T> lost = select(ge(x, set1(T(1))), set1(T(1)) - (u - x), x - (u - set1(T(1))));  // u is rounded
  const vec<T> y = log_edges(u, log_plus(u, lost / u));
  return select(eq(x, set1(T(0))), x, select(eq(x, set1(Limits<T>::inf)), x, y));
}

// log(1 + f) * c + e * d with the product of the leading part exact in two pieces
NN_INLINE vec<double> log_base(vec<double> x, double c, double d) {
  vec<double> e, h;
  const vec<double> f = log_parts(x, e, h);
  const vec<double> top = f - h, low = (f - top) - h + log_rest(f, h);
  const vec<double> product = top * set1(c), rest = fma(top, set1(c), -product) + low * set1(c);
  const vec<double> whole = e * set1(d), whole_rest = fma(e, set1(d), -whole);
  const vec<double> sum = whole + product;
  const vec<double> carried = sum - whole;
  return log_edges(x, sum + ((product - carried) + (rest + whole_rest)));
}
NN_INLINE vec<double> log2(vec<double> x) { return log_base(x, 1.4426950408889634, 1.0); }
NN_INLINE vec<double> log10(vec<double> x) { return log_base(x, 0.4342944819032518, 0.30102999566398120); }

// Floats: x = 2^e m with m in [1, 2), and m = (1 + r) / c with c one of 32 numbers of few bits, so that
// r = m c - 1 is exact and |r| <= 1/32; the leading bits of m choose c. Around 1, c is 1, and just below a
// power of two it is 1/2, whose logarithm takes e along: nothing cancels. log2(x) = whole + lo + log(1 + r) /
// ln2, whole = e + the first 16 bits of log2(1 / c) (the table holds them as integers), exact.
// clang-format off
alignas(64) constexpr float kInverse[32] = {
            1,  0.953125,  0.921875,   0.90625,     0.875, 0.8515625,  0.828125,    0.8125,
    0.7890625, 0.7734375,      0.75,  0.734375,   0.71875,  0.703125,    0.6875,  0.671875,
      0.65625, 0.6484375, 0.6328125,     0.625,  0.609375, 0.6015625, 0.5859375,  0.578125,
       0.5625, 0.5546875,  0.546875, 0.5390625,   0.53125, 0.5234375,  0.515625,       0.5};
alignas(64) constexpr float kLog2[32] = {
         0,   4539,   7691,   9307,  12625,  15192,  17831,  19632,  22399,  24290,  27200,  29190,  31224,  33302,  35427,  37600,
     39825,  40957,  43264,  44438,  46832,  48052,  50540,  51809,  54400,  55722,  57063,  58424,  59804,  61205,  62627,  65536};
alignas(64) constexpr float kLog2Low[32] = {
                  0,   3.0188824e-6f,   1.6039585e-6f,    5.455068e-6f,   2.8660284e-6f,   4.1517856e-6f,
    0.077663366e-6f,  -0.2650161e-6f,    6.901037e-6f,    7.393592e-6f,  -1.5632212e-6f,    7.095588e-6f,
     -2.3857444e-6f,  -1.2896891e-6f,  -4.7387543e-6f,    4.776548e-6f,   1.3028072e-6f,     6.34502e-6f,
     -6.2528848e-6f,   1.8367533e-6f,  -1.8282373e-6f,  -1.8727261e-6f,   2.1102853e-6f,    4.031832e-6f,
     -3.1264424e-6f,   2.6363548e-6f,   4.7027816e-6f,  -3.9489655e-6f,   0.5376559e-6f,   -3.375028e-6f,
     -6.3019756e-6f,               0};
// clang-format on
NN_INLINE vec<float> log_split(vec<float> x, vec<float>& whole, vec<float>& lo) {
  lo = leading_entry(kLog2Low, x);
  whole = fma(leading_entry(kLog2, x), set1(0x1p-16f), exponent(x));
  return fma(mantissa(x), leading_entry(kInverse, x), set1(-1.0f));
}
// log(1 + r) for |r| <= 1/32
NN_INLINE vec<float> log1p_small(vec<float> r) {
  const double c[] = {-.5000011, .33341664, -.24593511};
  return fma(r * r, polynomial(r, c), r);
}
// log(x) to a base whose logarithm of 2 is `two`
NN_INLINE vec<float> log_of_base(vec<float> x, double two) {
  vec<float> whole, lo;
  const vec<float> s = log1p_small(log_split(x, whole, lo));
  const vec<float> small = fma(s, set1(float(two / 0.69314718055994531)), lo * set1(float(two)));
  const vec<float> y = fma(whole, set1(float(two)), small);
  return all(gt(x, set1(0.0f)) & lt(x, set1(Limits<float>::inf))) ? y : log_edges(x, y);
}
NN_INLINE vec<float> log(vec<float> x) { return log_of_base(x, 0.69314718055994531); }
NN_INLINE vec<float> log2(vec<float> x) { return log_of_base(x, 1.0); }
NN_INLINE vec<float> log10(vec<float> x) { return log_of_base(x, 0.30102999566398120); }

// --- powers: x^y = 2^(y log2 |x|), the logarithm and the product in two pieces

// log2(a) = hi + lo for a > 0, to 10 bits more than one piece holds: an error in it is multiplied by up to
// 2^10. With s = (m - 1)/(m + 1): log(m) = 2s (1 + z t), z = s^2, t = 1/3 + z (1/5 + z/7 + ...); s, z, t and
// their products carry the rounding errors of their leading pieces along.
NN_INLINE vec<double> atanh_tail(vec<double> z) {
  const double c[] = {1 / 5.,  1 / 7.,  1 / 9.,  1 / 11., 1 / 13., 1 / 15.,
                      1 / 17., 1 / 19., 1 / 21., 1 / 23., 1 / 25.};
  return z * polynomial(z, c);
}
NN_INLINE vec<double> log2_two(vec<double> a, vec<double>& lo) {
  constexpr double third_lo = 0x1.5555555555555p-56;
  constexpr double c_hi = 0x1.71547652b82fep+1;  // 2 / ln2
  constexpr double c_lo = 0x1.777d0ffda0d24p-55;
  const vec<double> one = set1(1.0);
  vec<double> e, unused;
  const vec<double> f = log_parts(a, e, unused);
  const vec<double> u = f + set1(2.0), u_lo = f - (u - set1(2.0)), inverse = one / u;
  const vec<double> s = f * inverse, s_lo = fnma(s, u_lo, fnma(s, u, f)) * inverse;
  const vec<double> z = s * s, z_lo = fma(s, s, -z) + (s + s) * s_lo;
  const vec<double> third = set1(1 / 3.), tail = atanh_tail(z);
  const vec<double> t = third + tail, t_lo = (third - t) + tail + set1(third_lo);
  const vec<double> w = z * t, w_lo = fma(z, t, -w) + fma(z, t_lo, z_lo * t);
  const vec<double> v = one + w, v_lo = (one - v) + w + w_lo;
  const vec<double> p = s * v, p_lo = fma(s, v, -p) + fma(s, v_lo, s_lo * v);
  const vec<double> q = p * set1(c_hi), q_lo = fma(p, set1(c_hi), -q) + fma(p, set1(c_lo), p_lo * set1(c_hi));
  const vec<double> hi = e + q;
  lo = (e - hi) + q + q_lo;
  return hi;
}

// With log_split: r - r^2 / 2 in two pieces, to which the rest of the series adds little.
NN_INLINE vec<float> log2_two(vec<float> a, vec<float>& lo) {
  const double c[] = {.3333347, -.25006604, .19583799};
  const vec<float> scale = set1(0x1.715476p+0f), scale_lo = set1(0x1.4ae0cp-26f), half = set1(-0.5f);
  vec<float> whole, whole_lo;
  const vec<float> r = log_split(a, whole, whole_lo), square = r * r;
  const vec<float> f = fma(half, square, r);
  const vec<float> f_lo = fma(half, fma(r, r, -square), fma(half, square, r - f));
  const vec<float> rest = fma(polynomial(r, c), r * square, f_lo);
  const vec<float> q = f * scale, q_lo = fma(rest, scale, fma(f, scale_lo, fma(f, scale, -q)));
  const vec<float> hi = whole + q;
  lo = (whole - hi) + q + (q_lo + whole_lo);
  return hi;
}

// 2^(p + lo) for |p| below the overflow's
NN_INLINE vec<float> exp2_two(vec<float> p, vec<float> lo) {
  const double c[] = {.6931472, .24022648, .055503596, .009618501, .0013390982, .00015328491};
  const vec<float> n = round(p), r = (p - n) + lo;
  return scale2(fma(r, polynomial(r, c), set1(1.0f)), n);
}
NN_INLINE vec<double> exp2_two(vec<double> p, vec<double> lo) {
  const vec<double> n = round(p), ln2 = set1(0.6931471805599453);
  return exp_parts(fma(p - n, ln2, lo * ln2), n);
}

// C's rules at the edges: x^0 = 1^y = 1, also for NaN; a negative x needs an integral y, whose oddness gives
// the sign. a = |x|, log2(a) = hi + lo where that is finite.
template <class T>
__attribute__((noinline)) vec<T> pow_edges(vec<T> x, vec<T> y, vec<T> a, vec<T> hi, vec<T> lo) {
  const vec<T> zero = set1(T(0)), one = set1(T(1)), inf = set1(Limits<T>::inf),
               top = set1(T(Limits<T>::max_exp + 2));
  const mask<T> edge = eq(a, zero) | eq(a, inf);
  hi = select(eq(a, zero), -inf, select(edge | is_nan(a), a, hi));
  const vec<T> p = y * hi;
  const mask<T> inside = lt(abs(p), top);  // beyond, the result is 0 or Inf (or NaN), whatever the low part
  const vec<T> p_lo = select(inside, fma(y, hi, -p) + y * select(edge, zero, lo), zero);
  vec<T> power = exp2_two(min(top, max(-(top + top), p)), p_lo);
  power = select(eq(a, one) & ~is_nan(y), one, power);
  const mask<T> negative = lt(copysign(one, x), zero);
  const vec<T> half = y * set1(T(0.5));
  const mask<T> odd = eq(floor(y), y) & ne(floor(half), half);
  power = select(negative & odd, -power, power);
  const mask<T> undefined = lt(x, zero) & ne(floor(y), y) & ~eq(a, inf) & ~eq(abs(y), inf);
  return select(eq(y, zero) | eq(x, one), one, select(undefined, set1(Limits<T>::nan), power));
}
template <class T> NN_INLINE vec<T> pow(vec<T> x, vec<T> y) {
  const vec<T> a = abs(x);
  vec<T> lo;
  const vec<T> hi = log2_two(a, lo), p = y * hi;
  const vec<T> power = exp2_two(p, fma(y, hi, -p) + y * lo);  // in case it is wanted: waiting costs more
  const mask<T> inside =
      gt(x, set1(T(0))) & lt(x, set1(Limits<T>::inf)) & lt(abs(p), set1(T(Limits<T>::max_exp + 2)));
  return all(inside) ? power : pow_edges(x, y, a, hi, lo);
}

}  // namespace
}  // namespace nn
