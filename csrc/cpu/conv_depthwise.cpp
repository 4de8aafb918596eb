// Depthwise convolution: every channel has filters of its own (groups = channels, any channel multiplier).
// Filters of 3 x 3 read planes where they lie. Else one channel's padded plane at a time, vectors along its
// rows; channels-last images are turned into planes and back, a few channels at a time, in cache. A strided
// input gradient makes the rows of each residue of the stride and threads them together. Bound by bytes for 3
// x 3 filters.
#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "conv_planes.h"

namespace nn::cpu {
namespace {

// Planes at a time: rows of channels-last images hold the channels of a cache line together.
int64_t block_channels(int64_t channel_step) { return channel_step == 1 ? 16 : 1; }
constexpr int64_t kStripBytes = 256 << 10;

// The results whose position is `at` modulo the stride: the taps that make them, of all that there are.
template <class T> struct ResidueTaps {
  int64_t at[3];
  std::vector<int> taps;
  std::vector<T> w;  // (channels, planes, taps)
};

// Position q of the grid makes the results q * stride + at. Result channel o reads the planes
// [o * planes / spread, ...) of the image: a forward pass with a multiplier reads one plane for `spread`
// results, an input gradient reads `planes` for each.
template <class T> struct Depthwise {
  Patches<T> patches;
  int64_t n, channels, planes, spread;
  Field<T> y;
  int64_t size[3], stride[3];  // of y
  std::vector<ResidueTaps<T>> residues;
  const T* bias;
  T floor;
};

template <class T> int64_t strip_rows(const Patches<T>& g, int64_t channels) {
  const int64_t row = channels * g.axis[0].taps() *
                      ((g.axis[2].count() - 1) * g.axis[2].step() + g.axis[2].reach()) * g.axis[1].step() *
                      int64_t(sizeof(T));
  return std::max<int64_t>(1, std::min(g.axis[1].count(), kStripBytes / std::max<int64_t>(1, row)));
}

// Strips of results, channel by channel. Rows of residues are made first and then threaded together.
template <class T> class StripMaker {
 public:
  StripMaker(const Depthwise<T>& p, const PlaneStrip<T>& planes, int64_t block, int64_t rows)
      : p_(p),
        planes_(planes),
        straight_(p.y.step[2] == 1),
        grid_(p.patches.axis[2].count()),
        row_(ceil_div(grid_, PlaneStrip<T>::kSlack) * PlaneStrip<T>::kSlack),
        residue_(rows * row_),
        made_(size_t(p.stride[2] * residue_)),
        turned_(straight_ ? 1 : size_t(block * rows * p.size[2])) {
    const std::vector<int32_t> all = planes.offsets(p.planes);
    const int taps = p.patches.taps();
    for (const ResidueTaps<T>& r : p.residues) {
      offsets_.emplace_back();
      for (int64_t i = 0; i < p.planes; ++i)
        for (const int t : r.taps) offsets_.back().push_back(all[size_t(i * taps + t)]);
    }
  }

  // Channels [o0, o0 + some) of `rows` rows y_row apart, of the residue and those beside it.
  void make(size_t residue, int64_t o0, int64_t some, int64_t rows, T* y, int64_t y_row) {
    const int64_t width = p_.size[2];
    for (int64_t o = 0; o < some; ++o)
      if (straight_)
        make_channel(residue, o0 + o, o, rows, y + o * p_.y.c, y_row);
      else
        make_channel(residue, o0 + o, o, rows, turned_ + o * rows * width, width);
    for (int64_t h = 0; h < rows && !straight_; ++h) {
      const T* from = turned_ + h * width;
      T* to = y + h * y_row;
      if (p_.y.c == 1)
        kernels<T>().transpose_copy(from, rows * width, to, p_.y.step[2], some, width);
      else
        for (int64_t o = 0; o < some; ++o)
          for (int64_t i = 0; i < width; ++i) to[o * p_.y.c + i * p_.y.step[2]] = from[o * rows * width + i];
    }
  }

 private:
  void make_channel(size_t residue, int64_t channel, int64_t o, int64_t rows, T* y, int64_t y_row) {
    const T* x = planes_.data() + o * p_.planes / p_.spread * planes_.plane();
    const int64_t stride = p_.stride[2];
    for (int64_t r = 0; r < stride; ++r) {
      const std::vector<int32_t>& offsets = offsets_[residue + size_t(r)];
      const int taps = int(offsets.size());
      // whole vectors: what is stored here is read again at once
      kernels<T>().depthwise_rows(x, planes_.row_step(), offsets.data(),
                                  p_.residues[residue + size_t(r)].w.data() + channel * taps, taps, rows,
                                  stride == 1 ? grid_ : ceil_div(grid_, width_) * width_,
                                  p_.bias ? p_.bias[channel] : T(0), p_.floor,
                                  stride == 1 ? y : made_ + r * residue_, stride == 1 ? y_row : row_);
    }
    for (int64_t h = 0; h < rows && stride > 1; ++h) thread(made_ + h * row_, y + h * y_row);
  }
  void thread(const T* made, T* y) const {
    const int64_t stride = p_.stride[2];
    if (stride == 2) return kernels<T>().interleave_row(made, made + residue_, p_.size[2], y);
    for (int64_t i = 0; i < p_.size[2]; ++i) y[i] = made[i % stride * residue_ + i / stride];
  }

  const Depthwise<T>& p_;
  const PlaneStrip<T>& planes_;
  const bool straight_;
  const int64_t grid_, row_, residue_, width_ = kernels<T>().gemm_shape().width;
  std::vector<std::vector<int32_t>> offsets_;  // of each residue
  Workspace<T> made_, turned_;
};

template <class T> void run(const Depthwise<T>& p) {
  const Patches<T>& g = p.patches;
  const int64_t height = g.axis[1].count(), taps = p.planes * g.taps();
  // blocks of whole spreads
  const int64_t together = std::max(block_channels(g.x.c), block_channels(p.y.c));
  const int64_t block = std::max<int64_t>(1, together / std::max(p.spread, p.planes)) * p.spread;
  const int64_t sources = block * p.planes / p.spread, blocks = ceil_div(p.channels, block);
  const int64_t rows = strip_rows(g, sources), strips = ceil_div(height, rows);
  const int64_t work = rows * g.axis[2].count() * block * taps;
  const auto strip = [&](PlaneStrip<T>& planes, StripMaker<T>& maker, int64_t n, int64_t o0, int64_t d,
                         int64_t first) {
    const int64_t some = std::min(block, p.channels - o0), count = std::min(rows, height - first);
    planes.load(n, d, first, count, o0 * p.planes / p.spread, ceil_div(some * p.planes, p.spread));
    for (size_t r = 0; r < p.residues.size(); r += size_t(p.stride[2])) {
      const int64_t z = d * p.stride[0] + p.residues[r].at[0], h = first * p.stride[1] + p.residues[r].at[1];
      const int64_t inside = std::min(count, ceil_div(p.size[1] - h, p.stride[1]));
      if (z < p.size[0] && inside > 0)
        maker.make(r, o0, some, inside, p.y.p + n * p.y.n + z * p.y.step[0] + h * p.y.step[1] + o0 * p.y.c,
                   p.stride[1] * p.y.step[1]);
    }
  };
  parallel_for(p.n * blocks, std::max<int64_t>(1, (int64_t(1) << 19) / (work * strips)),
               [&](int64_t begin, int64_t end) {
                 PlaneStrip<T> planes(g, sources, rows, PlaneStrip<T>::split);
                 StripMaker<T> maker(p, planes, block, rows);
                 for (int64_t u = begin; u < end; ++u)
                   for (int64_t d = 0; d < g.axis[0].count(); ++d)
                     for (int64_t s = 0; s < strips; ++s)
                       strip(planes, maker, u / blocks, u % blocks * block, d, s * rows);
               });
}

// (filter, taps), side by side.
template <class T> std::vector<T> dense_filters(const Field<const T>& w, int64_t count,
                                                const int64_t (&taps)[3], const int64_t (&step)[3]) {
  std::vector<T> found;
  for (int64_t k = 0; k < count; ++k)
    for (int64_t d = 0; d < taps[0]; ++d)
      for (int64_t h = 0; h < taps[1]; ++h)
        for (int64_t i = 0; i < taps[2]; ++i)
          found.push_back(w.p[k * w.n + d * step[0] + h * step[1] + i * step[2]]);
  return found;
}

// All taps of all residues of an axis as one axis; which of them a residue has.
struct ResidueAxis {
  std::vector<Residue> residues;
  std::vector<int64_t> offsets;
  explicit ResidueAxis(const ConvAxis& a) {
    for (int64_t r = 0; r < a.stride; ++r) {
      residues.emplace_back(a, r);
      offsets.insert(offsets.end(), residues.back().offsets.begin(), residues.back().offsets.end());
    }
    std::sort(offsets.begin(), offsets.end());
    offsets.erase(std::unique(offsets.begin(), offsets.end()), offsets.end());
  }
  TapAxis axis(const ConvAxis& a) const { return TapAxis(ceil_div(a.in, a.stride), 1, a.out, offsets); }
  int index(int64_t r, int64_t tap) const {
    const int64_t offset = residues[size_t(r)].offsets[size_t(tap)];
    return int(std::lower_bound(offsets.begin(), offsets.end(), offset) - offsets.begin());
  }
  int taps() const { return int(offsets.size()); }
};

// 3 x 3 filters with rows that lie side by side.
template <class T, class U> bool plain(const ConvShape& s, const Field<T>& x, const Field<U>& y) {
  const ConvAxis &d = s.axis[0], &h = s.axis[1], &w = s.axis[2];
  return d.in == 1 && d.out == 1 && d.kernel == 1 && d.low == 0 && s.mode == PaddingMode::zeros &&
         h.kernel == 3 && w.kernel == 3 && h.dilation == 1 && w.dilation == 1 && h.stride == w.stride &&
         w.stride <= 2 && x.step[2] == 1 && y.step[2] == 1;
}

template <class T> DepthwisePlane<T> image_plane(const ConvShape& s) {
  DepthwisePlane<T> q = {};
  q.in_h = s.axis[1].in, q.in_w = s.axis[2].in, q.out_h = s.axis[1].out, q.out_w = s.axis[2].out;
  q.low_h = s.axis[1].low, q.low_w = s.axis[2].low, q.stride = int(s.axis[2].stride);
  q.floor = -std::numeric_limits<T>::infinity();
  return q;
}

// run(plane, image, channel) for every plane of the result; its y, filter and bias are there.
template <class T, class F> void each_plane(const ConvShape& s, int64_t channels, const DepthwisePlane<T>& q,
                                            const Field<T>& y, const std::vector<T>& w, const T* bias,
                                            F&& run) {
  const int64_t work = 9 * s.outputs();
  parallel_for(
      s.n * channels, std::max<int64_t>(1, (int64_t(1) << 19) / work), [&](int64_t begin, int64_t end) {
        DepthwisePlane<T> plane = q;
        plane.y_row = y.step[1];
        for (int64_t u = begin; u < end; ++u) {
          const int64_t n = u / channels, c = u % channels;
          plane.y = y.p + n * y.n + c * y.c, plane.w = w.data() + 9 * c, plane.bias = bias ? bias[c] : T(0);
          run(plane, n, c);
        }
      });
}

template <class T> void forward_planes(const ConvForward<T>& p, T floor) {
  const int64_t spread = p.s.k / p.s.c, kernel[3] = {1, 3, 3};
  DepthwisePlane<T> q = image_plane<T>(p.s);
  q.x_row = p.x.step[1], q.floor = floor;
  each_plane(p.s, p.s.k, q, p.y, dense_filters<T>(p.w, p.s.k, kernel, p.w.step), p.b,
             [&](DepthwisePlane<T>& plane, int64_t n, int64_t k) {
               plane.x = p.x.p + n * p.x.n + k / spread * p.x.c;
               kernels<T>().depthwise3(plane);
             });
}

// With a stride of one it is the convolution of gy with the turned filter.
template <class T> void input_grad_planes(const ConvInputGrad<T>& p) {
  const int64_t kernel[3] = {1, 3, 3};
  std::vector<T> w = dense_filters<T>(p.w, p.s.c, kernel, p.w.step);
  DepthwisePlane<T> q = image_plane<T>(p.s);
  std::swap(q.in_h, q.out_h), std::swap(q.in_w, q.out_w);
  q.x_row = p.gy.step[1];
  if (q.stride == 1) {
    q.low_h = 2 - q.low_h, q.low_w = 2 - q.low_w;
    for (size_t c = 0; c < w.size(); c += 9) std::reverse(w.begin() + int64_t(c), w.begin() + int64_t(c + 9));
  }
  each_plane(p.s, p.s.c, q, p.gx, w, p.b, [&](DepthwisePlane<T>& plane, int64_t n, int64_t c) {
    plane.x = p.gy.p + n * p.gy.n + c * p.gy.c;
    plane.stride == 1 ? kernels<T>().depthwise3(plane) : kernels<T>().depthwise3_spread(plane);
  });
}

// Each filter sums over the whole batch, in order.
template <class T> void weight_grad_planes(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const int64_t spread = s.k / s.c;
  parallel_for(s.k, std::max<int64_t>(1, (int64_t(1) << 19) / (9 * s.n * s.outputs())),
               [&](int64_t begin, int64_t end) {
                 DepthwisePlane<T> q = image_plane<T>(s);
                 q.x_row = p.x.step[1], q.y_row = p.gy.step[1];
                 for (int64_t k = begin; k < end; ++k) {
                   q.x = p.x.p + k / spread * p.x.c;
                   kernels<T>().depthwise3_weight(q, p.gy.p + k * p.gy.c, s.n, p.x.n, p.gy.n, p.gw + 9 * k);
                 }
               });
}

}  // namespace

template <class T> void conv_depthwise(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const T floor = late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation);
  if (plain(s, p.x, p.y)) return forward_planes(p, floor), finish(p);
  const ConvAxis* a = s.axis;
  const int64_t kernel[3] = {a[0].kernel, a[1].kernel, a[2].kernel};
  Depthwise<T> q = {forward_patches(s, p.x),        s.n,       s.k, 1,   s.k / s.c, p.y,
                    {a[0].out, a[1].out, a[2].out}, {1, 1, 1}, {},  p.b, floor};
  std::vector<int> all;
  for (int t = 0; t < int(s.taps()); ++t) all.push_back(t);
  q.residues.push_back({{0, 0, 0}, all, dense_filters<T>(p.w, s.k, kernel, p.w.step)});
  run(q);
  finish(p);
}

