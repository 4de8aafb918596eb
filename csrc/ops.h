// THE op table: every kernel that Python can call, once.
//
//   NN_OP(name, result, (C++ parameters), Python argument names...)
//
// It declares nn::cpu::name (and nn::cuda::name in the CUDA build) and binds it in the _cpu (_cuda) module; a
// missing body is a link error. nnkern/backends/reference/<op>.py defines the same name with the same
// argument names. Arrays come in as View (any strides), OptView (None allowed) or Operand (array or number)
// and go out as Array. A kernel checks whatever it relies on and fails with the op's name and the shapes:
// these are the user's errors.
//
// Letters: x w b inputs, weights, bias; y result; g in front: gradient with respect to it.
//   N batch, C channels, H W height, width, K output channels, R S filter height, width, T time, D features;
//   GEMM: M rows, N columns, K depth.
#pragma once
#include <tuple>

#include "simd/elementwise.h"
#include "view.h"

namespace nn {
using Array2 = std::tuple<Array, Array>;  // the macro below takes no commas in a result
using Array3 = std::tuple<Array, Array, Array>;
using Array4 = std::tuple<Array, Array, Array, Array>;
using Array5 = std::tuple<Array, Array, Array, Array, Array>;
using Array9 = std::tuple<Array, Array, Array, Array, Array, Array, Array, Array, Array>;
}  // namespace nn

#define NN_OPS(NN_OP)                                                                      \
  NN_ELEMENTWISE_OPS(NN_OP)                                                                \
  NN_ACTIVATION_OPS(NN_OP)                                                                 \
  NN_MATMUL_OPS(NN_OP)                                                                     \
  NN_ATTENTION_OPS(NN_OP)                                                                  \
  NN_CONV_OPS(NN_OP)                                                                       \
  NN_FOLD_OPS(NN_OP)                                                                       \
  NN_POOL_OPS(NN_OP)                                                                       \
  NN_SHAPE_OPS(NN_OP)                                                                      \
  NN_INDEX_OPS(NN_OP)                                                                      \
  NN_OP(dropout_forward, Array, (const View& x, double p, int64_t seed), "x", "p", "seed") \
  NN_ALPHA_DROPOUT_OPS(NN_OP)                                                              \
  NN_EMBEDDING_OPS(NN_OP)                                                                  \
  NN_DISTANCE_OPS(NN_OP)                                                                   \
  NN_REDUCE_OPS(NN_OP)                                                                     \
  NN_OPTIM_OPS(NN_OP)                                                                      \
  NN_RESAMPLE_OPS(NN_OP)                                                                   \
  NN_SCAN_OPS(NN_OP)                                                                       \
  NN_SOFTMAX_OPS(NN_OP)                                                                    \
  NN_NORM_OPS(NN_OP)                                                                       \
  NN_LAYER_NORM_OPS(NN_OP)                                                                 \
  NN_RECURRENT_OPS(NN_OP)

