// Direct convolution: pixels, broadcast, times vectors of filters, with no packing of the image but its
// padding.
//
//   forward       tile of 14 pixels x 32 filters, the whole depth (channels x taps) in registers
//   input grad    the same with the filters turned around: residue by residue of the stride, or for few
//                 channels all residues at once, as filters of their own (sub-pixel convolution)
//   weight grad   tile of 14 taps x 32 filters, summed over the pixels of a strip
//
// Work is shared by strips of rows. Bound by the FMA units. Sources: Georganas et al. 2018 (1808.05567),
// Shi et al. 2016 (1609.07009).
#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "conv_planes.h"

namespace nn::cpu {
namespace {

constexpr int64_t kStripBytes = 400 << 10;
constexpr int64_t kUnitTiles = 64;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Of a padded row, in elements.
template <class T> int64_t row_width(const Patches<T>& g) {
  return (g.axis[2].count() - 1) * g.axis[2].step() + g.axis[2].reach();
}

// Takes strips of results that are not written where they belong at once.
template <class T> struct StripTaker {
  virtual ~StripTaker() = default;
  virtual void take(int64_t n, int64_t depth, int64_t first_row, int64_t rows, const T* strip) const = 0;
};

// A convolution with unit dilation of the result, of one group: what a forward pass and the residues of an
// input gradient ask for.
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
};

template <class T> std::vector<int64_t> channel_offsets(int64_t channels, int64_t step) {
  std::vector<int64_t> at;
  for (int64_t c = 0; c < channels; ++c) at.push_back(c * step);
  return at;
}

// Rows of the result per strip: the planes should fit half of L2, and there should be enough strips to share.
template <class T> int64_t strip_rows(const Patches<T>& g, int64_t n) {
  const int64_t row = g.channels * g.axis[0].taps() * row_width(g) * g.axis[1].step() * int64_t(sizeof(T));
  const int64_t fit = std::max<int64_t>(1, kStripBytes / std::max<int64_t>(1, row));
  const int64_t share = ceil_div(g.axis[1].count() * n, 8);
  return std::max<int64_t>(1, std::min(std::min(fit, share), g.axis[1].count()));
}

// Small images go into a strip together: tiles across their ends are filled, too.
template <class T> int64_t strip_images(const Patches<T>& g, int64_t n, int64_t rows, int tile) {
  if (rows < g.axis[1].count() || g.axis[0].count() > 1) return 1;
  const int64_t height = (rows - 1) * g.axis[1].step() + g.axis[1].reach();
  const int64_t bytes = g.channels * g.axis[0].taps() * height * row_width(g) * int64_t(sizeof(T));
  const int64_t fit = kStripBytes / bytes, enough = ceil_div(kUnitTiles * tile, rows * g.axis[2].count());
  return std::max<int64_t>(1, std::min(std::min(fit, enough), n));
}

// Where the pixels of a strip lie in the planes and in the result; one tile more than there are.
struct StripPixels {
  std::vector<int32_t> x;
  std::vector<int64_t> y;
  StripPixels(int64_t images, int64_t rows, int64_t width, const int64_t (&x_step)[3],
              const int64_t (&y_step)[3], int tile)
      : x(size_t(images * rows * width + tile)), y(x.size()) {
    size_t at = 0;
    for (int64_t n = 0; n < images; ++n)
      for (int64_t h = 0; h < rows; ++h)
        for (int64_t w = 0; w < width; ++w, ++at) {
          x[at] = int32_t(n * x_step[0] + h * x_step[1] + w * x_step[2]);
          y[at] = n * y_step[0] + h * y_step[1] + w * y_step[2];
        }
    for (; at < x.size(); ++at) x[at] = x[at - 1], y[at] = y[at - 1];
  }
};

// The filters as panels of whole vectors, the whole depth of a panel in one piece; each block of the depth
// is read from end to end.
template <class T>
void pack_filters(const Panels<T>& w, int64_t filters, int64_t depth, int taps, int64_t panel, T* out) {
  const int64_t wide = kernels<T>().gemm_shape().width;
  const int64_t block = ceil_div(256, taps) * taps;
  parallel_for(ceil_div(depth, block), std::max<int64_t>(1, 65536 / (block * filters)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t d = begin * block; d < std::min(depth, end * block); d += block)
                   for (int64_t k = 0; k < filters; k += panel) {
                     const int lanes = int(std::min(panel, filters - k));
                     const int width = int(lanes <= wide ? wide : panel);
                     w.pack(k, lanes, width, d, std::min(block, depth - d), out + k * depth + d * width);
                   }
               });
}

