// One direction of a recurrent layer: its sizes, where its arrays lie, and the product of one step.
#pragma once
#include <algorithm>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"
#include "gemm.h"

namespace nn::cpu {

enum Cell : int64_t { kTanh, kRelu, kLstm, kGru, kGruBefore };
constexpr int64_t kCells = 5, kGates[kCells] = {1, 1, 4, 3, 3}, kSaved[kCells] = {0, 0, 4, 4, 3};

struct RecurrentShape {
  const char* op;
  int64_t cell, direction, directions;
  bool batch_first;
  int64_t steps, batch, inputs, units, out, gates, saved;  // out: units, or the projection's size
  int64_t states;                                          // units of c: 0 without one

  int64_t time(int64_t k) const { return direction ? steps - 1 - k : k; }  // of the k-th step that is made
  RecurrentPhase phase() const { return cell == kGruBefore ? RecurrentPhase::gru : RecurrentPhase(cell); }
  int64_t rows() const { return steps * batch; }
};

// The weights of both directions; the second one's are missing where there is one.
struct RecurrentWeights {
  OptView w_ih[2], w_hh[2], b_ih[2], b_hh[2], w_hr[2], peephole[2];
  int directions() const { return w_ih[1] ? 2 : 1; }
};

inline OptView given(const View& v) {
  OptView o;
  static_cast<View&>(o) = v, o.given = true;
  return o;
}

// Checks x and the weights, states, lengths and mask against each other; the shape is the first direction's.
RecurrentShape recurrent_shape(int64_t cell, bool batch_first, const View& x, const RecurrentWeights& w,
                               const OptView& h0, const OptView& c0, const OptView& lengths,
                               const OptView& mask);

// The dtype of x, which all that are given must have.
Dtype recurrent_dtype(const char* op, const View& x, const RecurrentWeights& w,
                      std::initializer_list<Named> others);

// Rows whose part of a product over all steps is made at once: so many bytes of them should still lie in
// cache when the other side takes them up, but the product needs rows.
inline int64_t chunk_rows(int64_t row_bytes, int64_t bytes) {
  return std::max(int64_t(256), bytes / row_bytes);
}

// Fails unless v is missing or a contiguous array of this shape.
void demand_shape(const RecurrentShape& s, const char* name, const OptView& v,
                  std::initializer_list<int64_t> shape, bool contiguous = false);

// Contiguous numbers of an array that may be missing; of one direction where the array holds them all.
class MaybeDense {
 public:
  explicit MaybeDense(const OptView& v) {
    if (v) dense_.emplace(v);
  }
  template <class T> const T* as(int64_t offset = 0) const {
    return dense_ ? dense_->as<T>() + offset : nullptr;
  }

 private:
  std::optional<Dense> dense_;
};

// Contiguous weights of direction d.
template <class T> struct DenseWeights {
  MaybeDense w_ih, w_hh, b_ih, b_hh, w_hr, peephole;
  DenseWeights(const RecurrentWeights& w, int d)
      : w_ih(w.w_ih[d]),
        w_hh(w.w_hh[d]),
        b_ih(w.b_ih[d]),
        b_hh(w.b_hh[d]),
        w_hr(w.w_hr[d]),
        peephole(w.peephole[d]) {}
};

// An array over steps, samples and features whose features stand side by side.
template <class T> struct Sequence {
  T* p = nullptr;
  int64_t t = 0, n = 0;
  T* at(int64_t step, int64_t row) const { return p ? p + step * t + row * n : nullptr; }
};

// Part `direction` of a contiguous (T, N, directions * width) or (N, T, ...) array.
template <class T> Sequence<T> sequence(const RecurrentShape& s, T* p, int64_t width) {
  if (!p || width == 0) return {};
  const int64_t row = s.directions * width;
  return {p + s.direction * width, s.batch_first ? row : s.batch * row, s.batch_first ? s.steps * row : row};
}

// The samples by their ends, longest first: at each step those that run have the first places, and products
// meet these alone. Arrays over steps and places hold no others: one row for each, step after step. Where all
// sequences last to the end a sample's place is its number.
class Order {
 public:
  Order(const RecurrentShape& s, const OptView& lengths);
  bool ragged() const { return samples_.has_value(); }
  int64_t sample(int64_t place) const { return samples_ ? (*samples_)[place] : place; }
  int64_t running(int64_t t) const { return offsets_ ? (*offsets_)[t + 1] - (*offsets_)[t] : batch_; }
  int64_t rows_before(int64_t t) const { return offsets_ ? (*offsets_)[t] : t * batch_; }

