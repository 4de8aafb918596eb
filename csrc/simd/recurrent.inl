// What a recurrent cell does with the sums of one step, and the way back, for a tile of rows (samples) by
// units: everything elementwise between two products, in one pass. The products are csrc/cpu/recurrent.cpp's.
//
//   tanh, relu  h = f(a + s)                     a: the input's part, s: the state's part of the gates' sums
//   lstm        i f o = sigmoid, g = tanh of a + s (+ peephole c);  c = f c + i g;  h = o tanh(c)
//   gru         r z = sigmoid(a + s), n = tanh(a + r (s + bias)), h = n + z (h - n)
//   gru before  reset: r, z, and r h for the second product; then n = tanh(a + s), h = n + z (h - n)
//
// Bound by the exponentials: 3 to 5 per unit.
namespace nn {
namespace {

// tanh by one quotient of polynomials (Eigen's: within 3 ulp): half the work of math.inl's.
NN_INLINE vec<float> gate_tanh(vec<float> v) {
  const double p[] = {4.89352455891786e-03,  6.37261928875436e-04, 1.48572235717979e-05, 5.12229709037114e-08,
                      -8.60467152213735e-11, 2.00018790482477e-13, -2.76076847742355e-16};
  const double q[] = {4.89352518554385e-03, 2.26843463243900e-03, 1.18534705686654e-04, 1.19825839466702e-06};
  const vec<float> x = min(set1(7.90531110763549805f), max(set1(-7.90531110763549805f), v)), square = x * x;
  return x * polynomial(square, p) * reciprocal(polynomial(square, q));
}
NN_INLINE vec<double> gate_tanh(vec<double> v) { return tanh(v); }

// Where e^-v would leave float's range the result is at 1e-38 or at 1 already.
NN_INLINE vec<float> gate_sigmoid(vec<float> v) {
  vec<float> n;
  const vec<float> r = split_ln2(min(set1(87.0f), max(set1(-87.0f), -v)), n);
  return reciprocal(set1(1.0f) + exp_parts(r, n));
}
NN_INLINE vec<double> gate_sigmoid(vec<double> v) { return sigmoid(v); }

template <class T> NN_INLINE vec<T> at(const T* p, int64_t offset, int k) {
  return p ? load(p + offset, k) : set1(T(0));
}
template <class T> NN_INLINE void put(T* p, int64_t offset, vec<T> v, int k) {
  if (p) store(p + offset, v, k);
}

// Asks memory for the same units of the row behind: rows are pages apart, no hardware sees them coming.
template <class T> NN_INLINE void ask_next(const T* p, int64_t row, int64_t gate, int gates) {
  if (p)
    for (int i = 0; i < gates; ++i) __builtin_prefetch(p + row + i * gate);
}

template <class T> NN_INLINE void lstm_unit(const RecurrentStep<T>& t, int64_t r, int64_t j, int k) {
  const T *a = t.a + r * t.a_row + j, *s = t.s + r * t.s_row + j;
  const int64_t ag = t.a_gate, sg = t.s_gate, p = t.peephole_gate;
  ask_next(a, t.a_row, ag, 4);
  const vec<T> c0 = load(t.c + r * t.c_row + j, k);
  vec<T> i = load(a, k) + load(s, k), f = load(a + ag, k) + load(s + sg, k);
  vec<T> o = load(a + 3 * ag, k) + load(s + 3 * sg, k);
  if (t.peephole) {
    i = mul_add(load(t.peephole + j, k), c0, i);
    f = mul_add(load(t.peephole + p + j, k), c0, f);
  }
  i = gate_sigmoid(i), f = gate_sigmoid(f);
  const vec<T> g = gate_tanh(load(a + 2 * ag, k) + load(s + 2 * sg, k)), c = mul_add(f, c0, i * g);
  if (t.peephole) o = mul_add(load(t.peephole + 2 * p + j, k), c, o);
  o = gate_sigmoid(o);
  const vec<T> h = o * gate_tanh(c);
  store(t.c + r * t.c_row + j, c, k);
  store(t.next + r * t.next_row + j, h, k);
  put(t.y, r * t.y_row + j, h, k);
  put(t.cells, r * t.cells_row + j, c, k);
  if (t.gates) {
    T* out = t.gates + r * t.gates_row + j;
    ask_next(out, t.gates_row, t.gates_gate, 4);
    store(out, i, k), store(out + t.gates_gate, f, k);
    store(out + 2 * t.gates_gate, g, k), store(out + 3 * t.gates_gate, o, k);
  }
}

template <class T> NN_INLINE void gru_unit(const RecurrentStep<T>& t, int64_t r, int64_t j, int k) {
  const T *a = t.a + r * t.a_row + j, *s = t.s + r * t.s_row + j;
  ask_next(a, t.a_row, t.a_gate, 3);
  const vec<T> reset = gate_sigmoid(load(a, k) + load(s, k));
  const vec<T> z = gate_sigmoid(load(a + t.a_gate, k) + load(s + t.s_gate, k));
  const vec<T> hn = load(s + 2 * t.s_gate, k) + at(t.bias, j, k);
  const vec<T> n = gate_tanh(mul_add(reset, hn, load(a + 2 * t.a_gate, k)));
  const vec<T> h = mul_add(z, load(t.h + r * t.h_row + j, k) - n, n);
  store(t.next + r * t.next_row + j, h, k);
  put(t.y, r * t.y_row + j, h, k);
  if (t.gates) {
    T* out = t.gates + r * t.gates_row + j;
    ask_next(out, t.gates_row, t.gates_gate, 4);
    store(out, reset, k), store(out + t.gates_gate, z, k);
    store(out + 2 * t.gates_gate, n, k), store(out + 3 * t.gates_gate, hn, k);
  }
}

template <class T> NN_INLINE void reset_unit(const RecurrentStep<T>& t, int64_t r, int64_t j, int k) {
  const T *a = t.a + r * t.a_row + j, *s = t.s + r * t.s_row + j;
  T* out = t.gates + r * t.gates_row + j;
  const vec<T> reset = gate_sigmoid(load(a, k) + load(s, k));
  store(out, reset, k);
  store(out + t.gates_gate, gate_sigmoid(load(a + t.a_gate, k) + load(s + t.s_gate, k)), k);
  store(t.reset + r * t.reset_row + j, reset * load(t.used + r * t.used_row + j, k), k);
}

template <class T> NN_INLINE void gru_last_unit(const RecurrentStep<T>& t, int64_t r, int64_t j, int k) {
  T* out = t.gates + r * t.gates_row + j;
  const vec<T> z = load(out + t.gates_gate, k);
  const vec<T> n = gate_tanh(load(t.a + r * t.a_row + 2 * t.a_gate + j, k) + load(t.s + r * t.s_row + j, k));
  const vec<T> h = mul_add(z, load(t.h + r * t.h_row + j, k) - n, n);
  store(out + 2 * t.gates_gate, n, k);
  store(t.next + r * t.next_row + j, h, k);
  put(t.y, r * t.y_row + j, h, k);
}

template <class T, bool Relu>
NN_INLINE void rnn_unit(const RecurrentStep<T>& t, int64_t r, int64_t j, int k) {
  const vec<T> v = load(t.a + r * t.a_row + j, k) + load(t.s + r * t.s_row + j, k);
  const vec<T> h = Relu ? max(set1(T(0)), v) : gate_tanh(v);
  store(t.next + r * t.next_row + j, h, k);
  put(t.y, r * t.y_row + j, h, k);
}

// Unit(t, row, first unit, units) for each register of t's rows; t: a step or its gradient.
template <auto Unit, template <class> class Tile, class T> NN_INLINE void each_unit(const Tile<T>& t) {
  constexpr int w = vec<T>::width;
  for (int64_t r = 0; r < t.rows; ++r) {
    int64_t j = 0;
    for (; j + w <= t.units; j += w) Unit(t, r, j, w);
    if (j < t.units) Unit(t, r, j, int(t.units - j));
  }
}

template <class T> void recurrent_step(RecurrentPhase phase, const RecurrentStep<T>& t) {
  switch (phase) {
    case RecurrentPhase::lstm:
      return each_unit<lstm_unit<T>>(t);
    case RecurrentPhase::gru:
      return each_unit<gru_unit<T>>(t);
    case RecurrentPhase::reset:
      return each_unit<reset_unit<T>>(t);
    case RecurrentPhase::gru_last:
      return each_unit<gru_last_unit<T>>(t);
    case RecurrentPhase::relu:
      return each_unit<rnn_unit<T, true>>(t);
    default:
      return each_unit<rnn_unit<T, false>>(t);
  }
}

// The gradient of h as it stands: what came from later steps, through the product s under the mask, and gy.
template <class T> NN_INLINE vec<T> state_grad(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  vec<T> dh = load(t.dh + r * t.dh_row + j, k);
  if (t.s) {
    const vec<T> s = load(t.s + r * t.s_row + j, k);
    dh = t.mask ? mul_add(s, load(t.mask + r * t.mask_row + j, k), dh) : dh + s;
  }
  return t.gy ? dh + load(t.gy + r * t.gy_row + j, k) : dh;
}

template <class T> NN_INLINE void lstm_grad_unit(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  const T* gate = t.gates + r * t.gates_row + j;
  const int64_t p = t.peephole_gate, gg = t.gates_gate;
  const vec<T> i = load(gate, k), f = load(gate + gg, k), g = load(gate + 2 * gg, k),
               o = load(gate + 3 * gg, k), one = set1(T(1));
  ask_next(gate, t.gates_row, gg, 4);
  ask_next(t.d + r * t.d_row + j, t.d_row, t.d_gate, 4);
  ask_next(t.c_before, (r + 1) * t.c_before_row + j, 0, 1);
  ask_next(t.gy, (r + 1) * t.gy_row + j, 0, 1);
  const vec<T> tc = gate_tanh(load(t.c + r * t.c_row + j, k)),
               before = at(t.c_before, r * t.c_before_row + j, k);
  const vec<T> dh = t.projected ? load(t.s + r * t.s_row + j, k) : state_grad(t, r, j, k);
  const vec<T> dho = dh * o, d_o = dho * tc * (one - o);
  vec<T> dc = mul_add(dho, neg_mul_add(tc, tc, one), load(t.dc + r * t.dc_row + j, k));
  if (t.gcells) dc = dc + load(t.gcells + r * t.gcells_row + j, k);
  if (t.peephole) dc = mul_add(d_o, load(t.peephole + 2 * p + j, k), dc);
  const vec<T> di = dc * g * i * (one - i), df = dc * before * f * (one - f),
               dg = dc * i * neg_mul_add(g, g, one);
  vec<T> down = dc * f;
  if (t.peephole) down = mul_add(di, load(t.peephole + j, k), mul_add(df, load(t.peephole + p + j, k), down));
  store(t.dc + r * t.dc_row + j, down, k);
  if (!t.projected) store(t.dh + r * t.dh_row + j, set1(T(0)), k);
  T* d = t.d + r * t.d_row + j;
  store(d, di, k), store(d + t.d_gate, df, k), store(d + 2 * t.d_gate, dg, k),
      store(d + 3 * t.d_gate, d_o, k);
}

template <class T> NN_INLINE void gru_grad_unit(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  const T* gate = t.gates + r * t.gates_row + j;
  ask_next(gate, t.gates_row, t.gates_gate, 4);
  ask_next(t.d + r * t.d_row + j, t.d_row, t.d_gate, 4);
  ask_next(t.h_before, (r + 1) * t.h_before_row + j, 0, 1);
  ask_next(t.gy, (r + 1) * t.gy_row + j, 0, 1);
  const vec<T> reset = load(gate, k), z = load(gate + t.gates_gate, k), n = load(gate + 2 * t.gates_gate, k),
               one = set1(T(1));
  const vec<T> before = at(t.h_before, r * t.h_before_row + j, k), dh = state_grad(t, r, j, k);
  const vec<T> dz = dh * (before - n) * z * (one - z), dn = dh * (one - z) * neg_mul_add(n, n, one);
  T* d = t.d + r * t.d_row + j;
  store(d + t.d_gate, dz, k), store(d + 2 * t.d_gate, dn, k);
  store(t.dh + r * t.dh_row + j, dh * z, k);
  if (t.before) return;  // reset's gradient waits for the second product
  const vec<T> hn = load(gate + 3 * t.gates_gate, k);
  store(d, dn * hn * reset * (one - reset), k), store(d + 3 * t.d_gate, dn * reset, k);
}

// s: the gradient of r times h (under the mask: used)
template <class T> NN_INLINE void reset_grad_unit(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  const vec<T> reset = load(t.gates + r * t.gates_row + j, k), du = load(t.s + r * t.s_row + j, k);
  vec<T> mask = set1(T(1));
  if (t.mask) mask = load(t.mask + r * t.mask_row + j, k);
  const vec<T> used = at(t.h_before, r * t.h_before_row + j, k) * mask;
  store(t.d + r * t.d_row + j, du * used * reset * (set1(T(1)) - reset), k);
  T* dh = t.dh + r * t.dh_row + j;
  store(dh, mul_add(du * reset, mask, load(dh, k)), k);
}

template <class T, bool Relu>
NN_INLINE void rnn_grad_unit(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  const vec<T> h = load(t.y + r * t.y_row + j, k), dh = state_grad(t, r, j, k);
  store(t.d + r * t.d_row + j,
        Relu ? select(le(h, set1(T(0))), set1(T(0)), dh) : dh * neg_mul_add(h, h, set1(T(1))), k);
  store(t.dh + r * t.dh_row + j, set1(T(0)), k);
}

template <class T> NN_INLINE void carry_unit(const RecurrentGrad<T>& t, int64_t r, int64_t j, int k) {
  store(t.dh + r * t.dh_row + j, state_grad(t, r, j, k), k);
}

template <class T> void recurrent_grad(RecurrentPhase phase, const RecurrentGrad<T>& t) {
  switch (phase) {
    case RecurrentPhase::lstm:
      return each_unit<lstm_grad_unit<T>>(t);
    case RecurrentPhase::gru:
      return each_unit<gru_grad_unit<T>>(t);
    case RecurrentPhase::reset:
      return each_unit<reset_grad_unit<T>>(t);
    case RecurrentPhase::carry:
      return each_unit<carry_unit<T>>(t);
    case RecurrentPhase::relu:
      return each_unit<rnn_grad_unit<T, true>>(t);
    default:
      return each_unit<rnn_grad_unit<T, false>>(t);
  }
}

}  // namespace
}  // namespace nn
