// Folds of rows and columns: sum, product, maximum, minimum, and the sum of squares.
//
// Eight accumulators hide the latency of the adds and shorten the chains of rounding errors: a leaf of 4096
// floats adds 32 numbers per lane. NaN comes through max and min. Bound by bytes.
#include <math.h>

namespace nn {
namespace {

enum { kSum, kProd, kMax, kMin, kSquares };  // the order of nn::cpu::Fold

template <int op, class T> NN_INLINE T neutral() {
  return op == kProd ? T(1) : op == kMax ? -T(INFINITY) : op == kMin ? T(INFINITY) : T(0);
}
// Partial results of two pieces; squares are sums by then.
template <int op, class T> NN_INLINE vec<T> combine(vec<T> a, vec<T> b) {
  if constexpr (op == kProd)
    return a * b;
  else if constexpr (op == kMax)
    return select(is_nan(a), a, max(a, b));
  else if constexpr (op == kMin)
    return select(is_nan(a), a, min(a, b));
  else
    return a + b;
}
// a, folded with one more element x.
template <int op, class T> NN_INLINE vec<T> fold(vec<T> a, vec<T> x) {
  if constexpr (op == kSquares)
    return mul_add(x, x, a);
  else
    return combine<op, T>(x, a);
}
// The same for the first n lanes; the others keep a.
template <int op, class T> NN_INLINE vec<T> fold(vec<T> a, vec<T> x, int n) {
  return select(first<T>(n), fold<op, T>(a, x), a);
}

template <int op, class T> NN_INLINE T across(vec<T> a) {
  if constexpr (op == kMax || op == kMin) {
    if (any(is_nan(a))) return T(NAN);
    return op == kMax ? reduce_max(a) : reduce_min(a);
  } else if constexpr (op == kProd) {
    T t[vec<T>::width];
    store(t, a);
    for (int step = vec<T>::width / 2; step; step /= 2)
      for (int i = 0; i < step; ++i) t[i] *= t[i + step];
    return t[0];
  } else {
    return sum(a);
  }
}

// Long rows come from memory, most likely, and the processor itself does not fetch them far enough ahead.
constexpr int64_t kFar = 3000, kAhead = 2048;

template <int op, class T> NN_INLINE T reduce_row(const T* x, int64_t n) {
  constexpr int w = vec<T>::width;
  constexpr bool comparing = op == kMax || op == kMin;
  const bool long_row = w > 1 && n >= kFar, far = long_row && !lines_are_fetched;
  const bool to_l2 = long_row && lines_are_fetched && !comparing;  // from there the processor fetches them
  vec<T> a0 = set1(neutral<op, T>()), a1 = a0, a2 = a0, a3 = a0;
  int64_t i = 0;
  if (n >= 8 * w) {
    vec<T> a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (; i + 8 * w <= n; i += 8 * w) {
      if (far)
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) __builtin_prefetch(x + i + k * w + kAhead);
      if (to_l2)
#pragma GCC unroll 8
        for (int k = 0; k < 8; ++k) __builtin_prefetch(x + i + k * w + 6144 / sizeof(T), 0, 2);
      a0 = fold<op, T>(a0, load(x + i)), a1 = fold<op, T>(a1, load(x + i + w));
      a2 = fold<op, T>(a2, load(x + i + 2 * w)), a3 = fold<op, T>(a3, load(x + i + 3 * w));
      a4 = fold<op, T>(a4, load(x + i + 4 * w)), a5 = fold<op, T>(a5, load(x + i + 5 * w));
      a6 = fold<op, T>(a6, load(x + i + 6 * w)), a7 = fold<op, T>(a7, load(x + i + 7 * w));
    }
    a0 = combine<op, T>(a0, a4), a1 = combine<op, T>(a1, a5);
    a2 = combine<op, T>(a2, a6), a3 = combine<op, T>(a3, a7);
  }
  if (i + 4 * w <= n) {
    a0 = fold<op, T>(a0, load(x + i)), a1 = fold<op, T>(a1, load(x + i + w));
    a2 = fold<op, T>(a2, load(x + i + 2 * w)), a3 = fold<op, T>(a3, load(x + i + 3 * w));
    i += 4 * w;
  }
  for (; i + w <= n; i += w) a1 = fold<op, T>(a1, load(x + i));
  if (i < n) a2 = fold<op, T>(a2, load(x + i, int(n - i)), int(n - i));
  return across<op, T>(combine<op, T>(combine<op, T>(a0, a1), combine<op, T>(a2, a3)));
}

// A row of some registers folded into one; the first lanes of its last register are `filled`.
template <int op, class T> NN_INLINE vec<T> reduce_registers(const T* x, int64_t whole, mask<T> filled) {
  constexpr int w = vec<T>::width;
  const vec<T> none = set1(neutral<op, T>());
  vec<T> a = select(filled, fold<op, T>(none, load_where(filled, x + whole * w)), none);
  for (int64_t i = 0; i < whole; ++i) a = fold<op, T>(a, load(x + i * w));
  return a;
}

// Neighbours in a, then in b: folded.
template <int op, class T> NN_INLINE vec<T> reduce_pairs(vec<T> a, vec<T> b) {
  return combine<op, T>(even(a, b), odd(a, b));
}

// Short rows: the lanes of many are folded together, which leaves one row in each lane.
template <int op, class T>
NN_INLINE void reduce_short_rows(const T* x, int64_t row_step, int64_t rows, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  const int64_t whole = (n - 1) / w;
  const mask<T> filled = first<T>(int(n - whole * w));
  int64_t r = 0;
  for (; r + w <= rows; r += w) {
    vec<T> a[w];
#pragma GCC unroll 16
    for (int i = 0; i < w; ++i) a[i] = reduce_registers<op, T>(x + (r + i) * row_step, whole, filled);
#pragma GCC unroll 4
    for (int left = w / 2; left; left /= 2)
#pragma GCC unroll 8
      for (int i = 0; i < left; ++i) a[i] = reduce_pairs<op, T>(a[2 * i], a[2 * i + 1]);
    store(y + r, a[0]);
  }
  for (; r < rows; ++r) {
    vec<T> a = reduce_registers<op, T>(x + r * row_step, whole, filled);
    for (int left = w / 2; left; left /= 2) a = reduce_pairs<op, T>(a, a);
    store(y + r, a, 1);
  }
}

template <int op, class T>
NN_INLINE void reduce_rows_of(const T* x, int64_t row_step, int64_t rows, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  if (w > 1 && n < 8 * w) return reduce_short_rows<op, T>(x, row_step, rows, n, y);
  for (int64_t r = 0; r < rows; ++r) y[r] = reduce_row<op, T>(x + r * row_step, n);
}

// Columns are folded in blocks of rows, which are read side by side.
constexpr int64_t kBlock = 16;

// Wide matrices come from memory, most likely, and are swept eight rows at a time: of sixteen, those some
// powers of two apart would push each other out of L1. The rows of a block meet in `part` before they meet
// the running result in y; rows are fetched kBytesAhead ahead.
constexpr int64_t kWideBytes = 2048, kTallBytes = 512 << 10, kPart = 4096, kBytesAhead = 8192;

template <class T> NN_INLINE bool swept(int64_t rows, int64_t cols) {
  const int64_t bytes = cols * int64_t(sizeof(T));
  return vec<T>::width > 1 && cols <= kPart && bytes >= kWideBytes && rows * bytes >= kTallBytes;
}
// How far that is in x: along rows that touch, else in whole rows.
template <class T> NN_INLINE int64_t reach(int64_t row_step, int64_t cols) {
  constexpr int64_t n = kBytesAhead / int64_t(sizeof(T));
  return row_step == cols ? n : (n + cols - 1) / cols * row_step;
}
// Down the columns of a matrix whose rows are `step` apart, kWide registers of columns at a time: each row
// then gives whole cache lines. f(j, k, m) handles columns j .. j + m - 1 in k registers.
constexpr int kWide = 4;
template <int k> struct count_of {
  static constexpr int value = k;
};
template <int w, class F> NN_INLINE void each_strip(int64_t cols, F&& f) {
  int64_t j = 0;
  for (; j + kWide * w <= cols; j += kWide * w) f(j, count_of<kWide>(), w);
  for (; j < cols; j += w) f(j, count_of<1>(), cols - j < w ? int(cols - j) : w);
}

// y = fold of R rows of a block and what the block's rows before gave; the last ones meet the blocks before.
template <int op, int R, class T> NN_INLINE void sweep_rows(const T* x, int64_t row_step, int64_t cols,
                                                            int64_t ahead, bool first, bool last, bool begun,
                                                            T* part, T* y) {
  constexpr int w = vec<T>::width;
  each_strip<w>(cols, [&](int64_t j, auto wide, int n) __attribute__((always_inline)) {
    constexpr int k = decltype(wide)::value;
    vec<T> a[k];
#pragma GCC unroll 4
    for (int i = 0; i < k; ++i) {
      a[i] = first ? set1(neutral<op, T>()) : load(part + j + i * w, n);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        ask_ahead(x + r * row_step + ahead + j + i * w);
        a[i] = fold<op, T>(a[i], load(x + r * row_step + j + i * w, n));
      }
      if (last && begun) a[i] = combine<op, T>(load(y + j + i * w, n), a[i]);
    }
    T* to = (last ? y : part) + j;  // loads go ahead of stores: 1.2 times as fast
#pragma GCC unroll 4
    for (int i = 0; i < k; ++i) store(to + i * w, a[i], n);
  });
}
template <int op, class T>
void sweep_cols_of(const T* x, int64_t row_step, int64_t rows, int64_t cols, T* y) {
  const int64_t ahead = reach<T>(row_step, cols);
  T part[kPart];
  for (int64_t r = 0, some; r < rows; r += some, x += some * row_step) {
    some = rows - r >= 8 ? 8 : 1;
    const bool first = r % kBlock == 0, last = (r + some) % kBlock == 0 || r + some == rows;
    if (some == 8)
      sweep_rows<op, 8>(x, row_step, cols, ahead, first, last, r >= kBlock, part, y);
    else
      sweep_rows<op, 1>(x, row_step, cols, ahead, first, last, r >= kBlock, part, y);
  }
}

