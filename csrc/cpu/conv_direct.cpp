// Direct convolution: pixels of a row, broadcast, times vectors of filters, with no packing of the image but
// its padding. For images with rows long enough to fill the tile; small channel counts gain most.
//
//   forward       tile of 14 pixels x 32 filters, the whole depth (channels x taps) in registers
//   input grad    the same with the filters turned around, residue by residue of the stride
//   weight grad   tile of 14 taps x 32 filters, summed over the pixels of a strip
//
// Work is shared by strips of rows. Bound by the FMA units. Source: Georganas et al. 2018 (1808.05567).
#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "conv_planes.h"

namespace nn::cpu {
namespace {

constexpr int64_t kStripBytes = 256 << 10;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// A convolution that a forward pass or one residue of an input gradient asks for, of one group.
template <class T> struct Direct {
  Patches<T> patches;
  int64_t n, filters;
  const T* w;  // (filters, channels, taps)
  Field<T> y;
  int64_t y_step[3];  // from position to position
  const T* bias;
  T floor;
};

// Rows of the result per strip: the planes should fit half of L2, and there should be enough strips to share.
template <class T> int64_t strip_rows(const Patches<T>& g, int64_t n, int64_t pixels) {
  const int64_t row = g.channels * g.axis[0].taps() * ((pixels - 1) * g.axis[2].step() + g.axis[2].reach()) *
                      g.axis[1].step() * int64_t(sizeof(T));
  const int64_t fit = std::max<int64_t>(1, kStripBytes / std::max<int64_t>(1, row));
  const int64_t share = ceil_div(g.axis[1].count() * n, 8);
  return std::max<int64_t>(1, std::min(std::min(fit, share), g.axis[1].count()));
}

template <class T> void run(const Direct<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const Patches<T>& g = p.patches;
  const int64_t depth = g.channels * g.taps(), width = g.axis[2].count(), height = g.axis[1].count();
  const int wide = kern.gemm_shape().width, tile = kern.conv_tile_pixels();
  const int64_t panel = p.filters <= wide ? wide : 2 * wide, panels = ceil_div(p.filters, panel);
  Workspace<T> w(size_t(panels * panel * std::max<int64_t>(depth, 1)));
  for (int64_t q = 0; q < panels; ++q)
    kern.pack(p.w + q * panel * depth, depth, 1, int(std::min(panel, p.filters - q * panel)), int(panel),
              depth, w + q * panel * depth, panel);
  const int64_t read = std::max<int64_t>(width, tile), rows = strip_rows(g, p.n, read);
  const int64_t strips = ceil_div(height, rows), units = p.n * g.axis[0].count() * strips;
  const double flops = 2.0 * double(depth * p.filters * width * rows);
  parallel_for(units, std::max<int64_t>(1, int64_t(2e6 / flops)), [&](int64_t begin, int64_t end) {
    PlaneStrip<T> strip(g, g.channels, rows, read);
    const std::vector<int32_t> offsets = strip.offsets(g.channels);
    ConvTile<T> t = {};
    t.k = depth, t.x_step = g.axis[2].step(), t.offset = offsets.data(), t.w_step = panel;
    t.y_channel = p.y.c, t.y_pixel = p.y_step[2], t.floor = p.floor;
    for (int64_t u = begin; u < end; ++u) {
      const int64_t first = u % strips * rows, d = u / strips % g.axis[0].count(),
                    n = u / strips / g.axis[0].count();
      const int64_t some = std::min(rows, height - first);
      strip.load(n, d, first, some, 0, g.channels);
      for (int64_t q = 0; q < panels; ++q) {
        t.w = w + q * panel * depth;
        t.channels = int(std::min(panel, p.filters - q * panel));
        t.bias = p.bias ? p.bias + q * panel : nullptr;
        for (int64_t h = 0; h < some; ++h)
          for (int64_t i = 0; i < width; i += tile) {
            // the last tile of a long row goes back over results that are already there
            const int64_t at = width > tile ? std::min<int64_t>(i, width - tile) : i;
            t.x = strip.data() + h * strip.row_step() + at * t.x_step;
            t.y = p.y.p + n * p.y.n + d * p.y_step[0] + (first + h) * p.y_step[1] + at * p.y_step[2] +
                  q * panel * p.y.c;
            t.pixels = int(std::min<int64_t>(tile, width - at));
            kern.conv_tile(panel == wide ? 1 : 2, t);
          }
      }
    }
  });
}

template <class T> Field<T> group_of(const Field<T>& x, int64_t channels, int64_t g) {
  Field<T> f = x;
  f.p += g * channels * x.c;
  return f;
}

}  // namespace

template <class T> void conv_direct(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const int64_t kernel[3] = {s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel};
  const TurnedFilter<T> w(p.w, s.k, cg, kernel, p.w.step, {0, 1, 2});
  for (int64_t g = 0; g < s.groups; ++g)
    run(Direct<T>{forward_patches(s, group_of(p.x, cg, g)),
                  s.n,
                  kg,
                  w + g * kg * cg * s.taps(),
                  group_of(p.y, kg, g),
                  {p.y.step[0], p.y.step[1], p.y.step[2]},
                  p.b ? p.b + g * kg : nullptr,
                  late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_direct(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis* a = s.axis;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  for (int64_t u = 0; u < a[0].stride * a[1].stride * a[2].stride; ++u) {
    const int64_t at[3] = {u / a[2].stride / a[1].stride, u / a[2].stride % a[1].stride, u % a[2].stride};
    const Residue r[3] = {Residue(a[0], at[0]), Residue(a[1], at[1]), Residue(a[2], at[2])};
    int64_t taps[3], tap_step[3], first_tap = 0, origin = 0;
    for (int i = 0; i < 3; ++i) {
      taps[i] = r[i].taps, tap_step[i] = r[i].tap_step * p.w.step[i];
      first_tap += r[i].tap0 * p.w.step[i], origin += at[i] * p.gx.step[i];
    }
    if (r[0].count == 0 || r[1].count == 0 || r[2].count == 0) continue;
    if (taps[0] * taps[1] * taps[2] == 0) {
      fill_unreached(p, at);
      continue;
    }
    for (int64_t g = 0; g < s.groups; ++g) {
      Field<const T> w = p.w;
      w.p += g * kg * p.w.n + first_tap;
      const TurnedFilter<T> filters(w, kg, cg, taps, tap_step, {1, 0, 2});
      Field<T> gx = group_of(p.gx, cg, g);
      gx.p += origin;
      run(Direct<T>{{group_of(p.gy, kg, g), kg, {r[0].axis(a[0]), r[1].axis(a[1]), r[2].axis(a[2])}},
                    s.n,
                    cg,
                    filters,
                    gx,
                    {a[0].stride * gx.step[0], a[1].stride * gx.step[1], a[2].stride * gx.step[2]},
                    p.b ? p.b + g * cg : nullptr,
                    -std::numeric_limits<T>::infinity()});
    }
  }
}

template <class T> void conv_direct(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const Kernels<T>& kern = kernels<T>();
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups, lanes = cg * s.taps();
  const int wide = kern.gemm_shape().width, tile = kern.conv_tile_pixels();
  const int64_t panel = kg <= wide ? wide : 2 * wide, panels = ceil_div(kg, panel), columns = panels * panel;
  const int64_t width = s.axis[2].out, height = s.axis[1].out, tiles = ceil_div(lanes, tile);
  for (int64_t g = 0; g < s.groups; ++g) {
    const Patches<T> patches = forward_patches(s, group_of(p.x, cg, g));
    const Field<const T> gy = group_of(p.gy, kg, g);
    // Strips are fixed by the sizes alone and summed in order: the same bits for any number of threads.
    const int64_t rows = std::max<int64_t>(
        1, std::min(std::min(strip_rows(patches, 1, width), height), (int64_t(16) << 10) / (width * panel)));
    const int64_t strips = ceil_div(height, rows), units = s.n * s.axis[0].out * strips;
    const int64_t group = std::max<int64_t>(1, std::min<int64_t>(units, 4)), most = ceil_div(units, group);
    // Each share of the strips has a sum of its own.
    Workspace<T> sums(size_t(group * lanes * columns));
    parallel_for(
        group, 2.0 * double(most * rows * width) * double(lanes * kg) < 1e6 ? group : 1,
        [&](int64_t begin, int64_t end) {
          PlaneStrip<T> strip(patches, cg, rows, width);
          const std::vector<int32_t> offsets = strip.offsets(cg);
          Workspace<T> gradients(size_t(rows * width * columns));
          for (int64_t q = begin; q < end; ++q)
            for (int64_t u = q * most; u < std::min(units, (q + 1) * most); ++u) {
              const int64_t first = u % strips * rows, d = u / strips % s.axis[0].out,
                            n = u / strips / s.axis[0].out;
              const int64_t some = std::min(rows, height - first);
              strip.load(n, d, first, some, 0, cg);
              for (int64_t v = 0; v < panels; ++v) {
                T* gradient = gradients + v * rows * width * panel;
                for (int64_t h = 0; h < some; ++h)
                  kern.pack(gy.p + n * gy.n + d * gy.step[0] + (first + h) * gy.step[1] + v * panel * gy.c,
                            gy.c, gy.step[2], int(std::min(panel, kg - v * panel)), int(panel), width,
                            gradient + h * width * panel, panel);
                for (int64_t i = 0; i < tiles; ++i)
                  kern.conv_weight_tile(panel == wide ? 1 : 2, strip.data(), offsets.data() + i * tile,
                                        strip.row_step(), patches.axis[2].step(), gradient, panel, some,
                                        width, int(std::min<int64_t>(tile, lanes - i * tile)), u > q * most,
                                        sums + (q * lanes + i * tile) * columns + v * panel, columns);
              }
            }
        });
    const int64_t found = ceil_div(units, most);
    for (int64_t q = 1; q < found; ++q) kern.add_to(sums + q * lanes * columns, sums, lanes * columns);
    kern.transpose_copy(sums, columns, p.gw + g * kg * lanes, lanes, lanes, kg);
  }
}

#define NN_INSTANTIATE(T)                             \
  template void conv_direct(const ConvForward<T>&);   \
  template void conv_direct(const ConvInputGrad<T>&); \
  template void conv_direct(const ConvWeightGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
