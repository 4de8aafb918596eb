// Convolution: checks, sizes, the layout of the result and the choice of the algorithm.
#include "conv.h"

#include <algorithm>
#include <cstring>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kLongest = int64_t(1) << 31;  // of any axis

struct Options {
  const Ints &stride, &padding, &dilation;
  int64_t groups, mode;
};

const char* op_name(int axes) { return axes == 1 ? "conv1d" : axes == 2 ? "conv2d" : "conv3d"; }

View shape_view(const int64_t* shape, int ndim) {
  return View{nullptr, Dtype::f32, false, false, ndim, shape, shape, nullptr, 0};
}

void check_options(const char* op, int axes, const Options& o) {
  if (o.stride.count != axes || o.dilation.count != axes || o.padding.count != 2 * axes)
    throw std::invalid_argument(std::string(op) + ": stride and dilation take " + std::to_string(axes) +
                                " numbers and padding two per axis");
  for (int i = 0; i < axes; ++i) {
    if (o.stride[i] < 1 || o.stride[i] > kLongest)
      throw std::invalid_argument(std::string(op) + ": stride must be positive, not " +
                                  std::to_string(o.stride[i]));
    if (o.dilation[i] < 1 || o.dilation[i] > kLongest)
      throw std::invalid_argument(std::string(op) + ": dilation must be positive, not " +
                                  std::to_string(o.dilation[i]));
  }
  for (int i = 0; i < 2 * axes; ++i)
    if (o.padding[i] < 0 || o.padding[i] > kLongest)
      throw std::invalid_argument(std::string(op) + ": padding can't be negative (" +
                                  std::to_string(o.padding[i]) + ")");
  if (o.mode < 0 || o.mode > int(PaddingMode::circular))
    throw std::invalid_argument(std::string(op) + ": unknown padding mode");
}

// Sizes of a convolution of x_shape (N, C, ...) with w_shape (K, C / groups, ...).
ConvShape conv_shape(const char* op, int ndim, const int64_t* x_shape, const int64_t* w_shape,
                     const Options& o) {
  ConvShape s;
  s.axes = ndim - 2;
  const View x = shape_view(x_shape, ndim), w = shape_view(w_shape, ndim);
  check_options(op, s.axes, o);
  s.mode = PaddingMode(o.mode);
  s.n = x_shape[0], s.c = x_shape[1], s.k = w_shape[0], s.groups = o.groups;
  if (o.groups < 1 || s.c % o.groups || s.k % o.groups)
    fail(
        op,
        "groups=" + std::to_string(o.groups) + " must divide the channels of input and the filters of weight",
        {{"input", x}, {"weight", w}});
  if (w_shape[1] != s.c / o.groups)
    fail(op,
         "input has " + std::to_string(s.c) + " channels but weight takes " +
             std::to_string(w_shape[1] * o.groups) + " (groups=" + std::to_string(o.groups) + ")",
         {{"input", x}, {"weight", w}});
  if (s.c == 0 || s.k == 0)
    fail(op, "input and weight need at least one channel", {{"input", x}, {"weight", w}});
  for (int i = 0; i < s.axes; ++i) {
    ConvAxis& a = s.axis[3 - s.axes + i];
    a.in = x_shape[2 + i], a.kernel = w_shape[2 + i];
    a.stride = o.stride[i], a.dilation = o.dilation[i], a.low = o.padding[2 * i],
    a.high = o.padding[2 * i + 1];
    if (a.in > kLongest || a.kernel > kLongest)
      fail(op, "an axis is too long", {{"input", x}, {"weight", w}});
    if (a.kernel == 0) fail(op, "the filter is empty", {{"weight", w}});
    const int64_t most = s.mode == PaddingMode::reflect ? a.in - 1 : a.in;
    if (s.mode != PaddingMode::zeros &&
        std::max(a.low, a.high) > (s.mode == PaddingMode::replicate ? kLongest : most))
      fail(op,
           "this padding mode can't pad an axis of " + std::to_string(a.in) + " by " +
               std::to_string(std::max(a.low, a.high)),
           {{"input", x}});
    if (s.mode != PaddingMode::zeros && a.in == 0)
      fail(op, "an empty axis has nothing to pad with", {{"input", x}});
    const int64_t reach = a.dilation * (a.kernel - 1) + 1, padded = a.in + a.low + a.high;
    if (padded < reach)
      fail(op,
           "the filter reaches over " + std::to_string(reach) + " elements but the padded axis has " +
               std::to_string(padded),
           {{"input", x}, {"weight", w}});
    a.out = (padded - reach) / a.stride + 1;
    // A single result has no next one; gradients make lists of as many residues as the stride has.
    if (a.out == 1) a.stride = std::min(a.stride, padded);
    if (a.out > kLongest) fail(op, "the result is too large", {{"input", x}});
  }
  return s;
}

