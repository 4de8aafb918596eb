// The input gradient of direct convolution: residue by residue of the stride a convolution of gy with unit
// stride, or, for few channels, all residues at once as filters of their own (sub-pixel convolution). Source:
// Shi et al. 2016 (1609.07009).
#include <algorithm>

#include "conv_direct.h"

namespace nn::cpu {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

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
    convolve(
        Direct<T>{{group_of(p.gy, kg, p.gy.c, g), kg, {r[0].axis(a[0]), r[1].axis(a[1]), r[2].axis(a[2])}},
                  s.n,
                  cg,
                  &w,
                  gx.p + origin,
                  gx.n,
                  {a[0].stride * gx.step[0], a[1].stride * gx.step[1], a[2].stride * gx.step[2]},
                  multiples(gx.c, cg),
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
    convolve(d);
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

#define NN_INSTANTIATE(T) template void conv_direct(const ConvInputGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
