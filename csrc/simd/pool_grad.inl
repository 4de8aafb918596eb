// Gradients of pooling. They collect: an element of x adds up what the windows that meet it send, so rows are
// independent. What pooled rows send stands in slots, as in pool.inl, between zeros; elements of a stride of
// two are collected in pairs. Pooled rows of one register need no slots. Bound by bytes for windows up to
// about 3 x 3.
namespace nn {
namespace {

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

// Spans of elements of the unpooled row, and what they meet of the pooled one.
template <int stride, class T, class F> NN_INLINE void each_meeting(const PoolRows<T>& p, F&& f) {
  each_span(p, (p.in + stride - 1) / stride, 1, p.nearest, p.farthest - p.nearest + 1, p.out, f);
}

template <class T> NN_INLINE int64_t meeting_reach(const PoolRows<T>& p, const Span& s) {
  return ((s.n + vec<T>::width - 1) & -vec<T>::width) + p.farthest - p.nearest;
}

// y = what add(j, phase, sum) finds for each element
template <int stride, class T, class F>
NN_INLINE void collect(const PoolRows<T>& p, const Span& s, T* y, F&& add) {
  constexpr int w = vec<T>::width;
  for (int64_t j = 0; j < s.n; j += w) {
    const int64_t at = s.first + j, left = p.in - at;
    if constexpr (stride == 2)
      store_pairs(y, at, p.in, add(j, p.meets[0]), add(j, p.meets[1]));
    else
      store(y + at, add(j, p.meets[0]), left < w ? int(left) : w);
  }
}

// put(j, a, m): the sums of scaled sources of row i, `count` numbers from `at` on
template <class T, class F>
NN_INLINE void scaled_columns(const PoolRows<T>& p, int64_t i, int64_t at, int64_t count, F&& put) {
  constexpr int w = vec<T>::width;
  each_strip<w>(count, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    const T* x = p.x + at + j;
    vec<T> a[k];
    for (int l = 0; l < k; ++l) a[l] = set1(T(0));
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
      for (int l = 0; l < k; ++l) a[l] = fma(load(x + p.offset[e] + l * w, m), set1(p.scale[e]), a[l]);
    for (int l = 0; l < k; ++l) {
      if (p.divisor) a[l] = a[l] * load(p.divisor + at + j + l * w, m);
      put(j + l * w, a[l], m);
    }
  });
}

// Pooled rows of one register (pool_parts.inl), from the nearest window that an element meets.
template <class T> NN_INLINE bool is_narrow(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
  return w > 1 && p.farthest - p.nearest <= 2 && p.out - p.nearest <= w && p.in <= p.stride * w;
}
// What lies 0 to 2 windows behind the nearest one.
template <class T> struct Meeting {
  vec<T> v[3];
  NN_INLINE Meeting(const Parts<T>& parts, vec<T> a)
      : v{a, permute(a, set1(T(0)), parts.next), permute(a, set1(T(0)), parts.after)} {}
  NN_INLINE vec<T> at(int64_t k) const { return k == 0 ? v[0] : k == 1 ? v[1] : v[2]; }
};
template <int stride, class T> NN_INLINE void store_phases(T* y, int64_t n, const vec<T> (&sum)[2]) {
  if constexpr (stride == 2)
    store_pairs(y, 0, n, sum[0], sum[1]);
  else
    store(y, sum[0], int(n));
}

template <int stride, class T> NN_INLINE void average_grad_narrow(const PoolRows<T>& p) {
  const Parts<T> parts(p.nearest, p.out);
  for (int64_t i = 0; i < p.rows; ++i) {
    T* y = p.y + i * p.in;
    fetch<1>(y, p.in);
    vec<T> a = set1(T(0)), sum[2] = {a, a};
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
      a = fma(parts.get(p.x + p.offset[e], 0), set1(p.scale[e]), a);
    if (p.divisor) a = a * parts.get(p.divisor, 0);
    const Meeting<T> met(parts, a);
#pragma GCC unroll 2
    for (int phase = 0; phase < stride; ++phase)
      for (int k = 0; k < p.meets[phase].count; ++k)
        sum[phase] = sum[phase] + met.at(p.meets[phase].shift[k] - p.nearest);
    store_phases<stride>(y, p.in, sum);
  }
}

template <int stride, class T> NN_INLINE void winner_grad_narrow(const PoolRows<T>& p) {
  const Parts<T> parts(p.nearest, p.out);
  for (int64_t i = 0; i < p.rows; ++i) {
    T* y = p.y + i * p.in;
    fetch<1>(y, p.in);
    vec<T> sum[2] = {set1(T(0)), set1(T(0))};
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e) {
      const vec<T> won = load_u8<T>(p.winner + p.offset[e] + parts.at, int(-parts.at), int(p.out - parts.at));
      const Meeting<T> taps(parts, won - set1(T(p.tap[e]))), met(parts, parts.get(p.x + p.offset[e], 0));
#pragma GCC unroll 2
      for (int phase = 0; phase < stride; ++phase)
        for (int k = 0; k < p.meets[phase].count; ++k) {
          const int64_t away = p.meets[phase].shift[k] - p.nearest;
          const mask<T> here = eq(taps.at(away), set1(p.meets[phase].tap[k]));
          sum[phase] = select(here, sum[phase] + met.at(away), sum[phase]);
        }
    }
    store_phases<stride>(y, p.in, sum);
  }
}

