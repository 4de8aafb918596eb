// How norms see their arrays: (N, C, L) planes in one of two layouts, cut into sets that share statistics and
// into tiles that stay in cache.
//
//   channels first: a tile is some planes, or a piece of one; a row is a run of a plane
//   channels last:  a tile is some positions; a row is the channels of one
//
// A set is a channel of the batch, or a group of one sample (channels first); else the whole batch, or a
// sample. What is folded per tile is merged in the order of the tiles: the bits don't depend on the number of
// threads.
#pragma once
#include <algorithm>

#include "../memory.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {

// All axes after the second as one; false if their strides don't allow it.
inline bool merged_step(const View& v, int64_t& step) {
  int64_t next = 0;
  step = 1;
  for (int i = v.ndim - 1; i >= 2; --i) {
    if (v.shape[i] == 1) continue;
    if (next && v.step(i) != next) return false;
    if (!next) step = v.step(i);
    next = v.step(i) * v.shape[i];
    if (next == 0) return false;
  }
  return true;
}

inline int64_t plane_size(const View& v) {
  int64_t l = 1;
  for (int i = 2; i < v.ndim; ++i) l *= v.shape[i];
  return l;
}

inline bool lies(const View& v, bool columns) {
  int64_t step;
  if (!merged_step(v, step)) return false;
  return columns ? v.shape[1] == 1 || v.step(1) == 1 : plane_size(v) == 1 || step == 1;
}

// The layout to work in: the one that x has; channels first if it has neither.
inline bool by_columns(const View& x) { return plane_size(x) == 1 || (!lies(x, false) && lies(x, true)); }

inline void lay_columns(Array& y) {
  int64_t bytes = itemsize(y.dtype);
  y.strides[1] = bytes;
  bytes *= y.shape[1];
  for (int i = y.ndim - 1; i >= 2; --i) y.strides[i] = bytes, bytes *= y.shape[i];
  y.strides[0] = bytes;
}

// A fresh array of x's shape in the given layout.
inline Array output_like(const char* op, const View& x, bool columns) {
  Array y = output(op, x.dtype, x.ndim, x.shape);
  if (columns) lay_columns(y);
  return y;
}

// An array in the layout wanted: its own memory, or a copy's. Steps in elements; `given` false: no array at
// all.
template <class T> class Laid {
 public:
  T* p = nullptr;
  int64_t n = 0, c = 0, l = 0;

  Laid(const View& v, bool columns, bool given = true) {
    if (!given) return;
    if (lies(v, columns)) {
      set(v);
    } else {
      copy_ = output_like("norm", v, columns);
      copy(v, copy_.view());
      set(copy_.view());
    }
  }
  Laid(const Laid&) = delete;

  // N and L as one axis?
  bool merges(int64_t samples, int64_t size) const {
    return !p || samples == 1 || size == 1 || n == size * l;
  }
  void merge(int64_t size) {
    if (size == 1) l = n;
  }

 private:
  Array copy_;
  void set(const View& v) {
    p = static_cast<T*>(v.data);
    merged_step(v, l);
    n = v.step(0), c = v.shape[1] == 1 ? 1 : v.step(1);
  }
};

struct NormPlace {
  int64_t n, c, i;       // the first element
  int64_t rows, length;  // rows and what stands in one
  int64_t coefficient;   // of the first row (or column)
};

struct NormTiles {
  bool columns = false, batch = false, far = false;
  int64_t n = 0, c = 0, l = 0, groups = 1, size = 0;
  int64_t sets = 0, members = 0;  // members: rows of statistics in a set: planes, or none for columns
  int64_t blocks = 0, pieces = 1, planes = 1, length = 0;

  static constexpr int64_t kShared = 8, kLongestSum = 256;  // sets; terms in one lane
  static constexpr int64_t kRowTile = 8192, kColumnTile = 16384, kLong = 1024, kGrain = 1 << 16;  // elements

