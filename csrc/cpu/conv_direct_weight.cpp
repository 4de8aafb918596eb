// The weight gradient of direct convolution: padded planes of a strip of rows, and gy, summed over the
// pixels.
//
//   tiles   14 taps, broadcast, x 32 filters, pixel by pixel: gy is turned so that filters are side by side
//   lines   few filters: 6 filters x 4 taps, vectors of pixels of both; lanes are added at the end
//   images  the same with vectors of small images, pixel by pixel: no width wastes lanes
//
// Strips are fixed by the sizes alone and dealt to shares that are summed in order: the same bits for any
// number of threads. Bound by the FMA units.
#include <algorithm>

#include "../memory.h"
#include "../parallel.h"
#include "conv_images.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr int64_t kShares = 4;
constexpr int64_t kLineBytes = 32 << 10;

// One group.
template <class T> struct WeightGrad {
  Patches<T> patches;
  Field<const T> gy;
  int64_t n, filters, lanes;  // lanes: (channel, tap)
  T* gw;
  int64_t depths() const { return patches.axis[0].count(); }
  int64_t height() const { return patches.axis[1].count(); }
  int64_t width() const { return patches.axis[2].count(); }
};

// f(share, first strip, its end); returns how many shares there were.
template <class T, class F>
int64_t each_share(const WeightGrad<T>& p, int64_t units, int64_t pixels, const F& f) {
  const int64_t most = std::max<int64_t>(1, ceil_div(units, kShares)), shares = ceil_div(units, most);
  const bool serial = 2.0 * double(most * pixels) * double(p.lanes * p.filters) < 1e6;
  parallel_for(shares, serial ? shares : 1, [&](int64_t begin, int64_t end) {
    for (int64_t q = begin; q < end; ++q) f(q, q * most, std::min(units, (q + 1) * most));
  });
  return shares;
}

template <class T> void add_shares(T* sums, int64_t shares, int64_t size) {
  for (int64_t q = 1; q < shares; ++q) kernels<T>().add_to(sums + q * size, sums, size);
}

template <class T> void by_tiles(const WeightGrad<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const int wide = kern.gemm_shape().width, tile = kern.conv_tile_pixels();
  const int64_t panel = p.filters <= wide ? wide : 2 * wide, panels = ceil_div(p.filters, panel),
                columns = panels * panel, tiles = ceil_div(p.lanes, tile), width = p.width();
  const int64_t rows = std::max<int64_t>(1, std::min(std::min(strip_rows(p.patches, p.n, 0), p.height()),
                                                     (int64_t(16) << 10) / (width * panel)));
  const int64_t strips = ceil_div(p.height(), rows), units = p.n * p.depths() * strips;
  Workspace<T> sums(size_t(kShares * p.lanes * columns));
  const int64_t shares = each_share(p, units, rows * width, [&](int64_t q, int64_t begin, int64_t end) {
    PlaneStrip<T> strip(p.patches, p.patches.channels, rows, PlaneStrip<T>::whole);
    const std::vector<int32_t> offsets = strip.offsets(p.patches.channels);
    Workspace<T> gradients(size_t(rows * width * columns));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t first = u % strips * rows, d = u / strips % p.depths(), n = u / strips / p.depths();
      const int64_t some = std::min(rows, p.height() - first);
      const T* gy = p.gy.p + n * p.gy.n + d * p.gy.step[0] + first * p.gy.step[1];
      strip.load(n, d, first, some, 0, p.patches.channels);
      for (int64_t v = 0; v < panels; ++v) {
        T* gradient = gradients + v * rows * width * panel;
        for (int64_t h = 0; h < some; ++h)
          kern.pack(gy + h * p.gy.step[1] + v * panel * p.gy.c, p.gy.c, p.gy.step[2],
                    int(std::min(panel, p.filters - v * panel)), int(panel), width,
                    gradient + h * width * panel, panel);
        for (int64_t i = 0; i < tiles; ++i)
          kern.conv_weight_tile(panel == wide ? 1 : 2, strip.data(), offsets.data() + i * tile,
                                strip.row_step(), strip.pixel_step(), gradient, panel, some, width,
                                int(std::min<int64_t>(tile, p.lanes - i * tile)), u > begin,
                                sums + (q * p.lanes + i * tile) * columns + v * panel, columns);
      }
    }
  });
  add_shares<T>(sums, shares, p.lanes * columns);
  kern.transpose_copy(sums, columns, p.gw, p.lanes, p.lanes, p.filters);
}

