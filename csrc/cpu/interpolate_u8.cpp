// Resampling of uint8 images in whole numbers, equal to PyTorch's.
//
//   y[.., o, ..] = (sum over e of weight[e] * x[.., index[e], ..] + 2^bits / 2) >> bits, clamped to 0..255,
//   first[o] <= e < first[o + 1]
//
// along the width, then along the height; what waits between the two is rounded to uint8 as well. The width
// takes some rows (or the channels of a pixel) at a time, so that a weight is read once for all of them.
// Work is split over rows. Bound by additions.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "interpolate";
constexpr int64_t kGrain = 1 << 15;  // additions: some 20 us
constexpr int64_t kMostWeight = 1 << 23;

struct FixedAxis {
  const Dense first_, index_, weight_;
  const int64_t in, out;
  const int64_t *first, *index;
  const int32_t* weight;
  const int bits;
  bool same;  // x as it is

  FixedAxis(const View& x, int64_t length, const View& f, const View& i, const View& w, int64_t bits)
      : first_(f),
        index_(i),
        weight_(w),
        in(length),
        out(f.shape[0] - 1),
        first(first_.as<int64_t>()),
        index(index_.as<int64_t>()),
        weight(weight_.as<int32_t>()),
        bits(int(bits)) {
    const int64_t entries = i.shape[0];
    bool fits = first[0] == 0 && first[out] == entries;
    for (int64_t o = 0; o < out; ++o) fits &= first[o] <= first[o + 1];
    for (int64_t e = 0; e < entries; ++e) fits &= index[e] >= 0 && index[e] < in;
    if (!fits) fail(kOp, "a table's places lie outside x", {{"x", x}, {"first", f}, {"index", i}});
    same = in == out && entries == out;
    for (int64_t o = 0; o < out; ++o) {
      int64_t sum = 0;
      for (int64_t e = first[o]; e < first[o + 1]; ++e) {
        sum += std::min<int64_t>(kMostWeight, std::abs(int64_t(weight[e])));
        same &= e == o && index[e] == o && weight[e] == 1 << this->bits;
      }
      if (sum >= kMostWeight) fail(kOp, "a table's weights add up to 2^23 or more", {{"weight", w}});
    }
  }
  int64_t taps() const { return std::max<int64_t>(1, first[out] / std::max<int64_t>(1, out)); }
  uint8_t rounded(int32_t sum) const { return uint8_t(std::clamp(sum >> bits, 0, 255)); }
};

// y[o * y_pixel + l * y_lane] for L lanes, from x[i * x_pixel + l * x_lane]
template <int L> void along(const FixedAxis& a, const uint8_t* x, int64_t x_pixel, int64_t x_lane, uint8_t* y,
                            int64_t y_pixel, int64_t y_lane) {
  for (int64_t o = 0; o < a.out; ++o, y += y_pixel) {
    int32_t sum[L];
    for (int l = 0; l < L; ++l) sum[l] = 1 << a.bits >> 1;
    for (int64_t e = a.first[o]; e < a.first[o + 1]; ++e) {
      const uint8_t* p = x + a.index[e] * x_pixel;
      for (int l = 0; l < L; ++l) sum[l] += a.weight[e] * p[l * x_lane];
    }
    for (int l = 0; l < L; ++l) y[l * y_lane] = a.rounded(sum[l]);
  }
}
void along_all(const FixedAxis& a, int64_t lanes, const uint8_t* x, int64_t x_pixel, int64_t x_lane,
               uint8_t* y, int64_t y_pixel, int64_t y_lane) {
  int64_t l = 0;
  for (; l + 8 <= lanes; l += 8)
    along<8>(a, x + l * x_lane, x_pixel, x_lane, y + l * y_lane, y_pixel, y_lane);
  if (lanes - l >= 4) {
    along<4>(a, x + l * x_lane, x_pixel, x_lane, y + l * y_lane, y_pixel, y_lane);
    l += 4;
  }
  if (lanes - l == 3) along<3>(a, x + l * x_lane, x_pixel, x_lane, y + l * y_lane, y_pixel, y_lane);
  if (lanes - l == 2) along<2>(a, x + l * x_lane, x_pixel, x_lane, y + l * y_lane, y_pixel, y_lane);
  if (lanes - l == 1) along<1>(a, x + l * x_lane, x_pixel, x_lane, y + l * y_lane, y_pixel, y_lane);
}