// The rows of a block are folded in a tree before they meet the running result in y.
template <int op, class T>
NN_INLINE void reduce_cols_of(const T* x, int64_t row_step, int64_t rows, int64_t cols, T* y) {
  constexpr int w = vec<T>::width;
  if (swept<T>(rows, cols)) return sweep_cols_of<op, T>(x, row_step, rows, cols, y);
  for (int64_t r = 0; r < rows; r += kBlock) {
    const int64_t k = rows - r < kBlock ? rows - r : kBlock;
    const T* p = x + r * row_step;
    for (int64_t j = 0; j < cols; j += w) {
      const int n = cols - j < w ? int(cols - j) : w;
      const vec<T> none = set1(neutral<op, T>());
      vec<T> a[4] = {none, none, none, none};
      if (k == kBlock && n == w) {
        const T* q = p + j;
#pragma GCC unroll 16
        for (int i = 0; i < kBlock; ++i, q += row_step) a[i % 4] = fold<op, T>(a[i % 4], load(q));
      } else {
        for (int64_t i = 0; i < k; ++i) a[0] = fold<op, T>(a[0], load(p + i * row_step + j, n));
      }
      a[0] = combine<op, T>(combine<op, T>(a[0], a[1]), combine<op, T>(a[2], a[3]));
      store(y + j, r ? combine<op, T>(load(y + j, n), a[0]) : a[0], n);
    }
  }
}

