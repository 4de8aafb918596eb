// Direct convolution: padded planes of a strip of rows times filters, with no other packing of the image.
//
//   forward       the whole depth (channels x taps) in registers. Lines: 8 filters, broadcast, x 3 vectors of
//                 pixels along the padded rows; narrow rows: tiles of 14 pixels, broadcast, x 32 filters; or
//                 vectors of images (conv_direct_images.cpp)
//   input grad    the same with the filters turned around: conv_direct_grad.cpp
//   weight grad   conv_direct_weight.cpp
//
// Work is shared by strips of rows. Bound by the FMA units. Source: Georganas et al. 2018 (1808.05567).
#include "conv_direct.h"

#include <algorithm>

#include "../memory.h"
#include "../parallel.h"

namespace nn::cpu {
namespace {

constexpr int64_t kUnitTiles = 64;      // of small images
constexpr int64_t kPiece = 6 * 8 * 14;  // pixels of whole tiles, of every instruction set

// Small images go into a strip together: tiles across their ends are filled, too.
template <class T>
int64_t strip_images(const Patches<T>& g, int64_t n, int64_t rows, int64_t made, int tile) {
  if (rows < g.axis[1].count() || g.axis[0].count() > 1) return 1;
  const int64_t height = (rows - 1) * g.axis[1].step() + g.axis[1].reach();
  const int64_t bytes =
      (g.channels * g.axis[0].taps() * height * row_width(g) + rows * made) * int64_t(sizeof(T));
  const int64_t fit = kStripBytes / bytes, enough = ceil_div(kUnitTiles * tile, rows * g.axis[2].count());
  return std::max<int64_t>(1, std::min(std::min(fit, enough), n));
}

// Filters of one group that are made together: whole vectors, their whole depth in one piece.
template <class T> struct FilterPanel {
  size_t group;
  int64_t filter, first, made;  // of the group, of all filters, of those in a strip
  int64_t lanes, width, depth;
  const T* w;
};

// Filters of each group that a strip holds: with many groups a taker threads a panel of each together, while
// it is in L2.
template <class T> int64_t strip_filters(const Direct<T>& p, int64_t panel) {
  return p.taker && p.groups.size() > 1 ? std::min(panel, p.filters()) : p.filters();
}

// Packs all filters, panel by panel of each group; the source is read from end to end.
template <class T, class Maker> class FilterPanels {
 public:
  explicit FilterPanels(const Direct<T>& p) : data_(size_t(numbers(p))) {
    const int64_t filters = p.filters(), panel = Maker::panel(filters), block = strip_filters(p, panel);
    int64_t most = 1;
    T* out = data_;
    for (int64_t k = 0; k < filters; k += panel) {
      const int64_t lanes = std::min(panel, filters - k);
      for (size_t i = 0; i < p.groups.size(); ++i) {
        const int64_t taps = int64_t(p.groups[i].taps.size()), depth = p.patches.channels * taps;
        panels_.push_back({i, k, int64_t(i) * filters + k, int64_t(i) * block + k % block, lanes,
                           Maker::panel_width(lanes), depth, out});
        out += panel * depth, most = std::max(most, taps);
      }
    }
    pack(p, ceil_div(256, most));
  }
  const std::vector<FilterPanel<T>>& all() const { return panels_; }

 private:
  static int64_t numbers(const Direct<T>& p) {
    int64_t count = 1;
    for (const FilterGroup<T>& g : p.groups)
      count += round_up(g.filters, Maker::panel(g.filters)) * p.patches.channels * int64_t(g.taps.size());
    return count;
  }
  void pack(const Direct<T>& p, int64_t block) {
    const int64_t channels = p.patches.channels, size = block * p.filters() * int64_t(p.patches.taps());
    parallel_for(ceil_div(channels, block), std::max<int64_t>(1, 65536 / std::max<int64_t>(1, size)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t c = begin * block; c < std::min(channels, end * block); c += block)
                     for (const FilterPanel<T>& f : panels_) {
                       const FilterGroup<T>& g = p.groups[f.group];
                       const int64_t taps = int64_t(g.taps.size());
                       if (taps > 0)
                         g.w->pack(f.filter, int(f.lanes), int(f.width), c * taps,
                                   std::min(block, channels - c) * taps,
                                   const_cast<T*>(f.w) + c * taps * f.width);
                     }
                 });
  }
  Workspace<T> data_;
  std::vector<FilterPanel<T>> panels_;
};

// Offsets of each group's depths in the planes.
template <class T>
std::vector<std::vector<int32_t>> group_offsets(const Direct<T>& p, const PlaneShape<T>& planes) {
  const std::vector<int32_t> all = planes.offsets(p.patches.channels);
  std::vector<std::vector<int32_t>> found;
  for (const FilterGroup<T>& g : p.groups) {
    found.emplace_back();
    for (int64_t c = 0; c < p.patches.channels; ++c)
      for (const int t : g.taps) found.back().push_back(all[size_t(c * p.patches.taps() + t)]);
  }
  return found;
}

// Results of a strip in tiles of pixels, broadcast, times vectors of filters.
template <class T> class Tiles {
 public:
  static constexpr typename PlaneShape<T>::Order kOrder = PlaneShape<T>::whole;
  static int64_t panel(int64_t) { return 2 * kernels<T>().gemm_shape().width; }
  static int64_t panel_width(int64_t lanes) {
    const int64_t wide = kernels<T>().gemm_shape().width;
    return lanes <= wide ? wide : 2 * wide;
  }
  Tiles(const Direct<T>& p, const PlaneShape<T>& planes, int64_t images, int64_t rows)
      : p_(p), offsets_(group_offsets(p, planes)) {
    dense_ = p.y_filter == multiples<int64_t>(1, int64_t(p.y_filter.size()));
    const int64_t plane = p.patches.channels * planes.plane(), width = p.patches.axis[2].count();
    for (int64_t n = 0; n < images; ++n)
      for (int64_t h = 0; h < rows; ++h)
        for (int64_t i = 0; i < width; ++i) {
          x_.push_back((n * plane + h * planes.row_step() + i * planes.pixel_step()) * int64_t(sizeof(T)));
          y_.push_back(n * p.y_image + h * p.y_step[1] + i * p.y_step[2]);
        }
    // whole tiles are read
    const size_t tile = size_t(kernels<T>().conv_tile_pixels());
    x_.insert(x_.end(), tile, x_.back());
    y_.insert(y_.end(), tile, y_.back());
  }
  void make(const Strip& s, const FilterPanel<T>& w, const T* x, T* y) const {
    const int tile = kernels<T>().conv_tile_pixels();
    const int64_t end = s.pixel + s.images * s.rows * s.pixels;
    ConvTile<T> t = {};
    t.k = w.depth, t.x = x, t.offset = offsets_[w.group].data();
    t.w = w.w, t.w_step = w.width, t.channels = int(w.lanes);
    t.y = y, t.y_channel = p_.y_filter.data() + w.made, t.channels_dense = dense_;
    t.bias = p_.bias ? p_.bias + w.first : nullptr, t.floor = p_.floor;
    for (int64_t i = s.pixel; i < end; i += tile) {
      t.pixel = x_.data() + i, t.y_pixel = y_.data() + i;
      t.pixels = int(std::min<int64_t>(tile, end - i));
      t.pixels_dense = t.y_pixel[t.pixels - 1] - t.y_pixel[0] == t.pixels - 1;
      kernels<T>().conv_tile(w.width < panel(w.lanes) ? 1 : 2, t);
    }
  }

 private:
  const Direct<T>& p_;
  const std::vector<std::vector<int32_t>> offsets_;
  std::vector<int64_t> x_, y_;  // of each pixel in the planes, in bytes, and in the result
  bool dense_;
};

// Results of a strip in lines: pixels in vectors, with unit stride on across the ends of padded rows, times
// broadcast filters. What falls between the rows is thrown away.
template <class T> class Lines {
 public:
  static constexpr typename PlaneShape<T>::Order kOrder = PlaneShape<T>::sorted;
  static int64_t panel(int64_t filters) {
    return filters ? ceil_div(filters, ceil_div(filters, kernels<T>().conv_line_filters())) : 1;
  }
  static int64_t panel_width(int64_t lanes) { return lanes; }
  Lines(const Direct<T>& p, const PlaneShape<T>& planes, int64_t, int64_t)
      : p_(p), row_(planes.row_step()), offsets_(group_offsets(p, planes)) {}
  void make(const Strip& s, const FilterPanel<T>& w, const T* x, T* y) const {
    ConvLine<T> l = {};
    l.k = w.depth, l.x = x + s.pixel, l.offset = offsets_[w.group].data(), l.x_row = row_;
    l.w = w.w, l.filters = int(w.lanes), l.rows = s.rows, l.width = s.pixels;
    l.y = y + p_.y_filter[size_t(w.made)] + s.pixel * p_.y_step[2];
    l.y_filter = w.lanes > 1 ? p_.y_filter[size_t(w.made + 1)] - p_.y_filter[size_t(w.made)] : 0;
    l.y_row = p_.y_step[1], l.y_pixel = p_.y_step[2];
    l.bias = p_.bias ? p_.bias + w.first : nullptr, l.floor = p_.floor;
    kernels<T>().conv_line(l);
  }

 private:
  const Direct<T>& p_;
  int64_t row_;
  const std::vector<std::vector<int32_t>> offsets_;
};

template <class T, class Maker> void by_strips(const Direct<T>& p, int64_t images, int64_t rows) {
  const Patches<T>& g = p.patches;
  const int64_t width = g.axis[2].count(), height = g.axis[1].count(), depths = g.axis[0].count(),
                strips = ceil_div(height, rows);
  const FilterPanels<T, Maker> filters(p);
  // Few strips: the filters, too, are shared.
  const int64_t panels = int64_t(filters.all().size()), units = ceil_div(p.n, images) * depths * strips;
  const int64_t parts = p.taker ? 1 : std::min(panels, ceil_div(8, units)), part = ceil_div(panels, parts);
  const int64_t block = strip_filters(p, Maker::panel(p.filters())),
                together = int64_t(p.groups.size()) * ceil_div(block, Maker::panel(p.filters()));
  double flops = 0;
  for (const FilterPanel<T>& w : filters.all())
    flops += 2.0 * double(w.depth * w.lanes) * double(rows * images * width) / double(parts);
  const PlaneShape<T> shape(g, rows, Maker::kOrder);
  const Maker maker(p, shape, images, rows);
  // A long row is made in pieces, each by all filters while what it reads is in L2.
  const int64_t bytes = g.channels * shape.plane() * int64_t(sizeof(T)),
                pieces = images == 1 && rows == 1 && !p.taker ? ceil_div(bytes, kStripBytes) : 1,
                piece = std::min(width, round_up(ceil_div(width, pieces), kPiece));
  const auto make = [&](Strip s, int64_t first_panel, int64_t last_panel, const T* x, T* y) {
    for (int64_t q = first_panel; q < last_panel; ++q) {
      maker.make(s, filters.all()[size_t(q)], x, y);
      if (!p.taker || (q + 1) % together != 0) continue;
      s.filters = std::min(block, p.filters() - s.filter);
      p.taker->take(s, y, block, p.y_filter.size() > 1 ? p.y_filter[1] : 0, p.y_step[2]);
      s.filter += block;
    }
  };
  parallel_for(units * parts, int64_t(2e6 / (flops + 1)) + 1, [&](int64_t begin, int64_t end) {
    PlaneStrip<T> planes(g, g.channels * images, rows, Maker::kOrder);
    Workspace<T> made(
        p.taker ? p.y_filter.size() * size_t(images * rows * width) + size_t(PlaneStrip<T>::kSlack) : 1);
    for (int64_t at = begin, loaded = -1; at < end; ++at) {
      const int64_t u = at / parts, first = u % strips * rows, n = u / strips / depths * images;
      Strip s = {n, u / strips % depths, first, std::min(images, p.n - n), std::min(rows, height - first)};
      for (int64_t i = 0; i < s.images && u != loaded; ++i)
        planes.load(s.n + i, s.depth, s.first, s.rows, 0, g.channels, i * g.channels);
      loaded = u;
      T* y = p.taker ? static_cast<T*>(made)
                     : p.y + s.n * p.y_image + s.depth * p.y_step[0] + s.first * p.y_step[1];
      for (; s.pixel < width; s.pixel += piece) {
        s.pixels = std::min(piece, width - s.pixel);
        make(s, at % parts * part, std::min(panels, (at % parts + 1) * part), planes.data(), y);
      }
    }
  });
}

// The share of the FMA units' work that is wanted if filters are the lanes of vectors, and if pixels are.
// Tiles of one vector wait for their broadcasts.
template <class T> double tiles_filled(const Direct<T>& p) {
  const int64_t wide = kernels<T>().gemm_shape().width;
  double wanted = 0, done = 0;
  for (const FilterGroup<T>& g : p.groups) {
    const int64_t last = g.filters % (2 * wide);
    const double taps = double(g.taps.size());
    wanted += 0.88 * taps * double(g.filters);
    done += taps * (double(g.filters - last) + double(wide) * (last == 0 ? 0 : last <= wide ? 1.4 : 2));
  }
  return wanted / std::max(done, 1.0);
}
template <class T> double lines_filled(const Direct<T>& p, int64_t rows) {
  const int64_t width = p.patches.axis[2].count(), wide = kernels<T>().gemm_shape().width,
                row = PlaneShape<T>(p.patches, rows, Lines<T>::kOrder).row_step();
  return 0.95 * double(rows * width) / double(round_up((rows - 1) * row + width, wide));
}

}  // namespace

