// Paths, by shape:
//   vector   one row or column, or few rows against columns that lie along the depth: bound by reading B
//   once. in place B is row-major and the work is too small, or the rows too few, to repay packing: tiles
//   read A and B where
//            they lie, with masked edges.
//   packed   Goto's loops: B in blocks of kc x nc (in L3), A in blocks of mc x kc (in L2), tiles of mr x nr
//   over panels.
// The depth is cut into equal blocks of at most kc, summed in order, whatever the number of threads: same
// bits.
#include "gemm.h"

#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"

namespace nn::cpu {
namespace {

// Work below about 20 us stays on one thread: 2 flops per multiply-add at some 100 GFLOP/s.
constexpr int64_t kSerialFlops = int64_t(2) << 20;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

// Equal depths, so that no short last block spoils the rate.
int64_t depth_block(int64_t k, int64_t kc) {
  return k <= kc ? std::max<int64_t>(k, 1) : ceil_div(k, ceil_div(k, kc));
}

template <class T> T floor_of(Activation a) {
  return a == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
}

// The activations that do not fit into the tile's store: on rows that are still in L1.
template <class T> void activate(Activation a, T* c, int64_t c_row, int64_t m, int64_t n) {
  if (a == Activation::none || a == Activation::relu) return;
  constexpr Unary ops[] = {Unary::sigmoid, Unary::tanh, Unary::gelu, Unary::gelu_tanh, Unary::silu};
  const int op = int(ops[int(a) - int(Activation::sigmoid)]);
  for (int64_t i = 0; i < m; ++i) kernels<T>().unary(op, c + i * c_row, c + i * c_row, n);
}

template <class T> GemmTile<T> first_tile(const Gemm<T>& g) {
  GemmTile<T> t = {};
  t.k = g.k;
  t.a_row = g.a.row, t.a_k = g.a.col;
  t.b_k = g.b.row;
  t.c_row = g.c_row;
  t.last = true;
  t.alpha = g.alpha, t.beta = g.beta, t.floor = floor_of<T>(g.activation);
  t.residual_row = g.residual_row;
  return t;
}

template <class T> void place(GemmTile<T>& t, const Gemm<T>& g, int64_t i, int64_t j) {
  t.c = g.c + i * g.c_row + j;
  t.bias = g.bias ? g.bias + j : nullptr;
  t.residual = g.residual ? g.residual + i * g.residual_row + j : nullptr;
}

// --- in place
// ------------------------------------------------------------------------------------------------------

template <class T> void in_place(const Gemm<T>& g) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape s = kern.gemm_shape();
  // Few rows: wide tiles, so that each row of A meets as many columns as possible.
  int nv = s.vectors;
  while (nv < 4 && g.m <= s.max_rows[nv + 1] && g.n > int64_t(nv) * s.width) ++nv;
  const int64_t columns = int64_t(nv) * s.width, rows = s.max_rows[nv];
  const int64_t panels = ceil_div(g.n, columns);
  const int64_t grain = std::max<int64_t>(1, kSerialFlops / (2 * g.m * columns * std::max<int64_t>(g.k, 1)));
  parallel_for(panels, grain, [&](int64_t begin, int64_t end) {
    GemmTile<T> t = first_tile(g);
    for (int64_t p = begin; p < end; ++p) {
      const int64_t j = p * columns;
      t.n = std::min(columns, g.n - j);
      const int v = int(ceil_div(t.n, s.width));
      t.b = g.b.p + j;
      // Equal tiles of rows: 16 rows are two tiles of 8, not 14 and 2.
      const int64_t tiles = ceil_div(g.m, rows), m = ceil_div(g.m, tiles);
      for (int64_t i = 0; i < g.m; i += m) {
        t.a = g.a.p + i * g.a.row;
        place(t, g, i, j);
        const int64_t mm = std::min(m, g.m - i);
        kern.gemm_tile(int(mm), v, t);
        activate(g.activation, t.c, g.c_row, mm, t.n);
      }
    }
  });
}

// --- packed
// --------------------------------------------------------------------------------------------------------

template <class T> void pack_a_block(const Gemm<T>& g, const GemmShape& s, int64_t i, int64_t rows, int64_t p,
                                     int64_t depth, T* out) {
  for (int64_t r = 0; r < rows; r += s.mr, out += s.mr * depth)
    kernels<T>().pack(g.a.p + (i + r) * g.a.row + p * g.a.col, g.a.row, g.a.col,
                      int(std::min<int64_t>(s.mr, rows - r)), s.mr, depth, out);
}

template <class T> void multiply_block(const Gemm<T>& g, const GemmShape& s, GemmTile<T> t, const T* a,
                                       const T* b, int64_t i0, int64_t rows, int64_t j0, int64_t columns,
                                       int64_t depth) {
  const Kernels<T>& kern = kernels<T>();
  for (int64_t j = 0; j < columns; j += s.nr) {
    t.n = std::min<int64_t>(s.nr, columns - j);
    const int nv = t.n <= s.width ? 1 : s.vectors;
    t.b = b + j * depth;
    for (int64_t i = 0; i < rows; i += s.mr) {
      t.a = a + i * depth;
      place(t, g, i0 + i, j0 + j);
      const int64_t m = std::min<int64_t>(s.mr, rows - i);
      kern.gemm_tile(int(m), nv, t);
      if (t.last) activate(g.activation, t.c, g.c_row, m, t.n);
    }
  }
}

template <class T> void packed(const Gemm<T>& g) {
  const GemmShape s = kernels<T>().gemm_shape();
  const int64_t kb = depth_block(g.k, s.kc);
  const int64_t nc = std::min(g.packed.p ? round_up(g.n, s.nr) : s.nc, round_up(g.n, s.nr));
  // Blocks of rows: as few as fit L2, but enough of them to share among threads, all about equal.
  const int64_t tiles = ceil_div(g.m, s.mr);
  int64_t per_block = std::min(tiles, s.mc / s.mr);
  const bool threads = 2 * g.m * g.n * g.k > kSerialFlops && num_threads() > 1;
  if (threads) per_block = std::max<int64_t>(1, std::min(per_block, ceil_div(tiles, 4 * num_threads())));
  const int64_t mc = per_block * s.mr, m_blocks = ceil_div(g.m, mc);
  // Few rows: share the columns, too.
  const int64_t n_panels = nc / s.nr;
  const int64_t n_split = !threads ? 1 : std::min(n_panels, ceil_div(4 * num_threads(), m_blocks));
  const int64_t n_part = ceil_div(n_panels, n_split) * s.nr;

  Workspace<T> b_block(g.packed.p ? 1 : size_t(kb * nc));
  for (int64_t j0 = 0; j0 < g.n; j0 += nc) {
    const int64_t columns = std::min(nc, g.n - j0), panels = ceil_div(columns, s.nr);
    for (int64_t p = 0; p < g.k; p += kb) {
      const int64_t depth = std::min(kb, g.k - p);
      const T* b = g.packed.p ? g.packed.p + p * nc : b_block;
      if (!g.packed.p)
        parallel_for(panels, threads ? std::max<int64_t>(1, 65536 / (s.nr * depth)) : panels,
                     [&](int64_t begin, int64_t end) {
                       for (int64_t q = begin; q < end; ++q)
                         kernels<T>().pack(g.b.p + p * g.b.row + (j0 + q * s.nr) * g.b.col, g.b.col, g.b.row,
                                           int(std::min<int64_t>(s.nr, columns - q * s.nr)), s.nr, depth,
                                           b_block + q * s.nr * depth);
                     });
      GemmTile<T> t = first_tile(g);
      t.packed = true;
      t.k = depth;
      t.accumulate = p > 0;
      t.last = p + depth == g.k;
      const int64_t parts = ceil_div(columns, n_part);
      parallel_for(m_blocks * parts, threads ? 1 : m_blocks * parts, [&](int64_t begin, int64_t end) {
        Workspace<T> a_block(size_t(mc * depth));
        int64_t packed_rows = -1;
        for (int64_t q = begin; q < end; ++q) {
          const int64_t i = q / parts * mc, j = q % parts * n_part;
          const int64_t rows = std::min(mc, g.m - i);
          if (i != packed_rows) pack_a_block(g, s, i, rows, p, depth, static_cast<T*>(a_block));
          packed_rows = i;
          multiply_block(g, s, t, static_cast<const T*>(a_block), b + j * depth, i, rows, j0 + j,
                         std::min(n_part, columns - j), depth);
        }
      });
    }
  }
}

// --- vector
// --------------------------------------------------------------------------------------------------------

// What a tile does on its way out, for results that are not made by tiles.
template <class T> void epilogue(const Gemm<T>& g, int64_t j0, int64_t columns) {
  const T floor = floor_of<T>(g.activation);
  for (int64_t i = 0; i < g.m; ++i) {
    T* c = g.c + i * g.c_row;
    const T* residual = g.residual ? g.residual + i * g.residual_row : nullptr;
    for (int64_t j = j0; j < j0 + columns; ++j) {
      T y = g.alpha * c[j];
      if (residual) y += g.beta * residual[j];
      if (g.bias) y += g.bias[j];
      c[j] = floor > y ? floor : y;
    }
  }
  activate(g.activation, g.c + j0, g.c_row, g.m, columns);
}

int64_t column_grain(int64_t bytes_per_column) {
  return std::max<int64_t>(64, round_up((int64_t(512) << 10) / std::max<int64_t>(1, bytes_per_column), 64));
}

// Few rows, B's columns along the depth (the layout of Linear's weight): dot products of whole rows.
template <class T> void dots(const Gemm<T>& g) {
  Workspace<T> dense(g.a.col == 1 ? 1 : size_t(g.m * g.k));
  const T* a = g.a.p;
  int64_t a_row = g.a.row;
  if (g.a.col != 1) {
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t k = 0; k < g.k; ++k) dense[i * g.k + k] = g.a.p[i * g.a.row + k * g.a.col];
    a = dense, a_row = g.k;
  }
  parallel_for(g.n, column_grain(g.k * int64_t(sizeof(T))), [&](int64_t begin, int64_t end) {
    kernels<T>().gemv_dot(a, a_row, g.m, g.b.p + begin * g.b.col, g.b.col, end - begin, g.k, g.c + begin,
                          g.c_row);
    epilogue(g, begin, end - begin);
  });
}

