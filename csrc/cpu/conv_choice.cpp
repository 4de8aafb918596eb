// Which algorithm serves a convolution: the one that was asked for, or the cheapest.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "conv_winograd.h"

namespace nn::cpu {
namespace {

// Offsets within planes have 32 bits. A strip is one row of results at least, of either side's image.
bool planes_fit(const ConvShape& s) {
  double size = double(std::max(s.c, s.k) / s.groups);
  for (int i = 0; i < 3; ++i) {
    const ConvAxis& a = s.axis[i];
    const int64_t reach = a.dilation * (a.kernel - 1) + a.stride, whole = a.in + a.low + a.high + a.stride;
    size *= double(i == 0 ? a.kernel : i == 1 ? std::min(reach, whole) : whole);
  }
  return size < 0x1p31;
}

// The direct algorithm makes whole tiles of an image's results: worth it if most of them are wanted. Its
// weight gradient sums over the pixels of a row, filter by filter, and writes all weights once per strip.
bool direct_pays(const ConvShape& s, Dtype dt, int direction) {
  const int64_t tile =
      dt == Dtype::f32 ? kernels<float>().conv_tile_pixels() : kernels<double>().conv_tile_pixels();
  const auto filled = [&](int64_t pixels) { return 10 * pixels >= 7 * tile * ((pixels + tile - 1) / tile); };
  if (direction == 2) return filled(s.axis[2].out) || s.k * (s.c / s.groups) * s.taps() <= 256 << 10;
  int64_t pixels = 1;
  for (const ConvAxis& a : s.axis) pixels *= direction == 1 ? (a.in + a.stride - 1) / a.stride : a.out;
  return filled(pixels);
}

// The form that reads filters and residues in place.
bool strided_form(const ConvShape& s) {
  return s.axis[2].stride == 2 && s.axis[2].kernel == 4 && s.c % kStripChannels == 0;
}

// Like winograd_cost, of filters in pieces of three taps: 5 products for 3 results. Sums of filters'
// gradients come back for every image, from memory if they are large.
double line_cost(const ConvShape& s, int direction) {
  const ConvAxis& w = s.axis[2];
  const int64_t width = kernels<float>().gemm_shape().width, k = round_up(s.k, width);
  const double tiles = double(s.n * ceil_div(w.out, 3)), filters = double(s.c * k * ceil_div(w.kernel, 3));
  const double sums = direction != 2 ? 0 : double(s.n) * (filters > 1e5 ? 500 : 25);
  return 5 * ((2 * tiles + 60 + sums) * filters + 20 * tiles * double(round_up(s.c, width) + k));
}

}  // namespace

bool winograd_serves(const ConvShape& s, ConvAlgorithm a) {
  const ConvAxis &h = s.axis[1], &w = s.axis[2];
  for (const ConvAxis& x : s.axis)
    if (x.dilation != 1 || std::max(x.low, x.high) >= x.kernel) return false;
  if (s.groups != 1 || s.mode != PaddingMode::zeros) return false;
  if (s.axes == 1) return w.stride == 1 && w.kernel > 2 && a == ConvAlgorithm::winograd;
  if (w.kernel != h.kernel || w.stride != h.stride || s.axis[0].stride != 1) return false;
  if (h.stride > 1 && s.axes != 2) return false;
  const int64_t taps = ceil_div(h.kernel, h.stride);
  return taps == 3 ||
         ((taps == 5 || (h.stride > 1 && (taps == 2 || taps == 4))) && a == ConvAlgorithm::winograd);
}

WinogradForm winograd_form(const ConvShape& s, ConvAlgorithm a) {
  const int64_t taps = ceil_div(s.axis[1].kernel, s.axis[1].stride);
  return strided_form(s)                 ? WinogradForm::strided
         : taps == 2                     ? WinogradForm::f42
         : taps == 4                     ? WinogradForm::f34
         : taps == 5                     ? WinogradForm::f25
         : a == ConvAlgorithm::winograd2 ? WinogradForm::f23
                                         : WinogradForm::f43;
}

double winograd_cost(const ConvShape& s, ConvAlgorithm a, int direction) {
  if (s.axes == 1) return line_cost(s, direction);
  // In operations of the products, as measured: what a transformed number of an image costs, and one of a
  // filter; those of volumes come back from L3 for every frame.
  const WinogradSizes sizes(winograd_form(s, a));
  const GridTiles grid(sizes.form, s, sizes.taps);
  const Tiles g = direction == 1 ? grid.tiles : Tiles(sizes.form, s.n, s.axis[1].out, s.axis[2].out);
  const double sets = direction == 1 && grid.own ? 4 : 1;
  const bool volume = s.axes == 3;
  const bool strided = g.form == WinogradForm::strided;
  const double number = g.taps == 5   ? 36
                        : strided     ? 20
                        : g.taps == 2 ? 30
                                      : 50,
               filter = g.planes() == 36 ? volume ? 500 : 45
                        : volume         ? 2000
                        : strided        ? 50
                        : g.taps == 2    ? 150
                                         : 100;
  const int64_t stride = s.axis[2].stride, residues = stride * stride;
  const int64_t width = kernels<float>().gemm_shape().width, k = round_up(s.k, width);
  const int64_t joined = !strided && s.c <= kResidueChannels ? stride : 1,
                c = round_up(s.c * joined, width) * (residues / joined);
  const double tiles = double(g.count * s.axis[0].out),
               filters = double(residues * s.c * s.k * s.axis[0].kernel);
  // of the products, beside those with taps at infinity that are none
  const double needed = 1 - double(g.taps * stride - s.axis[2].kernel) / double(g.reach * stride);
  return g.planes() *
         ((2 * needed * needed * tiles + filter) * filters + number * tiles * (double(c) + sets * double(k)));
}

ConvAlgorithm choose(const char* op, const ConvShape& s, Dtype dt, int64_t wanted, int direction) {
  const ConvAlgorithm a = ConvAlgorithm(wanted);
  const bool depthwise = s.c == s.groups && s.groups > 1;
  const auto serves = [&](ConvAlgorithm w) { return dt == Dtype::f32 && winograd_serves(s, w); };
  switch (a) {
    case ConvAlgorithm::automatic: {
      if (depthwise && planes_fit(s)) return ConvAlgorithm::depthwise;
      ConvAlgorithm best = ConvAlgorithm::gemm;
      double cost = s.flops() + 200.0 * double(s.k * (s.c / s.groups) * s.taps());  // of the others
      for (const ConvAlgorithm w : {ConvAlgorithm::winograd, ConvAlgorithm::winograd2})
        if (serves(w) && winograd_cost(s, w, direction) < cost)
          best = w, cost = winograd_cost(s, w, direction);
      if (best != ConvAlgorithm::gemm) return best;
      // 1x1 filters need no patches, so there is nothing to save but the scattered results of a strided
      // gradient.
      const bool strided = direction == 1 && s.axis[2].stride > 1;
      if ((s.taps() > 1 || strided) && direct_pays(s, dt, direction) && planes_fit(s))
        return ConvAlgorithm::direct;
      return ConvAlgorithm::gemm;
    }
    case ConvAlgorithm::gemm:
      return a;
    case ConvAlgorithm::direct:
      if (planes_fit(s)) return a;
      break;
    case ConvAlgorithm::winograd:
    case ConvAlgorithm::winograd2:
      if (serves(a)) return a;
      break;
    case ConvAlgorithm::depthwise:
      if (depthwise && planes_fit(s)) return a;
      break;
  }
  constexpr const char* names[] = {"auto", "gemm", "winograd", "winograd2", "depthwise", "direct"};
  const bool known = wanted >= 0 && wanted <= int(ConvAlgorithm::direct);
  throw std::invalid_argument(std::string(op) + ": algorithm '" +
                              (known ? names[wanted] : std::to_string(wanted)) +
                              "' can't serve this convolution");
}

}  // namespace nn::cpu
