// What direct convolution is told: a convolution with unit dilation of the result, of one group, as a forward
// pass and the residues of an input gradient ask for.
#pragma once
#include <limits>
#include <vector>

#include "conv_planes.h"

namespace nn::cpu {

// Takes strips of results that are not written where they belong at once.
template <class T> struct StripTaker {
  virtual ~StripTaker() = default;
  virtual void take(int64_t n, int64_t depth, int64_t first_row, int64_t rows, const T* strip) const = 0;
};

template <class T> struct Direct {
  Patches<T> patches;
  int64_t n, filters;
  const Panels<T>* w;  // lanes are filters, the depth runs over (channel, tap)
  T* y;
  int64_t y_image, y_step[3];     // from image to image, position to position
  std::vector<int64_t> y_filter;  // of each filter
  const T* bias;
  T floor = -std::numeric_limits<T>::infinity();
  const StripTaker<T>* taker = nullptr;  // then y_step is of a strip
  int64_t depth() const { return patches.channels * patches.taps(); }
};

template <class T> void convolve(const Direct<T>& p);

// 0, step, 2 step, ...
std::vector<int64_t> multiples(int64_t step, int64_t count);

// (channel, tap) of a filter as the depth of an operand.
Walk filter_depth(const int64_t (&taps)[3], const int64_t (&step)[3], int64_t channels, int64_t channel_step);

// The part of group g, that has `count` channels (or filters) `step` apart.
template <class T> Field<T> group_of(const Field<T>& x, int64_t count, int64_t step, int64_t g) {
  Field<T> f = x;
  f.p += g * count * step;
  return f;
}

}  // namespace nn::cpu