// One row times a row-major B: sums of B's rows.
template <class T> void row_sums(const Gemm<T>& g) {
  // Whole rows, or long pieces: memory is read in straight lines. A column's sum does not know its piece.
  const bool share = g.k * g.n * int64_t(sizeof(T)) > (int64_t(1) << 20);
  const int64_t pieces = share ? 2 * num_threads() : 1;
  const int64_t grain = std::max<int64_t>(2048 / sizeof(T), round_up(ceil_div(g.n, pieces), 64));
  parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {
    kernels<T>().gemv_axpy(g.b.p + begin, g.b.row, g.a.p, g.a.col, g.k, end - begin, g.c + begin);
    epilogue(g, begin, end - begin);
  });
}

// One column: the transposed problem has one row. Its result is dense; c's step is what it is.
template <class T> void column(const Gemm<T>& g) {
  Workspace<T> y(static_cast<size_t>(g.m));
  Gemm<T> turned = {};
  turned.m = 1, turned.n = g.m, turned.k = g.k;
  turned.a = {g.b.p, 0, g.b.row};
  turned.b = {g.a.p, g.a.col, g.a.row};
  turned.c = y, turned.c_row = g.m;
  turned.alpha = 1;
  gemm(turned);
  for (int64_t i = 0; i < g.m; ++i) g.c[i * g.c_row] = y[i];
  epilogue(g, 0, 1);
}

