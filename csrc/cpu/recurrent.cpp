// Recurrent layers over whole sequences, forward: a layer in one or two directions.
//
//   a = x w_ih^T + b        the input's part of all steps, one product
//   h_t = cell(a_t + h_(t-1) w_hh^T, h_(t-1), c_(t-1))        step by step, w_hh packed once
//
// A step is a product whose tiles (some units with all their gates) are finished by simd/recurrent.inl while
// they lie in L1. Two copies of h take turns: a step reads one and writes the other. Threads take the two
// directions side by side, or parts of the batch, each on its way through all steps without meeting another;
// with few rows or large weights the units of a step. Sequences of unequal lengths are sorted, so that each
// product has the rows that run and no others. Bound by the FMA units, with few rows by reading w_hh from L2
// or L3. The merged products follow Appleyard et al. 2016 (arXiv 1604.01946); the resident weights, DeepCPU
// (Zhang et al. 2018).
#include "recurrent.h"

namespace nn::cpu {

namespace {

// Arrays of one call; those that may be missing are null.
template <class T> struct Forward {
  RecurrentShape s;
  Matrix<T> x_step;  // x of one step
  int64_t x_time;
  const T *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *peephole, *mask;
  const Order* order;
  T *h, *c;
  Sequence<T> y, cells;
  T* gates;  // kept for backward
};

// What all parts of the batch read: packed weights and biases.
template <class T> struct Packed {
  StepProduct<T> state;
  std::optional<StepProduct<T>> second;  // gru before: of the reset state; or the projection
  std::optional<Workspace<T>> w_ih;
  const T *bias, *inner;  // of the input's part; gru's n on the state's side
};

// A part of the batch on its way through all steps.
template <class T> class ForwardRows {
 public:
  ForwardRows(const Forward<T>& f, const Packed<T>& w, const Part& part)
      : f_(f),
        w_(w),
        part_(part),
        rows_(part.of(f.s.batch)),
        h_row_(padded(f.s.out)),
        middle_row_(padded(f.s.units)),
        a_row_(padded(f.s.gates * f.s.units)),
        most_(chunk_rows(a_row_ * int64_t(sizeof(T)), int64_t(512) << 10)),
        states_(size_t(2 * rows_ * h_row_)),
        used_(size_t(f.mask ? rows_ * h_row_ : 1)),
        middle_(size_t(w.second ? rows_ * middle_row_ : 1)),
        starts_(size_t(f.s.steps + 1)),
        sums_(size_t(std::min(rows_ * f.s.steps, 2 * most_ + rows_) * a_row_)),
        h_(states_),
        next_(states_ + rows_ * h_row_) {
    starts_[0] = 0;
    for (int64_t t = 0; t < f.s.steps; ++t) starts_[t + 1] = starts_[t] + part.running(t);
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(last(i), f.s.out, h_ + i * h_row_);
  }
  ForwardRows(const ForwardRows&) = delete;

  void run() {
    const RecurrentShape& s = f_.s;
    for (int64_t k = 0, steps; k < s.steps; k += steps) {
      steps = together(k);
      const int64_t t0 = s.direction ? s.steps - k - steps : k;
      inputs(t0, steps);
      for (int64_t i = k; i < k + steps; ++i)
        step(s.time(i), sums_ + (starts_[s.time(i)] - starts_[t0]) * a_row_);
    }
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(h_ + i * h_row_, s.out, last(i));
  }

 private:
  T* last(int64_t row) const { return f_.h + part_.sample(row) * f_.s.out; }

  // The steps from k on whose input's part is made at once.
  int64_t together(int64_t k) const {
    const RecurrentShape& s = f_.s;
    const auto done = [&](int64_t i) {  // rows of the first i steps
      return s.direction ? starts_[s.steps] - starts_[s.steps - i] : starts_[i];
    };
    if (2 * (done(s.steps) - done(k)) <= 3 * most_) return s.steps - k;
    int64_t end = k + 1;
    while (end < s.steps && done(end + 1) - done(k) <= most_) ++end;
    return end - k;
  }

  // sums[row] = x[t, n] w_ih^T + bias for the rows that run at the steps t0 .. t0 + steps.
  void inputs(int64_t t0, int64_t steps) {
    const RecurrentShape& s = f_.s;
    const int64_t rows = starts_[t0 + steps] - starts_[t0], n = s.gates * s.units;
    const Matrix<T>& x = f_.x_step;
    if (rows == 0) return;
    if (part_.order.ragged()) {
      Workspace<T> joined(size_t(std::max<int64_t>(rows * s.inputs, 1)));
      T* to = joined;
      for (int64_t t = t0; t < t0 + steps; ++t)
        for (int64_t i = 0; i < part_.running(t); ++i, to += s.inputs) {
          const T* from = x.p + t * f_.x_time + part_.sample(i) * x.row;
          for (int64_t j = 0; j < s.inputs; ++j) to[j] = from[j * x.col];
        }
      return input_product({joined, s.inputs, 1}, rows, n);
    }
    const T* first = x.p + t0 * f_.x_time + part_.index * x.row;
    const int64_t row = part_.parts * x.row;
    if (rows_ == 1 || steps == 1 || f_.x_time == rows_ * row)
      return input_product({first, rows_ == 1 ? f_.x_time : row, x.col}, rows, n);
    Walk lanes;
    lanes.then(rows_, row);
    lanes.then(steps, f_.x_time);
    const WalkPanels<T> left(first, lanes, Walk(x.col)), right(f_.w_ih, Walk(s.inputs), Walk(1));
    Product<T> g = {};
    g.m = rows, g.n = n, g.k = s.inputs;
    g.a = &left, g.b = &right, g.c = sums_, g.rows = Walk(a_row_), g.cols = Walk(1), g.bias = w_.bias;
    g.packed_b = w_ih();
    multiply(g);
  }

  void input_product(const Matrix<T>& x, int64_t rows, int64_t columns) {
    Gemm<T> g = {};
    g.alpha = 1;
    g.m = rows, g.n = columns, g.k = f_.s.inputs;
    g.a = x, g.b = {f_.w_ih, 1, f_.s.inputs};
    g.c = sums_, g.c_row = a_row_, g.bias = w_.bias, g.packed_b = w_ih();
    gemm(g);
  }
  const T* w_ih() const { return w_.w_ih ? static_cast<const T*>(*w_.w_ih) : nullptr; }

  // a: the input's part of this step
  void step(int64_t t, T* a) {
    const RecurrentShape& s = f_.s;
    const int64_t count = part_.running(t);
    const T* from = h_;
    if (f_.mask) {
      for (int64_t i = 0; i < count; ++i) {
        const T* m = f_.mask + (s.direction * s.batch + part_.sample(i)) * s.out;
        for (int64_t u = 0; u < s.out; ++u) used_[i * h_row_ + u] = h_[i * h_row_ + u] * m[u];
      }
      from = used_;
    }
    const RecurrentStep<T> q = whole(t, a, from);
    const bool before = s.cell == kGruBefore;
    if (count > 0) w_.state.run(from, h_row_, count, finisher(before ? RecurrentPhase::reset : s.phase(), q));
    if (before && count > 0)
      w_.second->run(middle_, middle_row_, count, finisher(RecurrentPhase::gru_last, q));
    else if (w_.second && count > 0)
      w_.second->run(
          middle_, middle_row_, count,
          [&](const T* sums, int64_t row, int64_t, int64_t i, int64_t rows, int64_t unit, int64_t units) {
            for (int64_t r = i; r < i + rows; ++r, sums += row) {
              std::copy_n(sums, units, f_.y.at(t, part_.sample(r)) + unit);
              std::copy_n(sums, units, next_ + r * h_row_ + unit);
            }
          });
    for (int64_t r = count; r < rows_; ++r) hold(t, r);
    std::swap(h_, next_);
  }

  // Step t with all samples and units; rows of this part's own arrays stand as they lie there.
  RecurrentStep<T> whole(int64_t t, T* a, const T* from) {
    const RecurrentShape& s = f_.s;
    RecurrentStep<T> q = {};
    q.a = a, q.a_row = a_row_, q.a_gate = s.units;
    if (s.cell == kGruBefore) q.gates = a, q.gates_row = a_row_;
    if (f_.gates) q.gates = f_.gates + t * s.batch * s.saved * s.units, q.gates_row = s.saved * s.units;
    q.gates_gate = s.units;
    q.used = from, q.used_row = h_row_, q.reset = middle_, q.reset_row = middle_row_;
    q.bias = w_.inner, q.peephole = f_.peephole, q.peephole_gate = s.units;
    q.h = h_, q.h_row = h_row_;
    q.next = f_.w_hr ? static_cast<T*>(middle_) : next_, q.next_row = f_.w_hr ? middle_row_ : h_row_;
    if (s.states) q.c = f_.c, q.c_row = s.units;
    if (!f_.w_hr) q.y = f_.y.at(t, 0), q.y_row = f_.y.n;
    q.cells = f_.cells.at(t, 0), q.cells_row = f_.cells.n;
    return q;
  }

  // q as it is for the tile of rows from i on, the first of them `sample`, and units from `unit` on
  void move(RecurrentStep<T>& q, int64_t i, int64_t sample, int64_t unit) const {
    q.a += i * q.a_row + unit, q.h += i * q.h_row + unit, q.next += i * q.next_row + unit;
    q.used += i * q.used_row + unit, q.reset += i * q.reset_row + unit;
    if (q.bias) q.bias += unit;
    if (q.peephole) q.peephole += unit;
    const auto place = [&](T*& p, int64_t& row, bool own) {
      if (p) p += (own ? i : sample) * row + unit, row *= own ? 1 : part_.parts;
    };
    place(q.c, q.c_row, false), place(q.y, q.y_row, false), place(q.cells, q.cells_row, false);
    place(q.gates, q.gates_row, !f_.gates);
  }

  auto finisher(RecurrentPhase phase, const RecurrentStep<T>& whole) const {
    return [this, phase, &whole](const T* sums, int64_t row, int64_t gate, int64_t i, int64_t count,
                                 int64_t unit, int64_t units) {
      part_.straight(i, i + count, [&](int64_t r, int64_t end, int64_t sample) {
        RecurrentStep<T> q = whole;
        q.s = sums + (r - i) * row, q.s_row = row, q.s_gate = gate;
        move(q, r, sample, unit);
        q.rows = end - r, q.units = units;
        kernels<T>().recurrent_step(phase, q);
      });
    };
  }

  // Beyond the end of its sequence a row's state stays and its results are zero.
  void hold(int64_t t, int64_t r) {
    const RecurrentShape& s = f_.s;
    const int64_t n = part_.sample(r);
    std::copy_n(h_ + r * h_row_, s.out, next_ + r * h_row_);
    std::fill_n(f_.y.at(t, n), s.out, T(0));
    if (f_.cells.p) std::fill_n(f_.cells.at(t, n), s.units, T(0));
    if (f_.gates) std::fill_n(f_.gates + (t * s.batch + n) * s.saved * s.units, s.saved * s.units, T(0));
  }

  const Forward<T>& f_;
  const Packed<T>& w_;
  const Part part_;
  const int64_t rows_, h_row_, middle_row_, a_row_, most_;
  Workspace<T> states_, used_, middle_;
  Workspace<int64_t> starts_;  // rows that run before each step
  Workspace<T> sums_;          // the input's part of some steps
  T *h_, *next_;               // the states before and after this step
};

// b_ih + b_hh, without the part of b_hh that gru multiplies by its reset gate.
template <class T> const T* sum_biases(const Forward<T>& f, T* sum) {
  const int64_t n = f.s.gates * f.s.units, both = f.s.cell == kGru ? 2 * f.s.units : n;
  if (!f.b_hh) return f.b_ih;
  for (int64_t i = 0; i < n; ++i) sum[i] = (f.b_ih ? f.b_ih[i] : T(0)) + (i < both ? f.b_hh[i] : T(0));
  return sum;
}

// One direction and what its parts share.
template <class T> class ForwardPass {
 public:
  ForwardPass(const Forward<T>& f, const RecurrentSplit& split, bool once)
      : f_(f),
        split_(split),
        bias_sum_(size_t(f.s.gates * f.s.units)),
        w_{StepProduct<T>(f.w_hh, 1, f.s.out, f.s.out, f.s.cell == kGruBefore ? 2 : f.s.gates, f.s.units,
                          split.rows, split.shared(), once),
           {},
           {},
           sum_biases(f, static_cast<T*>(bias_sum_)),
           f.s.cell == kGru && f.b_hh ? f.b_hh + 2 * f.s.units : nullptr} {
    const RecurrentShape& s = f.s;
    const int64_t columns = s.gates * s.units,
                  most = chunk_rows(padded(columns) * int64_t(sizeof(T)), int64_t(512) << 10);
    // Whether packed must not depend on the threads, since sums of long depths then differ in their last
    // bits.
    if (s.inputs > 0 && (split.parted || 2 * f.order->rows_before(s.steps) > 3 * most)) {
      w_.w_ih.emplace(size_t(packed_size<T>(columns, s.inputs)));
      pack_b(Matrix<T>{f.w_ih, 1, s.inputs}, columns, s.inputs, static_cast<T*>(*w_.w_ih));
    }
    if (s.cell == kGruBefore)
      w_.second.emplace(f.w_hh + 2 * s.units * s.out, 1, s.out, s.units, 1, s.units, split.rows,
                        split.shared(), once);
    if (f.w_hr) w_.second.emplace(f.w_hr, 1, s.units, s.units, 1, s.out, split.rows, split.shared(), once);
  }

  void run(int64_t part) const { ForwardRows<T>(f_, w_, Part{*f_.order, part, split_.parts}).run(); }

 private:
  const Forward<T>& f_;
  const RecurrentSplit split_;
  Workspace<T> bias_sum_;
  Packed<T> w_;
};

template <class T> void forward(const Forward<T>* f) {
  const RecurrentShape& s = f->s;
  const bool once = s.batch <= 4 && s.steps <= 2;
  const int64_t columns = s.gates * s.units, weights = columns * s.out + (f->w_hr ? s.out * s.units : 0);
  const RecurrentSplit split = recurrent_split(s, once, weights, weights * int64_t(sizeof(T)));
  std::optional<ForwardPass<T>> passes[2];
  for (int d = 0; d < s.directions; ++d) passes[d].emplace(f[d], split, once);
  each_part(s, split, [&](int64_t d, int64_t part) { passes[d]->run(part); });
}

template <class T>
T* begin_state(const RecurrentShape& s, const Array& state, const OptView& start, int64_t width) {
  const int64_t size = s.batch * width, at = s.direction * size;
  T* h = state.as<T>() + at;
  const MaybeDense from(start);
  if (start)
    std::copy_n(from.as<T>(at), size, h);
  else
    std::fill_n(h, size, T(0));
  return h;
}

}  // namespace

Array5 recurrent_forward(const View& x, const OptView& h0, const OptView& c0, const View& w_ih,
                         const View& w_hh, const OptView& b_ih, const OptView& b_hh, const OptView& w_hr,
                         const OptView& peephole, const OptView& w_ih_reverse, const OptView& w_hh_reverse,
                         const OptView& b_ih_reverse, const OptView& b_hh_reverse,
                         const OptView& w_hr_reverse, const OptView& peephole_reverse, const OptView& lengths,
                         const OptView& mask, int64_t cell, bool batch_first, int64_t save) {
  const RecurrentWeights w = {{given(w_ih), w_ih_reverse}, {given(w_hh), w_hh_reverse},
                              {b_ih, b_ih_reverse},        {b_hh, b_hh_reverse},
                              {w_hr, w_hr_reverse},        {peephole, peephole_reverse}};
  const RecurrentShape s = recurrent_shape(cell, batch_first, x, w, h0, c0, lengths, mask);
  const Dtype dtype = recurrent_dtype(s.op, x, w, {{"h0", h0}, {"c0", c0}, {"mask", mask}});
  const int64_t first = batch_first ? s.batch : s.steps, next = batch_first ? s.steps : s.batch;
  const int64_t saved = save > 1 ? s.saved * s.units : 0, kept = save > 0 ? s.states : 0;
  const auto fresh = [&](std::initializer_list<int64_t> shape) {
    return output(s.op, dtype, int(shape.size()), shape.begin());
  };
  Array out = fresh({first, next, s.directions * s.out});
  Array h_last = fresh({s.directions, s.batch, s.out}), c_last = fresh({s.directions, s.batch, s.states});
  Array all_cells = fresh({first, next, s.directions * kept});
  Array gates = fresh({s.directions * s.steps, s.batch, saved});
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const MaybeDense m(mask);
    const Order order(s, lengths);
    std::optional<DenseWeights<T>> dense[2];
    Forward<T> f[2] = {};
    for (int d = 0; d < s.directions; ++d) {
      const DenseWeights<T>& now = dense[d].emplace(w, d);
      f[d].s = s, f[d].s.direction = d;
      f[d].x_step = {x.as<const T>(), x.step(batch_first ? 0 : 1), x.step(2)},
      f[d].x_time = x.step(batch_first ? 1 : 0);
      f[d].w_ih = now.w_ih.template as<T>(), f[d].w_hh = now.w_hh.template as<T>();
      f[d].b_ih = now.b_ih.template as<T>(), f[d].b_hh = now.b_hh.template as<T>();
      f[d].w_hr = now.w_hr.template as<T>(), f[d].peephole = now.peephole.template as<T>();
      f[d].mask = m.as<T>(), f[d].order = &order;
      f[d].h = begin_state<T>(f[d].s, h_last, h0, s.out),
      f[d].c = begin_state<T>(f[d].s, c_last, c0, s.states);
      f[d].y = sequence(f[d].s, out.as<T>(), s.out);
      f[d].cells = sequence(f[d].s, all_cells.as<T>(), kept);
      f[d].gates = saved ? gates.as<T>() + d * s.rows() * saved : nullptr;
    }
    if (s.rows() > 0) forward(f);
  });
  return {std::move(out), std::move(h_last), std::move(c_last), std::move(all_cells), std::move(gates)};
}

}  // namespace nn::cpu
