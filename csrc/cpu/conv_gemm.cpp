// Convolution as a matrix product whose image operand packs itself (implicit GEMM). Any stride, dilation,
// padding, group count and layout; nothing of the size of the patches is ever written down.
//
//   forward      y[k, pixels]  = w[k, (c, tap)] patches(x)            channels-last: the transposed product
//   input grad   one product per residue of the position modulo the stride: within it the taps that reach a
//                pixel are always the same, so it is a convolution of gy with unit stride
//   weight grad  gw[k, (c, tap)] = gy[k, pixels] patches(x)^T         the depth runs over the whole batch
//
// Bound by the FMA units; packing costs one pass over the patches in L1/L2.
#include <algorithm>

#include "../memory.h"
#include "../parallel.h"
#include "conv_panels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr double kGroupFlops = 2 << 20;  // groups below go together into one piece of work

// Pixels in the order n, d, h, w.
template <class T> Walk pixel_walk(const Field<T>& f, const int64_t* size, const int64_t* stride, int64_t n) {
  Walk w;
  for (int a = 2; a >= 0; --a) w.then(size[a], f.step[a] * stride[a]);
  w.then(n, f.n);
  return w;
}

constexpr int64_t kUnit[3] = {1, 1, 1};

template <class T> Field<const T> group_of(const Field<const T>& x, int64_t channels, int64_t g) {
  Field<const T> f = x;
  f.p += g * channels * x.c;
  return f;
}

// f(group), in parallel where a group is too small to share its own work.
template <class F> void for_groups(const ConvShape& s, F&& f) {
  const double each = s.flops() / double(s.groups);
  const bool inner = each > 16 * kGroupFlops || s.groups == 1;
  const int64_t grain = inner ? s.groups : std::max<int64_t>(1, int64_t(kGroupFlops / std::max(each, 1.0)));
  parallel_for(s.groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) f(g);
  });
}

}  // namespace

template <class T> void conv_gemm(const ConvForward<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups, taps = s.taps();
  const int64_t kernel[3] = {s.axis[0].kernel, s.axis[1].kernel, s.axis[2].kernel};
  const int64_t out[3] = {s.axis[0].out, s.axis[1].out, s.axis[2].out};
  const int64_t stride[3] = {s.axis[0].stride, s.axis[1].stride, s.axis[2].stride};
  const bool last = channels_last(p.y, s.k);
  const bool plain = taps == 1 && !s.padded();  // 1x1: image and filter themselves are the operands
  const TurnedFilter<T> w(p.w, plain ? 0 : s.k, cg, kernel, p.w.step,
                          last ? (const int (&)[3]){0, 2, 1} : (const int (&)[3]){0, 1, 2});
  Patches<T> all = forward_patches(s, p.x);
  const Walk pixels = pixel_walk(p.x, out, stride, s.n), results = pixel_walk(p.y, out, kUnit, s.n);
  for_groups(s, [&](int64_t g) {
    Patches<T> patches = all;
    patches.x = group_of(p.x, cg, g);
    const WalkPanels<T> filter = plain ? WalkPanels<T>(p.w.p + g * kg * p.w.n, Walk(p.w.n), Walk(p.w.c))
                                       : WalkPanels<T>(w + g * kg * cg * taps, Walk(cg * taps), Walk(1));
    const WalkPanels<T> image(patches.x.p, pixels, Walk(p.x.c));
    const PatchColumns<T> columns(patches);
    const PatchRows<T> rows(patches);
    Product<T> q = {};
    q.k = cg * taps;
    q.c = p.y.p + g * kg * p.y.c;
    q.residual = p.residual ? p.residual + g * kg * p.y.c : nullptr;
    q.alpha = 1, q.beta = 1, q.activation = p.activation;
    const T* b = p.b ? p.b + g * kg : nullptr;
    if (last) {
      q.m = s.n * s.outputs(), q.n = kg;
      q.a = plain ? static_cast<const Panels<T>*>(&image) : &rows, q.b = &filter;
      q.rows = results, q.cols = Walk(p.y.c), q.bias = b;
    } else {
      q.m = kg, q.n = s.n * s.outputs();
      q.a = &filter, q.b = plain ? static_cast<const Panels<T>*>(&image) : &columns;
      q.rows = Walk(p.y.c), q.cols = results, q.row_bias = b;
    }
    multiply(q);
  });
}

