// What resampling is made of: rows added up with weights, and one row looked up at several places.
//
// Numbers that lie outside (index < 0) are not read, so that neither their NaN nor their Inf comes through.
namespace nn {
namespace {

// y[i] = sum of weight[k] * x[k][i] over `count` rows
template <class T> void combine_rows(const T* const* x, const T* weight, int64_t count, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; count == 0 && i < n; ++i) y[i] = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    const vec<T> first = set1(weight[0]);
    vec<T> a[4];
    for (int j = 0; j < 4; ++j) a[j] = first * load(x[0] + i + j * w);
    for (int64_t k = 1; k < count; ++k) {
      const vec<T> f = set1(weight[k]);
      for (int j = 0; j < 4; ++j) a[j] = fma(f, load(x[k] + i + j * w), a[j]);
    }
    for (int j = 0; j < 4; ++j) store(y + i + j * w, a[j]);
  }
  for (; i < n; i += w) {
    const int m = n - i < w ? int(n - i) : w;
    vec<T> a = set1(weight[0]) * load(x[0] + i, m);
    for (int64_t k = 1; k < count; ++k) a = fma(set1(weight[k]), load(x[k] + i, m), a);
    store(y + i, a, m);
  }
}

// y[o] = sum over k of weight[k * n + o] * x[index[k * n + o]]
template <class T>
void resample_row(const T* x, const int32_t* index, const T* weight, int64_t count, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; o += w) {
    const int m = n - o < w ? int(n - o) : w;
    vec<T> a = load(weight + o, m) * lookup(x, index + o, m);
    for (int64_t k = 1; k < count; ++k)
      a = fma(load(weight + k * n + o, m), lookup(x, index + k * n + o, m), a);
    store(y + o, a, m);
  }
}

// The same of pixels of `inner` numbers: y[o, :] = sum over k of weight[k * n + o] * x[index[k * n + o], :]
template <class T> void resample_pixels(const T* x, const int32_t* index, const T* weight, int64_t count,
                                        int64_t n, int64_t inner, T* y) {
  constexpr int64_t kAtOnce = 32;
  for (int64_t o = 0; o < n; ++o, y += inner) {
    const T* from[kAtOnce];
    T factor[kAtOnce];
    for (int64_t k0 = 0; k0 < count; k0 += kAtOnce - 1) {
      int64_t found = 0;
      if (k0) from[0] = y, factor[0] = T(1), found = 1;  // go on with the sum so far
      for (int64_t k = k0; k < count && k < k0 + kAtOnce - 1; ++k) {
        const int64_t at = k * n + o;
        if (index[at] < 0) continue;
        from[found] = x + index[at] * inner, factor[found++] = weight[at];
      }
      combine_rows<T>(from, factor, found, inner, y);
    }
  }
}

}  // namespace
}  // namespace nn
