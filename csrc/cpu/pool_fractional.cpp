// Fractional max pooling: windows begin at pseudo-random places of each image and channel (Graham 2014).
//
// A channel's windows are looked up once for all its rows; the kernel takes a register of them at a time.
// Channels-last images are turned into planes first, since each channel has windows of its own. Work is split
// over images and channels. Bound by bytes, most of them the int64 places.
#include <algorithm>
#include <limits>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "fractional_max_pool";
constexpr int64_t kGrain = 1 << 16;  // elements

// First elements of the windows of one axis, rounded as PyTorch does.
template <class T>
void fractional_starts(T sample, int64_t in, int64_t out, int64_t kernel, int64_t* starts) {
  if (out > 1) {
    const T alpha = T(in - kernel) / T(out - 1);
    const int64_t before = int64_t(sample * alpha);
    for (int64_t i = 0; i < out - 1; ++i)
      starts[i] = std::clamp<int64_t>(int64_t((T(i) + sample) * alpha) - before, 0, in - kernel);
  }
  starts[out - 1] = in - kernel;
}

struct Sizes {
  int axes;
  int64_t in[3] = {1, 1, 1}, out[3] = {1, 1, 1}, kernel[3] = {1, 1, 1};  // missing axes lead
  int64_t shape[kMaxDims];                                               // of y
  std::vector<int64_t> offset;  // of each tap from the first element of its window

  Sizes(const View& x, const Ints& kernel_size, const Ints& output_size) : axes(x.ndim - 2) {
    if (axes < 1 || axes > 3 || kernel_size.count != axes || output_size.count != axes)
      fail(kOp, "kernel_size and output_size need a number per spatial axis", {{"input", x}});
    shape[0] = x.shape[0], shape[1] = x.shape[1];
    for (int i = 0; i < axes; ++i) {
      const int a = 3 - axes + i;
      in[a] = x.shape[2 + i], out[a] = shape[2 + i] = output_size[i], kernel[a] = kernel_size[i];
      if (kernel[a] < 1 || out[a] < 1 || out[a] + kernel[a] - 1 > in[a] ||
          in[a] > std::numeric_limits<int32_t>::max())
        fail(kOp,
             "an axis of " + std::to_string(in[a]) + " can't be pooled to " + std::to_string(out[a]) +
                 " by windows of " + std::to_string(kernel[a]),
             {{"input", x}});
    }
    if (taps() > int64_t(1) << 24) fail(kOp, "a window has more than 2^24 elements", {{"input", x}});
    for (int64_t d = 0; d < kernel[0]; ++d)
      for (int64_t h = 0; h < kernel[1]; ++h)
        for (int64_t w = 0; w < kernel[2]; ++w) offset.push_back((d * in[1] + h) * in[2] + w);
  }
  int64_t taps() const { return kernel[0] * kernel[1] * kernel[2]; }
  int64_t outputs() const { return out[0] * out[1] * out[2]; }
};

// The plane that a thread is at, and where its windows lie.
template <class T> struct Plane : FractionalPlane<T> {
  const Sizes& sizes;
  std::vector<int64_t> starts[3];
  std::vector<int32_t> bases, columns;
  const int64_t lanes = kernels<T>().resample_lanes();

  explicit Plane(const Sizes& s) : FractionalPlane<T>{}, sizes(s) {
    for (int a = 0; a < 3; ++a) {
      starts[a].assign(size_t(s.out[a]), 0);
      this->in[a] = s.in[a], this->out[a] = s.out[a], this->kernel[a] = s.kernel[a];
      this->start[a] = starts[a].data();
    }
    bases.resize(size_t(ceil_div(s.out[2], lanes)));
    columns.assign(bases.size() * size_t(lanes * s.kernel[2]), -1);
    this->offset = s.offset.data(), this->base = bases.data(), this->column = columns.data();
  }
  // sample: a number for each axis, `step` apart
  void place(const T* sample, int64_t step) {
    for (int a = 3 - sizes.axes; a < 3; ++a) {
      // two axes: the first sample is the width's; three: in the order of the axes
      const int64_t i = sizes.axes == 3 ? a : 2 - a;
      fractional_starts(sample[i * step], sizes.in[a], sizes.out[a], sizes.kernel[a], starts[a].data());
    }
    const int64_t row = int64_t(bases.size()) * lanes, wide = sizes.kernel[2];
    for (int64_t begin = 0; begin < sizes.out[2]; begin += lanes) {
      const auto first = starts[2].begin() + begin,
                 end = starts[2].begin() + std::min(sizes.out[2], begin + lanes);
      const auto [low, high] = std::minmax_element(first, end);
      const bool near = *high + wide - *low <= 2 * lanes;
      bases[size_t(begin / lanes)] = near ? int32_t(*low) : -1;
      const int64_t from = near ? *low : 0;
      for (int64_t t = 0; t < wide; ++t)
        std::transform(first, end, columns.begin() + (t * row + begin),
                       [=](int64_t s) { return int32_t(s + t - from); });
    }
  }
};

// The same in channels-last order.
Array channels_last(const Array& a) {
  Array y = pool_output(kOp, a.dtype, a.ndim, a.shape, true);
  copy(a.view(), y.view());
  return y;
}

}  // namespace

Array2 fractional_max_pool_forward(const View& x, const Ints& kernel_size, const Ints& output_size,
                                   const View& samples, bool ignore_nan, bool index) {
  const Dtype dt = common_dtype(kOp, {{"input", x}, {"_random_samples", samples}});
  const Sizes s(x, kernel_size, output_size);
  if (samples.ndim != 3 || samples.shape[0] != x.shape[0] || samples.shape[1] != x.shape[1] ||
      samples.shape[2] != s.axes)
    fail(kOp, "_random_samples must have the shape (N, C, spatial axes)",
         {{"input", x}, {"_random_samples", samples}});
  const int64_t count = s.outputs(), nothing[1] = {0};
  Array y = output(kOp, dt, x.ndim, s.shape),
        at = index ? output(kOp, Dtype::i64, x.ndim, s.shape) : output(kOp, Dtype::i64, 1, nothing);
  const Laid from(x, false, true);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    for (int64_t i = 0; i < samples.size(); ++i) {
      const int64_t n = i / (s.axes * x.shape[1]), c = i / s.axes % x.shape[1], axis = i % s.axes;
      const T sample = samples.as<T>()[n * samples.step(0) + c * samples.step(1) + axis * samples.step(2)];
      if (!(sample >= 0 && sample <= 1))
        fail(kOp, "_random_samples must lie between 0 and 1", {{"_random_samples", samples}});
    }
    parallel_for(x.shape[0] * x.shape[1], std::max<int64_t>(1, kGrain / (count * s.taps())),
                 [&](int64_t begin, int64_t end) {
                   Plane<T> p(s);
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t n = i / x.shape[1], c = i % x.shape[1];
                     p.place(samples.as<T>() + n * samples.step(0) + c * samples.step(1), samples.step(2));
                     p.x = reinterpret_cast<const T*>(from.p + n * from.n + c * from.c);
                     p.y = y.as<T>() + i * count, p.index = index ? at.as<int64_t>() + i * count : nullptr;
                     kernels<T>().pool_fractional(ignore_nan, p);
                   }
                 });
  });
  if (!is_channels_last(x)) return {std::move(y), std::move(at)};
  return {channels_last(y), index ? channels_last(at) : std::move(at)};
}

}  // namespace nn::cpu