template <class T> void conv_depthwise(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  if (s.k == s.c && plain(s, p.gy, p.gx)) return input_grad_planes(p);
  const ConvAxis* a = s.axis;
  const ResidueAxis axis[3] = {ResidueAxis(a[0]), ResidueAxis(a[1]), ResidueAxis(a[2])};
  if (axis[0].taps() * axis[1].taps() * axis[2].taps() == 0) return;
  Depthwise<T> q = {{p.gy, s.k, {axis[0].axis(a[0]), axis[1].axis(a[1]), axis[2].axis(a[2])}},
                    s.n,
                    s.c,
                    s.k / s.c,
                    1,
                    p.gx,
                    {a[0].in, a[1].in, a[2].in},
                    {a[0].stride, a[1].stride, a[2].stride},
                    {},
                    p.b,
                    -std::numeric_limits<T>::infinity()};
  for (int64_t u = 0; u < a[0].stride * a[1].stride * a[2].stride; ++u) {
    const int64_t at[3] = {u / a[2].stride / a[1].stride, u / a[2].stride % a[1].stride, u % a[2].stride};
    int64_t taps[3], tap_step[3];
    Field<const T> w = p.w;
    for (int i = 0; i < 3; ++i) {
      const Residue& r = axis[i].residues[size_t(at[i])];
      taps[i] = r.taps, tap_step[i] = r.tap_step * p.w.step[i], w.p += r.tap0 * p.w.step[i];
    }
    std::vector<int> own;
    for (int64_t d = 0; d < taps[0]; ++d)
      for (int64_t h = 0; h < taps[1]; ++h)
        for (int64_t k = 0; k < taps[2]; ++k)
          own.push_back((axis[0].index(at[0], d) * axis[1].taps() + axis[1].index(at[1], h)) *
                            axis[2].taps() +
                        axis[2].index(at[2], k));
    // (k, 1, tap) is (c, multiplier, tap)
    q.residues.push_back({{at[0], at[1], at[2]}, own, dense_filters<T>(w, s.k, taps, tap_step)});
  }
  run(q);
}

