// Depthwise convolution of planes: every channel has filters of its own.
//
//   depthwise3_    3 x 3 filters, strides of one and two: the user's rows in place, under a mask at the
//   edges.
//                  A row is loaded once for all the results of a block of rows that it meets.
//   depthwise_     any other filter: padded planes (cpu/conv_planes.h)
//
// Bound by bytes for 3 x 3 filters.
namespace nn {
namespace {

// The next n <= NV * W results of R rows. x is read in whole vectors, beyond the rows' ends, too.
template <class T, int R, int NV>
NN_INLINE void depthwise_some(const T* x, int64_t x_row, const int32_t* offset, const T* w, int taps, int n,
                              vec<T> bias, vec<T> floor, T* y, int64_t y_row) {
  constexpr int W = vec<T>::width;
  vec<T> a[R][NV];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int i = 0; i < NV; ++i) a[r][i] = bias;
  for (int t = 0; t < taps; ++t) {
    const T* from = x + offset[t];
    const vec<T> wv = set1(w[t]);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int i = 0; i < NV; ++i) a[r][i] = mul_add(wv, load(from + r * x_row + i * W), a[r][i]);
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r, y += y_row) {
#pragma GCC unroll 4
    for (int i = 0; i + 1 < NV; ++i) store(y + i * W, max(floor, a[r][i]));
    store(y + (NV - 1) * W, max(floor, a[r][NV - 1]), n - (NV - 1) * W);
  }
}

template <class T, int R> void depthwise_group(const T* x, int64_t x_row, const int32_t* offset, const T* w,
                                               int taps, int64_t n, vec<T> bias, vec<T> floor, T* y,
                                               int64_t y_row) {
  constexpr int W = vec<T>::width, NV = 4 / R;
  for (; n > (NV - 1) * W; n -= NV * W, x += NV * W, y += NV * W)
    depthwise_some<T, R, NV>(x, x_row, offset, w, taps, int(n < NV * W ? n : NV * W), bias, floor, y, y_row);
  for (; n > 0; n -= W, x += W, y += W)
    depthwise_some<T, R, 1>(x, x_row, offset, w, taps, int(n < W ? n : W), bias, floor, y, y_row);
}

// y[r, p] = max(floor, sum over taps of w[t] x[offset[t] + r * x_row + p] + bias) for p < n; the elements up
// to the next whole vector are read, too.
template <class T> void depthwise_rows(const T* x, int64_t x_row, const int32_t* offset, const T* w, int taps,
                                       int64_t rows, int64_t n, T bias, T floor, T* y, int64_t y_row) {
  constexpr int W = vec<T>::width;
  const vec<T> b = set1(bias), low = set1(floor);
  // narrow rows together: sums don't wait for each other
  const int64_t group = n <= W ? 4 : n <= 2 * W ? 2 : 1;
  int64_t r = 0;
  for (; r + group <= rows; r += group, x += group * x_row, y += group * y_row) {
    if (group == 4)
      depthwise_group<T, 4>(x, x_row, offset, w, taps, n, b, low, y, y_row);
    else if (group == 2)
      depthwise_group<T, 2>(x, x_row, offset, w, taps, n, b, low, y, y_row);
    else
      depthwise_group<T, 1>(x, x_row, offset, w, taps, n, b, low, y, y_row);
  }
  for (; r < rows; ++r, x += x_row, y += y_row)
    depthwise_group<T, 1>(x, x_row, offset, w, taps, n, b, low, y, y_row);
}

// a[i] += sum over rows and pixels of gy x for B taps.
template <class T, int B> NN_INLINE void depthwise_taps(const T* x, const int32_t* offset, const T* gy,
                                                        int64_t rows, int64_t x_row, int64_t gy_row,
                                                        int64_t n, T* gw) {
  constexpr int W = vec<T>::width;
  vec<T> a[B];
#pragma GCC unroll 9
  for (int i = 0; i < B; ++i) a[i] = set1(T(0));
  for (int64_t r = 0; r < rows; ++r, x += x_row, gy += gy_row)
    for (int64_t p = 0; p < n; p += W) {
      const int m = int(n - p < W ? n - p : W);
      const vec<T> g = load(gy + p, m);
#pragma GCC unroll 9
      for (int i = 0; i < B; ++i) a[i] = mul_add(g, load(x + offset[i] + p, m), a[i]);
    }
#pragma GCC unroll 9
  for (int i = 0; i < B; ++i) gw[i] += sum(a[i]);
}