// y[r] = fold of x[r * row_step + 0..n)
template <class T> void reduce_rows(int op, const T* x, int64_t row_step, int64_t rows, int64_t n, T* y) {
  switch (op) {
    case kSum:
      return reduce_rows_of<kSum>(x, row_step, rows, n, y);
    case kProd:
      return reduce_rows_of<kProd>(x, row_step, rows, n, y);
    case kMax:
      return reduce_rows_of<kMax>(x, row_step, rows, n, y);
    case kMin:
      return reduce_rows_of<kMin>(x, row_step, rows, n, y);
    default:
      return reduce_rows_of<kSquares>(x, row_step, rows, n, y);
  }
}

// y[j] = fold over r < rows of x[r * row_step + j], for j < cols
template <class T> void reduce_cols(int op, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* y) {
  switch (op) {
    case kSum:
      return reduce_cols_of<kSum>(x, row_step, rows, cols, y);
    case kProd:
      return reduce_cols_of<kProd>(x, row_step, rows, cols, y);
    case kMax:
      return reduce_cols_of<kMax>(x, row_step, rows, cols, y);
    case kMin:
      return reduce_cols_of<kMin>(x, row_step, rows, cols, y);
    default:
      return reduce_cols_of<kSquares>(x, row_step, rows, cols, y);
  }
}