// Filters of one conv_weight_line.
template <class T> int64_t line_panel(int64_t filters) {
  return ceil_div(filters, ceil_div(filters, kernels<T>().conv_line_filters()));
}

template <class T> void by_lines(const WeightGrad<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const int64_t wide = kern.gemm_shape().width, channels = p.patches.channels,
                panel = line_panel<T>(p.filters);
  // What a panel reads of gy stays in L1.
  const int64_t most = std::max<int64_t>(1, kLineBytes / (panel * p.width() * int64_t(sizeof(T))));
  const int64_t rows = std::min(std::min(strip_rows(p.patches, p.n, 0), p.height()), most),
                strips = ceil_div(p.height(), rows);
  const bool together = rows == p.height() && p.depths() == 1;
  const int64_t images = together ? std::max<int64_t>(1, std::min(most / rows, p.n / kShares)) : 1,
                units = ceil_div(p.n, images) * p.depths() * strips, size = p.filters * p.lanes * wide;
  Workspace<T> sums(size_t(kShares * size));
  const int64_t shares =
      each_share(p, units, images * rows * p.width(), [&](int64_t q, int64_t begin, int64_t end) {
        PlaneStrip<T> planes(p.patches, channels * images, rows, PlaneStrip<T>::split);
        const std::vector<int32_t> offsets = planes.offsets(channels);
        ConvWeightLine<T> l = {};
        l.x = planes.data(), l.x_image = channels * planes.plane(), l.x_row = planes.row_step();
        l.gy_filter = p.gy.c, l.gy_image = p.gy.n, l.gy_row = p.gy.step[1], l.n = p.width();
        l.filter_step = p.lanes * wide, l.tap_step = wide;
        for (int64_t u = begin; u < end; ++u) {
          const int64_t first = u % strips * rows, d = u / strips % p.depths(),
                        n = u / strips / p.depths() * images;
          l.images = std::min(images, p.n - n), l.rows = std::min(rows, p.height() - first);
          l.accumulate = u > begin;
          for (int64_t i = 0; i < l.images; ++i)
            planes.load(n + i, d, first, l.rows, 0, channels, i * channels);
          for (int64_t k = 0; k < p.filters; k += panel) {
            l.filters = int(std::min(panel, p.filters - k));
            l.gy = p.gy.p + n * p.gy.n + d * p.gy.step[0] + first * p.gy.step[1] + k * p.gy.c;
            const int64_t taps = kern.conv_weight_line_taps(l.filters);
            for (int64_t t = 0; t < p.lanes; t += taps) {
              l.offset = offsets.data() + t, l.taps = int(std::min(taps, p.lanes - t));
              l.sums = sums + q * size + (k * p.lanes + t) * wide;
              kern.conv_weight_line(l);
            }
          }
        }
      });
  add_shares<T>(sums, shares, size);
  kern.reduce_rows(int(Fold::sum), sums, wide, p.filters * p.lanes, wide, p.gw);
}

