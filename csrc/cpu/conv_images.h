// Vectors of small images, as direct convolution takes them: planes [channel][padded row][column][lane],
// lanes are images.
#pragma once
#include "conv_direct.h"

namespace nn::cpu {

// Of one vector of images and of the results of some filters.
struct ImageSizes {
  int64_t lanes, height, width, pixels, planes, made;
  template <class T> ImageSizes(const Patches<T>& g, int64_t filters)
      : lanes(kernels<T>().gemm_shape().width),
        height((g.axis[1].count() - 1) * g.axis[1].step() + g.axis[1].reach()),
        width(row_width(g)),
        pixels(g.axis[1].count() * g.axis[2].count()),
        planes(g.channels * height * width * lanes),
        made(filters * pixels * lanes) {}
};

// Can vectors be made of these images?
template <class T> bool turns(const Patches<T>& g) {
  const TapAxis &d = g.axis[0], &h = g.axis[1], &w = g.axis[2];
  return d.count() == 1 && d.taps() == 1 && d.at(d.offset(0)) >= 0 && !h.wraps() && !w.wraps() &&
         w.step() == 1 && g.x.step[2] == 1;
}

// `count` images from n on; padding is left as it is.
template <class T>
void load_images(const Patches<T>& g, const ImageSizes& s, int64_t n, int64_t count, T* planes) {
  const TapAxis &d = g.axis[0], &h = g.axis[1], &w = g.axis[2];
  const int64_t low = w.lowest(), first = std::max<int64_t>(0, -low), last = std::min(s.width, w.in() - low),
                top = std::max<int64_t>(0, -h.lowest()), end = std::min(s.height, h.in() - h.lowest());
  if (first >= last || top >= end) return;
  // rows without padding between them lie in one piece
  const bool together = last - first == s.width && g.x.step[1] == s.width;
  const int64_t rows = together ? end - top : 1;
  for (int64_t c = 0; c < g.channels; ++c)
    for (int64_t i = top; i < end; i += rows)
      kernels<T>().transpose_copy(g.x.p + n * g.x.n + c * g.x.c + d.offset(0) * g.x.step[0] +
                                      (h.lowest() + i) * g.x.step[1] + low + first,
                                  g.x.n, planes + ((c * s.height + i) * s.width + first) * s.lanes, s.lanes,
                                  count, rows * (last - first));
}

// Does load_images write all of the planes?
template <class T> bool fills(const Patches<T>& g, const ImageSizes& s, int64_t count) {
  const TapAxis &h = g.axis[1], &w = g.axis[2];
  return count == s.lanes && h.lowest() >= 0 && w.lowest() >= 0 && s.height <= h.in() - h.lowest() &&
         s.width <= w.in() - w.lowest();
}

// Where tap t finds its first number in the planes of channel c.
template <class T> int32_t tap_offset(const Patches<T>& g, const ImageSizes& s, int64_t c, int t) {
  const TapAxis &h = g.axis[1], &w = g.axis[2];
  const int64_t row = c * s.height + h.offset(t / w.taps()) - h.lowest();
  return int32_t((row * s.width + w.offset(t % w.taps()) - w.lowest()) * s.lanes);
}

// The share of an axis' taps that meet the image.
inline double taps_inside(const TapAxis& a) {
  int64_t inside = 0;
  for (int t = 0; t < a.taps(); ++t) inside += std::max<int64_t>(0, a.last(t) - a.first(t));
  return double(inside) / double(std::max<int64_t>(1, a.count() * a.taps()));
}

}  // namespace nn::cpu
