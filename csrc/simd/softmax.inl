// Softmax along rows (dense) and along columns (one lane per column), forward and backward, and the pieces of
// cross-entropy.
//
// The maximum is taken out first, so nothing overflows. A row that fits the cache is read three times but
// fetched once. Bound by exp (rows in cache) or by bytes.
namespace nn {
namespace {

// Each f(i, n) handles lanes i .. i + n - 1; whole registers get a constant n.
template <int w, class F> NN_INLINE void each_vector(int64_t size, F&& f) {
  int64_t i = 0;
  for (; i + w <= size; i += w) f(i, w);
  if (i < size) f(i, int(size - i));
}

// Whether a row is short enough for the caches to hold the next one beside it.
template <class T> NN_INLINE bool fetch_next(int64_t n) { return n * int64_t(sizeof(T)) <= 256 << 10; }

template <class T> NN_INLINE void prefetch(const T* x, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(x + i);
}

// sum of exp(x - top); the terms are kept in y if there is one. Numbers from `next` on, `times` as many, are
// asked for meanwhile: memory has nothing else to do.
template <class T, int times = 1> NN_INLINE T exp_row(const T* x, int64_t n, T top, T* y, const T* next) {
  constexpr int w = vec<T>::width;
  const vec<T> t = set1(top);
  vec<T> a0 = set1(T(0)), a1 = a0;
  int64_t i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    prefetch(next + times * i, times * 2 * w);
    const vec<T> e0 = exp(load(x + i) - t), e1 = exp(load(x + i + w) - t);
    if (y) store(y + i, e0), store(y + i + w, e1);
    a0 = a0 + e0, a1 = a1 + e1;
  }
  for (; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const vec<T> e = exp(load(x + i, k) - t);
    if (y) store(y + i, e, k);
    a0 = select(first<T>(k), a0 + e, a0);
  }
  return sum(a0 + a1);
}

NN_INLINE float log_of(float x) { return logf(x); }
NN_INLINE double log_of(double x) { return ::log(x); }

// y[i] = f(i, k) for all n; past the caches if `streamed`, from the first aligned register on.
template <class T, class F> NN_INLINE void write_row(bool streamed, T* y, int64_t n, F&& f) {
  constexpr int w = vec<T>::width;
  if (!streamed) return each_vector<w>(n, [&](int64_t i, int k) { store(y + i, f(i, k), k); });
  const int64_t ahead = int64_t(-reinterpret_cast<uintptr_t>(y) % sizeof(vec<T>) / sizeof(T));
  int64_t i = ahead < n ? ahead : n;
  if (i) store(y, f(0, int(i)), int(i));
  for (; i + w <= n; i += w) stream(y + i, f(i, w));
  if (i < n) store(y + i, f(i, int(n - i)), int(n - i));
  stream_fence();
}

// y = softmax (or its log) of each of `rows` rows of n elements; streamed: y is too large for any cache
template <class T> void softmax_rows(bool is_log, bool streamed, const T* x, int64_t rows, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const T top = reduce_row<kMax, T>(x, n), *next = fetch_next<T>(n) ? x + n : x;
    if (is_log) {
      const vec<T> t = set1(top), l = set1(log_of(exp_row<T>(x, n, top, nullptr, next)));
      write_row(streamed, y, n, [&](int64_t i, int k) { return load(x + i, k) - t - l; });
    } else {  // not streamed: the terms stand in y
      const vec<T> scale = set1(T(1) / exp_row<T>(x, n, top, y, next));
      each_vector<w>(n, [&](int64_t i, int k) { store(y + i, load(y + i, k) * scale, k); });
    }
  }
}

// gx = y (gy - sum(gy y)); of the log: gx = gy - exp(y) sum(gy)
template <class T> void softmax_backward_rows(bool is_log, bool streamed, const T* gy, const T* y,
                                              int64_t rows, int64_t n, T* gx) {
  constexpr int w = vec<T>::width;
  const int64_t ahead = fetch_next<T>(2 * n) ? n : 0;
  for (int64_t r = 0; r < rows; ++r, gy += n, y += n, gx += n) {
    if (is_log) {
      const vec<T> s = set1(reduce_row<kSum, T>(gy, n));
      write_row(streamed, gx, n, [&](int64_t i, int k) {
        prefetch(gy + ahead + i, w);
        return neg_mul_add(exp(load(y + i, k)), s, load(gy + i, k));
      });
    } else {
      vec<T> a = set1(T(0)), b = a;
      each_vector<2 * w>(n, [&](int64_t i, int k) {
        a = mul_add(load(gy + i, k), load(y + i, k), a);
        if (k > w) b = mul_add(load(gy + i + w, k - w), load(y + i + w, k - w), b);
      });
      const vec<T> s = set1(sum(a + b));
      write_row(streamed, gx, n, [&](int64_t i, int k) {
        prefetch(gy + ahead + i, w), prefetch(y + ahead + i, w);
        return load(y + i, k) * (load(gy + i, k) - s);
      });
    }
  }
}

