// Distances of rows, (sum |x - y|^p)^(1/p), and their gradient; cosines. kind: 0 counts differences, 1,
// 2 and 3 (maximum) are the norms one knows, 4 is any other p. Bound by arithmetic once the rows are in
// cache.
namespace nn {
namespace {

template <int kind, class T> NN_INLINE T distance_of(T p, const T* x, const T* y, int64_t n) {
  constexpr int w = vec<T>::width;
  const vec<T> zero = set1(T(0)), one = set1(T(1));
  vec<T> a[4] = {zero, zero, zero, zero};
  each_slot<w>(n, [&](int64_t i, int s, int k) {
    const vec<T> d = abs(load(x + i, k) - load(y + i, k));
    if constexpr (kind == 0) a[s] = a[s] + select(eq(d, zero), zero, one);
    if constexpr (kind == 1) a[s] = a[s] + d;
    if constexpr (kind == 2) a[s] = mul_add(d, d, a[s]);
    if constexpr (kind == 3) a[s] = combine<kMax, T>(d, a[s]);
    if constexpr (kind == 4) a[s] = a[s] + only(pow(d, set1(p)), k);
  });
  if constexpr (kind == 3)
    return across<kMax, T>(combine<kMax, T>(combine<kMax, T>(a[0], a[1]), combine<kMax, T>(a[2], a[3])));
  return sum4(a);
}
template <int kind, class T>
NN_INLINE void distances_of(T p, const T* x, const T* y, int64_t n, int64_t count, T* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = distance_of<kind>(p, x, y + i * n, n);
  if constexpr (kind == 2 || kind == 4)
    each_vector<vec<T>::width>(count, [&](int64_t i, int k) {
      const vec<T> v = load(out + i, k);
      store(out + i, kind == 2 ? sqrt(v) : pow(v, set1(1 / p)), k);
    });
}
// out[i] = the distance of x and row i of y, dense
template <class T> void distances(int kind, T p, const T* x, const T* y, int64_t n, int64_t count, T* out) {
  switch (kind) {
    case 0:
      return distances_of<0>(p, x, y, n, count, out);
    case 1:
      return distances_of<1>(p, x, y, n, count, out);
    case 2:
      return distances_of<2>(p, x, y, n, count, out);
    case 3:
      return distances_of<3>(p, x, y, n, count, out);
    default:
      return distances_of<4>(p, x, y, n, count, out);
  }
}

// out[r] = |x - y + eps| of rows r
template <class T> void row_distances(const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out) {
  const vec<T> shift = set1(eps), zero = set1(T(0));
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    vec<T> a[4] = {zero, zero, zero, zero};
    each_slot<vec<T>::width>(n, [&](int64_t i, int s, int k) {
      const vec<T> d = only(load(x + i, k) - load(y + i, k) + shift, k);
      a[s] = mul_add(d, d, a[s]);
    });
    store(out + r, sqrt(set1(sum4(a))), 1);
  }
}
// out[r] = x . y / (max(|x|, eps) max(|y|, eps)) of rows r
template <class T> void row_cosines(const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out) {
  const vec<T> zero = set1(T(0)), least = set1(eps);
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    vec<T> xy[4] = {zero, zero, zero, zero}, xx[4] = {zero, zero, zero, zero},
           yy[4] = {zero, zero, zero, zero};
    each_slot<vec<T>::width>(n, [&](int64_t i, int s, int k) {
      const vec<T> a = load(x + i, k), b = load(y + i, k);
      xy[s] = mul_add(a, b, xy[s]), xx[s] = mul_add(a, a, xx[s]), yy[s] = mul_add(b, b, yy[s]);
    });
    const vec<T> lengths = max(least, sqrt(set1(sum4(xx)))) * max(least, sqrt(set1(sum4(yy))));
    store(out + r, set1(sum4(xy)) / lengths, 1);
  }
}
// rows r of y = x / max(|x|, eps)
template <class T> void unit_rows(const T* x, T eps, int64_t rows, int64_t n, bool past, T* y) {
  constexpr int w = vec<T>::width;
  const vec<T> zero = set1(T(0));
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    vec<T> a[4] = {zero, zero, zero, zero};
    each_slot<w>(n, [&](int64_t i, int s, int k) {
      const vec<T> v = load(x + i, k);
      a[s] = mul_add(v, v, a[s]);
    });
    const vec<T> length = max(set1(eps), sqrt(set1(sum4(a))));
    const bool streamed = past && reinterpret_cast<uintptr_t>(y) % sizeof(vec<T>) == 0;
    each_vector<w>(n, [&](int64_t i, int k) { put(streamed, y + i, load(x + i, k) / length, k); });
  }
  if (past) stream_fence();
}

// gx += g sign(x - y) |x - y|^(p - 1); of the maximum: only where |x - y| is `top`
template <class T> void distance_grad(int kind, T p, T g, T top, const T* x, const T* y, int64_t n, T* gx) {
  const vec<T> zero = set1(T(0)), factor = set1(g);
  each_vector<vec<T>::width>(n, [&](int64_t i, int k) {
    const vec<T> d = load(x + i, k) - load(y + i, k), size = abs(d);
    vec<T> v = copysign(factor, d);
    if (g < 0) v = -v;
    if (kind == 2) v = factor * d;
    if (kind == 3) v = select(eq(size, set1(top)), v, zero);
    if (kind == 4) v = v * pow(size, set1(p - 1));
    store(gx + i, load(gx + i, k) + select(eq(size, zero), zero, v), k);
  });
}

}  // namespace
}  // namespace nn
