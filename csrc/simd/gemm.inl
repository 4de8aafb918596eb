// The GEMM micro-kernel and its packer.
//
//   tile:  C[m x n] = A[m x k] B[k x n], C kept in registers while k runs: per step NV loads of B, m
//   broadcasts of A and
//          m*NV FMAs, so with m = 14 (AVX-512) or 6 (AVX2) the FMA units are the limit. Vectors run along the
//          columns.
//   pack:  `width` lanes of a matrix side by side, depth by depth, so that a tile reads memory in one
//   straight line.
//
// Sources: Goto & van de Geijn 2008 (packing and blocking); Van Zee & van de Geijn 2015 (BLIS: the tile
// contract).
namespace nn {
namespace {

// Registers: MR*NV sums, NV of B and one broadcast must fit (32 registers; 16 with AVX2).
template <class T> struct TileLimit {
#if defined(__AVX512F__) || defined(__aarch64__)
  static constexpr int rows[5] = {0, 14, 14, 8, 6};
#elif defined(__AVX2__)
  static constexpr int rows[5] = {0, 12, 6, 4, 2};
#else
  static constexpr int rows[5] = {0, 4, 4, 3, 3};
#endif
};

#if defined(__AVX512F__)
constexpr int kTileVectors = 2;
#elif defined(__AVX2__)
constexpr int kTileVectors = 2;
#elif defined(__aarch64__)
constexpr int kTileVectors = 2;
#else
constexpr int kTileVectors = 3;
#endif

#if defined(__AVX512F__)
constexpr bool kHalves = true;
#else
constexpr bool kHalves = false;
template <class T> using half = vec<T>;
#endif

// Where a tile finds its operands: strides the compiler then knows. half: B fills its last register by half
// at most; asking: A comes from afar, and memory is asked for it (packed tiles always ask); kept: B gets
// packed on the way.
enum class Operands { in_place, in_place_half, panel, panel_asking, panel_kept, packed, packed_kept };

// MR rows by NV vectors.
template <class T, int MR, int NV, Operands From> void tile(const GemmTile<T>& t) {
  constexpr int W = vec<T>::width;
  constexpr bool Keep = From == Operands::panel_kept || From == Operands::packed_kept,
                 Packed = From == Operands::packed || From == Operands::packed_kept,
                 Half = From == Operands::in_place_half, Panels = From != Operands::in_place && !Half,
                 Asking = From == Operands::panel_asking;
  constexpr int Whole = Half ? NV - 1 : NV;         // registers
  const int tail = int(t.n - int64_t(NV - 1) * W);  // columns of the last vector
  const int64_t a_row = Packed ? 1 : t.a_row, a_k = Panels && !Packed ? 1 : t.a_k;
  const int64_t b_k = Panels && !Keep ? kTileVectors * W : t.b_k;
  const mask<T> filled = first<T>(tail);
  const bool whole = tail >= W;
  const auto get = [&](const T* p, int j) {
    return j + 1 < NV ? load(p + j * W) : load_where(filled, p + j * W);
  };
  vec<T> acc[MR][NV];
  half<T> last[MR];  // the sums of the last register, if half of it will do
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
    last[i] = half<T>();
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) acc[i][j] = set1(T(0));
  }
  T* keep = t.keep;
  // Rows in place have two pointers: with one, the steps to 14 rows would not fit the registers.
  constexpr int Upper = Packed ? MR : (MR + 1) / 2;
  const T* lower = t.a + Upper * a_row;
  const T *a = t.a, *b = t.b, *ahead = t.ahead ? t.ahead : b + 8 * b_k;
  const int64_t ahead_step = t.ahead ? t.ahead_step : b_k;
  // c is wanted when the sums are done: asked for line by line over three quarters of them. A core has some
  // 16 misses under way at a time; were they all c's, a and b would wait (5-10 % of products from 1024 on).
  const T* c_line = t.c;
  int lines = MR * NV;
  const int64_t every = t.k * 3 / (4 * lines) + 1;
  int64_t wait = every;
  for (int64_t k = 0; k < t.k; ++k) {
    vec<T> bv[NV];
#pragma GCC unroll 4
    for (int j = 0; j < Whole; ++j) bv[j] = Panels || Half || whole ? load(b + j * W) : get(b, j);
    half<T> b_last;
    if constexpr (Half) b_last = load_half(filled, b + Whole * W);
    if (Keep) {
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) store(keep + j * W, bv[j]);
      keep += kTileVectors * W;
    }
    if (Packed || Asking) __builtin_prefetch(ahead, 0, Packed ? 2 : 3), ahead += ahead_step;
    if (Panels && --wait == 0) {
      __builtin_prefetch(c_line, 1);
      c_line += --lines % NV ? W : t.c_row - (NV - 1) * W;
      wait = lines ? every : t.k;
    }
    if (Panels && (!Packed || Keep))
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) __builtin_prefetch(b + (Keep ? 16 : 64) * b_k + j * W);
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      const T x = i < Upper ? a[i * a_row] : lower[(i - Upper) * a_row];
#pragma GCC unroll 4
      for (int j = 0; j < Whole; ++j) acc[i][j] = mul_add(set1(x), bv[j], acc[i][j]);
      if constexpr (Half) last[i] = mul_add(half1(x), b_last, last[i]);
    }
    a += a_k;
    lower += a_k;
    b += b_k;
  }
  if constexpr (Half)
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) acc[i][NV - 1] = widen(last[i]);
  // Step by step for all sums, so that what is not wanted is asked about once.
  const auto each = [&](auto&& f) __attribute__((always_inline)) {
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i)
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) f(acc[i][j], i, j);
  };
  T* c = t.c;
  if (t.accumulate) each([&](vec<T>& v, int i, int j) { v = v + get(c + i * t.c_row, j); });
  if (t.last) {
    if (t.alpha != T(1)) each([&](vec<T>& v, int, int) { v = v * set1(t.alpha); });
    if (t.residual)
      each([&](vec<T>& v, int i, int j) {
        v = mul_add(set1(t.beta), get(t.residual + i * t.residual_row, j), v);
      });
    if (t.bias) each([&](vec<T>& v, int, int j) { v = v + get(t.bias, j); });
    if (t.row_bias) each([&](vec<T>& v, int i, int) { v = v + set1(t.row_bias[i]); });
    if (t.floor == T(0)) each([&](vec<T>& v, int, int) { v = max(set1(T(0)), v); });  // relu; a NaN passes
  }
  each([&](vec<T>& v, int i, int j) {
    T* to = c + i * t.c_row + j * W;
    if (j + 1 < NV)
      store(to, v);
    else
      store(to, v, tail);
  });
}