// q w of class c of the columns whose targets stand at `at`.
template <class T> NN_INLINE vec<T> column_mass(const ClassTargets<T>& q, int64_t c, int64_t at, int m) {
  const vec<T> even = set1(q.even), share = q.t ? mul_add(set1(q.keep), load(q.t + at, m), even) : even;
  return q.w ? share * set1(q.w[c]) : share;
}

// Down the columns of a matrix whose rows are `step` apart, a strip of registers at a time (each_strip of
// reduce.inl).

// Rows of a strip that are kept beside each other on the stack: rows that are a power of two apart share a
// few sets of every cache, and would have to be fetched again for each pass.
constexpr int kStripRows = 64;

// top[j] and total[j] = sum(exp(x - top)) of k registers of columns. kept: room for k * width * n elements,
// or null; it gets the terms if `keep_terms`, else x itself; y gets the terms if there is no room and
// `keep_terms`.
template <int k, class T> NN_INLINE void exp_strip(const T* x, int64_t step, int64_t n, int m, vec<T>* top,
                                                   vec<T>* total, T* kept, bool keep_terms, T* y) {
  constexpr int w = vec<T>::width;
  const T* from = kept ? kept : x;
  const int64_t from_step = kept ? k * w : step;
  for (int i = 0; i < k; ++i) top[i] = set1(-T(INFINITY)), total[i] = set1(T(0));
  for (int64_t r = 0; r < n; ++r)
    for (int i = 0; i < k; ++i) {
      const vec<T> v = load(x + r * step + i * w, m);
      if (kept) store(kept + r * k * w + i * w, v);
      top[i] = combine<kMax, T>(v, top[i]);
    }
  for (int64_t r = 0; r < n; ++r)
    for (int i = 0; i < k; ++i) {
      const vec<T> e =
          exp((kept ? load(from + r * from_step + i * w) : load(from + r * from_step + i * w, m)) - top[i]);
      total[i] = total[i] + e;
      if (!keep_terms) continue;
      if (kept)
        store(kept + r * k * w + i * w, e);
      else
        store(y + r * step + i * w, e, m);
    }
}
template <class T> void softmax_cols(bool is_log, const T* x, int64_t step, int64_t n, int64_t cols, T* y) {
  constexpr int w = vec<T>::width;
  each_strip<w>(cols, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> top[k], total[k];
    T block[k * w * kStripRows];
    T* kept = n <= kStripRows ? block : nullptr;
    exp_strip<k, T>(x + j, step, n, m, top, total, kept, !is_log, y + j);
    for (int i = 0; i < k; ++i) total[i] = is_log ? log(total[i]) : set1(T(1)) / total[i];
    for (int64_t r = 0; r < n; ++r)
      for (int i = 0; i < k; ++i) {
        const int64_t at = r * step + j + i * w;
        const vec<T> v = kept ? load(kept + r * k * w + i * w) : load((is_log ? x : y) + at, m);
        store(y + at, is_log ? v - top[i] - total[i] : v * total[i], m);
      }
  });
}

template <class T> void softmax_backward_cols(bool is_log, const T* gy, const T* y, int64_t step, int64_t n,
                                              int64_t cols, T* gx) {
  constexpr int w = vec<T>::width;
  each_strip<w>(cols, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> total[k];
    for (int i = 0; i < k; ++i) total[i] = set1(T(0));
    for (int64_t r = 0; r < n; ++r)
      for (int i = 0; i < k; ++i) {
        const vec<T> g = load(gy + r * step + j + i * w, m);
        total[i] = is_log ? total[i] + g : mul_add(g, load(y + r * step + j + i * w, m), total[i]);
      }
    for (int64_t r = 0; r < n; ++r)
      for (int i = 0; i < k; ++i) {
        const int64_t at = r * step + j + i * w;
        const vec<T> g = load(gy + at, m), p = load(y + at, m);
        store(gx + at, is_log ? neg_mul_add(exp(p), total[i], g) : p * (g - total[i]), m);
      }
  });
}

// top[r] = max of row r; log_sum[r] = log(sum(exp(row - top)))
template <class T> void log_sum_exp_rows(const T* x, int64_t rows, int64_t n, T* top, T* log_sum) {
  for (int64_t r = 0; r < rows; ++r, x += n) {
    top[r] = reduce_row<kMax, T>(x, n);
    log_sum[r] = log_of(exp_row<T>(x, n, top[r], nullptr, fetch_next<T>(n) ? x + n : x));
  }
}

