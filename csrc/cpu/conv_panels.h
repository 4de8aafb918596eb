// Images as operands of the GEMM engine: matrices of patches that are never written down (im2col inside the
// packing). Strides, dilations, padding and its modes live here and nowhere else.
#pragma once
#include <algorithm>
#include <vector>

#include "../memory.h"
#include "conv.h"
#include "copy.h"

namespace nn::cpu {

// One axis of a patch: position o of the result and tap t read element source(o, t) of the image, -1 is a
// zero. Away from the edges that is o * step + offset[t].
class TapAxis {
 public:
  TapAxis(int64_t count, int64_t step, int64_t in, std::vector<int64_t> offsets,
          PaddingMode mode = PaddingMode::zeros);
  int64_t count() const { return count_; }
  int64_t step() const { return step_; }
  int taps() const { return int(offset_.size()); }
  int64_t in() const { return in_; }
  int64_t offset(int t) const { return offset_[size_t(t)]; }
  int64_t lowest() const { return *std::min_element(offset_.begin(), offset_.end()); }
  int64_t reach() const { return *std::max_element(offset_.begin(), offset_.end()) - lowest() + 1; }
  // Element of the image at a coordinate that may lie outside; -1: a zero.
  int64_t at(int64_t coordinate) const { return padding_source(mode_, coordinate, in_); }
  int64_t source(int64_t o, int t) const { return source_[size_t(o) * offset_.size() + size_t(t)]; }
  // Positions whose source lies inside the image for tap t; for every tap.
  int64_t first(int t) const { return first_[size_t(t)]; }
  int64_t last(int t) const { return last_[size_t(t)]; }
  int64_t first() const { return first_all_; }
  int64_t last() const { return last_all_; }
  bool wraps() const { return mode_ != PaddingMode::zeros; }  // positions outside have a source, too

 private:
  int64_t count_, step_, in_, first_all_, last_all_;
  PaddingMode mode_;
  std::vector<int64_t> offset_, first_, last_;
  std::vector<int32_t> source_;
};

// The patches of a batch of images: pixel j of the result is (n, od, oh, ow), row-major.
template <class T> struct Patches {
  Field<const T> x;
  int64_t channels;
  TapAxis axis[3];
  int taps() const { return axis[0].taps() * axis[1].taps() * axis[2].taps(); }
};

TapAxis forward_axis(const ConvAxis& a, PaddingMode mode);
template <class T> Patches<T> forward_patches(const ConvShape& s, const Field<const T>& x) {
  return {
      x,
      s.c / s.groups,
      {forward_axis(s.axis[0], s.mode), forward_axis(s.axis[1], s.mode), forward_axis(s.axis[2], s.mode)}};
}

// Positions r, r + stride, ... of an input axis and the taps that reach them: within one residue the input
// gradient is a convolution of gy with unit stride.
struct Residue {
  int64_t count, tap0 = 0, tap_step = 1, taps = 0;
  std::vector<int64_t> offsets;  // of the source in gy
  Residue(const ConvAxis& a, int64_t r);
  TapAxis axis(const ConvAxis& a) const { return TapAxis(count, 1, a.out, offsets); }
};

// Lanes are pixels, the depth runs over (channel, tap): for images whose rows are the fastest axis.
template <class T> struct PatchColumns : Panels<T> {
  const Patches<T>& g;
  explicit PatchColumns(const Patches<T>& patches) : g(patches) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override;
};

// Lanes are pixels, the depth runs over (tap, channel): for channels-last images.
template <class T> struct PatchRows : Panels<T> {
  const Patches<T>& g;
  explicit PatchRows(const Patches<T>& patches) : g(patches) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override;
};

// The depth runs over pixels; lanes are (channel, tap), or (tap, channel) for channels-last images.
template <class T> struct PatchDepth : Panels<T> {
  const Patches<T>& g;
  bool last;
  PatchDepth(const Patches<T>& patches, bool channels_last) : g(patches), last(channels_last) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override;

 private:
  void by_lanes(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const;
  void by_channels(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const;
};

// The filter with its axes in another order, contiguous.
template <class T> class TurnedFilter {
 public:
  // order: of (k, c, tap) as (0, 1, 2), the last one fastest
  TurnedFilter(const Field<const T>& w, int64_t k, int64_t c, const int64_t* taps, const int64_t* tap_step,
               const int (&order)[3])
      : data_(size_t(std::max<int64_t>(k * c * taps[0] * taps[1] * taps[2], 1))) {
    const int64_t size[5] = {k, c, taps[0], taps[1], taps[2]};
    const int64_t step[5] = {w.n, w.c, tap_step[0], tap_step[1], tap_step[2]};
    int64_t shape[5], from[5], to[5], bytes = sizeof(T);
    int at = 0;
    for (const int part : order)
      for (int i = part; i < (part == 2 ? 5 : part + 1); ++i, ++at)
        shape[at] = size[i], from[at] = step[i] * int64_t(sizeof(T));
    for (int i = 4; i >= 0; --i) to[i] = bytes, bytes *= shape[i];
    const Dtype dt = dtype_of<T>::value;
    copy(View{const_cast<T*>(w.p), dt, false, false, 5, shape, from, nullptr, 0},
         View{static_cast<T*>(data_), dt, true, false, 5, shape, to, nullptr, 0});
  }
  operator const T*() const { return data_; }

 private:
  Workspace<T> data_;
};

}  // namespace nn::cpu
