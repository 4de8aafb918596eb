// Norms: moments of a tile, y = act((x - mean) scale + shift + residual), and the two halves of its gradient.
//
// A tile is `rows` rows of n numbers. In the _rows kernels a coefficient belongs to a row (channels first: a
// row is a piece of a plane), in the _cols kernels to a column (channels last).
// Moments are sums about a number near the mean, so that a large mean costs no digits: if k among n numbers
// have that mean, squares about it add up to at most 1 + n / k times those about the true mean, whatever the
// numbers. Bound by bytes.
namespace nn {
namespace {

// f(i, slot, k): lanes i .. i + k - 1, four registers at a time in slots 0 to 3
template <int w, class F> NN_INLINE void each_slot(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) f(i, 0, w), f(i + w, 1, w), f(i + 2 * w, 2, w), f(i + 3 * w, 3, w);
  for (; i + w <= n; i += w) f(i, 0, w);
  if (i < n) f(i, 1, int(n - i));
}
template <class T> NN_INLINE T sum4(const vec<T>* a) { return sum((a[0] + a[1]) + (a[2] + a[3])); }
// a in its first k lanes, else 0
template <class T> NN_INLINE vec<T> only(vec<T> a, int k) {
  return k < vec<T>::width ? select(first<T>(k), a, set1(T(0))) : a;
}

// Asks for what lies some kilobytes behind p: the planes of a channel are short runs far from each other, and
// the processor foresees none. Behind a plane lie those of the next channels.
template <int write = 0, int bytes = 4096, class T> NN_INLINE void fetch_behind(const T* p) {
  if (vec<T>::width > 1) ask_ahead<write>(p + bytes / sizeof(T));
}

// Asks for what lies in the next tile where p lies in this one, if that is far away: into the L2 cache, for
// L1 holds this tile.
template <bool far, class T> NN_INLINE void ask_next(const T* p, int64_t next) {
  far ? __builtin_prefetch(p + next, 0, 2) : fetch_behind(p);
}

// A number near the mean of a tile: the mean, or that of every seventh register of a long row.
template <class T> NN_INLINE T middle(const T* x, int64_t step, int64_t rows, int64_t n) {
  constexpr int w = vec<T>::width;
  vec<T> a[4] = {set1(T(0)), set1(T(0)), set1(T(0)), set1(T(0))};
  if (rows == 1 && n >= 64 * w) {
    int64_t i = 0;
    for (; i + 22 * w <= n; i += 28 * w)
      for (int s = 0; s < 4; ++s) a[s] = a[s] + load(x + i + 7 * w * s);
    return sum4(a) / T(i / 7);
  }
  for (int64_t r = 0; r < rows; ++r)
    each_slot<w>(n, [&](int64_t i, int s, int k) {
      fetch_behind(x + r * step + i);
      a[s] = a[s] + load(x + r * step + i, k);
    });
  return sum4(a) / T(rows * n);
}

// f(i, k) for runs of k <= w lanes of n at p, whole registers aligned: stores that straddle cache lines take
// twice as long.
template <int w, class T, class F> NN_INLINE void each_aligned(const T* p, int64_t n, F&& f) {
  int64_t i = int64_t(-reinterpret_cast<uintptr_t>(p) % sizeof(vec<T>) / sizeof(T));
  i = i < n ? i : n;
  if (i) f(0, int(i));
  for (; i + w <= n; i += w) f(i, w);
  if (i < n) f(i, int(n - i));
}

template <bool far, class T>
NN_INLINE void moments_rows_of(const NormRows<const T>& tile, int64_t rows, int64_t n, double* out) {
  constexpr int w = vec<T>::width;
  const T* x = tile.p;
  const int64_t step = tile.step, next = tile.next;
  const vec<T> zero = set1(T(0));
  vec<T> a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
  const T centre = middle(x, step, rows, n);
  const vec<T> c = set1(centre);
  // Pieces are added up apart from the rest: short chains round less.
  constexpr int64_t piece = 128 * w;
  vec<T> p[4] = {zero, zero, zero, zero}, q[4] = {zero, zero, zero, zero};
  int64_t since = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i0 = 0; i0 < n; i0 += piece) {
      const int64_t some = n - i0 < piece ? n - i0 : piece;
      each_slot<w>(some, [&](int64_t i, int s, int k) {
        const T* from = x + r * step + i0 + i;
        if (far) ask_next<far>(from, next);
        const vec<T> d = only(load(from, k) - c, k);
        p[s] = p[s] + d, q[s] = mul_add(d, d, q[s]);
      });
      since += some;
      if (since < piece && (r < rows - 1 || i0 + some < n)) continue;
      for (int s = 0; s < 4; ++s) a[s] = a[s] + p[s], b[s] = b[s] + q[s], p[s] = q[s] = zero;
      since = 0;
    }
  const double rest = double(sum4(a)), count = double(rows * n);
  out[0] = double(centre) + rest / count, out[1] = double(sum4(b)) - rest * rest / count;
}
// out = mean, sum of squared deviations from it
template <class T> void moments_rows(const NormRows<const T>& tile, int64_t rows, int64_t n, double* out) {
  NormRows<const T> t = tile;
  if (t.step == n) n *= rows, rows = 1;                      // the channels of a group lie side by side
  if (rows == 1 && !t.next) t.next = n < 16384 ? n : 16384;  // what follows: the next piece of a long row
  t.next ? moments_rows_of<true>(t, rows, n, out) : moments_rows_of<false>(t, rows, n, out);
}