template <class T> void run(const Direct<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const Patches<T>& g = p.patches;
  const int64_t depth = g.channels * g.taps(), width = g.axis[2].count(), height = g.axis[1].count();
  const int wide = kern.gemm_shape().width, tile = kern.conv_tile_pixels();
  const int64_t panel = p.filters <= wide ? wide : 2 * wide, panels = ceil_div(p.filters, panel);
  Workspace<T> w(size_t(panels * panel * std::max<int64_t>(depth, 1)));
  pack_filters(*p.w, p.filters, depth, g.taps(), panel, static_cast<T*>(w));
  bool dense = true;
  for (int64_t k = 0; k < p.filters; ++k) dense = dense && p.y_filter[size_t(k)] == k;
  const int64_t rows = strip_rows(g, p.n), strips = ceil_div(height, rows);
  const int64_t images = p.taker ? 1 : strip_images(g, p.n, rows, tile);
  const int64_t units = ceil_div(p.n, images) * g.axis[0].count() * strips;
  // Few strips: share the filters, too.
  const int64_t parts = std::min(panels, ceil_div(8, units)), part = ceil_div(panels, parts);
  const double flops = 2.0 * double(depth * p.filters * width * rows * images) / double(parts);
  parallel_for(units * parts, std::max<int64_t>(1, int64_t(2e6 / flops)), [&](int64_t begin, int64_t end) {
    PlaneStrip<T> strip(g, g.channels * images, rows, PlaneStrip<T>::whole);
    const std::vector<int32_t> offsets = strip.offsets(g.channels);
    const StripPixels pixels(images, rows, width,
                             {g.channels * strip.plane(), strip.row_step(), strip.pixel_step()},
                             {p.y_image, p.y_step[1], p.y_step[2]}, tile);
    Workspace<T> made(p.taker ? size_t(rows * p.y_step[1]) : 1);
    ConvTile<T> t = {};
    t.k = depth, t.x = strip.data(), t.offset = offsets.data(), t.floor = p.floor, t.channels_dense = dense;
    int64_t loaded = -1;
    for (int64_t at = begin; at < end; ++at) {
      const int64_t u = at / parts, q0 = at % parts * part, q1 = std::min(panels, q0 + part);
      const int64_t first = u % strips * rows, d = u / strips % g.axis[0].count(),
                    n = u / strips / g.axis[0].count() * images;
      const int64_t some = std::min(rows, height - first), pictures = std::min(images, p.n - n);
      for (int64_t i = 0; i < pictures && u != loaded; ++i)
        strip.load(n + i, d, first, some, 0, g.channels, i * g.channels);
      loaded = u;
      T* y = p.taker ? static_cast<T*>(made) : p.y + n * p.y_image + d * p.y_step[0] + first * p.y_step[1];
      const int64_t count = pictures * some * width;
      for (int64_t q = q0; q < q1; ++q) {
        t.channels = int(std::min(panel, p.filters - q * panel));
        t.w = w + q * panel * depth, t.w_step = t.channels <= wide ? wide : panel;
        t.y = y, t.y_channel = p.y_filter.data() + q * panel;
        t.bias = p.bias ? p.bias + q * panel : nullptr;
        for (int64_t i = 0; i < count; i += tile) {
          t.pixel = pixels.x.data() + i, t.y_pixel = pixels.y.data() + i;
          t.pixels = int(std::min<int64_t>(tile, count - i));
          t.pixels_dense = t.y_pixel[t.pixels - 1] - t.y_pixel[0] == t.pixels - 1;
          kern.conv_tile(t.w_step == wide ? 1 : 2, t);
        }
      }
      if (p.taker) p.taker->take(n, d, first, some, made);
    }
  });
}

