// What attention's forward and backward share: operands, panels of queries, blocks of scores.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {

constexpr int kLanes = 32;          // queries side by side: a panel
constexpr int64_t kKeyBlock = 128;  // keys per block of scores: 16 KB of float, beside its operands in L1
constexpr double kLog2E = 1.4426950408889634;

// (batch, heads, rows, n) with the n numbers of a row side by side; steps count elements.
template <class T> struct Rows {
  T* p = nullptr;
  int64_t batch = 0, head = 0, row = 0;
  T* at(int64_t b, int64_t h, int64_t i) const { return p + b * batch + h * head + i * row; }
};
template <class T> Rows<T> rows_of(const View& v, std::optional<Dense>& keep) {
  if (v.shape[3] <= 1 || v.step(3) == 1) return {v.as<T>(), v.step(0), v.step(1), v.step(2)};
  keep.emplace(v);
  const int64_t head = v.shape[2] * v.shape[3];
  return {const_cast<T*>(keep->as<T>()), v.shape[1] * head, head, v.shape[3]};
}

// A fresh (b, h, rows, n) result, its first three axes in memory in the order that they have in `like`.
Array output_like(const char* op, Dtype dt, const int64_t* shape, const View& like);

struct AttentionProblem {
  int64_t batch, heads, kv_heads, rows, keys, width, value_width;
  double scale, softcap, dropout;
  int64_t left, right, offset, seed;
  View mask;
  bool masked;
  View q_lengths, kv_lengths;
  bool has_q_lengths, has_kv_lengths;

  int64_t group() const { return heads / kv_heads; }
  int64_t panels() const { return (rows + kLanes - 1) / kLanes; }
  int64_t rows_in(int64_t b) const { return has_q_lengths ? length(q_lengths, b) : rows; }
  int64_t keys_in(int64_t b) const { return has_kv_lengths ? length(kv_lengths, b) : keys; }
  // Whether query i sees key j, both within their lengths.
  bool sees(int64_t b, int64_t h, int64_t i, int64_t j) const;
  const char* mask_at(int64_t b, int64_t h, int64_t i, int64_t j) const {
    return mask.as<const char>() + b * mask.strides[0] + h * mask.strides[1] + i * mask.strides[2] +
           j * mask.strides[3];
  }
  bool hides() const { return masked || left >= 0 || right >= 0; }

 private:
  static int64_t length(const View& v, int64_t b) {
    return *reinterpret_cast<const int64_t*>(v.as<const char>() + b * v.strides[0]);
  }
};

// Checks all that the kernels rely on.
AttentionProblem attention_problem(const char* op, const View& q, const View& k, const View& v,
                                   const OptView& mask, const OptView& q_lengths, const OptView& kv_lengths,
                                   double scale, int64_t left, int64_t right, int64_t offset, double softcap,
                                   double dropout, int64_t seed);

// Queries i .. i + lanes - 1 of a head and the keys [first, last) that any of them sees; first is even.
struct QueryPanel {
  int64_t b, h, i, first, last;
  int lanes, columns;  // columns: lanes, filled up to whole registers
  QueryPanel(const AttentionProblem& p, int64_t b, int64_t h, int64_t i, int width);
};

// c (m x n, rows c_row apart) = alpha * a b, added to c if `add`; b's columns stand side by side.
template <class T> struct SmallProduct {
  int64_t m, n, k;
  const T *a, *b;
  int64_t a_row, a_k, b_k;
  T* c;
  int64_t c_row;
  T alpha;
  bool add;
};
template <class T> void multiply(const SmallProduct<T>& g);

// out[d * 32 + l] = x[l * row + d]: queries side by side, zeros beyond `lanes`.
template <class T> void turn(const T* x, int64_t row, const QueryPanel& q, int64_t depth, T* out) {
  kernels<T>().pack(x, row, 1, q.lanes, kLanes, depth, out, kLanes);
}

// Scores, in units of log2, of a panel with keys [j, j + count): k times turned queries, capped and masked.
template <class T> class Scores {
 public:
  explicit Scores(const AttentionProblem& p)
      : p_(p), bias_(p.masked ? kKeyBlock * kLanes : 1), raw_(p.masked ? kKeyBlock * kLanes : 1) {}
  // slope, if there is one, takes the derivative of the soft cap.
  void operator()(const QueryPanel& q, const T* k, int64_t k_row, const T* turned, int64_t j, int64_t count,
                  T* s, T* slope = nullptr) const;
  // Dropout of weights (or of their gradients), in place.
  void drop(const QueryPanel& q, int64_t j, int64_t count, T* s) const;

 private:
  void bias(const QueryPanel& q, int64_t j, int64_t count, T* s) const;
  const AttentionProblem& p_;
  Workspace<T> bias_, raw_;
};

}  // namespace nn::cpu
