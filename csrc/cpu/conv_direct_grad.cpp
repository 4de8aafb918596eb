// The input gradient of direct convolution. Position q of a grid makes the pixels stride * q + r - origin, r
// < stride, of gx: one convolution of gy with unit stride per residue r. Their results are made strip by
// strip and threaded together. With few channels all residues are made at once, with zeros for taps that they
// lack (sub-pixel convolution: Shi et al. 2016, 1609.07009).
#include <algorithm>
#include <deque>

#include "conv_direct.h"

namespace nn::cpu {
namespace {

// One axis: the taps of each residue, and all positions of gy that they read.
struct SubPixelAxis {
  const ConvAxis& a;
  int64_t origin;                          // pixels in front of the image that the grid knows
  int64_t first, count;                    // of the grid
  std::vector<int64_t> offsets;            // position q reads gy at q + offset
  std::vector<std::vector<int64_t>> taps;  // of each residue, ascending

  SubPixelAxis(const ConvAxis& axis, int64_t from)
      : a(axis), origin(from), first(origin / a.stride), count((a.in - 1 + origin) / a.stride - first + 1) {
    for (int64_t r = 0; r < a.stride; ++r) {
      taps.emplace_back();
      for (int64_t t = 0; t < a.kernel; ++t)
        if (ahead(r, t) % a.stride == 0) taps.back().push_back(t), offsets.push_back(offset(r, t));
    }
    std::sort(offsets.begin(), offsets.end());
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  }
  int64_t ahead(int64_t r, int64_t tap) const { return r - origin + a.low - tap * a.dilation; }
  int64_t offset(int64_t r, int64_t tap) const { return first + ahead(r, tap) / a.stride; }
  int64_t pixel(int64_t q, int64_t r) const { return (first + q) * a.stride + r - origin; }
  int positions() const { return int(offsets.size()); }
  int index(int64_t r, int64_t tap) const {
    return int(std::lower_bound(offsets.begin(), offsets.end(), offset(r, tap)) - offsets.begin());
  }
  // The tap of residue r at a position; -1: none.
  int64_t tap_at(int64_t r, int64_t position) const {
    for (const int64_t t : taps[size_t(r)])
      if (offset(r, t) == offsets[size_t(position)]) return t;
    return -1;
  }
  TapAxis axis() const { return TapAxis(count, 1, a.out, offsets); }
};

// Filters are channels, their groups the residues; or all of that in one group. A strip of them goes to gx,
// as far as it is inside.
template <class T> struct SubPixelStrip : StripTaker<T> {
  const SubPixelAxis (&axis)[3];
  Field<T> gx;
  int64_t channels;
  bool once;
  SubPixelStrip(const SubPixelAxis (&axes)[3], const Field<T>& to, int64_t count, bool one_group)
      : axis(axes), gx(to), channels(count), once(one_group) {
    this->filters_dense = channels_last(gx, channels);
  }
  void take(const Strip& s, const T* strip, int64_t group_step, int64_t filter_step,
            int64_t pixel_step) const override {
    Part p = {s.filter, s.filters, group_step, filter_step, pixel_step};
    if (once) p.channels = p.residue_step = channels;
    for (int64_t n = 0; n < s.images; ++n, strip += s.rows * axis[2].count * pixel_step)
      take_image(s, s.n + n, strip, p);
  }

 private:
  // Channels of all residues.
  struct Part {
    int64_t first, channels, residue_step, filter_step, pixel_step;
  };
  void take_image(const Strip& s, int64_t n, const T* strip, const Part& p) const {
    for (int64_t q = 0; q < s.rows; ++q)
      for (int64_t d = 0; d < axis[0].a.stride; ++d)
        for (int64_t h = 0; h < axis[1].a.stride; ++h) {
          const int64_t z = axis[0].pixel(s.depth, d), y = axis[1].pixel(s.first + q, h);
          if (z < 0 || z >= axis[0].a.in || y < 0 || y >= axis[1].a.in) continue;
          const int64_t filter = (d * axis[1].a.stride + h) * axis[2].a.stride * p.residue_step;
          put(strip + filter * p.filter_step + q * axis[2].count * p.pixel_step, p,
              gx.p + n * gx.n + p.first * gx.c + z * gx.step[0] + y * gx.step[1]);
        }
  }
  // One row: column i of residue r is pixel (i, r).
  void put(const T* from, const Part& p, T* to) const {
    const int64_t stride = axis[2].a.stride, width = axis[2].a.in, low = axis[2].pixel(0, 0);
    if (this->filters_dense) {
      for (int64_t w = 0; w < width; ++w)
        std::copy_n(from + (w - low) / stride * p.pixel_step + (w - low) % stride * p.residue_step,
                    p.channels, to + w * gx.step[2]);
      return;
    }
    const int64_t residue_step = p.residue_step * p.filter_step;
    for (int64_t c = 0; c < p.channels; ++c, from += p.filter_step, to += gx.c) {
      const T* residue[2] = {from, from + residue_step};  // the first two
      if (stride == 1 && gx.step[2] == 1)
        std::copy_n(from - low, width, to);
      else if (stride == 2 && gx.step[2] == 1)
        kernels<T>().interleave_row(residue[-low], residue[1 + low] - low, width, to);
      else
        for (int64_t w = 0; w < width; ++w)
          to[w * gx.step[2]] = from[(w - low) % stride * residue_step + (w - low) / stride];
    }
  }
};

// All residues at once: lanes are (residue, channel), the depth runs over (filter, position).
template <class T> struct SubPixelFilters : Panels<T> {
  const SubPixelAxis (&axis)[3];
  Field<const T> w;
  int64_t channels;
  SubPixelFilters(const SubPixelAxis (&axes)[3], const Field<const T>& filters, int64_t count)
      : axis(axes), w(filters), channels(count) {}
  void pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const override {
    for (int64_t d = depth; d < depth + count; ++d)
      for (int l = 0; l < width; ++l, ++out) *out = l < lanes ? at(lane + l, d) : T(0);
  }

 private:
  T at(int64_t lane, int64_t depth) const {
    int64_t residue = lane / channels, offset = lane % channels * w.c;
    for (int i = 2; i >= 0; --i) {
      const int64_t tap = axis[i].tap_at(residue % axis[i].a.stride, depth % axis[i].positions());
      if (tap < 0) return T(0);
      offset += tap * w.step[i], residue /= axis[i].a.stride, depth /= axis[i].positions();
    }
    return w.p[offset + depth * w.n];
  }
};

// Channels of one residue, with their own taps.
template <class T> WalkPanels<T> residue_filters(const SubPixelAxis (&axis)[3], const int64_t (&r)[3],
                                                 const Field<const T>& w, int64_t filters) {
  const T* p = w.p;
  int64_t count[3], step[3];
  for (int i = 0; i < 3; ++i) {
    const std::vector<int64_t>& taps = axis[i].taps[size_t(r[i])];
    count[i] = int64_t(taps.size());
    step[i] = (count[i] > 1 ? taps[1] - taps[0] : 1) * w.step[i];
    if (count[i]) p += taps[0] * w.step[i];
  }
  return WalkPanels<T>(p, Walk(w.c), filter_depth(count, step, filters, w.n));
}

std::vector<int> residue_taps(const SubPixelAxis (&axis)[3], const int64_t (&r)[3]) {
  std::vector<int> found;
  for (const int64_t d : axis[0].taps[size_t(r[0])])
    for (const int64_t h : axis[1].taps[size_t(r[1])])
      for (const int64_t w : axis[2].taps[size_t(r[2])])
        found.push_back((axis[0].index(r[0], d) * axis[1].positions() + axis[1].index(r[1], h)) *
                            axis[2].positions() +
                        axis[2].index(r[2], w));
  return found;
}

// Multiply-adds of vectors for a pixel of the grid, times the grid.
template <class T> double grid_work(const SubPixelAxis (&axis)[3], int64_t lanes, int64_t taps) {
  return double(ceil_div(lanes, kernels<T>().gemm_shape().width) * taps) *
         double(axis[1].count * axis[2].count);
}

}  // namespace

template <class T> void conv_direct(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis* a = s.axis;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const int64_t residues = a[0].stride * a[1].stride * a[2].stride;
  // All residues at once should read the same positions; each for itself, none outside the image.
  using Axes = SubPixelAxis[3];
  const Axes padded = {{a[0], a[0].low}, {a[1], a[1].low}, {a[2], a[2].low}},
             plain = {{a[0], 0}, {a[1], 0}, {a[2], 0}};
  const int64_t positions = padded[0].positions() * padded[1].positions() * padded[2].positions();
  const bool once = grid_work<T>(padded, cg * residues, positions) < grid_work<T>(plain, cg, s.taps());
  const Axes& axis = once ? padded : plain;
  for (int64_t g = 0; g < s.groups; ++g) {
    const Field<const T> w = group_of(p.w, kg, p.w.n, g);
    const Field<T> gx = group_of(p.gx, cg, p.gx.c, g);
    const SubPixelStrip<T> strip(axis, gx, cg, once);
    const SubPixelFilters<T> all(axis, w, cg);
    std::deque<WalkPanels<T>> each;
    std::vector<T> bias;
    for (int64_t l = 0; p.b && l < residues * cg; ++l) bias.push_back(p.b[g * cg + l % cg]);
    Direct<T> d = {{group_of(p.gy, kg, p.gy.c, g), kg, {axis[0].axis(), axis[1].axis(), axis[2].axis()}},
                   s.n,
                   {},
                   gx.p,
                   gx.n,
                   {gx.step[0], gx.step[1], gx.step[2]},
                   multiples(gx.c, cg),
                   p.b ? bias.data() : nullptr};
    if (residues > 1) d.taker = &strip;
    if (once) {
      d.groups.push_back({&all, residues * cg, multiples(1, d.patches.taps())});
    } else {
      for (int64_t u = 0; u < residues; ++u) {
        const int64_t r[3] = {u / a[2].stride / a[1].stride, u / a[2].stride % a[1].stride, u % a[2].stride};
        each.push_back(residue_filters(axis, r, w, kg));
        d.groups.push_back({&each.back(), cg, residue_taps(axis, r)});
      }
    }
    convolve(d);
  }
}

#define NN_INSTANTIATE(T) template void conv_direct(const ConvInputGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