// The part of group g, that has `count` channels (or filters) `step` apart.
template <class T> Field<T> group_of(const Field<T>& x, int64_t count, int64_t step, int64_t g) {
  Field<T> f = x;
  f.p += g * count * step;
  return f;
}

// (channel, tap) of a filter as the depth of an operand.
Walk filter_depth(const int64_t (&taps)[3], const int64_t (&step)[3], int64_t channels,
                  int64_t channel_step) {
  Walk walk;
  for (int a = 2; a >= 0; --a) walk.then(taps[a], step[a]);
  walk.then(channels, channel_step);
  return walk;
}

}  // namespace

template <class T> void conv_direct(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const int64_t kernel[3] = {s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel};
  for (int64_t g = 0; g < s.groups; ++g) {
    const WalkPanels<T> w(p.w.p + g * kg * p.w.n, Walk(p.w.n), filter_depth(kernel, p.w.step, cg, p.w.c));
    const Field<T> y = group_of(p.y, kg, p.y.c, g);
    run(Direct<T>{forward_patches(s, group_of(p.x, cg, p.x.c, g)),
                  s.n,
                  kg,
                  &w,
                  y.p,
                  y.n,
                  {y.step[0], y.step[1], y.step[2]},
                  channel_offsets<T>(kg, y.c),
                  p.b ? p.b + g * kg : nullptr,
                  late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  }
  finish(p);
}

namespace {

template <class T> void input_grad_residue(const ConvInputGrad<T>& p, const int64_t (&at)[3]) {
  const ConvShape& s = p.s;
  const ConvAxis* a = s.axis;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const Residue r[3] = {Residue(a[0], at[0]), Residue(a[1], at[1]), Residue(a[2], at[2])};
  int64_t taps[3], tap_step[3], first_tap = 0, origin = 0;
  for (int i = 0; i < 3; ++i) {
    taps[i] = r[i].taps, tap_step[i] = r[i].tap_step * p.w.step[i];
    first_tap += r[i].tap0 * p.w.step[i], origin += at[i] * p.gx.step[i];
  }
  if (r[0].count == 0 || r[1].count == 0 || r[2].count == 0) return;
  if (taps[0] * taps[1] * taps[2] == 0) return fill_unreached(p, at);
  for (int64_t g = 0; g < s.groups; ++g) {
    const WalkPanels<T> w(p.w.p + g * kg * p.w.n + first_tap, Walk(p.w.c),
                          filter_depth(taps, tap_step, kg, p.w.n));
    const Field<T> gx = group_of(p.gx, cg, p.gx.c, g);
    run(Direct<T>{{group_of(p.gy, kg, p.gy.c, g), kg, {r[0].axis(a[0]), r[1].axis(a[1]), r[2].axis(a[2])}},
                  s.n,
                  cg,
                  &w,
                  gx.p + origin,
                  gx.n,
                  {a[0].stride * gx.step[0], a[1].stride * gx.step[1], a[2].stride * gx.step[2]},
                  channel_offsets<T>(cg, gx.c),
                  p.b ? p.b + g * cg : nullptr});
  }
}

// All residues of the stride side by side: position q of gy's grid makes the pixels stride * q + r - low,
// r < stride, each a result channel of its own; tap j of it is tap r + stride * j of the filter, if there.
struct SubPixel {
  int64_t stride, first, count, taps;
  explicit SubPixel(const ConvAxis& a)
      : stride(a.stride),
        first(a.low / a.stride),
        count((a.in - 1 + a.low) / a.stride - first + 1),
        taps(ceil_div(a.kernel, a.stride)) {}
  TapAxis axis(const ConvAxis& a) const {
    std::vector<int64_t> offsets;
    for (int64_t j = 0; j < taps; ++j) offsets.push_back(first - j * a.dilation);
    return TapAxis(count, 1, a.out, offsets);
  }
};

// Lanes are (channel, residues), the depth runs over (filter, taps of a residue); 0 where there is no tap.
template <class T> struct SubPixelFilters : Panels<T> {
  Field<const T> w;
  const ConvAxis* axis;
  SubPixelFilters(const Field<const T>& filters, const ConvAxis* axes) : w(filters), axis(axes) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override {
    for (int64_t d = depth; d < depth + count; ++d)
      for (int l = 0; l < width; ++l, ++out) *out = l < lanes ? at(lane + l, d) : T(0);
  }

 private:
  T at(int64_t lane, int64_t depth) const {
    int64_t offset = 0;
    for (int i = 2; i >= 0; --i) {
      const int64_t stride = axis[i].stride, taps = ceil_div(axis[i].kernel, stride);
      const int64_t tap = lane % stride + stride * (depth % taps);
      if (tap >= axis[i].kernel) return T(0);
      offset += tap * w.step[i], lane /= stride, depth /= taps;
    }
    return w.p[offset + lane * w.c + depth * w.n];
  }
};

// A strip of gx with all that the grid makes, laid out like gx; what is inside goes to gx.
template <class T> struct SubPixelStrip : StripTaker<T> {
  Field<T> gx;
  int64_t channels;
  const ConvAxis* axis;
  SubPixel sub[3];
  bool last;
  int64_t step[3], channel, row;  // of the strip; row: of the grid

  SubPixelStrip(const Field<T>& to, int64_t count, const ConvAxis* a)
      : gx(to), channels(count), axis(a), sub{SubPixel(a[0]), SubPixel(a[1]), SubPixel(a[2])} {
    last = channels_last(gx, channels) && gx.step[2] == channels;
    const int64_t width = sub[2].count * a[2].stride;
    step[2] = last ? channels : 1, step[1] = width * step[2], step[0] = a[1].stride * step[1];
    channel = last ? 1 : a[0].stride * step[0];
    row = a[0].stride * a[1].stride * width * channels;
  }
  int64_t filters() const { return channels * sub[0].stride * sub[1].stride * sub[2].stride; }
  std::vector<int64_t> offsets() const {
    std::vector<int64_t> at;
    for (int64_t l = 0; l < filters(); ++l) {
      int64_t rest = l, offset = 0;
      for (int i = 2; i >= 0; --i) offset += rest % sub[i].stride * step[i], rest /= sub[i].stride;
      at.push_back(offset + rest * channel);
    }
    return at;
  }
  void take(int64_t n, int64_t d, int64_t first, int64_t rows, const T* strip) const override {
    for (int64_t q = 0; q < rows; ++q)
      for (int64_t rd = 0; rd < sub[0].stride; ++rd)
        for (int64_t rh = 0; rh < sub[1].stride; ++rh) {
          const int64_t z = pixel(0, d, rd), h = pixel(1, first + q, rh);
          if (z < 0 || z >= axis[0].in || h < 0 || h >= axis[1].in) continue;
          put(strip + q * row + rd * step[0] + rh * step[1],
              gx.p + n * gx.n + z * gx.step[0] + h * gx.step[1]);
        }
  }

 private:
  int64_t pixel(int i, int64_t q, int64_t r) const {
    return (sub[i].first + q) * sub[i].stride + r - axis[i].low;
  }
  void put(const T* from, T* to) const {
    const int64_t left = pixel(2, 0, 0), w0 = std::max<int64_t>(0, left),
                  w1 = std::min(axis[2].in, left + sub[2].count * sub[2].stride);
    from += (w0 - left) * step[2], to += w0 * gx.step[2];
    if (last) {
      std::copy_n(from, (w1 - w0) * channels, to);
    } else {
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t i = 0; i < w1 - w0; ++i) to[c * gx.c + i * gx.step[2]] = from[c * channel + i * step[2]];
    }
  }
};

template <class T> void input_grad_at_once(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis* a = s.axis;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  for (int64_t g = 0; g < s.groups; ++g) {
    const SubPixelFilters<T> w(group_of(p.w, kg, p.w.n, g), a);
    const SubPixelStrip<T> strip(group_of(p.gx, cg, p.gx.c, g), cg, a);
    std::vector<T> bias;
    for (int64_t l = 0; p.b && l < strip.filters(); ++l)
      bias.push_back(p.b[g * cg + l / (strip.filters() / cg)]);
    Direct<T> d = {{group_of(p.gy, kg, p.gy.c, g),
                    kg,
                    {strip.sub[0].axis(a[0]), strip.sub[1].axis(a[1]), strip.sub[2].axis(a[2])}},
                   s.n,
                   strip.filters(),
                   &w,
                   nullptr,
                   0,
                   {0, strip.row, strip.sub[2].stride * strip.step[2]},
                   strip.offsets(),
                   p.b ? bias.data() : nullptr};
    d.taker = &strip;
    run(d);
  }
}

// Whether the vectors of all residues at once are better filled than those of each: few channels.
template <class T> bool at_once(const ConvShape& s) {
  const int64_t wide = kernels<T>().gemm_shape().width, channels = s.c / s.groups;
  int64_t residues = 1, taps = 1;
  for (const ConvAxis& a : s.axis) {
    if (a.stride > 1 && a.dilation > 1) return false;
    residues *= a.stride, taps *= ceil_div(a.kernel, a.stride);
  }
  if (residues == 1) return false;
  return ceil_div(channels * residues, wide) * taps < ceil_div(channels, wide) * s.taps();
}

}  // namespace

template <class T> void conv_direct(const ConvInputGrad<T>& p) {
  if (at_once<T>(p.s)) return input_grad_at_once(p);
  const ConvAxis* a = p.s.axis;
  for (int64_t d = 0; d < a[0].stride; ++d)
    for (int64_t h = 0; h < a[1].stride; ++h)
      for (int64_t w = 0; w < a[2].stride; ++w) input_grad_residue(p, {d, h, w});
}

template <class T> void conv_direct(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const Kernels<T>& kern = kernels<T>();
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups, lanes = cg * s.taps();
  const int wide = kern.gemm_shape().width, tile = kern.conv_tile_pixels();
  const int64_t panel = kg <= wide ? wide : 2 * wide, panels = ceil_div(kg, panel), columns = panels * panel;
  const int64_t width = s.axis[2].out, height = s.axis[1].out, tiles = ceil_div(lanes, tile);
  for (int64_t g = 0; g < s.groups; ++g) {
    const Patches<T> patches = forward_patches(s, group_of(p.x, cg, p.x.c, g));
    const Field<const T> gy = group_of(p.gy, kg, p.gy.c, g);
    // Strips are fixed by the sizes alone and summed in order: the same bits for any number of threads.
    const int64_t rows = std::max<int64_t>(
        1, std::min(std::min(strip_rows(patches, 1), height), (int64_t(16) << 10) / (width * panel)));
    const int64_t strips = ceil_div(height, rows), units = s.n * s.axis[0].out * strips;
    const int64_t group = std::max<int64_t>(1, std::min<int64_t>(units, 4)), most = ceil_div(units, group);
    // Each share of the strips has a sum of its own.
    Workspace<T> sums(size_t(group * lanes * columns));
    parallel_for(
        group, 2.0 * double(most * rows * width) * double(lanes * kg) < 1e6 ? group : 1,
        [&](int64_t begin, int64_t end) {
          PlaneStrip<T> strip(patches, cg, rows, PlaneStrip<T>::whole);
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
                                        strip.row_step(), strip.pixel_step(), gradient, panel, some, width,
                                        int(std::min<int64_t>(tile, lanes - i * tile)), u > q * most,
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
