// Recurrent layers over whole sequences, backward.
//
//   d_t = gradient of the gates' sums, from dh_t = gy_t + d_(t+1) w_hh, step by step against the order of the
//   forward pass; then one product each over all steps: gw_ih = d^T x, gw_hh = d^T h_(t-1), gx = d w_ih.
//
// Only d is sequential. Rows beyond the end of their sequence have d = 0 and hand the gradient of the state
// on. gru's d has four parts: r, z, n on the input's side, n on the state's side. Threads as forward.
#include "recurrent_backward.h"

namespace nn::cpu {
namespace {

template <class T> struct Products {
  StepProduct<T> state;                  // d w_hh: to the state before
  std::optional<StepProduct<T>> second;  // to r h (gru before), or through the projection
};

template <class T> class BackwardRows {
 public:
  BackwardRows(const Backward<T>& f, const Products<T>& products, int64_t begin, int64_t end)
      : f_(f),
        products_(products),
        begin_(begin),
        rows_(end - begin),
        joined_row_(padded(3 * f.s.units)),
        joined_(size_t(f.s.cell == kGru ? rows_ * joined_row_ : 1)),
        running_(*f.ends, begin, rows_, f.s.gates * f.s.units) {}

  // The chunk's steps. later: d of the step behind them.
  void run(const T* later) {
    const RecurrentShape& s = f_.s;
    later_ = later;
    for (int64_t k = f_.first + f_.count - 1; k >= f_.first; --k) {
      RecurrentGrad<T> q = whole(k);
      const bool projected = f_.w_hr != nullptr;
      to_state(k + 1, [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
        finish(projected ? RecurrentPhase::carry : s.phase(), q, k, sums, row, i, count, unit, units);
      });
      if (projected) through_projection(q, k);
      if (s.cell == kGruBefore) through_reset(q, k);
    }
    if (f_.first > 0) return;
    to_state(0, [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
      RecurrentGrad<T> q = state_only();
      tile(q, sums, row, i, count, unit, units);
      kernels<T>().recurrent_grad(RecurrentPhase::carry, q);
    });
  }

 private:
  T* d_at(int64_t k) const { return f_.d + ((k - f_.first) * f_.s.batch + begin_) * f_.d_row(); }

  // Calls f for tiles of d_k w_hh; once without sums where there is no step k.
  template <class F> void to_state(int64_t k, F&& f) {
    const RecurrentShape& s = f_.s;
    if (k == s.steps) return f(nullptr, 0, 0, rows_, 0, s.out);
    const T* d = k < f_.first + f_.count ? d_at(k) : later_ + begin_ * f_.d_row();
    int64_t row = f_.d_row();
    if (s.cell == kGru) {
      for (int64_t i = 0; i < rows_; ++i) {
        std::copy_n(d + i * row, 2 * s.units, joined_ + i * joined_row_);
        std::copy_n(d + i * row + 3 * s.units, s.units, joined_ + i * joined_row_ + 2 * s.units);
      }
      d = joined_, row = joined_row_;
    }
    product(products_.state, k, d, row, f);
  }

  // f for tiles of the rows of d_source times w; without sums where these are 0.
  template <class F> void product(const StepProduct<T>& w, int64_t source, const T* d, int64_t row, F&& f) {
    const int64_t t = f_.s.time(source);
    running_.product(w, t, d, row,
                     [&](const T* sums, int64_t row, int64_t, int64_t i, int64_t count, int64_t unit,
                         int64_t units) { f(sums, row, i, count, unit, units); });
    running_.rest(t, [&](int64_t i, int64_t count) { f(nullptr, 0, i, count, 0, w.units()); });
  }

  RecurrentGrad<T> state_only() const {
    const RecurrentShape& s = f_.s;
    RecurrentGrad<T> q = {};
    q.dh = f_.dh + begin_ * s.out, q.dh_row = s.out;
    if (f_.mask) q.mask = f_.mask + (s.direction * s.batch + begin_) * s.out, q.mask_row = s.out;
    return q;
  }

  // All rows and units of step k, but for what depends on whether the step before was active.
  RecurrentGrad<T> whole(int64_t k) const {
    const RecurrentShape& s = f_.s;
    const int64_t t = s.time(k), at = t * s.batch + begin_, saved = s.saved * s.units;
    RecurrentGrad<T> q = state_only();
    q.gy = f_.gy.at(t, begin_), q.gy_row = f_.gy.n;
    q.gcells = f_.gcells.at(t, begin_), q.gcells_row = f_.gcells.n;
    q.y = f_.y.at(t, begin_), q.y_row = f_.y.n;
    if (saved) q.gates = f_.gates + at * saved, q.gates_row = saved, q.gates_gate = s.units;
    q.c = f_.cells.at(t, begin_), q.c_row = f_.cells.n;
    if (s.states) q.dc = f_.dc + begin_ * s.units, q.dc_row = s.units;
    q.peephole = f_.peephole, q.peephole_gate = s.units;
    q.d = d_at(k), q.d_row = f_.d_row(), q.d_gate = s.units;
    q.before = s.cell == kGruBefore;
    return q;
  }

  static void tile(RecurrentGrad<T>& q, const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit,
                   int64_t units) {
    q.s = sums, q.s_row = row, q.rows = count, q.units = units;
    const auto move = [&](auto*& p, int64_t step) {
      if (p) p += i * step + unit;
    };
    move(q.mask, q.mask_row), move(q.gy, q.gy_row), move(q.gcells, q.gcells_row), move(q.y, q.y_row);
    move(q.gates, q.gates_row), move(q.c, q.c_row), move(q.dh, q.dh_row), move(q.dc, q.dc_row);
    move(q.c_before, q.c_before_row), move(q.h_before, q.h_before_row), move(q.d, q.d_row);
    if (q.peephole) q.peephole += unit;
  }

  // The elementwise part of step k for a tile, by stretches of rows alike.
  void finish(RecurrentPhase phase, const RecurrentGrad<T>& all, int64_t k, const T* sums, int64_t row,
              int64_t i, int64_t count, int64_t unit, int64_t units) const {
    const RecurrentShape& s = f_.s;
    const auto key = [&](int64_t r) {
      return 2 * f_.ends->active(s.time(k), begin_ + r) + f_.was_active(k, begin_ + r);
    };
    stretches(i, i + count, key, [&](int64_t r, int64_t end, int state) {
      RecurrentGrad<T> q = all;
      const auto c = f_.before(f_.cells, f_.c0, s.units, k, state & 1),
                 h = f_.before(f_.y, f_.h0, s.out, k, state & 1);
      q.c_before = c.at(0, begin_), q.c_before_row = c.n, q.h_before = h.at(0, begin_), q.h_before_row = h.n;
      tile(q, sums ? sums + (r - i) * row : nullptr, row, r, end - r, unit, units);
      if (state & 2) return kernels<T>().recurrent_grad(phase, q);
      for (int64_t a = 0; a < q.rows; ++a)
        for (int64_t g = 0; phase != RecurrentPhase::carry && g < f_.columns() / s.units; ++g)
          std::fill_n(q.d + a * q.d_row + g * q.d_gate, units, T(0));
      q.gy = nullptr;
      if (phase != RecurrentPhase::reset && !q.projected)
        kernels<T>().recurrent_grad(RecurrentPhase::carry, q);
    });
  }

  // The state's gradient is whole: it goes to the projection's result, and through the projection to the
  // gates.
  void through_projection(RecurrentGrad<T> q, int64_t k) {
    const RecurrentShape& s = f_.s;
    const int64_t t = s.time(k);
    T* dout = f_.dout + ((k - f_.first) * s.batch + begin_) * s.out;
    for (int64_t r = 0; r < rows_; ++r) {
      T* dh = f_.dh + (begin_ + r) * s.out;
      const bool on = f_.ends->active(t, begin_ + r);
      for (int64_t u = 0; u < s.out; ++u) dout[r * s.out + u] = on ? dh[u] : T(0);
      if (on) std::fill_n(dh, s.out, T(0));
    }
    q.projected = true, q.mask = nullptr, q.gy = nullptr;
    product(*products_.second, k, dout, s.out,
            [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
              finish(s.phase(), q, k, sums, row, i, count, unit, units);
            });
  }

  void through_reset(const RecurrentGrad<T>& q, int64_t k) {
    product(*products_.second, k, d_at(k) + 2 * f_.s.units, f_.d_row(),
            [&](const T* sums, int64_t row, int64_t i, int64_t count, int64_t unit, int64_t units) {
              finish(RecurrentPhase::reset, q, k, sums, row, i, count, unit, units);
            });
  }

  const Backward<T>& f_;
  const Products<T>& products_;
  const T* later_ = nullptr;
  int64_t begin_, rows_, joined_row_;
  Workspace<T> joined_;  // gru: the parts of d that meet w_hh side by side
  Running<T> running_;
};

template <class T> void backward(Backward<T>& f, const Gradients<T>& to, bool add_x) {
  const RecurrentShape& s = f.s;
  const int64_t h = s.units, columns = s.gates * h, step = s.batch * f.d_row();
  const bool before = s.cell == kGruBefore, once = s.batch <= 4 && s.steps <= 2;
  const int64_t weights = columns * s.out + (f.w_hr ? s.out * h : 0);
  const int64_t parts = once ? 1 : batch_parts(s.batch, s.steps, weights * int64_t(sizeof(T)), 2 * weights);
  const int64_t rows = (s.batch + parts - 1) / parts;
  Products<T> products = {
      StepProduct<T>(f.w_hh, s.out, 1, before ? 2 * h : columns, 1, s.out, rows, parts == 1, once), {}};
  if (before) products.second.emplace(f.w_hh + 2 * h * h, h, 1, h, 1, h, rows, parts == 1, once);
  if (f.w_hr) products.second.emplace(f.w_hr, h, 1, s.out, 1, h, rows, parts == 1, once);

  // In L3: threads meet at the products of each chunk, and with busy neighbours each meeting costs.
  const int64_t chunk = chunk_steps(s, columns * int64_t(sizeof(T)), int64_t(4) << 20);
  const bool reuse = f.gx && chunk < s.steps;
  Workspace<T> w_ih(size_t(reuse ? packed_size<T>(s.inputs, columns) : 1));
  if (reuse) pack_b(Matrix<T>{f.w_ih, s.inputs, 1}, s.inputs, columns, static_cast<T*>(w_ih));
  Workspace<T> d(size_t(chunk * step)), dout(size_t(f.w_hr ? chunk * s.batch * s.out : 1));
  Workspace<T> later(size_t(chunk < s.steps ? step : 1));
  f.d = d, f.dout = dout, f.first = s.steps;
  do {  // once even without steps: gradients of weights are then zero
    f.count = f.first > 0 ? (f.first - 1) % chunk + 1 : 0, f.first -= f.count;
    parallel_for(f.rows() > 0 ? parts : 0, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        BackwardRows<T>(f, products, part * rows, std::min(s.batch, (part + 1) * rows)).run(later);
    });
    weight_gradients(f, to);
    if (f.gx) input_gradient(f, reuse ? static_cast<const T*>(w_ih) : nullptr, add_x);
    if (f.first > 0) std::copy_n(f.d, step, static_cast<T*>(later));
  } while (f.first > 0);
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
                          const OptView& lengths, const OptView& mask, const View& y, const View& cells,
                          const View& gates, const OptView& gx, const OptView& gh0, const OptView& gc0,
                          int64_t cell, int64_t direction, int64_t directions, bool batch_first,
                          bool needs_x) {
  const RecurrentShape s = recurrent_shape(cell, direction, directions, batch_first, x, w_ih, w_hh, w_hr,
                                           peephole, h0, c0, lengths, mask);
  Dtype dtype = common_dtype(
      s.op, {{"x", x}, {"w_ih", w_ih}, {"w_hh", w_hh}, {"y", y}, {"cells", cells}, {"gates", gates}});
  for (const Named& a : {Named{"gy", gy},
                         {"gh", gh},
                         {"gc", gc},
                         {"gcells", gcells},
                         {"h0", h0},
                         {"c0", c0},
                         {"w_hr", w_hr},
                         {"peephole", peephole},
                         {"mask", mask}})
    if (static_cast<const OptView&>(a.view)) dtype = common_dtype(s.op, {{"x", x}, a});
  const int64_t first = batch_first ? s.batch : s.steps, next = batch_first ? s.steps : s.batch;
  const std::initializer_list<int64_t> outputs = {first, next, directions * s.out},
                                       all_cells = {first, next, directions * s.states},
                                       last = {directions, s.batch, s.out},
                                       last_c = {directions, s.batch, s.states};
  const auto given = [](const View& v) {
    OptView o;
    static_cast<View&>(o) = v, o.given = true;
    return o;
  };
  demand_shape(s, "y", given(y), outputs, true), demand_shape(s, "gy", gy, outputs);
  demand_shape(s, "cells", given(cells), all_cells, true), demand_shape(s, "gcells", gcells, all_cells);
  demand_shape(s, "gates", given(gates), {s.steps, s.batch, s.saved * s.units}, true);
  demand_shape(s, "gh", gh, last), demand_shape(s, "gc", gc, last_c);
  demand_shape(s, "gh0", gh0, last, true), demand_shape(s, "gc0", gc0, last_c, true);
  const int64_t rows = s.gates * s.units, in_first = needs_x ? first : 0;
  demand_shape(s, "gx", gx, {in_first, next, s.inputs}, true);
  const int64_t in[3] = {in_first, next, s.inputs};
  Array out_x = output(s.op, dtype, 3, in, &gx);
  Array out_h = output(s.op, dtype, 3, last.begin(), &gh0),
        out_c = output(s.op, dtype, 3, last_c.begin(), &gc0);
  Array gw_ih = fresh(s, dtype, {rows, s.inputs}), gw_hh = fresh(s, dtype, {rows, s.out});
  Array gb_ih = fresh(s, dtype, {rows}), gb_hh = fresh(s, dtype, {cell == kGru ? rows : 0});
  Array gw_hr = fresh(s, dtype, {s.out, w_hr ? s.units : 0}),
        gp = fresh(s, dtype, {3, peephole ? s.units : 0});
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const Dense w_i(w_ih), w_h(w_hh);
    const MaybeDense h_0(h0), c_0(c0), w_r(w_hr), peep(peephole), m(mask);
    const Ends ends(s, lengths);
    const GradientSequence<T> g_y(s, gy, s.out), g_cells(s, gcells, s.states);
    Backward<T> f = {};
    f.s = s;
    f.gy = g_y.sequence_, f.gcells = g_cells.sequence_;
    f.y = sequence(s, y.as<const T>(), s.out), f.cells = sequence(s, cells.as<const T>(), s.states);
    f.x_step = {x.as<const T>(), x.step(batch_first ? 0 : 1), x.step(2)},
    f.x_time = x.step(batch_first ? 1 : 0);
    f.h0 = h_0.as<T>(direction * s.batch * s.out), f.c0 = c_0.as<T>(direction * s.batch * s.states);
    f.w_ih = w_i.as<T>(), f.w_hh = w_h.as<T>(), f.w_hr = w_r.as<T>(), f.peephole = peep.as<T>();
    f.mask = m.as<T>(), f.gates = gates.as<const T>(), f.ends = &ends;
    f.dh = begin_grad<T>(s, out_h, gh, s.out), f.dc = begin_grad<T>(s, out_c, gc, s.states);
    f.gx = needs_x ? out_x.as<T>() : nullptr;
    backward(f,
             Gradients<T>{gw_ih.as<T>(), gw_hh.as<T>(), gb_ih.as<T>(), cell == kGru ? gb_hh.as<T>() : nullptr,
                          w_hr ? gw_hr.as<T>() : nullptr, peephole ? gp.as<T>() : nullptr},
             bool(gx));
  });
  return {out_x, out_h, out_c, gw_ih, gw_hh, gb_ih, gb_hh, gw_hr, gp};
}

}  // namespace nn::cpu