void result_shape(int64_t* shape, int64_t n, int64_t channels, const ConvShape& s, int64_t ConvAxis::* size) {
  shape[0] = n, shape[1] = channels;
  for (int i = 0; i < s.axes; ++i) shape[2 + i] = s.axis[3 - s.axes + i].*size;
}

// The axes of a fresh (N, C, ...) array laid out as (N, ..., C).
void lay_channels_last(Array& y) {
  int64_t bytes = itemsize(y.dtype);
  y.strides[1] = bytes;
  bytes *= y.shape[1];
  for (int i = y.ndim - 1; i >= 2; --i) y.strides[i] = bytes, bytes *= y.shape[i];
  y.strides[0] = bytes;
}

bool is_channels_last(const View& x) {
  return dispatch(x.dtype, [&](auto t) { return channels_last(field<const decltype(t)>(x), x.shape[1]); });
}

// Numbers side by side; null if absent.
template <class T> class Bias {
 public:
  explicit Bias(const OptView& b) : given_(bool(b)), dense_(b ? static_cast<const View&>(b) : none()) {}
  const T* get() const { return given_ ? dense_.as<T>() : nullptr; }

 private:
  static const View& none() {
    static const int64_t zero[1] = {0};
    static const View v{nullptr, dtype_of<T>::value, false, false, 1, zero, zero, nullptr, 0};
    return v;
  }
  bool given_;
  Dense dense_;
};

void check_bias(const char* op, const OptView& b, int64_t channels, const View& w) {
  if (b && (b.ndim != 1 || b.shape[0] != channels))
    fail(op, "bias must have one number per channel of the result, shape (" + std::to_string(channels) + ",)",
         {{"weight", w}, {"bias", b}});
}

void check_dims(const char* what, const View& x, const View& w) {
  if (x.ndim < 3 || x.ndim > 5 || w.ndim != x.ndim)
    fail("conv",
         std::string(what) + " must have 3 to 5 axes (N, C, and 1 to 3 spatial ones) and weight as many",
         {{what, x}, {"weight", w}});
}

// The problem by the algorithm that was chosen.
template <class P> void solve(ConvAlgorithm a, const P& p) {
  switch (a) {
    case ConvAlgorithm::winograd:
    case ConvAlgorithm::winograd2:
      return conv_winograd(p, winograd_form(p.s, a));
    case ConvAlgorithm::direct:
      return conv_direct(p);
    case ConvAlgorithm::depthwise:
      return conv_depthwise(p);
    default:
      return conv_gemm(p);
  }
}

}  // namespace

template <class T> void finish(const ConvForward<T>& p) {
  if (!late(p)) return;
  // y is dense, and residual lies like it
  T* y = p.y.p;
  parallel_for(p.s.n * p.s.k * p.s.outputs(), 32768, [&](int64_t begin, int64_t end) {
    if (p.residual) kernels<T>().add_to(p.residual + begin, y + begin, end - begin);
    if (p.activation == Activation::relu)
      kernels<T>().unary(int(Unary::relu), y + begin, y + begin, end - begin, false);
    activate(p.activation, y + begin, 0, 1, end - begin);
  });
}
template <class T> void fill_unreached(const ConvInputGrad<T>& p, const int64_t (&residue)[3]) {
  const ConvAxis* a = p.s.axis;
  const Field<T>& gx = p.gx;
  for (int64_t n = 0; n < p.s.n; ++n)
    for (int64_t c = 0; c < p.s.c; ++c)
      for (int64_t d = residue[0]; d < a[0].in; d += a[0].stride)
        for (int64_t h = residue[1]; h < a[1].in; h += a[1].stride)
          for (int64_t w = residue[2]; w < a[2].in; w += a[2].stride)
            gx.p[n * gx.n + c * gx.c + d * gx.step[0] + h * gx.step[1] + w * gx.step[2]] =
                p.b ? p.b[c] : T(0);
}
template void fill_unreached(const ConvInputGrad<float>&, const int64_t (&)[3]);
template void fill_unreached(const ConvInputGrad<double>&, const int64_t (&)[3]);
template void finish(const ConvForward<float>&);
template void finish(const ConvForward<double>&);

