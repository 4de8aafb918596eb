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

namespace nn::cpu {
namespace {

constexpr const char* kOp = "cross_entropy";
constexpr int64_t kLossGrain = 1 << 14;  // elements: some 20 us of exp
enum { kNone, kMean, kSumAll };

struct Problem {
  int64_t outer = 1, classes = 1, inner = 1;  // x is (outer, classes, inner)
  int64_t rows = 1;                           // outer * inner targets
  bool by_class;                              // they are class numbers
  int row_ndim = 0;                           // of the loss without reduction
  int64_t row_shape[kMaxDims];

  Problem(const View& x, const View& target, const OptView& weight) {
    if (x.ndim == 0) fail(kOp, "x needs a class dim: (C,) or (N, C, d1...)", {{"x", x}});
    common_dtype(kOp, {{"x", x}});
    const int axis = x.ndim == 1 ? 0 : 1;
    classes = x.shape[axis];
    for (int i = 0; i < x.ndim; ++i) {
      if (i == axis) continue;
      (i < axis ? outer : inner) *= x.shape[i];
      row_shape[row_ndim++] = x.shape[i];
    }
    rows = outer * inner;
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

// What both directions read. Row r has its classes at x[at + c * inner].
template <class T> struct Tables {
  const Problem& p;
  Weights<T> weights;
  Dense dense_x;
  std::optional<Dense> dense_q;
  std::optional<Classes> classes;
  T smoothing, even;
  const T* x;

  Tables(const Problem& problem, const View& x_, const View& target, const OptView& weight,
         int64_t ignore_index, double label_smoothing)
      : p(problem), weights(weight, p.classes), dense_x(x_), smoothing(T(label_smoothing)) {
    even = smoothing / T(p.classes);
    x = dense_x.template as<T>();
    if (p.by_class)
      classes.emplace(target, p.rows, p.classes, ignore_index);
    else
      dense_q.emplace(target);
  }
  const int64_t* class_list() const { return classes ? static_cast<int64_t*>(classes->at) : nullptr; }
  // q_c w_c of probability targets
  T mass_of(const T* q, int64_t c) const { return ((1 - smoothing) * q[c * p.inner] + even) * weights.w[c]; }

  // -sum_c q_c w_c log p_c with log p_c = (x_c - top) - log_sum
  T loss(int64_t r, int64_t at, T top, T log_sum) const {
    const T *row = x + at, *w = weights.w;
    T sum = 0;
    if (!classes) {
      const T* q = dense_q->template as<T>() + at;
      for (int64_t c = 0; c < p.classes; ++c) {
        const T mass = mass_of(q, c);
        if (mass != 0) sum += mass * (log_sum - (row[c * p.inner] - top));  // 0 log 0 is 0
      }
      return sum;
    }
    const int64_t target = classes->at[r];
    if (target < 0) return 0;
    if (smoothing != 0)
      for (int64_t c = 0; c < p.classes; ++c) sum += even * w[c] * (log_sum - (row[c * p.inner] - top));
    return sum + (1 - smoothing) * w[target] * (log_sum - (row[target * p.inner] - top));
  }

  // sum_c q_c w_c
  T mass(int64_t r, int64_t at) const {
    if (classes) {
      const int64_t target = classes->at[r];
      return target < 0 ? T(0) : (1 - smoothing) * weights.w[target] + even * weights.total;
    }
    const T* q = dense_q->template as<T>() + at;
    T sum = 0;
    for (int64_t c = 0; c < p.classes; ++c) sum += mass_of(q, c);
    return sum;
  }

  // gx_c -= g q_c w_c, after gx_c = g p_c sum(q w)
  void subtract_target(int64_t r, int64_t at, T g, T* gx) const {
    gx += at;
    if (!classes) {
      const T* q = dense_q->template as<T>() + at;
      for (int64_t c = 0; c < p.classes; ++c) gx[c * p.inner] -= g * mass_of(q, c);
      return;
    }
    const int64_t target = classes->at[r];
    if (target < 0) {  // even where x is Inf or NaN
      for (int64_t c = 0; c < p.classes; ++c) gx[c * p.inner] = 0;
      return;
    }
    if (smoothing != 0)
      for (int64_t c = 0; c < p.classes; ++c) gx[c * p.inner] -= g * even * weights.w[c];
    gx[target * p.inner] -= g * (1 - smoothing) * weights.w[target];
  }
};

// f(first row, count, offset of its x) over stretches of rows that lie side by side in one (classes, inner)
// matrix.
template <class F> void each_stretch(const Problem& p, F&& f) {
  const bool by_rows = p.inner == 1;
  const int64_t tile = by_rows ? p.rows : std::min<int64_t>(p.inner, 1024),
                tiles = (p.inner + tile - 1) / tile;
  const int64_t units = by_rows ? p.rows : p.outer * tiles, size = p.classes * (by_rows ? 1 : tile);
  parallel_for(
      units, std::max<int64_t>(1, kLossGrain / std::max<int64_t>(1, size)), [&](int64_t begin, int64_t end) {
        if (by_rows) return f(begin, end - begin, begin * p.classes);
        for (int64_t u = begin; u < end; ++u) {
          const int64_t o = u / tiles, column = u % tiles * tile;
          f(o * p.inner + column, std::min(tile, p.inner - column), o * p.classes * p.inner + column);
        }
      });
}

}  // namespace

Array2 cross_entropy_forward(const View& x, const View& target, const OptView& weight, int64_t ignore_index,
                             int64_t reduction, double label_smoothing) {
  const Problem p(x, target, weight);
  const int64_t shape[] = {2, p.rows}, n = p.classes;
  Array loss = output(kOp, x.dtype, reduction == kNone ? p.row_ndim : 0, p.row_shape);
  Array statistics = output(kOp, x.dtype, 2, shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index, label_smoothing);
    T *top = statistics.as<T>(), *log_sum = top + p.rows;
    Workspace<T> scratch(static_cast<size_t>(p.rows));
    T* losses = reduction == kNone ? loss.as<T>() : static_cast<T*>(scratch);
    const auto& k = kernels<T>();
    const int64_t step = p.inner == 1 ? n : 1;  // from row to row
    each_stretch(p, [&](int64_t first, int64_t count, int64_t at) {
      if (p.inner == 1)
        k.log_sum_exp_rows(tables.x + at, count, n, top + first, log_sum + first);
      else
        k.log_sum_exp_cols(tables.x + at, p.inner, n, count, top + first, log_sum + first);
      for (int64_t r = first; r < first + count; ++r)
        losses[r] = tables.loss(r, at + (r - first) * step, top[r], log_sum[r]);
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
    const Tables<T> tables(p, x, target, weight, ignore_index, label_smoothing);
    const T *top = statistics.as<T>(), *log_sum = top + p.rows;
    const Dense dense_gy(gy);
    const T* g = dense_gy.template as<T>();
    const T by = reduction == kMean ? divisor(p, tables.weights, tables.class_list()) : T(1);
    const auto share = [&](int64_t r) { return (reduction == kNone ? g[r] : *g) / by; };
    Workspace<T> scale(static_cast<size_t>(p.rows));
    const auto& k = kernels<T>();
    const int64_t step = p.inner == 1 ? n : 1;  // from row to row
    each_stretch(p, [&](int64_t first, int64_t count, int64_t at) {
      const int64_t end = first + count;
      T* to = gx.as<T>();
      for (int64_t r = first; r < end; ++r) scale[r] = share(r) * tables.mass(r, at + (r - first) * step);
      if (p.inner > 1)
        k.scaled_softmax_cols(tables.x + at, p.inner, n, count, top + first, log_sum + first, scale + first,
                              to + at);
      for (int64_t r = first; r < end; ++r) {
        if (p.inner == 1) k.scaled_softmax_row(tables.x + r * n, n, top[r], log_sum[r], scale[r], to + r * n);
        tables.subtract_target(r, at + (r - first) * step, share(r), to);
      }
    });
  });
  return gx;
}

}  // namespace nn::cpu
