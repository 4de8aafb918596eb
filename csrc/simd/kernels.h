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

#include "elementwise.h"

namespace nn {

// One call of the GEMM micro-kernel. With `packed`, a and b come from pack() and the tile may read whole
// vectors of b; with `panel` b alone does, in panels of gemm_shape().vectors, and is asked for ahead: it
// comes from L2 or L3 (a_k is 1).
template <class T> struct GemmTile {
  int64_t k;
  const T* a;
  int64_t a_row, a_k;  // element strides (ignored when packed)
  const T* b;
  int64_t b_k;
  T* c;
  int64_t c_row;
  int64_t n;  // columns
  bool packed, panel;
  bool accumulate;  // c holds the sum over earlier depths; otherwise it is not read
  bool last;        // of the depths: y = max(floor, alpha * sum + beta * residual + bias)
  T alpha, beta, floor;
  const T* bias;      // per column, or null
  const T* row_bias;  // per row, or null
  const T* residual;  // like c, or null
  int64_t residual_row;
};

// Winograd's F(results, taps) of one axis.
enum class WinogradForm : int { f43, f23, f25 };

// Numbers of an image row side by side in a panel: lanes [lane, lane + count) come from x[source], x[source +
// step], ...
struct Segment {
  int64_t source;
  int lane, count;
};

// How a row is resampled, a register of `lanes` outputs at a time: register v is the sum of entries
// [first[v], first[v + 1]). Lane i of entry e takes weight[e * lanes + i] times number index[e * lanes + i]
// of the two registers at x[base[e]]; base -1: of the whole row. An index below 0 is nothing.
template <class T> struct ResampleTable {
  int64_t in, out;
  const int64_t* first;
  const int32_t *base, *index;
  const T* weight;
};

// How a row of `in` numbers becomes one of `out`, `low` of them in front: places of the first and of the last
// register of y among those of x (from 0, and from the register's width on), -1 for `value`.
template <class T> struct Surround {
  int64_t in, out, low;
  const int32_t *head, *tail;
  T value;
};

// An image whose pixels have up to four channels. `whole`: pixels of four numbers side by side, the missing
// ones 0; else channels lie `step` apart. Indices count numbers; -1 is nothing.
template <class T> struct Quads {
  const T* p;
  int64_t channels, step;
  bool whole;
};

// What grid_sample knows of one axis. mode: 0 linear, 1 nearest, 2 cubic; padding: 0 zeros, 1 border, 2
// reflection.
struct GridAxis {
  int mode, padding;
  bool align_corners;
  int64_t size;
};

// A tile of a norm: `rows` rows of n numbers. Coefficients stand one per row (coefficient_step apart) in the
// _rows kernels, one per column in the _cols kernels.
template <class T> struct NormRows {
  T* p = nullptr;
  int64_t step = 0;
};
template <class T> struct NormTile {
  int64_t rows = 0, n = 0;
  NormRows<const T> x, gy, residual;
  NormRows<const T> y;  // the result of a fused relu, or null
  NormRows<T> out, gz;  // gz may be null
  const T *mean = nullptr, *scale = nullptr, *shift = nullptr, *slope = nullptr;
  int64_t coefficient_step = 0;
  bool relu = false, stream = false;  // stream: out is too large for any cache
};

// Rows of layer norm, dense. Forward: y, mean, rstd (and h = x + residual, if there is one). Backward: centre
// and scale are what forward gave; gx (plus extra, if there is one), and gw, gb: what these rows add to them.
template <class T> struct LayerNormRows {
  int64_t rows = 0, n = 0;
  const T *x = nullptr, *residual = nullptr, *w = nullptr, *b = nullptr;
  T *h = nullptr, *y = nullptr, *mean = nullptr, *rstd = nullptr;
  double eps = 0;
  const T *gy = nullptr, *centre = nullptr, *scale = nullptr, *extra = nullptr;
  T *gx = nullptr, *gw = nullptr, *gb = nullptr;
  bool rms = false, stream = false;
};

// Local response normalisation of n positions; alpha is divided by the window's size.
template <class T> struct ResponseNorm {
  int64_t channels, n, low, high;
  T alpha, beta, k;
};

// One call of conv_tile: `pixels` results times `channels` filters. Offsets count elements.
template <class T> struct ConvTile {
  int64_t k;              // depth: channels and taps
  const T* x;             // padded planes
  const int32_t* offset;  // of each depth in x
  const int64_t* pixel;   // of each pixel in x, in bytes; whole tiles of them are read
  const T* w;             // panel of filters: whole vectors per depth
  int64_t w_step;
  T* y;
  const int64_t *y_channel, *y_pixel;  // of each channel and pixel in y
  bool channels_dense, pixels_dense;   // side by side in y
  int pixels, channels;
  const T* bias;  // per channel, or null
  T floor;
};

// One call of conv_line: `rows` rows of `width` results and all filters. Whole tiles of pixels are read.
template <class T> struct ConvLine {
  int64_t k;              // depth: channels and taps
  const T* x;             // padded planes
  const int32_t* offset;  // of each depth in x
  int64_t x_row;          // from row to row: one line goes on across their ends
  const T* w;             // (depth, filters)
  int filters;
  int64_t rows, width;
  T* y;
  int64_t y_filter, y_row, y_pixel;
  const T* bias;  // per filter, or null
  T floor;
};

// A plane of a depthwise convolution with 3 x 3 filters; rows of x and y are dense.
template <class T> struct DepthwisePlane {
  const T* x;
  int64_t x_row, in_h, in_w;
  T* y;
  int64_t y_row, out_h, out_w;
  int64_t low_h, low_w;  // padding
  int stride;            // 1 or 2
  const T* w;            // (3, 3)
  T bias, floor;
};

// One call of conv_weight_line: gradients of some filters and taps, summed over rows of images, a vector of
// sums each.
template <class T> struct ConvWeightLine {
  const T* x;             // padded planes
  const int32_t* offset;  // of each tap in x
  int64_t x_image, x_row;
  const T* gy;
  int64_t gy_filter, gy_image, gy_row;
  int filters, taps;
  int64_t images, rows, n;  // n: of a row
  bool accumulate;
  T* sums;
  int64_t filter_step, tap_step;
};

// The numbers behind the blocking: a tile is mr x nr (nr = vectors * width); packed panels are kc deep, an A
// block has mc rows (fits L2), a B block nc columns (fits L3). max_rows[v]: rows of a tile that is v vectors
// wide.
struct GemmShape {
  int vectors, width, mr, nr, max_rows[5];
  int64_t kc, mc, nc;
};

// A step of a recurrent cell for a tile of rows (samples) by units: see recurrent.inl. Gates lie _gate apart,
// rows _row. Pointers marked * may be null.
enum class RecurrentPhase : int { tanh, relu, lstm, gru, reset, gru_last, carry };
template <class T> struct RecurrentStep {
  int64_t rows, units;
  const T *a, *s;  // the input's and the state's part of the gates' sums
  int64_t a_row, a_gate, s_row, s_gate;
  const T *bias, *peephole;  // * of gru's n on the state's side; *
  int64_t peephole_gate;
  const T* h;  // the state before and after
  T* next;
  T* c;  // in place
  int64_t h_row, next_row, c_row;
  T *y, *cells, *gates;  // * copies of h and c, the gates
  int64_t y_row, cells_row, gates_row, gates_gate;
  const T* used;  // reset: h under the mask, and r times it
  T* reset;
  int64_t used_row, reset_row;
};
template <class T> struct RecurrentGrad {
  int64_t rows, units;
  const T *s, *mask, *gy, *gcells;  // * the product of later gradients with the weights; * * *
  int64_t s_row, mask_row, gy_row, gcells_row;
  const T *y, *gates, *c, *c_before, *h_before, *peephole;  // of the forward pass; the last three *
  int64_t y_row, gates_row, gates_gate, c_row, c_before_row, h_before_row, peephole_gate;
  T *dh, *dc, *d;  // gradients of the states, in place, and of the gates' sums
  int64_t dh_row, dc_row, d_row, d_gate;
  bool projected, before;  // s is the whole gradient of h; gru with the reset gate before the product
};

// Where one window lies along an axis: taps [first, last) of start + tap * dilation are inside.
struct PoolWindow {
  int64_t start, first, last;
};

// Windows that meet the elements j * stride + phase of a row: windows j + shift, by these taps.
template <class T> struct PoolMeets {
  int count;
  const int64_t* shift;
  const T* tap;
};

// Rows to pool (or rows of a gradient to collect): row i comes from the rows x + offset[e], begin[i] <= e <
// begin[i + 1], each one tap of the outer axes. Within a row, windows are `kernel` wide and `stride` apart;
// stride 0: anywhere. Channels-last arrays have the channels in the row, and windows of one element.
template <class T> struct PoolRows {
  int64_t rows;
  const int* begin;
  const T* x;
  const int64_t* offset;
  const int* tap;         // number of the source's first tap in the window
  const uint8_t* winner;  // gradients: the taps that won, at the same offsets (int32_t if wide)
  bool wide;
  const T* scale;  // average: what row i is divided by; its gradient: the factor of each source
  const T*
      divisor;  // average: what element o of the pooled row is divided by besides (gradient: times), or null
  T* y;         // rows one after another
  void* y_winner;  // uint8_t (int32_t if wide), or null
  T* scratch;      // for strides of one and two slots, else in + out numbers
  int slots;
  int64_t slot_step, run;  // of the results of a row, so many at a time
  int64_t in, out;         // elements of an unpooled and of a pooled row
  int64_t kernel, stride, dilation, low;
  const PoolWindow* windows;  // of the row's axis
  PoolMeets<T> meets[2];      // gradients, strides of one and two: by phase
  int64_t nearest, farthest;  // the range of their shifts
};

// What the targets of columns ask: q_c = keep t_c + even of class c (t null: even), times w_c (w null: 1).
template <class T> struct ClassTargets {
  const T *t, *w;
  T keep, even;
  bool ask() const { return t || even != 0; }
};

#define NN_KERNELS(NN_KERNEL)                                                                               \
  NN_ELEMENTWISE_KERNELS(NN_KERNEL)                                                                         \
  NN_ACTIVATION_KERNELS(NN_KERNEL)                                                                          \
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
/* elementwise.inl: op from elementwise.h; a step is 1, or 0 for a single number */
#define NN_ELEMENTWISE_KERNELS(NN_KERNEL)                                                                                      \
  NN_KERNEL(unary, void, (int op, const T* x, T* y, int64_t n))                                                                \
  NN_KERNEL(binary, void, (int op, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n))                           \
  NN_KERNEL(compare, void, (int op, const T* x, int x_step, const T* y, int y_step, uint8_t* z, int64_t n))                    \
  NN_KERNEL(test, void, (int op, const T* x, uint8_t* z, int64_t n))                                                           \
  NN_KERNEL(where, void, (const uint8_t* c, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n))                  \
  NN_KERNEL(clamp, void, (const T* x, T low, T high, T* y, int64_t n))

/* activation.inl: op from elementwise.h, with up to three numbers. gate.inl: y = gate(x, z) */
#define NN_ACTIVATION_KERNELS(NN_KERNEL)                                                                                       \
  NN_KERNEL(activate, void, (int op, const T* x, T* y, int64_t n, T a, T b, T c))                                              \
  NN_KERNEL(activate_grad, void, (int op, const T* gy, const T* x, T* gx, int64_t n, T a, T b, T c))                           \
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
  NN_KERNEL(query_weights, T, (T* s, int64_t n, T* top))                                                                       \
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
  NN_KERNEL(winograd_filter_grad, void, (WinogradForm form, const T* u, int64_t u_step, int64_t lanes, T* gw, int64_t gw_step))

/* pool.inl, pool_parts.inl, pool_grad.inl */
#define NN_POOL_KERNELS(NN_KERNEL)                                                                                             \
  NN_KERNEL(pool_average, void, (const PoolRows<T>& p))                                                                        \
  NN_KERNEL(pool_extreme, void, (bool smallest, const PoolRows<T>& p))                                                         \
  NN_KERNEL(pool_winner, void, (bool smallest, bool ignore_nan, const PoolRows<T>& p))                                         \
  NN_KERNEL(pool_average_grad, void, (const PoolRows<T>& p))                                                                   \
  NN_KERNEL(pool_winner_grad, void, (const PoolRows<T>& p))

/* reduce.inl: op as in nn::cpu::Fold. Rows: y[r] = fold of x[r * row_step ...]; columns: y[j] = fold of x[... + j] */
#define NN_REDUCE_KERNELS(NN_KERNEL)                                                                                           \
  NN_KERNEL(reduce_rows, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t n, const T* centre,                \
                                int64_t centre_step, T* y))                                                                    \
  NN_KERNEL(reduce_cols, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t cols, const T* centre, T* y))      \
  NN_KERNEL(find_first, int64_t, (const T* x, int64_t n, T value))                                                             \
  NN_KERNEL(find_beyond, int64_t, (const T* x, int64_t n, T bound, bool below))                                                \
  NN_KERNEL(arg_cols, void, (bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* value, T* index))

/* dropout.inl: y[i] = word i of the hash >= threshold ? x[i] * scale + shift : fill */
#define NN_DROPOUT_KERNELS(NN_KERNEL)                                                                                          \
  NN_KERNEL(dropout, void, (const T* x, T* y, int64_t n, uint64_t key, int64_t group, uint32_t threshold, T scale, T shift,    \
                            T fill))

/* distance.inl: kind 0 to 3 is p = 0, 1, 2, infinity; 4: another p; row_ kernels take dense rows, one by one */
#define NN_DISTANCE_KERNELS(NN_KERNEL)                                                                                         \
  NN_KERNEL(row_distances, void, (const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out))                             \
  NN_KERNEL(row_cosines, void, (const T* x, const T* y, T eps, int64_t rows, int64_t n, T* out))                               \
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
  NN_KERNEL(moments_rows, void, (const T* x, int64_t step, int64_t rows, int64_t n, double* out))                              \
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
  NN_KERNEL(quads_sample, void, (const Quads<T>& x, const int32_t* index, const T* weight, int64_t taps, int64_t n, T* y))      \
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
  NN_KERNEL(adam_update, void, (T* p, const T* g, T* m, T* v, T* top, int64_t n, T rate, T root, T beta1, T beta2, T eps,      \
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
