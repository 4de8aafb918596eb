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
      a[j] = mul_add(f, j < V - 1 ? load(p) : load(p, m), a[j]);
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

// The same for short rows of two each: V registers, the last of which ends where the row ends. Memory is
// asked for what will be written.
template <class T, int V>
NN_INLINE void combine_pairs(const T* const* x, const T* weight, int64_t rows, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  const auto get = [&](const T* p) { return V == 1 ? load(p, int(n)) : load(p); };
  for (int64_t r = 0; r < rows; ++r, x += 2, weight += 2, y += n) {
    const vec<T> f = set1(weight[0]), g = set1(weight[1]);
    vec<T> a[V];
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) {
      const int64_t at = j && j == V - 1 ? n - w : j * w;
      ask_ahead<1>(y + 4096 / sizeof(T) + at);
      a[j] = mul_add(g, get(x[1] + at), f * get(x[0] + at));
    }
    if (V == 1) store(y, a[0], int(n));
#pragma GCC unroll 4
    for (int j = 0; V > 1 && j < V; ++j) store(y + (j == V - 1 ? n - w : j * w), a[j]);
  }
}

// Row r of y, n numbers, is the sum of rows [first[r], first[r + 1]) of x (from first[0]) with their weights.
template <class T>
void combine_rows(const T* const* x, const int64_t* first, const T* weight, int64_t rows, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  bool pairs = n <= 4 * w;
  for (int64_t r = 0; pairs && r < rows; ++r) pairs = first[r + 1] - first[r] == 2;
  if (pairs && n > 3 * w) return combine_pairs<T, 4>(x, weight, rows, n, y);
  if (pairs && n > 2 * w) return combine_pairs<T, 3>(x, weight, rows, n, y);
  if (pairs && n > w) return combine_pairs<T, 2>(x, weight, rows, n, y);
  if (pairs && n > 0) return combine_pairs<T, 1>(x, weight, rows, n, y);
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
    for (int k = 1; k < K; ++k) a = mul_add(f[k], permute(low, high, p[k]), a);
    store(y, a, m);
  }
}

template <class T>
NN_INLINE vec<T> sum_entries(const ResampleTable<T>& t, int64_t first, int64_t end, const T* x, int m) {
  constexpr int w = vec<T>::width;
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
    a = mul_add(load(t.weight + e * w), v, a);
  }
  return a;
}

// The same of any entries.
template <class T> void resample_any(const ResampleTable<T>& t, int64_t first, int64_t end, const T* x,
                                     int64_t x_step, int64_t rows, T* y, int64_t y_step, int m) {
  for (int64_t r = 0; r < rows; ++r, x += x_step, y += y_step) store(y, sum_entries(t, first, end, x, m), m);
}

// V registers from v on of every row, for repeat_rows. Row by row: y is asked for line by line then.
// make(from, k): register v + k of the row of x at `from`
template <class T, int V, class F> NN_INLINE void repeat_row_by_row(const T* x, const int64_t* source,
                                                                    int64_t rows, T* y, int64_t out, int m,
                                                                    F&& make) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < rows;) {
    const int64_t same = source[r];
    const T* from = x + same;
    ask_ahead(from + 2048 / sizeof(T)), ask_ahead(from + 2112 / sizeof(T));
    vec<T> a[V];
#pragma GCC unroll 4
    for (int k = 0; k < V; ++k) a[k] = make(from, k);
    do {
      for (int k = 0; k < V; ++k) ask_ahead<1>(y + 4096 / sizeof(T) + k * w);
#pragma GCC unroll 4
      for (int k = 0; k < V - 1; ++k) store(y + k * w, a[k]);
      store(y + (V - 1) * w, a[V - 1], m), y += out;
    } while (++r < rows && source[r] == same);
  }
}

