// THE kernel table: what an ISA supplies, for float and double, plus its blocking numbers.
//
// A row is NN_KERNEL(name, result, (parameters over T)). Its body is `template <class T> result name(...)` in
// some simd/*.inl, written once over vec<T>; simd/isa.inl includes them all and fills one const table per
// ISA and dtype. Kernels see pointers and sizes only: no allocation, no threads, no exceptions, no std:: at
// all. Everything they define or instantiate stays in an anonymous namespace: a weak symbol (any inline
// function or template outside one) compiled with AVX-512 flags may be the copy that the linker keeps for
// everybody, an illegal instruction on old CPUs.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "arguments.h"
#include "elementwise.h"

namespace nn {

extern const bool lines_are_fetched;  // by the processor itself, which is slower when asked (dispatch.cpp)

#define NN_KERNELS(NN_KERNEL)                                                                               \
  NN_ELEMENTWISE_KERNELS(NN_KERNEL)                                                                         \
  NN_ACTIVATION_KERNELS(NN_KERNEL)                                                                          \
  NN_KERNEL(remainder_row, bool, /* remainder.inl */                                                        \
            (bool floor, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n))                  \
  /* copy.inl: y[j * y_step + i] = x[i * x_step + j];  y[i] += x[i];  y[i] += a x[i] */                     \
  NN_KERNEL(transpose_copy, void,                                                                           \
            (const T* x, int64_t x_step, T* y, int64_t y_step, int64_t rows, int64_t cols))                 \
  NN_KERNEL(copy_rows, void,                                                                                \
            (const T* x, int64_t x_step, const int64_t* at, T* y, int64_t y_step, int64_t rows, int64_t n)) \
  NN_KERNEL(surround_rows, void,                                                                            \
            (const Surround<T>& p, const T* x, int64_t x_step, const int64_t* at, T* y, int64_t rows))      \
  NN_KERNEL(split_rows, void,                                                                               \
            (const T* x, int64_t x_step, int64_t rows, int64_t n, T* even, T* odd, int64_t y_step))         \
  NN_KERNEL(interleave_row, void, (const T* even, const T* odd, int64_t n, T* y))                           \
  NN_KERNEL(add_to, void, (const T* x, T* y, int64_t n))                                                    \
  NN_KERNEL(add_scaled, void, (T a, const T* x, T* y, int64_t n))                                           \
  /* y = sum over i < count of share (factor[i]) x[at[i] * n ...]; at[i] is there for i < known */          \
  NN_KERNEL(sum_rows, void,                                                                                 \
            (const T* x, int64_t n, const int64_t* at, const T* factor, T share, int64_t count,             \
             int64_t known, T* y))                                                                          \
  NN_DROPOUT_KERNELS(NN_KERNEL)                                                                             \
  NN_DISTANCE_KERNELS(NN_KERNEL)                                                                            \
  NN_PROBE_KERNELS(NN_KERNEL)                                                                               \
  NN_GEMM_KERNELS(NN_KERNEL)                                                                                \
  NN_ATTENTION_KERNELS(NN_KERNEL)                                                                           \
  NN_CONV_KERNELS(NN_KERNEL)                                                                                \
  NN_WINOGRAD_KERNELS(NN_KERNEL)                                                                            \
  NN_POOL_KERNELS(NN_KERNEL)                                                                                \
  NN_REDUCE_KERNELS(NN_KERNEL)                                                                              \
  NN_OPTIM_KERNELS(NN_KERNEL)                                                                               \
  NN_RESAMPLE_KERNELS(NN_KERNEL)                                                                            \
  NN_SOFTMAX_KERNELS(NN_KERNEL)                                                                             \
  NN_NORM_KERNELS(NN_KERNEL)                                                                                \
  NN_RECURRENT_KERNELS(NN_KERNEL)

// clang-format off
/* elementwise.inl: op from elementwise.h; a step is 1, or 0 for a single number; past: stores go past the caches */
#define NN_ELEMENTWISE_KERNELS(NN_KERNEL)                                                                                      \
  NN_KERNEL(unary, void, (int op, const T* x, T* y, int64_t n, bool past))                                                                \
  NN_KERNEL(binary, void, (int op, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n, bool past))                           \
  NN_KERNEL(compare, void, (int op, const T* x, int x_step, const T* y, int y_step, uint8_t* z, int64_t n))                    \
  NN_KERNEL(test, void, (int op, const T* x, uint8_t* z, int64_t n))                                                           \
  NN_KERNEL(where, void, (const uint8_t* c, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n))                  \
  NN_KERNEL(clamp, void, (const T* x, T low, T high, T* y, int64_t n, bool past))

/* activation.inl: op from elementwise.h, with up to three numbers. gate.inl: y = gate(x, z) */
#define NN_ACTIVATION_KERNELS(NN_KERNEL)                                                                                       \
  NN_KERNEL(activate, void, (int op, const T* x, T* y, int64_t n, T a, T b, T c, bool past))                                              \
  NN_KERNEL(activate_grad, void, (int op, const T* gy, const T* x, T* gx, int64_t n, T a, T b, T c, bool past))                           \
  NN_KERNEL(prelu_grad_row, T, (const T* gy, const T* x, T w, T* gx, int64_t n))                                               \
  NN_KERNEL(prelu_grad_cols, void, (const T* gy, const T* x, const T* w, T* gx, T* gw, int64_t rows, int64_t n))               \
  NN_KERNEL(gate, void, (int op, const T* x, const T* z, T* y, int64_t n))                                                     \
  NN_KERNEL(gate_grad, void, (int op, const T* gy, const T* x, const T* z, T* gx, T* gz, int64_t n)) \
  NN_KERNEL(maxout, void, (const T* x, int64_t pieces, int64_t step, T* y, int64_t n)) \
  NN_KERNEL(maxout_grad, void, (const T* gy, const T* x, int64_t pieces, int64_t step, T* gx, int64_t n))

/* probe.inl */
#define NN_PROBE_KERNELS(NN_KERNEL)                                                                                            \
  NN_KERNEL(probe_fma, T, (int64_t rounds))                                                                                    \
  NN_KERNEL(probe_read, T, (const T* x, int64_t n))                                                                            \
  NN_KERNEL(probe_write, void, (T* x, int64_t n, bool past_cache))

/* gemm.inl */
#define NN_GEMM_KERNELS(NN_KERNEL)                                                                                             \
  NN_KERNEL(gemm_shape, GemmShape, ())                                                                                         \
  NN_KERNEL(gemm_tile, void, (int m, int nv, const GemmTile<T>& t))                                                            \
  NN_KERNEL(pack, void, (const T* x, int64_t lane_step, int64_t depth_step, int lanes, int width, int64_t depth, T* out,       \
                         int64_t out_step))                                                                                    \
  NN_KERNEL(few_rows, void, (int64_t m, const T* a, int64_t a_row, int64_t a_k, const T* b, int64_t b_row, int64_t depth,      \
                             int64_t n, T* sums, T* c, int64_t c_row))                                                         \
  NN_KERNEL(gemv_dot, void, (const T* a, int64_t a_row, int64_t m, const T* x, int64_t x_row, int64_t rows, int64_t depth,     \
                             T* c, int64_t c_row))                                                                            \
  NN_KERNEL(gemv_axpy, void, (const T* x, int64_t x_row, const T* v, int64_t v_step, int64_t depth, int64_t n, T* y))

/* attention.inl, attention_query.inl: scores of keys x 32 queries, of which `lanes` count */
#define NN_ATTENTION_KERNELS(NN_KERNEL)                                                                                        \
  NN_KERNEL(attention_cap, void, (T* s, int64_t n, T cap))                                                                     \
  NN_KERNEL(attention_bias, void, (T* s, int64_t keys, int lanes, const T* bias, int64_t step))                                \
  NN_KERNEL(attention_band, void, (T* s, int64_t keys, int lanes, T key, T low, T high))                                       \
  NN_KERNEL(attention_softmax, void, (T* s, int64_t keys, int lanes, T* top, T* total, T* y, int64_t rows))                    \
  NN_KERNEL(attention_finish, void, (T* y, int64_t rows, int lanes, const T* top, const T* total, T* statistics))              \
  NN_KERNEL(attention_grad, void, (T* s, T* g, int64_t keys, int lanes, const T* statistics, const T* dots, T scale))          \
  NN_KERNEL(row_dots, void, (const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t rows, int64_t n, T* out))         \
  NN_KERNEL(all_finite, bool, (const T* x, int64_t n))                                                                         \
  NN_KERNEL(query_scores, void, (const T* q, const T* k, int64_t step, int64_t keys, int64_t n, T* s))                         \
  NN_KERNEL(query_weights, T, (T* s, int64_t n, T* top, const T* values))                                                      \
  NN_KERNEL(query_values, void, (const T* s, const T* v, int64_t step, int64_t keys, int64_t n, T scale, T* y))

/* conv.inl, depthwise.inl */
#define NN_CONV_KERNELS(NN_KERNEL)                                                                                             \
  NN_KERNEL(pack_segments, void, (const T* x, int64_t channel_step, int64_t channels, const Segment* s, int count,             \
                                  int64_t lane_step, int width, T* out, int64_t out_step))                                     \
  NN_KERNEL(pack_lanes, void, (const T* const* x, const int* first, const int* end, int64_t step, int lanes, int width,        \
                               int64_t depth, T* out))                                                                         \
  NN_KERNEL(conv_tile_pixels, int, ())                                                                                         \
  NN_KERNEL(conv_tile, void, (int vectors, const ConvTile<T>& t))                                                              \
  NN_KERNEL(conv_line_filters, int, ())                                                                                        \
  NN_KERNEL(conv_line, void, (const ConvLine<T>& l))                                                                           \
  NN_KERNEL(conv_weight_tile, void, (int vectors, const T* x, const int32_t* offset, int64_t x_row, int64_t x_step,            \
                                     const T* gy, int64_t gy_step, int64_t rows, int64_t cols, int taps, bool accumulate,      \
                                     T* gw, int64_t gw_step))                                                                  \
  NN_KERNEL(conv_weight_line_taps, int, (int filters))                                                                        \
  NN_KERNEL(conv_weight_line, void, (const ConvWeightLine<T>& l))                                                              \
  NN_KERNEL(depthwise_rows, void, (const T* x, int64_t x_row, const int32_t* offset, const T* w, int taps, int64_t rows,       \
                                   int64_t n, T bias, T floor, T* y, int64_t y_row))                                           \
  NN_KERNEL(depthwise_weight, void, (const T* x, const int32_t* offset, const T* gy, int taps, int64_t rows, int64_t x_row,    \
                                     int64_t gy_row, int64_t n, T* gw))                                                        \
  NN_KERNEL(depthwise3, void, (const DepthwisePlane<T>& p))                                                                    \
  NN_KERNEL(depthwise3_spread, void, (const DepthwisePlane<T>& p))                                                             \
  NN_KERNEL(depthwise3_weight, void, (const DepthwisePlane<T>& p, const T* gy, int64_t images, int64_t x_image,                \
                                      int64_t gy_image, T* gw))

/* winograd.inl */
#define NN_WINOGRAD_KERNELS(NN_KERNEL)                                                                                         \
  NN_KERNEL(winograd_input, void, (WinogradForm form, const T* x, int64_t row_step, int64_t col_step, int64_t channels, T* v,              \
                                   int64_t v_step))                                                                            \
  NN_KERNEL(winograd_output_grad, void, (WinogradForm form, const T* gy, int64_t row_step, int64_t col_step, int64_t channels, T* z,       \
                                         int64_t z_step))                                                                      \
  NN_KERNEL(winograd_output, void, (WinogradForm form, const T* s, int64_t s_step, int64_t channels, const T* bias, T floor, T* y,         \
                                    int64_t row_step, int64_t col_step, int rows, int cols))                                   \
  NN_KERNEL(winograd_filter, void, (WinogradForm form, const T* w, int64_t w_step, int64_t lanes, T* u, int64_t u_step))                   \
  NN_KERNEL(winograd_filter_grad, void, (WinogradForm form, const T* u, int64_t u_step, int64_t lanes, T* gw, int64_t gw_step))\
  NN_KERNEL(winograd_line, void, (LineMap map, const WinogradLine<T>& l))

/* pool.inl, pool_parts.inl, pool_grad.inl, pool_fractional.inl */
#define NN_POOL_KERNELS(NN_KERNEL)                                                                                             \
  NN_KERNEL(pool_average, void, (const PoolRows<T>& p))                                                                        \
  NN_KERNEL(pool_extreme, void, (bool smallest, const PoolRows<T>& p))                                                         \
  NN_KERNEL(pool_winner, void, (bool smallest, bool ignore_nan, const PoolRows<T>& p))                                         \
  NN_KERNEL(pool_average_grad, void, (const PoolRows<T>& p))                                                                   \
  NN_KERNEL(pool_winner_grad, void, (const PoolRows<T>& p))                                                                    \
  NN_KERNEL(pool_fractional, void, (bool ignore_nan, const FractionalPlane<T>& p))

/* reduce.inl: op as in nn::cpu::Fold. Rows: y[r] = fold of x[r * row_step ...]; columns: y[j] = fold of x[... + j] */
#define NN_REDUCE_KERNELS(NN_KERNEL)                                                                                           \
  NN_KERNEL(reduce_rows, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t n, T* y))                          \
  NN_KERNEL(reduce_cols, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* y))                       \
  NN_KERNEL(find_first, int64_t, (const T* x, int64_t n, T value))                                                             \
  NN_KERNEL(find_beyond, int64_t, (const T* x, int64_t n, T bound, bool below))                                                \
  NN_KERNEL(arg_rows, void, (bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t n, T* value, int64_t* index))  \
  NN_KERNEL(arg_cols, void, (bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* value, T* index))