// gw[t] += sum over rows r and p < n of gy[r * gy_row + p] x[offset[t] + r * x_row + p].
template <class T> void depthwise_weight(const T* x, const int32_t* offset, const T* gy, int taps,
                                         int64_t rows, int64_t x_row, int64_t gy_row, int64_t n, T* gw) {
  int t = 0;
  for (; t + 9 <= taps; t += 9) depthwise_taps<T, 9>(x, offset + t, gy, rows, x_row, gy_row, n, gw + t);
  for (; t < taps; ++t) depthwise_taps<T, 1>(x, offset + t, gy, rows, x_row, gy_row, n, gw + t);
}

// What the three taps of m results read of a row: v[t] lane l = x[l * S + t]. Columns outside the image are
// 0; so are lanes beyond m if they have to be clean. Few loads, then permutes: most loads straddle two cache
// lines.
template <int S, bool clean, class T> struct Taps {
  static constexpr int W = vec<T>::width, parts = S == 1 && W > 1 ? 2 : 3;  // registers of x
  mask<T> within[parts], results;
  places<T> next, after;
  bool short_of_last;  // no result meets the last part

  // Results from column `at` of the image on.
  NN_INLINE Taps(int64_t at, int64_t in, int m)
      : results(first<T>(m)), next(load_places<T>(kCount + 1)), after(load_places<T>(kCount + 2)) {
    const int end = (m - 1) * S + 3, from = int(-at), to = in - at < end ? int(in - at) : end;
#pragma GCC unroll 3
    for (int i = 0; i < parts; ++i) within[i] = first<T>(to - i * W) & ~first<T>(from - i * W);
    short_of_last = W > 1 && end <= (parts - 1) * W;
  }
  NN_INLINE void read(const T* x, bool inside, vec<T> (&v)[3]) const {
    const vec<T> zero = set1(T(0));
    v[0] = v[1] = v[2] = zero;
    if (!inside) return;
    const vec<T> a = load_where(within[0], x);
    const auto cleaned = [&](vec<T> r) { return clean ? select(results, r, zero) : r; };
    if constexpr (S == 1) {
      const vec<T> b = short_of_last ? zero : load_where(within[1], x + W);
      v[0] = cleaned(a), v[1] = cleaned(permute(a, b, next));
      v[2] = W == 1 ? load_where(within[parts - 1], x + 2) : permute(a, b, after);
    } else {
      const vec<T> b = load_where(within[1], x + W),
                   c = short_of_last ? zero : load_where(within[2], x + 2 * W);
      const vec<T> evens = even(a, b);
      v[0] = cleaned(evens), v[1] = odd(a, b), v[2] = permute(evens, c, next);
    }
  }

 private:
  static constexpr int32_t kCount[18] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};
};

// The cache lines that a strip of columns asks for: of short rows its own (negative), else the first strip
// all of them.
template <class T> NN_INLINE int64_t lines_of(int64_t j, int64_t row) {
  const int64_t bytes = row * int64_t(sizeof(T));
  if (vec<T>::width == 1) return 0;
  return bytes <= 128 ? -1 : j == 0 ? (bytes + 63) / 64 : 0;
}
// Asks for what lies 4 KB behind a vector of S numbers a lane, where rows and planes to come are.
template <int write, int S, class T> NN_INLINE void fetch_row(const T* p, int64_t lines) {
  constexpr int64_t line = 64 / sizeof(T), own = (S * vec<T>::width + line - 1) / line;
  p += 64 * line;
  if (lines < 0)
#pragma GCC unroll 2
    for (int64_t i = 0; i < own; ++i) __builtin_prefetch(p + i * line, write);
  else
    for (int64_t i = 0; i < lines; ++i) __builtin_prefetch(p + i * line, write);
}

// f(row, end, j, m) for bands of rows that stay in L1 and, within them, the vectors of a row of results
template <class T, class F> NN_INLINE void each_strip(const DepthwisePlane<T>& p, F&& f) {
  constexpr int W = vec<T>::width, band = 64;
  for (int64_t row = 0; row < p.out_h; row += band)
    for (int64_t j = 0; j < p.out_w; j += W)
      f(row, row + band < p.out_h ? row + band : p.out_h, j, p.out_w - j < W ? int(p.out_w - j) : W);
}