template <class T, int V> void repeat_some(const ResampleTable<T>& t, int64_t v, const T* x,
                                           const int64_t* source, int64_t rows, T* y) {
  constexpr int w = vec<T>::width;
  const int m = int(t.out - (v + V - 1) * w < w ? t.out - (v + V - 1) * w : w);
  const int64_t first_entry = t.first[v];
  bool near = t.first[v + V] - first_entry == V;  // each register has one entry, of two registers of x
  for (int64_t e = first_entry; near && e < first_entry + V; ++e) near = t.base[e] >= 0;
  if (!near)
    return repeat_row_by_row<T, V>(x, source, rows, y, t.out, m, [&](const T* from, int k) {
      return sum_entries(t, t.first[v + k], t.first[v + k + 1], from, k < V - 1 ? w : m);
    });
  places<T> at[V];
  int64_t base[V];
  mask<T> low[V], high[V];
  for (int k = 0; k < V; ++k) {
    const int64_t e = first_entry + k;
    at[k] = load_places<T>(t.index + e * w), base[k] = t.base[e];
    const int left = int(t.in - base[k] < 2 * w ? t.in - base[k] : 2 * w);
    low[k] = first<T>(left), high[k] = first<T>(left - w);
  }
  repeat_row_by_row<T, V>(x, source, rows, y, t.out, m, [&](const T* from, int k) {
    return permute(load_where(low[k], from + base[k]), load_where(high[k], from + base[k] + w), at[k]);
  });
}

// Row r of y is the row of x at source[r], its numbers put by the table, whose weights are 1. Rows that
// repeat stand side by side.
template <class T>
void repeat_rows(const ResampleTable<T>& t, const T* x, const int64_t* source, int64_t rows, T* y) {
  constexpr int w = vec<T>::width;
  const int64_t registers = (t.out + w - 1) / w;
  int64_t v = 0;
  for (; v + 4 <= registers; v += 4) repeat_some<T, 4>(t, v, x, source, rows, y + v * w);
  if (registers - v == 3) repeat_some<T, 3>(t, v, x, source, rows, y + v * w);
  if (registers - v == 2) repeat_some<T, 2>(t, v, x, source, rows, y + v * w);
  if (registers - v == 1) repeat_some<T, 1>(t, v, x, source, rows, y + v * w);
}

// w outputs, the last register of m lanes: each the sum of `rows` rows of K numbers of x.
template <class T, int K> NN_INLINE vec<T> block_sums(const T* x, int64_t x_step, int64_t rows, int m) {
  constexpr int w = vec<T>::width;
  vec<T> s[K];
  for (int k = 0; k < K; ++k) s[k] = load(x + k * w, m * K - k * w);
  for (int64_t r = 1; r < rows; ++r)
    for (int k = 0; k < K; ++k) s[k] = s[k] + load(x + r * x_step + k * w, m * K - k * w);
  for (int n = K / 2; n > 0; n /= 2)
    for (int j = 0; j < n; ++j) s[j] = even(s[2 * j], s[2 * j + 1]) + odd(s[2 * j], s[2 * j + 1]);
  return s[0];
}

template <class T, int K>
NN_INLINE void block_row(const T* x, int64_t x_step, int64_t rows, int64_t out, T scale, T* y) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; i + w <= out; i += w) store(y + i, set1(scale) * block_sums<T, K>(x + i * K, x_step, rows, w));
  if (i < out)
    store(y + i, set1(scale) * block_sums<T, K>(x + i * K, x_step, rows, int(out - i)), int(out - i));
}

// Each of y's numbers, `rows` rows of `out`, is the sum of a block of `high` x `wide` numbers of x, by a
// scale.
template <class T> void block_rows(const T* x, int64_t x_step, int64_t rows, int64_t high, int64_t wide,
                                   int64_t out, T scale, T* y) {
  for (int64_t r = 0; r < rows; ++r, x += high * x_step, y += out)
    if (wide == 4)
      block_row<T, 4>(x, x_step, high, out, scale, y);
    else
      block_row<T, 2>(x, x_step, high, out, scale, y);
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
template <class T, int N> NN_INLINE void combine_few(const T* const* x, const T* weight, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  vec<T> f[N];
  for (int k = 0; k < N; ++k) f[k] = set1(weight[k]);
  int64_t i = 0;
  for (; i + w <= n; i += w) {
    vec<T> a = f[0] * load(x[0] + i);
    for (int k = 1; k < N; ++k) a = mul_add(f[k], load(x[k] + i), a);
    store(y + i, a);
  }
  if (i == n) return;
  const int m = int(n - i);
  vec<T> a = f[0] * load(x[0] + i, m);
  for (int k = 1; k < N; ++k) a = mul_add(f[k], load(x[k] + i, m), a);
  store(y + i, a, m);
}

// y = f * a + g * b, n numbers
template <class T> NN_INLINE void combine_two(const T* a, T f, const T* b, T g, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  const vec<T> first = set1(f), second = set1(g);
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    vec<T> sum[4];
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sum[k] = mul_add(second, load(b + i + k * w), first * load(a + i + k * w));
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store(y + i + k * w, sum[k]);
  }
  for (; i + w <= n; i += w) store(y + i, mul_add(second, load(b + i), first * load(a + i)));
  if (i == n) return;
  const int m = int(n - i);
  store(y + i, mul_add(second, load(b + i, m), first * load(a + i, m)), m);
}

