// Pooling of rows: maximum, minimum and average of windows, the winners' taps, and both gradients.
//
// Without winners the rows of a window are folded first, down the columns, into a row of scratch that has
// neutral elements at both ends; then windows within that row are folded, so no lane needs a mask. A stride
// of two takes every other lane of two registers. With winners taps are visited in their order, since ties go
// to the first one and NaN to the last one (PyTorch's rule).
// Gradients collect: an element of x adds up what the windows that meet it send, so rows are independent.
// Bound by bytes for windows up to about 3 x 3.
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

// Elements at, at + 1, ... of the fold of `count` rows; neutral ones outside.
template <int op, bool inside, class T>
NN_INLINE vec<T> fold_at(const PoolRows<T>& p, const int64_t* offset, int count, int64_t at) {
  constexpr int w = vec<T>::width;
  if (inside || (at >= 0 && at + w <= p.in)) {
    vec<T> a = load(p.x + offset[0] + at);
    for (int e = 1; e < count; ++e) a = combine<op, T>(a, load(p.x + offset[e] + at));
    return a;
  }
  const int from = at >= 0 ? 0 : at > -w ? int(-at) : w, to = p.in - at < w ? int(p.in - at) : w;
  if (to <= from) return set1(neutral<op, T>());
  vec<T> a = load_range(p.x + offset[0] + at, 1, from, to);
  for (int e = 1; e < count; ++e) a = combine<op, T>(a, load_range(p.x + offset[e] + at, 1, from, to));
  return select(first<T>(to) & ~first<T>(from), a, set1(neutral<op, T>()));
}

// Elements that the registers of w windows reach over: pairs of registers begin at every tap, or every other
// one.
template <class T> NN_INLINE int64_t last_read(const PoolRows<T>& p) {
  const int64_t taps = p.stride == 2 && p.dilation == 1 ? (p.kernel - 1) / 2 * 2 : p.kernel - 1;
  return taps * p.dilation + p.stride * vec<T>::width;
}

// Windows of few elements need no scratch: each register of columns is folded down its rows, then along.
template <int op, int stride, bool inside, class T>
NN_INLINE vec<T> fold_small(const PoolRows<T>& p, const int64_t* offset, int count, int64_t at) {
  constexpr int w = vec<T>::width;
  const int64_t d = p.dilation;
  vec<T> a;
  if constexpr (stride == 1) {
    a = fold_at<op, inside, T>(p, offset, count, at);
    for (int64_t t = 1; t < p.kernel; ++t)
      a = combine<op, T>(a, fold_at<op, inside, T>(p, offset, count, at + t * d));
  } else {
    const bool dense = d == 1;
    for (int64_t t = 0; t < p.kernel; t += dense ? 2 : 1) {
      const vec<T> x0 = fold_at<op, inside, T>(p, offset, count, at + t * d);
      const vec<T> x1 = fold_at<op, inside, T>(p, offset, count, at + t * d + w);
      a = t ? combine<op, T>(a, even(x0, x1)) : even(x0, x1);
      if (dense && t + 1 < p.kernel) a = combine<op, T>(a, odd(x0, x1));
    }
  }
  return a;
}

template <int op, int stride, class T, class F>
NN_INLINE void fold_few(const PoolRows<T>& p, const int64_t* offset, int count, F&& put) {
  constexpr int w = vec<T>::width;
  const int64_t ahead = last_read(p);
  for (int64_t j = 0; j < p.out; j += w) {
    const int m = p.out - j < w ? int(p.out - j) : w;
    const int64_t at = j * stride - p.low;
    const bool inside = at >= 0 && at + ahead <= p.in;
    put(j,
        inside ? fold_small<op, stride, true, T>(p, offset, count, at)
               : fold_small<op, stride, false, T>(p, offset, count, at),
        m);
  }
}

