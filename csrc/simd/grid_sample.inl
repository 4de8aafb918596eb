// Where the places of a grid lie in an image; the gradient of a grid, and of an image in channels-last order.
namespace nn {
namespace {

// sums[o] += gy[o] * x[index[o]]
template <class T> void lookup_dot(const T* x, const int32_t* index, const T* gy, int64_t n, T* sums) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; o += w) {
    const int m = n - o < w ? int(n - o) : w;
    store(sums + o, fma(load(gy + o, m), lookup(x, index + o, m), load(sums + o, m)), m);
  }
}

// The same of pixels of `inner` numbers: sums[o] = sum over c of gy[o, c] * x[index[o], c]
template <class T>
void pixel_dot(const T* x, const int32_t* index, const T* gy, int64_t n, int64_t inner, T* sums) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; ++o, gy += inner) {
    sums[o] = 0;
    if (index[o] < 0) continue;
    const T* from = x + index[o] * inner;
    vec<T> a = set1(T(0));
    for (int64_t c = 0; c < inner; c += w) {
      const int m = inner - c < w ? int(inner - c) : w;
      a = fma(load(gy + c, m), load(from + c, m), a);
    }
    sums[o] = sum(a);
  }
}

// gx[index[o], :] += weight[o] * gy[o, :], `inner` numbers of pixels `step` apart
template <class T> void scatter_pixels(const T* gy, const int32_t* index, const T* weight, int64_t n,
                                       int64_t inner, int64_t step, T* gx) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; ++o, gy += step) {
    if (index[o] < 0) continue;
    T* to = gx + index[o] * step;
    const vec<T> f = set1(weight[o]);
    for (int64_t c = 0; c < inner; c += w) {
      const int m = inner - c < w ? int(inner - c) : w;
      store(to + c, fma(f, load(gy + c, m), load(to + c, m)), m);
    }
  }
}

// The coordinates that padding makes of those beside the image; slope is multiplied by their derivative.
template <class T> NN_INLINE vec<T> grid_inside(const GridAxis& a, vec<T> at, vec<T>& slope) {
  const vec<T> zero = set1(T(0)), top = set1(T(a.size - 1));
  if (a.padding == 2) {
    const vec<T> low = set1(a.align_corners ? T(0) : T(-0.5)),
                 span = set1(a.align_corners ? T(a.size - 1) : T(a.size));
    if (a.align_corners && a.size == 1) return slope = zero, zero;
    at = at - low;
    slope = select(lt(at, zero), -slope, slope), at = abs(at);
    at = fnma(floor(at / (span + span)), span + span, at);
    slope = select(ge(at, span), -slope, slope), at = min(at, span + span - at) + low;
  }
  if (a.padding != 0) {
    const mask<T> above = gt(at, zero), below = lt(at, top);  // neither of NaN
    slope = select(above & below, slope, zero);
    at = select(above, select(below, at, top), zero);
  }
  return at;
}

// Rounded coordinates as places, -1 outside.
template <class T> NN_INLINE void grid_store(vec<T> at, int64_t size, int32_t* place, int m) {
  constexpr int w = vec<T>::width;
  T t[w];
  store(t, select(ge(at, set1(T(0))) & le(at, set1(T(size - 1))), at, set1(T(-1))));
  for (int i = 0; i < m; ++i) {
    const int64_t p = int64_t(t[i]);
    place[i] = int32_t(p < size ? p : size - 1);  // float rounds great sizes up
  }
}

template <class T> NN_INLINE vec<T> cubic_near(vec<T> u) {
  constexpr T a = T(-0.75);
  return fma(fma(set1(a + 2), u, set1(-(a + 3))) * u, u, set1(T(1)));
}
template <class T> NN_INLINE vec<T> cubic_far(vec<T> u) {
  constexpr T a = T(-0.75);
  return fma(fma(fma(set1(a), u, set1(-5 * a)), u, set1(8 * a)), u, set1(-4 * a));
}
template <class T> NN_INLINE vec<T> cubic_near_slope(vec<T> u) {
  constexpr T a = T(-0.75);
  return fma(set1(3 * (a + 2)), u, set1(-2 * (a + 3))) * u;
}
template <class T> NN_INLINE vec<T> cubic_far_slope(vec<T> u) {
  constexpr T a = T(-0.75);
  return fma(fma(set1(3 * a), u, set1(-10 * a)), u, set1(8 * a));
}