template <class T> void by_images(const WeightGrad<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const Patches<T>& g = p.patches;
  const ImageSizes s(g, p.filters);
  const int64_t panel = line_panel<T>(p.filters), taps = kern.conv_weight_line_taps(int(panel)),
                row = p.width() * s.lanes, size = p.filters * p.lanes * s.lanes;
  // What a panel reads of gy stays in L1.
  const int64_t most = std::max<int64_t>(1, kLineBytes / (panel * row * int64_t(sizeof(T)))),
                rows = ceil_div(p.height(), ceil_div(p.height(), most));
  const bool dense = p.gy.c == s.pixels;
  std::vector<int32_t> offsets;
  for (int64_t c = 0; c < g.channels; ++c)
    for (int t = 0; t < g.taps(); ++t) offsets.push_back(tap_offset(g, s, c, t));
  Workspace<T> sums(size_t(kShares * size));
  const auto share = [&](int64_t q, int64_t begin, int64_t end) {
    Workspace<T> planes(size_t(s.planes)), gradients(size_t(s.made));
    ConvWeightLine<T> l = {};
    l.gy_filter = s.pixels * s.lanes, l.gy_row = l.n = row, l.x_row = g.axis[1].step() * s.width * s.lanes;
    l.images = 1, l.filter_step = p.lanes * s.lanes, l.tap_step = s.lanes;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t n = u * s.lanes, count = std::min(s.lanes, p.n - n), together = dense ? p.filters : 1;
      if ((u == begin || count < s.lanes) && !fills(g, s, count))
        std::fill_n(static_cast<T*>(planes), s.planes, T(0));
      if (count < s.lanes) std::fill_n(static_cast<T*>(gradients), s.made, T(0));
      load_images(g, s, n, count, static_cast<T*>(planes));
      for (int64_t k = 0; k < p.filters; k += together)
        kern.transpose_copy(p.gy.p + n * p.gy.n + k * p.gy.c, p.gy.n, gradients + k * l.gy_filter, s.lanes,
                            count, together * s.pixels);
      for (int64_t first = 0; first < p.height(); first += rows)
        for (int64_t k = 0; k < p.filters; k += panel)
          for (int64_t t = 0; t < p.lanes; t += taps) {
            l.x = planes + first * l.x_row, l.offset = offsets.data() + t;
            l.taps = int(std::min(taps, p.lanes - t));
            l.gy = gradients + k * l.gy_filter + first * row, l.filters = int(std::min(panel, p.filters - k));
            l.rows = std::min(rows, p.height() - first), l.accumulate = u > begin || first > 0;
            l.sums = sums + q * size + (k * p.lanes + t) * s.lanes;
            kern.conv_weight_line(l);
          }
    }
  };
  const int64_t shares = each_share(p, ceil_div(p.n, s.lanes), s.lanes * s.pixels, share);
  add_shares<T>(sums, shares, size);
  kern.reduce_rows(int(Fold::sum), sums, s.lanes, p.filters * p.lanes, s.lanes, p.gw);
}

// Lines if filters fill no vector, which in tiles waits for its broadcasts, but pixels do.
template <class T> bool lines_pay(const WeightGrad<T>& p) {
  const int64_t wide = kernels<T>().gemm_shape().width;
  return p.gy.step[2] == 1 && p.patches.axis[2].step() <= 2 && p.filters <= wide &&
         p.width() * wide > p.filters * round_up(p.width(), wide);
}

// Images if they fill vectors, and if there are so many products that turning them is cheap. Shares of the
// FMA units' peak as measured.
template <class T> bool images_pay(const WeightGrad<T>& p) {
  const Patches<T>& g = p.patches;
  if (!turns(g) || p.gy.step[2] != 1 || p.gy.step[1] != p.width()) return false;
  const ImageSizes s(g, p.filters);
  const int64_t sums = p.filters * p.lanes * s.lanes, wide = s.lanes;
  if (std::max(s.planes + s.made, 2 * sums) * int64_t(sizeof(T)) > kStripBytes) return false;
  const double turning = double(s.lanes * (s.planes + s.made)) / double(s.made * p.lanes),
               images = 0.8 * double(p.n) / double(round_up(p.n, s.lanes)) / (1 + turning);
  if (lines_pay(p)) return images > 0.5 * double(p.width()) / double(round_up(p.width(), wide));
  return images > (p.filters <= wide ? 0.55 * double(p.filters) / double(wide)
                                     : 0.8 * double(p.filters) / double(round_up(p.filters, 2 * wide)));
}

}  // namespace

template <class T> void conv_direct(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups, lanes = cg * s.taps();
  for (int64_t g = 0; g < s.groups; ++g) {
    const WeightGrad<T> part = {forward_patches(s, group_of(p.x, cg, p.x.c, g)),
                                group_of(p.gy, kg, p.gy.c, g),
                                s.n,
                                kg,
                                lanes,
                                p.gw + g * kg * lanes};
    if (images_pay(part))
      by_images(part);
    else if (lines_pay(part))
      by_lines(part);
    else
      by_tiles(part);
  }
}

template void conv_direct(const ConvWeightGrad<float>&);
template void conv_direct(const ConvWeightGrad<double>&);

}  // namespace nn::cpu
