// Losses of x and target, element by element, times a weight: their sum, mean or all of them, and the
// gradient.
//
//   y = w f(x, t)          gx = g w f'(x, t)          f: NN_LOSSES, in simd/loss.inl
//
// Blocks of a few thousand elements stay in the first-level cache from the loss to its sum, so that nothing
// but the operands (and gx) moves through memory; the blocks' sums are added in order, in double. Bound by
// bytes, or by exp and log.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kBlock = 2048, kBlocksPerChunk = 16;
enum { kNone, kMean, kSumAll };

// The public functions, in the order of NN_LOSSES.
constexpr const char* kNames[] = {"mse_loss",
                                  "l1_loss",
                                  "smooth_l1_loss",
                                  "huber_loss",
                                  "binary_cross_entropy",
                                  "binary_cross_entropy_with_logits",
                                  "kl_div",
                                  "kl_div",
                                  "poisson_nll_loss",
                                  "soft_margin_loss",
                                  "hinge_embedding_loss"};
#define NN_ONE(A, name) +1
static_assert(std::size(kNames) == size_t(NN_LOSSES(NN_ONE, )));
#undef NN_ONE

struct Problem {
  const char* op;
  int64_t size;

  Problem(const View& x, const View& target, const OptView& weight, int64_t kind) : size(x.size()) {
    if (kind < 0 || kind >= int64_t(std::size(kNames)))
      fail("pointwise_loss", "there is no loss number " + std::to_string(kind), {{"x", x}});
    op = kNames[kind];
    common_dtype(op, {{"x", x}, {"target", target}});
    if (target.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, target.shape))
      fail(op, "x and target must have one shape", {{"x", x}, {"target", target}});
    if (!weight) return;
    common_dtype(op, {{"x", x}, {"weight", weight}});
    if (weight.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, weight.shape))
      fail(op, "weight must have the shape of x", {{"x", x}, {"weight", weight}});
  }

  // f(block number, first element, count)
  template <class F> void each_block(F&& f) const {
    parallel_for((size + kBlock - 1) / kBlock, kBlocksPerChunk, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) f(b, b * kBlock, std::min(kBlock, size - b * kBlock));
    });
  }
};

template <class T> void multiply(const T* w, T* y, int64_t n) {
  kernels<T>().binary(int(Binary::mul), w, 1, y, 1, y, n, false);
}

// Probabilities outside of [0, 1], NaN among them, are refused with their place.
template <class T>
void check_unit(const char* op, const char* name, const View& v, const T* p, int64_t first, int64_t n) {
  T low, high;
  kernels<T>().reduce_rows(3, p, n, 1, n, &low);
  kernels<T>().reduce_rows(2, p, n, 1, n, &high);
  if (low >= 0 && high <= 1) return;
  int64_t i = 0;
  while (p[i] >= 0 && p[i] <= 1) ++i;
  const T value = p[i];
  std::string place;
  int64_t rest = first + i;
  for (int d = v.ndim - 1; d >= 0; rest /= v.shape[d--])
    place = std::to_string(rest % v.shape[d]) + (place.empty() ? "" : ", ") + place;
  fail(op,
       std::string(name) + "[" + (place.empty() ? "()" : place) + "] is " + std::to_string(value) +
           ", but must lie between 0 and 1",
       {{name, v}});
}

}  // namespace

Array pointwise_loss_forward(const View& x, const View& target, const OptView& weight, int64_t kind,
                             int64_t reduction, double a) {
  const Problem p(x, target, weight, kind);
  Array y = output(p.op, x.dtype, reduction == kNone ? x.ndim : 0, x.shape);
  const bool unit = Loss(kind) == Loss::binary_cross_entropy;
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Dense dense_x(x), dense_t(target), dense_w(weight ? View(weight) : x);
    const T *px = dense_x.template as<T>(), *pt = dense_t.template as<T>(),
            *pw = weight ? dense_w.template as<T>() : nullptr;
    T* to = y.as<T>();
    Workspace<double> sums(static_cast<size_t>((p.size + kBlock - 1) / kBlock));
    double* part = sums;
    p.each_block([&](int64_t b, int64_t at, int64_t n) {
      if (unit) check_unit(p.op, "x", x, px + at, at, n), check_unit(p.op, "target", target, pt + at, at, n);
      T buffer[kBlock], sum;
      T* losses = reduction == kNone ? to + at : buffer;
      kernels<T>().loss(int(kind), px + at, pt + at, losses, n, T(a));
      if (pw) multiply(pw + at, losses, n);
      if (reduction == kNone) return;
      kernels<T>().reduce_rows(0, losses, n, 1, n, &sum);
      part[b] = double(sum);
    });
    if (reduction == kNone) return;
    double total = 0;
    for (int64_t b = 0; b * kBlock < p.size; ++b) total += part[b];
    *to = T(reduction == kMean ? total / double(p.size) : total);
  });
  return y;
}

Array pointwise_loss_backward(const View& gy, const View& x, const View& target, const OptView& weight,
                              int64_t kind, int64_t reduction, double a) {
  const Problem p(x, target, weight, kind);
  common_dtype(p.op, {{"x", x}, {"gy", gy}});
  const int gy_ndim = reduction == kNone ? x.ndim : 0;
  if (gy.ndim != gy_ndim || !std::equal(x.shape, x.shape + gy_ndim, gy.shape))
    fail(p.op, "gy must have the shape of the loss", {{"x", x}, {"gy", gy}});
  Array gx = output(p.op, x.dtype, x.ndim, x.shape);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Dense dense_x(x), dense_t(target), dense_g(gy), dense_w(weight ? View(weight) : x);
    const T *px = dense_x.template as<T>(), *pt = dense_t.template as<T>(), *pg = dense_g.template as<T>(),
            *pw = weight ? dense_w.template as<T>() : nullptr;
    T* to = gx.as<T>();
    const T g = reduction == kNone ? T(1) : reduction == kMean ? T(*pg / T(p.size)) : *pg;
    p.each_block([&](int64_t, int64_t at, int64_t n) {
      kernels<T>().loss_grad(int(kind), g, px + at, pt + at, to + at, n, T(a));
      if (pw) multiply(pw + at, to + at, n);
      if (reduction == kNone) multiply(pg + at, to + at, n);
    });
  });
  return gx;
}

}  // namespace nn::cpu
