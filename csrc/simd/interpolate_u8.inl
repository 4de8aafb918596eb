// Rows of bytes turned and weighed. A row resampled along its length is a sum of rows too, once it is turned:
// no number has to find its lane.
#include "bytes.h"

namespace nn {
namespace {

template <class T> int byte_lanes() { return bytes::width; }

// y[j * y_step + i] = x[min(i, rows - 1) * x_step + j] for i < byte_lanes, j < n; n at least 16.
template <class T>
void turn_bytes(const uint8_t* x, int64_t x_step, int64_t rows, int64_t n, uint8_t* y, int64_t y_step) {
  const uint8_t* row[bytes::width];
  for (int64_t i = 0; i < bytes::width; ++i) row[i] = x + (i < rows ? i : rows - 1) * x_step;
  for (int64_t j = 0; j < n; j += 16) {
    const int64_t at = j + 16 <= n ? j : n - 16;
    bytes a[16], b[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) a[i] = load_blocks(row + i, at);
    // Each time the place's bits in a block of 16 x 16 turn by one: after four its rows are its columns.
#pragma GCC unroll 2
    for (int twice = 0; twice < 2; ++twice) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) zip(a[i], a[i + 8], b[2 * i], b[2 * i + 1]);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) zip(b[i], b[i + 8], a[2 * i], a[2 * i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i) store_bytes(y + (at + i) * y_step, a[i]);
  }
}

// V registers of one output, the last one of m bytes.
template <int V>
NN_INLINE void weigh_bytes(const ByteTable& t, int64_t o, const uint8_t* x, int64_t skip, uint8_t* y, int m) {
  constexpr int w = bytes::width;
  sums s[V];
  for (int v = 0; v < V; ++v) set_sums(s[v], 1 << t.bits >> 1);
  for (int64_t p = t.first[o]; p < t.first[o + 1]; ++p) {
    const uint8_t *a = x + (t.row[2 * p] - skip), *b = x + (t.row[2 * p + 1] - skip);
    for (int v = 0; v < V; ++v) add_weighed(s[v], load_bytes(a + v * w), load_bytes(b + v * w), t.weight[p]);
  }
  for (int v = 0; v < V - 1; ++v) store_bytes(y + v * w, narrow(s[v], t.bits));
  if (m == w)
    store_bytes(y + (V - 1) * w, narrow(s[V - 1], t.bits));
  else
    store_bytes(y + (V - 1) * w, narrow(s[V - 1], t.bits), m);
}

// Outputs [begin, end), rows of n bytes, each the weighed sum of rows of x, which are read by whole
// registers.
template <class T> void combine_bytes(const ByteTable& t, int64_t begin, int64_t end, const uint8_t* x,
                                      int64_t skip, int64_t n, uint8_t* y) {
  constexpr int w = bytes::width;
  for (int64_t o = begin; o < end; ++o, y += n) {
    int64_t i = 0;
    for (; i + 2 * w <= n; i += 2 * w) weigh_bytes<2>(t, o, x + i, skip, y + i, w);
    if (i + w < n)
      weigh_bytes<2>(t, o, x + i, skip, y + i, int(n - i - w));
    else if (i < n)
      weigh_bytes<1>(t, o, x + i, skip, y + i, int(n - i));
  }
}

}  // namespace
}  // namespace nn