Array conv_forward(const View& x, const View& w, const OptView& b, const OptView& residual,
                   const Ints& stride, const Ints& padding, const Ints& dilation, int64_t groups,
                   int64_t padding_mode, int64_t activation, int64_t algorithm) {
  check_dims("input", x, w);
  const char* op = op_name(x.ndim - 2);
  Dtype dt = common_dtype(op, {{"input", x}, {"weight", w}});
  if (b) dt = common_dtype(op, {{"input", x}, {"bias", b}});
  if (residual) dt = common_dtype(op, {{"input", x}, {"residual", residual}});
  const ConvShape s =
      conv_shape(op, x.ndim, x.shape, w.shape, {stride, padding, dilation, groups, padding_mode});
  check_bias(op, b, s.k, w);
  if (activation < 0 || activation > int(Activation::silu))
    throw std::invalid_argument(std::string(op) + ": unknown activation");
  int64_t shape[5];
  result_shape(shape, s.n, s.k, s, &ConvAxis::out);
  if (residual) {
    bool same = residual.ndim == x.ndim;
    for (int i = 0; same && i < x.ndim; ++i) same = residual.shape[i] == shape[i];
    if (!same)
      fail(op, "residual must have the shape of the result",
           {{"residual", residual}, {"result", shape_view(shape, x.ndim)}});
  }
  const ConvAlgorithm chosen = choose(op, s, dt, algorithm, 0);
  Array y = output(op, dt, x.ndim, shape);
  if (is_channels_last(x)) lay_channels_last(y);
  if (y.size() == 0) return y;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Bias<T> bias(b);
    // residual is read by the same steps as y is written
    bool alike = bool(residual);
    for (int i = 0; alike && i < y.ndim; ++i) alike = residual.strides[i] == y.strides[i];
    Workspace<T> turned(residual && !alike ? size_t(y.size()) : 1);
    if (residual && !alike) {
      View to = y.view();
      to.data = static_cast<T*>(turned);
      copy(residual, to);
    }
    ConvForward<T> p = {s,          field<const T>(x), field<const T>(w),     field<T>(y.view()),
                        bias.get(), nullptr,           Activation(activation)};
    if (residual) p.residual = alike ? residual.as<const T>() : static_cast<T*>(turned);
    solve(chosen, p);
  });
  return y;
}

namespace {

// gx[source of i] += padded[i]: the adjoint of padding by reflection, repetition or wrapping around.
template <class T> void fold_padding(const ConvShape& s, const Field<const T>& padded, const Field<T>& gx) {
  const ConvAxis* a = s.axis;
  const auto source = [&](int i, int64_t at) { return padding_source(s.mode, at - a[i].low, a[i].in); };
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t c = 0; c < s.c; ++c)
      for (int64_t d = 0; d < a[0].in + a[0].low + a[0].high; ++d)
        for (int64_t h = 0; h < a[1].in + a[1].low + a[1].high; ++h) {
          const T* from = padded.p + n * padded.n + c * padded.c + d * padded.step[0] + h * padded.step[1];
          T* to = gx.p + n * gx.n + c * gx.c + source(0, d) * gx.step[0] + source(1, h) * gx.step[1];
          for (int64_t w = 0; w < a[2].in + a[2].low + a[2].high; ++w)
            to[source(2, w) * gx.step[2]] += from[w * padded.step[2]];
        }
}

template <class T> void input_grad(ConvAlgorithm a, const ConvShape& s, const View& gy, const View& w,
                                   const T* b, const View& gx) {
  if (s.mode == PaddingMode::zeros || !s.padded()) {
    ConvShape zeros = s;
    zeros.mode = PaddingMode::zeros;
    solve(a, ConvInputGrad<T>{zeros, field<const T>(gy), field<const T>(w), field<T>(gx), b});
    return;
  }
  // The gradient of the padded image first, then each of its numbers goes to where it came from.
  ConvShape wide = s;
  wide.mode = PaddingMode::zeros;
  int64_t shape[5] = {s.n, s.c};
  for (int i = 0; i < s.axes; ++i) {
    ConvAxis& a = wide.axis[3 - s.axes + i];
    a.in += a.low + a.high, a.low = a.high = 0;
    shape[2 + i] = a.in;
  }
  Array padded = output("conv", gx.dtype, gx.ndim, shape);
  conv_gemm(ConvInputGrad<T>{wide, field<const T>(gy), field<const T>(w), field<T>(padded.view()), nullptr});
  T* p = gx.as<T>();
  const Field<T> to = field<T>(gx);
  for (int64_t c = 0, area = s.inputs(); c < s.c; ++c)
    for (int64_t n = 0; n < s.n; ++n)
      for (int64_t i = 0; i < area; ++i)
        p[n * to.n + c * to.c + (channels_last(to, s.c) ? i * s.c : i)] = b ? b[c] : T(0);
  fold_padding<T>(s, field<const T>(padded.view()), to);
}

}  // namespace