// Row o of y, n numbers, from rows of x.
void across(const FixedAxis& a, int64_t o, const uint8_t* x, int64_t x_row, int64_t n, uint8_t* y) {
  constexpr int64_t kWide = 512;
  int32_t sum[kWide];
  for (int64_t j = 0; j < n; j += kWide) {
    const int64_t m = std::min(kWide, n - j);
    std::fill_n(sum, m, 1 << a.bits >> 1);
    for (int64_t e = a.first[o]; e < a.first[o + 1]; ++e) {
      const uint8_t* p = x + a.index[e] * x_row + j;
      const int32_t w = a.weight[e];
      for (int64_t i = 0; i < m; ++i) sum[i] += w * p[i];
    }
    for (int64_t i = 0; i < m; ++i) y[j + i] = a.rounded(sum[i]);
  }
}

struct Bytes {  // planes of rows of pixels
  const uint8_t* p;
  int64_t n, c, row;
};

void resample(const FixedAxis& high, const FixedAxis& wide, Bytes x, int64_t planes, int64_t channels,
              int64_t inner, uint8_t* y) {
  constexpr int64_t kRows = 8;
  const int64_t n = wide.out * inner, blocks = ceil_div(high.in, kRows);
  const bool both = !wide.same && !high.same;
  Workspace<uint8_t> waiting(size_t(both ? planes * high.in * n : 1));
  if (!wide.same) {
    uint8_t* to = both ? static_cast<uint8_t*>(waiting) : y;
    const int64_t grain = kGrain / (kRows * n * wide.taps());
    parallel_for(planes * blocks, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t plane = u / blocks, r = u % blocks * kRows, rows = std::min(kRows, high.in - r);
        const uint8_t* from = x.p + plane / channels * x.n + plane % channels * x.c + r * x.row;
        uint8_t* out = to + (plane * high.in + r) * n;
        if (inner == 1) along_all(wide, rows, from, 1, x.row, out, 1, n);
        for (int64_t i = 0; inner > 1 && i < rows; ++i)
          along_all(wide, inner, from + i * x.row, inner, 1, out + i * n, inner, 1);
      }
    });
    x = {waiting, channels * high.in * n, high.in * n, n};
  }
  if (high.same && !wide.same) return;
  parallel_for(planes * high.out, std::max<int64_t>(1, kGrain / (n * high.taps())),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin; r < end; ++r) {
                   const int64_t plane = r / high.out;
                   across(high, r % high.out, x.p + plane / channels * x.n + plane % channels * x.c, x.row, n,
                          y + r * n);
                 }
               });
}

}  // namespace

Array interpolate_u8_forward(const View& x, const Views& tables, const Ints& bits) {
  if (x.dtype != Dtype::u8) fail_type(kOp, std::string("x must be uint8, not ") + name(x.dtype));
  if (x.ndim != 4 || tables.count != 6 || bits.count != 2 || std::min(bits[0], bits[1]) < 0 ||
      std::max(bits[0], bits[1]) > 22)
    fail(kOp, "x must be (N, C, H, W), with a table of three arrays and 0 to 22 bits for H and W",
         {{"x", x}});
  for (int i = 0; i < 6; ++i) {
    const Dtype kind = i % 3 < 2 ? Dtype::i64 : Dtype::i32;
    if (tables[i].dtype != kind) fail_type(kOp, std::string("a table's array must be ") + name(kind));
    if (tables[i].ndim != 1 || (i % 3 == 0 && tables[i].shape[0] < 1) ||
        (i % 3 == 2 && tables[i].shape[0] != tables[i - 1].shape[0]))
      fail(kOp, "a table is (first, index, weight), the last two of equal length", {{"array", tables[i]}});
  }
  const FixedAxis high(x, x.shape[2], tables[0], tables[1], tables[2], bits[0]),
      wide(x, x.shape[3], tables[3], tables[4], tables[5], bits[1]);
  const bool last = is_channels_last(x);
  const int64_t shape[4] = {x.shape[0], x.shape[1], high.out, wide.out};
  Array y = pool_output(kOp, Dtype::u8, 4, shape, last);
  if (y.size() == 0 || x.size() == 0) return y;
  const Laid from(x, last, last);
  const int64_t channels = last ? 1 : x.shape[1], inner = last ? x.shape[1] : 1;
  const Bytes rows{reinterpret_cast<const uint8_t*>(from.p), from.n, from.c, from.step[1]};
  resample(high, wide, rows, x.shape[0] * channels, channels, inner, y.as<uint8_t>());
  return y;
}

}  // namespace nn::cpu
