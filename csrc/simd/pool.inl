// Pooling of rows: maximum, minimum and average of windows, and the taps of the winners.
//
// Windows of two or three elements, one or two apart, are put together from registers of the rows, where
// these lie (pool_parts.inl). Else what a run of windows meets stands in slots of scratch, between neutral
// elements, so that no lane needs a mask: without winners one slot per row, into which the rows of a window
// are folded, down the columns; with winners a copy of each of these rows. Then windows are folded along the
// slots. A stride of two takes every other lane of two registers. Some rows' slots are filled before the
// first is read, since loads that straddle two stores wait for both. Winners: taps are visited in their
// order, since ties go to the first one and NaN to the last one (PyTorch's rule). Bound by bytes for windows
// up to about 3 x 3.
namespace nn {
namespace {

template <int op, class T> NN_INLINE T fold_one(T a, T x) {
  if constexpr (op == kSum) return a + x;
  if constexpr (op == kMax) return a != a || a > x ? a : x;
  return a != a || a < x ? a : x;
}

// put(j, a, m) for each register a of column folds of rows x + offset[e], e < count, of n elements
template <int op, class T, class F>
NN_INLINE void fold_columns(const T* x, const int64_t* offset, int count, int64_t n, F&& put) {
  constexpr int w = vec<T>::width;
  each_strip<w>(n, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> a[k];
    for (int i = 0; i < k; ++i) a[i] = load(x + offset[0] + j + i * w, m);
    for (int e = 1; e < count; ++e)
      for (int i = 0; i < k; ++i) a[i] = combine<op, T>(a[i], load(x + offset[e] + j + i * w, m));
    for (int i = 0; i < k; ++i) put(j + i * w, a[i], m);
  });
}

// Windows of one element (channels-last) need no slots.
template <class T> NN_INLINE bool is_plain(const PoolRows<T>& p) {
  return p.kernel == 1 && p.stride == 1 && p.low == 0;
}

// Asks for the cache lines of n numbers some kilobytes behind p: rows follow each other, and one core alone
// waits for memory most of the time.
template <int write, class T> NN_INLINE void fetch(const T* p, int64_t n) {
  constexpr int64_t line = 64 / sizeof(T), ahead = 64 * line;
  for (int64_t i = ahead; i < ahead + n; i += line) write ? ask_ahead<1>(p + i) : __builtin_prefetch(p + i);
}
// Of a pooled row: what the last source of later rows will read, and these rows.
template <class T> NN_INLINE void fetch_rows(const PoolRows<T>& p, int64_t row) {
  fetch<1>(p.y + row * p.out, p.out);
  if (row + 2 > p.rows) return;
  const int64_t at = p.offset[p.begin[row + 1] - 1], step = p.offset[p.begin[row + 2] - 1] - at;
  if (step <= 4 * p.in) fetch<0>(p.x + at, step);
}

// Results [first, first + n) of every row and what they meet: `count` elements of the source rows from `at`
// on, `low` neutral ones before them.
struct Span {
  int64_t first, n, at, count, low;
};
// Result j meets the elements j * stride + shift and on; the last one of a span, `more` of them.
template <class T, class F> NN_INLINE void each_span(const PoolRows<T>& p, int64_t results, int64_t stride,
                                                     int64_t shift, int64_t more, int64_t sources, F&& f) {
  for (int64_t first = 0; first < results; first += p.run) {
    const int64_t n = results - first < p.run ? results - first : p.run;
    const int64_t start = first * stride + shift, end = start + (n - 1) * stride + more;
    const int64_t at = start > 0 ? start : 0, to = end < sources ? end : sources;
    f(Span{first, n, at, to > at ? to - at : 0, at - start});
  }
}
// f(row, one after the last row) for blocks of rows whose sources (one, where they are folded) find slots
template <class T, class F> NN_INLINE void each_rows(const PoolRows<T>& p, bool folded, int slots, F&& f) {
  for (int64_t i = 0, to; i < p.rows; i = to) {
    for (to = i + 1; to < p.rows; ++to)
      if ((folded ? to + 1 - i : p.begin[to + 1] - p.begin[i]) > slots) break;
    f(i, to);
  }
}

// Where a slot's neutral elements begin: what follows them is aligned.
template <class T> NN_INLINE T* slot(const PoolRows<T>& p, const Span& s, int64_t i) {
  return p.scratch + i * p.slot_step + (-s.low & (vec<T>::width - 1));
}
// Neutral elements around those that will come into the first slots: before them, and up to `length` behind.
template <class T>
NN_INLINE void blank(const PoolRows<T>& p, const Span& s, int64_t slots, int64_t length, T neutral) {
  const vec<T> a = set1(neutral);
  for (int64_t i = 0; i < slots && i < p.slots; ++i) {
    T* v = slot(p, s, i);
    for (int64_t j = 0; j < s.low; j += vec<T>::width) store(v + j, a);
    for (int64_t j = s.low + s.count; j < length; j += vec<T>::width) store(v + j, a);
  }
}
// Whole registers; those lanes that no source fills are neutral.
template <class T> NN_INLINE void keep(T* v, vec<T> a, int m, T neutral) {
  store(v, m < vec<T>::width ? select(first<T>(m), a, set1(neutral)) : a);
}

// Windows o .. o + m - 1 of row i are done.
template <int op, class T>
NN_INLINE void put_pooled(const PoolRows<T>& p, int64_t i, int64_t o, vec<T> a, int m) {
  if constexpr (op == kSum) {
    const vec<T> scale = set1(p.scale[i]);
    a = a / (p.divisor ? scale * load(p.divisor + o, m) : scale);
  }
  store(p.y + i * p.out + o, a, m);
}

// How far the registers of a span's windows read into a slot.
template <int stride, class T> NN_INLINE int64_t window_reach(const PoolRows<T>& p, const Span& s) {
  return stride * ((s.n + vec<T>::width - 1) & -vec<T>::width) + p.dilation * (p.kernel - 1);
}

// put(j, a, m) for n windows of a slot
template <int op, int stride, class T, class F>
NN_INLINE void slide(const PoolRows<T>& p, const T* v, int64_t n, F&& put) {
  constexpr int w = vec<T>::width;
  const int64_t d = p.dilation, kernel = p.kernel;
  for (int64_t j = 0; j < n; j += w) {
    const T* q = v + j * stride;
    vec<T> a = load(q);
    if constexpr (stride == 1) {
      for (int64_t t = 1; t < kernel; ++t) a = combine<op, T>(a, load(q + t * d));
    } else {
      const vec<T> next = load(q + w);
      const bool pairs = d == 1 && kernel > 1;
      const vec<T> other = odd(a, next);
      a = even(a, next);
      if (pairs) a = combine<op, T>(a, other);
      for (int64_t t = pairs ? 2 : 1; t < kernel; ++t)
        a = combine<op, T>(a, even(load(q + t * d), load(q + t * d + w)));
    }
    put(j, a, n - j < w ? int(n - j) : w);
  }
}

template <int op, int stride, class T> NN_INLINE void fold_rows(const PoolRows<T>& p) {
  const T rest = neutral<op, T>();
  each_span(p, p.out, stride, -p.low, p.dilation * (p.kernel - 1) + 1, p.in, [&](const Span& s) {
    blank(p, s, p.rows, window_reach<stride>(p, s), rest);
    each_rows(p, true, p.slots / 2, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        T* v = slot(p, s, i - from) + s.low;
        fold_columns<op, T>(p.x + s.at, p.offset + p.begin[i], p.begin[i + 1] - p.begin[i], s.count,
                            [&](int64_t j, vec<T> a, int m) { keep(v + j, a, m, rest); });
      }
      for (int64_t i = from; i < to; ++i) {
        fetch_rows(p, i);
        slide<op, stride, T>(p, slot(p, s, i - from), s.n,
                             [&](int64_t j, vec<T> a, int m) { put_pooled<op, T>(p, i, s.first + j, a, m); });
      }
    });
  });
}

