// Recurrent layers over whole sequences, forward: one direction of a layer per call.
//
//   a = x w_ih^T + b        the input's part of all steps, one product
//   h_t = cell(a_t + h_(t-1) w_hh^T, h_(t-1), c_(t-1))        step by step, w_hh packed once
//
// A step is a product whose tiles (some units with all their gates) are finished by simd/recurrent.inl while
// they lie in L1. Two copies of h take turns: a step reads one and writes the other. With threads, the batch
// is split, or the units of a step if there are few rows or large weights. Bound by the FMA units, with few
// rows by reading w_hh from L2 or L3. The merged products follow Appleyard et al. 2016 (arXiv 1604.01946);
// the resident weights, DeepCPU (Zhang et al. 2018).
#include "recurrent.h"

namespace nn::cpu {
namespace {

constexpr const char* kNames[kCells] = {"rnn", "rnn", "lstm", "gru", "gru"};
std::string shape_text(std::initializer_list<int64_t> shape) {
  return text(View{nullptr, Dtype::f32, true, false, int(shape.size()), shape.begin(), shape.begin()});
}

bool has_shape(const View& v, std::initializer_list<int64_t> shape) {
  return v.ndim == int(shape.size()) && std::equal(shape.begin(), shape.end(), v.shape);
}

void check_lengths(const RecurrentShape& s, const OptView& lengths) {
  if (!lengths) return;
  if (lengths.dtype != Dtype::i64) fail_type(s.op, "lengths must be int64");
  if (!has_shape(lengths, {s.batch}))
    fail(s.op, "lengths must hold one number per sample", {{"lengths", lengths}});
  for (int64_t n = 0; n < s.batch; ++n) {
    const int64_t end = lengths.as<int64_t>()[n * lengths.step(0)];
    if (end < 0 || end > s.steps)
      throw std::invalid_argument(std::string(s.op) + ": lengths must be in [0, " + std::to_string(s.steps) +
                                  "], but lengths[" + std::to_string(n) + "] is " + std::to_string(end));
  }
}

}  // namespace

void demand_shape(const RecurrentShape& s, const char* name, const OptView& v,
                  std::initializer_list<int64_t> shape, bool contiguous) {
  if (!v) return;
  if (!has_shape(v, shape))
    fail(s.op, std::string(name) + " must have shape " + shape_text(shape), {{name, v}});
  if (contiguous && v.size() > 0 && !v.contiguous())
    fail(s.op, std::string(name) + " must be contiguous", {{name, v}});
}

RecurrentShape recurrent_shape(int64_t cell, int64_t direction, int64_t directions, bool batch_first,
                               const View& x, const View& w_ih, const View& w_hh, const OptView& w_hr,
                               const OptView& peephole, const OptView& h0, const OptView& c0,
                               const OptView& lengths, const OptView& mask) {
  if (cell < 0 || cell >= kCells) throw std::invalid_argument("recurrent: unknown cell");
  RecurrentShape s = {};
  s.op = kNames[cell], s.cell = cell, s.batch_first = batch_first;
  s.direction = direction, s.directions = directions;
  if (directions < 1 || directions > 2 || direction < 0 || direction >= directions)
    throw std::invalid_argument(std::string(s.op) + ": one or two directions");
  if (x.ndim != 3) fail(s.op, "x must have three axes", {{"x", x}});
  s.steps = x.shape[batch_first ? 1 : 0], s.batch = x.shape[batch_first ? 0 : 1], s.inputs = x.shape[2];
  s.gates = kGates[cell], s.saved = kSaved[cell];
  if (w_hh.ndim != 2 || w_hh.shape[0] % s.gates || w_hh.shape[0] == 0 || w_hh.shape[1] == 0)
    fail(s.op, "w_hh must be (" + std::to_string(s.gates) + " * units, units)", {{"w_hh", w_hh}});
  s.units = w_hh.shape[0] / s.gates, s.out = w_hh.shape[1], s.states = cell == kLstm ? s.units : 0;
  if (!has_shape(w_ih, {s.gates * s.units, s.inputs}))
    fail(s.op, "w_ih must have shape " + shape_text({s.gates * s.units, s.inputs}) + " for this x and w_hh",
         {{"x", x}, {"w_ih", w_ih}, {"w_hh", w_hh}});
  if (!w_hr && s.out != s.units)
    fail(s.op, "w_hh must have shape " + shape_text({w_hh.shape[0], s.units}), {{"w_hh", w_hh}});
  if ((w_hr || peephole || c0) && cell != kLstm)
    throw std::invalid_argument(std::string(s.op) + ": w_hr, peephole and c0 belong to lstm");
  demand_shape(s, "w_hr", w_hr, {s.out, s.units});
  demand_shape(s, "peephole", peephole, {3, s.units});
  demand_shape(s, "h0", h0, {directions, s.batch, s.out});
  demand_shape(s, "c0", c0, {directions, s.batch, s.states});
  demand_shape(s, "mask", mask, {directions, s.batch, s.out});
  check_lengths(s, lengths);
  return s;
}

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

template <class T> void forward(const Forward<T>& f) {
  const RecurrentShape& s = f.s;
  const int64_t columns = s.gates * s.units, kept = f.gates ? s.saved * s.units : columns;
  Workspace<T> sum(static_cast<size_t>(columns));
  const T* bias = sum_biases(f, static_cast<T*>(sum));
  const T* inner = s.cell == kGru && f.b_hh ? f.b_hh + 2 * s.units : nullptr;
  const bool before = s.cell == kGruBefore, once = s.batch <= 4 && s.steps <= 2;
  const int64_t chunk = chunk_steps(s, columns * int64_t(sizeof(T)), int64_t(512) << 10);
  const bool reuse = chunk < s.steps && s.inputs > 0;
  Workspace<T> w_ih(size_t(reuse ? packed_size<T>(columns, s.inputs) : 1));
  if (reuse) pack_b(Matrix<T>{f.w_ih, 1, s.inputs}, columns, s.inputs, static_cast<T*>(w_ih));
  Workspace<T> sums(size_t(f.gates ? 1 : chunk * s.batch * columns));

  const int64_t in_second = (before ? s.units * s.units : 0) + (f.w_hr ? s.out * s.units : 0);
  const int64_t weights = columns * s.out - (before ? s.units * s.units : 0) + in_second;
  const int64_t parts = once ? 1 : batch_parts(s.batch, s.steps, weights * int64_t(sizeof(T)), 2 * weights);
  const int64_t rows = (s.batch + parts - 1) / parts;
  const StepProduct<T> product(f.w_hh, 1, s.out, s.out, before ? 2 : s.gates, s.units, rows, parts == 1,
                               once);
  std::optional<StepProduct<T>> second;
  if (before)
    second.emplace(f.w_hh + 2 * s.units * s.out, 1, s.out, s.units, 1, s.units, rows, parts == 1, once);
  if (f.w_hr) second.emplace(f.w_hr, 1, s.units, s.units, 1, s.out, rows, parts == 1, once);

  for (int64_t k = 0; k < s.steps; k += chunk) {
    const int64_t steps = std::min(chunk, s.steps - k), t0 = s.direction ? s.steps - k - steps : k;
    T* a = f.gates ? f.gates + t0 * s.batch * kept : static_cast<T*>(sums);
    input_product(f, t0, steps, reuse ? static_cast<const T*>(w_ih) : nullptr, bias, a, kept);
    parallel_for(parts, 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        ForwardRows<T> some(f, product, second ? &*second : nullptr, inner, part * rows,
                            std::min(s.batch, (part + 1) * rows));
        for (int64_t i = 0; i < steps; ++i) {
          const int64_t t = s.time(k + i);
          some.step(t, a + (t - t0) * s.batch * kept, kept);
        }
      }
    });
  }
}

