// Recurrent layers over whole sequences, forward: a layer in one or two directions.
//
//   a = x w_ih^T + b        the input's part of all steps, one product
//   h_t = cell(a_t + h_(t-1) w_hh^T, h_(t-1), c_(t-1))        step by step, w_hh packed once
//
// A step is a product whose tiles (some units with all their gates) are finished by simd/recurrent.inl while
// they lie in L1. Two copies of h take turns: a step reads one and writes the other. Threads take the two
// directions side by side, or parts of the batch; with few rows or large weights the units of a step. Bound
// by the FMA units, with few rows by reading w_hh from L2 or L3. The merged products follow Appleyard et al.
// 2016 (arXiv 1604.01946); the resident weights, DeepCPU (Zhang et al. 2018).
#include "recurrent.h"

namespace nn::cpu {

int64_t chunk_steps(const RecurrentShape& s, int64_t row_bytes, int64_t bytes) {
  const int64_t rows = std::max(int64_t(256), bytes / row_bytes);
  const int64_t steps = std::max<int64_t>(1, rows / std::max<int64_t>(s.batch, 1));
  return 2 * steps > s.steps ? std::max<int64_t>(s.steps, 1) : steps;
}

namespace {

// Arrays of one call; those that may be missing are null.
template <class T> struct Forward {
  RecurrentShape s;
  Matrix<T> x_step;  // x of one step
  int64_t x_time;
  const T *w_ih, *w_hh, *b_ih, *b_hh, *w_hr, *peephole, *mask;
  const Ends* ends;
  T *h, *c;
  Sequence<T> y, cells;
  T* gates;  // kept for backward
};

// The steps of a layer that lie between two threads' meetings: the rows
// begin..end of the batch.
template <class T> class ForwardRows {
 public:
  ForwardRows(const Forward<T>& f, const StepProduct<T>& product, const StepProduct<T>* second, const T* bias,
              int64_t begin, int64_t end)
      : f_(f),
        product_(product),
        second_(second),
        bias_(bias),
        begin_(begin),
        rows_(end - begin),
        h_row_(padded(f.s.out)),
        middle_row_(padded(f.s.units)),
        states_(size_t(2 * rows_ * h_row_)),
        used_(size_t(f.mask ? rows_ * h_row_ : 1)),
        middle_(size_t(second ? rows_ * middle_row_ : 1)),
        running_(*f.ends, begin, rows_, std::max(f.s.out, f.s.units)),
        h_(states_),
        next_(states_ + rows_ * h_row_) {
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(last(i), f.s.out, h_ + i * h_row_);
  }
  ~ForwardRows() {
    for (int64_t i = 0; i < rows_; ++i) std::copy_n(h_ + i * h_row_, f_.s.out, last(i));
  }
  ForwardRows(const ForwardRows&) = delete;

  // a: the input's part of this step
  void step(int64_t t, T* a, int64_t a_row) {
    const RecurrentShape& s = f_.s;
    const T* from = h_;
    if (f_.mask) {
      const T* m = f_.mask + (s.direction * s.batch + begin_) * s.out;
      for (int64_t i = 0; i < rows_; ++i)
        for (int64_t u = 0; u < s.out; ++u) used_[i * h_row_ + u] = h_[i * h_row_ + u] * m[i * s.out + u];
      from = used_;
    }
    RecurrentStep<T> q = {};
    q.a = a + begin_ * a_row, q.a_row = a_row, q.a_gate = s.units;
    q.gates_gate = s.units, q.gates_row = a_row;
    const bool before = s.cell == kGruBefore;
    if (f_.gates || before) q.gates = a + begin_ * a_row;
    q.used = from, q.used_row = h_row_, q.reset = middle_, q.reset_row = middle_row_;
    place(q, t);
    running_.product(product_, t, from, h_row_, finisher(before ? RecurrentPhase::reset : s.phase(), q));
    if (before)
      running_.product(*second_, t, middle_, middle_row_, finisher(RecurrentPhase::gru_last, q));
    else if (second_)
      running_.product(
          *second_, t, middle_, middle_row_,
          [&](const T* sums, int64_t row, int64_t, int64_t i, int64_t count, int64_t unit, int64_t units) {
            for (int64_t r = i; r < i + count; ++r, sums += row) {
              std::copy_n(sums, units, f_.y.at(t, begin_ + r) + unit);
              std::copy_n(sums, units, next_ + r * h_row_ + unit);
            }
          });
    running_.rest(t, [&](int64_t first, int64_t count) {
      for (int64_t r = first; r < first + count; ++r) hold(q, t, r);
    });
    std::swap(h_, next_);
  }

 private:
  T* last(int64_t row) const { return f_.h + (begin_ + row) * f_.s.out; }

  void place(RecurrentStep<T>& q, int64_t t) {
    const RecurrentShape& s = f_.s;
    q.bias = bias_, q.peephole = f_.peephole, q.peephole_gate = s.units;
    q.h = h_, q.h_row = h_row_;
    q.next = f_.w_hr ? static_cast<T*>(middle_) : next_, q.next_row = f_.w_hr ? middle_row_ : h_row_;
    if (s.states) q.c = f_.c + begin_ * s.units, q.c_row = s.units;
    if (!f_.w_hr) q.y = f_.y.at(t, begin_), q.y_row = f_.y.n;
    q.cells = f_.cells.at(t, begin_), q.cells_row = f_.cells.n;
  }

  // q as it is for the tile of rows from i on and units from `unit` on
  static void move(RecurrentStep<T>& q, int64_t i, int64_t unit) {
    q.a += i * q.a_row + unit, q.h += i * q.h_row + unit, q.next += i * q.next_row + unit;
    q.used += i * q.used_row + unit, q.reset += i * q.reset_row + unit;
    if (q.c) q.c += i * q.c_row + unit;
    if (q.y) q.y += i * q.y_row + unit;
    if (q.cells) q.cells += i * q.cells_row + unit;
    if (q.gates) q.gates += i * q.gates_row + unit;
    if (q.bias) q.bias += unit;
    if (q.peephole) q.peephole += unit;
  }

  auto finisher(RecurrentPhase phase, const RecurrentStep<T>& whole) {
    return [phase, &whole](const T* sums, int64_t row, int64_t gate, int64_t i, int64_t count, int64_t unit,
                           int64_t units) {
      RecurrentStep<T> q = whole;
      q.s = sums, q.s_row = row, q.s_gate = gate;
      move(q, i, unit);
      q.rows = count, q.units = units;
      kernels<T>().recurrent_step(phase, q);
    };
  }

  // Beyond the end of its sequence a row's state stays and its results are zero.
  void hold(const RecurrentStep<T>& q, int64_t t, int64_t r) {
    const RecurrentShape& s = f_.s;
    std::copy_n(h_ + r * h_row_, s.out, next_ + r * h_row_);
    std::fill_n(f_.y.at(t, begin_ + r), s.out, T(0));
    if (q.cells) std::fill_n(q.cells + r * q.cells_row, s.units, T(0));
    if (f_.gates) std::fill_n(q.gates + r * q.gates_row, s.saved * s.units, T(0));
  }

  const Forward<T>& f_;
  const StepProduct<T>& product_;
  const StepProduct<T>* second_;
  const T* bias_;
  int64_t begin_, rows_, h_row_, middle_row_;
  Workspace<T> states_, used_, middle_;
  Running<T> running_;
  T *h_, *next_;  // the states before and after this step
};

// a[t, n] = x[t, n] w_ih^T + bias for the steps t0 .. t0 + steps. packed:
// w_ih's panels, or null.
template <class T> void input_product(const Forward<T>& f, int64_t t0, int64_t steps, const T* packed,
                                      const T* bias, T* a, int64_t a_row) {
  const RecurrentShape& s = f.s;
  const T* x = f.x_step.p + t0 * f.x_time;
  const bool straight = s.batch == 1 || steps == 1 || f.x_time == s.batch * f.x_step.row;
  if (straight) {
    Gemm<T> g = {};
    g.alpha = 1;
    g.m = steps * s.batch, g.n = s.gates * s.units, g.k = s.inputs;
    g.a = {x, s.batch == 1 ? f.x_time : f.x_step.row, f.x_step.col}, g.b = {f.w_ih, 1, s.inputs};
    g.c = a, g.c_row = a_row, g.bias = bias, g.packed_b = packed;
    return gemm(g);
  }
  Walk rows;
  rows.then(s.batch, f.x_step.row);
  rows.then(steps, f.x_time);
  const WalkPanels<T> left(x, rows, Walk(f.x_step.col)), right(f.w_ih, Walk(s.inputs), Walk(1));
  Product<T> g = {};
  g.alpha = 1;
  g.m = steps * s.batch, g.n = s.gates * s.units, g.k = s.inputs;
  g.a = &left, g.b = &right, g.c = a, g.rows = Walk(a_row), g.cols = Walk(1), g.bias = bias;
  g.packed_b = packed;
  multiply(g);
}

// b_ih + b_hh, without the part of b_hh that gru multiplies by its reset gate.
template <class T> const T* sum_biases(const Forward<T>& f, T* sum) {
  const int64_t n = f.s.gates * f.s.units, both = f.s.cell == kGru ? 2 * f.s.units : n;
  if (!f.b_hh) return f.b_ih;
  for (int64_t i = 0; i < n; ++i) sum[i] = (f.b_ih ? f.b_ih[i] : T(0)) + (i < both ? f.b_hh[i] : T(0));
  return sum;
}

// One direction: its packed weights and the sums of its gates.
template <class T> class ForwardPass {
 public:
  ForwardPass(const Forward<T>& f, const RecurrentSplit& split, int64_t chunk, bool once)
      : f_(f),
        split_(split),
        columns_(f.s.gates * f.s.units),
        kept_(f.gates ? f.s.saved * f.s.units : columns_),
        reuse_(chunk < f.s.steps && f.s.inputs > 0),
        bias_sum_(size_t(columns_)),
        w_ih_(size_t(reuse_ ? packed_size<T>(columns_, f.s.inputs) : 1)),
        sums_(size_t(f.gates ? 1 : chunk * f.s.batch * columns_)),
        product_(f.w_hh, 1, f.s.out, f.s.out, f.s.cell == kGruBefore ? 2 : f.s.gates, f.s.units, split.rows,
                 split.shared(), once) {
    const RecurrentShape& s = f.s;
    bias_ = sum_biases(f, static_cast<T*>(bias_sum_));
    if (reuse_) pack_b(Matrix<T>{f.w_ih, 1, s.inputs}, columns_, s.inputs, static_cast<T*>(w_ih_));
    if (s.cell == kGruBefore)
      second_.emplace(f.w_hh + 2 * s.units * s.out, 1, s.out, s.units, 1, s.units, split.rows, split.shared(),
                      once);
    if (f.w_hr) second_.emplace(f.w_hr, 1, s.units, s.units, 1, s.out, split.rows, split.shared(), once);
  }

  // The input's part of the steps k .. k + steps.
  void inputs(int64_t k, int64_t steps) {
    k_ = k, steps_ = steps, t0_ = f_.s.direction ? f_.s.steps - k - steps : k;
    a_ = f_.gates ? f_.gates + t0_ * f_.s.batch * kept_ : static_cast<T*>(sums_);
    input_product(f_, t0_, steps, reuse_ ? static_cast<const T*>(w_ih_) : nullptr, bias_, a_, kept_);
  }

  void run(int64_t part) const {
    const RecurrentShape& s = f_.s;
    const T* inner = s.cell == kGru && f_.b_hh ? f_.b_hh + 2 * s.units : nullptr;
    ForwardRows<T> some(f_, product_, second_ ? &*second_ : nullptr, inner, part * split_.rows,
                        std::min(s.batch, (part + 1) * split_.rows));
    for (int64_t i = 0; i < steps_; ++i) {
      const int64_t t = s.time(k_ + i);
      some.step(t, a_ + (t - t0_) * s.batch * kept_, kept_);
    }
  }

 private:
  const Forward<T>& f_;
  const RecurrentSplit split_;
  const int64_t columns_, kept_;
  const bool reuse_;
  Workspace<T> bias_sum_, w_ih_, sums_;
  StepProduct<T> product_;
  std::optional<StepProduct<T>> second_;  // gru before: of the reset state; or the projection
  const T* bias_ = nullptr;
  T* a_ = nullptr;
  int64_t k_ = 0, steps_ = 0, t0_ = 0;
};

template <class T> void forward(const Forward<T>* f) {
  const RecurrentShape& s = f->s;
  const bool once = s.batch <= 4 && s.steps <= 2;
  const int64_t columns = s.gates * s.units, weights = columns * s.out + (f->w_hr ? s.out * s.units : 0);
  const RecurrentSplit split = recurrent_split(s, once, weights, weights * int64_t(sizeof(T)));
  const int64_t chunk = chunk_steps(s, columns * int64_t(sizeof(T)), int64_t(512) << 10);
  std::optional<ForwardPass<T>> passes[2];
  for (int d = 0; d < s.directions; ++d) passes[d].emplace(f[d], split, chunk, once);
  for (int64_t k = 0; k < s.steps; k += chunk) {
    for (int d = 0; d < s.directions; ++d) passes[d]->inputs(k, std::min(chunk, s.steps - k));
    each_part(s, split, [&](int64_t d, int64_t part) { passes[d]->run(part); });
  }
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
    const Ends ends(s, lengths);
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
      f[d].mask = m.as<T>(), f[d].ends = &ends;
      f[d].h = begin_state<T>(f[d].s, h_last, h0, s.out),
      f[d].c = begin_state<T>(f[d].s, c_last, c0, s.states);
      f[d].y = sequence(f[d].s, out.as<T>(), s.out);
      f[d].cells = sequence(f[d].s, all_cells.as<T>(), kept);
      f[d].gates = saved ? gates.as<T>() + d * s.rows() * saved : nullptr;
    }
    if (s.rows() > 0) forward(f);
  });
  return {out, h_last, c_last, all_cells, gates};
}

}  // namespace nn::cpu
