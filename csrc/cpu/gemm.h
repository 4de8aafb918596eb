// The GEMM engine: y = act(alpha * A B + beta * residual + bias), for operands of any strides.
//
// Everything that multiplies is an operand of it: matmul and linear here, convolution, recurrent cells and
// attention later.
#pragma once
#include <stdint.h>

#include "../simd/kernels.h"

namespace nn::cpu {

enum class Activation : int { none, relu, sigmoid, tanh, gelu, gelu_tanh, silu };

// Element (i, j) is p[i * row + j * col]; steps count elements and may be 0 or negative.
template <class T> struct Matrix {
  const T* p;
  int64_t row, col;
};

// The offset of element i of an axis that is walked in nested loops: size[0] elements step[0] apart, that run
// size[1] times step[1] apart, and so on. Pixels of a batch of images, for example.
struct Walk {
  static constexpr int kLevels = 4;
  int levels = 1;
  int64_t size[kLevels] = {INT64_MAX, 1, 1, 1}, step[kLevels] = {0, 0, 0, 0};

  Walk() = default;
  explicit Walk(int64_t one_step) { step[0] = one_step; }
  // The next outer loop; one that only continues the loop inside it disappears.
  void then(int64_t n, int64_t outer_step) {
    if (size[0] == INT64_MAX) {
      size[0] = n, step[0] = outer_step;
    } else if (n != 1) {
      const int last = levels - 1;
      if (size[last] == 1 || outer_step == size[last] * step[last]) {
        if (size[last] == 1) step[last] = outer_step;
        size[last] *= n;
      } else {
        size[levels] = n, step[levels] = outer_step, ++levels;
      }
    }
  }
  int64_t at(int64_t i) const {
    if (levels == 1) return i * step[0];
    int64_t offset = 0;
    for (int l = 0; l < levels - 1; ++l) offset += i % size[l] * step[l], i /= size[l];
    return offset + i * step[levels - 1];
  }
  // How many elements from i on are step[0] apart.
  int64_t run(int64_t i) const { return levels == 1 ? INT64_MAX : size[0] - i % size[0]; }
};

// An operand as the packed path asks for it: out[d * width + l] = element (lane + l, depth + d) for l <
// lanes, 0 up to width. Lanes are rows of A, columns of B.
template <class T> struct Panels {
  virtual ~Panels() = default;
  virtual void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const = 0;
  // Depths that all panels should take together, before any goes on: rows that lie along the lanes are then
  // read in straight lines.
  virtual int64_t together() const { return INT64_MAX; }
  // The lanes and depths as a matrix, if they lie like one.
  virtual bool straight(int64_t /*lane*/, int64_t /*lanes*/, int64_t /*depth*/, int64_t /*count*/,
                        Matrix<T>* /*found*/) const {
    return false;
  }
};

// The operand whose element (l, d) is p[lane.at(l) + depth.at(d)].
template <class T> struct WalkPanels : Panels<T> {
  const T* p;
  Walk lane, depth;
  WalkPanels(const T* data, const Walk& lanes, const Walk& depths) : p(data), lane(lanes), depth(depths) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override;
  int64_t together() const override {
    const bool along_lanes = lane.step[0] == 1 && depth.step[0] * int64_t(sizeof(T)) >= 512;
    return along_lanes ? 16 : INT64_MAX;
  }
  bool straight(int64_t l, int64_t lanes, int64_t d, int64_t count, Matrix<T>* found) const override {
    *found = {p + lane.at(l) + depth.at(d), lane.step[0], depth.step[0]};
    return lane.run(l) >= lanes && depth.run(d) >= count;
  }
};

// c[rows.at(i) + cols.at(j)] = act(alpha * A B + beta * residual + bias), by Goto's loops over packed blocks.
template <class T> struct Product {
  int64_t m, n, k;
  const Panels<T>* a;
  const Panels<T>* b;
  T* c;
  Walk rows, cols;
  T alpha = 1, beta = 0;
  const T* bias = nullptr;      // n numbers, one per column
  const T* row_bias = nullptr;  // m numbers, one per row
  const T* residual = nullptr;  // walked like c
  Activation activation = Activation::none;
  const T* packed_b = nullptr;  // instead of b: pack_b's result
  bool accumulate = false;      // to what c holds
  // Two results side by side: c takes the columns before `own`, c2 (rows c2_row apart) those from `split` on,
  // where a panel begins.
  T* c2 = nullptr;
  int64_t own = 0, split = 0, c2_row = 0;
};

template <class T> void multiply(const Product<T>& g);

// Work below about 20 us stays on one thread: some 250 GFLOP/s of float, half of it of double.
template <class T> constexpr int64_t kSerialFlops = (int64_t(20) << 20) / int64_t(sizeof(T));

constexpr int64_t kDeep = 2048;  // from here on sums of few results may be cut into slices

template <class T> struct Gemm {
  int64_t m, n, k;
  Matrix<T> a, b;
  T* c;
  int64_t c_row;  // columns of c stand side by side
  T alpha = 1, beta = 0;
  const T* bias = nullptr;      // n numbers, one per column
  const T* residual = nullptr;  // like c; must not overlap c
  Activation activation = Activation::none;
  const T* packed_b = nullptr;  // instead of b: pack_b's result
};

template <class T> void gemm(const Gemm<T>& g);

// Equal depths of at most kc, so that no short last block spoils the rate.
int64_t depth_block(int64_t k, int64_t kc);

// Numbers that packed B takes, and the packing: panels of nr columns, kc deep, as the engine reads them.
template <class T> int64_t packed_size(int64_t n, int64_t k);
template <class T> void pack_b(const Matrix<T>& b, int64_t n, int64_t k, T* out);

// An activation's part that a tile applies on its way out, and the rest of it, on rows that are still in L1.
template <class T> T floor_of(Activation a);
template <class T> void activate(Activation a, T* c, int64_t c_row, int64_t m, int64_t n);

}  // namespace nn::cpu