// `given` if there is one, else a fresh array; contiguous either way.
Array result(const RecurrentShape& s, const char* name, Dtype dtype, const OptView& given,
             std::initializer_list<int64_t> shape) {
  demand_shape(s, name, given, shape, true);
  return output(s.op, dtype, int(shape.size()), shape.begin(), &given);
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
                         const OptView& peephole, const OptView& lengths, const OptView& mask,
                         const OptView& y, const OptView& h_n, const OptView& c_n, const OptView& cells,
                         int64_t cell, int64_t direction, int64_t directions, bool batch_first,
                         int64_t save) {
  const RecurrentShape s = recurrent_shape(cell, direction, directions, batch_first, x, w_ih, w_hh, w_hr,
                                           peephole, h0, c0, lengths, mask);
  Dtype dtype = common_dtype(s.op, {{"x", x}, {"w_ih", w_ih}, {"w_hh", w_hh}});
  for (const Named& a : {Named{"h0", h0},
                         {"c0", c0},
                         {"b_ih", b_ih},
                         {"b_hh", b_hh},
                         {"w_hr", w_hr},
                         {"peephole", peephole},
                         {"mask", mask}})
    if (static_cast<const OptView&>(a.view)) dtype = common_dtype(s.op, {{"x", x}, a});
  demand_shape(s, "b_ih", b_ih, {s.gates * s.units});
  demand_shape(s, "b_hh", b_hh, {s.gates * s.units});
  const int64_t first = batch_first ? s.batch : s.steps, next = batch_first ? s.steps : s.batch;
  const int64_t saved = save > 1 ? s.saved * s.units : 0, kept = save > 0 ? s.states : 0;
  Array out = result(s, "y", dtype, y, {first, next, directions * s.out});
  Array h_last = result(s, "h_n", dtype, h_n, {directions, s.batch, s.out});
  Array c_last = result(s, "c_n", dtype, c_n, {directions, s.batch, s.states});
  Array all_cells = result(s, "cells", dtype, cells, {first, next, directions * kept});
  Array gates = result(s, "gates", dtype, OptView(), {s.steps, s.batch, saved});
  dispatch(dtype, [&](auto type) {
    using T = decltype(type);
    const Dense w_i(w_ih), w_h(w_hh);
    const MaybeDense b_i(b_ih), b_h(b_hh), w_r(w_hr), peep(peephole), m(mask);
    const Ends ends(s, lengths);
    Forward<T> f = {};
    f.s = s;
    f.x_step = {x.as<const T>(), x.step(batch_first ? 0 : 1), x.step(2)},
    f.x_time = x.step(batch_first ? 1 : 0);
    f.w_ih = w_i.as<T>(), f.w_hh = w_h.as<T>(), f.b_ih = b_i.as<T>(), f.b_hh = b_h.as<T>();
    f.w_hr = w_r.as<T>(), f.peephole = peep.as<T>(), f.mask = m.as<T>();
    f.ends = &ends;
    f.h = begin_state<T>(s, h_last, h0, s.out), f.c = begin_state<T>(s, c_last, c0, s.states);
    f.y = sequence(s, out.as<T>(), s.out), f.cells = sequence(s, all_cells.as<T>(), kept);
    f.gates = saved ? gates.as<T>() : nullptr;
    if (s.rows() > 0) forward(f);
  });
  return {out, h_last, c_last, all_cells, gates};
}

}  // namespace nn::cpu
