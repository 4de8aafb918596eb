// What the files of pooling share: sizes, windows, and arrays seen as rows.
#pragma once
#include <vector>

#include "../simd/kernels.h"
#include "../view.h"

namespace nn::cpu {

struct PoolAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, low = 0, high = 0;  // stride 0: adaptive
  std::vector<PoolWindow> windows;                                                   // one per output
};

struct PoolShape {
  int axes = 0;  // as given: 1, 2 or 3
  int64_t n = 0, c = 0;
  PoolAxis axis[3];  // depth, height, width; missing ones lead

  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t inputs() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t outputs() const { return axis[0].out * axis[1].out * axis[2].out; }
  // Place in the flattened image of a tap of window (o0, o1, o2); -1 if the tap lies outside.
  int64_t place(int64_t tap, int64_t o0, int64_t o1, int64_t o2) const;
};

// An empty stride is adaptive pooling: then `kernel` is the size of the result.
struct PoolOptions {
  const Ints &kernel, &stride, &padding, &dilation;
  bool ceil_mode;
};

// Checks everything. `out`: the spatial shape of a given gradient, null if the options say it.
PoolShape pool_shape(const char* op, int ndim, const int64_t* x_shape, const PoolOptions& o,
                     const int64_t* out = nullptr);
std::string pool_name(const char* kind, int ndim);  // "max_pool2d"

bool is_channels_last(const View& x);
// A fresh array (n, c, ...) in this layout.
Array pool_output(const char* op, Dtype dtype, int ndim, const int64_t* shape, bool channels_last);

// An array (N, C, ...) in bytes, whose rows (channels) lie side by side: itself, or a copy.
class Laid {
 public:
  Laid(const View& v, bool channels_last, bool dense = false);
  ~Laid();
  Laid(const Laid&) = delete;
  const char* p;
  int64_t n, c, step[3];

 private:
  void* block_ = nullptr;
};

// Zeros of this size, with x added to (or put at) the int64 places of index.
Array pool_scatter(const char* op, const View& x, const View& index, const Ints& output_size, bool add);

}  // namespace nn::cpu
