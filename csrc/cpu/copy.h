// The strided copy engine: what clone, cat, pad and every op that must pack an array stand on.
#pragma once
#include "../view.h"

namespace nn::cpu {

// to[...] = from[...]: equal shapes, equal item sizes, any strides (0 in `from` repeats it); memory must not
// overlap.
void copy(const View& from, const View& to);

// y[i * y_step + j] = x[(at ? at[i] : i) * x_step + j] for i < count, j < n; items of any kind
void copy_rows(const uint32_t* x, int64_t x_step, const int64_t* at, uint32_t* y, int64_t y_step,
               int64_t count, int64_t n);
void copy_rows(const uint64_t* x, int64_t x_step, const int64_t* at, uint64_t* y, int64_t y_step,
               int64_t count, int64_t n);
void copy_rows(const uint8_t* x, int64_t x_step, const int64_t* at, uint8_t* y, int64_t y_step, int64_t count,
               int64_t n);

// C-contiguous elements of v: its own, or a copy's.
class Dense {
 public:
  explicit Dense(const View& v);
  Dense(const Dense&) = delete;
  template <class T> const T* as() const { return static_cast<const T*>(data_); }

 private:
  const void* data_;
  Array copy_;
};

}  // namespace nn::cpu
