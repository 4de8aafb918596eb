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
      for (int l = 0; l < k; ++l) a[l] = mul_add(load(x + p.offset[e] + l * w, m), set1(p.scale[e]), a[l]);
    for (int l = 0; l < k; ++l) {
      if (p.divisor) a[l] = a[l] * load(p.divisor + at + j + l * w, m);
      put(j + l * w, a[l], m);
    }
  });
}

// How a row is put together from what pooled rows, N registers long (0: any number), send it.
template <int stride, int K, int N, class T> struct Meetings {
  static constexpr int W = vec<T>::width, kMost = N ? N : kMaxParts;
  Parts<T> row, pooled;
  int64_t to[kMaxParts];
  Pick<T> tap[kMaxParts][K];

  explicit Meetings(const PoolRows<T>& p) : row(p.in), pooled(p.out) {
    for (int q = 0; q < row.count; ++q) {
      to[q] = row.at(q * W);
      for (int t = 0; t < K; ++t) {
        const auto where = [&](int l) {
          const int64_t away = to[q] + l + p.low - t;
          return away >= 0 && away % stride == 0 ? away / stride : -1;
        };
        N ? tap[q][t].set(pooled, false, 0, pooled.at(W), where) : tap[q][t].set(pooled, false, where);
      }
    }
  }
  // send[t]: what the windows of each register send by tap t (by all taps the same, if K1 is 1)
  template <int K1> NN_INLINE void put(T* y, const vec<T> (&send)[K1][kMost]) const {
    for (int q = 0; q < row.count; ++q) {
      vec<T> sum;
#pragma GCC unroll 3
      for (int t = 0; t < K; ++t) {
        const Pick<T>& pick = tap[q][t];
        const vec<T>* of_tap = send[t % K1];
        const vec<T> a = N ? permute(of_tap[0], of_tap[kMost - 1], pick.lanes) : pick.get(of_tap, pick.lanes);
        sum = t ? sum + a : a;
      }
      fetch_results(y + to[q]);
      row.put(y + to[q], sum);
    }
  }
};

template <int stride, int K, int N, class T> NN_INLINE void average_grad_parts(const PoolRows<T>& p) {
  const Meetings<stride, K, N, T> meetings(p);
  const Parts<T> pooled = meetings.pooled;
  each_plane(p, [&](const PoolRows<T>& plane) {
    for (int64_t i = 0; i < plane.rows; ++i) {
      vec<T> send[1][N];
#pragma GCC unroll 2
      for (int q = 0; q < N; ++q) {
        const int64_t at = pooled.at(q * vec<T>::width);
        vec<T> a = set1(T(0));
        for (int e = plane.begin[i]; e < plane.begin[i + 1]; ++e)
          a = mul_add(pooled.get(plane.x + plane.offset[e] + at), set1(plane.scale[e]), a);
        send[0][q] = plane.divisor ? a * pooled.get(plane.divisor + at) : a;
      }
      meetings.put(plane.y + i * plane.in, send);
    }
  });
}

template <int stride, int K, int N, class T> NN_INLINE void winner_grad_parts(const PoolRows<T>& p) {
  constexpr int W = vec<T>::width;
  const Meetings<stride, K, N, T> meetings(p);
  const Parts<T> pooled = meetings.pooled;
  each_plane(p, [&](const PoolRows<T>& plane) {
    for (int64_t i = 0; i < plane.rows; ++i) {
      vec<T> send[K][N];
#pragma GCC unroll 2
      for (int q = 0; q < N; ++q) {
        const int64_t at = pooled.at(q * W);
        vec<T> sum[K];
#pragma GCC unroll 3
        for (int t = 0; t < K; ++t) sum[t] = set1(T(0));
        for (int e = plane.begin[i]; e < plane.begin[i + 1]; ++e) {
          const vec<T> g = pooled.get(plane.x + plane.offset[e] + at);
          const uint8_t* won = plane.winner + plane.offset[e] + at;
#pragma GCC unroll 3
          for (int t = 0; t < K; ++t) {
            const uint8_t number = uint8_t(plane.tap[e] + t);
            const mask<T> here =
                pooled.n < W ? eq_u8<T>(won, number, int(pooled.n)) : eq_u8<T>(won, number, W);
            sum[t] = select(here, sum[t] + g, sum[t]);
          }
        }
#pragma GCC unroll 3
        for (int t = 0; t < K; ++t) send[t][q] = sum[t];
      }
      meetings.put(plane.y + i * plane.in, send);
    }
  });
}

template <int stride, class T> NN_INLINE void average_grad_rows(const PoolRows<T>& p) {
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

template <class T> NN_INLINE void average_grad_anywhere(const PoolRows<T>& p) {
  const bool plain = is_plain(p);
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

template <class T> void pool_average_grad(const PoolRows<T>& p) {
  const auto fast = [&](auto stride) {
    constexpr int s = decltype(stride)::value;
    const auto parts = [&](auto k, auto n) {
      constexpr int registers = decltype(n)::value;  // more than two never come here
      if constexpr (registers > 0) average_grad_parts<s, decltype(k)::value, registers, T>(p);
    };
    if (Parts<T>(p.out).count > 2 || !by_parts(p, p.out, parts))
      each_plane(p, [](const PoolRows<T>& plane) { average_grad_rows<s, T>(plane); });
  };
  const bool plain = is_plain(p);
  if (!plain && p.stride == 1) return fast(count_of<1>());
  if (!plain && p.stride == 2) return fast(count_of<2>());
  each_plane(p, [](const PoolRows<T>& plane) { average_grad_anywhere(plane); });
}

// Each source has two slots: its numbers, and by how many taps the winners lie behind the source's first one.
template <int stride, class T> NN_INLINE void winner_grad_rows(const PoolRows<T>& p) {
  constexpr int w = vec<T>::width;
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

template <class T> void pool_winner_grad(const PoolRows<T>& p) {
  const auto fast = [&](auto stride) {
    constexpr int s = decltype(stride)::value;
    const auto parts = [&](auto k, auto n) {
      constexpr int registers = decltype(n)::value;  // more than two never come here
      if constexpr (registers > 0) winner_grad_parts<s, decltype(k)::value, registers, T>(p);
    };
    if (Parts<T>(p.out).count > 2 || !by_parts(p, p.out, parts))
      each_plane(p, [](const PoolRows<T>& plane) { winner_grad_rows<s, T>(plane); });
  };
  const bool plain = is_plain(p);
  if (!p.wide && !plain && p.stride == 1) return fast(count_of<1>());
  if (!p.wide && !plain && p.stride == 2) return fast(count_of<2>());
  each_plane(p, [&](const PoolRows<T>& plane) {
    for (int64_t i = 0; i < plane.rows; ++i) {
      T* y = plane.y + i * plane.in;
      p.wide || !plain ? winner_grad_scalar(plane, i, y) : winner_grad_plain(plane, i, y);
    }
  });
}

}  // namespace
}  // namespace nn