// mean, square += those of n <= kBlock more rows, less c; `before` rows were seen
template <class T> NN_INLINE void more_moments(const T* x, int64_t step, int n, int k, vec<T> c,
                                               int64_t before, vec<T>& mean, vec<T>& square) {
  vec<T> v[kBlock], a[4] = {set1(T(0)), set1(T(0)), set1(T(0)), set1(T(0))};
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i, x += step) {
    if (vec<T>::width > 1) __builtin_prefetch(x + kBlock * step);
    v[i] = load(x, k) - c, a[i % 4] = a[i % 4] + v[i];
  }
  const vec<T> m = ((a[0] + a[1]) + (a[2] + a[3])) * set1(T(1) / T(n));
  for (vec<T>& sum : a) sum = set1(T(0));
#pragma GCC unroll 16
  for (int i = 0; i < n; ++i) v[i] = v[i] - m, a[i % 4] = mul_add(v[i], v[i], a[i % 4]);
  const T share = T(n) / T(before + n);
  const vec<T> delta = m - mean;
  mean = mul_add(delta, set1(share), mean);
  square = square + mul_add(delta * delta, set1(share * T(before)), (a[0] + a[1]) + (a[2] + a[3]));
}

// The same of each column. Rows are read once: in a block, deviations are taken about its mean in registers,
// and blocks are merged by Chan's formula. All this happens about the mean of the first block.
template <class T>
void moments_cols(const T* x, int64_t step, int64_t rows, int64_t cols, double* mean, double* squares) {
  constexpr int w = vec<T>::width;
  constexpr int64_t strip = 1024 / sizeof(T);  // columns whose block and the next stay in the L1 cache
  T centre[strip], m[strip], square[strip];
  const int64_t few = rows < kBlock ? rows : kBlock;
  for (int64_t j0 = 0; j0 < cols; j0 += strip, x += strip) {
    const int64_t some = cols - j0 < strip ? cols - j0 : strip;
    reduce_cols_of<kSum>(x, step, few, some, centre);
    for (int64_t j = 0; j < some; ++j) centre[j] /= T(few);
    for (int64_t r = 0; r < rows; r += kBlock)
      each_vector<w>(some, [&](int64_t j, int k) {
        const T* p = x + r * step + j;
        const vec<T> c = load(centre + j, k);
        vec<T> a = r ? load(m + j, k) : set1(T(0)), b = r ? load(square + j, k) : set1(T(0));
        if (rows - r >= kBlock)
          more_moments(p, step, kBlock, k, c, r, a, b);
        else
          more_moments(p, step, int(rows - r), k, c, r, a, b);
        store(m + j, a, k), store(square + j, b, k);
      });
    for (int64_t j = 0; j < some; ++j)
      mean[j0 + j] = double(centre[j]) + double(m[j]), squares[j0 + j] = double(square[j]);
  }
}

