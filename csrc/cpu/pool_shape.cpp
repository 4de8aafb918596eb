// Sizes and windows of pooling, and its arrays seen as rows.
#include <algorithm>

#include "../memory.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kLongest = int64_t(1) << 31;  // of any axis

[[noreturn]] void refuse(const char* op, const std::string& what) {
  throw std::invalid_argument(std::string(op) + ": " + what);
}

int64_t ceil_div_signed(int64_t a, int64_t b) { return a > 0 ? (a + b - 1) / b : -(-a / b); }

void check_options(const char* op, int axes, const PoolOptions& o) {
  const bool adaptive = o.stride.count == 0;
  if (o.kernel.count != axes ||
      (!adaptive && (o.stride.count != axes || o.dilation.count != axes || o.padding.count != 2 * axes)))
    refuse(op, "kernel_size, stride and dilation take " + std::to_string(axes) +
                   " numbers and padding two per axis");
  for (int i = 0; i < axes; ++i) {
    if (o.kernel[i] < 1 || o.kernel[i] > kLongest)
      refuse(op, std::string(adaptive ? "output_size" : "kernel_size") + " must be positive, not " +
                     std::to_string(o.kernel[i]));
    if (adaptive) continue;
    if (o.stride[i] < 1 || o.stride[i] > kLongest)
      refuse(op, "stride must be positive, not " + std::to_string(o.stride[i]));
    if (o.dilation[i] < 1 || o.dilation[i] > kLongest)
      refuse(op, "dilation must be positive, not " + std::to_string(o.dilation[i]));
    const int64_t reach = o.dilation[i] * (o.kernel[i] - 1) + 1;
    for (int end = 0; end < 2; ++end) {
      const int64_t pad = o.padding[2 * i + end];
      if (pad < 0 || pad > reach / 2)
        refuse(op, "padding must lie between 0 and half of what the kernel reaches over (" +
                       std::to_string(reach) + "), not be " + std::to_string(pad));
    }
  }
}

// Adaptive: window i is [floor(i in / out), ceil((i + 1) in / out)).
void adapt(PoolAxis& a, int64_t out) {
  a.out = out, a.stride = 0;
  a.windows.resize(size_t(out));
  a.kernel = 0;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t start = i * a.in / out, end = ((i + 1) * a.in + out - 1) / out;
    a.windows[size_t(i)] = {start, 0, end - start};
    a.kernel = std::max(a.kernel, end - start);
  }
  if (a.in % out == 0) a.stride = a.in / out;
}

void slide(PoolAxis& a) {
  a.windows.resize(size_t(a.out));
  for (int64_t i = 0; i < a.out; ++i) {
    const int64_t start = i * a.stride - a.low;
    a.windows[size_t(i)] = {start, std::max<int64_t>(0, ceil_div_signed(-start, a.dilation)),
                            std::min(a.kernel, ceil_div_signed(a.in - start, a.dilation))};
  }
}

int64_t pooled_size(const PoolAxis& a, bool ceil_mode) {
  const int64_t spare = a.in + a.low + a.high - a.dilation * (a.kernel - 1) - 1;
  if (spare < 0 && !(ceil_mode && spare + a.stride - 1 >= 0)) return 0;
  int64_t out = (spare + (ceil_mode ? a.stride - 1 : 0)) / a.stride + 1;
  // the last window must begin inside the image or its low padding
  if (ceil_mode && (out - 1) * a.stride >= a.in + a.low) --out;
  return out;
}

}  // namespace

std::string pool_name(const char* kind, int ndim) { return kind + std::to_string(ndim - 2) + "d"; }

int64_t PoolShape::place(int64_t tap, int64_t o0, int64_t o1, int64_t o2) const {
  const int64_t o[3] = {o0, o1, o2};
  int64_t at[3];
  for (int i = 2; i >= 0; --i) {
    const int64_t t = tap % axis[i].kernel;
    const PoolWindow& w = axis[i].windows[size_t(o[i])];
    tap /= axis[i].kernel;
    if (t < w.first || t >= w.last) return -1;
    at[i] = w.start + t * axis[i].dilation;
  }
  return tap ? -1 : (at[0] * axis[1].in + at[1]) * axis[2].in + at[2];
}

