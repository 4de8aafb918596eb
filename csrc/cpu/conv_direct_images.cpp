// Direct convolution of many small images: the lanes of vectors are images.
//
//   planes [channel][padded row][column][lane]   ->   results [filter][row][column][lane]
//
// Rows of results are lines of whole vectors then, however narrow the images are. Images are turned on the
// way in, results on the way out; work is shared by vectors of images. Bound by the FMA units.
#include <algorithm>

#include "../memory.h"
#include "../parallel.h"
#include "conv_images.h"

namespace nn::cpu {
namespace {

// Neighbouring columns of the result, with the taps that meet the image in one of them. Depths are sorted by
// their rows: those that meet the image in one row of the result are side by side.
template <class T> struct ImageColumns {
  int64_t first, count;
  std::vector<int64_t> row;  // of each depth
  std::vector<int32_t> offset;
  std::vector<T> w;

  // packed: the filters, `panel` by panel (depth, filter), as p.groups[0] has its depths
  ImageColumns(const Direct<T>& p, const ImageSizes& s, int64_t from, int64_t columns, const T* packed,
               int64_t panel)
      : first(from), count(columns) {
    const TapAxis &h = p.patches.axis[1], &x = p.patches.axis[2];
    const std::vector<int>& taps = p.groups[0].taps;
    const int64_t channels = p.patches.channels, count_taps = int64_t(taps.size());
    std::vector<int64_t> sorted;  // taps that meet the image
    for (int64_t i = 0; i < count_taps; ++i) {
      const int t = taps[size_t(i)] % x.taps();
      if (x.first(t) < from + columns && x.last(t) > from) sorted.push_back(i);
    }
    const auto row_of = [&](int64_t i) { return h.offset(taps[size_t(i)] / x.taps()); };
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](int64_t i, int64_t j) { return row_of(i) < row_of(j); });
    std::vector<int64_t> depths;
    for (size_t i = 0, end; i < sorted.size(); i = end) {
      for (end = i; end < sorted.size() && row_of(sorted[end]) == row_of(sorted[i]);) ++end;
      for (int64_t c = 0; c < channels; ++c)
        for (size_t j = i; j < end; ++j) {
          depths.push_back(c * count_taps + sorted[j]), row.push_back(row_of(sorted[j]));
          offset.push_back(tap_offset(p.patches, s, c, taps[size_t(sorted[j])]));
        }
    }
    for (int64_t f = 0; f < p.filters(); f += panel) {
      const int64_t some = std::min(panel, p.filters() - f);
      packed += f ? panel * channels * count_taps : 0;
      for (const int64_t d : depths) w.insert(w.end(), packed + d * some, packed + (d + 1) * some);
    }
  }
  // The first depth at a row of the image, or behind it.
  int64_t begin(int64_t at) const { return std::lower_bound(row.begin(), row.end(), at) - row.begin(); }
};

// Columns that all taps meet in one piece, the others in pairs.
template <class T>
std::vector<ImageColumns<T>> all_columns(const Direct<T>& p, const ImageSizes& s, int64_t panel) {
  const TapAxis& x = p.patches.axis[2];
  const int64_t depth = p.patches.channels * int64_t(p.groups[0].taps.size());
  Workspace<T> packed(size_t(p.filters() * depth + 1));
  for (int64_t f = 0; f < p.filters(); f += panel) {
    const int some = int(std::min(panel, p.filters() - f));
    p.groups[0].w->pack(f, some, some, 0, depth, packed + f * depth);
  }
  std::vector<ImageColumns<T>> found;
  const int64_t inner = std::min(x.first(), x.count()), outer = std::max(inner, x.last());
  for (int64_t i = 0, end; i < x.count(); i = end) {
    end = i < inner ? std::min(i + 2, inner) : i < outer ? outer : std::min(i + 2, x.count());
    found.emplace_back(p, s, i, end - i, packed, panel);
  }
  return found;
}

}  // namespace

template <class T> double images_filled(const Direct<T>& p) {
  const Patches<T>& g = p.patches;
  if (p.taker || p.groups.size() != 1 || !turns(g) || p.y_step[2] != 1 || p.y_step[1] != g.axis[2].count())
    return 0;
  const ImageSizes s(g, p.filters());
  if ((s.planes + s.made) * int64_t(sizeof(T)) > kStripBytes) return 0;
  // Turning a vector costs about as much as `lanes` products of vectors.
  const double products = double(s.made * g.channels) * double(p.groups[0].taps.size()),
               made = products * taps_inside(g.axis[1]) * taps_inside(g.axis[2]),
               turning = double(s.lanes * (s.planes + s.made));
  return 0.95 * double(p.n) / double(round_up(p.n, s.lanes)) * products / (made + turning);
}

template <class T> void convolve_images(const Direct<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const TapAxis &h = p.patches.axis[1], &w = p.patches.axis[2];
  const ImageSizes s(p.patches, p.filters());
  const int64_t filters = p.filters(), depth = p.patches.channels * int64_t(p.groups[0].taps.size()),
                panel = ceil_div(filters, ceil_div(filters, kern.conv_line_filters()));
  const std::vector<ImageColumns<T>> columns = all_columns(p, s, panel);
  const bool dense = p.y_filter == multiples(s.pixels, filters);
  const double flops = 2.0 * double(s.made) * double(depth);
  parallel_for(ceil_div(p.n, s.lanes), int64_t(2e6 / flops) + 1, [&](int64_t begin, int64_t end) {
    Workspace<T> planes(size_t(s.planes)), made(size_t(s.made));
    if (!fills(p.patches, s, std::min(s.lanes, p.n - begin * s.lanes)))
      std::fill_n(static_cast<T*>(planes), s.planes, T(0));  // padding stays so
    ConvLine<T> l = {};
    l.rows = 1, l.y_filter = s.pixels * s.lanes, l.y_pixel = 1, l.floor = p.floor;
    for (int64_t n = begin * s.lanes; n < std::min(p.n, end * s.lanes); n += s.lanes) {
      const int64_t count = std::min(s.lanes, p.n - n);
      load_images<T>(p.patches, s, n, count, planes);
      for (int64_t f = 0; f < filters; f += panel) {
        l.filters = int(std::min(panel, filters - f));
        l.bias = p.bias ? p.bias + f : nullptr;
        for (const ImageColumns<T>& c : columns) {
          l.width = l.x_row = c.count * s.lanes;
          for (int64_t r = 0; r < h.count(); ++r) {
            const int64_t first = c.begin(-r * h.step());
            l.k = c.begin(h.in() - r * h.step()) - first, l.offset = c.offset.data() + first;
            l.w = c.w.data() + f * int64_t(c.row.size()) + first * l.filters;
            l.x = planes + (r * h.step() * s.width + c.first) * s.lanes;
            l.y = made + ((f * h.count() + r) * w.count() + c.first) * s.lanes;
            kern.conv_line(l);
          }
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
