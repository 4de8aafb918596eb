// Depthwise convolution of planes: every channel has filters of its own.
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
      for (int i = 0; i < NV; ++i) a[r][i] = fma(wv, load(from + r * x_row + i * W), a[r][i]);
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
      for (int i = 0; i < B; ++i) a[i] = fma(g, load(x + offset[i] + p, m), a[i]);
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

}  // namespace
}  // namespace nn