Walk filter_depth(const int64_t (&taps)[3], const int64_t (&step)[3], int64_t channels,
                  int64_t channel_step) {
  Walk walk;
  for (int a = 2; a >= 0; --a) walk.then(taps[a], step[a]);
  walk.then(channels, channel_step);
  return walk;
}

template <class T> void convolve(const Direct<T>& given) {
  Direct<T> p = given;
  const int64_t width = p.patches.axis[2].count();
  const int64_t groups = int64_t(p.groups.size()),
                made = p.taker ? groups * strip_filters(p, Tiles<T>::panel(p.filters())) * width : 0,
                rows = strip_rows(p.patches, p.n, made);
  // Planes are sorted fast for strides of up to two.
  const double best = std::max(tiles_filled(p), p.patches.axis[2].step() <= 2 ? lines_filled(p, rows) : 0);
  if (images_filled(p) > best) return convolve_images(p);
  const bool lines = best > tiles_filled(p);
  const int64_t images =
      lines ? 1 : strip_images(p.patches, p.n, rows, made, kernels<T>().conv_tile_pixels());
  if (p.taker) {
    const int64_t filters =
        groups * strip_filters(p, lines ? Lines<T>::panel(p.filters()) : Tiles<T>::panel(p.filters()));
    p.y_step[2] = p.taker->filters_dense ? filters : 1;
    p.y_step[1] = width * p.y_step[2];
    p.y_image = rows * p.y_step[1];
    p.y_filter = multiples<int64_t>(p.taker->filters_dense ? 1 : images * p.y_image, filters);
  }
  if (lines)
    by_strips<T, Lines<T>>(p, images, rows);
  else
    by_strips<T, Tiles<T>>(p, images, rows);
}

template <class T> void conv_direct(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const int64_t kernel[3] = {s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel};
  for (int64_t g = 0; g < s.groups; ++g) {
    const WalkPanels<T> w(p.w.p + g * kg * p.w.n, Walk(p.w.n), filter_depth(kernel, p.w.step, cg, p.w.c));
    const Field<T> y = group_of(p.y, kg, p.y.c, g);
    Direct<T> d = {forward_patches(s, group_of(p.x, cg, p.x.c, g)),
                   s.n,
                   {},
                   y.p,
                   y.n,
                   {y.step[0], y.step[1], y.step[2]},
                   multiples(y.c, kg),
                   p.b ? p.b + g * kg : nullptr};
    d.groups.push_back({&w, kg, multiples(1, s.taps())});
    if (!late(p)) d.floor = floor_of<T>(p.activation);
    convolve(d);
  }
  finish(p);
}

#define NN_INSTANTIATE(T)                   \
  template void convolve(const Direct<T>&); \
  template void conv_direct(const ConvForward<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