// clang-format off
#define NN_UNARY_ROW(NN_OP, name) NN_OP(name##_forward, Array, (const View& x, const OptView& out), "x", "out")
#define NN_TEST_ROW(NN_OP, name) NN_OP(name##_forward, Array, (const View& x), "x")
#define NN_BINARY_ROW(NN_OP, name) \
  NN_OP(name##_forward, Array, (const Operand& x, const Operand& y, const OptView& out), "x", "y", "out")
#define NN_ELEMENTWISE_OPS(NN_OP)                                                                                              \
  NN_UNARY_OPS(NN_UNARY_ROW, NN_OP)                                                                                            \
  NN_BINARY_OPS(NN_BINARY_ROW, NN_OP)                                                                                          \
  NN_COMPARE_OPS(NN_BINARY_ROW, NN_OP)                                                                                         \
  NN_TEST_OPS(NN_TEST_ROW, NN_OP)                                                                                              \
  NN_OP(logical_and_forward, Array, (const View& x, const View& y), "x", "y")                                                  \
  NN_OP(logical_or_forward, Array, (const View& x, const View& y), "x", "y")                                                   \
  NN_OP(logical_xor_forward, Array, (const View& x, const View& y), "x", "y")                                                  \
  NN_OP(logical_not_forward, Array, (const View& x), "x")                                                                      \
  NN_BINARY_ROW(NN_OP, remainder)                                                                                              \
  NN_BINARY_ROW(NN_OP, fmod)                                                                                                   \
  NN_BINARY_ROW(NN_OP, floor_divide)                                                                                           \
  NN_OP(where_forward, Array, (const View& c, const Operand& x, const Operand& y), "c", "x", "y")                              \
  NN_OP(clamp_forward, Array, (const View& x, const Operand& low, const Operand& high, const OptView& out), "x", "low", "high", "out")

// w of prelu is one number or one per channel. Along the axis, a gate takes x (..., 2n, ...) to (..., n, ...), and maxout
// x (..., n * pieces, ...), pieces fastest, to (..., n, ...).
#define NN_ACT0_ROW(NN_OP, name)                                                        \
  NN_OP(name##_forward, Array, (const View& x, const OptView& out), "x", "out")         \
  NN_OP(name##_backward, Array, (const View& gy, const View& x), "gy", "x")
#define NN_ACT1_ROW(NN_OP, name, a)                                                             \
  NN_OP(name##_forward, Array, (const View& x, double a, const OptView& out), "x", #a, "out")   \
  NN_OP(name##_backward, Array, (const View& gy, const View& x, double a), "gy", "x", #a)
#define NN_ACT2_ROW(NN_OP, name, a, b)                                                                        \
  NN_OP(name##_forward, Array, (const View& x, double a, double b, const OptView& out), "x", #a, #b, "out")   \
  NN_OP(name##_backward, Array, (const View& gy, const View& x, double a, double b), "gy", "x", #a, #b)
#define NN_ACT3_ROW(NN_OP, name, a, b, c)                                                                                   \
  NN_OP(name##_forward, Array, (const View& x, double a, double b, double c, const OptView& out), "x", #a, #b, #c, "out")   \
  NN_OP(name##_backward, Array, (const View& gy, const View& x, double a, double b, double c), "gy", "x", #a, #b, #c)
#define NN_GATE_ROW(NN_OP, name)                                                             \
  NN_OP(name##_forward, Array, (const View& x, int64_t axis), "x", "axis")                   \
  NN_OP(name##_backward, Array, (const View& gy, const View& x, int64_t axis), "gy", "x", "axis")
#define NN_ACTIVATION_OPS(NN_OP)                                                                                               \
  NN_ACTIVATIONS(NN_ACT0_ROW, NN_ACT1_ROW, NN_ACT2_ROW, NN_ACT3_ROW, NN_OP)                                                    \
  NN_OP(prelu_backward, Array2, (const View& gy, const View& x, const View& w), "gy", "x", "w")                                \
  NN_GATES(NN_GATE_ROW, NN_OP) \
  NN_OP(maxout_forward, Array, (const View& x, int64_t pieces, int64_t axis), "x", "pieces", "axis") \
  NN_OP(maxout_backward, Array, (const View& gy, const View& x, int64_t pieces, int64_t axis), "gy", "x", "pieces", "axis")

#define NN_MATMUL_OPS(NN_OP)                                                                                                   \
  NN_OP(matmul_forward, Array, (const View& x, const View& w, const OptView& out), "x", "w", "out")                            \
  NN_OP(linear_forward, Array, (const View& x, const View& w, const OptView& b, const OptView& residual, int64_t activation,   \
                                double alpha, double beta, const OptView& out),                                                \
        "x", "w", "b", "residual", "activation", "alpha", "beta", "out")                                                \
  NN_OP(pack_forward, Array, (const View& w), "w")                                                                             \
  NN_OP(matmul_packed_forward, Array, (const View& x, const View& packed, int64_t k, int64_t n, const OptView& b,              \
                                       int64_t activation),                                                                    \
        "x", "packed", "k", "n", "b", "activation")

// q (B, H, L, D), k (B, J, S, D), v (B, J, S, E), J divides H; mask (B, H, L, S) bool or added; lengths (B,) int64. Query i
// stands at i + offset and sees keys from left before to right after itself (-1: no limit). statistics (B, H, L):
// log(sum(exp(scores))). Results have their inputs' order of axes in memory.
#define NN_ATTENTION_OPS(NN_OP)                                                                                                \
  NN_OP(attention_forward, Array2, (const View& q, const View& k, const View& v, const OptView& mask,                          \
        const OptView& q_lengths, const OptView& kv_lengths, double scale, int64_t left, int64_t right, int64_t offset,        \
        double softcap, double dropout, int64_t seed),                                                                         \
        "q", "k", "v", "mask", "q_lengths", "kv_lengths", "scale", "left", "right", "offset", "softcap", "dropout", "seed")    \
  NN_OP(attention_backward, Array3, (const View& gy, const View& q, const View& k, const View& v, const View& y,               \
        const View& statistics, const OptView& mask, const OptView& q_lengths, const OptView& kv_lengths, double scale,        \
        int64_t left, int64_t right, int64_t offset, double softcap, double dropout, int64_t seed),                            \
        "gy", "q", "k", "v", "y", "statistics", "mask", "q_lengths", "kv_lengths", "scale", "left", "right", "offset",         \
        "softcap", "dropout", "seed")

// x (N, C, ...) with one to three spatial axes, w (K, C / groups, ...). padding: low and high end of each axis;
// padding_mode: 0 zeros, 1 reflect, 2 replicate, 3 circular; algorithm: 0 auto, 1 gemm, 2 winograd F(4, 3) etc.,
// 3 winograd F(2, 3), 4 depthwise, 5 direct; direction: 0 forward, 1 input_grad, 2 weight_grad. Results have x's (gy's) layout.
#define NN_CONV_OPS(NN_OP)                                                                                                     \
  NN_OP(conv_forward, Array, (const View& x, const View& w, const OptView& b, const OptView& residual, const Ints& stride,     \
        const Ints& padding, const Ints& dilation, int64_t groups, int64_t padding_mode, int64_t activation,                   \
        int64_t algorithm),                                                                                                    \
        "x", "w", "b", "residual", "stride", "padding", "dilation", "groups", "padding_mode", "activation", "algorithm")       \
  NN_OP(conv_input_grad, Array, (const View& gy, const View& w, const OptView& b, const Ints& input_size, const Ints& stride,  \
        const Ints& padding, const Ints& dilation, int64_t groups, int64_t padding_mode, int64_t algorithm),                   \
        "gy", "w", "b", "input_size", "stride", "padding", "dilation", "groups", "padding_mode", "algorithm")                  \
  NN_OP(conv_weight_grad, Array, (const View& gy, const View& x, const Ints& kernel_size, const Ints& stride,                  \
        const Ints& padding, const Ints& dilation, int64_t groups, int64_t padding_mode, int64_t algorithm),                   \
        "gy", "x", "kernel_size", "stride", "padding", "dilation", "groups", "padding_mode", "algorithm")                      \
  NN_OP(conv_algorithm, int64_t, (const View& x, const View& w, const Ints& stride, const Ints& padding,                       \
        const Ints& dilation, int64_t groups, int64_t padding_mode, int64_t algorithm, int64_t direction),                     \
        "x", "w", "stride", "padding", "dilation", "groups", "padding_mode", "algorithm", "direction")

// Axes, stride, padding and dilation as of convolution; y (N, C * taps, places).
#define NN_FOLD_OPS(NN_OP)                                                                                                     \
  NN_OP(unfold_forward, Array, (const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,               \
        const Ints& dilation), "x", "kernel_size", "stride", "padding", "dilation")                                            \
  NN_OP(fold_forward, Array, (const View& y, const Ints& output_size, const Ints& kernel_size, const Ints& stride,             \
        const Ints& padding, const Ints& dilation), "y", "output_size", "kernel_size", "stride", "padding", "dilation")

// x (N, C, ...) with one to three spatial axes; padding: low and high end of each. An empty stride is adaptive pooling:
// kernel_size is then the size of the result. index: 0 none; 1 the winners' tap numbers (uint8, int32 if a window has
// more than 256); 2 their places in the flattened image (int64). divisor: 0 counts. Results have x's (index's) layout.
#define NN_POOL_OPS(NN_OP)                                                                                                     \
  NN_OP(max_pool_forward, Array2, (const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,            \
        const Ints& dilation, bool ceil_mode, bool smallest, bool ignore_nan, int64_t index),                                  \
        "x", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "smallest", "ignore_nan", "index")                   \
  NN_OP(max_pool_backward, Array, (const View& gy, const View& index, const Ints& input_size, const Ints& kernel_size,         \
        const Ints& stride, const Ints& padding, const Ints& dilation),                                                        \
        "gy", "index", "input_size", "kernel_size", "stride", "padding", "dilation")                                           \
  NN_OP(avg_pool_forward, Array, (const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,             \
        const Ints& dilation, bool ceil_mode, bool count_include_pad, int64_t divisor),                                        \
        "x", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad", "divisor")                      \
  NN_OP(avg_pool_backward, Array, (const View& gy, const Ints& input_size, const Ints& kernel_size, const Ints& stride,        \
        const Ints& padding, const Ints& dilation, bool count_include_pad, int64_t divisor),                                   \
        "gy", "input_size", "kernel_size", "stride", "padding", "dilation", "count_include_pad", "divisor")                     \
  NN_OP(pool_take_forward, Array, (const View& x, const View& index, const Ints& kernel_size, const Ints& stride,              \
        const Ints& padding, const Ints& dilation),                                                                            \
        "x", "index", "kernel_size", "stride", "padding", "dilation")                                                          \
  NN_OP(max_unpool_forward, Array, (const View& x, const View& index, const Ints& output_size),                                \
        "x", "index", "output_size")                                                                                           \
  NN_OP(fractional_max_pool_forward, Array2, (const View& x, const Ints& kernel_size, const Ints& output_size,                 \
        const View& samples, bool ignore_nan, bool index),                                                                     \
        "x", "kernel_size", "output_size", "samples", "ignore_nan", "index")

#define NN_SHAPE_OPS(NN_OP)                                                                                                    \
  NN_OP(copy_forward, Array, (const View& x, const OptView& out), "x", "out")                                                  \
  NN_OP(cat_forward, Array, (const Views& xs, int64_t axis), "xs", "axis")                                                     \
  NN_OP(triangle_forward, Array, (const View& x, int64_t diagonal, bool upper), "x", "diagonal", "upper")

#define NN_INDEX_OPS(NN_OP)                                                                                                    \
  NN_OP(take_forward, Array, (const View& x, const View& index, int64_t axis), "x", "index", "axis")                           \
  NN_OP(index_add_forward, Array, (const View& x, const View& index, const View& source, int64_t axis, const OptView& out),    \
        "x", "index", "source", "axis", "out")                                                                                 \
  NN_OP(gather_forward, Array, (const View& x, const View& index, int64_t axis), "x", "index", "axis")                         \
  NN_OP(scatter_forward, Array, (const View& x, const View& index, const View& source, int64_t axis, const OptView& out),      \
        "x", "index", "source", "axis", "out")                                                                                 \
  NN_OP(scatter_add_forward, Array, (const View& x, const View& index, const View& source, int64_t axis, const OptView& out),  \
        "x", "index", "source", "axis", "out")                                                                                 \
  NN_OP(scatter_reduce_forward, Array, (const View& x, const View& index, const View& source, int64_t axis, int64_t reduce,    \
        bool include_self), "x", "index", "source", "axis", "reduce", "include_self")

// axes: () is all of them. Sums and products of integers are int64.
#define NN_REDUCE_OPS(NN_OP)                                                                                                   \
  NN_OP(sum_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                         \
  NN_OP(prod_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                        \
  NN_OP(mean_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                        \
  NN_OP(amax_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                        \
  NN_OP(amin_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                        \
  NN_OP(any_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                         \
  NN_OP(all_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                         \
  NN_OP(argmax_forward, Array2, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                     \
  NN_OP(argmin_forward, Array2, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                     \
  NN_OP(norm_forward, Array, (const View& x, const Ints& axes, bool keepdims), "x", "axes", "keepdims")                        \
  NN_OP(var_mean_forward, Array2, (const View& x, const Ints& axes, double correction, bool keepdims),     \
        "x", "axes", "correction", "keepdims")

// pads: (low, high) of the last axis, then of the one before it, and so on; negative ones crop. mode: 0 constant,
// 1 reflect, 2 replicate, 3 circular. tables: for each spatial axis (first, index, weight): y[o] is the sum of
// weight[e] * x[index[e]] for first[o] <= e < first[o + 1]. grid_sample's mode: 0 bilinear, 1 nearest, 2 bicubic;
// padding_mode: 0 zeros, 1 border, 2 reflection; a gradient not needed is empty. Sorting: values and int64 places.
#define NN_RESAMPLE_OPS(NN_OP)                                                                                                 \
  NN_OP(pad_forward, Array, (const View& x, const Ints& pads, int64_t mode, double value), "x", "pads", "mode", "value")       \
  NN_OP(pad_backward, Array, (const View& gy, const Ints& input_size, const Ints& pads, int64_t mode),                         \
        "gy", "input_size", "pads", "mode")                                                                                    \
  NN_OP(interpolate_forward, Array, (const View& x, const Views& tables), "x", "tables")                                       \
  NN_OP(interpolate_u8_forward, Array, (const View& x, const Views& tables, const Ints& bits), "x", "tables", "bits")          \
  NN_OP(grid_sample_forward, Array, (const View& x, const View& grid, int64_t mode, int64_t padding_mode, bool align_corners), \
        "x", "grid", "mode", "padding_mode", "align_corners")                                                                  \
  NN_OP(grid_sample_backward, Array2, (const View& gy, const View& x, const View& grid, int64_t mode, int64_t padding_mode,    \
        bool align_corners, bool need_x, bool need_grid),                                                                      \
        "gy", "x", "grid", "mode", "padding_mode", "align_corners", "need_x", "need_grid")                                     \
  NN_OP(sort_forward, Array2, (const View& x, int64_t axis, bool descending), "x", "axis", "descending")                       \
  NN_OP(topk_forward, Array2, (const View& x, int64_t k, int64_t axis, bool largest), "x", "k", "axis", "largest")

/* scan.cpp: running sums and products along an axis */
#define NN_SCAN_OPS(NN_OP)                                                                                                     \
  NN_OP(cumsum_forward, Array, (const View& x, int64_t axis, bool reverse), "x", "axis", "reverse")                            \
  NN_OP(cumprod_forward, Array, (const View& x, int64_t axis), "x", "axis")                                                    \
  NN_OP(cumprod_backward, Array, (const View& gy, const View& x, const View& y, int64_t axis), "gy", "x", "y", "axis")

// reduction: 0 none, 1 mean, 2 sum. target: class numbers, or probabilities of x's shape. statistics is (2, rows): the
// maximum of each row and log(sum(exp(row - maximum))).
// alpha of ctc_loss: (N, T, 2 S + 3), two states of no probability first.
// kind, a: a loss of elementwise.h and its number.
#define NN_SOFTMAX_OPS(NN_OP)                                                                                                  \
  NN_OP(softmax_forward, Array, (const View& x, int64_t axis, bool log), "x", "axis", "log")                                   \
  NN_OP(softmax_backward, Array, (const View& gy, const View& y, int64_t axis, bool log), "gy", "y", "axis", "log")            \
  NN_OP(cross_entropy_forward, Array2, (const View& x, const View& target, const OptView& weight, int64_t ignore_index,        \
        int64_t reduction, double label_smoothing),                                                                            \
        "x", "target", "weight", "ignore_index", "reduction", "label_smoothing")                                               \
  NN_OP(cross_entropy_backward, Array, (const View& gy, const View& x, const View& target, const OptView& weight,              \
        const View& statistics, int64_t ignore_index, int64_t reduction, double label_smoothing),                              \
        "gy", "x", "target", "weight", "statistics", "ignore_index", "reduction", "label_smoothing")          \
  NN_OP(nll_loss_forward, Array, (const View& x, const View& target, const OptView& weight, int64_t ignore_index,              \
        int64_t reduction), "x", "target", "weight", "ignore_index", "reduction")                                              \
  NN_OP(nll_loss_backward, Array, (const View& gy, const View& x, const View& target, const OptView& weight,                   \
        int64_t ignore_index, int64_t reduction), "gy", "x", "target", "weight", "ignore_index", "reduction")                  \
  NN_OP(ctc_loss_forward, Array2, (const View& log_probs, const View& targets, const View& input_lengths,                      \
        const View& target_lengths, int64_t blank), "log_probs", "targets", "input_lengths", "target_lengths", "blank")        \
  NN_OP(ctc_loss_backward, Array, (const View& gy, const View& log_probs, const View& targets, const View& input_lengths,      \
        const View& target_lengths, const View& alpha, int64_t blank, bool zero_infinity),                                     \
        "gy", "log_probs", "targets", "input_lengths", "target_lengths", "alpha", "blank", "zero_infinity")                    \
  NN_OP(margin_loss_forward, Array, (const View& x, const View& target, const OptView& weight, int64_t p, double margin,       \
        bool several, int64_t reduction), "x", "target", "weight", "p", "margin", "several", "reduction")                      \
  NN_OP(margin_loss_backward, Array, (const View& gy, const View& x, const View& target, const OptView& weight, int64_t p,     \
        double margin, bool several, int64_t reduction),                                                                       \
        "gy", "x", "target", "weight", "p", "margin", "several", "reduction")                                                  \
  NN_OP(pointwise_loss_forward, Array, (const View& x, const View& target, const OptView& weight, int64_t kind,                \
        int64_t reduction, double a), "x", "target", "weight", "kind", "reduction", "a")                                       \
  NN_OP(pointwise_loss_backward, Array, (const View& gy, const View& x, const View& target, const OptView& weight,             \
        int64_t kind, int64_t reduction, double a), "gy", "x", "target", "weight", "kind", "reduction", "a")

// x (N, C, ...), statistics per channel; mean and var (biased) are (C,), or (N, groups) of group_norm. Training writes
// running_mean and running_var in place. y: the result of a fused relu, which gradients go through. Backward gives gx,
// gw, gb, and the gradient behind the relu if `residual` asks for it. Results have x's layout.
#define NN_NORM_OPS(NN_OP)                                                                                                     \
  NN_OP(batch_norm_forward, Array3, (const View& x, const OptView& w, const OptView& b, const OptView& running_mean,           \
        const OptView& running_var, const OptView& residual, bool training, double momentum, double eps, bool relu),           \
        "x", "w", "b", "running_mean", "running_var", "residual", "training", "momentum", "eps", "relu")                       \
  NN_OP(batch_norm_backward, Array4, (const View& gy, const View& x, const OptView& w, const View& mean, const View& var,      \
        const OptView& y, bool training, double eps, bool residual),                                                           \
        "gy", "x", "w", "mean", "var", "y", "training", "eps", "residual")                                                     \
  NN_OP(group_norm_forward, Array3, (const View& x, const OptView& w, const OptView& b, int64_t groups, double eps),           \
        "x", "w", "b", "groups", "eps")                                                                                        \
  NN_OP(group_norm_backward, Array3, (const View& gy, const View& x, const OptView& w, const View& mean, const View& var,      \
        int64_t groups, double eps),                                                                                           \
        "gy", "x", "w", "mean", "var", "groups", "eps")                                                                        \
  NN_OP(local_response_norm_forward, Array, (const View& x, int64_t size, double alpha, double beta, double k),                \
        "x", "size", "alpha", "beta", "k")                                                                                     \
  NN_OP(local_response_norm_backward, Array, (const View& gy, const View& x, int64_t size, double alpha, double beta,          \
        double k),                                                                                                             \
        "gy", "x", "size", "alpha", "beta", "k")

// x (..., *normalized_shape), w and b (*normalized_shape,); rms leaves mean and b out. Forward gives y, h = x + residual
// (empty without one) and the rows' mean and rstd, (2, rows); backward takes h as x and its gradient gh, and gives gx,
// gw, gb.
#define NN_LAYER_NORM_OPS(NN_OP)                                                                                               \
  NN_OP(layer_norm_forward, Array3, (const View& x, const OptView& residual, const OptView& w, const OptView& b,               \
        const Ints& normalized_shape, double eps, bool rms),                                                                   \
        "x", "residual", "w", "b", "normalized_shape", "eps", "rms")                                                           \
  NN_OP(layer_norm_backward, Array3, (const View& gy, const View& x, const OptView& w, const View& statistics,                 \
        const OptView& gh, const Ints& normalized_shape, bool rms),                                                            \
        "gy", "x", "w", "statistics", "gh", "normalized_shape", "rms")

// A layer (gates G, units H, P outputs) in one direction, or with the weights *_reverse in two, the second one backwards in
// time. x (T, N, I), or (N, T, I) if batch_first; y and cells likewise, both directions side by side; gates and the gradients
// of weights hold the directions one after the other along their first axis. mask (directions, N, P) multiplies h before the
// product. cell: 0 tanh, 1 relu, 2 lstm, 3 gru, 4 gru with the reset gate before the product. save: 1 cells, 2 gates, too.
// gb_hh is empty where it equals gb_ih.
#define NN_RECURRENT_OPS(NN_OP)                                                                                                \
  NN_OP(recurrent_forward, Array5, (const View& x, const OptView& h0, const OptView& c0, const View& w_ih, const View& w_hh,   \
        const OptView& b_ih, const OptView& b_hh, const OptView& w_hr, const OptView& peephole, const OptView& w_ih_reverse,   \
        const OptView& w_hh_reverse, const OptView& b_ih_reverse, const OptView& b_hh_reverse, const OptView& w_hr_reverse,    \
        const OptView& peephole_reverse, const OptView& lengths, const OptView& mask, int64_t cell, bool batch_first,          \
        int64_t save),                                                                                                         \
        "x", "h0", "c0", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "peephole", "w_ih_reverse", "w_hh_reverse",                   \
        "b_ih_reverse", "b_hh_reverse", "w_hr_reverse", "peephole_reverse", "lengths", "mask", "cell", "batch_first", "save")  \
  NN_OP(recurrent_backward, Array9, (const OptView& gy, const OptView& gh, const OptView& gc, const OptView& gcells,           \
        const View& x, const OptView& h0, const OptView& c0, const View& w_ih, const View& w_hh, const OptView& w_hr,          \
        const OptView& peephole, const OptView& w_ih_reverse, const OptView& w_hh_reverse, const OptView& w_hr_reverse,        \
        const OptView& peephole_reverse, const OptView& lengths, const OptView& mask, const View& y, const View& cells,        \
        const View& gates, int64_t cell, bool batch_first, bool needs_x),                                                      \
        "gy", "gh", "gc", "gcells", "x", "h0", "c0", "w_ih", "w_hh", "w_hr", "peephole", "w_ih_reverse", "w_hh_reverse",       \
        "w_hr_reverse", "peephole_reverse", "lengths", "mask", "y", "cells", "gates", "cell", "batch_first", "needs_x")

// w (rows, width), index of whole numbers. The gradient of row v adds scale[i] gy[source[i]] (without source: gy[i]) of
// the places i with index[i] = v; the row padding_idx (-1: none) gets zeros. mode: 0 sum, 1 mean, 2 max, whose winning
// rows come with it (-1 in empty bags).
#define NN_EMBEDDING_OPS(NN_OP)                                                                                                \
  NN_OP(embedding_forward, Array, (const View& w, const View& index), "w", "index")                                            \
  NN_OP(embedding_backward, Array, (const View& gy, const View& index, const OptView& source, const OptView& scale,            \
        int64_t rows, int64_t padding_idx),                                                                                    \
        "gy", "index", "source", "scale", "rows", "padding_idx")                                                               \
  NN_OP(embedding_bag_forward, Array2, (const View& w, const View& index, const View& offsets, const OptView& scale,           \
        int64_t mode),                                                                                                         \
        "w", "index", "offsets", "scale", "mode")

// Random numbers are a hash of seed and place. alpha_dropout_backward is what it does to a gradient.
#define NN_ALPHA_DROPOUT_OPS(NN_OP)                                                                                            \
  NN_OP(alpha_dropout_forward, Array, (const View& x, double p, int64_t seed), "x", "p", "seed")                               \
  NN_OP(alpha_dropout_backward, Array, (const View& gy, double p, int64_t seed), "gy", "p", "seed")

// x (rows, width); y has the distances of the pairs of rows (0, 1), (0, 2), ... (1, 2), ...
// Of x and y (..., width), row by row: their product, |x - y + eps|, their product over both lengths (at least eps); of x
// the rows over their lengths (at least eps).
#define NN_DISTANCE_OPS(NN_OP)                                                                                                 \
  NN_OP(row_dots_forward, Array, (const View& x, const View& y), "x", "y")                                                     \
  NN_OP(pairwise_distance_forward, Array, (const View& x, const View& y, double eps), "x", "y", "eps")                         \
  NN_OP(cosine_similarity_forward, Array, (const View& x, const View& y, double eps), "x", "y", "eps")                         \
  NN_OP(normalize_forward, Array, (const View& x, double eps), "x", "eps")                                                     \
  NN_OP(pdist_forward, Array, (const View& x, double p), "x", "p")                                                             \
  NN_OP(pdist_backward, Array, (const View& gy, const View& x, const View& y, double p), "gy", "x", "y", "p")

// In place on params and states; the lists of states that an option leaves out are empty.
#define NN_OPTIM_OPS(NN_OP)                                                                                                    \
  NN_OP(sgd_step, void, (const Views& params, const Views& grads, const Views& momentum_buffers, double lr, double momentum,   \
        double dampening, double weight_decay, bool nesterov, bool maximize, bool first_step),                                 \
        "params", "grads", "momentum_buffers", "lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize",          \
        "first_step")                                                                                                          \
  NN_OP(adam_step, void, (const Views& params, const Views& grads, const Views& exp_avgs, const Views& exp_avg_sqs,            \
        const Views& max_exp_avg_sqs, double step, double lr, double beta1, double beta2, double eps, double weight_decay,     \
        bool decoupled, bool amsgrad, bool maximize),                                                                          \
        "params", "grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs", "step", "lr", "beta1", "beta2", "eps",                \
        "weight_decay", "decoupled", "amsgrad", "maximize")
// clang-format on

#define NN_DECLARE(name, result, params, ...) result name params;
namespace nn::cpu {
NN_OPS(NN_DECLARE)
}
#undef NN_DECLARE
