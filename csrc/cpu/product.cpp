// The packed path of the GEMM engine, after Goto: panels of A and B, tiles of mr x nr over them. Operands are
// whatever packs itself into panels: matrices, images seen as matrices of patches, gradients; results lie
// where two walks say. Who packs what, so that threads seldom meet and have equal work:
//
//   by pieces   a part of the result for each thread, which packs the part's rows and columns by itself, B in
//               L2: nobody waits for another, or reads from afar what another has packed.
//   by rows     for many threads, whose pieces would pack too much again and again: B together, in L3 (nc
//               columns, some blocks of kc depths); each thread packs its rows of A in L2.
//   by columns  many more columns than rows: A together, each thread packs its columns of B in L2, and the
//               tiles ask memory for the next ones.
//   deep        few results, long sums otherwise: slices of the depth, added up in order.
//
// The depth is cut by the shapes alone and summed in order, whatever the number of threads: same bits.
#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "../view.h"
#include "gemm.h"

namespace nn::cpu {
namespace {

constexpr int64_t kOwnedBytes = 128 << 10, kSharedBytes = 4 << 20;  // of packed B: in L2, in L3
constexpr int64_t kFewPanels = 16;  // of B: too few to repay packing A, if it can be read where it lies
constexpr int64_t kPackGrain =
    1 << 14;  // numbers: some microseconds, since threads that wait longer fall asleep
constexpr int kMaxTileRows = 16, kMaxTileColumns = 32;

// A tile whose elements don't lie in straight rows is made in a buffer and then handed out, piece by straight
// piece.
template <class T> class Bounce {
 public:
  Bounce(const Product<T>& g, int64_t i, int64_t j, int64_t m, int64_t n)
      : g_(g), i_(i), j_(j), m_(m), n_(n) {}
  void run(int nv, GemmTile<T> t) {
    t.c = tile_, t.c_row = kMaxTileColumns;
    if (t.accumulate) fetch(g_.c, tile_);
    if (t.last && g_.residual) {
      fetch(g_.residual, residual_);
      t.residual = residual_, t.residual_row = kMaxTileColumns;
    }
    kernels<T>().gemm_tile(int(m_), nv, t);
    if (t.last) activate(g_.activation, tile_, kMaxTileColumns, m_, n_);
    pieces(
        [&](int64_t at, T* tile, int64_t rows, int64_t columns) {
          T* c = g_.c + at;
          if (g_.cols.step[0] == 1)
            kernels<T>().copy_rows(tile, kMaxTileColumns, nullptr, c, g_.rows.step[0], rows, columns);
          else
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t j = 0; j < columns; ++j)
                c[r * g_.rows.step[0] + j * g_.cols.step[0]] = tile[r * kMaxTileColumns + j];
        },
        tile_);
  }

