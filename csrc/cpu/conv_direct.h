// What direct convolution is told: a convolution with unit dilation of the result, of one group, as a forward
// pass and the residues of an input gradient ask for.
#pragma once
#include <limits>
#include <vector>

#include "conv_planes.h"

namespace nn::cpu {

// Rows of images from `first` on, at a position of the depth axis, and some filters of each group.
struct Strip {
  int64_t n, depth, first, images, rows;
  int64_t filter = 0, filters = 0;
  int64_t pixel = 0, pixels = 0;  // of a strip of one row: a piece of it
};

// Takes strips of results that are not written where they belong at once: groups of filters `group_step`
// apart, filters `filter_step` apart, pixels of a strip, row by row, `pixel_step` apart. Whole vectors can be
// read.
template <class T> struct StripTaker {
  bool filters_dense = false;  // or the pixels
  virtual ~StripTaker() = default;
  virtual void take(const Strip& s, const T* strip, int64_t group_step, int64_t filter_step,
                    int64_t pixel_step) const = 0;
};

// Filters with some of the taps of the patches.
template <class T> struct FilterGroup {
  const Panels<T>* w;  // lanes are filters, the depth runs over (channel, tap)
  int64_t filters;
  std::vector<int> taps;
};

template <class T> struct Direct {
  Patches<T> patches;
  int64_t n;
  std::vector<FilterGroup<T>> groups;  // equally many filters each
  T* y;
  int64_t y_image, y_step[3];     // from image to image, position to position
  std::vector<int64_t> y_filter;  // of each filter
  const T* bias;
  T floor = -std::numeric_limits<T>::infinity();
  const StripTaker<T>* taker = nullptr;                                       // instead of y
  int64_t filters() const { return groups.empty() ? 0 : groups[0].filters; }  // of a group
};

template <class T> void convolve(const Direct<T>& p);

// conv_direct_images.cpp: for many small images. The share of the FMA units' work that is wanted; 0: can't.
template <class T> double images_filled(const Direct<T>& p);
template <class T> void convolve_images(const Direct<T>& p);

constexpr int64_t kStripBytes = 400 << 10;

// Of a padded row, in elements.
template <class T> int64_t row_width(const Patches<T>& g) {
  return (g.axis[2].count() - 1) * g.axis[2].step() + g.axis[2].reach();
}

// Rows of the result per strip: the planes should fit half of L2, and there should be enough strips to share.
// made: results of a row that stay in the strip for a while.
template <class T> int64_t strip_rows(const Patches<T>& g, int64_t n, int64_t made) {
  const int64_t row =
      (g.channels * g.axis[0].taps() * row_width(g) * g.axis[1].step() + made) * int64_t(sizeof(T));
  const int64_t fit = std::max<int64_t>(1, kStripBytes / std::max<int64_t>(1, row));
  const int64_t share = ceil_div(g.axis[1].count() * n, 8);
  return std::max<int64_t>(1, std::min(std::min(fit, share), g.axis[1].count()));
}

// 0, step, 2 step, ...
template <class I> std::vector<I> multiples(I step, int64_t count) {
  std::vector<I> found;
  for (int64_t i = 0; i < count; ++i) found.push_back(I(i) * step);
  return found;
}

// (channel, tap) of a filter as the depth of an operand.
Walk filter_depth(const int64_t (&taps)[3], const int64_t (&step)[3], int64_t channels, int64_t channel_step);

// The part of group g, that has `count` channels (or filters) `step` apart.
template <class T> Field<T> group_of(const Field<T>& x, int64_t count, int64_t step, int64_t g) {
  Field<T> f = x;
  f.p += g * count * step;
  return f;
}

}  // namespace nn::cpu