// A coefficient: one number for a row, or one for each column.
template <bool columns, class T> struct Coefficient {
  const T* p;
  vec<T> all;
  NN_INLINE Coefficient(const T* c, int64_t row) : p(c), all(set1(columns ? T(0) : c[row])) {}
  NN_INLINE vec<T> at(int64_t j, int k) const { return columns ? load(p + j, k) : all; }
};

// Results that no cache will hold go past it, which saves reading what they overwrite.
template <class T> NN_INLINE bool streams(const NormTile<T>& t, const T* row) {
  return t.stream && reinterpret_cast<uintptr_t>(row) % sizeof(vec<T>) == 0;
}
template <class T> NN_INLINE void put(bool streamed, T* p, vec<T> v, int k) {
  if (streamed && k == vec<T>::width) return stream(p, v);
  store(p, v, k);
}

template <bool columns, bool relu, bool residual, bool far, class T>
NN_INLINE void norm_of(const NormTile<T>& t) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < t.rows; ++r) {
    const int64_t at = r * t.coefficient_step;
    const Coefficient<columns, T> mean(t.mean, at), scale(t.scale, at), shift(t.shift, at);
    const T *x = t.x.p + r * t.x.step, *extra = t.residual.p + r * t.residual.step;
    T* out = t.out.p + r * t.out.step;
    const bool streamed = streams(t, out);
    const int64_t next = t.residual.next;
    each_aligned<w>(out, t.n, [&](int64_t i, int k) {
      if (!columns && residual) ask_next<far>(extra + i, next);
      if (!columns && !streamed) fetch_behind<1>(out + i);
      vec<T> v = mul_add(load(x + i, k) - mean.at(i, k), scale.at(i, k), shift.at(i, k));
      if (residual) v = v + load(extra + i, k);
      put(streamed, out + i, relu ? max(set1(T(0)), v) : v, k);
    });
  }
  if (t.stream) stream_fence();
}
template <bool columns, class T> NN_INLINE void norm(const NormTile<T>& t) {
  if (!t.residual.p)
    t.relu ? norm_of<columns, true, false, false>(t) : norm_of<columns, false, false, false>(t);
  else if (!columns && t.residual.next)
    t.relu ? norm_of<columns, true, true, !columns>(t) : norm_of<columns, false, true, !columns>(t);
  else
    t.relu ? norm_of<columns, true, true, false>(t) : norm_of<columns, false, true, false>(t);
}
template <class T> void norm_rows(const NormTile<T>& t) { norm<false>(t); }
template <class T> void norm_cols(const NormTile<T>& t) { norm<true>(t); }

// gy where the result y of the relu is positive or NaN
template <class T> NN_INLINE vec<T> masked(const T* gy, const T* y, int k) {
  return y ? select(le(load(y, k), set1(T(0))), set1(T(0)), load(gy, k)) : load(gy, k);
}