// Windows of one element.
template <int op, class T> NN_INLINE void fold_plain(const PoolRows<T>& p) {
  for (int64_t i = 0; i < p.rows; ++i) {
    fetch_rows(p, i);
    fold_columns<op, T>(p.x, p.offset + p.begin[i], p.begin[i + 1] - p.begin[i], p.in,
                        [&](int64_t j, vec<T> a, int m) { put_pooled<op, T>(p, i, j, a, m); });
  }
}

// Windows that lie anywhere.
template <int op, class T> NN_INLINE void fold_anywhere(const PoolRows<T>& p) {
  T *v = p.scratch, *r = v + p.in;
  for (int64_t i = 0; i < p.rows; ++i) {
    fold_columns<op, T>(p.x, p.offset + p.begin[i], p.begin[i + 1] - p.begin[i], p.in,
                        [&](int64_t j, vec<T> a, int m) { store(v + j, a, m); });
    for (int64_t o = 0; o < p.out; ++o) {
      const PoolWindow& s = p.windows[o];
      const T* q = v + s.start;
      T a = q[s.first * p.dilation];
      for (int64_t t = s.first + 1; t < s.last; ++t) a = fold_one<op, T>(a, q[t * p.dilation]);
      r[o] = a;
    }
    each_vector<vec<T>::width>(p.out,
                               [&](int64_t j, int m) { put_pooled<op, T>(p, i, j, load(r + j, m), m); });
  }
}