// put(j, a, m) for the windows of the padded row v, whose element `low` is the first one; r: room for a row
template <int op, class T, class F>
NN_INLINE void fold_windows(const PoolRows<T>& p, const T* v, T* r, F&& put) {
  constexpr int w = vec<T>::width;
  const int64_t kernel = p.kernel, d = p.dilation;
  if (p.stride != 1 && p.stride != 2) {
    for (int64_t o = 0; o < p.out; ++o) {
      const PoolWindow& s = p.windows[o];
      const T* q = v + s.start + p.low;
      T a = q[s.first * d];
      for (int64_t t = s.first + 1; t < s.last; ++t) a = fold_one<op, T>(a, q[t * d]);
      r[o] = a;
    }
  }
  for (int64_t j = 0; j < p.out; j += w) {
    const int m = p.out - j < w ? int(p.out - j) : w;
    vec<T> a;
    if (p.stride == 1) {
      a = load(v + j);
      for (int64_t t = 1; t < kernel; ++t) a = combine<op, T>(a, load(v + j + t * d));
    } else if (p.stride == 2) {
      const T* q = v + 2 * j;
      vec<T> x0 = load(q), x1 = load(q + w);
      a = even(x0, x1);
      int64_t t = 1;
      if (kernel > 1 && d == 1) a = combine<op, T>(a, odd(x0, x1)), t = 2;
      for (; t < kernel; ++t) a = combine<op, T>(a, even(load(q + t * d), load(q + t * d + w)));
    } else {
      a = load(r + j, m);
    }
    put(j, a, m);
  }
}

template <class T> NN_INLINE void fill(T* p, T value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = value;
}