template <class T, int NV, Operands From, int MR> void tile_rows(int m, const GemmTile<T>& t) {
  if (m == MR) return tile<T, MR, NV, From>(t);
  if constexpr (MR > 1) tile_rows<T, NV, From, MR - 1>(m, t);
}

// m <= gemm_shape().max_rows[nv] rows by nv vectors (the last one partly filled: t.n says how far).
template <class T> void gemm_tile(int m, int nv, const GemmTile<T>& t) {
  typedef TileLimit<T> L;
  constexpr int H = half<T>::width;
  if (t.packed) {
    if (t.keep) return tile_rows<T, kTileVectors, Operands::packed_kept, L::rows[kTileVectors]>(m, t);
    if (nv == kTileVectors) return tile_rows<T, kTileVectors, Operands::packed, L::rows[kTileVectors]>(m, t);
    return tile_rows<T, 1, Operands::packed, L::rows[kTileVectors]>(m, t);
  }
  if (t.panel) {
    if (t.keep) return tile_rows<T, kTileVectors, Operands::panel_kept, L::rows[kTileVectors]>(m, t);
    if (t.ahead) return tile_rows<T, kTileVectors, Operands::panel_asking, L::rows[kTileVectors]>(m, t);
    return tile_rows<T, kTileVectors, Operands::panel, L::rows[kTileVectors]>(m, t);
  }
  switch (nv) {
    case 1:
      if constexpr (kHalves)
        if (t.n <= H) return tile_rows<T, 1, Operands::in_place_half, L::rows[1]>(m, t);
      return tile_rows<T, 1, Operands::in_place, L::rows[1]>(m, t);
    case 2:
      if constexpr (kHalves)
        if (t.n <= vec<T>::width + H) return tile_rows<T, 2, Operands::in_place_half, L::rows[2]>(m, t);
      return tile_rows<T, 2, Operands::in_place, L::rows[2]>(m, t);
    case 3:
      return tile_rows<T, 3, Operands::in_place, L::rows[3]>(m, t);
    default:
      return tile_rows<T, 4, Operands::in_place, L::rows[4]>(m, t);
  }
}

