// Direct convolution of many small images: the lanes of vectors are images.
//
//   planes [channel][padded row][column][lane]   ->   results [filter][row][column][lane]
//
// Rows of results are lines of whole vectors then, however narrow the images are. Images are turned on the
// way in, results on the way out; work is shared by vectors of images. Bound by the FMA units.
#include <algorithm>

#include "../memory.h"
#include "../parallel.h"
#include "conv_direct.h"

namespace nn::cpu {
namespace {

// Of one vector of images.
struct ImageSizes {
  int64_t lanes, height, width, pixels, planes, made;
  template <class T> explicit ImageSizes(const Direct<T>& p)
      : lanes(kernels<T>().gemm_shape().width),
        height((p.patches.axis[1].count() - 1) * p.patches.axis[1].step() + p.patches.axis[1].reach()),
        width(row_width(p.patches)),
        pixels(p.patches.axis[1].count() * p.patches.axis[2].count()),
        planes(p.patches.channels * height * width * lanes),
        made(p.filters() * pixels * lanes) {}
};

// `count` images from n on.
template <class T>
void load_images(const Direct<T>& p, const ImageSizes& s, int64_t n, int64_t count, T* planes) {
  const Patches<T>& g = p.patches;
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

// Offsets of the depths in the planes.
template <class T> std::vector<int32_t> depth_offsets(const Direct<T>& p, const ImageSizes& s) {
  const TapAxis &h = p.patches.axis[1], &w = p.patches.axis[2];
  std::vector<int32_t> found;
  for (int64_t c = 0; c < p.patches.channels; ++c)
    for (const int t : p.groups[0].taps) {
      const int64_t row = c * s.height + h.offset(t / w.taps()) - h.lowest();
      found.push_back(int32_t((row * s.width + w.offset(t % w.taps()) - w.lowest()) * s.lanes));
    }
  return found;
}

}  // namespace

template <class T> double images_filled(const Direct<T>& p) {
  const Patches<T>& g = p.patches;
  const TapAxis &d = g.axis[0], &h = g.axis[1], &w = g.axis[2];
  if (p.taker || p.groups.size() != 1 || d.count() != 1 || d.taps() != 1 || d.at(d.offset(0)) < 0 ||
      h.wraps() || w.wraps() || w.step() != 1 || g.x.step[2] != 1 || p.y_step[2] != 1 ||
      p.y_step[1] != w.count())
    return 0;
  const ImageSizes s(p);
  if ((s.planes + s.made) * int64_t(sizeof(T)) > kStripBytes) return 0;
  // Turning a vector costs about as much as `lanes` products of vectors.
  const double products = double(s.made * g.channels) * double(p.groups[0].taps.size()),
               turning = double(s.lanes * (s.planes + s.made)) / products;
  return 0.95 * double(p.n) / double(round_up(p.n, s.lanes)) / (1 + turning);
}

template <class T> void convolve_images(const Direct<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const TapAxis &h = p.patches.axis[1], &w = p.patches.axis[2];
  const ImageSizes s(p);
  const std::vector<int32_t> offsets = depth_offsets(p, s);
  const int64_t filters = p.filters(), depth = int64_t(offsets.size()),
                panel = ceil_div(filters, ceil_div(filters, kern.conv_line_filters()));
  Workspace<T> packed(size_t(filters * depth + 1));
  for (int64_t f = 0; f < filters; f += panel) {
    const int some = int(std::min(panel, filters - f));
    p.groups[0].w->pack(f, some, some, 0, depth, packed + f * depth);
  }
  const bool dense = p.y_filter == multiples(s.pixels, filters);
  const double flops = 2.0 * double(s.made) * double(depth);
  parallel_for(ceil_div(p.n, s.lanes), int64_t(2e6 / flops) + 1, [&](int64_t begin, int64_t end) {
    Workspace<T> planes(size_t(s.planes)), made(size_t(s.made));
    std::fill_n(static_cast<T*>(planes), s.planes, T(0));  // padding stays so
    ConvLine<T> l = {};
    l.k = depth, l.offset = offsets.data(), l.rows = 1, l.width = l.x_row = w.count() * s.lanes;
    l.y_filter = s.pixels * s.lanes, l.y_pixel = 1, l.floor = p.floor;
    for (int64_t n = begin * s.lanes; n < std::min(p.n, end * s.lanes); n += s.lanes) {
      const int64_t count = std::min(s.lanes, p.n - n);
      load_images<T>(p, s, n, count, planes);
      for (int64_t f = 0; f < filters; f += panel) {
        l.filters = int(std::min(panel, filters - f)), l.w = packed + f * depth;
        l.bias = p.bias ? p.bias + f : nullptr;
        for (int64_t r = 0; r < h.count(); ++r) {
          l.x = planes + r * h.step() * s.width * s.lanes;
          l.y = made + (f * h.count() + r) * l.width;
          kern.conv_line(l);
        }
      }
      const int64_t together = dense ? filters : 1;
      for (int64_t f = 0; f < filters; f += together)
        kern.transpose_copy(made + f * l.y_filter, s.lanes, p.y + n * p.y_image + p.y_filter[size_t(f)],
                            p.y_image, together * s.pixels, count);
    }
  });
}

#define NN_INSTANTIATE(T)                            \
  template double images_filled(const Direct<T>& p); \
  template void convolve_images(const Direct<T>& p);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
