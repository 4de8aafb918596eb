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

// B packed once for many products: panels of nr columns, kc deep, in the order in which the engine reads
// them.
template <class T> struct PackedB {
  const T* p = nullptr;  // null: not packed
};

template <class T> struct Gemm {
  int64_t m, n, k;
  Matrix<T> a, b;
  T* c;
  int64_t c_row;  // columns of c stand side by side
  T alpha = 1, beta = 0;
  const T* bias = nullptr;      // n numbers, one per column
  const T* residual = nullptr;  // like c; must not overlap c unless it is c itself and k <= kc
  int64_t residual_row = 0;
  Activation activation = Activation::none;
  PackedB<T> packed = {};
};

template <class T> void gemm(const Gemm<T>& g);

// Numbers that packed B takes, and the packing.
template <class T> int64_t packed_size(int64_t n, int64_t k);
template <class T> void pack_b(const Matrix<T>& b, int64_t n, int64_t k, T* out);

// Name of the path that gemm(m, n, k) takes, for nnkern.explain.
template <class T> const char* gemm_path(const Gemm<T>& g);

}  // namespace nn::cpu