// The taps of one axis: tap k of pixel p at [k * n + p]; their places (-1: outside), weights, and the
// weights' derivatives by the grid's coordinate grid[p * step].
template <class T> void grid_places(const GridAxis& a, const T* grid, int64_t step, int64_t n, int32_t* place,
                                    T* weight, T* slope) {
  constexpr int w = vec<T>::width;
  const vec<T> one = set1(T(1)), half = set1(T(0.5)), size = set1(T(a.size)), top = set1(T(a.size - 1));
  for (int64_t p = 0; p < n; p += w) {
    const int m = n - p < w ? int(n - p) : w;
    const vec<T> g = load_range(grid + p * step, step, 0, m) + one;
    vec<T> at = a.align_corners ? g * half * top : (g * size - one) * half;
    vec<T> d = (a.align_corners ? top : size) * half;
    if (a.mode == 2) {
      const vec<T> low = floor(at), t = at - low;
      const vec<T> weights[4] = {cubic_far(t + one), cubic_near(t), cubic_near(one - t),
                                 cubic_far(one + one - t)};
      const vec<T> slopes[4] = {cubic_far_slope(t + one), cubic_near_slope(t), -cubic_near_slope(one - t),
                                -cubic_far_slope(one + one - t)};
      for (int k = 0; k < 4; ++k) {
        vec<T> ignored = one;
        grid_store(grid_inside(a, low + set1(T(k - 1)), ignored), a.size, place + k * n + p, m);
        store(weight + k * n + p, weights[k], m), store(slope + k * n + p, slopes[k] * d, m);
      }
      continue;
    }
    at = grid_inside(a, at, d);
    if (a.mode == 1) {
      grid_store(round(at), a.size, place + p, m);
      store(weight + p, one, m), store(slope + p, set1(T(0)), m);
      continue;
    }
    const vec<T> low = floor(at), t = at - low;
    grid_store(low, a.size, place + p, m), grid_store(low + one, a.size, place + n + p, m);
    store(weight + p, one - t, m), store(weight + n + p, t, m);
    store(slope + p, -d, m), store(slope + n + p, d, m);
  }
}

// One tap of `axes` axes: of axis i the tap taken[i], whose numbers stand at [(4 * i + taken[i]) * n].
// slopes: those of axis i at [i * slopes_step], or null.
template <class T> void grid_products(int axes, const GridAxis* axis, const int* taken, int32_t pixel_step,
                                      int64_t n, const int32_t* place, const T* weight, const T* slope,
                                      int32_t* index, T* product, T* slopes, int64_t slopes_step) {
  const int64_t at[3] = {taken[0] * n, (4 + taken[1]) * n, axes > 2 ? (8 + taken[2]) * n : 0};
  const int32_t *px = place + at[0], *py = place + at[1], *pz = place + at[2];
  const T *wx = weight + at[0], *wy = weight + at[1], *wz = weight + at[2];
  const int32_t width = int32_t(axis[0].size), height = int32_t(axis[1].size);
  for (int64_t p = 0; p < n; ++p) {
    const int32_t z = axes > 2 ? pz[p] : 0;
    const bool outside = (px[p] | py[p] | z) < 0;
    index[p] = outside ? -1 : ((z * height + py[p]) * width + px[p]) * pixel_step;
    product[p] = outside ? T(0) : wx[p] * wy[p] * (axes > 2 ? wz[p] : T(1));
  }
  for (int i = 0; slopes && i < axes; ++i) {
    const T *d = slope + at[i], *u = weight + at[i == 0 ? 1 : 0], *v = weight + at[i == 2 ? 1 : 2];
    for (int64_t p = 0; p < n; ++p)
      slopes[i * slopes_step + p] = index[p] < 0 ? T(0) : d[p] * u[p] * (axes > 2 ? v[p] : T(1));
  }
}

}  // namespace
}  // namespace nn
