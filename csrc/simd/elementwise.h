// The lists of elementwise ops: each name is written once here and becomes an enum value, a switch case and a
// row of ops.h.
#pragma once

namespace nn {

// clang-format off
// y = f(x), float and double
#define NN_UNARY_OPS(U, A)                                                                                     \
  U(A, neg) U(A, abs) U(A, sign) U(A, exp) U(A, exp2) U(A, expm1) U(A, log) U(A, log2) U(A, log10) U(A, log1p) \
  U(A, sqrt) U(A, rsqrt) U(A, square) U(A, reciprocal) U(A, sin) U(A, cos) U(A, tan) U(A, sinh) U(A, cosh)     \
  U(A, tanh) U(A, sigmoid) U(A, erf) U(A, floor) U(A, ceil) U(A, round) U(A, trunc) U(A, relu) U(A, gelu)      \
  U(A, gelu_tanh) U(A, silu)

// z = f(x, y). The *_grad take the gradient first, then x or y of the forward: see elementwise.inl.
#define NN_BINARY_OPS(B, A)                                                                                 \
  B(A, add) B(A, sub) B(A, mul) B(A, div) B(A, maximum) B(A, minimum) B(A, pow) B(A, relu_grad)             \
  B(A, tanh_grad) B(A, sigmoid_grad) B(A, gelu_grad) B(A, gelu_tanh_grad) B(A, silu_grad) B(A, prelu)

// Activations with a row of numbers each: F0 takes none, F1 one, ... See activation.inl.
#define NN_ACTIVATIONS(F0, F1, F2, F3, A)                                                                     \
  F1(A, leaky_relu, slope) F3(A, elu, alpha, scale, rate) F2(A, softplus, beta, threshold) F0(A, softsign)    \
  F2(A, hardtanh, low, high) F0(A, hardsigmoid) F0(A, hardswish) F0(A, mish) F0(A, logsigmoid)                \
  F0(A, tanhshrink) F1(A, softshrink, lambd) F1(A, hardshrink, lambd) F2(A, threshold, level, value)

// y = first half of x, second half: which of them is the gate is the activation's affair
#define NN_GATES(G, A) G(A, glu) G(A, swiglu) G(A, geglu) G(A, geglu_tanh)

// Losses of a prediction and a target: see loss.inl.
#define NN_LOSSES(L, A)                                                                                     \
  L(A, mse) L(A, l1) L(A, smooth_l1) L(A, huber) L(A, binary_cross_entropy)                                 \
  L(A, binary_cross_entropy_with_logits) L(A, kl_div) L(A, kl_div_log) L(A, poisson_nll) L(A, soft_margin) L(A, hinge_embedding)

// bool = x op y
#define NN_COMPARE_OPS(C, A) C(A, eq) C(A, ne) C(A, lt) C(A, le) C(A, gt) C(A, ge)

// bool = f(x)
#define NN_TEST_OPS(P, A) P(A, isnan) P(A, isinf) P(A, isfinite)
// clang-format on

#define NN_ENUM(A, name, ...) name,
enum class Unary { NN_UNARY_OPS(NN_ENUM, ) };
enum class Binary { NN_BINARY_OPS(NN_ENUM, ) };
enum class Activation { NN_ACTIVATIONS(NN_ENUM, NN_ENUM, NN_ENUM, NN_ENUM, ) };
enum class Gate { NN_GATES(NN_ENUM, ) };
enum class Loss { NN_LOSSES(NN_ENUM, ) };
enum class Compare { NN_COMPARE_OPS(NN_ENUM, ) };
enum class Test { NN_TEST_OPS(NN_ENUM, ) };
#undef NN_ENUM

}  // namespace nn
