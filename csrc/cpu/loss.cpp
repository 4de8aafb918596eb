// Cross-entropy of logits x (N, C, d1...) and targets, PyTorch's definition.
//
//   log p = x - max - log(sum(exp(x - max)))           over the classes C
//   loss  = -sum_c q_c w_c log p_c                     q: the target as probabilities, smoothed by e: (1 - e)
//   q + e / C gx_c  = g (p_c sum(q w) - q_c w_c)
//
// For class numbers q is one-hot and the one-hot part counts as w[target] once. Probabilities are never
// stored: forward keeps two numbers per row, backward takes one exp per element. The mean divides by the sum
// of w[target] (class numbers) or by the number of rows (probabilities). Bound by exp in cache, by bytes
// beyond.
#include <algorithm>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "cross_entropy";
constexpr int64_t kLossGrain = 1 << 14;  // elements: some 20 us of exp
enum { kNone, kMean, kSumAll };

struct Problem {
  int64_t rows = 1, classes = 1;
  bool by_class;           // targets are class numbers
  Reduction classes_last;  // packs x (and probabilities) as (rows, classes)
  int row_ndim = 0;        // of the loss without reduction
  int64_t row_shape[kMaxDims];

  Problem(const View& x, const View& target, const OptView& weight) {
    if (x.ndim == 0) fail(kOp, "x needs a class dim: (C,) or (N, C, d1...)", {{"x", x}});
    common_dtype(kOp, {{"x", x}});
    const int axis = x.ndim == 1 ? 0 : 1;
    Ints axes;
    axes.count = 1, axes.items[0] = axis;
    classes_last = reduction(kOp, x, axes, false);
    classes = x.shape[axis], rows = classes_last.results, row_ndim = classes_last.ndim;
    std::copy(classes_last.shape, classes_last.shape + row_ndim, row_shape);
    if (classes == 0) fail(kOp, "x has no classes", {{"x", x}});
    by_class = target.dtype == Dtype::i64 || target.dtype == Dtype::i32;
    const View wanted{
        nullptr, x.dtype, false, false, by_class ? row_ndim : x.ndim, by_class ? row_shape : x.shape,
        nullptr, nullptr, 0};
    if (!by_class && target.dtype != x.dtype)
      fail_type(kOp, std::string("target is ") + name(target.dtype) +
                         "; it must hold int64 or int32 class numbers, or " + name(x.dtype) +
                         " probabilities like x");
    if (target.ndim != wanted.ndim || !std::equal(wanted.shape, wanted.shape + wanted.ndim, target.shape))
      fail(kOp, std::string("target has the wrong shape: ") + text(wanted) + " fits x",
           {{"x", x}, {"target", target}});
    if (!weight) return;
    common_dtype(kOp, {{"x", x}, {"weight", weight}});
    if (weight.ndim != 1 || weight.shape[0] != classes)
      fail(kOp, "weight needs one number for each of the " + std::to_string(classes) + " classes",
           {{"x", x}, {"weight", weight}});
  }
};

// The class numbers as a dense list, checked: -1 for the ignored ones.
struct Classes {
  Workspace<int64_t> at;
  Classes(const View& target, int64_t rows, int64_t classes, int64_t ignore_index) : at(size_t(rows)) {
    int64_t place[kMaxDims] = {};
    const char* p = static_cast<const char*>(target.data);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t v = target.dtype == Dtype::i32 ? *reinterpret_cast<const int32_t*>(p)
                                                   : *reinterpret_cast<const int64_t*>(p);
      if (v != ignore_index && (v < 0 || v >= classes)) refuse(target, place, v, classes, ignore_index);
      at[i] = v == ignore_index ? -1 : v;
      for (int d = target.ndim - 1; d >= 0; --d) {
        p += target.strides[d];
        if (++place[d] < target.shape[d]) break;
        p -= place[d] * target.strides[d];
        place[d] = 0;
      }
    }
  }
  [[noreturn]] static void refuse(const View& target, const int64_t* place, int64_t v, int64_t classes,
                                  int64_t ignored) {
    std::string at;
    for (int d = 0; d < target.ndim; ++d) at += (d ? ", " : "") + std::to_string(place[d]);
    throw std::out_of_range(std::string(kOp) + ": target[" + (at.empty() ? "()" : at) + "] is " +
                            std::to_string(v) + ", but x has classes 0 to " + std::to_string(classes - 1) +
                            " (ignore_index=" + std::to_string(ignored) + ")");
  }
};

