// Gradients of a recurrent layer that are products over all steps and samples, once d is known: see
// recurrent_backward.cpp.
#include "recurrent_backward.h"

namespace nn::cpu {
namespace {

// What the weights met, a row for each row of d: x up to a whole panel, h_(t-1).
template <class T> class Seen : public Panels<T> {
 public:
  explicit Seen(const Backward<T>& f) : f_(f) {}
  // Columns of x, or none; resets: h_(t-1) comes times r.
  void choose(bool inputs, bool resets) {
    inputs_ = inputs ? f_.s.inputs : 0, split_ = round_up(inputs_, kernels<T>().gemm_shape().nr);
    resets_ = resets;
  }
  int64_t inputs() const { return inputs_; }
  int64_t split() const { return split_; }

  int64_t together() const override { return 16; }  // rows are read in straight lines
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override {
    const bool state = lane >= split_;
    if (state) lane -= split_;
    lanes = int(std::min<int64_t>(lanes, (state ? f_.s.out : inputs_) - lane));
    for (int64_t k = f_.first, i = depth; i < depth + count; ++k) {
      if (!f_.order->ragged()) k = f_.first + i / f_.s.batch;
      const int64_t here = f_.place(k), end = std::min(depth + count, f_.place(k + 1));
      if (end <= i) continue;
      const int64_t before = f_.ran_before(k);
      const auto key = [&](int64_t p) { return 2 * (f_.order->sample(p) - p) + (p < before); };
      stretches(i - here, end - here, key, [&](int64_t begin, int64_t last, int64_t by) {
        const int64_t n = begin + (by >> 1);
        T* to = out + (here + begin - depth) * width;
        if (state)
          put_state(k, n, n + last - begin, by & 1, lane, lanes, width, to);
        else
          put_input(f_.s.time(k), n, last - begin, lane, lanes, width, to);
      });
      i = end;
    }
  }

  // Step after step where nothing is missing between them.
  bool straight(int64_t lane, int64_t lanes, int64_t depth, int64_t count, Matrix<T>* found) const override {
    const RecurrentShape& s = f_.s;
    const bool state = lane >= split_;
    if (state) lane -= split_;
    if (f_.order->ragged() || lane + lanes > (state ? s.out : inputs_)) return false;
    const int64_t k = f_.first + depth / s.batch, n = depth % s.batch;
    const bool one_step = n + count <= s.batch;
    if (s.direction && !one_step) return false;
    if (!state) {
      *found = {f_.x_step.p + s.time(k) * f_.x_time + n * f_.x_step.row + lane * f_.x_step.col, f_.x_step.col,
                f_.x_step.row};
      return one_step || f_.x_time == s.batch * f_.x_step.row;
    }
    if (k == 0 || f_.mask || resets_) return false;
    *found = {f_.y.at(s.time(k - 1), n) + lane, 1, f_.y.n};
    return one_step || f_.y.t == s.batch * f_.y.n;
  }

 private:
  void put_input(int64_t t, int64_t n, int64_t rows, int64_t lane, int lanes, int width, T* out) const {
    const Matrix<T>& x = f_.x_step;
    const T* from = x.p + t * f_.x_time + n * x.row + lane * x.col;
    kernels<T>().pack(from, x.col, x.row, lanes, width, rows, out, width);
  }

  // Of the samples begin..end at step k; was: they had a step before.
  void put_state(int64_t k, int64_t begin, int64_t end, bool was, int64_t lane, int lanes, int width,
                 T* out) const {
    const RecurrentShape& s = f_.s;
    const int64_t t = s.time(k);
    const Sequence<const T> h = f_.before(f_.y, f_.h0, s.out, k, was);
    if (!h.p) return std::fill_n(out, (end - begin) * width, T(0)), void();
    kernels<T>().pack(h.at(0, begin) + lane, 1, h.n, lanes, width, end - begin, out, width);
    const auto times = [&](const T* by, int64_t row) {
      for (int64_t n = begin; n < end; ++n)
        for (int u = 0; u < lanes; ++u) out[(n - begin) * width + u] *= by[n * row + lane + u];
    };
    if (f_.mask) times(f_.mask + s.direction * s.batch * s.out, s.out);
    if (resets_) times(f_.gates + t * s.batch * s.saved * s.units, s.saved * s.units);
  }

  const Backward<T>& f_;
  int64_t inputs_ = 0, split_ = 0;
  bool resets_ = false;
};

// The chunk's d^T b for m columns of d: gw_ih (or null) takes the columns of x, gw_hh (or null) those of h.
template <class T> void weight_grad(const Backward<T>& f, const T* d, const Walk& columns, int64_t m,
                                    const Seen<T>& b, T* gw_ih, T* gw_hh) {
  const WalkPanels<T> left(d, columns, Walk(f.d_row()));
  Product<T> g = {};
  g.m = m, g.n = gw_hh ? b.split() + f.s.out : b.inputs(), g.k = f.rows();
  g.a = &left, g.b = &b, g.c = gw_ih, g.rows = Walk(f.s.inputs), g.cols = Walk(1);
  g.own = b.inputs(), g.split = b.split(), g.c2 = gw_hh, g.c2_row = f.s.out;
  g.accumulate = f.more();
  multiply(g);
}

// The sums of d's columns over the chunk, added to those of later chunks.
template <class T> void bias_gradients(const Backward<T>& f, T* gb_ih, T* gb_hh) {
  const int64_t h = f.s.units, columns = f.columns();
  const int64_t grain = std::max(round_up((int64_t(256) << 10) / std::max<int64_t>(f.rows(), 1) + 1, 64),
                                 round_up(ceil_div(columns, num_threads()), 64));  // long rows
  const T one = 1;
  Workspace<T> sums(static_cast<size_t>(columns));
  parallel_for(columns, grain, [&](int64_t begin, int64_t end) {
    kernels<T>().gemv_axpy(f.d + begin, f.d_row(), &one, 0, f.rows(), end - begin, sums + begin);
  });
  const auto put = [&](T* to, int64_t from, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[i] = f.more() ? to[i] + sums[from + i] : sums[from + i];
  };
  put(gb_ih, 0, f.s.gates * h);
  if (gb_hh) put(gb_hh, 0, 2 * h), put(gb_hh + 2 * h, 3 * h, h);
}

template <class T> void peephole_grad(const Backward<T>& f, T* g) {
  const RecurrentShape& s = f.s;
  const int64_t h = s.units;
  if (!f.more()) std::fill_n(g, 3 * h, T(0));
  for (int64_t k = f.first; k < f.first + f.count; ++k)
    for (int64_t p = 0; p < f.running(k); ++p) {
      const int64_t n = f.order->sample(p);
      const T* d = f.d + (f.place(k) + p) * f.d_row();
      const T* before = f.before(f.cells, f.c0, h, k, p < f.ran_before(k)).at(0, n);
      const T* c = f.cells.at(s.time(k), n);
      for (int64_t u = 0; u < h; ++u) {
        if (before) g[u] += d[u] * before[u], g[h + u] += d[h + u] * before[u];
        g[2 * h + u] += d[3 * h + u] * c[u];
      }
    }
}

template <class T> void projection_grad(const Backward<T>& f, T* gw_hr) {
  const RecurrentShape& s = f.s;
  Workspace<T> hidden(size_t(f.rows() * s.units));
  for (int64_t k = f.first; k < f.first + f.count; ++k)
    for (int64_t p = 0; p < f.running(k); ++p) {
      const int64_t t = s.time(k), n = f.order->sample(p);
      T* h = hidden + (f.place(k) + p) * s.units;
      const T* o = f.gates + (4 * (t * s.batch + n) + 3) * s.units;
      kernels<T>().unary(int(Unary::tanh), f.cells.at(t, n), h, s.units, false);
      for (int64_t u = 0; u < s.units; ++u) h[u] *= o[u];
    }
  const WalkPanels<T> left(f.dout, Walk(1), Walk(s.out)), right(hidden, Walk(1), Walk(s.units));
  Product<T> g = {};
  g.m = s.out, g.n = s.units, g.k = f.rows();
  g.a = &left, g.b = &right, g.c = gw_hr, g.rows = Walk(s.units), g.cols = Walk(1);
  g.accumulate = f.more();
  multiply(g);
}

}  // namespace

template <class T> void weight_gradients(const Backward<T>& f, const Gradients<T>& to) {
  const RecurrentShape& s = f.s;
  const int64_t h = s.units, first = s.gates * h;
  Seen<T> seen(f);
  seen.choose(true, false);
  if (s.cell != kGru && s.cell != kGruBefore) {  // one product for both weights: d is packed once
    weight_grad(f, f.d, Walk(1), first, seen, to.gw_ih, to.gw_hh);
  } else {
    weight_grad<T>(f, f.d, Walk(1), first, seen, to.gw_ih, nullptr);
    seen.choose(false, false);
    Walk columns;  // gru's n has a part of its own for the state
    columns.then(2 * h, 1), columns.then(2, 3 * h);
    weight_grad<T>(f, f.d, columns, s.cell == kGru ? first : 2 * h, seen, nullptr, to.gw_hh);
  }
  if (s.cell == kGruBefore) {
    seen.choose(false, true);
    weight_grad<T>(f, f.d + 2 * h, Walk(1), h, seen, nullptr, to.gw_hh + 2 * h * s.out);
  }
  bias_gradients(f, to.gb_ih, to.gb_hh);
  if (to.gpeephole) peephole_grad(f, to.gpeephole);
  if (to.gw_hr) projection_grad(f, to.gw_hr);
}

template <class T> void input_gradient(const Backward<T>& f, const T* packed, bool add) {
  const RecurrentShape& s = f.s;
  const WalkPanels<T> left(f.d, Walk(f.d_row()), Walk(1)), right(f.w_ih, Walk(1), Walk(s.inputs));
  const int64_t row = s.batch_first ? s.steps * s.inputs : s.inputs,
                step = s.batch_first ? s.inputs : s.batch * s.inputs;
  Product<T> g = {};
  g.m = f.rows(), g.n = s.inputs, g.k = s.gates * s.units;
  g.a = &left, g.b = &right, g.packed_b = packed, g.cols = Walk(1);
  if (!f.order->ragged()) {
    g.c = f.gx + s.time(f.first) * step, g.accumulate = add;
    g.rows.then(s.batch, row);
    g.rows.then(f.count, s.direction ? -step : step);
    return multiply(g);
  }
  Workspace<T> joined(size_t(f.rows() * s.inputs + 1));
  g.c = joined, g.rows = Walk(s.inputs);
  multiply(g);
  for (int64_t k = f.first; k < f.first + f.count; ++k)
    for (int64_t p = 0; p < f.running(k); ++p)
      kernels<T>().add_to(joined + (f.place(k) + p) * s.inputs,
                          f.gx + s.time(k) * step + f.order->sample(p) * row, s.inputs);
}

template void weight_gradients(const Backward<float>&, const Gradients<float>&);
template void weight_gradients(const Backward<double>&, const Gradients<double>&);
template void input_gradient(const Backward<float>&, const float*, bool);
template void input_gradient(const Backward<double>&, const double*, bool);

}  // namespace nn::cpu