/* dropout.inl: y[i] = word i of the hash >= threshold ? x[i] * scale + shift : fill */
#define NN_DROPOUT_KERNELS(NN_KERNEL)                                                                                          \
  NN_KERNEL(dropout, void, (const T* x, T* y, int64_t n, uint64_t key, int64_t group, uint32_t threshold, T scale, T shift,    \
                            T fill))

/* distance.inl: kind 0 to 3 is p = 0, 1, 2, infinity; 4: another p; row_ kernels take dense rows, one by one */
#define NN_DISTANCE_KERNELS(NN_KERNEL)                                                                                         \
  NN_KERNEL(row_distances, void, (const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out))                             \
  NN_KERNEL(row_cosines, void, (const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out))                               \
  NN_KERNEL(unit_rows, void, (const T* x, T eps, int64_t rows, int64_t n, bool past, T* y))                                    \
  NN_KERNEL(distances, void, (int kind, T p, const T* x, const T* y, int64_t n, int64_t count, T* out))                        \
  NN_KERNEL(distance_grad, void, (int kind, T p, T g, T top, const T* x, const T* y, int64_t n, T* gx))

/* softmax.inl: rows of n elements; columns of n elements, `step` apart */
#define NN_SOFTMAX_KERNELS(NN_KERNEL)                                                                                          \
  NN_KERNEL(softmax_rows, void, (bool log, bool streamed, const T* x, int64_t rows, int64_t n, T* y))                          \
  NN_KERNEL(softmax_cols, void, (bool log, const T* x, int64_t step, int64_t n, int64_t cols, T* y))                           \
  NN_KERNEL(softmax_backward_rows, void, (bool log, bool streamed, const T* gy, const T* y, int64_t rows, int64_t n, T* gx))   \
  NN_KERNEL(softmax_backward_cols, void, (bool log, const T* gy, const T* y, int64_t step, int64_t n, int64_t cols, T* gx))    \
  NN_KERNEL(log_sum_exp_rows, void, (const T* x, int64_t rows, int64_t n, T* top, T* log_sum))                                 \
  NN_KERNEL(log_sum_exp_cols, void, (const T* x, int64_t step, int64_t n, int64_t cols, const ClassTargets<T>& q, T* top,      \
                                     T* log_sum, T* loss))                                                                     \
  NN_KERNEL(target_loss_row, void, (const T* x, const T* t, const T* w, int64_t n, T top, T log_sum, T keep, T even, T* loss,  \
                                    T* mass))                                                                                  \
  NN_KERNEL(scaled_softmax_row, void, (const T* x, const T* t, const T* w, int64_t n, T top, T log_sum, T scale, T keep,       \
                                       T even, T* y))                                                                          \
  NN_KERNEL(scaled_softmax_cols, void, (const T* x, int64_t step, int64_t n, int64_t cols, const T* top, const T* log_sum,     \
                                        const ClassTargets<T>& q, const T* share, const T* scale, T* y))                       \
  /* ctc.inl */                                                                                                                \
  NN_KERNEL(ctc_step, void, (const T* prev, const T* skip, const T* emit, T* out, int64_t n))                                  \
  /* loss.inl: kind from elementwise.h, a: its number */                                                                       \
  NN_KERNEL(loss, void, (int kind, const T* x, const T* t, T* y, int64_t n, T a))                                              \
  NN_KERNEL(loss_grad, void, (int kind, T g, const T* x, const T* t, T* gx, int64_t n, T a))

