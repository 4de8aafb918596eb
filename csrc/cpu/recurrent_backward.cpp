// Recurrent layers over whole sequences, backward.
//
//   d_t = gradient of the gates' sums, from dh_t = gy_t + d_(t+1) w_hh, step by step against the order of the
//   forward pass; then one product each over all steps: gw_ih = d^T x, gw_hh = d^T h_(t-1), gx = d w_ih.
//
// Only d is sequential. It holds the rows that run at each step and no others; those beyond the end of their
// sequence hand the gradient of the state on. gru's d has four parts: r, z, n on the input's side, n on the
// state's side. Threads as forward.
#include "recurrent_backward.h"

namespace nn::cpu {
namespace {

template <class T> struct Products {
  StepProduct<T> state;                  // d w_hh: to the state before
  std::optional<StepProduct<T>> second;  // to r h (gru before), or through the projection
};

template <class T> class BackwardRows {
 public:
  BackwardRows(const Backward<T>& f, const Products<T>& products, const Part& part)
      : f_(f),
        products_(products),
        part_(part),
        rows_(part.of(f.s.batch)),
        d_row_(part.parts * f.d_row()),
        joined_row_(padded(3 * f.s.units)),
        joined_(size_t(f.s.cell == kGru ? rows_ * joined_row_ : 1)) {}

  // The chunk's steps. later: d of the step behind them.
  void run(const T* later) {
    const RecurrentShape& s = f_.s;
    later_ = later;
    for (int64_t k = f_.first + f_.count - 1; k >= f_.first; --k) {
      const RecurrentGrad<T> q = whole(k);
      const bool projected = f_.w_hr != nullptr;
      to_state(k + 1, [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
        finish(projected ? RecurrentPhase::carry : s.phase(), q, k, sums, row, i, count, unit, units);
      });
      if (projected) through_projection(q, k);
      if (s.cell == kGruBefore) through_reset(q, k);
    }
    if (f_.first > 0) return;
    to_state(0, [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
      carry(sums, row, i, i + count, unit, units);
    });
  }

 private:
  int64_t running(int64_t k) const { return part_.of(f_.running(k)); }
  T* d_at(int64_t k) const { return f_.d + (f_.place(k) + part_.index) * f_.d_row(); }

  // Calls f for tiles of d_k w_hh; without sums for rows that have no step k.
  template <class F> void to_state(int64_t k, F&& f) {
    const RecurrentShape& s = f_.s;
    const int64_t count = k < s.steps ? running(k) : 0;
    if (count < rows_) f(nullptr, 0, count, rows_ - count, 0, s.out);
    if (count == 0) return;
    const T* d = k < f_.first + f_.count ? d_at(k) : later_ + part_.index * f_.d_row();
    int64_t row = d_row_;
    if (s.cell == kGru) {
      for (int64_t i = 0; i < count; ++i) {
        std::copy_n(d + i * row, 2 * s.units, joined_ + i * joined_row_);
        std::copy_n(d + i * row + 3 * s.units, s.units, joined_ + i * joined_row_ + 2 * s.units);
      }
      d = joined_, row = joined_row_;
    }
    product(products_.state, d, row, count, f);
  }

  // f for tiles of the rows of d times w.
  template <class F> void product(const StepProduct<T>& w, const T* d, int64_t row, int64_t rows, F&& f) {
    w.run(d, row, rows,
          [&](const T* sums, int64_t row, int64_t, int64_t i, int64_t count, int64_t unit, int64_t units) {
            f(sums, row, i, count, unit, units);
          });
  }

  RecurrentGrad<T> state_only() const {
    const RecurrentShape& s = f_.s;
    RecurrentGrad<T> q = {};
    q.dh = f_.dh, q.dh_row = s.out;
    if (f_.mask) q.mask = f_.mask + s.direction * s.batch * s.out, q.mask_row = s.out;
    return q;
  }

  // All samples and units of step k, but for what depends on whether the step before was active.
  RecurrentGrad<T> whole(int64_t k) const {
    const RecurrentShape& s = f_.s;
    const int64_t t = s.time(k), saved = s.saved * s.units;
    RecurrentGrad<T> q = state_only();
    q.gy = f_.gy.at(t, 0), q.gy_row = f_.gy.n;
    q.gcells = f_.gcells.at(t, 0), q.gcells_row = f_.gcells.n;
    q.y = f_.y.at(t, 0), q.y_row = f_.y.n;
    if (saved) q.gates = f_.gates + t * s.batch * saved, q.gates_row = saved, q.gates_gate = s.units;
    q.c = f_.cells.at(t, 0), q.c_row = f_.cells.n;
    if (s.states) q.dc = f_.dc, q.dc_row = s.units;
    q.peephole = f_.peephole, q.peephole_gate = s.units;
    q.d = d_at(k), q.d_row = d_row_, q.d_gate = s.units;
    q.before = s.cell == kGruBefore;
    return q;
  }

  // q for the tile of rows from i on, the first of them `sample`, and units from `unit` on
  void tile(RecurrentGrad<T>& q, const T* sums, int64_t row, int64_t i, int64_t count, int64_t sample,
            int64_t unit, int64_t units) const {
    q.s = sums, q.s_row = row, q.rows = count, q.units = units;
    const auto move = [&](auto*& p, int64_t& step) {
      if (p) p += sample * step + unit, step *= part_.parts;
    };
    move(q.mask, q.mask_row), move(q.gy, q.gy_row), move(q.gcells, q.gcells_row), move(q.y, q.y_row);
    move(q.gates, q.gates_row), move(q.c, q.c_row), move(q.dh, q.dh_row), move(q.dc, q.dc_row);
    move(q.c_before, q.c_before_row), move(q.h_before, q.h_before_row);
    if (q.d) q.d += i * q.d_row + unit;
    if (q.peephole) q.peephole += unit;
  }

  // The elementwise part of step k for a tile, by stretches of rows alike; rows without this step hand on.
  void finish(RecurrentPhase phase, const RecurrentGrad<T>& all, int64_t k, const T* sums, int64_t row,
              int64_t i, int64_t count, int64_t unit, int64_t units) const {
    const RecurrentShape& s = f_.s;
    const int64_t end = i + count, on = std::clamp(running(k), i, end),
                  both = std::clamp(part_.of(f_.ran_before(k)), i, on);
    const auto some = [&](int64_t begin, int64_t stop, bool was) {
      part_.straight(begin, stop, [&](int64_t r, int64_t last, int64_t sample) {
        RecurrentGrad<T> q = all;
        const auto c = f_.before(f_.cells, f_.c0, s.units, k, was), h = f_.before(f_.y, f_.h0, s.out, k, was);
        q.c_before = c.p, q.c_before_row = c.n, q.h_before = h.p, q.h_before_row = h.n;
        tile(q, sums ? sums + (r - i) * row : nullptr, row, r, last - r, sample, unit, units);
        kernels<T>().recurrent_grad(phase, q);
      });
    };
    some(i, both, true), some(both, on, false);
    if (sums) carry(sums + (on - i) * row, row, on, end, unit, units);
  }

  // dh += sums for the rows begin..end
  void carry(const T* sums, int64_t row, int64_t begin, int64_t end, int64_t unit, int64_t units) const {
    if (!sums) return;
    part_.straight(begin, end, [&](int64_t r, int64_t last, int64_t sample) {
      RecurrentGrad<T> q = state_only();
      tile(q, sums + (r - begin) * row, row, r, last - r, sample, unit, units);
      kernels<T>().recurrent_grad(RecurrentPhase::carry, q);
    });
  }

  // The state's gradient is whole: it goes to the projection's result, and through the projection to the
  // gates.
  void through_projection(RecurrentGrad<T> q, int64_t k) {
    const RecurrentShape& s = f_.s;
    const int64_t count = running(k), row = part_.parts * s.out;
    T* dout = f_.dout + (f_.place(k) + part_.index) * s.out;
    for (int64_t r = 0; r < count; ++r) {
      T* dh = f_.dh + part_.sample(r) * s.out;
      std::copy_n(dh, s.out, dout + r * row);
      std::fill_n(dh, s.out, T(0));
    }
    q.projected = true, q.mask = nullptr, q.gy = nullptr;
    if (count > 0)
      product(*products_.second, dout, row, count,
              [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
                finish(s.phase(), q, k, sums, row, i, count, unit, units);
              });
  }

  void through_reset(const RecurrentGrad<T>& q, int64_t k) {
    const int64_t count = running(k);
    if (count > 0)
      product(*products_.second, d_at(k) + 2 * f_.s.units, d_row_, count,
              [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
                finish(RecurrentPhase::reset, q, k, sums, row, i, count, unit, units);
              });
  }

  const Backward<T>& f_;
  const Products<T>& products_;
  const T* later_ = nullptr;
  const Part part_;
  int64_t rows_, d_row_, joined_row_;
  Workspace<T> joined_;  // gru: the parts of d that meet w_hh side by side
};

// One direction: its packed weights, and d of a chunk.
template <class T> class BackwardPass {
 public:
  // most: rows of a chunk
  BackwardPass(const Backward<T>& f, const RecurrentSplit& split, int64_t most, bool once)
      : f_(f),
        split_(split),
        room_(std::min(f.rows(0, f.s.steps), 2 * most + f.s.batch) + 1),
        chunks_(2 * f.rows(0, f.s.steps) > 3 * most),
        reuse_(f.gx && chunks_),
        products_{StepProduct<T>(f.w_hh, f.s.out, 1, (f.s.cell == kGruBefore ? 2 : f.s.gates) * f.s.units, 1,
                                 f.s.out, split.rows, split.shared(), once),
                  {}},
        w_ih_(size_t(reuse_ ? packed_size<T>(f.s.inputs, f.s.gates * f.s.units) : 1)),
        d_(size_t(room_ * f.d_row())),
        dout_(size_t(f.w_hr ? room_ * f.s.out : 1)),
        later_(size_t(chunks_ ? f.s.batch * f.d_row() : 1)) {
    const int64_t h = f.s.units;
    if (f.s.cell == kGruBefore)
      products_.second.emplace(f.w_hh + 2 * h * h, h, 1, h, 1, h, split.rows, split.shared(), once);
    if (f.w_hr) products_.second.emplace(f.w_hr, h, 1, f.s.out, 1, h, split.rows, split.shared(), once);
    if (reuse_) pack_b(Matrix<T>{f.w_ih, f.s.inputs, 1}, f.s.inputs, f.s.gates * h, static_cast<T*>(w_ih_));
    f_.d = d_, f_.dout = dout_;
  }

  void choose(int64_t first, int64_t count) { f_.first = first, f_.count = count; }
  void run(int64_t part) const {
    BackwardRows<T>(f_, products_, Part{*f_.order, part, split_.parts}).run(later_);
  }
  void products(const Gradients<T>& to, bool add_x) {
    weight_gradients(f_, to);
    if (f_.gx) input_gradient(f_, reuse_ ? static_cast<const T*>(w_ih_) : nullptr, add_x);
    if (f_.first > 0) std::copy_n(f_.d, f_.running(f_.first) * f_.d_row(), static_cast<T*>(later_));
  }

 private:
  Backward<T> f_;
  const RecurrentSplit split_;
  const int64_t room_;
  const bool chunks_, reuse_;
  Products<T> products_;
  Workspace<T> w_ih_, d_, dout_, later_;
};

// Where the chunk begins that ends before step `end`: so many rows at most (or one step), or all that are
// left if half as many besides.
template <class T> int64_t chunk_start(const Backward<T>& f, int64_t end, int64_t most) {
  if (2 * f.rows(0, end) <= 3 * most) return 0;
  int64_t first = end - 1;
  while (first > 0 && f.rows(first - 1, end) <= most) --first;
  return first;
}

template <class T> void backward(const Backward<T>* f, const Gradients<T>* to) {
  const RecurrentShape& s = f->s;
  const int64_t columns = s.gates * s.units, weights = columns * s.out + (f->w_hr ? s.out * s.units : 0);
  const bool once = s.batch <= 4 && s.steps <= 2, both = s.directions == 2;
  const RecurrentSplit split = recurrent_split(s, once, weights, weights * int64_t(sizeof(T)));
  // In L3: threads meet at the products of each chunk, and with busy neighbours each meeting costs.
  const int64_t most = chunk_rows(columns * int64_t(sizeof(T)), int64_t(6) << 20);
  const int64_t all = f->order->rows_before(s.steps);
  std::optional<BackwardPass<T>> passes[2];
  for (int d = 0; d < s.directions; ++d) passes[d].emplace(f[d], split, most, once);
  if (f->gx && (both || f->order->ragged())) std::fill_n(f->gx, s.rows() * s.inputs, T(0));
  int64_t end = s.steps;
  do {  // once even without steps: gradients of weights are then zero
    int64_t first = 0;
    for (int d = 0; d < s.directions && end > 0; ++d) first = std::max(first, chunk_start(f[d], end, most));
    for (int d = 0; d < s.directions; ++d) passes[d]->choose(first, end - first);
    if (all > 0) each_part(s, split, [&](int64_t d, int64_t part) { passes[d]->run(part); });
    for (int d = 0; d < s.directions; ++d) passes[d]->products(to[d], both);
    end = first;
  } while (end > 0);
}

// Steps of a gradient whose features may lie anywhere: read in place, or as a contiguous copy.
template <class T> class GradientSequence {
 public:
  GradientSequence(const RecurrentShape& s, const OptView& g, int64_t width) {
    if (!g || g.size() == 0) return;
    if (g.step(2) != 1) dense_.emplace(g);
    sequence_ = sequence(s, dense_ ? dense_->as<T>() : g.as<const T>(), width);
    if (!dense_) sequence_.t = g.step(s.batch_first ? 1 : 0), sequence_.n = g.step(s.batch_first ? 0 : 1);
  }
  Sequence<const T> sequence_;

 private:
  std::optional<Dense> dense_;
};

template <class T>
T* begin_grad(const RecurrentShape& s, const Array& to, const OptView& from, int64_t width) {
  const int64_t size = s.batch * width, at = s.direction * size;
  T* g = to.as<T>() + at;
  const MaybeDense start(from);
  if (from)
    std::copy_n(start.as<T>(at), size, g);
  else
    std::fill_n(g, size, T(0));
  return g;
}

Array fresh(const RecurrentShape& s, Dtype dtype, std::initializer_list<int64_t> shape) {
  return output(s.op, dtype, int(shape.size()), shape.begin());
}

}  // namespace

Array9 recurrent_backward(const OptView& gy, const OptView& gh, const OptView& gc, const OptView& gcells,
                          const View& x, const OptView& h0, const OptView& c0, const View& w_ih,
                          const View& w_hh, const OptView& w_hr, const OptView& peephole,
                          const OptView& w_ih_reverse, const OptView& w_hh_reverse,
                          const OptView& w_hr_reverse, const OptView& peephole_reverse,
                          const OptView& lengths, const OptView& mask, const View& y, const View& cells,
                          const View& gates, int64_t cell, bool batch_first, bool needs_x) {
  const RecurrentWeights w = {{given(w_ih), w_ih_reverse}, {given(w_hh), w_hh_reverse}, {}, {},
                              {w_hr, w_hr_reverse},        {peephole, peephole_reverse}};
  const RecurrentShape s = recurrent_shape(cell, batch_first, x, w, h0, c0, lengths, mask);
  const OptView all_y = given(y), all_cells = given(cells), all_gates = given(gates);
  const Dtype dtype = recurrent_dtype(s.op, x, w,
                                      {{"y", all_y},
                                       {"cells", all_cells},
                                       {"gates", all_gates},
                                       {"gy", gy},
                                       {"gh", gh},
                                       {"gc", gc},
                                       {"gcells", gcells},
                                       {"h0", h0},
                                       {"c0", c0},
                                       {"mask", mask}});
  const int64_t sides = s.directions, first = batch_first ? s.batch : s.steps,
                next = batch_first ? s.steps : s.batch, rows = s.gates * s.units;
  demand_shape(s, "y", all_y, {first, next, sides * s.out}, true);
  demand_shape(s, "gy", gy, {first, next, sides * s.out});
  demand_shape(s, "cells", all_cells, {first, next, sides * s.states}, true);
  demand_shape(s, "gcells", gcells, {first, next, sides * s.states});
  demand_shape(s, "gates", all_gates, {sides * s.steps, s.batch, s.saved * s.units}, true);
  demand_shape(s, "gh", gh, {sides, s.batch, s.out}), demand_shape(s, "gc", gc, {sides, s.batch, s.states});
  Array out_x = fresh(s, dtype, {needs_x ? first : 0, next, s.inputs});
  Array out_h = fresh(s, dtype, {sides, s.batch, s.out}), out_c = fresh(s, dtype, {sides, s.batch, s.states});
  Array gw_ih = fresh(s, dtype, {sides * rows, s.inputs}), gw_hh = fresh(s, dtype, {sides * rows, s.out});
  Array gb_ih = fresh(s, dtype, {sides * rows}), gb_hh = fresh(s, dtype, {cell == kGru ? sides * rows : 0});
  Array gw_hr = fresh(s, dtype, {sides * s.out, w_hr ? s.units : 0}),
        gp = fresh(s, dtype, {sides * 3, peephole ? s.units : 0});
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const MaybeDense h_0(h0), c_0(c0), m(mask);
    const Order order(s, lengths);
    std::optional<DenseWeights<T>> dense[2];
    std::optional<GradientSequence<T>> g_y[2], g_cells[2];
    Backward<T> f[2] = {};
    Gradients<T> to[2] = {};
    for (int64_t d = 0; d < sides; ++d) {
      const DenseWeights<T>& now = dense[d].emplace(w, int(d));
      Backward<T>& q = f[d];
      q.s = s, q.s.direction = d;
      q.gy = g_y[d].emplace(q.s, gy, s.out).sequence_;
      q.gcells = g_cells[d].emplace(q.s, gcells, s.states).sequence_;
      q.y = sequence(q.s, y.as<const T>(), s.out), q.cells = sequence(q.s, cells.as<const T>(), s.states);
      q.x_step = {x.as<const T>(), x.step(batch_first ? 0 : 1), x.step(2)},
      q.x_time = x.step(batch_first ? 1 : 0);
      q.h0 = h_0.as<T>(d * s.batch * s.out), q.c0 = c_0.as<T>(d * s.batch * s.states);
      q.w_ih = now.w_ih.template as<T>(), q.w_hh = now.w_hh.template as<T>();
      q.w_hr = now.w_hr.template as<T>(), q.peephole = now.peephole.template as<T>();
      q.mask = m.as<T>(), q.order = &order;
      q.gates = gates.as<const T>() + d * s.rows() * s.saved * s.units;
      q.dh = begin_grad<T>(q.s, out_h, gh, s.out), q.dc = begin_grad<T>(q.s, out_c, gc, s.states);
      q.gx = needs_x ? out_x.as<T>() : nullptr;
      to[d] = {gw_ih.as<T>() + d * rows * s.inputs,
               gw_hh.as<T>() + d * rows * s.out,
               gb_ih.as<T>() + d * rows,
               cell == kGru ? gb_hh.as<T>() + d * rows : nullptr,
               w_hr ? gw_hr.as<T>() + d * s.out * s.units : nullptr,
               peephole ? gp.as<T>() + d * 3 * s.units : nullptr};
    }
    backward(f, to);
  });
  return {std::move(out_x), std::move(out_h), std::move(out_c), std::move(gw_ih), std::move(gw_hh),
          std::move(gb_ih), std::move(gb_hh), std::move(gw_hr), std::move(gp)};
}

}  // namespace nn::cpu
