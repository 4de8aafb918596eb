// The strided copy engine: what clone, cat, pad and every op that must pack an array stand on.
#pragma once
#include "../view.h"

namespace nn::cpu {

// to[...] = from[...]: equal shapes, equal item sizes, any strides (0 in `from` repeats it); memory must not
// overlap.
void copy(const View& from, const View& to);

// C-contiguous elements of v: its own, or a copy's.
class Dense {
 public:
  explicit Dense(const View& v);
  ~Dense();
  Dense(const Dense&) = delete;
  template <class T> const T* as() const { return static_cast<const T*>(data_); }

 private:
  const void* data_;
  void* block_ = nullptr;
};

}  // namespace nn::cpu