template <class T> struct Weights {
  Workspace<T> w;  // ones without a weight argument
  T total = 0;
  Weights(const OptView& weight, int64_t classes) : w(size_t(classes)) {
    for (int64_t c = 0; c < classes; ++c) {
      w[c] = weight
                 ? *reinterpret_cast<const T*>(static_cast<const char*>(weight.data) + c * weight.strides[0])
                 : T(1);
      total += w[c];
    }
  }
};

// What a mean divides by.
template <class T> T divisor(const Problem& p, const Weights<T>& weights, const int64_t* classes) {
  if (!classes) return T(p.rows);
  double sum = 0;
  for (int64_t r = 0; r < p.rows; ++r) sum += classes[r] < 0 ? 0 : double(weights.w[classes[r]]);
  return T(sum);
}

// -sum_c q_c w_c log p_c of one row, log p_c = (x_c - top) - log_sum
template <class T>
T row_loss(const T* x, int64_t n, T top, T log_sum, const T* w, int64_t target, const T* q, T smoothing) {
  if (!q && target < 0) return 0;
  const T even = smoothing / T(n);
  T loss = q ? T(0) : (1 - smoothing) * w[target] * (log_sum - (x[target] - top));
  if (q)
    for (int64_t c = 0; c < n; ++c) {
      const T weight = ((1 - smoothing) * q[c] + even) * w[c];
      if (weight != 0) loss += weight * (log_sum - (x[c] - top));
    }
  else if (smoothing != 0)
    for (int64_t c = 0; c < n; ++c) loss += even * w[c] * (log_sum - (x[c] - top));
  return loss;
}

template <class T> void row_gradient(const T* x, int64_t n, T top, T log_sum, const T* w, T total,
                                     int64_t target, const T* q, T smoothing, T g, T* gx) {
  if (!q && target < 0) {
    std::fill(gx, gx + n, T(0));
    return;
  }
  const T even = smoothing / T(n);
  T mass = q ? T(0) : (1 - smoothing) * w[target] + even * total;
  if (q)
    for (int64_t c = 0; c < n; ++c) mass += ((1 - smoothing) * q[c] + even) * w[c];
  kernels<T>().scaled_softmax_row(x, n, top, log_sum, g * mass, gx);
  if (q)
    for (int64_t c = 0; c < n; ++c) gx[c] -= g * ((1 - smoothing) * q[c] + even) * w[c];
  else if (smoothing != 0)
    for (int64_t c = 0; c < n; ++c) gx[c] -= g * even * w[c];
  if (!q) gx[target] -= g * (1 - smoothing) * w[target];
}

// The tables that both directions read.
template <class T> struct Tables {
  Weights<T> weights;
  Packed x;
  std::optional<Packed> probabilities;
  std::optional<Classes> classes;
  Tables(const Problem& p, const View& x_, const View& target, const OptView& weight, int64_t ignore_index)
      : weights(weight, p.classes), x(x_, p.classes_last) {
    if (p.by_class)
      classes.emplace(target, p.rows, p.classes, ignore_index);
    else
      probabilities.emplace(target, p.classes_last);
  }
  const int64_t* class_list() const { return classes ? static_cast<int64_t*>(classes->at) : nullptr; }
  int64_t target(int64_t r) const { return classes ? classes->at[r] : -1; }
  const T* row(int64_t r, int64_t n) const { return x.template as<T>() + r * n; }
  const T* q(int64_t r, int64_t n) const {
    return probabilities ? probabilities->template as<T>() + r * n : nullptr;
  }
};

}  // namespace