 private:
  // f(offset in c, place in the buffer, rows, columns) of the parts of the tile where both walks go straight.
  template <class F> void pieces(F&& f, T* tile) const {
    for (int64_t r = 0, rows; r < m_; r += rows) {
      rows = std::min(g_.rows.run(i_ + r), m_ - r);
      for (int64_t j = 0, columns; j < n_; j += columns) {
        columns = std::min(g_.cols.run(j_ + j), n_ - j);
        f(g_.rows.at(i_ + r) + g_.cols.at(j_ + j), tile + r * kMaxTileColumns + j, rows, columns);
      }
    }
  }
  void fetch(const T* from, T* to) const {
    pieces(
        [&](int64_t at, T* tile, int64_t rows, int64_t columns) {
          const T* c = from + at;
          if (g_.cols.step[0] == 1)
            kernels<T>().copy_rows(c, g_.rows.step[0], nullptr, tile, kMaxTileColumns, rows, columns);
          else
            for (int64_t r = 0; r < rows; ++r)
              for (int64_t j = 0; j < columns; ++j)
                tile[r * kMaxTileColumns + j] = c[r * g_.rows.step[0] + j * g_.cols.step[0]];
        },
        to);
  }
  const Product<T>& g_;
  int64_t i_, j_, m_, n_;
  alignas(64) T tile_[kMaxTileRows * kMaxTileColumns];
  alignas(64) T residual_[kMaxTileRows * kMaxTileColumns];
};

template <class T>
void one_tile(const Product<T>& g, GemmTile<T>& t, int64_t i, int64_t j, int64_t m, int nv) {
  t.bias = g.bias ? g.bias + j : nullptr;
  t.row_bias = g.row_bias ? g.row_bias + i : nullptr;
  if (g.c2 && j >= g.split) {
    t.c = g.c2 + i * g.c2_row + (j - g.split), t.c_row = g.c2_row;
    return kernels<T>().gemm_tile(int(m), nv, t);
  }
  if (g.cols.step[0] != 1 || g.cols.run(j) < t.n || g.rows.run(i) < m) {
    Bounce<T>(g, i, j, m, t.n).run(nv, t);
    return;
  }
  const int64_t at = g.rows.at(i) + g.cols.at(j);
  t.c = g.c + at;
  t.residual = g.residual ? g.residual + at : nullptr;
  kernels<T>().gemm_tile(int(m), nv, t);
  if (t.last) activate(g.activation, t.c, t.c_row, m, t.n);
}

// The first tiles of a panel ask for the next one. With `next` >= 0 memory is asked instead for the columns
// from there on at depth next_p, that are packed next. With `keep` (b itself) that was done for these
// columns, and they are not yet packed from depth p on: straight panels are, by the first of their tiles.
// a_row: from row to row of A where it is read in place (1: along the lanes); 0: A is packed.
template <class T> void multiply_block(const Product<T>& g, const GemmShape& s, GemmTile<T> t, const T* a,
                                       const T* b, int64_t i0, int64_t rows, int64_t j0, int64_t columns,
                                       int64_t a_row = 0, int64_t next = -1, int64_t next_p = 0,
                                       T* keep = nullptr, int64_t p = 0) {
  const int64_t line = 64 / sizeof(T);
  for (int64_t j = 0; j < columns; j += s.nr) {
    t.n = std::min<int64_t>(s.nr, columns - j);
    if (j0 + j < g.own) t.n = std::min(t.n, g.own - (j0 + j));
    const int nv = t.n <= s.width ? 1 : s.vectors;
    t.packed = a_row == 0 || a_row == 1, t.panel = !t.packed && nv == s.vectors;
    Matrix<T> lies;
    const bool on_the_way =
        keep && t.n == s.nr && g.b->straight(j0 + j, s.nr, p, t.k, &lies) && lies.row == 1;
    if (keep && !on_the_way)
      g.b->pack(j0 + j, int(std::min<int64_t>(s.nr, columns - j)), s.nr, p, t.k, keep + j * t.k);
    for (int64_t i = 0, l = 0; i < rows; i += s.mr, l += line) {
      t.a = a + i * (a_row ? a_row : t.k), t.a_row = a_row;
      t.b = b + j * t.k, t.b_k = s.nr, t.keep = nullptr;
      if (on_the_way && i == 0) t.keep = keep + j * t.k, t.b = lies.p, t.b_k = lies.col;
      Matrix<T> coming;
      t.ahead = nullptr;
      if (t.packed && l < s.nr && next < 0 && !keep && j + s.nr < columns)
        t.ahead = b + (j + s.nr) * t.k + l, t.ahead_step = s.nr;
      if (l < s.nr && next >= 0 && g.b->straight(next + j, s.nr, next_p, t.k, &coming) && coming.row == 1)
        t.ahead = coming.p + l, t.ahead_step = coming.col;
      one_tile(g, t, i0 + i, j0 + j, std::min<int64_t>(s.mr, rows - i), nv);
    }
  }
}

template <class T> bool along_lanes(const Panels<T>& x, int64_t depth) {
  Matrix<T> lies;
  return x.straight(0, 1, depth - 1, 1, &lies) && lies.row == 1 && lies.col != 1;
}

// Whether tiles can read these rows where they lie: along the depth, and not all from the same lines of L1.
template <class T>
bool reads_in_place(const Panels<T>& a, int64_t i, int64_t rows, int64_t p, int64_t depth, Matrix<T>* found) {
  Matrix<T> lies;
  if (!a.straight(i, rows, p, depth, &lies) || lies.col != 1 || lies.row * int64_t(sizeof(T)) % 4096 == 0)
    return false;
  *found = lies;
  return true;
}

// The same where they lie along the lanes, few pages in all.
template <class T>
bool reads_turned(const Panels<T>& a, int64_t i, int64_t rows, int64_t p, int64_t depth, Matrix<T>* found) {
  Matrix<T> lies;
  if (!a.straight(i, rows, p, depth, &lies) || lies.row != 1 || lies.col * int64_t(sizeof(T)) > 1024)
    return false;
  *found = lies;
  return true;
}

template <class T> void pack_panels(const Panels<T>& x, int64_t lane, int64_t lanes, int width, int64_t depth,
                                    int64_t count, T* out) {
  const int64_t piece = std::min(x.together(), count);
  for (int64_t d = 0; d < count; d += piece)
    for (int64_t l = 0; l < lanes; l += width)
      x.pack(lane + l, int(std::min<int64_t>(width, lanes - l)), width, depth + d, std::min(piece, count - d),
             out + l * count + d * width);
}

// Rows of A for tiles: where they lie if B has so few columns that packing does not pay, or packed.
template <class T> Matrix<T> rows_of(const Product<T>& g, const GemmShape& s, int64_t i, int64_t rows,
                                     int64_t p, int64_t depth, int64_t columns, T* packed) {
  Matrix<T> a;
  if (columns <= kFewPanels * s.nr &&
      (reads_in_place(*g.a, i, rows, p, depth, &a) || reads_turned(*g.a, i, rows, p, depth, &a)))
    return a;
  pack_panels(*g.a, i, rows, s.mr, p, depth, packed);
  return {packed, 0, s.mr};
}

// Whether the first tile of a panel can read B in place and pack it on the way: rows of some powers of two
// all fall on the same lines of the caches.
template <class T> bool packs_on_the_way(const Product<T>& g) {
  Matrix<T> first;
  return !g.packed_b && g.k > 0 && g.b->straight(0, 1, g.k - 1, 1, &first) && first.row == 1 &&
         first.col * int64_t(sizeof(T)) % 2048 != 0;
}

// Into how many pieces work is cut: some for each thread, so that none waits long for another, but not
// smaller than what packing their operands again and again is worth.
template <class T> int64_t pieces_of(const Product<T>& g, bool threads) {
  return threads ? num_threads() * std::clamp<int64_t>(2 * g.m * g.n * g.k / kSerialFlops<T>, 1, 6) : 1;
}

// Of the depths from p on.
template <class T> GemmTile<T> tile_at(const Product<T>& g, int64_t p, int64_t depth) {
  GemmTile<T> t = {};
  t.k = depth, t.a_k = kernels<T>().gemm_shape().mr;
  t.accumulate = p > 0 || g.accumulate;
  t.last = p + depth == g.k;
  t.c_row = t.residual_row = g.rows.step[0];
  t.alpha = g.alpha, t.beta = g.beta, t.floor = floor_of<T>(g.activation);
  return t;
}

// A packed as a whole, and every thread packs the columns that it multiplies: B then waits in L2, and there
// is one meeting of the threads between the two. For B of more lanes than A.
template <class T> void by_columns(const Product<T>& g, const GemmShape& s, bool threads) {
  const int64_t kb = depth_block(g.k, s.kc), rows = round_up(g.m, s.mr), panels = ceil_div(g.n, s.nr);
  Workspace<T> a(size_t(std::max<int64_t>(1, rows * g.k)));
  const int64_t tiles = rows / s.mr,
                some = std::max<int64_t>(1, kPackGrain / (s.mr * std::max<int64_t>(g.k, 1)));
  parallel_for(tiles, threads ? some : tiles, [&](int64_t begin, int64_t end) {
    const int64_t i = begin * s.mr, count = std::min(end * s.mr, g.m) - i;
    for (int64_t p = 0; p < g.k; p += kb) {
      const int64_t depth = std::min(kb, g.k - p);
      pack_panels<T>(*g.a, i, count, s.mr, p, depth, a + p * rows + i * depth);
    }
  });
  const int64_t fitting = std::max<int64_t>(1, kOwnedBytes / (kb * s.nr * int64_t(sizeof(T))));
  const int64_t part = ceil_div(panels, pieces_of(g, threads));
  const int64_t wide = s.nr * ceil_div(part, ceil_div(part, fitting));
  const bool on_the_way = packs_on_the_way(g);
  parallel_for(panels, part, [&](int64_t begin, int64_t end) {
    Workspace<T> b(size_t(wide * kb));
    for (int64_t j = begin * s.nr, last = std::min(g.n, end * s.nr); j < last; j += wide) {
      const int64_t columns = std::min(wide, last - j);
      int64_t p = 0;
      do {  // once even for depth 0: the result is then the epilogue of zeros
        const int64_t depth = std::min(kb, g.k - p), next = p + depth < g.k ? j : j + wide;
        const bool fresh = on_the_way && (j > begin * s.nr || p > 0);
        if (!fresh) pack_panels<T>(*g.b, j, columns, s.nr, p, depth, b);
        const GemmTile<T> t = tile_at(g, p, depth);
        multiply_block<T>(g, s, t, a + p * rows, b, 0, g.m, j, columns, 0, next < last ? next : -1,
                          p + depth < g.k ? p + depth : 0, fresh ? static_cast<T*>(b) : nullptr, p);
        p += depth;
      } while (p < g.k);
    }
  });
}

// --- deep: few results, each a long sum, as the gradient of a convolution's weights

template <class T> bool few_results(const Product<T>& g) {
  return g.m * g.n * int64_t(sizeof(T)) <= kOwnedBytes * 2 && !g.packed_b;
}

// The depth in slices whose sums are added up in order at the end: slices depend on the shapes alone. The
// side of fewer lanes is packed, the other one is read where it lies.
template <class T> class Deep {
 public:
  static bool serves(const Product<T>& g) {
    return g.k >= kDeep && few_results(g) && g.alpha == 1 && !g.bias && !g.row_bias && !g.residual &&
           g.activation == Activation::none && !g.c2 && !g.accumulate && g.rows.levels == 1 &&
           g.cols.levels == 1 && g.cols.step[0] == 1;
  }
  Deep(const Product<T>& g, const GemmShape& s)
      : g_(g),
        s_(s),
        turned_(g.n > g.m),
        m_(turned_ ? g.n : g.m),
        n_(turned_ ? g.m : g.n),
        a_(turned_ ? *g.b : *g.a),
        b_(turned_ ? *g.a : *g.b),
        row_(round_up(n_, s.nr)),
        slices_(g.k >= 8192 ? 16 : 8),
        kb_(depth_block(ceil_div(g.k, slices_), s.kc)),
        sums_(size_t(slices_ * m_ * row_)) {}

  void run(bool threads) {
    parallel_for(slices_, threads ? 1 : slices_, [&](int64_t begin, int64_t end) {
      Workspace<T> b(size_t(row_ * kb_)), a(size_t(round_up(m_, s_.mr) * kb_));
      for (int64_t q = begin; q < end; ++q) {
        const int64_t first = g_.k * q / slices_, last = g_.k * (q + 1) / slices_;
        for (int64_t p = first, depth; p < last; p += depth) {
          depth = std::min(kb_, last - p);
          pack_panels<T>(b_, 0, n_, s_.nr, p, depth, b);
          block(sums_ + q * m_ * row_, p, depth, p > first, b, a);
        }
      }
    });
    parallel_for(m_, threads ? 32 : m_, [&](int64_t begin, int64_t end) {
      for (int64_t q = 1; q < slices_; ++q)
        kernels<T>().add_to(sums_ + (q * m_ + begin) * row_, sums_ + begin * row_, (end - begin) * row_);
      const T* from = sums_ + begin * row_;
      const int64_t to = g_.rows.step[0];
      if (turned_)
        kernels<T>().transpose_copy(from, row_, g_.c + begin, to, end - begin, n_);
      else
        kernels<T>().copy_rows(from, row_, nullptr, g_.c + begin * to, to, end - begin, n_);
    });
  }

 private:
  void block(T* c, int64_t p, int64_t depth, bool accumulate, const T* b, T* packed) const {
    GemmTile<T> t = {};
    t.k = depth, t.accumulate = accumulate, t.c_row = row_;
    for (int64_t i = 0; i < m_; i += s_.mr) {
      const int64_t rows = std::min<int64_t>(s_.mr, m_ - i);
      Matrix<T> a = {};
      // The tile makes whole panels of columns: not worth it for one that is hardly filled.
      t.panel = row_ - n_ < s_.width && reads_in_place(a_, i, rows, p, depth, &a), t.packed = !t.panel;
      if (t.packed) a_.pack(i, int(rows), s_.mr, p, depth, packed);
      t.a = t.panel ? a.p : packed, t.a_row = a.row, t.a_k = t.panel ? 1 : s_.mr;
      for (int64_t j = 0; j < n_; j += s_.nr) {
        if (t.panel) ask(i + s_.mr, p, depth, j);
        t.b = b + j * depth, t.c = c + i * row_ + j;
        t.n = t.panel ? s_.nr : std::min<int64_t>(s_.nr, n_ - j);
        kernels<T>().gemm_tile(int(rows), t.n <= s_.width ? 1 : s_.vectors, t);
      }
    }
  }
  // Memory for the rows from i on, spread over the panels of columns.
  void ask(int64_t i, int64_t p, int64_t depth, int64_t j) const {
    if (i >= m_) i = 0, p += depth;
    const int64_t rows = std::min<int64_t>(s_.mr, m_ - i);
    Matrix<T> a;
    if (p + depth > g_.k || !a_.straight(i, rows, p, depth, &a)) return;
    for (int64_t r = rows * j / row_; r < rows * (j + s_.nr) / row_; ++r)
      for (int64_t d = 0; d < depth; d += 64 / int64_t(sizeof(T))) __builtin_prefetch(a.p + r * a.row + d);
  }

  const Product<T>& g_;
  const GemmShape& s_;
  bool turned_;
  int64_t m_, n_;
  const Panels<T>&a_, &b_;
  int64_t row_, slices_, kb_;
  Workspace<T> sums_;
};

// A grid of about square pieces of the result.
struct Grid {
  int64_t down = 1, across = 1;
};
Grid grid_of(int64_t m, int64_t n, int64_t tiles, int64_t panels, int64_t pieces) {
  Grid grid;
  while (grid.down * grid.across < std::min(pieces, tiles * panels))
    if (grid.across == panels || (grid.down < tiles && m * grid.across > n * grid.down))
      ++grid.down;
    else
      ++grid.across;
  return grid;
}

// The blocks of a piece in the order of one thread: B's columns packed in L2, or as far as they were before;
// then row by row of A's blocks.
template <class T> void by_pieces(const Product<T>& g, const GemmShape& s, const Grid& grid) {
  const int64_t kb = depth_block(g.k, s.kc), tiles = ceil_div(g.m, s.mr), panels = ceil_div(g.n, s.nr);
  const int64_t high = ceil_div(tiles, grid.down), mc = s.mr * ceil_div(high, ceil_div(high, s.mc / s.mr));
  const int64_t nc = std::min<int64_t>(s.nc, s.nr * ceil_div(panels, grid.across));
  const bool on_the_way = packs_on_the_way(g);
  parallel_for(grid.down * grid.across, 1, [&](int64_t begin, int64_t end) {
    Workspace<T> a_block(size_t(mc * kb)), b_block(g.packed_b ? 1 : size_t(nc * kb));
    for (int64_t q = begin; q < end; ++q) {
      const int64_t r = q / grid.across, c = q % grid.across;
      const int64_t top = tiles * r / grid.down * s.mr,
                    bottom = std::min(g.m, tiles * (r + 1) / grid.down * s.mr);
      const int64_t left = panels * c / grid.across * s.nr,
                    right = std::min(g.n, panels * (c + 1) / grid.across * s.nr);
      for (int64_t j = left; j < right; j += nc) {
        const int64_t columns = std::min(nc, right - j);
        int64_t p = 0;
        do {  // once even for depth 0: the result is then the epilogue of zeros
          const int64_t depth = std::min(kb, g.k - p);
          const T* b = g.packed_b ? g.packed_b + p * panels * s.nr + j * depth : b_block;
          if (!g.packed_b && !on_the_way) pack_panels<T>(*g.b, j, columns, s.nr, p, depth, b_block);
          for (int64_t i = top; i < bottom; i += mc) {
            const int64_t rows = std::min(mc, bottom - i);
            const Matrix<T> a = rows_of<T>(g, s, i, rows, p, depth, columns, a_block);
            GemmTile<T> t = tile_at(g, p, depth);
            t.a_k = a.col;
            T* const keep = on_the_way && i == top ? static_cast<T*>(b_block) : nullptr;
            multiply_block<T>(g, s, t, a.p, b, i, rows, j, columns, a.row, -1, 0, keep, p);
          }
          p += depth;
        } while (p < g.k);
      }
    }
  });
}

// B packed as a whole (as far as it should be: in L3), and every thread packs the rows of A that it
// multiplies, unless B has few columns: A then waits in L2.
template <class T> void by_rows(const Product<T>& g, const GemmShape& s) {
  const int64_t kb = depth_block(g.k, s.kc);
  const int64_t nc = std::min(g.packed_b ? round_up(g.n, s.nr) : s.nc, round_up(g.n, s.nr));
  // Threads meet after kd depths: seldom.
  const int64_t blocks = std::max<int64_t>(1, kSharedBytes / (kb * nc * int64_t(sizeof(T))));
  const int64_t kd = g.packed_b ? std::max<int64_t>(g.k, 1) : kb * blocks;
  // Blocks of rows that fit L2; more if there are enough for all threads; if not they share the columns, and
  // then pack the same rows.
  const int64_t tiles = ceil_div(g.m, s.mr), n_panels = nc / s.nr, pieces = pieces_of(g, true);
  const int64_t fitting = ceil_div(tiles, s.mc / s.mr);
  const int64_t n_split = tiles >= pieces ? 1 : std::min(n_panels, ceil_div(pieces, fitting));
  const int64_t m_blocks = std::min(tiles, std::max(fitting, ceil_div(pieces, n_split)));
  const int64_t mc = ceil_div(tiles, m_blocks) * s.mr;
  const int64_t n_part = ceil_div(n_panels, n_split) * s.nr;

  Workspace<T> b_block(g.packed_b ? 1 : size_t(std::min(kd, std::max<int64_t>(g.k, 1)) * nc));
  for (int64_t j0 = 0; j0 < g.n; j0 += nc) {
    const int64_t columns = std::min(nc, g.n - j0), panels = ceil_div(columns, s.nr);
    int64_t d = 0;
    do {  // once even for depth 0: the result is then the epilogue of zeros
      const int64_t deep = std::min(kd, g.k - d);
      const T* b = g.packed_b ? g.packed_b : b_block;
      if (!g.packed_b)
        parallel_for(panels, std::max<int64_t>(1, kPackGrain / (s.nr * std::max<int64_t>(deep, 1))),
                     [&](int64_t begin, int64_t end) {
                       const int64_t j = begin * s.nr, count = std::min(end * s.nr, columns) - j;
                       for (int64_t p = 0; p < deep; p += kb) {
                         const int64_t depth = std::min(kb, deep - p);
                         pack_panels(*g.b, j0 + j, count, s.nr, d + p, depth, b_block + p * nc + j * depth);
                       }
                     });
      const int64_t parts = ceil_div(columns, n_part);
      parallel_for(m_blocks * parts, 1, [&](int64_t begin, int64_t end) {
        Workspace<T> a_block(size_t(mc * kb));
        for (int64_t q = begin; q < end; ++q) {
          const int64_t i = q / parts * tiles / m_blocks * s.mr, j = q % parts * n_part,
                        rows = std::min((q / parts + 1) * tiles / m_blocks * s.mr, g.m) - i;
          int64_t p = 0;
          do {
            const int64_t depth = std::min(kb, deep - p);
            const Matrix<T> a = rows_of<T>(g, s, i, rows, d + p, depth, columns, a_block);
            GemmTile<T> t = tile_at(g, d + p, depth);
            t.a_k = a.col;
            multiply_block<T>(g, s, t, a.p, b + p * nc + j * depth, i, rows, j0 + j,
                              std::min(n_part, columns - j), a.row);
            p += depth;
          } while (p < deep);
        }
      });
      d += deep;
    } while (d < g.k);
  }
}

}  // namespace

