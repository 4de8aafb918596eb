// Layer norm of dense rows: forward, and backward with the sums that give gw and gb.
//
// A row is read from memory once and then from cache: its mean, the squares about it, the result. Sums of a
// piece of 4096 numbers stay in lanes, pieces are added in double. Backward takes four rows at a time, so
// that w, gw and gb are read once for all of them. Bound by bytes.
namespace nn {
namespace {

constexpr int64_t kPiece = 4096;

// the sum of term(i, k) over the row: lanes i .. i + k - 1
template <class T, class F> NN_INLINE double sum_row(int64_t n, F&& term) {
  constexpr int w = vec<T>::width;
  double total = 0;
  for (int64_t from = 0; from < n; from += kPiece) {
    const vec<T> zero = set1(T(0));
    vec<T> a[4] = {zero, zero, zero, zero};
    each_slot<w>(n - from < kPiece ? n - from : kPiece,
                 [&](int64_t i, int s, int k) { term(from + i, k, a[s]); });
    total += double(sum4(a));
  }
  return total;
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
  const double n = double(p.n);
  T centre = 0;
  double rest = 0, squares;
  if (rms) {
    squares = sum_row<T>(p.n, [&](int64_t i, int k, vec<T>& a) {
      const vec<T> v = load(x + i, k);
      a = fma(v, v, a);
    });
  } else {
    centre = T(sum_row<T>(p.n, [&](int64_t i, int k, vec<T>& a) { a = a + load(x + i, k); }) / n);
    const vec<T> c = set1(centre);
    vec<T> deviation = set1(T(0));  // its sum would be 0 if the centre were not rounded
    squares = sum_row<T>(p.n, [&](int64_t i, int k, vec<T>& a) {
      const vec<T> d = only(load(x + i, k) - c, k);
      deviation = deviation + d, a = fma(d, d, a);
    });
    rest = double(sum(deviation)) / n;
    squares -= rest * rest * n;
    p.mean[r] = T(double(centre) + rest);
  }
  const double rstd = 1 / ::sqrt(squares / n + p.eps);
  p.rstd[r] = T(rstd);
  const vec<T> c = set1(centre), scale = set1(T(rstd)), shift = set1(T(-rest * rstd));
  T* y = p.y + r * p.n;
  const bool streamed = p.stream && reinterpret_cast<uintptr_t>(y) % sizeof(vec<T>) == 0;
  each_vector<w>(p.n, [&](int64_t i, int k) {
    const vec<T> v = load(x + i, k);
    put(streamed, y + i,
        rms ? v * scale * load(p.w + i, k)
            : fma(fma(v - c, scale, shift), load(p.w + i, k), load(p.b + i, k)),
        k);
  });
}

template <class T> void layer_norm(const LayerNormRows<T>& p) {
  for (int64_t r = 0; r < p.rows; ++r) p.rms ? layer_norm_row<true>(p, r) : layer_norm_row<false>(p, r);
  if (p.stream) stream_fence();
}

// gx of `count` rows from r on, and what they add to gw and gb; hat = (x - mean) rstd
template <bool rms, int count, class T>
NN_INLINE void layer_norm_grad_rows(const LayerNormRows<T>& p, int64_t r) {
  constexpr int w = vec<T>::width;
  const T *x = p.x + r * p.n, *gy = p.gy + r * p.n;
  vec<T> mean[count], rstd[count], g_mean[count], slope[count];
  for (int i = 0; i < count; ++i) {
    const T *xi = x + i * p.n, *gi = gy + i * p.n;
    mean[i] = set1(rms ? T(0) : p.centre[r + i]), rstd[i] = set1(p.scale[r + i]);
    double g = 0, gx = 0;
    for (int64_t from = 0; from < p.n; from += kPiece) {
      const vec<T> zero = set1(T(0));
      vec<T> a[4] = {zero, zero, zero, zero}, b[4] = {zero, zero, zero, zero};
      each_slot<w>(p.n - from < kPiece ? p.n - from : kPiece, [&](int64_t j, int s, int k) {
        const vec<T> v = load(gi + from + j, k) * load(p.w + from + j, k);
        if (!rms) a[s] = a[s] + v;
        b[s] = fma(v, load(xi + from + j, k) - mean[i], b[s]);
      });
      g += rms ? 0 : double(sum4(a)), gx += double(sum4(b));
    }
    const double scale = double(p.scale[r + i]), n = double(p.n);
    g_mean[i] = set1(T(g / n * scale)), slope[i] = set1(T(gx * scale * scale / n));  // of rstd hat
  }
  each_vector<w>(p.n, [&](int64_t j, int k) {
    const vec<T> weight = load(p.w + j, k);
    vec<T> gw = load(p.gw + j, k), gb = rms ? weight : load(p.gb + j, k);
    for (int i = 0; i < count; ++i) {
      const vec<T> g = load(gy + i * p.n + j, k);
      const vec<T> hat = (load(x + i * p.n + j, k) - mean[i]) * rstd[i];
      gw = fma(g, hat, gw);
      if (!rms) gb = gb + g;
      vec<T> v = fnma(hat, slope[i], g * weight * rstd[i]);
      if (!rms) v = v - g_mean[i];
      if (p.extra) v = v + load(p.extra + (r + i) * p.n + j, k);
      T* to = p.gx + (r + i) * p.n + j;
      put(p.stream && reinterpret_cast<uintptr_t>(to) % sizeof(vec<T>) == 0, to, v, k);
    }
    store(p.gw + j, gw, k);
    if (!rms) store(p.gb + j, gb, k);
  });
}

template <bool rms, class T> NN_INLINE void layer_norm_grad_of(const LayerNormRows<T>& p) {
  for (int64_t i = 0; i < p.n; ++i) p.gw[i] = T(0);
  if (!rms)
    for (int64_t i = 0; i < p.n; ++i) p.gb[i] = T(0);
  int64_t r = 0;
  for (; r + 4 <= p.rows; r += 4) layer_norm_grad_rows<rms, 4>(p, r);
  for (; r < p.rows; ++r) layer_norm_grad_rows<rms, 1>(p, r);
  if (p.stream) stream_fence();
}
template <class T> void layer_norm_grad(const LayerNormRows<T>& p) {
  p.rms ? layer_norm_grad_of<true>(p) : layer_norm_grad_of<false>(p);
}

}  // namespace
}  // namespace nn