Array2 cross_entropy_forward(const View& x, const View& target, const OptView& weight, int64_t ignore_index,
                             int64_t reduction, double label_smoothing) {
  const Problem p(x, target, weight);
  const int64_t shape[] = {2, p.rows}, n = p.classes;
  Array loss = output(kOp, x.dtype, reduction == kNone ? p.row_ndim : 0, p.row_shape);
  Array statistics = output(kOp, x.dtype, 2, shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index);
    T *top = statistics.as<T>(), *log_sum = top + p.rows;
    Workspace<T> scratch(static_cast<size_t>(p.rows));
    T* losses = reduction == kNone ? loss.as<T>() : static_cast<T*>(scratch);
    parallel_for(p.rows, std::max<int64_t>(1, kLossGrain / n), [&](int64_t begin, int64_t end) {
      kernels<T>().log_sum_exp_rows(tables.row(begin, n), end - begin, n, top + begin, log_sum + begin);
      for (int64_t r = begin; r < end; ++r)
        losses[r] = row_loss<T>(tables.row(r, n), n, top[r], log_sum[r], tables.weights.w, tables.target(r),
                                tables.q(r, n), T(label_smoothing));
    });
    if (reduction == kNone) return;
    double sum = 0;
    for (int64_t r = 0; r < p.rows; ++r) sum += double(losses[r]);
    const T by = reduction == kMean ? divisor(p, tables.weights, tables.class_list()) : T(1);
    *loss.as<T>() = T(sum) / by;
  });
  return {loss, statistics};
}

Array cross_entropy_backward(const View& gy, const View& x, const View& target, const OptView& weight,
                             const View& statistics, int64_t ignore_index, int64_t reduction,
                             double label_smoothing) {
  const Problem p(x, target, weight);
  const int64_t n = p.classes;
  common_dtype(kOp, {{"x", x}, {"gy", gy}, {"statistics", statistics}});
  const int gy_ndim = reduction == kNone ? p.row_ndim : 0;
  if (gy.ndim != gy_ndim || !std::equal(p.row_shape, p.row_shape + gy_ndim, gy.shape))
    fail(kOp, "gy must have the shape of the loss", {{"x", x}, {"gy", gy}});
  if (statistics.ndim != 2 || statistics.shape[0] != 2 || statistics.shape[1] != p.rows ||
      !statistics.contiguous())
    fail(kOp, "statistics do not belong to x", {{"x", x}, {"statistics", statistics}});
  Array gx = output(kOp, x.dtype, x.ndim, x.shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index);
    const T *top = statistics.as<T>(), *log_sum = top + p.rows;
    struct Reduction whole;
    std::fill(whole.reduced, whole.reduced + gy.ndim, true);
    const Packed g(gy, whole);
    const T scale = reduction == kMean ? T(1) / divisor(p, tables.weights, tables.class_list()) : T(1);
    const bool turned = x.ndim > 2;  // the class axis is not the last one: rows are put back afterwards
    Workspace<T> rows(turned ? static_cast<size_t>(p.rows * n) : 0);
    T* to = turned ? static_cast<T*>(rows) : gx.as<T>();
    parallel_for(p.rows, std::max<int64_t>(1, kLossGrain / n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        row_gradient<T>(tables.row(r, n), n, top[r], log_sum[r], tables.weights.w, tables.weights.total,
                        tables.target(r), tables.q(r, n), T(label_smoothing),
                        g.template as<T>()[reduction == kNone ? r : 0] * scale, to + r * n);
    });
    if (!turned) return;
    int64_t from[kMaxDims], bytes = n * int64_t(sizeof(T));
    for (int d = x.ndim - 1; d >= 0; --d)
      if (d != 1) from[d] = bytes, bytes *= x.shape[d];
    from[1] = sizeof(T);
    copy(View{to, x.dtype, false, false, x.ndim, x.shape, from}, gx.view());
  });
  return gx;
}

}  // namespace nn::cpu