// The first index with x[index] == value, or the first NaN if value is NaN; n if there is none.
template <class T> int64_t find_first(const T* x, int64_t n, T value) {
  constexpr int w = vec<T>::width;
  const vec<T> v = set1(value);
  const bool nan = value != value;
  for (int64_t i = 0; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const vec<T> a = load(x + i, k);
    const mask<T> hit = (nan ? is_nan(a) : eq(a, v)) & first<T>(k);
    if (any(hit)) return i + int64_t(reduce_min(select(hit, iota<T>(), set1(T(w)))));
  }
  return n;
}

// The first index whose x is at least `bound` (at most, if `below`), or unordered with it; n if there is
// none.
template <class T> int64_t find_beyond(const T* x, int64_t n, T bound, bool below) {
  constexpr int w = vec<T>::width;
  const vec<T> b = set1(bound);
  const auto hits = [&](vec<T> a) { return ~(below ? gt(a, b) : lt(a, b)); };
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w)
    if (any((hits(load(x + i)) | hits(load(x + i + w))) |
            (hits(load(x + i + 2 * w)) | hits(load(x + i + 3 * w)))))
      break;
  for (; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const mask<T> hit = hits(load(x + i, k)) & first<T>(k);
    if (any(hit)) return i + int64_t(reduce_min(select(hit, iota<T>(), set1(T(w)))));
  }
  return n;
}

// v at `place` takes the place of the best so far if that is neither as good nor NaN.
template <class T> NN_INLINE void arg_step(bool smallest, vec<T> v, vec<T> place, vec<T>& best, vec<T>& at) {
  const mask<T> better = ~(smallest ? ge(v, best) : le(v, best)) & ~is_nan(best);
  best = select(better, v, best), at = select(better, place, at);
}