// Lanes that no element won hold nothing but the worst value (and NaN, if that is ignored): the first tap
// wins.
template <class T> void settle(const PoolRows<T>& p, int64_t i, int64_t j, int m, T* best, T* at) {
  for (int l = 0; l < m; ++l) {
    if (at[l] >= 0) continue;
    const PoolWindow& s = p.windows[j + l];
    at[l] = T(p.tap[p.begin[i]] + s.first);
    bool all_nan = true;
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
      for (int64_t t = s.first; t < s.last; ++t) {
        const T v = p.x[p.offset[e] + s.start + t * p.dilation];
        if (v == v) all_nan = false;
      }
    if (all_nan) best[l] = T(NAN);
  }
}

template <class T> NN_INLINE void store_winners(const PoolRows<T>& p, int64_t at, vec<T> a, int m) {
  if (!p.wide) return store_u8(static_cast<uint8_t*>(p.y_winner) + at, a, m);
  T lanes[vec<T>::width];
  store(lanes, a);
  for (int l = 0; l < m; ++l) static_cast<int32_t*>(p.y_winner)[at + l] = int32_t(lanes[l]);
}

template <bool smallest, bool nan, class T>
NN_INLINE void challenge(vec<T> v, vec<T> tap, vec<T>& best, vec<T>& at) {
  mask<T> better = smallest ? lt(v, best) : gt(v, best);
  if (nan) better = better | is_nan(v);
  best = select(better, v, best), at = select(better, tap, at);
}

// The winners of windows whose first elements are `row`'s slots' q, and their taps. Returns a sum that is NaN
// if any element is.
template <bool smallest, bool nan, int stride, class T>
NN_INLINE vec<T> contest(const PoolRows<T>& p, int64_t row, const T* q, vec<T>& best, vec<T>& at) {
  constexpr int w = vec<T>::width;
  const int64_t d = p.dilation, kernel = p.kernel;
  const bool dense = stride == 2 && d == 1;
  const vec<T> one = set1(T(1));
  vec<T> seen = set1(T(0));
  best = set1(neutral<smallest ? kMin : kMax, T>()), at = set1(T(-1));
  for (int e = p.begin[row]; e < p.begin[row + 1]; ++e, q += p.slot_step) {
    vec<T> tap = set1(T(p.tap[e]));
    for (int64_t t = 0; t < kernel; t += dense ? 2 : 1) {
      const vec<T> x0 = load(q + t * d);
      seen = seen + x0;
      if constexpr (stride == 1) {
        challenge<smallest, nan, T>(x0, tap, best, at);
      } else {
        const vec<T> x1 = load(q + t * d + w);
        seen = seen + x1;
        challenge<smallest, nan, T>(even(x0, x1), tap, best, at);
        if (dense && t + 1 < kernel) tap = tap + one, challenge<smallest, nan, T>(odd(x0, x1), tap, best, at);
      }
      tap = tap + one;
    }
  }
  return seen;
}

