// Convolution's own kernels: packing images into the panels of the GEMM engine, and products that read padded
// planes where they lie.
//
//   pack_segments  lanes are pixels of image rows: straight copies under a mask, one row of a panel per
//   channel pack_lanes     lanes are pointers, the depth runs along them: squares are turned in registers
namespace nn {
namespace {

// For each channel c: out[c * out_step + s.lane + i] = x[c * channel_step + s.source + i * lane_step] for
// every segment s and i < s.count; 0 in the lanes between them, up to width.
template <class T> void pack_segments(const T* x, int64_t channel_step, int64_t channels, const Segment* s,
                                      int count, int64_t lane_step, int width, T* out, int64_t out_step) {
  constexpr int W = vec<T>::width;
  for (int v = 0; v < width; v += W) {
    const int wide = width - v < W ? width - v : W;
    while (count > 0 && s->lane + s->count <= v) ++s, --count;
    int meet = 0;  // segments with a lane in [v, v + W)
    while (meet < count && s[meet].lane < v + W) ++meet;
    const T* p = x;
    T* o = out + v;
    if (meet == 0) {
      for (int64_t c = 0; c < channels; ++c, o += out_step) store(o, set1(T(0)), wide);
    } else if (meet == 1 && wide == W) {
      const int from = s->lane - v, to = s->lane + s->count - v;
      p += s->source - from * lane_step;
      if (from <= 0 && to >= W && lane_step == 1)
        for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step) store(o, load(p));
      else
        for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step)
          store(o, load_range(p, lane_step, from, to));
    } else {
      for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step) {
        vec<T> a = set1(T(0));
        for (int i = 0; i < meet; ++i) {
          const int from = s[i].lane - v;
          a = a + load_range(p + s[i].source - from * lane_step, lane_step, from, from + s[i].count);
        }
        store(o, a, wide);
      }
    }
  }
}

// W pointers and W elements of each, turned; not inlined, as transpose_square.
template <class T> __attribute__((noinline)) void pack_square(const T* const* x, const int* first,
                                                              const int* end, int64_t step, int64_t k,
                                                              int lanes, int rows, T* out, int64_t out_step,
                                                              int wide) {
  constexpr int W = vec<T>::width;
  vec<T> r[W];
#pragma GCC unroll 16
  for (int l = 0; l < W; ++l)
    r[l] = l < lanes ? load_range(x[l] + k * step, step, int(first[l] - k), int(end[l] - k)) : set1(T(0));
  transpose(r);
  if (rows == W && wide >= W) {
#pragma GCC unroll 16
    for (int l = 0; l < W; ++l) store(out + l * out_step, r[l]);
  } else {
    for (int l = 0; l < rows; ++l) store(out + l * out_step, r[l], wide);
  }
}

// out[k * width + l] = x[l][k * step] for first[l] <= k < end[l] and l < lanes, else 0.
template <class T> void pack_lanes(const T* const* x, const int* first, const int* end, int64_t step,
                                   int lanes, int width, int64_t depth, T* out) {
  constexpr int W = vec<T>::width;
  for (int64_t k = 0; k < depth; k += W)
    for (int i = 0; i < width; i += W)
      pack_square(x + i, first + i, end + i, step, k, lanes - i, int(depth - k < W ? depth - k : W),
                  out + k * width + i, width, width - i);
}

template <class T> NN_INLINE const T* beyond(const T* p, int64_t bytes) {
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(p) + bytes);
}

// acc[i][j] += sum over d of pixel i times filters of vector j. STEP: from pixel to pixel, 0: where t.pixel
// says.
template <class T, int MR, int NV, int STEP>
NN_INLINE void conv_sums(const ConvTile<T>& t, vec<T> (&acc)[MR][NV]) {
  constexpr int W = vec<T>::width;
  const T *w = t.w, *first = STEP ? beyond(t.x, t.pixel[0]) : t.x;
  for (int64_t d = 0; d < t.k; ++d, w += t.w_step) {
    const T* x = first + t.offset[d];
    vec<T> wv[NV];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) wv[j] = load(w + j * W);
    __builtin_prefetch(w + 8 * t.w_step);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const vec<T> xv = set1(STEP ? x[i * STEP] : *beyond(x, t.pixel[i]));
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) acc[i][j] = mul_add(xv, wv[j], acc[i][j]);
    }
  }
}