// a + the products of row k of the filter
template <class T> NN_INLINE vec<T> add_taps(const vec<T> (&w)[9], int k, const vec<T> (&v)[3], vec<T> a) {
  return mul_add(w[3 * k + 2], v[2], mul_add(w[3 * k + 1], v[1], mul_add(w[3 * k], v[0], a)));
}

template <int S, class T>
NN_INLINE void depthwise3_strip(const DepthwisePlane<T>& p, int64_t row, int64_t end, int64_t j, int m) {
  const int64_t column = j * S - p.low_w;
  const Taps<S, false, T> taps(column, p.in_w, m);
  const vec<T> bias = set1(p.bias), floor = set1(p.floor);
  vec<T> w[9], v[3];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) w[t] = set1(p.w[t]);
  int64_t h = row * S - p.low_h;
  const int64_t x_lines = lines_of<T>(j, p.x_row), y_lines = lines_of<T>(j, p.y_row);
  const T* x = p.x + h * p.x_row + column;
  const auto next = [&] {
    fetch_row<0, S>(x, x_lines);
    taps.read(x, h >= 0 && h < p.in_h, v);
    ++h, x += p.x_row;
  };
  T* y = p.y + row * p.y_row + j;
  next();
  vec<T> a = add_taps(w, 0, v, bias), b = bias;
  if constexpr (S == 1) next(), a = add_taps(w, 1, v, a), b = add_taps(w, 0, v, bias);
  for (; row < end; ++row, y += p.y_row) {
    fetch_row<1, 1>(y, y_lines);
    next();
    if constexpr (S == 1) {
      store(y, max(floor, add_taps(w, 2, v, a)), m);
      a = add_taps(w, 1, v, b), b = add_taps(w, 0, v, bias);
    } else {
      a = add_taps(w, 1, v, a);
      next();
      store(y, max(floor, add_taps(w, 2, v, a)), m);
      a = add_taps(w, 0, v, bias);
    }
  }
}

template <int S, class T> void depthwise3_of(const DepthwisePlane<T> p) {
  each_strip(p, [&](int64_t row, int64_t end, int64_t j, int m) { depthwise3_strip<S>(p, row, end, j, m); });
}

// y[h, i] = max(floor, sum over taps of w[k, t] x[h * stride + k - low_h, i * stride + t - low_w] + bias).
template <class T> void depthwise3(const DepthwisePlane<T>& p) {
  p.stride == 1 ? depthwise3_of<1>(p) : depthwise3_of<2>(p);
}

// Two rows of a gradient, of stride two. Of their even and odd positions (in the padded image) one meets taps
// 0 and 2, the other one tap 1; which one comes first is up to the padding.
template <bool odd_w, class T> NN_INLINE void depthwise3_spread_of(const DepthwisePlane<T>& p) {
  constexpr int W = vec<T>::width;
  const bool odd_h = p.low_h % 2 != 0;
  const int64_t nearest_h = (p.low_h + 1) / 2, nearest_w = (p.low_w + 1) / 2;
  const vec<T> bias = set1(p.bias);
  vec<T> w[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) w[t] = set1(p.w[t]);
  const auto put = [&](int64_t h, int64_t j, vec<T> a, vec<T> b) {
    if (h < p.out_h) store_pairs(p.y + h * p.y_row, j, p.out_w, odd_w ? b : a, odd_w ? a : b);
  };
  for (int64_t j = 0; 2 * j < p.out_w; j += W) {
    const int64_t column = j + nearest_w;
    const mask<T> within_a = first<T>(int(p.in_w - column)) & ~first<T>(int(-column)),
                  within_b = first<T>(int(p.in_w + 1 - column)) & ~first<T>(int(1 - column));
    const auto get = [&](int64_t row, vec<T>& a, vec<T>& b) {
      a = b = set1(T(0));
      if (row < 0 || row >= p.in_h) return;
      const T* x = p.x + row * p.x_row + column;
      a = load_where(within_a, x), b = load_where(within_b, x - 1);
    };
    const int64_t x_lines = lines_of<T>(j, p.x_row), y_lines = lines_of<T>(j, p.y_row);
    vec<T> a0, b0, a1, b1;
    get(nearest_h - 1, a0, b0);
    for (int64_t h = 0; 2 * h < p.out_h; ++h, a0 = a1, b0 = b1) {
      fetch_row<0, 1>(p.x + h * p.x_row + j, x_lines);
      fetch_row<1, 2>(p.y + 2 * h * p.y_row + 2 * j, y_lines);
      fetch_row<1, 2>(p.y + (2 * h + 1) * p.y_row + 2 * j, y_lines);
      get(h + nearest_h, a1, b1);
      const vec<T> c0 = odd_w ? b0 : a0, c1 = odd_w ? b1 : a1;
      const vec<T> a = odd_h ? a0 : a1, b = odd_h ? b0 : b1, c = odd_h ? c0 : c1;
      put(2 * h + odd_h, j, mul_add(w[8], b0, mul_add(w[6], a0, mul_add(w[2], b1, mul_add(w[0], a1, bias)))),
          mul_add(w[7], c0, mul_add(w[1], c1, bias)));
      put(2 * h + !odd_h, j, mul_add(w[5], b, mul_add(w[3], a, bias)), mul_add(w[4], c, bias));
    }
  }
}
// y = the adjoint of depthwise3 with a stride of two, applied to x, + bias. out: of y, the image; low as
// there.
template <class T> void depthwise3_spread(const DepthwisePlane<T>& p) {
  p.low_w % 2 ? depthwise3_spread_of<true>(p) : depthwise3_spread_of<false>(p);
}