// out = sum of gz, sum of gz (x - mean); gz is gy behind the relu
template <bool relu, bool far, class T> NN_INLINE void norm_sums_rows_of(const NormTile<T>& t, double* out) {
  constexpr int w = vec<T>::width;
  const vec<T> zero = set1(T(0)), mean = set1(*t.mean);
  vec<T> a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
  for (int64_t r = 0; r < t.rows; ++r) {
    const T *x = t.x.p + r * t.x.step, *gy = t.gy.p + r * t.gy.step, *y = t.y.p + r * t.y.step;
    const int64_t x_next = t.x.next, gy_next = t.gy.next, y_next = t.y.next;
    each_slot<w>(t.n, [&](int64_t i, int s, int k) {
      ask_next<far>(x + i, x_next), ask_next<far>(gy + i, gy_next);
      if (relu) ask_next<far>(y + i, y_next);
      const vec<T> g = masked(gy + i, relu ? y + i : nullptr, k);
      a[s] = a[s] + g, b[s] = mul_add(g, load(x + i, k) - mean, b[s]);
    });
  }
  out[0] = double(sum4(a)), out[1] = double(sum4(b));
}
template <class T> void norm_sums_rows(const NormTile<T>& t, double* out) {
  if (t.x.next)
    t.y.p ? norm_sums_rows_of<true, true>(t, out) : norm_sums_rows_of<false, true>(t, out);
  else
    t.y.p ? norm_sums_rows_of<true, false>(t, out) : norm_sums_rows_of<false, false>(t, out);
}

// The same of each column.
template <bool relu, class T>
NN_INLINE void norm_sums_cols_of(const NormTile<T>& t, double* g_sum, double* gx_sum) {
  constexpr int w = vec<T>::width;
  each_strip<w>(t.n, [&](int64_t j, auto wide, int m) {
    constexpr int k = decltype(wide)::value;
    vec<T> a[k], b[k], mean[k];
    for (int i = 0; i < k; ++i) a[i] = b[i] = set1(T(0)), mean[i] = load(t.mean + j + i * w, m);
    for (int64_t r = 0; r < t.rows; ++r)
      for (int i = 0; i < k; ++i) {
        const int64_t at = j + i * w;
        const vec<T> g = masked(t.gy.p + r * t.gy.step + at, relu ? t.y.p + r * t.y.step + at : nullptr, m);
        a[i] = a[i] + g, b[i] = mul_add(g, load(t.x.p + r * t.x.step + at, m) - mean[i], b[i]);
      }
    T g[k * w], gx[k * w];
    for (int i = 0; i < k; ++i) store(g + i * w, a[i]), store(gx + i * w, b[i]);
    for (int i = 0; i < (k == 1 ? m : k * w); ++i) g_sum[j + i] = double(g[i]), gx_sum[j + i] = double(gx[i]);
  });
}
template <class T> void norm_sums_cols(const NormTile<T>& t, double* g_sum, double* gx_sum) {
  t.y.p ? norm_sums_cols_of<true>(t, g_sum, gx_sum) : norm_sums_cols_of<false>(t, g_sum, gx_sum);
}

// out = scale gz + slope (x - mean) + shift; gz is kept where somebody wants it
template <bool columns, bool relu, class T> NN_INLINE void norm_grad_of(const NormTile<T>& t) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < t.rows; ++r) {
    const int64_t at = r * t.coefficient_step;
    const Coefficient<columns, T> mean(t.mean, at), scale(t.scale, at), shift(t.shift, at),
        slope(t.slope, at);
    const T *x = t.x.p + r * t.x.step, *gy = t.gy.p + r * t.gy.step, *y = t.y.p + r * t.y.step;
    T *out = t.out.p + r * t.out.step, *gz = t.gz.p ? t.gz.p + r * t.gz.step : nullptr;
    const bool streamed = streams(t, out);
    each_aligned<w>(out, t.n, [&](int64_t i, int k) {
      const vec<T> g = masked(gy + i, relu ? y + i : nullptr, k);
      if (gz) store(gz + i, g, k);
      const vec<T> rest = mul_add(load(x + i, k) - mean.at(i, k), slope.at(i, k), shift.at(i, k));
      put(streamed, out + i, mul_add(g, scale.at(i, k), rest), k);
    });
  }
  if (t.stream) stream_fence();
}
template <class T> void norm_grad_rows(const NormTile<T>& t) {
  t.y.p ? norm_grad_of<false, true>(t) : norm_grad_of<false, false>(t);
}
template <class T> void norm_grad_cols(const NormTile<T>& t) {
  t.y.p ? norm_grad_of<true, true>(t) : norm_grad_of<true, false>(t);
}

}  // namespace
}  // namespace nn