int64_t depth_block(int64_t k, int64_t kc) {
  return k <= kc ? std::max<int64_t>(k, 1) : ceil_div(k, ceil_div(k, kc));
}

template <class T> void multiply(const Product<T>& g) {
  if (g.m == 0 || g.n == 0) return;
  const GemmShape s = kernels<T>().gemm_shape();
  const bool threads = 2 * g.m * g.n * g.k > kSerialFlops<T> && num_threads() > 1;
  // Few results of rows that lie along the lanes, as the gradient of a Linear's weights
  const bool outer = g.k >= 2 * s.kc && few_results(g) && along_lanes(*g.a, g.k) && along_lanes(*g.b, g.k);
  if (!outer && Deep<T>::serves(g)) return Deep<T>(g, s).run(threads);
  if (!outer && !g.packed_b && g.n >= 2 * g.m && g.m * g.k * int64_t(sizeof(T)) <= kSharedBytes)
    return by_columns(g, s, threads);
  const Grid grid = grid_of(g.m, g.n, ceil_div(g.m, s.mr), ceil_div(g.n, s.nr), threads ? num_threads() : 1);
  // Pieces have what they pack again and again against the work, and many threads end at different times.
  const bool shared =
      grid.down * grid.across > 4 || (grid.across - 1) * g.m + (grid.down - 1) * g.n > g.m * g.n / 128;
  if (shared && !outer)
    by_rows(g, s);
  else
    by_pieces(g, s, grid);
}

