// Attention of one query, as in decoding: scores, weights, sum of values. Keys and values are read once, rows
// asked for ahead; bound by bytes.
namespace nn {
namespace {

constexpr int64_t kRowsAhead = 24;

// s[j] = q . k[j]: as many rows at a time as a register has lanes, neighbours' sums side by side.
template <class T> void query_scores(const T* q, const T* k, int64_t step, int64_t keys, int64_t n, T* s) {
  constexpr int w = vec<T>::width;
  int64_t j = 0;
  for (; j + w <= keys; j += w, k += w * step) {
    vec<T> a[w];
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) a[i] = set1(T(0));
    each_vector<w>(n, [&](int64_t d, int m) __attribute__((always_inline)) {
      const vec<T> x = load(q + d, m);
#pragma GCC unroll 16
      for (int i = 0; i < w; ++i) {
        __builtin_prefetch(k + (i + kRowsAhead) * step + d);
        a[i] = mul_add(x, load(k + i * step + d, m), a[i]);
      }
    });
#pragma GCC unroll 4
    for (int half = w / 2; half; half /= 2)
#pragma GCC unroll 8
      for (int i = 0; i < half; ++i) a[i] = even(a[2 * i], a[2 * i + 1]) + odd(a[2 * i], a[2 * i + 1]);
    store(s + j, a[0]);
  }
  for (; j < keys; ++j, k += step) {
    vec<T> a = set1(T(0));
    each_vector<w>(n, [&](int64_t d, int m) { a = mul_add(load(q + d, m), load(k + d, m), a); });
    s[j] = sum(a);
  }
}

// s = exp(s - top) with the maximum, and its sum; the first of `values` are asked for meanwhile
template <class T> T query_weights(T* s, int64_t n, T* top, const T* values) {
  *top = reduce_row<kMax, T>(s, n);
  return exp_row<T, 4>(s, n, *top, s, values);
}

// y = scale * sum of s[j] v[j], four registers of columns at a time, even and odd rows apart
template <class T>
void query_values(const T* s, const T* v, int64_t step, int64_t keys, int64_t n, T scale, T* y) {
  constexpr int w = vec<T>::width;
  each_vector<4 * w>(n, [&](int64_t c, int count) __attribute__((always_inline)) {
    vec<T> a[2][4];
    int lanes[4];
    for (int u = 0; u < 4; ++u) {
      a[0][u] = a[1][u] = set1(T(0));
      lanes[u] = count - u * w < 0 ? 0 : count - u * w < w ? count - u * w : w;
    }
    const T* p = v + c;
    int64_t j = 0;
    for (; j + 2 <= keys; j += 2, p += 2 * step)
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const vec<T> x = set1(s[j + i]);
#pragma GCC unroll 4
        for (int u = 0; u < 4; ++u) {
          __builtin_prefetch(p + (i + kRowsAhead) * step + u * w);
          a[i][u] = mul_add(x, load(p + i * step + u * w, lanes[u]), a[i][u]);
        }
      }
    for (int u = 0; u < 4; ++u) {
      if (j < keys) a[0][u] = mul_add(set1(s[j]), load(p + u * w, lanes[u]), a[0][u]);
      store(y + c + u * w, (a[0][u] + a[1][u]) * set1(scale), lanes[u]);
    }
  });
}

}  // namespace
}  // namespace nn