template <class T, int MR, int NV> void conv_tile_body(const ConvTile<T>& t) {
  constexpr int W = vec<T>::width;
  vec<T> acc[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) acc[i][j] = set1(T(0));
  if (!t.channels_dense)  // results far apart arrive in the meantime
    for (int c = 0; c < t.channels; ++c)
      __builtin_prefetch(t.y + t.y_channel[c] + t.y_pixel[t.pixels - 1], 1);
  const int64_t step = t.pixels > 1 ? t.pixel[1] - t.pixel[0] : int64_t(sizeof(T));
  const bool even = t.pixel[t.pixels - 1] - t.pixel[0] == step * (t.pixels - 1);
  if (even && step == int64_t(sizeof(T)))
    conv_sums<T, MR, NV, 1>(t, acc);
  else if (even && step == 2 * int64_t(sizeof(T)))
    conv_sums<T, MR, NV, 2>(t, acc);
  else
    conv_sums<T, MR, NV, 0>(t, acc);
#pragma GCC unroll 2
  for (int j = 0; j < NV; ++j) {
    const int channels = t.channels - j * W < W ? t.channels - j * W : W;
    const vec<T> b = t.bias ? load(t.bias + j * W, channels) : set1(T(0)), floor = set1(t.floor);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) acc[i][j] = max(floor, acc[i][j] + b);
    if (channels <= 0) continue;
    if (t.channels_dense) {
      T* y = t.y + t.y_channel[j * W];
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i)
        if (i < t.pixels) store(y + t.y_pixel[i], acc[i][j], channels);
      continue;
    }
    // turned, so that pixels are side by side
#pragma GCC unroll 16
    for (int i = 0; i < MR; i += W) {
      vec<T> r[W];
#pragma GCC unroll 16
      for (int l = 0; l < W; ++l) r[l] = i + l < MR ? acc[i + l][j] : set1(T(0));
      transpose(r);
      const int pixels = t.pixels - i;
      for (int l = 0; l < channels && pixels > 0; ++l) {
        T* y = t.y + t.y_channel[j * W + l];
        if (t.pixels_dense) {
          store(y + t.y_pixel[i], r[l], pixels);
          continue;
        }
        T row[W];
        store(row, r[l]);
        for (int p = 0; p < W && p < pixels; ++p) y[t.y_pixel[i + p]] = row[p];
      }
    }
  }
}

// Pixels of one conv_tile.
template <class T> int conv_tile_pixels() { return TileLimit<T>::rows[2]; }

// y[y_channel[c] + y_pixel[p]] = max(floor, sum over d of x[offset[d] + pixel[p]] w[d * w_step + c] +
// bias[c]).
template <class T> void conv_tile(int vectors, const ConvTile<T>& t) {
  constexpr int MR = TileLimit<T>::rows[2];
  if (vectors == 1)
    conv_tile_body<T, MR, 1>(t);
  else
    conv_tile_body<T, MR, 2>(t);
}

// The results of a tile that starts at a column of a row; columns from width on are none.
template <class T, int F, int NV>
NN_INLINE void conv_line_store(const ConvLine<T>& l, const vec<T> (&acc)[F][NV], int64_t row, int64_t col) {
  constexpr int W = vec<T>::width;
#pragma GCC unroll 4
  for (int j = 0; j < NV; ++j)
    for (int from = 0; from < W && row < l.rows;) {
      // lanes [from, to) are of one row
      const int64_t left = l.x_row - col, wanted = l.width - col;
      const int next = left < W - from ? from + int(left) : W;
      const int to = wanted < next - from ? from + int(wanted) : next;
      T* y = l.y + row * l.y_row + (col - from) * l.y_pixel;
      if (l.y_pixel == 1) {
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) store_range(y + f * l.y_filter, acc[f][j], from, to);
      } else {
        T t[F][W];
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) store(t[f], acc[f][j]);
        for (int f = 0; f < F; ++f)
          for (int i = from; i < to; ++i) y[f * l.y_filter + i * l.y_pixel] = t[f][i];
      }
      col += next - from, from = next;
      if (col == l.x_row) col = 0, ++row;
    }
}

