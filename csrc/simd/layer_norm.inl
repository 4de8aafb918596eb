// Layer norm of dense rows: forward, and backward with the sums that give gw and gb.
//
// A row is read from memory once and then from cache: its sums, then the result. Moments are taken about the
// row's first number, or, if that is too far from the mean for it, once more about the mean: a large mean
// costs no digits. Sums of a piece of 4096 numbers stay in lanes, pieces are added in double. Bound by bytes.
namespace nn {
namespace {

constexpr int64_t kPiece = 4096;

// The sums over a row of what term(i, k, a, b) adds to a and b: lanes i .. i + k - 1.
struct RowSums {
  double a = 0, b = 0;
};
template <class T, class F> NN_INLINE RowSums sum_row(int64_t n, F&& term) {
  RowSums total;
  for (int64_t from = 0; from < n; from += kPiece) {
    const vec<T> zero = set1(T(0));
    vec<T> a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
    each_slot<vec<T>::width>(n - from < kPiece ? n - from : kPiece,
                             [&](int64_t i, int s, int k) { term(from + i, k, a[s], b[s]); });
    total.a += double(sum4(a)), total.b += double(sum4(b));
  }
  return total;
}

// rest: how far the mean is from `centre`, about which the moments were taken
template <class T> struct RowMoments {
  T centre = 0;
  double rest = 0, var = 0;
};
template <class T> NN_INLINE RowMoments<T> moments_about(T centre, const T* x, int64_t n) {
  const vec<T> c = set1(centre);
  const RowSums s = sum_row<T>(n, [&](int64_t i, int k, vec<T>& a, vec<T>& b) {
    const vec<T> d = only(load(x + i, k) - c, k);
    a = a + d, b = mul_add(d, d, b);
  });
  const double rest = s.a / double(n);
  return {centre, rest, s.b / double(n) - rest * rest};
}
template <class T> NN_INLINE RowMoments<T> square_mean(const T* x, int64_t n) {
  const RowSums s = sum_row<T>(n, [&](int64_t i, int k, vec<T>& a, vec<T>&) {
    const vec<T> v = load(x + i, k);
    a = mul_add(v, v, a);
  });
  return {T(0), 0, s.a / double(n)};
}

template <bool rms, class T> NN_INLINE void layer_norm_row(const LayerNormRows<T>& p, int64_t r) {
  constexpr int w = vec<T>::width;
  const T* x = p.x + r * p.n;
  if (p.residual) {
    T* h = p.h + r * p.n;
    each_vector<w>(
        p.n, [&](int64_t i, int k) { store(h + i, load(x + i, k) + load(p.residual + r * p.n + i, k), k); });
    x = h;
  }
  RowMoments<T> m = rms ? square_mean(x, p.n) : moments_about(*x, x, p.n);
  if (!rms && !(m.rest * m.rest <= 4 * m.var)) m = moments_about(T(double(m.centre) + m.rest), x, p.n);
  const double rstd = 1 / ::sqrt((m.var > 0 ? m.var : m.var * 0) + p.eps);
  if (!rms) p.mean[r] = T(double(m.centre) + m.rest);
  p.rstd[r] = T(rstd);
  const vec<T> c = set1(m.centre), scale = set1(T(rstd)), shift = set1(T(-m.rest * rstd));
  const T *next = p.x + (r + 1) * p.n, *next_residual = p.residual + (r + 1) * p.n;
  T* y = p.y + r * p.n;
  const bool streamed = p.stream && reinterpret_cast<uintptr_t>(y) % sizeof(vec<T>) == 0;
  each_vector<w>(p.n, [&](int64_t i, int k) {
    __builtin_prefetch(next + i);  // memory rests otherwise
    if (p.residual) __builtin_prefetch(next_residual + i);
    const vec<T> v = load(x + i, k);
    put(streamed, y + i,
        rms ? v * scale * load(p.w + i, k)
            : mul_add(mul_add(v - c, scale, shift), load(p.w + i, k), load(p.b + i, k)),
        k);
  });
}

template <class T> void layer_norm(const LayerNormRows<T>& p) {
  for (int64_t r = 0; r < p.rows; ++r) p.rms ? layer_norm_row<true>(p, r) : layer_norm_row<false>(p, r);
  if (p.stream) stream_fence();
}

// gx of row r, and what it adds to gw and gb; hat = (x - mean) rstd
template <bool rms, class T> NN_INLINE void layer_norm_grad_row(const LayerNormRows<T>& p, int64_t r) {
  constexpr int w = vec<T>::width;
  const T *x = p.x + r * p.n, *gy = p.gy + r * p.n, *extra = p.extra ? p.extra + r * p.n : nullptr;
  const vec<T> mean = set1(rms ? T(0) : p.centre[r]), rstd = set1(p.scale[r]);
  const RowSums s = sum_row<T>(p.n, [&](int64_t i, int k, vec<T>& a, vec<T>& b) {
    const vec<T> g = load(gy + i, k) * load(p.w + i, k);
    if (!rms) a = a + g;
    b = mul_add(g, load(x + i, k) - mean, b);
  });
  const double scale = double(p.scale[r]) / double(p.n);
  const vec<T> shift = set1(T(s.a * scale)), slope = set1(T(s.b * scale * double(p.scale[r])));
  T* gx = p.gx + r * p.n;
  const bool streamed = p.stream && reinterpret_cast<uintptr_t>(gx) % sizeof(vec<T>) == 0;
  each_vector<w>(p.n, [&](int64_t i, int k) {
    const vec<T> g = load(gy + i, k), hat = (load(x + i, k) - mean) * rstd;
    store(p.gw + i, mul_add(g, hat, load(p.gw + i, k)), k);
    if (!rms) store(p.gb + i, load(p.gb + i, k) + g, k);
    vec<T> v = neg_mul_add(hat, slope, g * load(p.w + i, k) * rstd);
    if (!rms) v = v - shift;
    if (extra) v = v + load(extra + i, k);
    put(streamed, gx + i, v, k);
  });
}

template <bool rms, class T> NN_INLINE void layer_norm_grad_of(const LayerNormRows<T>& p) {
  for (int64_t i = 0; i < p.n; ++i) p.gw[i] = T(0);
  if (!rms)
    for (int64_t i = 0; i < p.n; ++i) p.gb[i] = T(0);
  for (int64_t r = 0; r < p.rows; ++r) layer_norm_grad_row<rms>(p, r);
  if (p.stream) stream_fence();
}
template <class T> void layer_norm_grad(const LayerNormRows<T>& p) {
  p.rms ? layer_norm_grad_of<true>(p) : layer_norm_grad_of<false>(p);
}

}  // namespace
}  // namespace nn