template <class T> void conv_depthwise(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  if (plain(s, p.x, p.gy)) return weight_grad_planes(p);
  const Patches<T> image = forward_patches(s, p.x);
  const auto same = [](int64_t n) { return TapAxis(n, 1, n, {0}); };
  const Patches<T> gradient = {p.gy, s.k, {same(s.axis[0].out), same(s.axis[1].out), same(s.axis[2].out)}};
  const int64_t together = std::max(block_channels(p.x.c), block_channels(p.gy.c)), spread = s.k / s.c,
                sources = std::max<int64_t>(1, together / spread), block = sources * spread;
  const int64_t width = s.axis[2].out, height = s.axis[1].out, taps = s.taps(), blocks = ceil_div(s.k, block);
  const int64_t rows = std::min(strip_rows(image, sources), strip_rows(gradient, block)),
                strips = ceil_div(height, rows);
  std::fill_n(p.gw, s.k * taps, T(0));
  // Each block of channels sums over the whole batch, in order.
  parallel_for(blocks, std::max<int64_t>(1, (int64_t(1) << 19) / (s.n * s.outputs() * block * taps)),
               [&](int64_t begin, int64_t end) {
                 PlaneStrip<T> x(image, sources, rows, PlaneStrip<T>::split),
                     gy(gradient, block, rows, PlaneStrip<T>::split);
                 const std::vector<int32_t> offsets = x.offsets(1);
                 for (int64_t b = begin; b < end; ++b) {
                   const int64_t k0 = b * block, some = std::min(block, s.k - k0);
                   for (int64_t n = 0; n < s.n; ++n)
                     for (int64_t d = 0; d < s.axis[0].out; ++d)
                       for (int64_t i = 0; i < strips; ++i) {
                         const int64_t first = i * rows, count = std::min(rows, height - first);
                         x.load(n, d, first, count, k0 / spread, ceil_div(some, spread));
                         gy.load(n, d, first, count, k0, some);
                         for (int64_t k = 0; k < some; ++k)
                           kernels<T>().depthwise_weight(
                               x.data() + k / spread * x.plane(), offsets.data(), gy.data() + k * gy.plane(),
                               int(taps), count, x.row_step(), gy.row_step(), width, p.gw + (k0 + k) * taps);
                       }
                 }
               });
}

#define NN_INSTANTIATE(T)                                \
  template void conv_depthwise(const ConvForward<T>&);   \
  template void conv_depthwise(const ConvInputGrad<T>&); \
  template void conv_depthwise(const ConvWeightGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