// NV vectors of pixels from `i` on, which begin at a column of a row.
template <class T, int F, int NV>
NN_INLINE void conv_line_tile(const ConvLine<T>& l, int64_t i, int64_t& row, int64_t& col) {
  constexpr int W = vec<T>::width;
  vec<T> acc[F][NV];
#pragma GCC unroll 8
  for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      acc[f][j] = set1(l.bias ? l.bias[f] : T(0));
      // results far apart arrive in the meantime
      __builtin_prefetch(l.y + f * l.y_filter + row * l.y_row + (col + j * W) * l.y_pixel, 1);
    }
  const T* w = l.w;
  for (int64_t d = 0; d < l.k; ++d, w += F) {
    const T* x = l.x + l.offset[d] + i;
    vec<T> xv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) xv[j] = load(x + j * W);
#pragma GCC unroll 8
    for (int f = 0; f < F; ++f) {
      const vec<T> wv = set1(w[f]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) acc[f][j] = mul_add(wv, xv[j], acc[f][j]);
    }
  }
  const vec<T> floor = set1(l.floor);
#pragma GCC unroll 8
  for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[f][j] = max(floor, acc[f][j]);
  conv_line_store(l, acc, row, col);
  for (col += NV * W; col >= l.x_row; col -= l.x_row) ++row;
}

template <class T, int F> void conv_line_body(const ConvLine<T>& l) {
  constexpr int W = vec<T>::width, NV = F <= TileLimit<T>::rows[4] ? 4 : 3;
  const int64_t n = (l.rows - 1) * l.x_row + l.width;
  int64_t i = 0, row = 0, col = 0;
  for (; n - i > (NV - 1) * W; i += NV * W) conv_line_tile<T, F, NV>(l, i, row, col);
  if (n - i > W) conv_line_tile<T, F, 2>(l, i, row, col), i += 2 * W;
  if (n - i > 0) conv_line_tile<T, F, 1>(l, i, row, col);
}

// Most filters of one conv_line.
template <class T> int conv_line_filters() { return TileLimit<T>::rows[3]; }

template <class T, int F> void conv_line_filters_left(const ConvLine<T>& l) {
  if constexpr (F > 0) {
    if (l.filters == F) return conv_line_body<T, F>(l);
    conv_line_filters_left<T, F - 1>(l);
  }
}
// y[f * y_filter + r * y_row + p * y_pixel] = max(floor, sum over d of x[offset[d] + r * x_row + p] w[d, f] +
// bias[f]).
template <class T> void conv_line(const ConvLine<T>& l) {
  conv_line_filters_left<T, TileLimit<T>::rows[3]>(l);
}