template <class T> GemmShape gemm_shape() {
  typedef TileLimit<T> L;
  GemmShape s = {};
  s.vectors = kTileVectors;
  s.width = vec<T>::width;
  for (int i = 1; i < 5; ++i) s.max_rows[i] = L::rows[i];
  s.mr = L::rows[kTileVectors];
  s.nr = kTileVectors * vec<T>::width;
#if defined(__AVX512F__)
  s.kc = 256;
  s.mc = 14 * 12;
  s.nc = 2048;
#else
  s.kc = 256;
  s.mc = s.mr * (sizeof(T) == 4 ? 32 : 24);
  s.nc = sizeof(T) == 4 ? 2048 : 1024;
#endif
  s.nc -= s.nc % s.nr;  // whole panels: the last one is filled up, and blocks have no room for more
  return s;
}

// out[k * out_step + i] = x[i * lane_step + k * depth_step] for i < lanes; 0 for lanes <= i < width.
template <class T> void pack(const T* x, int64_t lane_step, int64_t depth_step, int lanes, int width,
                             int64_t depth, T* out, int64_t out_step) {
  constexpr int W = vec<T>::width;
  int64_t k = 0;
  if (lane_step == 1 && width <= W) {
    for (; k < depth; ++k, x += depth_step, out += out_step) {
      __builtin_prefetch(x + 16 * depth_step);
      __builtin_prefetch(x + 16 * depth_step + width - 1);
      store(out, load(x, lanes), width);
    }
    return;
  }
  if (lane_step == 1 || lane_step == 2) {
    for (; k < depth; ++k, x += depth_step, out += out_step) {
      __builtin_prefetch(x + 16 * depth_step);  // rows far apart: no hardware sees them coming
      __builtin_prefetch(x + 16 * depth_step + (width - 1) * lane_step);
      int i = 0;
      if (lane_step == 1)
        for (; i + W <= width && i + W <= lanes; i += W) store(out + i, load(x + i));
      for (; i < width; i += W)
        store(out + i, load_range(x + i * lane_step, lane_step, 0, lanes - i), width - i);
    }
    return;
  }
  if (depth_step == 1) {
    // Squares of W x W are turned in registers.
    for (; k < depth; k += W)
      for (int i = 0; i < width; i += W) {
        const T* from = x + i * lane_step + k;
        for (int j = i; j < width && j < i + W; ++j) __builtin_prefetch(x + (j + width) * lane_step + k);
        T* to = out + k * out_step + i;
        if (i + W <= lanes && k + W <= depth)
          transpose_square(from, lane_step, to, out_step);
        else
          transpose_corner(from, lane_step, to, out_step, lanes - i, int(depth - k < W ? depth - k : W),
                           width - i);
      }
    return;
  }
  for (; k < depth; ++k)
    for (int i = 0; i < width; ++i)
      out[k * out_step + i] = i < lanes ? x[i * lane_step + k * depth_step] : T(0);
}

// c[i, r] = sum_k a[i * a_row + k] x[r * x_row + k]: both operands lie along the depth, so vectors run along
// it, too, and the lanes are summed at the end. Four rows by four; x is read once. For few rows of a (m <=
// 16).
template <class T, int M> void dot_tile(const T* a, int64_t a_row, const T* x, int64_t x_row, int rows,
                                        int64_t depth, T* c, int64_t c_row) {
  constexpr int W = vec<T>::width;
  const T* p[4];
  for (int i = 0; i < 4; ++i) p[i] = x + (i < rows ? i : 0) * x_row;
  vec<T> acc[M][4];
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) acc[i][j] = set1(T(0));
  int64_t k = 0;
  for (; k + W <= depth; k += W) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const vec<T> xv = load(p[j] + k);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) acc[i][j] = mul_add(load(a + i * a_row + k), xv, acc[i][j]);
    }
  }
  if (k < depth) {
    const int n = int(depth - k);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const vec<T> xv = load(p[j] + k, n);
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) acc[i][j] = mul_add(load(a + i * a_row + k, n), xv, acc[i][j]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j)
      if (j < rows) c[i * c_row + j] = sum(acc[i][j]);
}