// value[r], index[r] = the largest (smallest) of row r and where it first stands; NaN is larger (smaller)
// than all. Places are counted in T: rows are short.
template <class T> void arg_rows(bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t n,
                                 T* value, int64_t* index) {
  constexpr int w = vec<T>::width, chains = 4;
  const bool far = w > 1 && n >= kFar;
  for (int64_t r = 0; r < rows; ++r, x += row_step) {
    vec<T> best[chains], at[chains], place = iota<T>();
    // Lanes that no element reaches repeat the first.
    for (int c = 0; c < chains; ++c) best[c] = set1(*x), at[c] = set1(T(0));
    int64_t i = 0;
    for (; i + chains * w <= n; i += chains * w)
#pragma GCC unroll 4
      for (int c = 0; c < chains; ++c, place = place + set1(T(w))) {
        if (far) __builtin_prefetch(x + i + c * w + kAhead);
        arg_step(smallest, load(x + i + c * w), place, best[c], at[c]);
      }
    for (; i < n; i += w, place = place + set1(T(w))) {
      const mask<T> there = first<T>(n - i < w ? int(n - i) : w);
      arg_step(smallest, select(there, load(x + i, n - i < w ? int(n - i) : w), set1(*x)), place, best[0],
               at[0]);
    }
    vec<T> top = best[0];
    for (int c = 1; c < chains; ++c)
      top = smallest ? combine<kMin, T>(best[c], top) : combine<kMax, T>(best[c], top);
    value[r] = smallest ? across<kMin, T>(top) : across<kMax, T>(top);
    const vec<T> v = set1(value[r]), none = set1(T(n));
    vec<T> found = none;
    for (int c = 0; c < chains; ++c) {
      const mask<T> hit = value[r] != value[r] ? is_nan(best[c]) : eq(best[c], v);
      found = min(select(hit, at[c], none), found);
    }
    index[r] = int64_t(reduce_min(found));
  }
}

// value[j], index[j] = the same of column j, and its row.
template <class T> void sweep_arg_cols(bool smallest, const T* x, int64_t row_step, int64_t rows,
                                       int64_t cols, T* value, T* index) {
  constexpr int w = vec<T>::width;
  const int64_t ahead = reach<T>(row_step, cols);
  for (int64_t r = 0; r < rows; ++r, x += row_step) {
    const vec<T> row = set1(T(r));
    each_strip<w>(cols, [&](int64_t j, auto wide, int n) __attribute__((always_inline)) {
      constexpr int k = decltype(wide)::value;
      vec<T> best[k], at[k];
#pragma GCC unroll 4
      for (int i = 0; i < k; ++i) {
        __builtin_prefetch(x + ahead + j + i * w);
        const vec<T> v = load(x + j + i * w, n);
        best[i] = r ? load(value + j + i * w, n) : v, at[i] = r ? load(index + j + i * w, n) : row;
        arg_step(smallest, v, row, best[i], at[i]);
      }
#pragma GCC unroll 4
      for (int i = 0; i < k; ++i) store(value + j + i * w, best[i], n), store(index + j + i * w, at[i], n);
    });
  }
}
template <class T>
void arg_cols(bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* value, T* index) {
  constexpr int w = vec<T>::width;
  if (swept<T>(rows, cols)) {
    constexpr int64_t strip = kPart / 2;  // value and index are at hand in the L1 cache
    for (int64_t j = 0; j < cols; j += strip)
      sweep_arg_cols(smallest, x + j, row_step, rows, cols - j < strip ? cols - j : strip, value + j,
                     index + j);
    return;
  }
  for (int64_t start = 0; start < rows; start += kBlock) {
    const int64_t end = rows - start < kBlock ? rows : start + kBlock;
    each_strip<w>(cols, [&](int64_t j, auto wide, int m) {
      constexpr int k = decltype(wide)::value;
      const T* p = x + start * row_step + j;
      vec<T> best[k], at[k];
      for (int i = 0; i < k; ++i) {
        best[i] = load(start ? value + j + i * w : p + i * w, m);
        at[i] = start ? load(index + j + i * w, m) : set1(T(0));
      }
      for (int64_t r = start; r < end; ++r, p += row_step) {
        const vec<T> row = set1(T(r));
#pragma GCC unroll 4
        for (int i = 0; i < k; ++i) {
          if (w > 1) __builtin_prefetch(p + (i + 4 * k) * w);  // sixteen streams at once are not foreseen
          arg_step(smallest, load(p + i * w, m), row, best[i], at[i]);
        }
      }
      for (int i = 0; i < k; ++i) store(value + j + i * w, best[i], m), store(index + j + i * w, at[i], m);
    });
  }
}

}  // namespace
}  // namespace nn