Array conv_input_grad(const View& gy, const View& w, const OptView& b, const Ints& input_size,
                      const Ints& stride, const Ints& padding, const Ints& dilation, int64_t groups,
                      int64_t padding_mode, int64_t algorithm) {
  check_dims("grad_output", gy, w);
  const char* op = op_name(gy.ndim - 2);
  Dtype dt = common_dtype(op, {{"grad_output", gy}, {"weight", w}});
  if (b) dt = common_dtype(op, {{"grad_output", gy}, {"bias", b}});
  if (input_size.count != gy.ndim - 2)
    throw std::invalid_argument(std::string(op) + ": input_size takes one number per spatial axis");
  int64_t shape[5] = {gy.shape[0], 0};
  if (groups < 1 || __builtin_mul_overflow(w.shape[1], groups, &shape[1]))
    throw std::invalid_argument(std::string(op) + ": groups must be positive");
  for (int i = 0; i < input_size.count; ++i) {
    if (input_size[i] < 0) throw std::invalid_argument(std::string(op) + ": input_size can't be negative");
    shape[2 + i] = input_size[i];
  }
  const ConvShape s =
      conv_shape(op, gy.ndim, shape, w.shape, {stride, padding, dilation, groups, padding_mode});
  check_bias(op, b, s.c, w);
  int64_t y_shape[5];
  result_shape(y_shape, s.n, s.k, s, &ConvAxis::out);
  for (int i = 0; i < gy.ndim; ++i)
    if (gy.shape[i] != y_shape[i])
      fail(op, "grad_output must have the shape of the convolution's result",
           {{"grad_output", gy}, {"result", shape_view(y_shape, gy.ndim)}});
  const ConvAlgorithm chosen = choose(op, s, dt, algorithm, 1);
  Array gx = output(op, dt, gy.ndim, shape);
  if (is_channels_last(gy)) lay_channels_last(gx);
  if (gx.size() == 0) return gx;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    input_grad<T>(chosen, s, gy, w, Bias<T>(b).get(), gx.view());
  });
  return gx;
}

Array conv_weight_grad(const View& gy, const View& x, const Ints& kernel_size, const Ints& stride,
                       const Ints& padding, const Ints& dilation, int64_t groups, int64_t padding_mode,
                       int64_t algorithm) {
  check_dims("input", x, gy);
  const char* op = op_name(x.ndim - 2);
  const Dtype dt = common_dtype(op, {{"grad_output", gy}, {"input", x}});
  if (kernel_size.count != x.ndim - 2)
    throw std::invalid_argument(std::string(op) + ": kernel_size takes one number per spatial axis");
  if (groups < 1) throw std::invalid_argument(std::string(op) + ": groups must be positive");
  int64_t shape[5] = {gy.shape[1], x.shape[1] / groups};
  for (int i = 0; i < kernel_size.count; ++i) shape[2 + i] = kernel_size[i];
  for (int i = 0; i < kernel_size.count; ++i)
    if (kernel_size[i] < 0) throw std::invalid_argument(std::string(op) + ": kernel_size can't be negative");
  const ConvShape s =
      conv_shape(op, x.ndim, x.shape, shape, {stride, padding, dilation, groups, padding_mode});
  int64_t y_shape[5];
  result_shape(y_shape, s.n, s.k, s, &ConvAxis::out);
  for (int i = 0; i < x.ndim; ++i)
    if (gy.shape[i] != y_shape[i])
      fail(op, "grad_output must have the shape of the convolution's result",
           {{"grad_output", gy}, {"result", shape_view(y_shape, x.ndim)}});
  const ConvAlgorithm chosen = choose(op, s, dt, algorithm, 2);
  Array gw = output(op, dt, x.ndim, shape);
  if (gy.size() == 0) {
    memset(gw.data, 0, size_t(gw.view().bytes()));
    return gw;
  }
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    solve(chosen, ConvWeightGrad<T>{s, field<const T>(gy), field<const T>(x), gw.as<T>()});
  });
  return gw;
}

int64_t conv_algorithm(const View& x, const View& w, const Ints& stride, const Ints& padding,
                       const Ints& dilation, int64_t groups, int64_t padding_mode, int64_t algorithm,
                       int64_t direction) {
  check_dims("input", x, w);
  const char* op = op_name(x.ndim - 2);
  const ConvShape s =
      conv_shape(op, x.ndim, x.shape, w.shape, {stride, padding, dilation, groups, padding_mode});
  return int64_t(choose(op, s, x.dtype, algorithm, int(direction)));
}

}  // namespace nn::cpu
