// Pooling by small windows, one or two apart, without a copy of the rows: a row is read in parts, registers
// side by side under masks, and windows are put together by permutes. Fewer loads than windows have elements,
// which counts: most loads straddle two cache lines.
namespace nn {
namespace {

constexpr int kMaxParts = 20;

// Elements of a row of n from `at` on (below 0: neutral ones lead).
template <class T> struct Parts {
  static constexpr int W = vec<T>::width;
  mask<T> within[kMaxParts];
  places<T> next, after;
  int64_t at;
  int count;  // what lies behind them is neutral
  NN_INLINE Parts(int64_t at, int64_t n)
      : next(load_places<T>(kCount + 1)), after(load_places<T>(kCount + 2)) {
    this->at = at, count = needed(at, n);
    for (int q = 0; q < count; ++q) within[q] = first<T>(int(n - at - q * W)) & ~first<T>(int(-at - q * W));
  }
  static NN_INLINE int needed(int64_t at, int64_t n) { return n > at ? int((n - at + W - 1) / W) : 0; }
  NN_INLINE vec<T> get(const T* x, int q) const { return load_where(within[q], x + at + q * W); }

 private:
  static constexpr int32_t kCount[18] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
};

// f(count_of<size of the windows>) if they can be put together so
template <class T, class F> NN_INLINE bool by_parts(const PoolRows<T>& p, F&& f) {
  if (vec<T>::width == 1 || p.dilation != 1 || Parts<T>::needed(-p.low, p.in) > kMaxParts) return false;
  if (p.kernel == 3) return f(count_of<3>()), true;
  if (p.kernel == 2) return f(count_of<2>()), true;
  return false;
}

// Tap t < K of the windows that begin in part a; b and c follow it. Taps are asked for in order.
template <int stride, int K, class T, class F>
NN_INLINE void each_tap(const Parts<T>& parts, vec<T> a, vec<T> b, vec<T> c, F&& f) {
  if constexpr (stride == 1) {
    f(a), f(permute(a, b, parts.next));
    if constexpr (K == 3) f(permute(a, b, parts.after));
  } else {
    const vec<T> evens = even(a, b);
    f(evens), f(odd(a, b));
    if constexpr (K == 3) f(permute(evens, c, parts.next));
  }
}

// Rows of two parts at most, whose results are one register.
template <int op, int stride, int K, class T>
NN_INLINE void fold_narrow(const PoolRows<T>& p, const Parts<T>& parts) {
  constexpr int w = vec<T>::width;
  const int results = int(p.out), *begin = p.begin;
  const T* x = p.x + parts.at;
  const int64_t* offset = p.offset;
  const vec<T> rest = set1(neutral<op, T>());
  const mask<T> first_part = parts.within[0], second = parts.count > 1 ? parts.within[1] : first<T>(0);
  for (int64_t i = 0; i < p.rows; ++i) {
    fetch_rows(p, i);
    int e = begin[i];
    const int end = begin[i + 1];
    vec<T> a = load_where(first_part, x + offset[e]), b = load_where(second, x + offset[e] + w), sum = rest;
    while (++e < end) {
      a = combine<op, T>(a, load_where(first_part, x + offset[e]));
      b = combine<op, T>(b, load_where(second, x + offset[e] + w));
    }
    if (op != kSum) a = select(first_part, a, rest), b = select(second, b, rest);
    bool begun = false;
    each_tap<stride, K, T>(parts, a, b, rest, [&](vec<T> v) {
      sum = begun ? combine<op, T>(sum, v) : v;
      begun = true;
    });
    put_pooled<op, T>(p, i, 0, sum, results);
  }
}

template <int op, int stride, int K, class T> NN_INLINE void fold_parts(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
  const Parts<T> parts(-p.low, p.in);
  if (parts.count <= 2 && p.out <= w) return fold_narrow<op, stride, K, T>(p, parts);
  const vec<T> rest = set1(neutral<op, T>());
  for (int64_t i = 0; i < p.rows; ++i) {
    fetch_rows(p, i);
    const auto part = [&](int q) {
      if (q >= parts.count) return rest;
      vec<T> a = parts.get(p.x + p.offset[p.begin[i]], q);
      for (int e = p.begin[i] + 1; e < p.begin[i + 1]; ++e)
        a = combine<op, T>(a, parts.get(p.x + p.offset[e], q));
      return op == kSum ? a : select(parts.within[q], a, rest);
    };
    vec<T> a = part(0), b, c = rest, sum;
    int q = 0;
    for (int64_t j = 0; j < p.out; j += w, q += stride, a = c) {
      b = part(q + 1), c = stride == 1 ? b : part(q + 2);
      bool begun = false;
      each_tap<stride, K, T>(parts, a, b, c, [&](vec<T> v) {
        sum = begun ? combine<op, T>(sum, v) : v;
        begun = true;
      });
      put_pooled<op, T>(p, i, j, sum, p.out - j < w ? int(p.out - j) : w);
    }
  }
}

template <int op, class T> NN_INLINE void pool_rows(const PoolRows<T> p) {
  if (is_plain(p)) {
    for (int64_t i = 0; i < p.rows; ++i) {
      fetch_rows(p, i);
      fold_columns<op, T>(p.x, p.offset + p.begin[i], p.begin[i + 1] - p.begin[i], p.in,
                          [&](int64_t j, vec<T> a, int m) { put_pooled<op, T>(p, i, j, a, m); });
    }
  } else if (p.stride == 1) {
    if (!by_parts(p, [&](auto k) { fold_parts<op, 1, decltype(k)::value, T>(p); })) fold_rows<op, 1, T>(p);
  } else if (p.stride == 2) {
    if (!by_parts(p, [&](auto k) { fold_parts<op, 2, decltype(k)::value, T>(p); })) fold_rows<op, 2, T>(p);
  } else {
    fold_anywhere<op, T>(p);
  }
}
template <class T> void pool_average(const PoolRows<T>& p) { pool_rows<kSum, T>(p); }
template <class T> void pool_extreme(bool smallest, const PoolRows<T>& p) {
  smallest ? pool_rows<kMin, T>(p) : pool_rows<kMax, T>(p);
}

// As contest() in slots: the windows that begin in part q.
template <bool smallest, bool nan, int stride, int K, class T>
NN_INLINE vec<T> contest_parts(const PoolRows<T>& p, const Parts<T>& parts, int64_t row, int q, vec<T>& best,
                               vec<T>& at) {
  const vec<T> one = set1(T(1)), rest = set1(neutral<smallest ? kMin : kMax, T>());
  vec<T> seen = set1(T(0));
  best = rest, at = set1(T(-1));
  for (int e = p.begin[row]; e < p.begin[row + 1]; ++e) {
    const T* x = p.x + p.offset[e];
    const auto part = [&](int k) {
      return k < parts.count ? select(parts.within[k], parts.get(x, k), rest) : rest;
    };
    vec<T> tap = set1(T(p.tap[e]));
    each_tap<stride, K, T>(parts, part(q), part(q + 1), stride == 2 && K == 3 ? part(q + 2) : rest,
                           [&](vec<T> v) {
                             seen = seen + v;
                             challenge<smallest, nan, T>(v, tap, best, at);
                             tap = tap + one;
                           });
  }
  return seen;
}

template <bool smallest, bool ignore, int stride, int K, class T>
NN_INLINE void winner_wide(const PoolRows<T>& p, const Parts<T>& parts) {
  for (int64_t i = 0; i < p.rows; ++i) {
    fetch_rows(p, i);
    each_vector<vec<T>::width>(p.out, [&](int64_t j, int m) {
      const int q = int(j / vec<T>::width) * stride;
      vec<T> best, at;
      const vec<T> seen = contest_parts<smallest, false, stride, K, T>(p, parts, i, q, best, at);
      if (!ignore && any(is_nan(seen))) contest_parts<smallest, true, stride, K, T>(p, parts, i, q, best, at);
      put_winners(p, i, j, best, at, m);
    });
  }
}
// Row i of p alone; not inlined into the loop that hardly ever needs it.
template <bool smallest, bool ignore, int stride, int K, class T>
__attribute__((noinline)) void winner_row(PoolRows<T> p, Parts<T> parts, int64_t i) {
  p.rows = 1, p.begin += i, p.y += i * p.out;
  if (p.y_winner) p.y_winner = static_cast<char*>(p.y_winner) + i * p.out * (p.wide ? 4 : 1);
  winner_wide<smallest, ignore, stride, K, T>(p, parts);
}

// Rows of two parts at most, whose results are one register and whose windows meet no padding. The extreme
// first, then the first tap that equals it: no long chain of comparisons. Rows with NaN go the other way.
template <bool smallest, bool ignore, int stride, int K, class T>
NN_INLINE void winner_narrow(const PoolRows<T>& p, const Parts<T>& parts) {
  constexpr int w = vec<T>::width;
  const int results = int(p.out), *begin = p.begin;
  const int64_t* offset = p.offset;
  const vec<T> zero = set1(T(0));
  const mask<T> first_part = parts.within[0], second = parts.count > 1 ? parts.within[1] : first<T>(0);
  vec<T> taps[K * K];
  for (int t = 0; t < K * K; ++t) taps[t] = set1(T(p.tap[begin[0] + t / K] + t % K));
  for (int64_t i = 0; i < p.rows; ++i) {
    fetch_rows(p, i);
    vec<T> v[K * K], seen = zero;
    int count = 0;
#pragma GCC unroll 3
    for (int e = 0; e < K; ++e) {
      const T* x = p.x + offset[begin[i] + e];
      const vec<T> a = load_where(first_part, x), b = load_where(second, x + w);
      seen = seen + (a + b);
      each_tap<stride, K, T>(parts, a, b, zero, [&](vec<T> u) { v[count++] = u; });
    }
    vec<T> best = v[0], at = taps[K * K - 1];
#pragma GCC unroll 9
    for (int t = 1; t < K * K; ++t) best = smallest ? min(best, v[t]) : max(best, v[t]);
#pragma GCC unroll 9
    for (int t = K * K - 2; t >= 0; --t) at = select(eq(v[t], best), taps[t], at);
    if (any(is_nan(seen))) {
      winner_row<smallest, ignore, stride, K, T>(p, parts, i);
      continue;
    }
    store(p.y + i * p.out, best, results);
    if (p.y_winner) store_winners(p, i * p.out, at, results);
  }
}

// Whether all rows are made of K sources with the taps of the first one, and of no padding.
template <int stride, int K, class T> NN_INLINE bool is_whole(const PoolRows<T>& p) {
  if (p.low || (p.out - 1) * stride + K > p.in || p.rows == 0) return false;
  for (int64_t i = 0; i < p.rows; ++i) {
    if (p.begin[i + 1] - p.begin[i] != K) return false;
    for (int e = 0; e < K; ++e)
      if (p.tap[p.begin[i] + e] != p.tap[p.begin[0] + e]) return false;
  }
  return true;
}

template <bool smallest, bool ignore, int stride, int K, class T>
NN_INLINE void winner_parts(const PoolRows<T>& p) {
  const Parts<T> parts(-p.low, p.in);
  if constexpr (stride == 2)
    if (parts.count <= 2 && p.out <= vec<T>::width && is_whole<stride, K>(p))
      return winner_narrow<smallest, ignore, stride, K, T>(p, parts);
  winner_wide<smallest, ignore, stride, K, T>(p, parts);
}

template <bool smallest, bool ignore, class T> NN_INLINE void pool_winner_of(const PoolRows<T> p) {
  const bool plain = is_plain(p);
  if (!plain && p.stride == 1) {
    if (!by_parts(p, [&](auto k) { winner_parts<smallest, ignore, 1, decltype(k)::value, T>(p); }))
      winner_rows<smallest, ignore, 1, T>(p);
    return;
  }
  if (p.stride == 2) {
    if (!by_parts(p, [&](auto k) { winner_parts<smallest, ignore, 2, decltype(k)::value, T>(p); }))
      winner_rows<smallest, ignore, 2, T>(p);
    return;
  }
  for (int64_t i = 0; i < p.rows; ++i)
    if (plain)
      winner_plain<smallest, ignore, T>(p, i);
    else
      for (int64_t o = 0; o < p.out; ++o) winner_scalar<smallest, ignore, T>(p, i, o);
}
template <class T> void pool_winner(bool smallest, bool ignore_nan, const PoolRows<T>& p) {
  if (ignore_nan)
    smallest ? pool_winner_of<true, true, T>(p) : pool_winner_of<false, true, T>(p);
  else
    smallest ? pool_winner_of<true, false, T>(p) : pool_winner_of<false, false, T>(p);
}

}  // namespace
}  // namespace nn