  // max_planes: 1 where a sum of each plane is wanted
  void cut(int64_t max_planes) {
    if (columns) {
      sets = batch ? 1 : n;
      planes = std::clamp<int64_t>(kColumnTile / std::max<int64_t>(1, c), 32, kLongestSum);
      pieces = (l + planes - 1) / planes;
      blocks = batch ? n * pieces : pieces;
    } else {
      sets = batch ? c : n * groups;
      members = batch ? n : c / groups;
      length = std::min(l, kRowTile), far = length >= kLong;
      pieces = length ? (l + length - 1) / length : 0;
      planes = pieces == 1 ? std::clamp<int64_t>(kRowTile / l, 1, max_planes) : 1;
      blocks = (members + planes - 1) / planes * pieces;
    }
  }
  int64_t tile_size() const { return columns ? planes * c : planes * length; }
  int64_t width() const { return columns ? c : 1; }  // numbers that a tile's fold gives
  int64_t coefficients() const { return batch ? c : n * c; }
  int64_t statistics() const { return batch ? c : n * groups; }
  int64_t channels() const { return batch ? 1 : c / groups; }  // of one statistic
  int64_t channel(int64_t coefficient) const { return batch ? coefficient : coefficient % c; }
  int64_t count() const { return batch ? n * l : c / groups * l; }

  NormPlace place(int64_t set, int64_t block) const {
    const int64_t piece = block % pieces, first = block / pieces;
    if (columns) {
      const int64_t row = piece * planes;
      return {batch ? first : set, 0, row, std::min(planes, l - row), c, batch ? 0 : set * c};
    }
    const int64_t m = first * planes, i = piece * length;
    const int64_t rows = std::min(planes, members - m), run = std::min(length, l - i);
    if (batch) return {m, set, i, rows, run, set};
    return {set / groups, set % groups * members + m, i, rows, run, set * members + m};
  }
  // The tiles that are folded and written next, if planes are long: else they lie nearby.
  NormPlace after(int64_t set, int64_t block) const {
    if (!far) return {};
    return block + 1 < blocks ? place(set, block + 1) : place(set + 1 < sets ? set + 1 : set, 0);
  }
  NormPlace before(int64_t set, int64_t block) const {
    return far ? place(set, block ? block - 1 : 0) : NormPlace{};
  }
  template <class T> NormRows<T> rows(const Laid<T>& a, const NormPlace& at, const NormPlace& next) const {
    if (!a.p) return {};
    NormRows<T> r{a.p + at.n * a.n + at.c * a.c + at.i * a.l, columns ? a.l : batch ? a.n : a.c};
    if (far) r.next = (next.n - at.n) * a.n + (next.c - at.c) * a.c + (next.i - at.i) * a.l;
    return r;
  }

  // apply(set, block) of every tile. Each thread takes its part backwards: what it folded last may still be
  // in its caches.
  template <class A> void each_tile(A&& apply) const {
    const int64_t all = sets * blocks, parts = num_threads();
    parallel_for(all, std::max<int64_t>(1, kGrain / tile_size()), [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t part = ((u + 1) * parts - 1) / all;
        const int64_t back = all * part / parts + all * (part + 1) / parts - 1 - u;
        apply(back / blocks, back % blocks);
      }
    });
  }
  // fold(set, block) of every tile of a set, finish(set), then apply(set, block), newest first. Few sets
  // share the threads tile by tile.
  template <class F, class D, class A> void two_phases(F&& fold, D&& finish, A&& apply) const {
    const int64_t tile_grain = std::max<int64_t>(1, kGrain / tile_size());
    if (sets < kShared) {
      parallel_for(sets * blocks, tile_grain, [&](int64_t begin, int64_t end) {
        for (int64_t u = begin; u < end; ++u) fold(u / blocks, u % blocks);
      });
      for (int64_t s = 0; s < sets; ++s) finish(s);
      return each_tile(apply);
    }
    parallel_for(sets, std::max<int64_t>(1, tile_grain / blocks), [&](int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        for (int64_t b = 0; b < blocks; ++b) fold(s, b);
        finish(s);
        for (int64_t b = blocks; b-- > 0;) apply(s, b);
      }
    });
  }
};

}  // namespace nn::cpu