// gw[i * gw_step + k] (+)= sum over rows r and pixels p of x[offset[i] + r * x_row + p * x_step] gy[(r * cols
// + p) * gy_step + k], for i < taps <= conv_tile_pixels().
template <class T, int MR, int NV> void conv_weight_body(const T* x, const int32_t* offset, int64_t x_row,
                                                         int64_t x_step, const T* gy, int64_t gy_step,
                                                         int64_t rows, int64_t cols, int taps,
                                                         bool accumulate, T* gw, int64_t gw_step) {
  constexpr int W = vec<T>::width;
  vec<T> acc[MR][NV];
  const T* at[MR];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
    at[i] = x + offset[i < taps ? i : 0];
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) acc[i][j] = set1(T(0));
  }
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t p = 0, o = r * x_row; p < cols; ++p, o += x_step, gy += gy_step) {
      vec<T> g[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) g[j] = load(gy + j * W);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const vec<T> xv = set1(at[i][o]);
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) acc[i][j] = mul_add(xv, g[j], acc[i][j]);
      }
    }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i)
    if (i < taps)
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        T* to = gw + i * gw_step + j * W;
        store(to, accumulate ? load(to) + acc[i][j] : acc[i][j]);
      }
}
template <class T> void conv_weight_tile(int vectors, const T* x, const int32_t* offset, int64_t x_row,
                                         int64_t x_step, const T* gy, int64_t gy_step, int64_t rows,
                                         int64_t cols, int taps, bool accumulate, T* gw, int64_t gw_step) {
  constexpr int MR = TileLimit<T>::rows[2];
  if (vectors == 1)
    conv_weight_body<T, MR, 1>(x, offset, x_row, x_step, gy, gy_step, rows, cols, taps, accumulate, gw,
                               gw_step);
  else
    conv_weight_body<T, MR, 2>(x, offset, x_row, x_step, gy, gy_step, rows, cols, taps, accumulate, gw,
                               gw_step);
}

// Taps of a tile of F filters.
template <class T> constexpr int line_taps(int filters) { return filters <= TileLimit<T>::rows[4] ? 4 : 3; }

template <class T, int F> void conv_weight_line_body(const ConvWeightLine<T>& l) {
  constexpr int W = vec<T>::width, N = line_taps<T>(F);
  vec<T> acc[F][N];
  const T *at[N], *from[F];
#pragma GCC unroll 4
  for (int t = 0; t < N; ++t) at[t] = l.x + l.offset[t < l.taps ? t : 0];
#pragma GCC unroll 8
  for (int f = 0; f < F; ++f) {
    from[f] = l.gy + f * l.gy_filter;
#pragma GCC unroll 4
    for (int t = 0; t < N; ++t) acc[f][t] = set1(T(0));
  }
  for (int64_t i = 0; i < l.images; ++i)
    for (int64_t r = 0; r < l.rows; ++r) {
      const int64_t o = i * l.x_image + r * l.x_row, q = i * l.gy_image + r * l.gy_row;
      for (int64_t p = 0; p < l.n; p += W) {
        const int m = int(l.n - p < W ? l.n - p : W);
        vec<T> x[N];
#pragma GCC unroll 4
        for (int t = 0; t < N; ++t) x[t] = load(at[t] + o + p, m);
#pragma GCC unroll 8
        for (int f = 0; f < F; ++f) {
          const vec<T> g = load(from[f] + q + p, m);
#pragma GCC unroll 4
          for (int t = 0; t < N; ++t) acc[f][t] = mul_add(g, x[t], acc[f][t]);
        }
      }
    }
#pragma GCC unroll 8
  for (int f = 0; f < F; ++f)
#pragma GCC unroll 4
    for (int t = 0; t < N; ++t) {
      if (t >= l.taps) break;
      T* to = l.sums + f * l.filter_step + t * l.tap_step;
      store(to, l.accumulate ? load(to) + acc[f][t] : acc[f][t]);
    }
}
template <class T, int F> void conv_weight_line_filters(const ConvWeightLine<T>& l) {
  if constexpr (F > 0) {
    if (l.filters == F) return conv_weight_line_body<T, F>(l);
    conv_weight_line_filters<T, F - 1>(l);
  }
}
// Most taps of one conv_weight_line.
template <class T> int conv_weight_line_taps(int filters) { return line_taps<T>(filters); }

// sums[f * filter_step + t * tap_step + lane] (+)= sum of gy[f * gy_filter + i * gy_image + r * gy_row + p]
// x[offset[t] + i * x_image + r * x_row + p] over images, rows and p < n. Up to conv_line_filters() filters.
template <class T> void conv_weight_line(const ConvWeightLine<T>& l) {
  conv_weight_line_filters<T, TileLimit<T>::rows[3]>(l);
}

}  // namespace
}  // namespace nn
