// Resampling of uint8 images, equal to PyTorch's.
//
//   y[.., o, ..] = (sum over e of weight[e] * x[.., index[e], ..] + 2^bits / 2) >> bits, clamped to 0..255,
//   first[o] <= e < first[o + 1]
//
// along the width, then along the height; what waits between the two is rounded and clamped as well. Both are
// sums of whole rows in 16 x 16 -> 32 bits: as many rows as a register has bytes are turned for the width, so
// that pixels of any channels are rows of theirs, and turned back. Work is split over blocks of rows, whose
// intermediates stay in L2. Bound by the sums.
#include <algorithm>
#include <cmath>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "interpolate.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 18;  // bytes, in and out: some 20 us
constexpr int64_t kRows = 256;       // of x, about as many as one block reads

// An axis as pairs of rows, a step apart.
struct Pairs {
  std::vector<int64_t> first = {0}, row;
  std::vector<int32_t> weight;
  int bits;

  Pairs(const Axis<float>& a, int64_t step, int64_t bits) : bits(int(bits)) {
    for (int64_t o = 0; o < a.out; ++o) {
      const int64_t end = a.first[size_t(o + 1)];
      for (int64_t e = a.first[size_t(o)]; e < end; e += 2) {
        const int64_t next = std::min(e + 1, end - 1);
        const float high = next > e ? a.weight[size_t(next)] : 0;
        row.push_back(a.index[size_t(e)] * step), row.push_back(a.index[size_t(next)] * step);
        weight.push_back(int32_t(uint32_t(int32_t(high)) << 16 | uint16_t(int32_t(a.weight[size_t(e)]))));
      }
      first.push_back(int64_t(weight.size()));
    }
  }
  ByteTable table() const { return {first.data(), row.data(), weight.data(), bits}; }
};

int64_t whole(int64_t n, int64_t unit) { return ceil_div(n, unit) * unit; }

struct BytesJob {
  const Axis<float>* axis;  // of height and width
  int64_t inner, x_row;     // numbers of a pixel; from row to row of x
  const Kernels<float>& k = kernels<float>();
  int64_t lanes = k.byte_lanes(), in = axis[1].in * inner, out = axis[1].out * inner;
  int64_t waiting_row = whole(out, lanes);
  Pairs down, along;

  BytesJob(const Axis<float>* axis, const Ints& bits, int64_t inner, int64_t x_row)
      : axis(axis),
        inner(inner),
        x_row(x_row),
        down(axis[0], waiting_row, bits[0]),
        along(axis[1], lanes * inner, bits[1]) {}

  // `rows` rows of x, at most byte_lanes, resampled along the width.
  void widths(const uint8_t* x, int64_t rows, uint8_t* turned, uint8_t* sums, uint8_t* y) const {
    if (in < 16) {  // turned by 16 at least
      uint8_t few[16 * 64];
      for (int64_t r = 0; r < rows; ++r) std::copy_n(x + r * x_row, in, few + r * 16);
      k.turn_bytes(few, 16, rows, 16, turned, lanes);
    } else {
      k.turn_bytes(x, x_row, rows, in, turned, lanes);
    }
    k.combine_bytes(along.table(), 0, axis[1].out, turned, 0, lanes * inner, sums);
    for (int64_t o = 0; o < out; o += lanes)
      k.turn_bytes(sums + o * lanes, lanes, std::min(lanes, out - o), lanes, y + o, waiting_row);
  }

  // Rows [begin, end) of y from a plane of x.
  void run(const uint8_t* x, int64_t begin, int64_t end, uint8_t* y) const {
    const auto entries = axis[0].index.begin();
    const int64_t e = axis[0].first[size_t(begin)], e_end = axis[0].first[size_t(end)];
    const auto [low, high] = std::minmax_element(entries + e, entries + e_end);
    const int64_t from = e < e_end ? *low : 0, rows = e < e_end ? *high - from + 1 : 0;
    Workspace<uint8_t> turned(size_t(std::max<int64_t>(16, in) * lanes)), sums(size_t(out * lanes)),
        waiting(size_t(whole(rows, lanes) * waiting_row));
    for (int64_t r = 0; r < rows; r += lanes)
      widths(x + (from + r) * x_row, std::min(lanes, rows - r), turned, sums, waiting + r * waiting_row);
    k.combine_bytes(down.table(), begin, end, waiting, from * waiting_row, out, y + begin * out);
  }
};

void resample(const View& x, const Axis<float>* axis, const Ints& bits, bool last, Array& y) {
  const Laid from(x, last, last);
  const int64_t channels = last ? 1 : x.shape[1], rows = axis[0].out;
  const BytesJob job(axis, bits, last ? x.shape[1] : 1, from.step[1]);
  // two rows less than fit: one block's rows may begin and end anywhere
  const int64_t block = std::clamp<int64_t>((kRows - axis[0].taps - 2) * rows / axis[0].in, 1, rows),
                blocks = axis[0].in <= kRows ? 1 : ceil_div(rows, block), step = blocks == 1 ? rows : block;
  const int64_t grain = kGrain / ((job.in * axis[0].in + job.out * rows) / blocks + 1);
  parallel_for(x.shape[0] * channels * blocks, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t plane = u / blocks, r = u % blocks * step;
      const char* p = from.p + plane / channels * from.n + plane % channels * from.c;
      job.run(reinterpret_cast<const uint8_t*>(p), r, std::min(rows, r + step),
              y.as<uint8_t>() + plane * rows * job.out);
    }
  });
}

// Weights must be whole numbers of 16 bits, and the sums of 32.
void check_weights(const View& x, const Axis<float>& a, int64_t bits) {
  for (int64_t o = 0; o < a.out; ++o) {
    double most = 255.0 / 2;
    bool fits = true;
    for (int64_t e = a.first[size_t(o)]; e < a.first[size_t(o + 1)]; ++e) {
      const float w = a.weight[size_t(e)];
      fits = fits && w >= -32768 && w <= 32767 && w == float(int32_t(w));
      most += std::abs(double(w));
    }
    if (!fits || most * 255 + double(1 << bits) >= 2147483648.0)
      fail("interpolate", "weights must be whole numbers of 16 bits, and so small that sums have 32",
           {{"x", x}});
  }
}

}  // namespace

Array interpolate_u8_forward(const View& x, const Views& tables, const Ints& bits) {
  if (x.dtype != Dtype::u8) fail_type("interpolate", std::string("x must be uint8, not ") + name(x.dtype));
  if (x.ndim != 4 || tables.count != 6 || bits.count != 2 || std::min(bits[0], bits[1]) < 0 ||
      std::max(bits[0], bits[1]) > 22)
    fail("interpolate", "x must be (N, C, H, W), with a table of three arrays and 0 to 22 bits for H and W",
         {{"x", x}});
  if (tables[2].dtype != Dtype::f32 || tables[5].dtype != Dtype::f32)
    fail_type("interpolate", "weights for uint8 must be float32");
  const Axis<float> axis[2] = {Axis<float>(x, x.shape[2], tables[0], tables[1], tables[2]),
                               Axis<float>(x, x.shape[3], tables[3], tables[4], tables[5])};
  for (int i = 0; i < 2; ++i) check_weights(x, axis[i], bits[i]);
  const bool last = is_channels_last(x);
  const int64_t shape[4] = {x.shape[0], x.shape[1], axis[0].out, axis[1].out};
  Array y = pool_output("interpolate", Dtype::u8, 4, shape, last);
  if (y.size() != 0) resample(x, axis, bits, last, y);
  return y;
}

}  // namespace nn::cpu