// One row of a against one row of x, in four chains. Memory is read in one straight line, so it can be asked
// for 4 KB ahead: a fifth faster from L3 than four rows at a time.
template <class T> NN_INLINE T dot(const T* a, const T* x, int64_t depth) {
  constexpr int W = vec<T>::width, ahead = 4096 / sizeof(T);
  vec<T> acc[4] = {set1(T(0)), set1(T(0)), set1(T(0)), set1(T(0))};
  int64_t k = 0;
  for (; k + 4 * W <= depth; k += 4 * W)
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      ask_ahead(x + k + i * W + ahead);
      acc[i] = mul_add(load(a + k + i * W), load(x + k + i * W), acc[i]);
    }
  for (int i = 0; k < depth; k += W, ++i) {
    const int n = int(depth - k < W ? depth - k : W);
    acc[i] = mul_add(load(a + k, n), load(x + k, n), acc[i]);
  }
  return sum((acc[0] + acc[1]) + (acc[2] + acc[3]));
}

template <class T> void gemv_dot(const T* a, int64_t a_row, int64_t m, const T* x, int64_t x_row,
                                 int64_t rows, int64_t depth, T* c, int64_t c_row) {
  if (m == 1 && depth * int64_t(sizeof(T)) >= 1024) {
    for (int64_t r = 0; r < rows; ++r) c[r] = dot(a, x + r * x_row, depth);
    return;
  }
  for (int64_t r = 0; r < rows; r += 4) {
    const int n = int(rows - r < 4 ? rows - r : 4);
    const T* p = x + r * x_row;
    int64_t i = 0;
    for (; i + 4 <= m; i += 4)
      dot_tile<T, 4>(a + i * a_row, a_row, p, x_row, n, depth, c + i * c_row + r, c_row);
    if (m - i == 3) dot_tile<T, 3>(a + i * a_row, a_row, p, x_row, n, depth, c + i * c_row + r, c_row);
    if (m - i == 2) dot_tile<T, 2>(a + i * a_row, a_row, p, x_row, n, depth, c + i * c_row + r, c_row);
    if (m - i == 1) dot_tile<T, 1>(a + i * a_row, a_row, p, x_row, n, depth, c + i * c_row + r, c_row);
  }
}

constexpr int kFewDepths = 8;  // of few_rows at a time: as many lines as one set of L1 can hold

// Some depths' part of C[M x n], added to sums (M rows of kTileVectors registers, panel by panel) or, at the
// last, written to c.
template <class T, int M> void add_depths(const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_row,
                                          int depths, bool begun, int64_t n, T* sums, int64_t panel, T* c,
                                          int64_t c_row) {
  constexpr int W = vec<T>::width, NV = kTileVectors;
  T some[kFewDepths * M];
  for (int d = 0; d < depths; ++d)
    for (int i = 0; i < M; ++i) some[d * M + i] = a[i * a_row + d * a_k];
  for (int64_t j = 0; j < n; j += NV * W, sums += panel) {
    const bool whole = j + NV * W <= n;
    const auto filled = [&](int v) {
      const int64_t left = n - j - v * W;
      return int(left < 0 ? 0 : left < W ? left : W);
    };
    vec<T> acc[M][NV];
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) acc[i][v] = begun ? load(sums + (i * NV + v) * W) : set1(T(0));
    const T* row = b + j;
    for (int d = 0; d < depths; ++d, row += b_row) {
      vec<T> bv[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        bv[v] = whole ? load(row + v * W) : load(row + v * W, filled(v));
        ask_ahead(row + kFewDepths * b_row + v * W);
      }
#pragma GCC unroll 16
      for (int i = 0; i < M; ++i) {
        const vec<T> av = set1(some[d * M + i]);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) acc[i][v] = mul_add(av, bv[v], acc[i][v]);
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        if (!c)
          store(sums + (i * NV + v) * W, acc[i][v]);
        else if (whole)
          store(c + i * c_row + j + v * W, acc[i][v]);
        else
          store(c + i * c_row + j + v * W, acc[i][v], filled(v));
      }
  }
}