/* norm.inl, layer_norm.inl, response_norm.inl: moments and sums are pairs of doubles, or two rows of them */
#define NN_NORM_KERNELS(NN_KERNEL)                                                                                             \
  NN_KERNEL(moments_rows, void, (const NormRows<const T>& x, int64_t rows, int64_t n, double* out))                            \
  NN_KERNEL(moments_cols, void, (const T* x, int64_t step, int64_t rows, int64_t cols, double* mean, double* squares))         \
  NN_KERNEL(norm_rows, void, (const NormTile<T>& t))                                                                           \
  NN_KERNEL(norm_cols, void, (const NormTile<T>& t))                                                                           \
  NN_KERNEL(norm_sums_rows, void, (const NormTile<T>& t, double* out))                                                         \
  NN_KERNEL(norm_sums_cols, void, (const NormTile<T>& t, double* g_sum, double* gx_sum))                                       \
  NN_KERNEL(norm_grad_rows, void, (const NormTile<T>& t))                                                                      \
  NN_KERNEL(norm_grad_cols, void, (const NormTile<T>& t))                                                                      \
  NN_KERNEL(layer_norm, void, (const LayerNormRows<T>& p))                                                                     \
  NN_KERNEL(layer_norm_grad, void, (const LayerNormRows<T>& p))                                                                \
  NN_KERNEL(response_norm, void, (const ResponseNorm<T>& p, const T* x, int64_t step, T* y, int64_t y_step))                   \
  NN_KERNEL(response_norm_grad, void, (const ResponseNorm<T>& p, const T* gy, int64_t gy_step, const T* x, int64_t step,       \
                                       T* t, T* gx, int64_t gx_step))