template <int stride, class T> NN_INLINE void average_grad_rows(const PoolRows<T>& p) {
  if (is_narrow(p)) return average_grad_narrow<stride>(p);
  each_meeting<stride>(p, [&](const Span& s) {
    blank(p, s, p.rows, meeting_reach(p, s), T(0));
    each_rows(p, true, p.slots / 2, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        T* v = slot(p, s, i - from) + s.low;
        scaled_columns(p, i, s.at, s.count, [&](int64_t j, vec<T> a, int) { store(v + j, a); });
      }
      for (int64_t i = from; i < to; ++i) {
        const T* v = slot(p, s, i - from) - p.nearest;
        fetch<1>(p.y + i * p.in, p.in);
        collect<stride>(p, s, p.y + i * p.in, [&](int64_t j, const PoolMeets<T>& meets) {
          vec<T> a = set1(T(0));
          for (int k = 0; k < meets.count; ++k) a = a + load(v + j + meets.shift[k]);
          return a;
        });
      }
    });
  });
}

template <class T> void pool_average_grad(const PoolRows<T>& given) {
  const PoolRows<T> p = given;  // its fields in registers
  const bool plain = is_plain(p);
  if (!plain && p.stride == 1) return average_grad_rows<1>(p);
  if (!plain && p.stride == 2) return average_grad_rows<2>(p);
  T* q = p.scratch;
  for (int64_t i = 0; i < p.rows; ++i) {
    T *y = p.y + i * p.in, *to = plain ? y : q;
    fetch<1>(y, p.in);
    scaled_columns(p, i, 0, p.out, [&](int64_t j, vec<T> a, int m) { store(to + j, a, m); });
    if (plain) continue;
    for (int64_t j = 0; j < p.in; ++j) y[j] = 0;
    for (int64_t o = 0; o < p.out; ++o)
      for (int64_t t = p.windows[o].first; t < p.windows[o].last; ++t)
        y[p.windows[o].start + t * p.dilation] += q[o];
  }
}

// Each source has two slots: its numbers, and by how many taps the winners lie behind the source's first one.
template <int stride, class T> NN_INLINE void winner_grad_rows(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
  if (is_narrow(p)) return winner_grad_narrow<stride>(p);
  each_meeting<stride>(p, [&](const Span& s) {
    blank(p, s, 2 * (p.begin[p.rows] - p.begin[0]), meeting_reach(p, s), T(0));
    each_rows(p, false, p.slots / 2, [&](int64_t from, int64_t to) {
      const int first = p.begin[from];
      for (int e = first; e < p.begin[to]; ++e) {
        T *v = slot(p, s, 2 * (e - first)) + s.low, *won = v + p.slot_step;
        const int64_t at = p.offset[e] + s.at;
        const vec<T> tap = set1(T(p.tap[e]));
        each_vector<w>(s.count, [&](int64_t j, int m) {
          store(v + j, load(p.x + at + j, m)), store(won + j, load_u8<T>(p.winner + at + j, 0, m) - tap);
        });
      }
      for (int64_t i = from; i < to; ++i) {
        const T* slots = slot(p, s, 2 * (p.begin[i] - first)) - p.nearest;
        const int count = p.begin[i + 1] - p.begin[i];
        fetch<1>(p.y + i * p.in, p.in);
        collect<stride>(p, s, p.y + i * p.in, [&](int64_t j, const PoolMeets<T>& meets) {
          vec<T> a = set1(T(0));
          const T* v = slots + j;
          for (int e = 0; e < count; ++e, v += 2 * p.slot_step)
            for (int k = 0; k < meets.count; ++k) {
              const T* q = v + meets.shift[k];
              a = select(eq(load(q + p.slot_step), set1(meets.tap[k])), a + load(q), a);
            }
          return a;
        });
      }
    });
  });
}

// Windows of one element: by the source alone.
template <class T> NN_INLINE void winner_grad_plain(const PoolRows<T>& p, int64_t i, T* y) {
  constexpr int w = vec<T>::width;
  fetch<1>(y, p.in);
  each_strip<w>(p.out, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> a[k];
    for (int l = 0; l < k; ++l) a[l] = set1(T(0));
    for (int e = p.begin[i]; e < p.begin[i + 1]; ++e) {
      const int64_t at = p.offset[e] + j;
      const vec<T> tap = set1(T(p.tap[e]));
      for (int l = 0; l < k; ++l) {
        const mask<T> won = eq(load_u8<T>(p.winner + at + l * w, 0, m), tap);
        a[l] = select(won, a[l] + load(p.x + at + l * w, m), a[l]);
      }
    }
    for (int l = 0; l < k; ++l) store(y + j + l * w, a[l], m);
  });
}

template <class T> NN_INLINE void winner_grad_scalar(const PoolRows<T>& p, int64_t i, T* y) {
  for (int64_t j = 0; j < p.in; ++j) y[j] = 0;
  for (int e = p.begin[i]; e < p.begin[i + 1]; ++e)
    for (int64_t o = 0; o < p.out; ++o) {
      const int64_t at = p.offset[e] + o;
      const int64_t won = p.wide ? reinterpret_cast<const int32_t*>(p.winner)[at] : p.winner[at];
      const int64_t t = won - p.tap[e];
      const PoolWindow& s = p.windows[o];
      if (t >= s.first && t < s.last) y[s.start + t * p.dilation] += p.x[at];
    }
}

template <class T> void pool_winner_grad(const PoolRows<T>& given) {
  const PoolRows<T> p = given;
  const bool plain = is_plain(p);
  if (!p.wide && !plain && p.stride == 1) return winner_grad_rows<1>(p);
  if (!p.wide && !plain && p.stride == 2) return winner_grad_rows<2>(p);
  for (int64_t i = 0; i < p.rows; ++i)
    p.wide || !plain ? winner_grad_scalar(p, i, p.y + i * p.in) : winner_grad_plain(p, i, p.y + i * p.in);
}

}  // namespace
}  // namespace nn