PoolShape pool_shape(const char* op, int ndim, const int64_t* x_shape, const PoolOptions& o,
                     const int64_t* out) {
  const View x = {nullptr, Dtype::f32, false, false, ndim, x_shape, x_shape, nullptr, 0};
  if (ndim < 3 || ndim > 5)
    fail(op, "input must have 3 to 5 axes (N, C, and 1 to 3 spatial ones)", {{"input", x}});
  PoolShape s;
  s.axes = ndim - 2, s.n = x_shape[0], s.c = x_shape[1];
  check_options(op, s.axes, o);
  for (int i = 1; i < ndim; ++i)
    if (x_shape[i] < 1 || x_shape[i] > kLongest)
      fail(op, "no axis but the batch may be empty (or longer than 2^31)", {{"input", x}});
  for (int i = 0; i < 3; ++i) {
    PoolAxis& a = s.axis[i];
    const int given = i - 3 + s.axes;
    if (given >= 0) a.in = x_shape[2 + given];
    if (given >= 0 && o.stride.count == 0) {
      adapt(a, o.kernel[given]);
    } else {
      if (given >= 0) {
        a.kernel = o.kernel[given], a.stride = o.stride[given], a.dilation = o.dilation[given];
        a.low = o.padding[2 * given], a.high = o.padding[2 * given + 1];
        a.out = pooled_size(a, o.ceil_mode);
        if (out && out[given] == pooled_size(a, true)) a.out = out[given];  // of a forward in ceil_mode
        if (a.out < 1)
          fail(op,
               "the kernel reaches over " + std::to_string(a.dilation * (a.kernel - 1) + 1) +
                   " elements but the padded axis has " + std::to_string(a.in + a.low + a.high),
               {{"input", x}});
      }
      slide(a);
    }
    for (const PoolWindow& w : a.windows)
      if (w.first >= w.last) fail(op, "a window lies in the padding alone", {{"input", x}});
    if (out && given >= 0 && out[given] != a.out)
      fail(op,
           "gy has " + std::to_string(out[given]) + " elements along an axis that pools to " +
               std::to_string(a.out),
           {{"input", x}});
  }
  if (s.taps() > int64_t(1) << 24) fail(op, "a window has more than 2^24 elements", {{"input", x}});
  return s;
}

bool is_channels_last(const View& x) { return x.shape[1] > 1 && x.step(1) == 1 && x.step(x.ndim - 1) != 1; }

namespace {

void lay(int64_t item, int ndim, const int64_t* shape, bool channels_last, int64_t* strides) {
  int64_t bytes = item;
  if (channels_last) strides[1] = bytes, bytes *= shape[1];
  for (int i = ndim - 1; i >= 2; --i) strides[i] = bytes, bytes *= shape[i];
  if (!channels_last) strides[1] = bytes, bytes *= shape[1];
  strides[0] = bytes;
}

}  // namespace

Array pool_output(const char* op, Dtype dtype, int ndim, const int64_t* shape, bool channels_last) {
  Array y = output(op, dtype, ndim, shape);
  if (channels_last) lay(itemsize(dtype), ndim, shape, true, y.strides);
  return y;
}

Laid::Laid(const View& v, bool channels_last, bool dense) {
  const int inner = channels_last ? 1 : v.ndim - 1;
  int64_t strides[kMaxDims];
  lay(itemsize(v.dtype), v.ndim, v.shape, channels_last, strides);
  bool here = v.shape[inner] == 1 || v.step(inner) == 1;
  for (int i = 0; dense && i < v.ndim; ++i) here &= v.shape[i] == 1 || v.strides[i] == strides[i];
  const int64_t* found = v.strides;
  p = v.as<char>();
  if (!here || dense) {
    found = strides;
    if (!here) {
      block_ = allocate(size_t(v.bytes()));
      p = static_cast<char*>(block_);
      copy(v, View{block_, v.dtype, true, false, v.ndim, v.shape, strides, nullptr, 0});
    }
  }
  n = found[0], c = found[1], step[0] = step[1] = step[2] = 0;
  for (int i = 2; i < v.ndim; ++i) step[5 - v.ndim + i - 2] = found[i];
}
Laid::~Laid() { release(block_); }

}  // namespace nn::cpu