/* recurrent.inl */
#define NN_RECURRENT_KERNELS(NN_KERNEL)                                                                                        \
  NN_KERNEL(recurrent_step, void, (RecurrentPhase phase, const RecurrentStep<T>& t))                                           \
  NN_KERNEL(recurrent_grad, void, (RecurrentPhase phase, const RecurrentGrad<T>& t))

/* interpolate.inl, grid_sample.inl: index < 0 is nothing; tables (count, n), `inner` numbers a pixel */
#define NN_RESAMPLE_KERNELS(NN_KERNEL)                                                                                         \
  NN_KERNEL(resample_lanes, int, ())                                                                                           \
  NN_KERNEL(resample_rows, void, (const ResampleTable<T>& t, const T* x, int64_t x_step, int64_t rows, T* y, int64_t y_step))  \
  NN_KERNEL(repeat_rows, void, (const ResampleTable<T>& t, const T* x, const int64_t* source, int64_t rows, T* y))              \
  NN_KERNEL(block_rows, void, (const T* x, int64_t x_step, int64_t rows, int64_t high, int64_t wide, int64_t out, T scale,     \
                               T* y))                                                                                          \
  NN_KERNEL(combine_rows, void, (const T* const* x, const int64_t* first, const T* weight, int64_t rows, int64_t n, T* y))     \
  NN_KERNEL(resample_pixels, void, (const T* const* x, const T* row_weight, int64_t rows, const int32_t* index,                \
                                    const T* weight, int64_t count, int64_t n, int64_t inner, T* y))                           \
  NN_KERNEL(byte_lanes, int, ())                                                                                               \
  NN_KERNEL(turn_bytes, void, (const uint8_t* x, int64_t x_step, int64_t rows, int64_t n, uint8_t* y, int64_t y_step))         \
  NN_KERNEL(combine_bytes, void, (const ByteTable& t, int64_t begin, int64_t end, const uint8_t* x, int64_t skip, int64_t n,   \
                                  uint8_t* y))                                                                                 \
  NN_KERNEL(quads_sample, void, (const Quads<T>& x, const int32_t* index, const T* weight, int64_t taps, int64_t n, T* y))      \
  NN_KERNEL(planes_sample, void, (const T* x, int64_t x_step, int64_t channels, const int32_t* index, const T* weight,         \
                                  int64_t taps, int64_t n, T* y, int64_t y_step))                                              \
  NN_KERNEL(quads_scatter, void, (const T* gy, const int32_t* index, const T* weight, int64_t taps, int64_t n, T* gx))         \
  NN_KERNEL(quads_dot, void, (const Quads<T>& x, const int32_t* index, const T* weight, int64_t taps, int64_t n,               \
                              const T* gy, T* sums, int64_t step))                                                             \
  NN_KERNEL(quads_pack, void, (const T* x, int64_t channels, int64_t pixel_step, int64_t channel_step, int64_t n, T* y))       \
  NN_KERNEL(quads_unpack, void, (const T* x, int64_t channels, int64_t pixel_step, int64_t channel_step, int64_t n, T* y))     \
  NN_KERNEL(pixel_dot, void, (const T* x, const int32_t* index, const T* gy, int64_t n, int64_t inner, T* sums))               \
  NN_KERNEL(scatter_pixels, void, (const T* gy, const int32_t* index, const T* weight, int64_t n, int64_t inner,               \
                                   int64_t step, T* gx))                                                                       \
  NN_KERNEL(grid_places, void, (const GridAxis& a, const T* grid, int64_t step, int64_t n, int32_t* place, T* weight,          \
                                T* slope))                                                                                     \
  NN_KERNEL(grid_products, void, (int axes, const GridAxis* axis, const int* taken, int32_t pixel_step, int64_t n,             \
                                  const int32_t* place, const T* weight, const T* slope, int32_t* index, T* product,           \
                                  T* slopes, int64_t slopes_step))