enum class Path { column, row_sums, dots, in_place, packed };

template <class T> Path choose(const Gemm<T>& g) {
  if (g.packed.p) return Path::packed;
  if (g.k == 0) return Path::in_place;
  if (g.n == 1 && g.m > 1) return Path::column;
  const GemmShape s = kernels<T>().gemm_shape();
  const int64_t b_bytes = g.n * g.k * int64_t(sizeof(T));
  if (g.b.col == 1) {
    if (g.m == 1) return Path::row_sums;
    // Packing is a pass over A and B: it pays once both are met often enough.
    if (g.m <= 2 * s.mr || (g.k <= s.kc && b_bytes <= (int64_t(96) << 10))) return Path::in_place;
  } else if (g.b.row == 1) {
    if (g.m <= 4 || (g.m <= 16 && b_bytes > (int64_t(64) << 10))) return Path::dots;
  }
  return Path::packed;
}

}  // namespace

template <class T> void gemm(const Gemm<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  switch (choose(g)) {
    case Path::column:
      return column(g);
    case Path::row_sums:
      return row_sums(g);
    case Path::dots:
      return dots(g);
    case Path::in_place:
      return in_place(g);
    case Path::packed:
      return packed(g);
  }
}

template <class T> int64_t packed_size(int64_t n, int64_t k) {
  return round_up(n, kernels<T>().gemm_shape().nr) * k;
}

template <class T> void pack_b(const Matrix<T>& b, int64_t n, int64_t k, T* out) {
  const GemmShape s = kernels<T>().gemm_shape();
  const int64_t kb = depth_block(k, s.kc), columns = round_up(n, s.nr);
  for (int64_t p = 0; p < k; p += kb) {
    const int64_t depth = std::min(kb, k - p);
    for (int64_t j = 0; j < n; j += s.nr)
      kernels<T>().pack(b.p + p * b.row + j * b.col, b.col, b.row, int(std::min<int64_t>(s.nr, n - j)), s.nr,
                        depth, out + p * columns + j * depth);
  }
}

template <class T> const char* gemm_path(const Gemm<T>& g) {
  const char* names[] = {"column", "row sums", "dot products", "in place", "packed"};
  return names[int(choose(g))];
}

template void gemm(const Gemm<float>&);
template void gemm(const Gemm<double>&);
template int64_t packed_size<float>(int64_t, int64_t);
template int64_t packed_size<double>(int64_t, int64_t);
template void pack_b(const Matrix<float>&, int64_t, int64_t, float*);
template void pack_b(const Matrix<double>&, int64_t, int64_t, double*);
template const char* gemm_path(const Gemm<float>&);
template const char* gemm_path(const Gemm<double>&);

}  // namespace nn::cpu
