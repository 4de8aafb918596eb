// What kernels take beside pointers and sizes: one struct for each call that would have too many arguments.
//
// Plain data, for both sides of the table: filled in csrc/cpu, read in simd/*.inl.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace nn {

// One call of the GEMM micro-kernel. With `packed`, a and b come from pack() and the tile may read whole
// vectors of b; with `panel` b alone does, in panels of gemm_shape().vectors, and is asked for ahead: it
// comes from L2 or L3 (a_k is 1).
template <class T> struct GemmTile {
  int64_t k;
  const T* a;
  int64_t a_row, a_k;  // element strides; packed: a_row is 1, panel: a_k is 1
  const T* b;
  int64_t b_k;
  T* c;
  int64_t c_row;
  int64_t n;           // columns
  bool packed, panel;  // b lies in a panel of nr columns
  T* keep;         // packed: b still lies in rows b_k apart, and goes here as pack() would lay it; or null
  const T* ahead;  // packed or panel: asked of memory meanwhile, a line per depth, ahead_step apart; null: b
  int64_t ahead_step;
  bool accumulate;       // c holds the sum over earlier depths; otherwise it is not read
  bool last;             // of the depths: y = max(floor, alpha * sum + beta * residual + bias)
  T alpha, beta, floor;  // floor: 0 (relu) or -Inf, nothing between
  const T* bias;         // per column, or null
  const T* row_bias;     // per row, or null
  const T* residual;     // like c, or null
  int64_t residual_row;
};

// Winograd's F(results, taps) of one axis. strided: F(4, 2) of one residue of 4 x 4 filters with a stride
// of 2.
enum class WinogradForm : int { f43, f23, f25, f42, f34, strided };

// The transforms of F(3, 3) along a line: numbers i of a tile, x_step apart, become numbers j, y_step apart,
// for all lanes.
enum class LineMap : int { input, output, filter, output_grad, filter_grad };
template <class T> struct WinogradLine {
  const T* x;
  int64_t x_step, x_tile;  // from number to number, tile to tile
  T* y;
  int64_t y_step, y_tile;
  int64_t tiles, lanes;
  const T* bias;  // of output: added per lane, or null
  T floor;        // of output
};

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

// Rows of bytes as weighed sums of rows: output o is the sum of the pairs [first[o], first[o + 1]), of the
// rows at row[2 p] and row[2 p + 1] by the low and the high 16 bits of weight[p]; over 2^bits, rounded.
struct ByteTable {
  const int64_t *first, *row;
  const int32_t* weight;
  int bits;
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
  int64_t step = 0, next = 0;  // next: how far the tile lies whose turn comes next; 0: nearby
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
  int64_t rows, planes;  // of each plane; the planes' lists are the same
  int64_t x_plane, winner_plane, y_plane;
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

// Fractional max pooling of a plane (depth, height, width): window o of an axis begins at start[o]. Register
// v of the windows of a row takes, for tap t, place column[(t * registers + v) * lanes + i] behind base[v],
// all within two registers; base -1: places in the row, anywhere. offset: of each tap from the window's
// first.
template <class T> struct FractionalPlane {
  const T* x;
  int64_t in[3], out[3], kernel[3];
  const int64_t *start[3], *offset;
  const int32_t *base, *column;
  T* y;
  int64_t* index;  // places in the plane, or null
};

// What the targets of columns ask: q_c = keep t_c + even of class c (t null: even), times w_c (w null: 1).
template <class T> struct ClassTargets {
  const T *t, *w;
  T keep, even;
  bool ask() const { return t || even != 0; }
};

}  // namespace nn
