// What attention checks, and its blocks of scores: products on the GEMM tiles, soft cap, masks, dropout.
//
// A block holds keys in rows and 32 queries side by side: keys and values are then the left operands of all
// products, which the tiles read where they lie; nothing but the queries is packed.
#include "attention.h"
#include "gemm.h"

namespace nn::cpu {

Array output_like(const char* op, Dtype dt, const int64_t* shape, const View& like) {
  int order[] = {0, 1, 2};
  std::stable_sort(order, order + 3, [&](int a, int b) {
    return shape[a] != 1 && shape[b] != 1 && std::abs(like.strides[a]) > std::abs(like.strides[b]);
  });
  int64_t sorted[4] = {shape[order[0]], shape[order[1]], shape[order[2]], shape[3]};
  Array y = output(op, dt, 4, sorted);
  int64_t strides[4] = {y.strides[0], y.strides[1], y.strides[2], y.strides[3]};
  for (int i = 0; i < 3; ++i) y.shape[order[i]] = sorted[i], y.strides[order[i]] = strides[i];
  return y;
}

AttentionProblem attention_problem(const char* op, const View& q, const View& k, const View& v,
                                   const OptView& mask, const OptView& q_lengths, const OptView& kv_lengths,
                                   double scale, int64_t left, int64_t right, int64_t offset, double softcap,
                                   double dropout, int64_t seed) {
  const Dtype dt = common_dtype(op, {{"q", q}, {"k", k}, {"v", v}});
  if (q.ndim != 4 || k.ndim != 4 || v.ndim != 4)
    fail(op, "q, k and v must be (batch, heads, length, width)", {{"q", q}, {"k", k}, {"v", v}});
  if (k.shape[0] != q.shape[0] || v.shape[0] != q.shape[0] || v.shape[1] != k.shape[1] ||
      v.shape[2] != k.shape[2] || k.shape[3] != q.shape[3] ||
      (k.shape[1] ? q.shape[1] % k.shape[1] : q.shape[1]))
    fail(op, "q (B, H, L, D), k (B, J, S, D) and v (B, J, S, E) must fit, H a multiple of J",
         {{"q", q}, {"k", k}, {"v", v}});
  if (!(dropout >= 0 && dropout <= 1))
    throw std::invalid_argument(std::string(op) + ": dropout must lie in [0, 1]");
  if (mask &&
      (mask.ndim != 4 || (mask.dtype != dt && mask.dtype != Dtype::b8) || mask.shape[0] != q.shape[0] ||
       mask.shape[1] != q.shape[1] || mask.shape[2] != q.shape[2] || mask.shape[3] != k.shape[2]))
    fail(op, "mask must be bool or of q's dtype and (B, H, L, S)", {{"mask", mask}, {"q", q}, {"k", k}});
  for (const OptView* l : {&q_lengths, &kv_lengths}) {
    if (!*l) continue;
    const int64_t most = l == &q_lengths ? q.shape[2] : k.shape[2];
    if (l->dtype != Dtype::i64 || l->ndim != 1 || l->shape[0] != q.shape[0])
      fail(op, "lengths must be int64, one per batch entry", {{"lengths", *l}, {"q", q}});
    for (int64_t b = 0; b < l->shape[0]; ++b) {
      const int64_t n = l->as<int64_t>()[b * l->step(0)];
      if (n < 0 || n > most) throw std::invalid_argument(std::string(op) + ": a length is outside its array");
    }
  }
  return {q.shape[0],
          q.shape[1],
          std::max<int64_t>(1, k.shape[1]),
          q.shape[2],
          k.shape[2],
          q.shape[3],
          v.shape[3],
          scale,
          softcap,
          dropout,
          left,
          right,
          offset,
          seed,
          mask,
          bool(mask),
          q_lengths,
          kv_lengths,
          bool(q_lengths),
          bool(kv_lengths)};
}

bool AttentionProblem::sees(int64_t b, int64_t h, int64_t i, int64_t j) const {
  const int64_t at = i + offset;
  if ((left >= 0 && j < at - left) || (right >= 0 && j > at + right)) return false;
  if (!masked) return true;
  const char* m = mask_at(b, h, i, j);
  if (mask.dtype == Dtype::b8) return *m;
  const double x =
      mask.dtype == Dtype::f64 ? *reinterpret_cast<const double*>(m) : *reinterpret_cast<const float*>(m);
  return x != -std::numeric_limits<double>::infinity();
}

QueryPanel::QueryPanel(const AttentionProblem& p, int64_t batch, int64_t head, int64_t row, int width)
    : b(batch), h(head), i(row) {
  lanes = int(std::clamp<int64_t>(p.rows_in(b) - i, 0, kLanes));
  columns = std::min((lanes + width - 1) / width * width, kLanes);
  first = p.left < 0 ? 0 : std::max<int64_t>(0, i + p.offset - p.left);
  first -= first % 2;
  last = p.keys_in(b);
  if (p.right >= 0) last = std::min(last, i + lanes + p.offset + p.right);
  if (lanes == 0 || last < first) last = first;
}

template <class T> void multiply(const SmallProduct<T>& g) {
  const Kernels<T>& kern = kernels<T>();
  const GemmShape s = kern.gemm_shape();
  GemmTile<T> t = {};
  t.k = g.k;
  t.a_row = g.a_row, t.a_k = g.a_k, t.b_k = g.b_k, t.c_row = g.c_row;
  t.accumulate = g.add, t.last = !g.add || g.alpha != 1;
  t.alpha = g.alpha, t.floor = -std::numeric_limits<T>::infinity();
  for (int64_t j = 0; j < g.n; j += s.nr) {
    t.n = std::min<int64_t>(s.nr, g.n - j);
    t.b = g.b + j;
    const bool whole = t.n == s.nr && g.b_k == s.nr;
    t.packed = whole && g.a_row == 1, t.panel = whole && g.a_k == 1;
    const int nv = int((t.n + s.width - 1) / s.width);
    const int64_t tiles = (g.m + s.max_rows[nv] - 1) / s.max_rows[nv],
                  most = (g.m + tiles - 1) / std::max<int64_t>(1, tiles);
    for (int64_t i = 0; i < g.m; i += most) {
      t.a = g.a + i * g.a_row;
      t.c = g.c + i * g.c_row + j;
      kern.gemm_tile(int(std::min(most, g.m - i)), nv, t);
    }
  }
}

template <class T> void Scores<T>::operator()(const QueryPanel& q, const T* k, int64_t k_row, const T* turned,
                                              int64_t j, int64_t count, T* s, T* slope) const {
  multiply<T>({count, q.columns, p_.width, k + j * k_row, turned, k_row, 1, kLanes, s, kLanes,
               T(p_.scale * kLog2E), false});
  if (p_.softcap > 0) {
    kernels<T>().attention_cap(s, count * kLanes, T(p_.softcap * kLog2E));
    const T inverse = T(1 / (p_.softcap * kLog2E));
    for (int64_t i = 0; slope && i < count * kLanes; ++i) slope[i] = 1 - s[i] * inverse * (s[i] * inverse);
  }
  if (p_.masked) bias(q, j, count, s);
  const double inf = std::numeric_limits<double>::infinity();
  const int64_t at = q.i + p_.offset;
  const bool low = p_.left >= 0 && j < at + q.lanes - 1 - p_.left;
  const bool high = p_.right >= 0 && j + count - 1 > at + p_.right;
  if (low || high)
    kernels<T>().attention_band(s, count, q.lanes, T(j), T(low ? double(at - p_.left) : -inf),
                                T(high ? double(at + p_.right) : inf));
}

template <class T> void Scores<T>::bias(const QueryPanel& q, int64_t j, int64_t count, T* s) const {
  const View& m = p_.mask;
  const int64_t item = itemsize(m.dtype);
  const int64_t row = m.strides[2] / item, col = m.strides[3] / item;
  const char* p = p_.mask_at(q.b, q.h, q.i, j);
  const int rows = row == 0 ? 1 : q.lanes;
  const T* from = reinterpret_cast<const T*>(p);
  int64_t from_row = row, from_col = col;
  if (m.dtype == Dtype::b8) {
    const T hidden = -std::numeric_limits<T>::infinity();
    T* to = raw_;
    for (int i = 0; i < rows; ++i, to += kKeyBlock, p += row) {
      if (col == 1)  // so that the compiler knows
        for (int64_t c = 0; c < count; ++c) to[c] = p[c] ? T(0) : hidden;
      else
        for (int64_t c = 0; c < count; ++c) to[c] = p[c * col] ? T(0) : hidden;
    }
    from = raw_, from_row = kKeyBlock, from_col = 1;
  }
  if (row == 0) {
    T* to = bias_;
    for (int64_t c = 0; c < count; ++c) to[c] = from[c * from_col];
    kernels<T>().attention_bias(s, count, q.lanes, bias_, 1);
  } else {
    kernels<T>().pack(from, from_row, from_col, q.lanes, kLanes, count, bias_, kLanes);
    kernels<T>().attention_bias(s, count, q.lanes, bias_, kLanes);
  }
}

template <class T> void Scores<T>::drop(const QueryPanel& q, int64_t j, int64_t count, T* s) const {
  if (p_.dropout == 0) return;
  const uint32_t threshold = uint32_t(std::min(p_.dropout * 4294967296.0, 4294967295.0));
  const int64_t panel = (q.b * p_.heads + q.h) * p_.panels() + q.i / kLanes;
  const T scale = p_.dropout == 1 ? T(0) : T(1 / (1 - p_.dropout));
  kernels<T>().dropout(s, s, count * kLanes, uint64_t(p_.seed), panel * ((p_.keys + 1) / 2) + j / 2,
                       threshold, scale, T(0), T(0));
}

#define NN_INSTANTIATE(T)                         \
  template void multiply(const SmallProduct<T>&); \
  template class Scores<T>;
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