template <class T>
void WalkPanels<T>::pack(int64_t l0, int lanes, int width, int64_t d0, int64_t count, T* out) const {
  // Piece by piece, as far as both walks go straight; the last piece of lanes fills up with zeros.
  for (int64_t d = d0, end = d0 + count; d < end;) {
    const int64_t deep = std::min(depth.run(d), end - d);
    int l = 0;
    do {
      const int piece = int(std::min<int64_t>(lane.run(l0 + l), lanes - l));
      const int wide = l + piece == lanes ? width - l : piece;
      kernels<T>().pack(p + lane.at(l0 + l) + depth.at(d), lane.step[0], depth.step[0], piece, wide, deep,
                        out + l, width);
      l += piece;
    } while (l < lanes);
    d += deep;
    out += deep * width;
  }
}

template <class T> int64_t packed_size(int64_t n, int64_t k) {
  return round_up(n, kernels<T>().gemm_shape().nr) * k;
}

template <class T> void pack_b(const Matrix<T>& b, int64_t n, int64_t k, T* out) {
  const GemmShape s = kernels<T>().gemm_shape();
  const WalkPanels<T> panels(b.p, Walk(b.col), Walk(b.row));
  const int64_t kb = depth_block(k, s.kc), columns = round_up(n, s.nr);
  const int64_t grain = std::max<int64_t>(1, kPackGrain / (s.nr * std::max<int64_t>(k, 1)));
  parallel_for(columns / s.nr, grain, [&](int64_t begin, int64_t end) {
    const int64_t j = begin * s.nr, count = std::min(end * s.nr, n) - j;
    for (int64_t p = 0; p < k; p += kb) {
      const int64_t depth = std::min(kb, k - p);
      pack_panels(panels, j, count, s.nr, p, depth, out + p * columns + j * depth);
    }
  });
}

template <class T> T floor_of(Activation a) {
  return a == Activation::relu ? T(0) : -std::numeric_limits<T>::infinity();
}

template <class T> void activate(Activation a, T* c, int64_t c_row, int64_t m, int64_t n) {
  if (a == Activation::none || a == Activation::relu) return;
  constexpr Unary ops[] = {Unary::sigmoid, Unary::tanh, Unary::gelu, Unary::gelu_tanh, Unary::silu};
  const int op = int(ops[int(a) - int(Activation::sigmoid)]);
  for (int64_t i = 0; i < m; ++i) kernels<T>().unary(op, c + i * c_row, c + i * c_row, n, false);
}

#define NN_INSTANTIATE(T)                                       \
  template void multiply(const Product<T>&);                    \
  template struct WalkPanels<T>;                                \
  template int64_t packed_size<T>(int64_t, int64_t);            \
  template void pack_b(const Matrix<T>&, int64_t, int64_t, T*); \
  template T floor_of<T>(Activation);                           \
  template void activate(Activation, T*, int64_t, int64_t, int64_t);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