// The same of each column, and loss = -sum of q w (x - top - log_sum), 0 where q w is.
template <class T> void log_sum_exp_cols(const T* x, int64_t step, int64_t n, int64_t cols,
                                         const ClassTargets<T>& q, T* top, T* log_sum, T* loss) {
  constexpr int w = vec<T>::width;
  const vec<T> zero = set1(T(0));
  each_strip<w>(cols, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> t[k], total[k], l[k];
    T block[k * w * kStripRows];
    T* kept = n <= kStripRows ? block : nullptr;
    exp_strip<k, T>(x + j, step, n, m, t, total, kept, false, nullptr);
    for (int i = 0; i < k; ++i) {
      l[i] = log(total[i]), total[i] = zero;
      store(top + j + i * w, t[i], m), store(log_sum + j + i * w, l[i], m);
    }
    for (int64_t r = 0; r < n && q.ask(); ++r)
      for (int i = 0; i < k; ++i) {
        const int64_t at = r * step + j + i * w;
        const vec<T> share = column_mass(q, r, at, m);
        const vec<T> v = kept ? load(kept + r * k * w + i * w) : load(x + at, m);
        total[i] = total[i] + select(eq(share, zero), zero, share * (l[i] - (v - t[i])));
      }
    for (int i = 0; i < k; ++i) store(loss + j + i * w, total[i], m);
  });
}

// What a target asks of row x: q_c = keep t_c + even of classes c (t null: 0), times w_c (w null: 1).
template <class T>
NN_INLINE vec<T> target_mass(const T* t, const T* w, vec<T> keep, vec<T> even, int64_t i, int k) {
  const vec<T> q = t ? mul_add(keep, load(t + i, k), even) : even;
  return w ? q * load(w + i, k) : q;
}

// loss = -sum of q w (x - top - log_sum), 0 where q w is; mass = sum of q w
template <class T> void target_loss_row(const T* x, const T* t, const T* w, int64_t n, T top, T log_sum,
                                        T keep, T even, T* loss, T* mass) {
  constexpr int width = vec<T>::width;
  const vec<T> top_ = set1(top), log_sum_ = set1(log_sum), keep_ = set1(keep), even_ = set1(even),
               zero = set1(T(0));
  vec<T> total = zero, weights = zero;
  each_vector<width>(n, [&](int64_t i, int k) {
    const vec<T> q = select(first<T>(k), target_mass(t, w, keep_, even_, i, k), zero);
    weights = weights + q;
    total = total + select(eq(q, zero), zero, q * (log_sum_ - (load(x + i, k) - top_)));
  });
  *loss = sum(total), *mass = sum(weights);
}

// y = scale * exp(x - top - log_sum) - q w, without the second part if keep and even are 0
template <class T> void scaled_softmax_row(const T* x, const T* t, const T* w, int64_t n, T top, T log_sum,
                                           T scale, T keep, T even, T* y) {
  constexpr int width = vec<T>::width;
  const vec<T> top_ = set1(top), l = set1(log_sum), s = set1(scale), keep_ = set1(keep), even_ = set1(even);
  if (keep == 0 && even == 0)
    return each_vector<width>(n,
                              [&](int64_t i, int k) { store(y + i, s * exp(load(x + i, k) - top_ - l), k); });
  each_vector<width>(n, [&](int64_t i, int k) {
    store(y + i, s * exp(load(x + i, k) - top_ - l) - target_mass(t, w, keep_, even_, i, k), k);
  });
}

// y = scale[j] exp(x - top[j] - log_sum[j]) - share[j] q w in column j; scale null: share times the sum of q
// w
template <class T> void scaled_softmax_cols(const T* x, int64_t step, int64_t n, int64_t cols, const T* top,
                                            const T* log_sum, const ClassTargets<T>& q, const T* share,
                                            const T* scale, T* y) {
  constexpr int w = vec<T>::width;
  each_strip<w>(cols, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> s[k], t[k], l[k], g[k];
    T block[k * w * kStripRows];  // the targets' masses, for the reason that exp_strip has
    T* kept = q.t && n <= kStripRows ? block : nullptr;
    for (int i = 0; i < k; ++i) {
      const int64_t at = j + i * w;
      t[i] = load(top + at, m), l[i] = load(log_sum + at, m), g[i] = load(share + at, m);
      s[i] = scale ? load(scale + at, m) : set1(T(0));
    }
    if (!scale || kept) {
      vec<T> mass[k];
      for (int i = 0; i < k; ++i) mass[i] = set1(T(0));
      for (int64_t r = 0; r < n; ++r)
        for (int i = 0; i < k; ++i) {
          const vec<T> here = column_mass(q, r, r * step + j + i * w, m);
          if (kept) store(kept + (r * k + i) * w, here);
          mass[i] = mass[i] + here;
        }
      for (int i = 0; i < k && !scale; ++i) s[i] = g[i] * mass[i];
    }
    for (int64_t r = 0; r < n; ++r)
      for (int i = 0; i < k; ++i) {
        const int64_t at = r * step + j + i * w;
        vec<T> v = s[i] * exp(load(x + at, m) - t[i] - l[i]);
        if (kept)
          v = neg_mul_add(g[i], load(kept + (r * k + i) * w), v);
        else if (q.ask())
          v = neg_mul_add(g[i], column_mass(q, r, at, m), v);
        store(y + at, v, m);
      }
  });
}

}  // namespace
}  // namespace nn