template <int op, class T> NN_INLINE void pool_rows(const PoolRows<T>& p) {
  const bool plain = p.kernel == 1 && p.stride == 1 && p.low == 0;
  const bool few = p.kernel <= 3 && (p.stride == 1 || p.stride == 2);
  const int64_t reach = p.dilation * (p.kernel - 1);
  T *v = p.scratch, *r = v + p.in + 2 * reach + 2 * vec<T>::width;
  if (!plain && !few) {
    fill(v, neutral<op, T>(), p.low);
    fill(v + p.low + p.in, neutral<op, T>(), reach);
  }
  for (int64_t i = 0; i < p.rows; ++i) {
    const int64_t* x = p.offset + p.begin[i];
    const int count = p.begin[i + 1] - p.begin[i];
    T* y = p.y + i * p.out;
    const auto put = [&](int64_t j, vec<T> a, int m) {
      if constexpr (op == kSum) {
        const vec<T> scale = set1(p.scale[i]);
        a = a / (p.divisor ? scale * load(p.divisor + j, m) : scale);
      }
      store(y + j, a, m);
    };
    if (plain) {
      fold_columns<op, T>(p.x, x, count, p.in, put);
    } else if (few) {
      if (p.stride == 1)
        fold_few<op, 1, T>(p, x, count, put);
      else
        fold_few<op, 2, T>(p, x, count, put);
    } else {
      fold_columns<op, T>(p.x, x, count, p.in,
                          [&](int64_t j, vec<T> a, int m) { store(v + p.low + j, a, m); });
      fold_windows<op, T>(p, v, r, put);
    }
  }
}
template <class T> void pool_average(const PoolRows<T>& p) { pool_rows<kSum, T>(p); }
template <class T> void pool_extreme(bool smallest, const PoolRows<T>& p) {
  if (smallest)
    pool_rows<kMin, T>(p);
  else
    pool_rows<kMax, T>(p);
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

template <bool smallest, bool ignore, class T>
NN_INLINE void challenge(vec<T> v, T tap, vec<T>& best, vec<T>& at) {
  mask<T> better = smallest ? lt(v, best) : gt(v, best);
  if (!ignore) better = better | is_nan(v);
  best = select(better, v, best), at = select(better, set1(tap), at);
}

// Windows j .. j + m - 1, one per lane.
template <bool smallest, bool ignore, bool inside, class T>
NN_INLINE void winners(const PoolRows<T>& p, int64_t i, int64_t j, int m) {
  constexpr int w = vec<T>::width, op = smallest ? kMin : kMax;
  const int64_t d = p.dilation, from = j * p.stride - p.low;
  const bool dense = p.stride == 2 && d == 1;
  vec<T> best = set1(neutral<op, T>()), at = set1(T(-1));
  for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
    for (int64_t t = 0; t < p.kernel; t += dense ? 2 : 1) {
      const vec<T> x0 = fold_at<op, inside, T>(p, p.offset + e, 1, from + t * d);
      const T tap = T(p.tap[e] + t);
      if (p.stride == 1) {
        challenge<smallest, ignore, T>(x0, tap, best, at);
        continue;
      }
      const vec<T> x1 = fold_at<op, inside, T>(p, p.offset + e, 1, from + t * d + w);
      challenge<smallest, ignore, T>(even(x0, x1), tap, best, at);
      if (dense && t + 1 < p.kernel) challenge<smallest, ignore, T>(odd(x0, x1), tap + 1, best, at);
    }
  if (any(lt(at, set1(T(0))) & first<T>(m))) {
    T b[w], a[w];
    store(b, best), store(a, at);
    settle(p, i, j, m, b, a);
    best = load(b), at = load(a);
  }
  store(p.y + i * p.out + j, best, m);
  if (p.y_winner) store_winners(p, i * p.out + j, at, m);
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

template <bool smallest, bool ignore, class T> NN_INLINE void winner_rows(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
  const int64_t ahead = last_read(p);
  for (int64_t i = 0; i < p.rows; ++i) {
    if (p.stride != 1 && p.stride != 2) {
      for (int64_t o = 0; o < p.out; ++o) winner_scalar<smallest, ignore, T>(p, i, o);
      continue;
    }
    for (int64_t j = 0; j < p.out; j += w) {
      const int m = p.out - j < w ? int(p.out - j) : w;
      const int64_t at = j * p.stride - p.low;
      if (at >= 0 && at + ahead <= p.in)
        winners<smallest, ignore, true, T>(p, i, j, m);
      else
        winners<smallest, ignore, false, T>(p, i, j, m);
    }
  }
}

template <class T> void pool_winner(bool smallest, bool ignore_nan, const PoolRows<T>& p) {
  if (ignore_nan)
    smallest ? winner_rows<true, true, T>(p) : winner_rows<false, true, T>(p);
  else
    smallest ? winner_rows<true, false, T>(p) : winner_rows<false, false, T>(p);
}

// Stores element 2 j + 0 and 2 j + 1 of a row of n, for each lane j.
template <class T> NN_INLINE void store_pairs(T* y, int64_t j, int64_t n, vec<T> a, vec<T> b) {
  constexpr int w = vec<T>::width;
  vec<T> low, high;
  interleave(a, b, low, high);
  const int64_t left = n - 2 * j;
  if (left >= 2 * w) return store(y + 2 * j, low), store(y + 2 * j + w, high);
  store(y + 2 * j, low, left < w ? int(left) : w);
  store(y + 2 * j + w, high, int(left - w));
}

// The windows that meet the elements j * stride + phase: windows j + shift, by their tap.
constexpr int kMostMeets = 16;
template <class T> struct Meets {
  int count = 0;
  int64_t shift[kMostMeets];
  T tap[kMostMeets][2];  // of phase 0 and 1; far below 0 if it meets none
  bool fits = true;

  explicit Meets(const PoolRows<T>& p) {
    if (p.stride != 1 && p.stride != 2) fits = false;
    const int64_t lowest = -(p.dilation * (p.kernel - 1) / 2 * 2 + 2);
    for (int64_t s = lowest; fits && s * p.stride <= p.low + 1; ++s) {
      bool any = false;
      T taps[2] = {T(-(1 << 25)), T(-(1 << 25))};
      for (int64_t phase = 0; phase < p.stride; ++phase) {
        const int64_t away = phase + p.low - s * p.stride;
        if (away < 0 || away % p.dilation || away / p.dilation >= p.kernel) continue;
        taps[phase] = T(away / p.dilation), any = true;
      }
      if (!any) continue;
      if (count == kMostMeets) {
        fits = false;
        break;
      }
      shift[count] = s, tap[count][0] = taps[0], tap[count][1] = taps[1], ++count;
    }
  }
};

// Lanes of windows o, o + 1, ... that exist.
template <class T> struct Lanes {
  int from, to;
  bool all, none;
  Lanes(int64_t o, int64_t out) {
    constexpr int w = vec<T>::width;
    from = o >= 0 ? 0 : o > -w ? int(-o) : w;
    to = out - o < w ? int(out - o) : w;
    all = from == 0 && to == w, none = to <= from;
  }
};

template <int stride, class T, class F> NN_INLINE void collect(const PoolRows<T>& p, T* y, F&& add) {
  constexpr int w = vec<T>::width;
  for (int64_t j = 0; j * stride < p.in; j += w) {
    vec<T> a = set1(T(0)), b = a;
    add(j, a, b);
    if constexpr (stride == 2)
      store_pairs(y, j, p.in, a, b);
    else
      store(y + j, a, p.in - j < w ? int(p.in - j) : w);
  }
}

template <class T> NN_INLINE void average_grad_plain(const PoolRows<T>& p, int64_t i, T* y) {
  constexpr int w = vec<T>::width;
  each_strip<w>(p.out, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> a[k];
    for (int l = 0; l < k; ++l) a[l] = set1(T(0));
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
      for (int l = 0; l < k; ++l) a[l] = fma(load(p.x + p.offset[e] + j + l * w, m), set1(p.scale[e]), a[l]);
    for (int l = 0; l < k; ++l) {
      if (p.divisor) a[l] = a[l] * load(p.divisor + j + l * w, m);
      store(y + j + l * w, a[l], m);
    }
  });
}

template <int stride, class T>
NN_INLINE void average_grad_row(const PoolRows<T>& p, const Meets<T>& meets, int64_t i, T* y) {
  collect<stride, T>(p, y, [&](int64_t j, vec<T>& a, vec<T>& b) {
    for (int s = 0; s < meets.count; ++s) {
      const int64_t o = j + meets.shift[s];
      const Lanes<T> lanes(o, p.out);
      if (lanes.none) continue;
      vec<T> g = set1(T(0));
      for (int e = p.begin[i]; e < p.begin[i + 1]; ++e) {
        const T* q = p.x + p.offset[e] + o;
        g = fma(lanes.all ? load(q) : load_range(q, 1, lanes.from, lanes.to), set1(p.scale[e]), g);
      }
      g = g * (lanes.all ? load(p.divisor + o) : load_range(p.divisor + o, 1, lanes.from, lanes.to));
      if (meets.tap[s][0] >= 0) a = a + g;
      if (stride == 2 && meets.tap[s][1] >= 0) b = b + g;
    }
  });
}

template <class T> void pool_average_grad(const PoolRows<T>& p) {
  const bool plain = p.kernel == 1 && p.stride == 1 && p.low == 0;
  const Meets<T> meets(p);
  T* q = p.scratch;
  for (int64_t i = 0; i < p.rows; ++i) {
    T* y = p.y + i * p.in;
    if (plain) {
      average_grad_plain(p, i, y);
    } else if (meets.fits) {
      p.stride == 1 ? average_grad_row<1, T>(p, meets, i, y) : average_grad_row<2, T>(p, meets, i, y);
    } else {
      average_grad_plain(p, i, q);
      fill(y, T(0), p.in);
      for (int64_t o = 0; o < p.out; ++o)
        for (int64_t t = p.windows[o].first; t < p.windows[o].last; ++t)
          y[p.windows[o].start + t * p.dilation] += q[o];
    }
  }
}

template <int stride, class T>
NN_INLINE void winner_grad_row(const PoolRows<T>& p, const Meets<T>& meets, int64_t i, T* y) {
  constexpr int w = vec<T>::width;
  collect<stride, T>(p, y, [&](int64_t j, vec<T>& a, vec<T>& b) {
    for (int s = 0; s < meets.count; ++s) {
      const int64_t o = j + meets.shift[s];
      const Lanes<T> lanes(o, p.out);
      if (lanes.none) continue;
      for (int e = p.begin[i]; e < p.begin[i + 1]; ++e) {
        const int64_t at = p.offset[e] + o;
        const vec<T> g = lanes.all ? load(p.x + at) : load_range(p.x + at, 1, lanes.from, lanes.to);
        const vec<T> won =
            lanes.all ? load_u8<T>(p.winner + at, 0, w) : load_u8<T>(p.winner + at, lanes.from, lanes.to);
        const T tap = T(p.tap[e]);
        a = select(eq(won, set1(tap + meets.tap[s][0])), a + g, a);
        if (stride == 2) b = select(eq(won, set1(tap + meets.tap[s][1])), b + g, b);
      }
    }
  });
}

template <class T> NN_INLINE void winner_grad_scalar(const PoolRows<T>& p, int64_t i, T* y) {
  fill(y, T(0), p.in);
  for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
    for (int64_t o = 0; o < p.out; ++o) {
      const int64_t at = p.offset[e] + o;
      const int64_t won = p.wide ? reinterpret_cast<const int32_t*>(p.winner)[at] : p.winner[at];
      const int64_t t = won - p.tap[e];
      const PoolWindow& s = p.windows[o];
      if (t >= s.first && t < s.last) y[s.start + t * p.dilation] += p.x[at];
    }
}

template <class T> void pool_winner_grad(const PoolRows<T>& p) {
  const Meets<T> meets(p);
  for (int64_t i = 0; i < p.rows; ++i) {
    T* y = p.y + i * p.in;
    if (p.wide || !meets.fits)
      winner_grad_scalar(p, i, y);
    else if (p.stride == 1)
      winner_grad_row<1, T>(p, meets, i, y);
    else
      winner_grad_row<2, T>(p, meets, i, y);
  }
}

}  // namespace
}  // namespace nn