/* optim.inl */
#define NN_OPTIM_KERNELS(NN_KERNEL)                                                                                            \
  NN_KERNEL(sgd_update, void, (T* p, const T* g, T* b, int64_t n, T lr, T momentum, T dampening, T decay, bool nesterov,       \
                               T sign, bool first_step))                                                                       \
  NN_KERNEL(adam_update, void, (T* p, const T* g, T* m, T* v, T* top, int64_t n, T rate, T root, T new1, T new2, T eps,        \
                                T decay, T shrink, T sign))
// clang-format on

template <class T> struct Kernels {
#define NN_KERNEL(name, result, params) result(*name) params;
  NN_KERNELS(NN_KERNEL)
#undef NN_KERNEL
};

struct Isa {
  const char* name;
  const Kernels<float>* f32;
  const Kernels<double>* f64;
};

// dispatch.cpp: the table in use. Chosen at load: NNKERN_ISA if set, else the best that this CPU runs.
const Isa& isa();
template <class T> const Kernels<T>& kernels();
template <> inline const Kernels<float>& kernels<float>() { return *isa().f32; }
template <> inline const Kernels<double>& kernels<double>() { return *isa().f64; }

// Names of the tables in this build that this CPU can run, best first, space separated.
const char* available_isas();
// False if the name is unknown or the CPU lacks it (nothing changes then).
bool set_isa(const char* name);

}  // namespace nn
