// What resampling is made of: rows added up with weights, rows resampled along their length, and numbers or
// pixels looked up.
//
// Numbers that lie outside (index < 0) are not read, so that neither their NaN nor their Inf comes through.
namespace nn {
namespace {

// y[i] = sum of weight[k] * x[k][i] for V registers, the last one of m lanes
template <class T, int V>
NN_INLINE void combine(const T* const* x, const T* weight, int64_t count, int64_t i, int m, T* y) {
  constexpr int w = vec<T>::width;
  const vec<T> first = set1(weight[0]);
  vec<T> a[V];
  for (int j = 0; j < V; ++j) {
    const T* p = x[0] + i + j * w;
    a[j] = first * (j < V - 1 ? load(p) : load(p, m));
  }
  for (int64_t k = 1; k < count; ++k) {
    const vec<T> f = set1(weight[k]);
    for (int j = 0; j < V; ++j) {
      const T* p = x[k] + i + j * w;
      a[j] = fma(f, j < V - 1 ? load(p) : load(p, m), a[j]);
    }
  }
  for (int j = 0; j < V - 1; ++j) store(y + i + j * w, a[j]);
  store(y + i + (V - 1) * w, a[V - 1], m);
}

// y[i] = sum of weight[k] * x[k][i] over `count` rows
template <class T>
NN_INLINE void combine_row(const T* const* x, const T* weight, int64_t count, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; count == 0 && i < n; ++i) y[i] = 0;
  for (; i + 4 * w <= n; i += 4 * w) combine<T, 4>(x, weight, count, i, w, y);
  const int64_t left = n - i;
  if (left > 3 * w)
    combine<T, 4>(x, weight, count, i, int(left - 3 * w), y);
  else if (left > 2 * w)
    combine<T, 3>(x, weight, count, i, int(left - 2 * w), y);
  else if (left > w)
    combine<T, 2>(x, weight, count, i, int(left - w), y);
  else if (left > 0)
    combine<T, 1>(x, weight, count, i, int(left), y);
}

// Row r of y, n numbers, is the sum of rows [first[r], first[r + 1]) of x (from first[0]) with their weights.
template <class T>
void combine_rows(const T* const* x, const int64_t* first, const T* weight, int64_t rows, int64_t n, T* y) {
  for (int64_t r = 0; r < rows; ++r)
    combine_row(x + (first[r] - first[0]), weight + (first[r] - first[0]), first[r + 1] - first[r], n,
                y + r * n);
}

template <class T> int resample_lanes() { return vec<T>::width; }

// One register of outputs in every row, whose K entries share two registers of x: `left` numbers.
template <class T, int K> void resample_near(const int32_t* index, const T* weight, const T* x,
                                             int64_t x_step, int left, int64_t rows, T* y, int64_t y_step,
                                             int m) {
  constexpr int w = vec<T>::width;
  places<T> p[K];
  vec<T> f[K];
  for (int k = 0; k < K; ++k) p[k] = load_places<T>(index + k * w), f[k] = load(weight + k * w);
  for (int64_t r = 0; r < rows; ++r, x += x_step, y += y_step) {
    const vec<T> low = load(x, left), high = load(x + w, left - w);
    vec<T> a = f[0] * permute(low, high, p[0]);
    for (int k = 1; k < K; ++k) a = fma(f[k], permute(low, high, p[k]), a);
    store(y, a, m);
  }
}

// The same of any entries.
template <class T> void resample_any(const ResampleTable<T>& t, int64_t first, int64_t end, const T* x,
                                     int64_t x_step, int64_t rows, T* y, int64_t y_step, int m) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < rows; ++r, x += x_step, y += y_step) {
    vec<T> a = set1(T(0));
    for (int64_t e = first; e < end; ++e) {
      const int32_t base = t.base[e];
      vec<T> v;
      if (base < 0) {
        v = lookup(x, t.index + e * w, m);
      } else {
        const int left = int(t.in - base < 2 * w ? t.in - base : 2 * w);
        v = permute(load(x + base, left), load(x + base + w, left - w), load_places<T>(t.index + e * w));
      }
      a = fma(load(t.weight + e * w), v, a);
    }
    store(y, a, m);
  }
}

template <class T> void resample_rows(const ResampleTable<T>& t, const T* x, int64_t x_step, int64_t rows,
                                      T* y, int64_t y_step) {
  constexpr int w = vec<T>::width;
  for (int64_t v = 0; v * w < t.out; ++v) {
    const int64_t first = t.first[v], end = t.first[v + 1];
    const int32_t base = end > first ? t.base[first] : -1;
    int64_t same = first;
    while (same < end && t.base[same] == base) ++same;
    const int64_t count = base >= 0 && same == end ? end - first : 0;
    const int m = int(t.out - v * w < w ? t.out - v * w : w),
              left = int(t.in - base < 2 * w ? t.in - base : 2 * w);
    const int32_t* index = t.index + first * w;
    const T* weight = t.weight + first * w;
    T* to = y + v * w;
    if (count == 1)
      resample_near<T, 1>(index, weight, x + base, x_step, left, rows, to, y_step, m);
    else if (count == 2)
      resample_near<T, 2>(index, weight, x + base, x_step, left, rows, to, y_step, m);
    else if (count == 4)
      resample_near<T, 4>(index, weight, x + base, x_step, left, rows, to, y_step, m);
    else
      resample_any(t, first, end, x, x_step, rows, to, y_step, m);
  }
}

// Pixels of `inner` numbers in several rows:
// y[o, :] = sum over r, k of row_weight[r] * weight[k * n + o] * x[r][index[k * n + o], :]
template <class T> void resample_pixels(const T* const* x, const T* row_weight, int64_t rows,
                                        const int32_t* index, const T* weight, int64_t count, int64_t n,
                                        int64_t inner, T* y) {
  constexpr int64_t kAtOnce = 32;
  for (int64_t o = 0; o < n; ++o, y += inner) {
    const T* from[kAtOnce];
    T factor[kAtOnce];
    int64_t found = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t at = o; at < count * n; at += n) {
        if (index[at] < 0) continue;
        if (found == kAtOnce) {  // the sum so far goes on as the first of the next
          combine_row(from, factor, found, inner, y);
          from[0] = y, factor[0] = T(1), found = 1;
        }
        from[found] = x[r] + index[at] * inner, factor[found++] = row_weight[r] * weight[at];
      }
    combine_row(from, factor, found, inner, y);
  }
}

}  // namespace
}  // namespace nn