template <class T>
NN_INLINE void put_winners(const PoolRows<T>& p, int64_t row, int64_t o, vec<T> best, vec<T> at, int m) {
  if (any(lt(at, set1(T(0))) & first<T>(m))) {
    T b[vec<T>::width], a[vec<T>::width];
    store(b, best), store(a, at);
    settle(p, row, o, m, b, a);
    best = load(b), at = load(a);
  }
  store(p.y + row * p.out + o, best, m);
  if (p.y_winner) store_winners(p, row * p.out + o, at, m);
}

template <bool smallest, bool ignore, int stride, class T> NN_INLINE void winner_rows(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
  const T rest = neutral<smallest ? kMin : kMax, T>();
  each_span(p, p.out, stride, -p.low, p.dilation * (p.kernel - 1) + 1, p.in, [&](const Span& s) {
    blank(p, s, p.begin[p.rows] - p.begin[0], window_reach<stride>(p, s), rest);
    each_rows(p, false, p.slots, [&](int64_t from, int64_t to) {
      const int first = p.begin[from];
      for (int e = first; e < p.begin[to]; ++e) {
        const T* x = p.x + p.offset[e] + s.at;
        T* v = slot(p, s, e - first) + s.low;
        each_vector<w>(s.count, [&](int64_t j, int m) { keep(v + j, load(x + j, m), m, rest); });
      }
      for (int64_t i = from; i < to; ++i) {
        const T* q = slot(p, s, p.begin[i] - first);
        fetch_rows(p, i);
        each_vector<w>(s.n, [&](int64_t j, int m) {
          vec<T> best, at;
          const vec<T> seen = contest<smallest, false, stride, T>(p, i, q + j * stride, best, at);
          if (!ignore && any(is_nan(seen)))
            contest<smallest, true, stride, T>(p, i, q + j * stride, best, at);
          put_winners(p, i, s.first + j, best, at, m);
        });
      }
    });
  });
}

// One window that lies anywhere.
template <bool smallest, bool ignore, class T>
NN_INLINE void winner_scalar(const PoolRows<T>& p, int64_t i, int64_t o) {
  const PoolWindow& s = p.windows[o];
  T best = neutral<smallest ? kMin : kMax, T>(), at = T(-1);
  for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
    for (int64_t t = s.first; t < s.last; ++t) {
      const T v = p.x[p.offset[e] + s.start + t * p.dilation];
      if ((smallest ? v < best : v > best) || (!ignore && v != v)) best = v, at = T(p.tap[e] + t);
    }
  settle(p, i, o, 1, &best, &at);
  p.y[i * p.out + o] = best;
  if (!p.y_winner) return;
  if (p.wide)
    static_cast<int32_t*>(p.y_winner)[i * p.out + o] = int32_t(at);
  else
    static_cast<uint8_t*>(p.y_winner)[i * p.out + o] = uint8_t(at);
}

// Windows of one element along the row: every source is a tap.
template <bool smallest, bool nan, int k, class T>
NN_INLINE vec<T> contest_plain(const PoolRows<T>& p, int64_t row, int64_t j, int m, vec<T>* best,
                               vec<T>* at) {
  vec<T> seen = set1(T(0));
  for (int l = 0; l < k; ++l) best[l] = set1(neutral<smallest ? kMin : kMax, T>()), at[l] = set1(T(-1));
  for (int e = p.begin[row]; e < p.begin[row + 1]; ++e) {
    const T* x = p.x + p.offset[e] + j;
    const vec<T> tap = set1(T(p.tap[e]));
    for (int l = 0; l < k; ++l) {
      const vec<T> v = load(x + l * vec<T>::width, m);
      seen = seen + v;
      challenge<smallest, nan, T>(v, tap, best[l], at[l]);
    }
  }
  return seen;
}

template <bool smallest, bool ignore, class T>
NN_INLINE void winner_plain(const PoolRows<T>& p, int64_t row) {
  constexpr int w = vec<T>::width;
  fetch_rows(p, row);
  each_strip<w>(p.out, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> best[k], at[k];
    const vec<T> seen = contest_plain<smallest, false, k, T>(p, row, j, m, best, at);
    if (!ignore && any(is_nan(seen))) contest_plain<smallest, true, k, T>(p, row, j, m, best, at);
    for (int l = 0; l < k; ++l) put_winners(p, row, j + l * w, best[l], at[l], m);
  });
}

}  // namespace
}  // namespace nn
