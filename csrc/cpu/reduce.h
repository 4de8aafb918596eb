// Which axes a reduction folds and what shape it leaves: shared by the folds and by argmax.
#pragma once
#include <algorithm>

#include "../view.h"

namespace nn::cpu {

struct Reduction {
  bool reduced[kMaxDims];
  int64_t count = 1;    // elements behind one result
  int64_t results = 1;  // elements of the result
  int ndim = 0;         // of the result
  int64_t shape[kMaxDims];

  int kept(const View& x) const {  // axes longer than 1 that stay
    int n = 0;
    for (int i = 0; i < x.ndim; ++i) n += !reduced[i] && x.shape[i] != 1;
    return n;
  }
};

// No axes at all means every axis (torch's rule for dim=None and dim=()).
Reduction reduction(const char* op, const View& x, const Ints& axes, bool keepdims);

// A C-contiguous copy of x with its kept axes first and its reduced axes last, each in their own order.
class Packed {
 public:
  Packed(const View& x, const Reduction& r);
  ~Packed();
  Packed(const Packed&) = delete;
  template <class T> const T* as() const { return static_cast<const T*>(data_); }

 private:
  const void* data_;
  void* block_ = nullptr;
};

enum class Fold : int { sum, prod, max, min, squares };  // the order of simd/reduce.inl

constexpr int64_t kPackedLeaf = 1024;  // of a row that is not dense: it and its copy fit into the L1 cache
constexpr int64_t kRowLeaf = 4096, kColumnLeaf = 256, kColumnTile = 4096;
constexpr int64_t kGrain = 1 << 17;  // elements for one thread at a time: some 20 us

struct Axis {
  int64_t n, step;  // in elements
};

// A reduction in its canonical form. Leaf axes, outermost first: kept, then reduced.
struct Plan {
  bool columns = false;  // the run is kept
  int kept = 0, folded = 0;
  Axis axis[2 * kMaxDims + 2];    // kept axes, then folded ones; without the run
  int64_t run = 1, run_step = 1;  // a run that is kept has step 1
  int64_t divisor = 1;            // of the results
};

// The canonical form; false if x must be packed first: an axis runs backwards or repeats, or the run is kept
// and not dense. order: the kept axes of x, by falling stride, which is the order that the results come in.
bool make_plan(const View& x, const Reduction& r, Plan& p, int* order);

inline int64_t product(const Axis* axes, int n) {
  int64_t size = 1;
  for (int i = 0; i < n; ++i) size *= axes[i].n;
  return size;
}

// Calls f(unit, offset, count, step) for stretches of units begin..end along the last axis.
template <class F> void walk(const Axis* axes, int n, int64_t begin, int64_t end, F&& f) {
  const Axis last = n ? axes[n - 1] : Axis{1, 0};
  for (int64_t u = begin; u < end;) {
    int64_t rest = u / last.n, at = u % last.n, offset = at * last.step;
    for (int i = n - 2; i >= 0 && rest; --i) offset += rest % axes[i].n * axes[i].step, rest /= axes[i].n;
    const int64_t count = std::min(last.n - at, end - u);
    f(u, offset, count, last.step);
    u += count;
  }
}

inline bool is_float(const View& x) { return x.dtype == Dtype::f32 || x.dtype == Dtype::f64; }

}  // namespace nn::cpu
