// Filters as Winograd convolutions take them: where their taps lie.
#pragma once
#include <vector>

#include "../parallel.h"
#include "conv_winograd.h"

namespace nn::cpu {

// Taps of the residues that were taken apart, along one axis.
struct ResidueTaps {
  int64_t kernel = 0, stride = 1, front = 0;  // zeros before the first tap
  int64_t most() const { return ceil_div(kernel, stride); }
  int64_t whole() const { return kernel - (most() - 1) * stride; }  // residues with all taps, of no front
  bool has_first(int64_t residue) const { return residue >= front; }
  bool has_last(int64_t residue) const { return (most() - 1) * stride + residue < front + kernel; }
};

// Filters (k results, c channels, frames, taps) with dense taps, maybe turned around. The residues of a
// stride are channels of a forward pass (see Image) and results (residue, k) of an input gradient.
template <class T> struct Filters {
  const T* p;
  int64_t k_step, c_step, frame_step, frames;
  bool turned;
  int64_t residues = 1;  // among the taps of a channel; those that were taken apart are channels, or results
  ResidueTaps taps[2] = {};
};

// Numbers of a filter each of whose residues has as many taps as the first.
inline int64_t split_size(const ConvShape& s) {
  const int64_t side = round_up(s.axis[2].kernel, s.axis[2].stride);
  return s.c * side * side;
}

// out[k][p][q][c][i][j] = tap (i * stride + p - front, j * stride + q - front) of filters (k, c), or 0.
template <class T>
void split_filters(const ConvShape& s, const Field<const T>& w, const ResidueTaps (&t)[2], T* out) {
  const int64_t kernel = s.axis[2].kernel, stride = s.axis[2].stride, taps = t[0].most();
  const int64_t size = split_size(s), kNone = INT64_MIN;
  parallel_for(s.k, ceil_div(32768, size), [&](int64_t begin, int64_t end) {
    std::vector<int64_t> from;  // of the taps of a residue
    for (int64_t p = 0; p < stride; ++p)
      for (int64_t q = 0; q < stride; ++q) {
        from.clear();
        for (int64_t i = 0; i < taps; ++i)
          for (int64_t j = 0; j < taps; ++j) {
            const int64_t h = i * stride + p - t[0].front, v = j * stride + q - t[1].front;
            const bool inside = h >= 0 && h < kernel && v >= 0 && v < kernel;
            from.push_back(inside ? h * w.step[1] + v * w.step[2] : kNone);
          }
        for (int64_t k = begin; k < end; ++k)
          for (int64_t c = 0; c < s.c; ++c) {
            const T* filter = w.p + k * w.n + c * w.c;
            T* to = out + k * size + ((p * stride + q) * s.c + c) * taps * taps;
            for (const int64_t at : from) *to++ = at == kNone ? T(0) : filter[at == kNone ? 0 : at];
          }
      }
  });
}

// Filters whose taps are dense are read in place; those of a stride are taken apart unless the form does it.
template <class T> class DenseFilters {
 public:
  DenseFilters(const ConvShape& s, const Field<const T>& w, const WinogradSizes& sizes, int64_t front_h = 0,
               int64_t front_w = 0)
      : stride_(s.axis[2].stride),
        apart_(stride_ != sizes.stride),
        in_place_(w.step[2] == 1 && w.step[1] == s.axis[2].kernel),
        taps_{s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel},
        copy_(w, in_place_ || apart_ ? 0 : s.k, s.c, taps_, w.step, {0, 1, 2}),
        split_(size_t(apart_ ? s.k * split_size(s) : 1)),
        filters_{w.p, w.n, w.c, w.step[0], taps_[0], false, sizes.residues()} {
    if (apart_) {
      filters_ = {split_,
                  split_size(s),
                  sizes.taps * sizes.taps,
                  0,
                  1,
                  false,
                  1,
                  {{taps_[1], stride_, front_h}, {taps_[2], stride_, front_w}}};
      split_filters<T>(s, w, filters_.taps, split_);
    } else if (!in_place_) {
      filters_ = {copy_, s.c * s.taps(), s.taps(), taps_[1] * taps_[2], taps_[0], false, sizes.residues()};
    }
  }
  Filters<T> forward() const { return filters_; }
  Filters<T> turned() const {
    const Filters<T>& f = filters_;
    return {f.p, f.c_step, f.k_step, f.frame_step, f.frames, true, 1, {f.taps[0], f.taps[1]}};
  }

 private:
  int64_t stride_;
  bool apart_, in_place_;
  int64_t taps_[3];
  TurnedFilter<T> copy_;
  Workspace<T> split_;
  Filters<T> filters_;
};

}  // namespace nn::cpu
