// Where the places of a grid lie in an image; the gradient of a grid, and of an image in channels-last order.
namespace nn {
namespace {

// Four numbers side by side, as the compiler's own vectors: no vec<T> is as narrow on every ISA.
template <class T> struct quad_of;
template <> struct quad_of<float> {
  typedef float type __attribute__((vector_size(16), aligned(4), may_alias));
};
template <> struct quad_of<double> {
  typedef double type __attribute__((vector_size(32), aligned(8), may_alias));
};
template <class T> using quad = typename quad_of<T>::type;

template <class T, bool whole> NN_INLINE void load_quad(const Quads<T>& x, int32_t at, quad<T>& q) {
  q = quad<T>{};
  if (at < 0) return;
  if (whole)
    q = *reinterpret_cast<const quad<T>*>(x.p + at);
  else
    for (int k = 0; k < 4; ++k)
      if (k < x.channels) q[k] = x.p[at + k * x.step];
}

// Places lie about: each miss would be waited for. Every other tap lies beside the one before.
template <class T>
NN_INLINE void fetch_quads(const Quads<T>& x, const int32_t* index, int64_t taps, int64_t n) {
  for (int64_t t = 0; t < taps; t += 2, index += 2 * n)
    for (int64_t i = 0; i < n; ++i) __builtin_prefetch(x.p + (index[i] < 0 ? 0 : index[i]));
}

template <class T, bool whole> NN_INLINE void sample_quads(const Quads<T>& x, const int32_t* index,
                                                           const T* weight, int64_t taps, int64_t n, T* y) {
  for (int64_t o = 0; o < n; ++o) {
    quad<T> a = {}, q;
    for (int64_t at = o; at < taps * n; at += n) load_quad<T, whole>(x, index[at], q), a += weight[at] * q;
    *reinterpret_cast<quad<T>*>(y + 4 * o) = a;
  }
}

// y[o, :] = sum over t of weight[t * n + o] * x[index[t * n + o], :], quads
template <class T>
void quads_sample(const Quads<T>& x, const int32_t* index, const T* weight, int64_t taps, int64_t n, T* y) {
  fetch_quads(x, index, taps, n);
  if (x.whole)
    sample_quads<T, true>(x, index, weight, taps, n, y);
  else
    sample_quads<T, false>(x, index, weight, taps, n, y);
}

// y[c * y_step + o] = sum over t of weight[t * n + o] * x[c * x_step + index[t * n + o]]; what the next plane
// gives is asked for meanwhile.
template <class T> void planes_sample(const T* x, int64_t x_step, int64_t channels, const int32_t* index,
                                      const T* weight, int64_t taps, int64_t n, T* y, int64_t y_step) {
  constexpr int w = vec<T>::width;
  for (int64_t c = 0; c < channels; ++c, x += x_step, y += y_step) {
    const T* next = c + 1 < channels ? x + x_step : x;
    for (int64_t o = 0; o < n; o += w) {
      const int m = n - o < w ? int(n - o) : w;
      vec<T> a = set1(T(0));
      for (int64_t at = o; at < taps * n; at += n) {
        __builtin_prefetch(next + index[at]);
        a = mul_add(load(weight + at, m), lookup_near(x, index + at, m), a);
      }
      store(y + o, a, m);
    }
  }
}

// gx[index[t * n + o], :] += weight[t * n + o] * gy[o, :], quads
template <class T>
void quads_scatter(const T* gy, const int32_t* index, const T* weight, int64_t taps, int64_t n, T* gx) {
  for (int64_t o = 0; o < n; ++o) {
    const quad<T> g = *reinterpret_cast<const quad<T>*>(gy + 4 * o);
    for (int64_t at = o; at < taps * n; at += n)
      if (index[at] >= 0) *reinterpret_cast<quad<T>*>(gx + index[at]) += weight[at] * g;
  }
}

template <class T, bool whole> NN_INLINE void dot_quads(const Quads<T>& x, const int32_t* index,
                                                        const T* weight, int64_t taps, int64_t n, const T* gy,
                                                        T* sums, int64_t step) {
  for (int64_t o = 0; o < n; ++o) {
    quad<T> a = {}, q;
    for (int64_t at = o; at < taps * n; at += n) load_quad<T, whole>(x, index[at], q), a += weight[at] * q;
    a *= *reinterpret_cast<const quad<T>*>(gy + 4 * o);
    sums[o * step] = (a[0] + a[1]) + (a[2] + a[3]);
  }
}

// sums[o * step] = the dot product of gy[o, :] with what quads_sample gives
template <class T> void quads_dot(const Quads<T>& x, const int32_t* index, const T* weight, int64_t taps,
                                  int64_t n, const T* gy, T* sums, int64_t step) {
  fetch_quads(x, index, taps, n);
  if (x.whole)
    dot_quads<T, true>(x, index, weight, taps, n, gy, sums, step);
  else
    dot_quads<T, false>(x, index, weight, taps, n, gy, sums, step);
}

// y[4 o + k] = x[o * pixel_step + k * channel_step] for k < channels, else 0
template <class T>
void quads_pack(const T* x, int64_t channels, int64_t pixel_step, int64_t channel_step, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  if (pixel_step != 1) {
    for (int64_t o = 0; o < n; ++o)
      for (int k = 0; k < 4; ++k) y[4 * o + k] = k < channels ? x[o * pixel_step + k * channel_step] : T(0);
    return;
  }
  for (int64_t o = 0; o < n; o += w) {
    const int m = n - o < w ? int(n - o) : w;
    vec<T> p[4], low[2], high[2];
    for (int k = 0; k < 4; ++k) p[k] = k < channels ? load(x + o + k * channel_step, m) : set1(T(0));
    interleave(p[0], p[2], low[0], high[0]), interleave(p[1], p[3], low[1], high[1]);
    interleave(low[0], low[1], p[0], p[1]), interleave(high[0], high[1], p[2], p[3]);
    for (int k = 0; k < 4; ++k) store(y + 4 * o + k * w, p[k], 4 * m - k * w);
  }
}

// The way back.
template <class T>
void quads_unpack(const T* x, int64_t channels, int64_t pixel_step, int64_t channel_step, int64_t n, T* y) {
  constexpr int w = vec<T>::width;
  if (pixel_step != 1) {
    for (int64_t o = 0; o < n; ++o)
      for (int k = 0; k < 4; ++k)
        if (k < channels) y[o * pixel_step + k * channel_step] = x[4 * o + k];
    return;
  }
  for (int64_t o = 0; o < n; o += w) {
    const int m = n - o < w ? int(n - o) : w;
    vec<T> p[4];
    for (int k = 0; k < 4; ++k) p[k] = load(x + 4 * o + k * w, 4 * m - k * w);
    const vec<T> e[2] = {even(p[0], p[1]), even(p[2], p[3])}, d[2] = {odd(p[0], p[1]), odd(p[2], p[3])};
    p[0] = even(e[0], e[1]), p[2] = odd(e[0], e[1]), p[1] = even(d[0], d[1]), p[3] = odd(d[0], d[1]);
    for (int k = 0; k < 4; ++k)
      if (k < channels) store(y + o + k * channel_step, p[k], m);
  }
}

// Of pixels of `inner` numbers: sums[o] = sum over c of gy[o, c] * x[index[o], c]
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
      a = mul_add(load(gy + c, m), load(from + c, m), a);
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
      store(to + c, mul_add(f, load(gy + c, m), load(to + c, m)), m);
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
    at = neg_mul_add(floor(at / (span + span)), span + span, at);
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
  if (size <= int64_t(1) << 24 && m == w) {  // a loop that the compiler makes one conversion of
    for (int i = 0; i < w; ++i) place[i] = int32_t(t[i]);
    return;
  }
  for (int i = 0; i < m; ++i) {
    const int64_t p = int64_t(t[i]);
    place[i] = int32_t(p < size ? p : size - 1);  // float rounds great sizes up
  }
}

template <class T> NN_INLINE vec<T> cubic_near(vec<T> u) {
  constexpr T a = T(-0.75);
  return mul_add(mul_add(set1(a + 2), u, set1(-(a + 3))) * u, u, set1(T(1)));
}
template <class T> NN_INLINE vec<T> cubic_far(vec<T> u) {
  constexpr T a = T(-0.75);
  return mul_add(mul_add(mul_add(set1(a), u, set1(-5 * a)), u, set1(8 * a)), u, set1(-4 * a));
}
template <class T> NN_INLINE vec<T> cubic_near_slope(vec<T> u) {
  constexpr T a = T(-0.75);
  return mul_add(set1(3 * (a + 2)), u, set1(-2 * (a + 3))) * u;
}
template <class T> NN_INLINE vec<T> cubic_far_slope(vec<T> u) {
  constexpr T a = T(-0.75);
  return mul_add(mul_add(set1(3 * a), u, set1(-10 * a)), u, set1(8 * a));
}

// The taps of one axis: tap k of pixel p at [k * n + p]; their places (-1: outside), weights, and the
// weights' derivatives (or null) by the grid's coordinate grid[p * step].
template <class T> void grid_places(const GridAxis& a, const T* grid, int64_t step, int64_t n, int32_t* place,
                                    T* weight, T* slope) {
  constexpr int w = vec<T>::width;
  const vec<T> one = set1(T(1)), half = set1(T(0.5)), size = set1(T(a.size)), top = set1(T(a.size - 1));
  for (int64_t p = 0; p < n; p += w) {
    const int m = n - p < w ? int(n - p) : w;
    __builtin_prefetch(grid + (p + n) * step), __builtin_prefetch(grid + (p + n + w - 1) * step);
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
        store(weight + k * n + p, weights[k], m);
        if (slope) store(slope + k * n + p, slopes[k] * d, m);
      }
      continue;
    }
    at = grid_inside(a, at, d);
    if (a.mode == 1) {
      grid_store(round(at), a.size, place + p, m);
      store(weight + p, one, m);
      if (slope) store(slope + p, set1(T(0)), m);
      continue;
    }
    const vec<T> low = floor(at), t = at - low;
    grid_store(low, a.size, place + p, m), grid_store(low + one, a.size, place + n + p, m);
    store(weight + p, one - t, m), store(weight + n + p, t, m);
    if (slope) store(slope + p, -d, m), store(slope + n + p, d, m);
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
