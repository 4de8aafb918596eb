// THE op table: every kernel that Python can call, once.
//
//   NN_OP(name, result, (C++ parameters), Python argument names...)
//
// It declares nn::cpu::name (and nn::cuda::name in the CUDA build) and binds it in the _cpu (_cuda) module; a missing
// body is a link error. nnkern/backends/reference/<op>.py defines the same name with the same argument names.
// Arrays come in as View (any strides), OptView (None allowed) or Operand (array or number) and go out as Array.
// A kernel checks whatever it relies on and fails with the op's name and the shapes: these are the user's errors.
//
// Letters: x w b inputs, weights, bias; y result; g in front: gradient with respect to it.
//   N batch, C channels, H W height, width, K output channels, R S filter height, width, T time, D features;
//   GEMM: M rows, N columns, K depth.
#pragma once
#include <tuple>

#include "view.h"

#define NN_OPS(NN_OP) NN_OP(neg_forward, Array, (const View& x, const OptView& out), "x", "out")

#define NN_DECLARE(name, result, params, ...) result name params;
namespace nn::cpu {
NN_OPS(NN_DECLARE)
}
#undef NN_DECLARE
