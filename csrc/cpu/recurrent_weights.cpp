// Gradients of a recurrent layer that are products over all steps and samples, once d is known: see
// recurrent_backward.cpp.
#include "recurrent_backward.h"

namespace nn::cpu {
namespace {

// What the weights met, a row for each step and sample: x, a one (for the biases), h_(t-1). Zero beyond the
// ends, where gradients are zero, too, and must stay so beside NaN.
template <class T> class Seen : public Panels<T> {
 public:
  explicit Seen(const Backward<T>& f) : f_(f), states_(size_t(f.s.rows())) {
    const RecurrentShape& s = f.s;
    for (int64_t k = 0; k < s.steps; ++k)
      for (int64_t n = 0; n < s.batch; ++n)
        states_[s.time(k) * s.batch + n] = f.before(f.y, f.h0, s.out, k, f.was_active(k, n)).at(0, n);
  }
  int64_t width() const { return f_.s.inputs + 1 + f_.s.out; }
  // Columns count from `first`; resets: h_(t-1) comes times r.
  void choose(int64_t first, bool resets) { first_ = first, resets_ = resets; }

  int64_t together() const override { return 16; }  // rows are read in straight lines
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override {
    const int64_t inputs = f_.s.inputs, begin = first_ + lane, end = begin + lanes;
    int64_t t = depth / f_.s.batch, n = depth % f_.s.batch;
    for (int64_t i = 0; i < count; ++i, out += width) {
      std::fill_n(out + lanes, width - lanes, T(0));
      if (f_.ends->active(t, n)) {
        if (begin < inputs) put_input(t, n, begin, std::min(end, inputs), out);
        if (begin <= inputs && inputs < end) out[inputs - begin] = 1;
        const int64_t from = std::max(begin, inputs + 1);
        if (from < end) put_state(t, n, from - inputs - 1, end - inputs - 1, out + (from - begin));
      } else {
        std::fill_n(out, lanes, T(0));
      }
      if (++n == f_.s.batch) ++t, n = 0;
    }
  }

 private:
  void put_input(int64_t t, int64_t n, int64_t begin, int64_t end, T* out) const {
    const Matrix<T>& x = f_.x_step;
    const T* from = x.p + t * f_.x_time + n * x.row;
    if (x.col == 1) {
      std::copy(from + begin, from + end, out);
    } else {
      for (int64_t i = begin; i < end; ++i) *out++ = from[i * x.col];
    }
  }
  void put_state(int64_t t, int64_t n, int64_t begin, int64_t end, T* out) const {
    const RecurrentShape& s = f_.s;
    const T* h = states_[t * s.batch + n];
    if (!h) return void(std::fill_n(out, end - begin, T(0)));
    std::copy(h + begin, h + end, out);
    if (f_.mask) {
      const T* m = f_.mask + (s.direction * s.batch + n) * s.out;
      for (int64_t u = begin; u < end; ++u) out[u - begin] *= m[u];
    }
    if (resets_) {
      const T* r = f_.gates + (t * s.batch + n) * s.saved * s.units;
      for (int64_t u = begin; u < end; ++u) out[u - begin] *= r[u];
    }
  }

  const Backward<T>& f_;
  Workspace<const T*> states_;
  int64_t first_ = 0;
  bool resets_ = false;
};

// c (m x n) = d^T b over all steps and samples, for m columns of d from `first` on.
template <class T> void weight_grad(const Backward<T>& f, int64_t first, int64_t m, const Panels<T>& b,
                                    int64_t n, T* c, int64_t c_row) {
  const WalkPanels<T> left(f.d + first, Walk(1), Walk(f.d_row()));
  Product<T> g = {};
  g.m = m, g.n = n, g.k = f.s.rows();
  g.a = &left, g.b = &b, g.c = c, g.rows = Walk(c_row), g.cols = Walk(1);
  multiply(g);
}

template <class T> void peephole_grad(const Backward<T>& f, T* g) {
  const RecurrentShape& s = f.s;
  const int64_t h = s.units;
  std::fill_n(g, 3 * h, T(0));
  for (int64_t k = 0; k < s.steps; ++k)
    for (int64_t n = 0; n < s.batch; ++n) {
      if (!f.ends->active(s.time(k), n)) continue;
      const T* d = f.d + (s.time(k) * s.batch + n) * f.d_row();
      const T* before = f.before(f.cells, f.c0, h, k, f.was_active(k, n)).at(0, n);
      const T* c = f.cells.at(s.time(k), n);
      for (int64_t u = 0; u < h; ++u) {
        if (before) g[u] += d[u] * before[u], g[h + u] += d[h + u] * before[u];
        g[2 * h + u] += d[3 * h + u] * c[u];
      }
    }
}

template <class T> void projection_grad(const Backward<T>& f, T* gw_hr) {
  const RecurrentShape& s = f.s;
  Workspace<T> hidden(size_t(s.rows() * s.units));
  for (int64_t t = 0; t < s.steps; ++t)
    for (int64_t n = 0; n < s.batch; ++n) {
      const int64_t row = t * s.batch + n;
      T* h = hidden + row * s.units;
      const T* o = f.gates + (4 * row + 3) * s.units;
      kernels<T>().unary(int(Unary::tanh), f.cells.at(t, n), h, s.units);
      for (int64_t u = 0; u < s.units; ++u) h[u] *= o[u];
    }
  const WalkPanels<T> left(f.dout, Walk(1), Walk(s.out)), right(hidden, Walk(1), Walk(s.units));
  Product<T> g = {};
  g.m = s.out, g.n = s.units, g.k = s.rows();
  g.a = &left, g.b = &right, g.c = gw_hr, g.rows = Walk(s.units), g.cols = Walk(1);
  multiply(g);
}

}  // namespace

template <class T> void weight_gradients(const Backward<T>& f, const Gradients<T>& to) {
  const RecurrentShape& s = f.s;
  const int64_t h = s.units, inputs = s.inputs, out = s.out;
  const bool gru = s.cell == kGru || s.cell == kGruBefore;
  Seen<T> seen(f);
  // One product for both weights and the biases, and d is packed once; but gru's n has parts of its own.
  const auto product = [&](int64_t d_first, int64_t gate, int64_t rows, int64_t first, int64_t columns,
                           T* gb) {
    const int64_t row = round_up(columns, 16);
    Workspace<T> gw(size_t(rows * row));
    seen.choose(first, first > 0 && s.cell == kGruBefore);
    weight_grad<T>(f, d_first, rows, seen, columns, gw, row);
    for (int64_t i = 0; i < rows; ++i) {
      const T* from = gw + i * row;
      if (first == 0) std::copy_n(from, inputs, to.gw_ih + (gate + i) * inputs);
      if (gb) gb[gate + i] = from[inputs - first];
      if (first + columns > inputs + 1)
        std::copy_n(from + inputs + 1 - first, out, to.gw_hh + (gate + i) * out);
    }
  };
  product(0, 0, gru ? 2 * h : s.gates * h, 0, inputs + 1 + out, to.gb_ih);
  if (gru) {
    product(2 * h, 2 * h, h, 0, inputs + 1, to.gb_ih);
    product((s.cell == kGru ? 3 : 2) * h, 2 * h, h, inputs, 1 + out, to.gb_hh);
    if (to.gb_hh) std::copy_n(to.gb_ih, 2 * h, to.gb_hh);
  }
  if (to.gpeephole) peephole_grad(f, to.gpeephole);
  if (to.gw_hr) projection_grad(f, to.gw_hr);
}

template <class T> void input_gradient(const Backward<T>& f, bool add) {
  const RecurrentShape& s = f.s;
  const int64_t size = s.rows() * s.inputs;
  Workspace<T> fresh(size_t(add ? size : 1));
  const WalkPanels<T> left(f.d, Walk(f.d_row()), Walk(1)), right(f.w_ih, Walk(1), Walk(s.inputs));
  Product<T> g = {};
  g.alpha = 1;
  g.m = s.rows(), g.n = s.inputs, g.k = s.gates * s.units;
  g.a = &left, g.b = &right, g.c = add ? static_cast<T*>(fresh) : f.gx, g.cols = Walk(1);
  g.rows.then(s.batch, s.batch_first ? s.steps * s.inputs : s.inputs);
  g.rows.then(s.steps, s.batch_first ? s.inputs : s.batch * s.inputs);
  multiply(g);
  if (add) kernels<T>().add_to(fresh, f.gx, size);
}

template void weight_gradients(const Backward<float>&, const Gradients<float>&);
template void weight_gradients(const Backward<double>&, const Gradients<double>&);
template void input_gradient(const Backward<float>&, bool);
template void input_gradient(const Backward<double>&, bool);

}  // namespace nn::cpu
