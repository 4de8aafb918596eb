// Depthwise convolution: every channel has filters of its own (groups = channels, any channel multiplier).
// One channel's padded plane at a time, vectors along its rows; channels-last images are turned into planes
// and back, a few channels at a time, in cache. Bound by bytes for 3 x 3 filters.
#include <algorithm>
#include <limits>

#include "../memory.h"
#include "../parallel.h"
#include "conv_planes.h"

namespace nn::cpu {
namespace {

constexpr int64_t kBlockChannels = 16;  // planes at a time
constexpr int64_t kStripBytes = 256 << 10;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Result channel o reads the planes [o * planes / spread, ...) of the image: a forward pass with a multiplier
// reads one plane for `spread` results, an input gradient reads `planes` for each.
template <class T> struct Depthwise {
  Patches<T> patches;
  int64_t n, channels, planes, spread;
  const T* w;  // (channels, planes, taps)
  Field<T> y;
  int64_t y_step[3];
  const T* bias;
  T floor;
};

template <class T> int64_t strip_rows(const Patches<T>& g, int64_t channels) {
  const int64_t row = channels * g.axis[0].taps() *
                      ((g.axis[2].count() - 1) * g.axis[2].step() + g.axis[2].reach()) * g.axis[1].step() *
                      int64_t(sizeof(T));
  return std::max<int64_t>(1, std::min(g.axis[1].count(), kStripBytes / std::max<int64_t>(1, row)));
}

template <class T> void run(const Depthwise<T>& p) {
  const Kernels<T>& kern = kernels<T>();
  const Patches<T>& g = p.patches;
  const int64_t width = g.axis[2].count(), height = g.axis[1].count(), taps = p.planes * g.taps();
  // blocks of whole spreads
  const int64_t block = std::max<int64_t>(1, kBlockChannels / std::max(p.spread, p.planes)) * p.spread;
  const int64_t sources = block * p.planes / p.spread, blocks = ceil_div(p.channels, block);
  const int64_t rows = strip_rows(g, sources), strips = ceil_div(height, rows);
  const bool straight = p.y_step[2] == 1;
  const int64_t work = rows * width * block * taps;
  parallel_for(
      p.n * blocks, std::max<int64_t>(1, (int64_t(1) << 19) / (work * strips)),
      [&](int64_t begin, int64_t end) {
        PlaneStrip<T> strip(g, sources, rows, width);
        const std::vector<int32_t> offsets = strip.offsets(p.planes);
        Workspace<T> made(straight ? 1 : size_t(block * width));
        for (int64_t u = begin; u < end; ++u) {
          const int64_t n = u / blocks, o0 = u % blocks * block, some = std::min(block, p.channels - o0);
          for (int64_t d = 0; d < g.axis[0].count(); ++d)
            for (int64_t s = 0; s < strips; ++s) {
              const int64_t first = s * rows, count = std::min(rows, height - first);
              strip.load(n, d, first, count, o0 * p.planes / p.spread, ceil_div(some * p.planes, p.spread));
              for (int64_t h = 0; h < count; ++h) {
                T* y = p.y.p + n * p.y.n + d * p.y_step[0] + (first + h) * p.y_step[1] + o0 * p.y.c;
                for (int64_t o = 0; o < some; ++o)
                  kern.depthwise_row(
                      strip.data() + o * p.planes / p.spread * strip.plane() + h * strip.row_step(),
                      offsets.data(), p.w + (o0 + o) * taps, int(taps), g.axis[2].step(), width,
                      p.bias ? p.bias[o0 + o] : T(0), p.floor, straight ? y + o * p.y.c : made + o * width);
                if (straight) continue;
                if (p.y.c == 1) {
                  kern.transpose_copy(made, width, y, p.y_step[2], some, width);
                } else {
                  for (int64_t o = 0; o < some; ++o)
                    for (int64_t i = 0; i < width; ++i) y[o * p.y.c + i * p.y_step[2]] = made[o * width + i];
                }
              }
            }
        }
      });
}

}  // namespace

template <class T> void conv_depthwise(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kernel[3] = {s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel};
  const TurnedFilter<T> w(p.w, s.k, 1, kernel, p.w.step, {0, 1, 2});
  run(Depthwise<T>{forward_patches(s, p.x),
                   s.n,
                   s.k,
                   1,
                   s.k / s.c,
                   w,
                   p.y,
                   {p.y.step[0], p.y.step[1], p.y.step[2]},
                   p.b,
                   late(p) ? -std::numeric_limits<T>::infinity() : floor_of<T>(p.activation)});
  finish(p);
}

template <class T> void conv_depthwise(const ConvInputGrad<T>& p) {
  const ConvShape& s = p.s;
  const ConvAxis* a = s.axis;
  for (int64_t u = 0; u < a[0].stride * a[1].stride * a[2].stride; ++u) {
    const int64_t at[3] = {u / a[2].stride / a[1].stride, u / a[2].stride % a[1].stride, u % a[2].stride};
    const Residue r[3] = {Residue(a[0], at[0]), Residue(a[1], at[1]), Residue(a[2], at[2])};
    if (r[0].count == 0 || r[1].count == 0 || r[2].count == 0) continue;
    int64_t taps[3], tap_step[3];
    Field<const T> w = p.w;
    Field<T> gx = p.gx;
    for (int i = 0; i < 3; ++i) {
      taps[i] = r[i].taps, tap_step[i] = r[i].tap_step * p.w.step[i];
      w.p += r[i].tap0 * p.w.step[i], gx.p += at[i] * p.gx.step[i];
    }
    if (taps[0] * taps[1] * taps[2] == 0) {
      fill_unreached(p, at);
      continue;
    }
    // (k, 1, tap) is (c, multiplier, tap)
    const TurnedFilter<T> filters(w, s.k, 1, taps, tap_step, {0, 1, 2});
    run(Depthwise<T>{{p.gy, s.k, {r[0].axis(a[0]), r[1].axis(a[1]), r[2].axis(a[2])}},
                     s.n,
                     s.c,
                     s.k / s.c,
                     1,
                     filters,
                     gx,
                     {a[0].stride * gx.step[0], a[1].stride * gx.step[1], a[2].stride * gx.step[2]},
                     p.b,
                     -std::numeric_limits<T>::infinity()});
  }
}

template <class T> void conv_depthwise(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const Patches<T> image = forward_patches(s, p.x);
  const auto same = [](int64_t n) { return TapAxis(n, 1, n, {0}); };
  const Patches<T> gradient = {p.gy, s.k, {same(s.axis[0].out), same(s.axis[1].out), same(s.axis[2].out)}};
  const int64_t spread = s.k / s.c, sources = std::max<int64_t>(1, kBlockChannels / spread),
                block = sources * spread;
  const int64_t width = s.axis[2].out, height = s.axis[1].out, taps = s.taps(), blocks = ceil_div(s.k, block);
  const int64_t rows = std::min(strip_rows(image, sources), strip_rows(gradient, block)),
                strips = ceil_div(height, rows);
  std::fill_n(p.gw, s.k * taps, T(0));
  // Each block of channels sums over the whole batch, in order.
  parallel_for(blocks, std::max<int64_t>(1, (int64_t(1) << 19) / (s.n * s.outputs() * block * taps)),
               [&](int64_t begin, int64_t end) {
                 PlaneStrip<T> x(image, sources, rows, width), gy(gradient, block, rows, width);
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
                           kernels<T>().depthwise_weight(x.data() + k / spread * x.plane(), offsets.data(),
                                                         gy.data() + k * gy.plane(), int(taps),
                                                         image.axis[2].step(), count, x.row_step(),
                                                         gy.row_step(), width, p.gw + (k0 + k) * taps);
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
