// Fractional max pooling of one plane: a register of windows at a time, tap by tap. Where the windows lie
// within two registers of a row, numbers are permuted, else looked up.
namespace nn {
namespace {

// The winners of register v of windows whose first row is x, and their taps.
template <bool ignore_nan, class T> NN_INLINE void fractional_contest(const FractionalPlane<T>& p, const T* x,
                                                                      int64_t v, int m, vec<T>& best,
                                                                      vec<T>& at) {
  constexpr int w = vec<T>::width;
  const int64_t registers = (p.out[2] + w - 1) / w;
  const int32_t base = p.base[v];
  const int left = int(p.in[2] - base < 2 * w ? p.in[2] - base : 2 * w);
  const vec<T> one = set1(T(1));
  vec<T> tap = set1(T(0));
  best = set1(ignore_nan ? T(NAN) : -T(INFINITY)), at = tap;
  for (int64_t d = 0; d < p.kernel[0]; ++d)
    for (int64_t h = 0; h < p.kernel[1]; ++h) {
      const T* row = x + (d * p.in[1] + h) * p.in[2];
      const int32_t* place = p.column + v * w;
      vec<T> low, high;
      if (base >= 0) low = load(row + base, left), high = load(row + base + w, left - w);
      for (int64_t t = 0; t < p.kernel[2]; ++t, place += registers * w, tap = tap + one) {
        const vec<T> a = base >= 0 ? permute(low, high, load_places<T>(place)) : lookup(row, place, m);
        const mask<T> wins = gt(a, best) | (ignore_nan ? is_nan(best) & eq(a, a) : is_nan(a));
        best = select(wins, a, best), at = select(wins, tap, at);
      }
    }
}

template <bool ignore_nan, class T> NN_INLINE void fractional_plane(const FractionalPlane<T>& p) {
  constexpr int w = vec<T>::width;
  const int64_t out = p.out[2];
  T* y = p.y;
  int64_t* index = p.index;
  for (int64_t d = 0; d < p.out[0]; ++d)
    for (int64_t h = 0; h < p.out[1]; ++h, y += out) {
      const int64_t first = (p.start[0][d] * p.in[1] + p.start[1][h]) * p.in[2];
      for (int64_t v = 0, o = 0; o < out; ++v, o += w) {
        const int m = int(out - o < w ? out - o : w);
        vec<T> best, at;
        fractional_contest<ignore_nan>(p, p.x + first, v, m, best, at);
        store(y + o, best, m);
        if (!index) continue;
        T taps[w];
        store(taps, at);
        for (int i = 0; i < m; ++i) index[o + i] = first + p.start[2][o + i] + p.offset[int32_t(taps[i])];
      }
      if (index) index += out;
    }
}

template <class T> void pool_fractional(bool ignore_nan, const FractionalPlane<T>& p) {
  if (ignore_nan)
    fractional_plane<true>(p);
  else
    fractional_plane<false>(p);
}

}  // namespace
}  // namespace nn
