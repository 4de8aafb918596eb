// What padding and its gradient share: where each place of the result comes from, and rows in the order of
// memory.
#pragma once
#include <algorithm>
#include <vector>

#include "../memory.h"
#include "../view.h"

namespace nn::cpu {

enum PadMode { kConstant, kReflect, kReplicate, kCircular };

struct PadAxis {
  int64_t in, out, low;
  bool full = true;               // each of y's places comes from x
  std::vector<int64_t> map = {};  // the place in x of each of y's; -1: none
};

struct PadShape {
  int ndim;
  int64_t shape[kMaxDims];  // of y, as the user counts axes
  int order[kMaxDims];      // the user's axes as they lie in memory
  PadAxis axis[kMaxDims];   // in this order
  int row = 0;              // the last padded axis (in this order); behind it `inner` numbers
  int64_t inner = 1, outer = 1;
};

// like: the array whose memory order counts; size: x's shape.
PadShape pad_shape(const View& like, const int64_t* size, const Ints& pads, int64_t mode);

// y (or gx) with the axes of `order` dense in memory.
Array pad_output(Dtype dtype, const PadShape& s, const int64_t* shape);

// v in the order of memory, its rows side by side: its own memory or a copy's.
class PadRows {
 public:
  PadRows(const View& v, const PadShape& s);
  ~PadRows() { release(block_); }
  PadRows(const PadRows&) = delete;
  int64_t step(int i) const { return strides_[i]; }
  char* p;

 private:
  int64_t strides_[kMaxDims];
  void* block_ = nullptr;
};

// Where of a row the middle lies, which is copied as it is; the map says the ends.
struct PadMiddle {
  int64_t begin, end;
  explicit PadMiddle(const PadAxis& a)
      : begin(std::clamp<int64_t>(a.low, 0, a.out)), end(std::clamp<int64_t>(a.low + a.in, begin, a.out)) {}
};

constexpr int64_t kPadGrain = 128 << 10;  // bytes for one thread at a time

}  // namespace nn::cpu
