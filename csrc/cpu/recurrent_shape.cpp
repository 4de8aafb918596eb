// What a recurrent layer's arguments must look like: shapes, dtypes and lengths against each other.
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

namespace {

// Direction d of `directions`.
RecurrentShape side_shape(int64_t cell, int d, bool batch_first, const View& x, const RecurrentWeights& w) {
  RecurrentShape s = {};
  s.op = kNames[cell], s.cell = cell, s.batch_first = batch_first, s.direction = d;
  s.directions = w.directions();
  s.steps = x.shape[batch_first ? 1 : 0], s.batch = x.shape[batch_first ? 0 : 1], s.inputs = x.shape[2];
  s.gates = kGates[cell], s.saved = kSaved[cell];
  const View &w_ih = w.w_ih[d], &w_hh = w.w_hh[d];
  if (w_hh.ndim != 2 || w_hh.shape[0] % s.gates || w_hh.shape[0] == 0 || w_hh.shape[1] == 0)
    fail(s.op, "w_hh must be (" + std::to_string(s.gates) + " * units, units)", {{"w_hh", w_hh}});
  s.units = w_hh.shape[0] / s.gates, s.out = w_hh.shape[1], s.states = cell == kLstm ? s.units : 0;
  if (!has_shape(w_ih, {s.gates * s.units, s.inputs}))
    fail(s.op, "w_ih must have shape " + shape_text({s.gates * s.units, s.inputs}) + " for this x and w_hh",
         {{"x", x}, {"w_ih", w_ih}, {"w_hh", w_hh}});
  if (!w.w_hr[d] && s.out != s.units)
    fail(s.op, "w_hh must have shape " + shape_text({w_hh.shape[0], s.units}), {{"w_hh", w_hh}});
  demand_shape(s, "w_hr", w.w_hr[d], {s.out, s.units});
  demand_shape(s, "peephole", w.peephole[d], {3, s.units});
  demand_shape(s, "b_ih", w.b_ih[d], {s.gates * s.units});
  demand_shape(s, "b_hh", w.b_hh[d], {s.gates * s.units});
  return s;
}

}  // namespace

RecurrentShape recurrent_shape(int64_t cell, bool batch_first, const View& x, const RecurrentWeights& w,
                               const OptView& h0, const OptView& c0, const OptView& lengths,
                               const OptView& mask) {
  if (cell < 0 || cell >= kCells) throw std::invalid_argument("recurrent: unknown cell");
  if (x.ndim != 3) fail(kNames[cell], "x must have three axes", {{"x", x}});
  const int directions = w.directions();
  const RecurrentShape s = side_shape(cell, 0, batch_first, x, w);
  if (directions == 2) {
    if (!w.w_hh[1]) fail(s.op, "w_ih_reverse needs w_hh_reverse", {{"w_ih_reverse", w.w_ih[1]}});
    const RecurrentShape other = side_shape(cell, 1, batch_first, x, w);
    if (other.units != s.units || other.out != s.out)
      fail(s.op, "both directions must have the same sizes",
           {{"w_hh", w.w_hh[0]}, {"w_hh_reverse", w.w_hh[1]}});
    if (bool(w.w_hr[0]) != bool(w.w_hr[1]) || bool(w.peephole[0]) != bool(w.peephole[1]))
      throw std::invalid_argument(std::string(s.op) +
                                  ": w_hr and peephole belong to both directions or none");
  }
  if ((w.w_hr[0] || w.peephole[0] || c0) && cell != kLstm)
    throw std::invalid_argument(std::string(s.op) + ": w_hr, peephole and c0 belong to lstm");
  demand_shape(s, "h0", h0, {directions, s.batch, s.out});
  demand_shape(s, "c0", c0, {directions, s.batch, s.states});
  demand_shape(s, "mask", mask, {directions, s.batch, s.out});
  check_lengths(s, lengths);
  return s;
}

Dtype recurrent_dtype(const char* op, const View& x, const RecurrentWeights& w,
                      std::initializer_list<Named> others) {
  Dtype dtype = common_dtype(op, {{"x", x}});
  const auto check = [&](const Named& a) {
    if (static_cast<const OptView&>(a.view)) dtype = common_dtype(op, {{"x", x}, a});
  };
  for (int d = 0; d < w.directions(); ++d)
    for (const Named& a : {Named{"w_ih", w.w_ih[d]},
                           {"w_hh", w.w_hh[d]},
                           {"b_ih", w.b_ih[d]},
                           {"b_hh", w.b_hh[d]},
                           {"w_hr", w.w_hr[d]},
                           {"peephole", w.peephole[d]}})
      check(a);
  for (const Named& a : others) check(a);
  return dtype;
}

Order::Order(const RecurrentShape& s, const OptView& lengths) : batch_(s.batch) {
  const auto end = [&](int64_t n) { return lengths.as<int64_t>()[n * lengths.step(0)]; };
  bool ragged = false;
  for (int64_t n = 0; lengths && n < s.batch; ++n) ragged |= end(n) < s.steps;
  if (!ragged) return;
  offsets_.emplace(size_t(s.steps + 1)), samples_.emplace(size_t(s.batch));
  int64_t *const sum = *offsets_, *const samples = *samples_;
  std::fill_n(sum, s.steps + 1, int64_t(0));
  for (int64_t n = 0; n < s.batch; ++n) ++sum[end(n)], samples[n] = n;
  // Sequences that end at t; those that run at t - 1; these summed up.
  for (int64_t t = s.steps; t > 0; --t) sum[t - 1] += sum[t];
  sum[0] = 0;
  for (int64_t t = 1; t <= s.steps; ++t) sum[t] += sum[t - 1];
  std::sort(samples, samples + s.batch,
            [&](int64_t a, int64_t b) { return end(a) > end(b) || (end(a) == end(b) && a < b); });
}

}  // namespace nn::cpu
