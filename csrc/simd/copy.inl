// Copies that the compiler can't vectorise: a matrix turned, and rows added.
namespace nn {
namespace {

// Asks memory for what lies ahead on a straight line, unless the processor does better by itself.
template <int write = 0> NN_INLINE void ask_ahead(const void* p) {
  if (!lines_are_fetched) __builtin_prefetch(p, write);
}

// Not inlined: the compiler would keep two pointers per row on the stack across the loops that call them.
// far: memory is asked for the square of x that lies `soon` behind.
template <class T, bool far = false>
__attribute__((noinline)) void transpose_square(const T* x, int64_t x_step, T* y, int64_t y_step,
                                                int64_t soon = 0) {
  constexpr int w = vec<T>::width;
  vec<T> r[w];
#pragma GCC unroll 16
  for (int k = 0; k < w; ++k) {
    if (far) __builtin_prefetch(x + k * x_step + soon, 0, 2);
    r[k] = load(x + k * x_step);
  }
  transpose(r);
#pragma GCC unroll 16
  for (int k = 0; k < w; ++k) store(y + k * y_step, r[k]);
}

// The same for rows x cols; lanes of y from rows to `wide` become 0.
template <class T> __attribute__((noinline)) void transpose_corner(const T* x, int64_t x_step, T* y,
                                                                   int64_t y_step, int rows, int cols,
                                                                   int wide) {
  constexpr int w = vec<T>::width;
  vec<T> r[w];
#pragma GCC unroll 16
  for (int k = 0; k < w; ++k)  // an empty load from where there is no memory would be slow
    r[k] = k < rows ? load(x + k * x_step, cols) : set1(T(0));
  transpose(r);
  for (int k = 0; k < cols; ++k) store(y + k * y_step, r[k], wide);
}

// y[j * y_step + i] = x[i * x_step + j] for i < rows, j < cols. Square blocks are turned in registers; tiles
// of 8 x 2 blocks keep the lines of both sides in L1 (and their pages in the TLB) until they are whole.
template <class T, bool far>
void transpose_tiles(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t rows, int64_t cols) {
  constexpr int w = vec<T>::width;
  constexpr int64_t tile_i = w >= 4 ? 8 * w : 16, tile_j = w >= 4 ? 2 * w : 16;
  for (int64_t j0 = 0; j0 < cols; j0 += tile_j)
    for (int64_t i0 = 0; i0 < rows; i0 += tile_i) {
      const int64_t j1 = j0 + tile_j < cols ? j0 + tile_j : cols,
                    i1 = i0 + tile_i < rows ? i0 + tile_i : rows;
      const int64_t soon = i1 < rows ? tile_i * x_step : tile_j - i0 * x_step;  // the next tile
      for (int64_t j = j0; j < j1; j += w)
        for (int64_t i = i0; i < i1; i += w) {
          const int nj = j1 - j < w ? int(j1 - j) : w, ni = i1 - i < w ? int(i1 - i) : w;
          if (nj == w && ni == w)
            transpose_square<T, far>(x + i * x_step + j, x_step, y + j * y_step + i, y_step, soon);
          else
            transpose_corner(x + i * x_step + j, x_step, y + j * y_step + i, y_step, ni, nj, ni);
        }
    }
}
// Rows that lie pages apart are asked for a tile ahead: no hardware sees their next lines coming. (Not where
// they share sets of the cache, which could not hold both tiles.)
template <class T>
void transpose_copy(const T* x, int64_t x_step, T* y, int64_t y_step, int64_t rows, int64_t cols) {
  const int64_t apart = x_step * int64_t(sizeof(T));
  if (apart > 4096 && apart % 4096 && cols > 128)
    transpose_tiles<T, true>(x, x_step, y, y_step, rows, cols);
  else
    transpose_tiles<T, false>(x, x_step, y, y_step, rows, cols);
}

// y[i * y_step + j] = x[(at ? at[i] : i) * x_step + j] for i < rows, j < n: rows too short for memcpy to
// shine. Memory is asked for what will be written, too: a store waits for its line.
template <class T>
void copy_rows(const T* x, int64_t x_step, const int64_t* at, T* y, int64_t y_step, int64_t rows, int64_t n) {
  constexpr int w = vec<T>::width;
  const int rest = int(n % w);
  const bool brief = at && n * int64_t(sizeof(T)) <= 512;  // the loads of many rows overlap by themselves
  for (int64_t i = 0; i < rows; ++i) {
    const T* from = x + (at ? at[i] : i) * x_step;
    T* to = y + i * y_step;
    const T* soon = at ? i + 8 < rows ? x + at[i + 8] * x_step : from : from + 2048 / sizeof(T);
    for (int64_t j = brief || lines_are_fetched ? n : 0; j < n; j += 64 / int64_t(sizeof(T))) {
      __builtin_prefetch(soon + j);
      __builtin_prefetch(to + 4096 / sizeof(T) + j, 1);
    }
    int64_t j = 0;
    for (; j + 4 * w <= n; j += 4 * w) {
      const vec<T> a = load(from + j), b = load(from + j + w), c = load(from + j + 2 * w),
                   d = load(from + j + 3 * w);
      store(to + j, a), store(to + j + w, b), store(to + j + 2 * w, c), store(to + j + 3 * w, d);
    }
    for (; j + w <= n; j += w) store(to + j, load(from + j));
    if (rest) store(to + j, load(from + j, rest), rest);
  }
}

// k elements, of which whole registers are loaded without a mask. Of long arrays (`past` the caches) memory
// is asked for 4 KB ahead: functions of many instructions else wait for it.
template <class T> NN_INLINE vec<T> load_part(const T* p, int k, bool past) {
  if (past) __builtin_prefetch(p + 4096 / sizeof(T));
  return k == vec<T>::width ? load(p) : load(p, k);
}

// For loops that call write_each with long functions: the compiler's first scheduling pass, which it leaves
// out for x86, lets the chains of the four registers take turns. It needs the 32 registers of AVX-512.
#if defined(__AVX512F__) && !defined(__clang__)
#define NN_TURNS __attribute__((optimize("schedule-insns", "sched-pressure")))
#else
#define NN_TURNS
#endif

// y[i] = f(i, k), k elements from i on, for all n: four registers at a time; `past` the caches, from the
// first aligned register on.
template <class T, class F> NN_INLINE void write_each(T* y, int64_t n, bool past, F&& f) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  if (past) {
    const int64_t ahead = int64_t(-reinterpret_cast<uintptr_t>(y) % sizeof(vec<T>) / sizeof(T));
    i = ahead < n ? ahead : n;
    if (i) store(y, f(0, int(i)), int(i));
    for (; i + 4 * w <= n; i += 4 * w) {
      const vec<T> a = f(i, w), b = f(i + w, w), c = f(i + 2 * w, w), d = f(i + 3 * w, w);
      stream(y + i, a), stream(y + i + w, b), stream(y + i + 2 * w, c), stream(y + i + 3 * w, d);
    }
    stream_fence();
  } else {
    for (; i + 4 * w <= n; i += 4 * w) {
      const vec<T> a = f(i, w), b = f(i + w, w), c = f(i + 2 * w, w), d = f(i + 3 * w, w);
      store(y + i, a), store(y + i + w, b), store(y + i + 2 * w, c), store(y + i + 3 * w, d);
    }
  }
  for (; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    store(y + i, f(i, k), k);
  }
}

// Rows of y, `out` numbers each: the first and the last register by places in the first and last register of
// x's row, what lies between copied. Neither x nor y has rows that one register covers twice over. Most
// stores straddle two lines, so that those to come are asked for.
template <class T, bool narrow> NN_INLINE void surround(const Surround<T>& p, const T* x, int64_t x_step,
                                                        const int64_t* at, T* y, int64_t rows) {
  constexpr int w = vec<T>::width;
  const int n = narrow && p.in < w ? int(p.in) : w, m = narrow && p.out < w ? int(p.out) : w;
  const places<T> head = load_places<T>(p.head), tail = load_places<T>(p.tail);
  const vec<T> one = set1(T(1)), zero = set1(T(0)), value = set1(p.value);
  const mask<T> head_is = gt(permute(one, one, head), zero), tail_is = gt(permute(one, one, tail), zero);
  const int64_t stop = p.low + p.in - w;  // where the last whole register of x goes
  for (int64_t r = 0; r < rows; ++r, y += p.out) {
    const T* from = x + (at ? at[r] : r) * x_step;
    for (int64_t j = lines_are_fetched ? p.in : 0; j < p.in; j += 64 / int64_t(sizeof(T))) {
      __builtin_prefetch(from + 2048 / sizeof(T) + j);
      __builtin_prefetch(y + 1024 / sizeof(T) + j, 1);
    }
    const vec<T> first = load(from, n), last = load(from + p.in - n, n);
    store(y, select(head_is, permute(first, last, head), value), m);
    if (narrow && p.out <= w) continue;
    int64_t j = w;
    for (; j <= stop; j += w) store(y + j, load(from + j - p.low));
    if (j < p.out - w) store(y + stop, last);
    store(y + p.out - w, select(tail_is, permute(first, last, tail), value));
  }
}
template <class T>
void surround_rows(const Surround<T>& p, const T* x, int64_t x_step, const int64_t* at, T* y, int64_t rows) {
  if (p.in < vec<T>::width || p.out <= vec<T>::width)
    surround<T, true>(p, x, x_step, at, y, rows);
  else
    surround<T, false>(p, x, x_step, at, y, rows);
}

// Every other element of n, row by row: even[r * y_step + i] = x[r * x_step + 2 i], odd: 2 i + 1.
template <class T>
void split_rows(const T* x, int64_t x_step, int64_t rows, int64_t n, T* e, T* o, int64_t y_step) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < rows; ++r, x += x_step, e += y_step, o += y_step)
    for (int64_t i = 0; i < n; i += 2 * w) {
      const int left = int(n - i < 2 * w ? n - i : 2 * w);
      const vec<T> a = load(x + i, left), b = load(x + i + w, left - w);
      ask_ahead(x + i + 1024 / sizeof(T)), ask_ahead(x + i + 1088 / sizeof(T));
      store(e + i / 2, even(a, b), (left + 1) / 2);
      store(o + i / 2, odd(a, b), left / 2);
    }
}