// Memory for the pixel 4 KB behind y: what is done for a pixel hides little of a miss.
template <class T> NN_INLINE void ask_pixel(T* y, int64_t inner) {
  constexpr int64_t line = 64 / sizeof(T);
  for (int64_t i = 0; i < inner; i += line) __builtin_prefetch(y + 64 * line + i, 1);
}

// The same of one place in one row. (Not inlined: the loop of the others is then faster.)
template <class T> __attribute__((noinline)) void pick_pixels(const T* x, T row_weight, const int32_t* index,
                                                              const T* weight, int64_t n, int64_t inner,
                                                              T* y) {
  for (int64_t o = 0; o < n; ++o, y += inner) {
    if (!lines_are_fetched) ask_pixel(y, inner);
    if (index[o] < 0) {
      combine_row<T>(&x, &row_weight, 0, inner, y);
    } else {
      const T *from = x + index[o] * inner, factor = row_weight * weight[o];
      combine_few<T, 1>(&from, &factor, inner, y);
    }
  }
}

template <class T> void resample_pixels(const T* const* x, const T* row_weight, int64_t rows,
                                        const int32_t* index, const T* weight, int64_t count, int64_t n,
                                        int64_t inner, T* y) {
  if (rows == 1 && count == 1) return pick_pixels(x[0], row_weight[0], index, weight, n, inner, y);
  constexpr int64_t kAtOnce = 32, line = 64 / sizeof(T);
  const bool shrinking = n > 0 && index[n - 1] >= n;  // x is more than y: asked for ahead
  const auto fetch = [&](const T* p) {
    for (int64_t i = 0; shrinking && i < inner; i += line) __builtin_prefetch(p + 32 * line + i);
  };
  for (int64_t o = 0; o < n; ++o, y += inner) {
    ask_pixel(y, inner);
    const T* from[kAtOnce];
    T factor[kAtOnce];
    if (rows == 1 && count == 2 && index[o] >= 0 && index[n + o] >= 0) {
      const T *left = x[0] + index[o] * inner, *right = x[0] + index[n + o] * inner;
      fetch(left), fetch(right);
      combine_two(left, row_weight[0] * weight[o], right, row_weight[0] * weight[n + o], inner, y);
      continue;
    }
    if (rows == 2 && count == 2 && index[o] >= 0 && index[n + o] >= 0) {
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) {
        from[k] = x[k / 2] + index[k % 2 * n + o] * inner,
        factor[k] = row_weight[k / 2] * weight[k % 2 * n + o];
        fetch(from[k]);
      }
      combine_few<T, 4>(from, factor, inner, y);
      continue;
    }
    int64_t found = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t at = o; at < count * n; at += n) {
        if (index[at] < 0) continue;
        if (found == kAtOnce) {  // the sum so far goes on as the first of the next
          combine_row(from, factor, found, inner, y);
          from[0] = y, factor[0] = T(1), found = 1;
        }
        from[found] = x[r] + index[at] * inner, factor[found] = row_weight[r] * weight[at];
        fetch(from[found++]);
      }
    if (found == 4)
      combine_few<T, 4>(from, factor, inner, y);
    else
      combine_row(from, factor, found, inner, y);
  }
}

}  // namespace
}  // namespace nn