template <class T, int M> void add_depths_up_to(int m, const T* a, int64_t a_row, int64_t a_k, const T* b,
                                                int64_t b_row, int depths, bool begun, int64_t n, T* sums,
                                                int64_t panel, T* c, int64_t c_row) {
  if (m == M) return add_depths<T, M>(a, a_row, a_k, b, b_row, depths, begun, n, sums, panel, c, c_row);
  if constexpr (M > 1)
    add_depths_up_to<T, M - 1>(m, a, a_row, a_k, b, b_row, depths, begun, n, sums, panel, c, c_row);
}

// C[m x n] = A B for few rows, some depths at a time: B is read in straight lines along its rows, those
// behind asked for. sums (m x n, whole panels of columns) should stay in L1.
template <class T> void few_rows(int64_t m, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_row,
                                 int64_t depth, int64_t n, T* sums, T* c, int64_t c_row) {
  constexpr int Most = TileLimit<T>::rows[kTileVectors], Wide = kTileVectors * vec<T>::width;
  const int64_t tiles = (m + Most - 1) / Most, rows = (m + tiles - 1) / tiles;
  for (int64_t k = 0; k < depth; k += kFewDepths) {
    const bool last = k + kFewDepths >= depth;
    for (int64_t i = 0; i < m; i += rows)
      add_depths_up_to<T, Most>(int(m - i < rows ? m - i : rows), a + i * a_row + k * a_k, a_row, a_k,
                                b + k * b_row, b_row, int(last ? depth - k : kFewDepths), k > 0, n,
                                sums + i * Wide, m * Wide, last ? c + i * c_row : nullptr, c_row);
  }
}

// y[j] += sum over R rows of v[r * v_step] x[r * x_row + j] for j < n. far: they come from memory, which is
// asked for what lies 4 KB ahead.
template <int R, bool far, class T>
NN_INLINE void add_rows(const T* x, int64_t x_row, const T* v, int64_t v_step, int64_t n, T* y) {
  constexpr int W = vec<T>::width;
  constexpr int64_t ahead = 4096 / sizeof(T);
  vec<T> s[R];
  for (int r = 0; r < R; ++r) s[r] = set1(v[r * v_step]);
  each_strip<W>(n, [&](int64_t j, auto wide, int k) __attribute__((always_inline)) {
    constexpr int V = decltype(wide)::value;
    // At the end of a row the start of the one behind the R is asked for.
    const int64_t soon = n <= ahead ? R * x_row : j + ahead < n ? ahead : R * x_row + ahead - n;
    vec<T> a[V];
#pragma GCC unroll 4
    for (int i = 0; i < V; ++i) {
      const T* p = x + j + i * W;
      a[i] = load(y + j + i * W, k);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        if (far) ask_ahead(p + r * x_row + soon);
        a[i] = mul_add(s[r], load(p + r * x_row, k), a[i]);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < V; ++i) store(y + j + i * W, a[i], k);
  });
}

// y[j] = sum_k v[k * v_step] x[k * x_row + j] for j < n, y staying in L1: four rows at a time, eight if they
// come from memory, which is read in straight lines. Whatever their number, a column's sum is the same.
template <class T>
void gemv_axpy(const T* x, int64_t x_row, const T* v, int64_t v_step, int64_t depth, int64_t n, T* y) {
  constexpr int W = vec<T>::width;
  for (int64_t j = 0; j < n; j += W) store(y + j, set1(T(0)), int(n - j < W ? n - j : W));
  const bool far = depth * n * int64_t(sizeof(T)) >= 2 << 20;
  int64_t k = 0;
  for (; far && k + 8 <= depth; k += 8) add_rows<8, true>(x + k * x_row, x_row, v + k * v_step, v_step, n, y);
  for (; k + 4 <= depth; k += 4) add_rows<4, false>(x + k * x_row, x_row, v + k * v_step, v_step, n, y);
  for (; k < depth; ++k) add_rows<1, false>(x + k * x_row, x_row, v + k * v_step, v_step, n, y);
}

}  // namespace
}  // namespace nn