// The way back: n elements of y, from even and odd in turn, of which whole vectors are read.
template <class T> void interleave_row(const T* e, const T* o, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  for (int64_t i = 0; i < n; i += 2 * w) {
    vec<T> low, high;
    interleave(load(e + i / 2), load(o + i / 2), low, high);
    const int left = int(n - i < 2 * w ? n - i : 2 * w);
    store(y + i, low, left);
    store(y + i + w, high, left - w);
  }
}

// y[i] += x[i]
template <class T> void add_to(const T* x, T* y, int64_t n) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; i + w <= n; i += w) store(y + i, load(y + i) + load(x + i));
  if (i < n) store(y + i, load(y + i, int(n - i)) + load(x + i, int(n - i)), int(n - i));
}

// y[i] += a * x[i]
template <class T> void add_scaled(T a, const T* x, T* y, int64_t n) {
  constexpr int w = vec<T>::width;
  const vec<T> scale = set1(a);
  int64_t i = 0;
  for (; i + w <= n; i += w) store(y + i, mul_add(scale, load(x + i), load(y + i)));
  if (i < n) store(y + i, mul_add(scale, load(x + i, int(n - i)), load(y + i, int(n - i))), int(n - i));
}

// y = sum over i < count of share (times factor[i]) x[at[i] * n ...], four registers of it at a time; at[i]
// can be read for i < known, and rows are fetched 16 ahead.
template <class T> void sum_rows(const T* x, int64_t n, const int64_t* at, const T* factor, T share,
                                 int64_t count, int64_t known, T* y) {
  constexpr int w = vec<T>::width, wide = 4;
  for (int64_t j = 0; j < n; j += wide * w) {
    const int left = int(n - j < wide * w ? n - j : wide * w);
    vec<T> a[wide];
    for (int k = 0; k < wide; ++k) a[k] = set1(T(0));
    for (int64_t i = 0; i < count; ++i) {
      if (i + 16 < known)
        for (int k = 0; k < left; k += 64 / int(sizeof(T))) __builtin_prefetch(x + at[i + 16] * n + j + k);
      const T* from = x + at[i] * n + j;
      const vec<T> scale = set1(factor ? factor[i] * share : share);
      if (left == wide * w)
        for (int k = 0; k < wide; ++k) a[k] = mul_add(scale, load(from + k * w), a[k]);
      else
        for (int k = 0; k < wide; ++k)
          if (left > k * w) a[k] = mul_add(scale, load(from + k * w, left - k * w), a[k]);
    }
    for (int k = 0; k < wide; ++k)
      if (left > k * w) store(y + j + k * w, a[k], left - k * w);
  }
}

}  // namespace
}  // namespace nn
