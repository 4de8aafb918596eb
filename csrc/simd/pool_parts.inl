// Pooling by small windows, one or two apart, without a copy of the rows. The rows of a window are folded
// where they lie, register by register, and windows are put together from those by permutes whose places are
// found once for many planes. The last register of a row ends where the row ends: none needs a mask. Maxima
// are taken without regard to NaN; rows that have one are done again in slots (pool.inl).
namespace nn {
namespace {

constexpr int kMaxParts = 20;

// A row of n as registers side by side; a row shorter than a register is one, under a mask.
template <class T> struct Parts {
  static constexpr int W = vec<T>::width;
  int64_t n;
  int count;
  NN_INLINE explicit Parts(int64_t size) : n(size), count(int((size + W - 1) / W)) {}
  // Where the register lies that shall begin at `place`.
  NN_INLINE int64_t at(int64_t place) const {
    return place < 0 || n < W ? 0 : place + W <= n ? place : n - W;
  }
  NN_INLINE vec<T> get(const T* x) const { return n < W ? load(x, int(n)) : load(x); }
  NN_INLINE void put(T* y, vec<T> a) const { n < W ? store(y, a, int(n)) : store(y, a); }
};

// Lanes of two registers of a row. `near`: lanes without a place take a neighbour's, else 0.
template <class T> struct Pick {
  static constexpr int W = vec<T>::width;
  int64_t from = 0, next = 0;  // of the two, in lanes of the registers of the row
  places<T> lanes;

  // lane l is element where(l) of the row
  template <class F> void set(const Parts<T>& row, bool near, F&& where) {
    int64_t k = -1;
    for (int l = 0; l < W && k < 0; ++l) {
      const int64_t p = where(l);
      if (near || (p >= 0 && p < row.n)) k = within(row, p) / W;
    }
    k = k < 0 ? 0 : k < row.count ? k : row.count - 1;
    from = k * W, next = k + 1 < row.count ? from + W : from;
    set(row, near, row.at(from), row.at(next), where);
  }
  template <class F> void set(const Parts<T>& row, bool near, int64_t first, int64_t second, F&& where) {
    int32_t lane[W];
    for (int l = 0; l < W; ++l) {
      const int64_t p = within(row, where(l));
      lane[l] = int32_t(!near && p != where(l) ? -1 : p - first < W ? p - first : W + p - second);
    }
    lanes = load_places<T>(lane);
  }
  NN_INLINE vec<T> get(const vec<T>* registers, places<T> which) const {
    const T* p = reinterpret_cast<const T*>(registers);
    return permute(load(p + from), load(p + next), which);
  }
  static int64_t within(const Parts<T>& row, int64_t p) { return p < 0 ? 0 : p < row.n ? p : row.n - 1; }
};

// A column of a window's rows, folded; of winners, the first tap that has the extreme.
template <bool won, class T> struct Cell {
  vec<T> v, tap;
};
template <class T> struct Cell<false, T> {
  vec<T> v;
};

// Ask for what lies 4 KB behind p: what will be read, and what will be written.
template <class T> NN_INLINE void fetch_far(const T* p) { __builtin_prefetch(p + 4096 / sizeof(T)); }
template <class T> NN_INLINE void fetch_results(const T* p) { ask_ahead<1>(p + 4096 / sizeof(T)); }

// How the windows of a row are put together. Rows of N registers (results, if windows are two apart) are
// worked out in registers; 0: any number.
template <int op, bool won, int stride, int K, int N, class T> struct Windows {
  static constexpr int W = vec<T>::width;
  static constexpr bool kThird = stride == 2 && K == 3;  // its last lane lies behind two registers
  static constexpr int kMost = N ? N : kMaxParts;
  using C = Cell<won, T>;
  Parts<T> row, results;
  struct Register {
    int64_t to, a, b, c;  // a, b, c: columns, if windows are two apart; c < 0: none
    Pick<T> tap[K];
    vec<T> number[won ? K : 1];  // the tap that tap t takes
  } registers[kMost];

  mask<T> filled;  // of the row's first register

  explicit Windows(const PoolRows<T>& p)
      : row(p.in), results(p.out), filled(first<T>(int(p.in < W ? p.in : W))) {
    for (int q = 0; q < results.count; ++q) {
      Register& r = registers[q];
      r.to = results.at(q * W);
      const int64_t start = r.to * stride - p.low, behind = start + 2 * W;
      r.a = row.at(start), r.b = row.at(start + W);
      r.c = kThird && r.to + W <= p.out && behind < p.in ? behind : -1;
      for (int t = 0; t < K; ++t) {
        const auto where = [&](int l) { return start + l * stride + t; };
        if (stride == 1 && N)
          r.tap[t].set(row, op != kSum, 0, row.at(W), where);
        else if (stride == 1)
          r.tap[t].set(row, op != kSum, where);
        else if (t < 2)
          r.tap[t].set(row, op != kSum, r.a, r.b, where);
        else
          shift(r, where);
        if (!won) continue;
        T number[W];
        for (int l = 0; l < W; ++l) number[l] = T(t + Pick<T>::within(row, where(l)) - where(l));
        r.number[won ? t : 0] = load(number);
      }
    }
  }

  // A register of a source. Rows of many registers fill one; else a mask costs nothing with AVX-512, a branch
  // does.
  NN_INLINE vec<T> get(const T* x) const {
    if (N == 0) return load(x);
    return W * sizeof(T) == 64 ? load_where(filled, x) : row.get(x);
  }

  // The sources of row i.
  struct Sources {
    const T* x[3];
    vec<T> tap[3];
    int from, to;
  };
  // three: of three sources at most, where the last one may stand for those that are missing (not in sums)
  template <bool three> NN_INLINE Sources sources(const PoolRows<T>& p, int64_t i) const {
    Sources s;
    s.from = p.begin[i], s.to = p.begin[i + 1];
#pragma GCC unroll 3
    for (int e = 0; e < 3 && three; ++e) {
      const int at = op == kSum || s.from + e < s.to ? s.from + e : s.to - 1;
      s.x[e] = p.x + p.offset[at];
      if (won) s.tap[e] = set1(T(p.tap[at]));
    }
    return s;
  }
  // Column folds (stride of two). seen: NaN if any source is (or if both infinities are there)
  template <bool three, class F>
  NN_INLINE C fold(const PoolRows<T>& p, const Sources& s, vec<T>& seen, F&& get) const {
    C a;
    if constexpr (three) {
      const vec<T> v[3] = {get(s.x[0]), get(s.x[1]), get(s.x[2])};
      a.v = v[0];
      if constexpr (won) a.tap = s.tap[0];
      add(a, v[1], s.tap[1]), add(a, v[2], s.tap[2]);
      if (op != kSum) seen = seen + ((v[0] + v[1]) + v[2]);
    } else {
      a.v = get(p.x + p.offset[s.from]);
      if constexpr (won) a.tap = set1(T(p.tap[s.from]));
      if (op != kSum) seen = seen + a.v;
      for (int e = s.from + 1; e < s.to; ++e) {
        const vec<T> v = get(p.x + p.offset[e]);
        add(a, v, won ? set1(T(p.tap[e])) : v);
        if (op != kSum) seen = seen + v;
      }
    }
    return a;
  }
  static NN_INLINE void add(C& a, vec<T> v, vec<T> tap) {
    if constexpr (won) a.tap = select(op == kMax ? gt(v, a.v) : lt(v, a.v), tap, a.tap);
    a.v = extreme(a.v, v);
  }
  static NN_INLINE vec<T> extreme(vec<T> a, vec<T> b) {
    return op == kSum ? a + b : op == kMax ? max(a, b) : min(a, b);
  }
  static NN_INLINE vec<T> pick(vec<T> a, vec<T> b, places<T> lanes) {
    return permute(a, b, op == kSum ? lanes : whole(lanes));
  }
  // Of a window's columns; where several have the extreme, the lowest tap in all rows is the winner's.
  static NN_INLINE C merge(const Register& r, const C (&u)[K]) {
    C best = u[0];
#pragma GCC unroll 3
    for (int t = 1; t < K; ++t) best.v = extreme(best.v, u[t].v);
    if constexpr (won) {
      best.tap = set1(T(1 << 20));
#pragma GCC unroll 3
      for (int t = 0; t < K; ++t)
        best.tap = select(eq(u[t].v, best.v), min(best.tap, u[t].tap + r.number[t]), best.tap);
    }
    return best;
  }

  // Windows of one source row, one apart: all K taps of each.
  struct Line {
    C h[stride == 1 ? kMost : 1];
    vec<T> seen;
  };
  NN_INLINE void line(const T* x, Line& to) const {
    vec<T> v[kMost];
#pragma GCC unroll 2
    for (int q = 0; q < (N ? N : row.count); ++q) {
      const int64_t at = row.at(q * W);
      fetch_far(x + at);
      v[q] = get(x + at);
      if (op != kSum) to.seen = q ? to.seen + v[q] : v[q];
    }
#pragma GCC unroll 2
    for (int q = 0; q < (N ? N : results.count); ++q) {
      const Register& r = registers[q];
      vec<T> u[K];
#pragma GCC unroll 3
      for (int t = 0; t < K; ++t)
        u[t] = N ? pick(v[0], v[kMost - 1], r.tap[t].lanes)
                 : r.tap[t].get(v, op == kSum ? r.tap[t].lanes : whole(r.tap[t].lanes));
      C& best = to.h[q];
      best.v = extreme(u[0], u[1]);
      if (K == 3) best.v = extreme(best.v, u[K - 1]);
      if constexpr (won) {
        best.tap = r.number[K - 1];
#pragma GCC unroll 3
        for (int t = K - 2; t >= 0; --t) best.tap = select(eq(u[t], best.v), r.number[t], best.tap);
      }
    }
  }
  // The last three lines: most rows share two of them with the one before.
  struct Lines {
    const T* x[3] = {nullptr, nullptr, nullptr};
    Line line[4];
    unsigned first = 0;
  };
  template <bool three, class F>
  NN_INLINE vec<T> each_line(const PoolRows<T>& p, int64_t i, Lines& lines, F&& put) const {
    const Sources s = sources<three>(p, i);
    const bool follows = three && s.x[0] == lines.x[1] && s.x[1] == lines.x[2];
    if (follows) ++lines.first;
    Line &a = lines.line[lines.first % 4], &b = lines.line[(lines.first + 1) % 4],
         &c = lines.line[(lines.first + 2) % 4];
    vec<T> seen;
    if constexpr (three) {
      if (!follows) line(s.x[0], a), line(s.x[1], b);
      line(s.x[2], c);
      for (int e = 0; e < 3; ++e) lines.x[e] = s.x[e];
      seen = (a.seen + b.seen) + c.seen;
#pragma GCC unroll 2
      for (int q = 0; q < (N ? N : results.count); ++q) {
        if (N == 2 && q == results.count) break;
        C best;
        best.v = extreme(extreme(a.h[q].v, b.h[q].v), c.h[q].v);
        if constexpr (won) {
          best.tap = c.h[q].tap + s.tap[2];
          best.tap = select(eq(b.h[q].v, best.v), b.h[q].tap + s.tap[1], best.tap);
          best.tap = select(eq(a.h[q].v, best.v), a.h[q].tap + s.tap[0], best.tap);
        }
        put(q, registers[q].to, best);
      }
    } else {
      lines.x[0] = lines.x[1] = lines.x[2] = nullptr;
      for (int e = s.from; e < s.to; ++e) {
        line(p.x + p.offset[e], e == s.from ? a : c);
        const vec<T> tap = set1(won ? T(p.tap[e]) : T(0));
        for (int q = 0; q < (N ? N : results.count); ++q) {
          C &best = a.h[q], &next = e == s.from ? best : c.h[q];
          if constexpr (won) next.tap = next.tap + tap;
          if (e > s.from) add(best, next.v, tap_of(next));
        }
        if (e > s.from) a.seen = a.seen + c.seen;
      }
      seen = a.seen;
      for (int q = 0; q < results.count; ++q) put(q, registers[q].to, a.h[q]);
    }
    return seen;
  }
  static NN_INLINE vec<T> tap_of(const C& c) {
    if constexpr (won) return c.tap;
    return c.v;
  }

  // The windows of row i: put(q, to, Cell). Returns what is NaN somewhere if a source is.
  template <bool three, class F>
  NN_INLINE vec<T> each(const PoolRows<T>& p, int64_t i, Lines& lines, F&& put) const {
    if constexpr (stride == 1) return each_line<three>(p, i, lines, put);
    const Sources s = sources<three>(p, i);
    vec<T> seen = set1(T(0));
    // Of two new rows, line by line: memory serves that up to 1.4 times as fast as the rows side by side.
    const T* far = (three ? s.x[2] : p.x + p.offset[s.to - 1]) - p.in;
    const auto column = [&](int64_t at) {
      fetch_far(far + 2 * at);
      if (W * sizeof(T) == 64) fetch_far(far + 2 * at + W);
      return fold<three>(p, s, seen, [&](const T* x) { return get(x + at); });
    };
#pragma GCC unroll 2
    for (int q = 0; q < (N ? N : results.count); ++q) {
      const Register& r = registers[q];
      C u[K];
      const C a = column(r.a), b = column(r.b);
      const auto from_pair = [&](const C& first, const C& second, places<T> lanes) {
        C c;
        c.v = pick(first.v, second.v, lanes);
        if constexpr (won) c.tap = permute(first.tap, second.tap, lanes);
        return c;
      };
      u[0] = from_pair(a, b, r.tap[0].lanes), u[1] = from_pair(a, b, r.tap[1].lanes);
      if constexpr (kThird) {
        C c = u[0];
        if (r.c >= 0) c = fold<three>(p, s, seen, [&](const T* x) { return set1(x[r.c]); });
        u[2] = from_pair(u[0], c, r.tap[2].lanes);
      }
      put(q, r.to, merge(r, u));
    }
    return seen;
  }

 private:
  // The third tap is the first one of the next window.
  template <class F> void shift(Register& r, F&& where) {
    int32_t lane[W];
    for (int l = 0; l < W; ++l) {
      lane[l] = l + 1 < W ? l + 1 : r.c >= 0 ? W : l;
      if (op == kSum && !(where(l) >= 0 && where(l) < row.n)) lane[l] = -1;
    }
    r.tap[2].lanes = load_places<T>(lane);
  }
};

// What row i of sums is divided by, and the reciprocals: a product and two corrections instead of a division.
template <class T> struct Divisors {
  T scale = T(-1);
  vec<T> by[kMaxParts], inverse[kMaxParts];
  NN_INLINE void set(const PoolRows<T>& p, const Parts<T>& results, T of_row) {
    if (of_row == scale) return;
    scale = of_row;
    for (int q = 0; q < results.count; ++q) {
      by[q] = set1(scale);
      if (p.divisor) by[q] = by[q] * results.get(p.divisor + results.at(q * vec<T>::width));
      inverse[q] = set1(T(1)) / by[q];
    }
  }
  NN_INLINE vec<T> divide(vec<T> a, int64_t q) const {
    const vec<T> first = a * inverse[q], rest = neg_mul_add(first, by[q], a);
    return select(eq(rest, rest), mul_add(rest, inverse[q], first), first);
  }
};

// f(count_of<size of the windows>, count_of<registers of a row, or 0: many>) if they can be put together so
template <class T, class F> NN_INLINE bool by_parts(const PoolRows<T>& p, int64_t n, F&& f) {
  if (vec<T>::width == 1 || p.dilation != 1 || (p.kernel != 2 && p.kernel != 3)) return false;
  if (Parts<T>(p.in).count > kMaxParts || Parts<T>(p.out).count > kMaxParts) return false;
  for (int64_t o = 0; o < p.out; ++o)
    if (p.windows[o].first >= p.windows[o].last) return false;
  const auto of_size = [&](auto k) {
    const int count = Parts<T>(n).count;
    count == 1 ? f(k, count_of<1>()) : count == 2 ? f(k, count_of<2>()) : f(k, count_of<0>());
  };
  p.kernel == 3 ? of_size(count_of<3>()) : of_size(count_of<2>());
  return true;
}

// f(PoolRows) for each plane of a call
template <class T, class F> NN_INLINE void each_plane(PoolRows<T> p, F&& f) {
  for (int64_t k = 0; k < p.planes; ++k) {
    f(p);
    p.x += p.x_plane, p.y += p.y_plane;
    if (p.winner) p.winner += p.winner_plane;
    if (p.y_winner) p.y_winner = static_cast<char*>(p.y_winner) + p.y_plane * (p.wide ? 4 : 1);
  }
}
// Row i of p alone, the way that minds NaN; hardly ever.
template <class T, class F> __attribute__((noinline)) void row_again(PoolRows<T> p, int64_t i, F&& f) {
  p.rows = 1, p.begin += i, p.y += i * p.out;
  if (p.y_winner) p.y_winner = static_cast<char*>(p.y_winner) + i * p.out * (p.wide ? 4 : 1);
  f(p);
}

template <int op, int stride, int K, int N, class T> NN_INLINE void fold_parts(const PoolRows<T>& p) {
  using Rows = Windows<op, false, stride, K, N, T>;
  const Rows windows(p);
  typename Rows::Lines lines;
  Divisors<T> divisors;
  const Parts<T> results = windows.results;
  each_plane(p, [&](const PoolRows<T>& plane) {
    for (int64_t i = 0; i < plane.rows; ++i) {
      T* y = plane.y + i * plane.out;
      if (op == kSum) divisors.set(plane, results, plane.scale[i]);
      const auto put = [&](int q, int64_t to, const Cell<false, T>& a) {
        fetch_results(y + to);
        results.put(y + to, op == kSum ? divisors.divide(a.v, q) : a.v);
      };
      const int sources = plane.begin[i + 1] - plane.begin[i];
      const vec<T> seen = sources == 3 || (op != kSum && sources < 3)
                              ? windows.template each<true>(plane, i, lines, put)
                              : windows.template each<false>(plane, i, lines, put);
      if (op != kSum && any(is_nan(seen)))
        row_again(plane, i, [](const PoolRows<T>& one) { fold_rows<op, stride, T>(one); });
    }
  });
}

template <int op, class T> NN_INLINE void pool_rows(const PoolRows<T>& p) {
  const auto fast = [&](auto stride) {
    constexpr int s = decltype(stride)::value;
    bool done = false;
    if constexpr (op != kMin)  // few ask for the smallest, and this is much code
      done = by_parts(p, s == 1 && p.in > p.out ? p.in : p.out, [&](auto k, auto n) {
        fold_parts<op, s, decltype(k)::value, decltype(n)::value, T>(p);
      });
    if (!done) each_plane(p, [](const PoolRows<T>& plane) { fold_rows<op, s, T>(plane); });
  };
  if (is_plain(p))
    each_plane(p, [](const PoolRows<T>& plane) { fold_plain<op, T>(plane); });
  else if (p.stride == 1)
    fast(count_of<1>());
  else if (p.stride == 2)
    fast(count_of<2>());
  else
    each_plane(p, [](const PoolRows<T>& plane) { fold_anywhere<op, T>(plane); });
}
template <class T> void pool_average(const PoolRows<T>& p) { pool_rows<kSum, T>(p); }
template <class T> void pool_extreme(bool smallest, const PoolRows<T>& p) {
  smallest ? pool_rows<kMin, T>(p) : pool_rows<kMax, T>(p);
}

// again: of rows that have a NaN
template <int stride, int K, int N, class T>
NN_INLINE void winner_parts(const PoolRows<T>& p, void (*again)(const PoolRows<T>&)) {
  constexpr int W = vec<T>::width;
  using Rows = Windows<kMax, true, stride, K, N, T>;
  const Rows windows(p);
  typename Rows::Lines lines;
  const Parts<T> results = windows.results;
  each_plane(p, [&](const PoolRows<T>& plane) {
    for (int64_t i = 0; i < plane.rows; ++i) {
      const auto put = [&](int, int64_t to, const Cell<true, T>& a) {
        const int64_t at = i * plane.out + to;
        fetch_results(plane.y + at);
        results.put(plane.y + at, a.v);
        if (!plane.y_winner) return;
        results.n < W ? store_winners(plane, at, a.tap, int(results.n)) : store_winners(plane, at, a.tap, W);
      };
      const bool three = plane.begin[i + 1] - plane.begin[i] <= 3;
      const vec<T> seen = three ? windows.template each<true>(plane, i, lines, put)
                                : windows.template each<false>(plane, i, lines, put);
      if (any(is_nan(seen))) row_again(plane, i, again);
    }
  });
}

template <int stride, class T>
__attribute__((noinline)) bool largest_by_parts(const PoolRows<T>& p, void (*again)(const PoolRows<T>&)) {
  return by_parts(p, stride == 1 && p.in > p.out ? p.in : p.out, [&](auto k, auto n) {
    winner_parts<stride, decltype(k)::value, decltype(n)::value, T>(p, again);
  });
}

template <bool smallest, bool ignore, class T> NN_INLINE void winner_anywhere(const PoolRows<T>& p) {
  for (int64_t i = 0; i < p.rows; ++i)
    if (is_plain(p))
      winner_plain<smallest, ignore, T>(p, i);
    else
      for (int64_t o = 0; o < p.out; ++o) winner_scalar<smallest, ignore, T>(p, i, o);
}
template <bool smallest, bool ignore, class T> NN_INLINE void pool_winner_of(const PoolRows<T>& p) {
  const auto fast = [&](auto stride) {
    constexpr int s = decltype(stride)::value;
    const auto rows = [](const PoolRows<T>& plane) { winner_rows<smallest, ignore, s, T>(plane); };
    if (smallest || !largest_by_parts<s, T>(p, rows)) each_plane(p, rows);
  };
  if (p.stride == 1 && !is_plain(p))
    fast(count_of<1>());
  else if (p.stride == 2)
    fast(count_of<2>());
  else
    each_plane(p, [](const PoolRows<T>& plane) { winner_anywhere<smallest, ignore, T>(plane); });
}
template <class T> void pool_winner(bool smallest, bool ignore_nan, const PoolRows<T>& p) {
  if (ignore_nan)
    smallest ? pool_winner_of<true, true, T>(p) : pool_winner_of<false, true, T>(p);
  else
    smallest ? pool_winner_of<true, false, T>(p) : pool_winner_of<false, false, T>(p);
}

}  // namespace
}  // namespace nn
