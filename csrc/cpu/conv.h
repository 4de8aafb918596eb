// What the algorithms of convolution share: sizes, tensors with steps, and their entry points.
//
// Letters: N batch, C channels of x, K channels of y, taps: the positions of the filter. One to three spatial
// axes; missing ones lead and have size 1.
#pragma once
#include <vector>

#include "../view.h"
#include "gemm.h"

namespace nn::cpu {

enum class PaddingMode : int { zeros, reflect, replicate, circular };
enum class ConvAlgorithm : int { automatic, gemm, winograd, winograd2, depthwise, direct };

struct ConvAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, low = 0, high = 0;
};

struct ConvShape {
  int axes = 0;  // as given: 1, 2 or 3
  int64_t n = 0, c = 0, k = 0, groups = 1;
  ConvAxis axis[3];  // depth, height, width
  PaddingMode mode = PaddingMode::zeros;

  int64_t taps() const { return axis[0].kernel * axis[1].kernel * axis[2].kernel; }
  int64_t inputs() const { return axis[0].in * axis[1].in * axis[2].in; }
  int64_t outputs() const { return axis[0].out * axis[1].out * axis[2].out; }
  double flops() const { return 2.0 * double(n * k) * double(outputs()) * double(c / groups * taps()); }
  bool padded() const {
    return axis[0].low || axis[0].high || axis[1].low || axis[1].high || axis[2].low || axis[2].high;
  }
};

// A tensor (N, C, D, H, W) by its steps in elements; also a filter (K, C, taps).
template <class T> struct Field {
  T* p;
  int64_t n, c, step[3];
};
template <class T> Field<T> field(const View& v) {
  Field<T> f = {v.as<T>(), v.step(0), v.step(1), {0, 0, 0}};
  for (int i = 2; i < v.ndim; ++i) f.step[3 - v.ndim + i] = v.step(i);
  return f;
}

// Vectors then run along channels instead of along rows.
template <class T> bool channels_last(const Field<T>& x, int64_t channels) {
  return x.c == 1 && channels > 1 && x.step[2] != 1;
}

// conv_choice.cpp: `wanted` itself, or the cheapest for automatic. direction: 0 forward, 1 input gradient, 2
// weight gradient.
ConvAlgorithm choose(const char* op, const ConvShape& s, Dtype dt, int64_t wanted, int direction);

// Where element i of a padded axis of `size` elements comes from; -1: a zero.
int64_t padding_source(PaddingMode mode, int64_t i, int64_t size);

// y = act(conv(x, w) + b + residual). b: K numbers side by side or null; residual: like y or null.
template <class T> struct ConvForward {
  ConvShape s;
  Field<const T> x, w;
  Field<T> y;
  const T *b = nullptr, *residual = nullptr;
  Activation activation = Activation::none;
};
// gx = the adjoint of conv applied to gy, + b per channel of gx. s.mode must be zeros.
template <class T> struct ConvInputGrad {
  ConvShape s;
  Field<const T> gy, w;
  Field<T> gx;
  const T* b = nullptr;
};
// gw: contiguous (K, C / groups, taps).
template <class T> struct ConvWeightGrad {
  ConvShape s;
  Field<const T> gy, x;
  T* gw;
};

template <class T> void conv_gemm(const ConvForward<T>& p);
template <class T> void conv_gemm(const ConvInputGrad<T>& p);
template <class T> void conv_gemm(const ConvWeightGrad<T>& p);

// For algorithms that can't add the residual or apply every activation on the way out: late() says that they
// have to be done by finish(), a pass over y.
template <class T> bool late(const ConvForward<T>& p) {
  return p.residual || (p.activation != Activation::none && p.activation != Activation::relu);
}
template <class T> void finish(const ConvForward<T>& p);

// The inputs at `residue` (modulo the stride) that no filter reaches: zero, or the bias.
template <class T> void fill_unreached(const ConvInputGrad<T>& p, const int64_t (&residue)[3]);

// groups = channels.
template <class T> void conv_depthwise(const ConvForward<T>& p);
template <class T> void conv_depthwise(const ConvInputGrad<T>& p);
template <class T> void conv_depthwise(const ConvWeightGrad<T>& p);

template <class T> void conv_direct(const ConvForward<T>& p);
template <class T> void conv_direct(const ConvInputGrad<T>& p);
template <class T> void conv_direct(const ConvWeightGrad<T>& p);

// Filters of 3 x 3 or 5 x 5 taps, or of several such frames, with stride and dilation 1; of images with any
// stride if 2 to 5 taps of each axis are of one residue (conv_winograd.cpp). winograd: F(4, 3), F(2, 5),
// F(4, 2) or F(3, 4); winograd2: F(2, 3).
bool winograd_serves(const ConvShape& s, ConvAlgorithm a);
WinogradForm winograd_form(const ConvShape& s, ConvAlgorithm a);
double winograd_cost(const ConvShape& s, ConvAlgorithm a, int direction);  // comparable with flops()
template <class T> void conv_winograd(const ConvForward<T>& p, WinogradForm form);
template <class T> void conv_winograd(const ConvInputGrad<T>& p, WinogradForm form);
template <class T> void conv_winograd(const ConvWeightGrad<T>& p, WinogradForm form);

}  // namespace nn::cpu
