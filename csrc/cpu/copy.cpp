// Strided copies by item size: the axes are sorted by the target's stride and merged, then the last two run
// as rows (memcpy), a fill (source stride 0), a register-blocked transpose (the source is dense along another
// axis) or a plain strided loop. Bound by bytes: work is split in blocks of about 256 KiB of the target.
#include "copy.h"

#include <algorithm>
#include <cstring>

#include "../parallel.h"
#include "../simd/kernels.h"

namespace nn::cpu {
namespace {

constexpr int64_t kBlockBytes = 256 << 10;

struct Axis {
  int64_t n, x, y;  // length, strides of source and target in elements
};

struct Plan {
  int ndim = 0;
  Axis axis[kMaxDims];  // outermost first, by the target's stride
  int64_t x_start = 0, y_start = 0;
};

Plan make_plan(const View& from, const View& to) {
  Plan p;
  Axis all[kMaxDims];
  int n = 0;
  for (int i = 0; i < from.ndim; ++i) {
    Axis a{from.shape[i], from.step(i), to.step(i)};
    if (a.n == 1) continue;
    if (a.y < 0) {
      p.x_start += (a.n - 1) * a.x, p.y_start += (a.n - 1) * a.y;
      a.x = -a.x, a.y = -a.y;
    }
    int at = n++;
    for (; at > 0 && all[at - 1].y < a.y; --at) all[at] = all[at - 1];
    all[at] = a;
  }
  for (int i = 0; i < n; ++i) {
    Axis* last = p.ndim ? &p.axis[p.ndim - 1] : nullptr;
    if (last && last->x == all[i].x * all[i].n && last->y == all[i].y * all[i].n)
      *last = {last->n * all[i].n, all[i].x, all[i].y};
    else
      p.axis[p.ndim++] = all[i];
  }
  return p;
}

// The axis (not the last) along which the source is dense while it isn't along the last one; -1 if none.
int transposed_axis(const Plan& p) {
  if (p.ndim == 0) return -1;
  const Axis& last = p.axis[p.ndim - 1];
  if (last.y != 1 || last.x == 1 || last.x == 0 || last.n < 2) return -1;
  for (int i = p.ndim - 2; i >= 0; --i)
    if (p.axis[i].x == 1 && p.axis[i].n >= 2 && p.axis[i].n * last.n >= 64) return i;
  return -1;
}

// 4- and 8-byte items of any kind move through float and double registers: loads, shuffles and stores keep
// all bits.
void turn(const uint32_t* x, int64_t xs, uint32_t* y, int64_t ys, int64_t rows, int64_t cols) {
  kernels<float>().transpose_copy(reinterpret_cast<const float*>(x), xs, reinterpret_cast<float*>(y), ys,
                                  rows, cols);
}
void turn(const uint64_t* x, int64_t xs, uint64_t* y, int64_t ys, int64_t rows, int64_t cols) {
  kernels<double>().transpose_copy(reinterpret_cast<const double*>(x), xs, reinterpret_cast<double*>(y), ys,
                                   rows, cols);
}
void turn(const uint8_t* x, int64_t xs, uint8_t* y, int64_t ys, int64_t rows, int64_t cols) {
  constexpr int64_t tile = 64;
  for (int64_t i0 = 0; i0 < rows; i0 += tile)
    for (int64_t j = 0; j < cols; ++j)
      for (int64_t i = i0; i < std::min(i0 + tile, rows); ++i) y[j * ys + i] = x[i * xs + j];
}

// Planes into narrow rows (RGB images to channels-last): too few to fill a register block.
template <int N, class U> void interleave(const U* x, int64_t xs, U* y, int64_t ys, int64_t cols) {
  for (int64_t j = 0; j < cols; ++j)
    for (int i = 0; i < N; ++i) y[j * ys + i] = x[i * xs + j];
}

// One row of `last.n` elements.
template <class U> inline void copy_row(const U* x, U* y, const Axis& last) {
  const int64_t n = last.n;
  if (last.y == 1 && last.x == 1) {
    copy_rows(x, 0, nullptr, y, 0, 1, n);
  } else if (last.y == 1 && last.x == 0) {
    const U value = *x;
    if (value == 0)
      memset(y, 0, size_t(n) * sizeof(U));
    else
      for (int64_t i = 0; i < n; ++i) y[i] = value;
  } else {
    for (int64_t i = 0; i < n; ++i) y[i * last.y] = x[i * last.x];
  }
}

// Elements [k0, k1) of axis `k`, and all of the last axis.
template <class U>
void copy_block(const U* x, U* y, const Axis& k, const Axis& last, int64_t k0, int64_t k1, bool turned) {
  x += k0 * k.x, y += k0 * k.y;
  if (turned && last.n == 2) return interleave<2>(x, last.x, y, k.y, k1 - k0);
  if (turned && last.n == 3) return interleave<3>(x, last.x, y, k.y, k1 - k0);
  if (turned && last.n == 4) return interleave<4>(x, last.x, y, k.y, k1 - k0);
  if (turned) return turn(x, last.x, y, k.y, last.n, k1 - k0);
  if (last.x == 1 && last.y == 1) return copy_rows(x, k.x, nullptr, y, k.y, k1 - k0, last.n);
  for (int64_t i = k0; i < k1; ++i, x += k.x, y += k.y) copy_row(x, y, last);
}

template <class U> void run(const Plan& p, const U* x, U* y) {
  Axis last = p.ndim ? p.axis[p.ndim - 1] : Axis{1, 1, 1};
  const int t = p.ndim ? transposed_axis(p) : -1;
  const int k_at = t >= 0 ? t : p.ndim - 2;
  Axis k = k_at >= 0 ? p.axis[k_at] : Axis{1, 0, 0};
  if (p.ndim == 1) {  // one long row: cut it, so that threads can share it
    const int64_t cut = kBlockBytes / int64_t(sizeof(U));
    if (last.n >= 2 * cut) {
      const Axis rest{last.n % cut, last.x, last.y};
      const int64_t done = last.n - rest.n;
      if (rest.n) copy_row(x + done * last.x, y + done * last.y, rest);
      k = {last.n / cut, cut * last.x, cut * last.y};
      last.n = cut;
    }
  }
  Axis outer[kMaxDims];
  int n_outer = 0;
  int64_t outer_size = 1;
  for (int i = 0; i < p.ndim - 1; ++i)
    if (i != k_at) outer_size *= (outer[n_outer++] = p.axis[i]).n;
  int64_t rows = std::max<int64_t>(1, kBlockBytes / int64_t(sizeof(U)) / last.n);  // of axis k in one block
  if (t >= 0) rows = std::max<int64_t>(64, rows / 64 * 64);
  const int64_t blocks = (k.n + rows - 1) / rows;
  const int64_t block_bytes = std::min(rows, k.n) * last.n * int64_t(sizeof(U));
  parallel_for(outer_size * blocks, std::max<int64_t>(1, kBlockBytes / block_bytes),
               [&](int64_t begin, int64_t end) {
                 for (int64_t u = begin; u < end; ++u) {
                   const int64_t b = blocks == 1 ? 0 : u % blocks;
                   int64_t o = blocks == 1 ? u : u / blocks, xo = 0, yo = 0;
                   for (int i = n_outer - 1; i >= 0 && o; --i) {
                     const int64_t at = o % outer[i].n;
                     o /= outer[i].n, xo += at * outer[i].x, yo += at * outer[i].y;
                   }
                   copy_block(x + xo, y + yo, k, last, b * rows, std::min(k.n, (b + 1) * rows), t >= 0);
                 }
               });
}

// Short rows are not worth a memcpy each.
template <class U, class T> void copy_rows_as(const U* x, int64_t x_step, const int64_t* at, U* y,
                                              int64_t y_step, int64_t count, int64_t n) {
  if (n * int64_t(sizeof(U)) <= 4096)
    return kernels<T>().copy_rows(reinterpret_cast<const T*>(x), x_step, at, reinterpret_cast<T*>(y), y_step,
                                  count, n);
  for (int64_t i = 0; i < count; ++i)
    memcpy(y + i * y_step, x + (at ? at[i] : i) * x_step, size_t(n) * sizeof(U));
}

}  // namespace

void copy_rows(const uint32_t* x, int64_t x_step, const int64_t* at, uint32_t* y, int64_t y_step,
               int64_t count, int64_t n) {
  copy_rows_as<uint32_t, float>(x, x_step, at, y, y_step, count, n);
}
void copy_rows(const uint64_t* x, int64_t x_step, const int64_t* at, uint64_t* y, int64_t y_step,
               int64_t count, int64_t n) {
  copy_rows_as<uint64_t, double>(x, x_step, at, y, y_step, count, n);
}
void copy_rows(const uint8_t* x, int64_t x_step, const int64_t* at, uint8_t* y, int64_t y_step, int64_t count,
               int64_t n) {
  for (int64_t i = 0; i < count; ++i) memcpy(y + i * y_step, x + (at ? at[i] : i) * x_step, size_t(n));
}

void copy(const View& from, const View& to) {
  if (from.size() == 0) return;
  const Plan p = make_plan(from, to);
  switch (itemsize(from.dtype)) {
    case 1:
      return run(p, from.as<const uint8_t>() + p.x_start, to.as<uint8_t>() + p.y_start);
    case 4:
      return run(p, from.as<const uint32_t>() + p.x_start, to.as<uint32_t>() + p.y_start);
    default:
      return run(p, from.as<const uint64_t>() + p.x_start, to.as<uint64_t>() + p.y_start);
  }
}

Dense::Dense(const View& v) : data_(v.data) {
  if (v.contiguous()) return;
  copy_ = output("copy", v.dtype, v.ndim, v.shape);
  data_ = copy_.data;
  copy(v, copy_.view());
}

}  // namespace nn::cpu