 private:
  int64_t batch_;
  std::optional<Workspace<int64_t>> samples_, offsets_;
};

// Rows of a workspace stand a little further apart than they are long: steps of 4 KB would all meet in one
// set of L1.
inline int64_t padded(int64_t columns) { return columns + 16; }

// f(begin, end, key) for stretches of rows begin..end on which key(row) stays the same.
template <class K, class F> void stretches(int64_t begin, int64_t end, K&& key, F&& f) {
  while (begin < end) {
    const auto k = key(begin);
    int64_t next = begin + 1;
    while (next < end && key(next) == k) ++next;
    f(begin, next, k);
    begin = next;
  }
}

// rows x depth numbers times packed weights (depth x gates x units): the weights are packed once and met at
// every step. A block is some units with all their gates. Blocks are finished by strips: as many as leave the
// sums in L2, since what a strip reads besides comes from afar, and the caches see long rows coming.
template <class T> class StepProduct {
 public:
  // Element (k, gate, unit) of the weights is w[k * depth_step + (gate * units + unit) * column_step].
  // shared: threads meet at every step. once: the product is wanted so few times that packing does not pay.
  StepProduct(const T* w, int64_t depth_step, int64_t column_step, int64_t depth, int64_t gates,
              int64_t units, int64_t rows, bool shared, bool once);

  int64_t depth() const { return depth_; }
  int64_t units() const { return units_; }

  // finish(sums, row step, gate step, first row, rows, first unit, units) for each strip of the product with
  // a's rows, which must not change meanwhile; shares strips among threads.
  template <class F> void run(const T* a, int64_t a_row, int64_t rows, F&& finish) const {
    if (direct_) return run_direct(a, a_row, rows, finish);
    const int64_t strip = strip_blocks(rows), strips = ceil_div(blocks_, strip);
    parallel_for(strips, grain(rows, strip), [&](int64_t begin, int64_t end) {
      const int64_t wide = strip * block_, row = gates_ * wide;
      alignas(64) T few[1024];
      std::optional<Workspace<T>> many;
      if (rows * row > 1024) many.emplace(size_t(rows * row));
      T* const sums = many ? static_cast<T*>(*many) : few;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i * strip, last = std::min(blocks_, first + strip);
        multiply_blocks(first, last, rows, a, a_row, sums, row, wide);
        finish(sums, row, wide, int64_t(0), rows, first * block_, std::min(wide, units_ - first * block_));
      }
    });
  }

 private:
  int64_t strip_blocks(int64_t rows) const;
  int64_t grain(int64_t rows, int64_t strip) const;
  void multiply_blocks(int64_t first, int64_t last, int64_t rows, const T* a, int64_t a_row, T* sums,
                       int64_t row, int64_t gate) const;
  template <class F> void run_direct(const T* a, int64_t a_row, int64_t rows, F&& finish) const {
    Workspace<T> sums(size_t(rows * gates_ * units_));
    Gemm<T> g = {};
    g.alpha = 1;
    g.m = rows, g.n = gates_ * units_, g.k = depth_;
    g.a = {a, a_row, 1}, g.b = {w_, depth_step_, column_step_};
    g.c = sums, g.c_row = g.n;
    gemm(g);
    finish(sums, g.n, units_, int64_t(0), rows, int64_t(0), units_);
  }

  const T* w_;
  int64_t depth_step_, column_step_, depth_, gates_, units_;
  bool direct_, shared_, small_;
  GemmShape shape_;
  int64_t block_, tile_rows_, panel_, panels_, blocks_;  // units of a block, width and number of its panels
  std::optional<Workspace<T>> packed_;
};

// One of `parts` parts of the batch: its rows have the places index, index + parts, and so on, so that parts
// have equal work and the rows that run at a step come first in each.
struct Part {
  const Order& order;
  int64_t index, parts;

  int64_t of(int64_t places) const { return ceil_div(std::max<int64_t>(places - index, 0), parts); }
  int64_t running(int64_t t) const { return of(order.running(t)); }
  int64_t sample(int64_t row) const { return order.sample(index + row * parts); }
  // f(first, end, sample of the first) for stretches of rows whose samples lie `parts` apart.
  template <class F> void straight(int64_t begin, int64_t end, F&& f) const {
    if (!order.ragged() && begin < end) return f(begin, end, sample(begin));
    stretches(
        begin, end, [&](int64_t r) { return sample(r) - r * parts; },
        [&](int64_t r, int64_t last, int64_t by) { f(r, last, by + r * parts); });
  }
};

// What threads share: parts of the batch, or of both directions at once. Threads that run whole sequences
// never wait for each other, but each reads all weights. The bits of a row do not know its neighbours.
struct RecurrentSplit {
  int64_t parts, rows;  // of the batch, in each direction; rows of a part
  bool together;        // both directions side by side
  bool parted;          // some number of threads would part the batch
  bool shared() const { return parts == 1 && !together; }
};
RecurrentSplit recurrent_split(const RecurrentShape& s, bool once, int64_t weights, int64_t weight_bytes);

// part(direction, part) for all of them.
template <class F> void each_part(const RecurrentShape& s, const RecurrentSplit& split, F&& part) {
  const int64_t both = split.together ? s.directions : 1;
  for (int64_t d = 0; d < s.directions; d += both)
    parallel_for(both * split.parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) part(d + i / split.parts, i % split.parts);
    });
}

}  // namespace nn::cpu
