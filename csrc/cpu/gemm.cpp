// Paths, by shape:
//
//   vector    one row or column, or few rows against columns that lie along the depth: bound by reading B.
//   in place  B is row-major and the work is too small, or the rows too few, to repay packing: tiles read A
//             and B where they lie, with masked edges.
//   few rows  B is row-major and comes from L3 or memory: it is read in straight lines, the sums stay in L1.
//   panels    A stays in L2, its rows or columns straight: it is read where it lies, B packed panel by panel.
//   packed    everything else: product.cpp.
#include "gemm.h"

#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "../processor.h"
#include "../view.h"

namespace nn::cpu {
namespace {

constexpr int64_t kSumsBytes = 32 << 10;  // of few rows: in L1
constexpr int64_t kSlices = 8;            // of the depth of one row

template <class T> GemmTile<T> first_tile(const Gemm<T>& g) {
  GemmTile<T> t = {};
  t.k = g.k;
  t.a_row = g.a.row, t.a_k = g.a.col;
  t.b_k = g.b.row;
  t.c_row = g.c_row;
  t.last = true;
  t.alpha = g.alpha, t.beta = g.beta, t.floor = floor_of<T>(g.activation);
  t.residual_row = g.c_row;
  return t;
}

template <class T> void place(GemmTile<T>& t, const Gemm<T>& g, int64_t i, int64_t j) {
  t.c = g.c + i * g.c_row + j;
  t.bias = g.bias ? g.bias + j : nullptr;
  t.residual = g.residual ? g.residual + i * g.c_row + j : nullptr;
}

// Of `units` that share the work, for one chunk: small ones, which come out even, from 8 to 17 us of work on.
template <class T> int64_t work_grain(const Gemm<T>& g, int64_t units) {
  const int64_t flops = 2 * g.m * g.n * g.k;
  return flops < kSerialFlops<T> / 8 * 3 ? units : ceil_div(units, 8 * flops / kSerialFlops<T>);
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
  parallel_for(panels, work_grain(g, panels), [&](int64_t begin, int64_t end) {
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

// --- panels
// --------------------------------------------------------------------------------------------------------

// A panel of B stays in L1 while all rows meet it. Where panels are few, threads share the rows, too.
template <class T> void panels(const Gemm<T>& g) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape s = kern.gemm_shape();
  const int64_t kb = depth_block(g.k, s.kc), columns = ceil_div(g.n, s.nr), tiles = ceil_div(g.m, s.mr);
  const int64_t parts = std::clamp<int64_t>(16 / columns, 1, std::max<int64_t>(1, tiles / 8));
  parallel_for(columns * parts, work_grain(g, columns * parts), [&](int64_t begin, int64_t end) {
    Workspace<T> b(size_t(kb * s.nr));
    GemmTile<T> t = first_tile(g);
    t.b = b, t.b_k = s.nr;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t j = u / parts * s.nr, i0 = tiles * (u % parts) / parts * s.mr,
                    i1 = std::min(g.m, tiles * (u % parts + 1) / parts * s.mr);
      t.n = std::min<int64_t>(s.nr, g.n - j);
      const int v = t.n <= s.width ? 1 : s.vectors;
      const int64_t m = ceil_div(i1 - i0, ceil_div(i1 - i0, s.mr));  // equal tiles, as above
      t.packed = g.a.row == 1, t.panel = !t.packed && v == s.vectors;
      for (int64_t d = 0; d < g.k; d += t.k) {
        t.k = std::min(kb, g.k - d);
        t.accumulate = d > 0, t.last = d + t.k == g.k;
        const T* lies = g.b.p + j * g.b.col + d * g.b.row;
        const bool on_the_way = g.b.col == 1 && t.n == s.nr;  // the first tile packs
        if (!on_the_way) kern.pack(lies, g.b.col, g.b.row, int(t.n), s.nr, t.k, b, s.nr);
        for (int64_t i = i0; i < i1; i += m) {
          t.keep = on_the_way && i == i0 ? static_cast<T*>(b) : nullptr;
          t.b = t.keep ? lies : b, t.b_k = t.keep ? g.b.row : s.nr;
          t.a = g.a.p + i * g.a.row + d * g.a.col;
          place(t, g, i, j);
          const int64_t rows = std::min(m, i1 - i);
          kern.gemm_tile(int(rows), v, t);
          if (t.last) activate(g.activation, t.c, g.c_row, rows, t.n);
        }
      }
    }
  });
}

// --- packed
// --------------------------------------------------------------------------------------------------------

template <class T> void packed(const Gemm<T>& g) {
  const WalkPanels<T> a(g.a.p, Walk(g.a.row), Walk(g.a.col)), b(g.b.p, Walk(g.b.col), Walk(g.b.row));
  Product<T> p = {};
  p.m = g.m, p.n = g.n, p.k = g.k;
  p.a = &a, p.b = &b;
  p.c = g.c, p.rows = Walk(g.c_row), p.cols = Walk(1);
  p.alpha = g.alpha, p.beta = g.beta, p.bias = g.bias, p.residual = g.residual;
  p.activation = g.activation, p.packed_b = g.packed_b;
  multiply(p);
}

// --- vector
// --------------------------------------------------------------------------------------------------------

// What a tile does on its way out, for results that are not made by tiles.
template <class T> void epilogue(const Gemm<T>& g, int64_t j0, int64_t columns) {
  const T floor = floor_of<T>(g.activation);
  for (int64_t i = 0; i < g.m; ++i) {
    T* c = g.c + i * g.c_row;
    const T* residual = g.residual ? g.residual + i * g.c_row : nullptr;
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

template <class T> void few_rows(const Gemm<T>& g) {
  const int64_t nr = kernels<T>().gemm_shape().nr, panels = ceil_div(g.n, nr);
  const int64_t fitting = std::max<int64_t>(1, kSumsBytes / (g.m * nr * int64_t(sizeof(T))));
  const int64_t chunks = std::min(panels, round_up(ceil_div(panels, fitting), num_threads()));
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    Workspace<T> sums(size_t(g.m * ceil_div(panels, chunks) * nr));
    for (int64_t q = begin; q < end; ++q) {
      const int64_t j = panels * q / chunks * nr, columns = std::min(g.n, panels * (q + 1) / chunks * nr) - j;
      kernels<T>().few_rows(g.m, g.a.p, g.a.row, g.a.col, g.b.p + j, g.b.row, g.k, columns, sums, g.c + j,
                            g.c_row);
      epilogue(g, j, columns);
    }
  });
}

// One row times a row-major B: sums of B's rows. A large B is cut into slices of rows, or, if it has few, of
// columns; a column's sum does not know its piece.
template <class T> void row_sums(const Gemm<T>& g) {
  const bool large = g.k * g.n * int64_t(sizeof(T)) > (int64_t(1) << 20);
  const auto add = [&](int64_t k0, int64_t k1, int64_t j, int64_t columns, T* y) {
    kernels<T>().gemv_axpy(g.b.p + k0 * g.b.row + j, g.b.row, g.a.p + k0 * g.a.col, g.a.col, k1 - k0, columns,
                           y);
  };
  if (large && g.k >= kSlices * 64) {
    Workspace<T> sums(size_t(kSlices * g.n));
    parallel_for(kSlices, 1, [&](int64_t begin, int64_t end) {
      for (int64_t q = begin; q < end; ++q)
        add(g.k * q / kSlices, g.k * (q + 1) / kSlices, 0, g.n, sums + q * g.n);
    });
    for (int64_t q = 1; q < kSlices; ++q) kernels<T>().add_to(sums + q * g.n, sums, g.n);
    std::copy_n(static_cast<T*>(sums), g.n, g.c);
    return epilogue(g, 0, g.n);
  }
  const int64_t pieces = large ? num_threads() : 1;
  const int64_t grain = std::max<int64_t>(2048 / sizeof(T), round_up(ceil_div(g.n, pieces), 64));
  parallel_for(g.n, grain, [&](int64_t begin, int64_t end) {
    add(0, g.k, begin, end - begin, g.c + begin);
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

enum class Path { column, row_sums, dots, few_rows, in_place, panels, packed };

template <class T> Path choose(const Gemm<T>& g) {
  if (g.packed_b) return Path::packed;
  if (g.k == 0) return Path::in_place;
  if (g.n == 1 && g.m > 1) return Path::column;
  static const int64_t l2 = l2_bytes();
  const int64_t a_bytes = g.m * g.k * int64_t(sizeof(T)), b_bytes = g.n * g.k * int64_t(sizeof(T));
  if (g.b.col == 1) {
    if (g.m == 1) return Path::row_sums;
    // Packing is a pass over B: it pays once B is met often enough, or too large for L1.
    const GemmShape shape = kernels<T>().gemm_shape();
    const bool small = g.k <= shape.kc && b_bytes <= (128 << 10) && a_bytes <= (256 << 10);
    const bool one_tile = g.m <= shape.mr, few = g.m <= 2 * shape.mr, deep = g.k >= kDeep;
    if (b_bytes > l2 / 2 && (one_tile || (few && deep))) return Path::few_rows;
    if (small || (g.m <= 16 && b_bytes <= l2 / 2)) return Path::in_place;
  } else if (g.b.row == 1) {
    if (g.m <= 4 || (g.m <= 16 && b_bytes > (int64_t(64) << 10))) return Path::dots;
  }
  // Several threads share B and C, which leaves A more room. Long sums must not change with the threads.
  const int64_t most = l2 * (num_threads() > 1 && g.k < kDeep ? 11 : 7) / 16;
  const bool stays = g.a.col == 1 ? a_bytes <= most : g.a.row == 1 && a_bytes <= most / 2;
  return stays ? Path::panels : Path::packed;
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
    case Path::few_rows:
      return few_rows(g);
    case Path::in_place:
      return in_place(g);
    case Path::panels:
      return panels(g);
    case Path::packed:
      return packed(g);
  }
}

template void gemm(const Gemm<float>&);
template void gemm(const Gemm<double>&);

}  // namespace nn::cpu