// total[t] += the products of results [j, j + m) of rows [row, end)
template <int S, class T> NN_INLINE void depthwise3_products(const DepthwisePlane<T>& p, const T* gy,
                                                             int64_t row, int64_t end, int64_t j, int m,
                                                             T* total) {
  constexpr int W = vec<T>::width;
  const int64_t column = j * S - p.low_w;
  const Taps<S, true, T> taps(column, p.in_w, m);
  const vec<T> zero = set1(T(0));
  vec<T> sums[9], v[3];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) sums[t] = zero;
  int64_t h = row * S - p.low_h;
  const T* x = p.x + h * p.x_row + column;
  const auto next = [&] {
    if (j == 0) fetch<0>(x, p.x_row);
    taps.read(x, h >= 0 && h < p.in_h, v);
    ++h, x += p.x_row;
  };
  const auto add = [&](vec<T> g, int k) {
#pragma GCC unroll 3
    for (int t = 0; t < 3; ++t) sums[3 * k + t] = mul_add(g, v[t], sums[3 * k + t]);
  };
  gy += row * p.y_row + j;
  next();
  if constexpr (S == 1) {
    // rows of gy that are not there take no part: they would turn Inf into NaN
    vec<T> a = load(gy, m), b = zero;
    add(a, 0), next(), add(a, 1);
    for (; ++row < end; a = b) {
      gy += p.y_row, b = load(gy, m);
      if (j == 0) fetch<0>(gy, p.y_row);
      add(b, 0), next(), add(b, 1), add(a, 2);
    }
    next(), add(a, 2);
  } else {
    for (; row < end; ++row, gy += p.y_row) {
      const vec<T> g = load(gy, m);
      if (j == 0) fetch<0>(gy, p.y_row);
      add(g, 0), next(), add(g, 1), next(), add(g, 2);
    }
  }
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) store(total + t * W, load(total + t * W) + sums[t]);
}

template <int S, class T> void depthwise3_weight_of(DepthwisePlane<T> p, const T* gy, int64_t images,
                                                    int64_t x_image, int64_t gy_image, T* gw) {
  constexpr int W = vec<T>::width;
  T total[9 * W] = {};
  for (int64_t n = 0; n < images; ++n, p.x += x_image, gy += gy_image)
    each_strip(p, [&](int64_t row, int64_t end, int64_t j, int m) {
      depthwise3_products<S>(p, gy, row, end, j, m, total);
    });
  for (int t = 0; t < 9; ++t) gw[t] = sum(load(total + t * W));
}
// gw[k, t] = sum over images and results of gy[h, i] x[h * stride + k - low_h, i * stride + t - low_w]; gy
// has rows as y would.
template <class T> void depthwise3_weight(const DepthwisePlane<T>& p, const T* gy, int64_t images,
                                          int64_t x_image, int64_t gy_image, T* gw) {
  p.stride == 1 ? depthwise3_weight_of<1>(p, gy, images, x_image, gy_image, gw)
                : depthwise3_weight_of<2>(p, gy, images, x_image, gy_image, gw);
}

}  // namespace
}  // namespace nn
