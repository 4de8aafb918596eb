// Resampling of uint8 images, equal to PyTorch's.
//
//   y[.., o, ..] = (sum over e of weight[e] * x[.., index[e], ..] + 2^bits / 2) >> bits, clamped to 0..255,
//   first[o] <= e < first[o + 1]
//
// along the width, then along the height; what waits between the two is rounded and clamped as well. Weights
// are whole numbers so small that sums are exact in floats: the kernels are those of interpolate.cpp. Work is
// split over blocks of rows.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "interpolate.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 16;    // numbers: some 20 us
constexpr int64_t kScratch = 1 << 16;  // numbers that wait between the two axes
constexpr int64_t kRows = 8;           // made floats, or bytes again, at a time

// Whole numbers over 2^bits, rounded to 0..255.
template <class T, class U> void round_all(const T* sum, int64_t n, int64_t bits, U* y) {
  const T half = T(1 << bits >> 1), scale = 1 / T(1 << bits);
#pragma GCC ivdep  // y may be sum
  for (int64_t i = 0; i < n; ++i) y[i] = U(std::clamp(int32_t((sum[i] + half) * scale), 0, 255));
}

template <class T> struct BytesJob {
  const RowTable<T> table;
  const RowSums<T> sums;
  int64_t bits[2], x_row, in, out, block;

  // Rows [begin, end) of y from a plane of x.
  void run(const uint8_t* x, int64_t begin, int64_t end, uint8_t* y) const {
    const int64_t* first = sums.first.data();
    const int64_t e = first[begin], count = first[end] - e;
    const auto [low, high] = std::minmax_element(sums.row.begin() + e, sums.row.begin() + first[end]);
    const int64_t from = count ? *low : 0, rows = count ? *high - from + 1 : 0;
    Workspace<T> some(size_t(kRows * std::max(in, out))), waiting(size_t(rows * out));
    Workspace<const T*> at(size_t(count + 1));
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t m = std::min(kRows, rows - r);
      for (int64_t i = 0; i < m; ++i) std::copy_n(x + (from + r + i) * x_row, in, some + i * in);
      table.run(some, in, m, waiting + r * out);
      round_all<T, T>(waiting + r * out, m * out, bits[1], waiting + r * out);
    }
    for (int64_t k = 0; k < count; ++k) at[k] = waiting + (sums.row[size_t(e + k)] - from) * out;
    for (int64_t r = begin, m; r < end; r += m) {
      m = std::min(kRows, end - r);
      kernels<T>().combine_rows(at + (first[r] - e), first + r, sums.weight.data() + first[r], m, out, some);
      round_all<T, uint8_t>(some, m * out, bits[0], y + r * out);
    }
  }
};

template <class T> void resample(const View& x, const Axis<T>* axis, const Ints& bits, bool last, Array& y) {
  const Laid from(x, last, last);
  const int64_t channels = last ? 1 : x.shape[1], inner = last ? x.shape[1] : 1, rows = axis[0].out;
  const int64_t in = axis[1].in * inner, out = axis[1].out * inner;
  if (in > std::numeric_limits<int32_t>::max())
    fail("interpolate", "a row has more than 2^31 numbers", {{"x", x}});
  const int64_t block = std::clamp<int64_t>(kScratch / (out * ceil_div(axis[0].in, rows)), kRows,
                                            std::max(kRows, rows)),
                blocks = ceil_div(rows, block);
  const BytesJob<T> job{RowTable<T>(axis[1], inner),
                        RowSums<T>(Axis<T>(), axis[0]),
                        {bits[0], bits[1]},
                        from.step[1],
                        in,
                        out,
                        block};
  const int64_t grain = kGrain / (block * (in + out));
  parallel_for(x.shape[0] * channels * blocks, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t plane = u / blocks, r = u % blocks * block;
      const char* p = from.p + plane / channels * from.n + plane % channels * from.c;
      job.run(reinterpret_cast<const uint8_t*>(p), r, std::min(rows, r + block),
              y.as<uint8_t>() + plane * rows * out);
    }
  });
}

}  // namespace

Array interpolate_u8_forward(const View& x, const Views& tables, const Ints& bits) {
  if (x.dtype != Dtype::u8) fail_type("interpolate", std::string("x must be uint8, not ") + name(x.dtype));
  if (x.ndim != 4 || tables.count != 6 || bits.count != 2 || std::min(bits[0], bits[1]) < 0 ||
      std::max(bits[0], bits[1]) > 22)
    fail("interpolate", "x must be (N, C, H, W), with a table of three arrays and 0 to 22 bits for H and W",
         {{"x", x}});
  const bool last = is_channels_last(x);
  return dispatch(common_dtype("interpolate", {{"weight", tables[2]}, {"weight", tables[5]}}), [&](auto t) {
    using T = decltype(t);
    const Axis<T> axis[2] = {Axis<T>(x, x.shape[2], tables[0], tables[1], tables[2]),
                             Axis<T>(x, x.shape[3], tables[3], tables[4], tables[5])};
    const int64_t shape[4] = {x.shape[0], x.shape[1], axis[0].out, axis[1].out};
    Array y = pool_output("interpolate", Dtype::u8, 4, shape, last);
    if (y.size() != 0) resample(x, axis, bits, last, y);
    return y;
  });
}

}  // namespace nn::cpu
