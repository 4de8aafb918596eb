// What attention does to a block of scores: `keys` rows of 32 queries side by side, of which the first
// `lanes` count.
//
// Queries lie along the lanes, so maxima, sums and weights of a query never leave their lane: no step is
// horizontal. Scores are in units of log2, so that weights are exp2. Bound by exp2, which is some 13
// operations against 2 * width of the products.
namespace nn {
namespace {

constexpr int64_t kScoreRow = 32;

// 2^x for x <= 0 (or NaN)
template <class T> NN_INLINE vec<T> exp2_down(vec<T> x) {
  const vec<T> c = max(set1(T(-2 * (Limits<T>::max_exp + 2))), x), n = round(c);
  return exp_parts((c - n) * set1(T(0.6931471805599453)), n);
}

// s = cap tanh(s / cap)
template <class T> void attention_cap(T* s, int64_t n, T cap) {
  const vec<T> c = set1(cap), inverse = set1(T(1) / cap);
  each_vector<vec<T>::width>(n,
                             [&](int64_t i, int k) { store(s + i, c * tanh(load(s + i, k) * inverse), k); });
}

// s += bias in units of log2, -Inf hides whatever is there; one bias per score (step 32) or per key (step 1)
template <class T> void attention_bias(T* s, int64_t keys, int lanes, const T* bias, int64_t step) {
  const vec<T> hidden = set1(-Limits<T>::inf), unit = set1(T(1.4426950408889634));
  for (int64_t j = 0; j < keys; ++j, s += kScoreRow, bias += step)
    each_vector<vec<T>::width>(lanes, [&](int64_t i, int k) {
      const vec<T> b = step == 1 ? set1(*bias) : load(bias + i, k);
      store(s + i, select(eq(b, hidden), hidden, mul_add(b, unit, load(s + i, k))), k);
    });
}

// Key key + j is hidden from lane i unless low + i <= key + j <= high + i.
template <class T> void attention_band(T* s, int64_t keys, int lanes, T key, T low, T high) {
  const vec<T> hidden = set1(-Limits<T>::inf);
  for (int64_t j = 0; j < keys; ++j, s += kScoreRow) {
    const vec<T> at = set1(key + T(j));
    each_vector<vec<T>::width>(lanes, [&](int64_t i, int k) {
      const vec<T> lane = iota<T>() + set1(T(i));
      const mask<T> seen = ge(at, lane + set1(low)) & le(at, lane + set1(high));
      store(s + i, select(seen, load(s + i, k), hidden), k);
    });
  }
}

// s = exp2(s - top) with the new maximum; total and the `rows` rows of y follow from the old one.
template <class T>
void attention_softmax(T* s, int64_t keys, int lanes, T* top, T* total, T* y, int64_t rows) {
  constexpr int w = vec<T>::width;
  for (int i = 0; i < lanes; i += w) {
    const vec<T> old = load(top + i);
    vec<T> m[4] = {old, old, old, old};
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4)
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) m[u] = max(load(s + (j + u) * kScoreRow + i), m[u]);
    for (; j < keys; ++j) m[0] = max(load(s + j * kScoreRow + i), m[0]);
    const vec<T> now = max(max(m[0], m[1]), max(m[2], m[3]));
    const vec<T> base = select(eq(now, set1(-Limits<T>::inf)), set1(T(0)), now);
    vec<T> a0 = set1(T(0)), a1 = a0;
    for (j = 0; j + 2 <= keys; j += 2) {
      T* p = s + j * kScoreRow + i;
      const vec<T> e0 = exp2_down(load(p) - base), e1 = exp2_down(load(p + kScoreRow) - base);
      store(p, e0), store(p + kScoreRow, e1);
      a0 = a0 + e0, a1 = a1 + e1;
    }
    if (j < keys) {
      const vec<T> e = exp2_down(load(s + j * kScoreRow + i) - base);
      store(s + j * kScoreRow + i, e);
      a0 = a0 + e;
    }
    const vec<T> shrink = exp2_down(old - base);
    store(top + i, now);
    store(total + i, mul_add(load(total + i), shrink, a0 + a1));
    if (any(ne(old, now)))
      for (int64_t r = 0; r < rows; ++r) store(y + r * kScoreRow + i, load(y + r * kScoreRow + i) * shrink);
  }
}

// y /= total, 0 for a query that saw nothing; statistics = log(sum(exp(scores)))
template <class T>
void attention_finish(T* y, int64_t rows, int lanes, const T* top, const T* total, T* statistics) {
  constexpr int w = vec<T>::width;
  for (int i = 0; i < lanes; i += w) {
    const vec<T> t = load(total + i);
    const mask<T> none = eq(t, set1(T(0)));
    const vec<T> inverse = select(none, t, set1(T(1)) / t);
    for (int64_t r = 0; r < rows; ++r) store(y + r * kScoreRow + i, load(y + r * kScoreRow + i) * inverse);
    const vec<T> l = mul_add(load(top + i), set1(T(0.6931471805599453)), log(t));
    store(statistics + i, select(none, set1(-Limits<T>::inf), l));
  }
}

// s = weights exp2(s - statistics); g = s (g scale - dots)
template <class T>
void attention_grad(T* s, T* g, int64_t keys, int lanes, const T* statistics, const T* dots, T scale) {
  constexpr int w = vec<T>::width;
  const vec<T> zero = set1(T(0)), factor = set1(scale);
  for (int i = 0; i < lanes; i += w) {
    const vec<T> l = load(statistics + i), d = load(dots + i);
    for (int64_t j = 0; j < keys; ++j) {
      const int64_t at = j * kScoreRow + i;
      const vec<T> p = exp2_down(load(s + at) - l);
      store(s + at, p);
      store(g + at, select(eq(p, zero), zero, p * (load(g + at) * factor - d)));
    }
  }
}

// out[r] = sum of x[r] y[r]
template <class T>
void row_dots(const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t rows, int64_t n, T* out) {
  for (int64_t r = 0; r < rows; ++r) {
    vec<T> a = set1(T(0));
    each_vector<vec<T>::width>(n, [&](int64_t i, int k) {
      a = mul_add(load(x + r * x_step + i, k), load(y + r * y_step + i, k), a);
    });
    out[r] = sum(a);
  }
}

// Whether all of x is finite.
template <class T> bool all_finite(const T* x, int64_t n) {
  vec<T> a = set1(T(0)), b = a;
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w)
    a = mul_add(load(x + i), set1(T(0)), a), b = mul_add(load(x + i + w), set1(T(0)), b);
  for (; i < n; i += w) a = mul_add(load(x + i, int(n - i < w ? n - i : w)), set1(T(0)), a);
  return all(eq(a + b, set1(T(0))));
}

}  // namespace
}  // namespace nn