namespace {

template <class T> void input_grad_residue(const ConvInputGrad<T>& p, const Residue& d, const Residue& h,
                                           const Residue& w, const int64_t (&origin)[3]) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups;
  const int64_t taps[3] = {d.taps, h.taps, w.taps}, count = taps[0] * taps[1] * taps[2];
  const int64_t tap_step[3] = {d.tap_step * p.w.step[0], h.tap_step * p.w.step[1], w.tap_step * p.w.step[2]};
  const int64_t size[3] = {d.count, h.count, w.count}, pixels = s.n * size[0] * size[1] * size[2];
  const int64_t stride[3] = {s.axis[0].stride, s.axis[1].stride, s.axis[2].stride};
  if (pixels == 0) return;
  const bool last = channels_last(p.gx, s.c);
  const bool plain = s.taps() == 1 && !s.padded() && count == 1;  // 1x1: gy and filter are the operands
  Field<T> gx = p.gx;
  for (int a = 0; a < 3; ++a) gx.p += origin[a] * gx.step[a];
  const Walk results = pixel_walk(gx, size, stride, s.n), sources = pixel_walk(p.gy, size, kUnit, s.n);
  const Patches<T> all = {p.gy, kg, {d.axis(s.axis[0]), h.axis(s.axis[1]), w.axis(s.axis[2])}};
  for_groups(s, [&](int64_t g) {
    Field<const T> weights = p.w;
    weights.p += g * kg * p.w.n + d.tap0 * p.w.step[0] + h.tap0 * p.w.step[1] + w.tap0 * p.w.step[2];
    const int order_last[3] = {1, 2, 0}, order_first[3] = {1, 0, 2};
    const TurnedFilter<T> filter(weights, plain ? 0 : kg, cg, taps, tap_step,
                                 last ? order_last : order_first);
    Patches<T> patches = all;
    patches.x = group_of(p.gy, kg, g);
    const WalkPanels<T> filter_panels = plain ? WalkPanels<T>(weights.p, Walk(weights.c), Walk(weights.n))
                                              : WalkPanels<T>(filter, Walk(kg * count), Walk(1));
    const WalkPanels<T> image(patches.x.p, sources, Walk(p.gy.c));
    const PatchColumns<T> columns(patches);
    const PatchRows<T> rows(patches);
    Product<T> q = {};
    q.k = kg * count;
    q.c = gx.p + g * cg * gx.c;
    q.alpha = 1;
    const T* b = p.b ? p.b + g * cg : nullptr;
    if (last) {
      q.m = pixels, q.n = cg;
      q.a = plain ? static_cast<const Panels<T>*>(&image) : &rows, q.b = &filter_panels;
      q.rows = results, q.cols = Walk(gx.c), q.bias = b;
    } else {
      q.m = cg, q.n = pixels;
      q.a = &filter_panels, q.b = plain ? static_cast<const Panels<T>*>(&image) : &columns;
      q.rows = Walk(gx.c), q.cols = results, q.row_bias = b;
    }
    multiply(q);
  });
}

}  // namespace

template <class T> void conv_gemm(const ConvInputGrad<T>& p) {
  const ConvAxis* a = p.s.axis;
  for (int64_t d = 0; d < a[0].stride; ++d)
    for (int64_t h = 0; h < a[1].stride; ++h)
      for (int64_t w = 0; w < a[2].stride; ++w)
        input_grad_residue(p, Residue(a[0], d), Residue(a[1], h), Residue(a[2], w), {d, h, w});
}

template <class T> void conv_gemm(const ConvWeightGrad<T>& p) {
  const ConvShape& s = p.s;
  const int64_t kg = s.k / s.groups, cg = s.c / s.groups, taps = s.taps();
  const int64_t out[3] = {s.axis[0].out, s.axis[1].out, s.axis[2].out};
  const int64_t stride[3] = {s.axis[0].stride, s.axis[1].stride, s.axis[2].stride};
  const bool last = channels_last(p.x, s.c) && cg > 1;
  const bool plain = taps == 1 && !s.padded();
  const Patches<T> all = forward_patches(s, p.x);
  const Walk pixels = pixel_walk(p.gy, out, kUnit, s.n), image_pixels = pixel_walk(p.x, out, stride, s.n);
  for_groups(s, [&](int64_t g) {
    Patches<T> patches = all;
    patches.x = group_of(p.x, cg, g);
    const WalkPanels<T> gy(group_of(p.gy, kg, g).p, Walk(p.gy.c), pixels);
    const WalkPanels<T> image(patches.x.p, Walk(p.x.c), image_pixels);
    const PatchDepth<T> depth(patches, last);
    T* gw = p.gw + g * kg * cg * taps;
    // channels-last patches give (k, tap, c): put in order afterwards, the result is small
    const bool turn = last && taps > 1;
    Workspace<T> turned(turn ? size_t(kg * cg * taps) : 1);
    Product<T> q = {};
    q.m = kg, q.n = cg * taps, q.k = s.n * s.outputs();
    q.a = &gy, q.b = plain ? static_cast<const Panels<T>*>(&image) : &depth;
    q.c = turn ? static_cast<T*>(turned) : gw, q.rows = Walk(cg * taps), q.cols = Walk(1);
    q.alpha = 1;
    multiply(q);
    if (!turn) return;
    const int64_t size = sizeof(T), shape[3] = {kg, cg, taps};
    const int64_t from[3] = {cg * taps * size, size, cg * size},
                  to[3] = {cg * taps * size, taps * size, size};
    const Dtype dt = dtype_of<T>::value;
    copy(View{static_cast<T*>(turned), dt, false, false, 3, shape, from, nullptr, 0},
         View{gw, dt, true, false, 3, shape, to, nullptr, 0});
  });
}

#define NN_INSTANTIATE(T)                           \
  template void conv_gemm(const ConvForward<T>&);   \
  template void conv_gemm(const ConvInputGrad<T>&); \
  template void conv_gemm(const ConvWeightGrad<T>&);
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
