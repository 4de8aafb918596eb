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
constexpr const char* kNll = "nll_loss";
constexpr int64_t kLossGrain = 1 << 14;  // elements: some 20 us of exp
enum { kNone, kMean, kSumAll };

struct Problem {
  const char* op;
  int64_t outer = 1, classes = 1, inner = 1;  // x is (outer, classes, inner)
  int64_t rows = 1;                           // outer * inner targets
  bool by_class;                              // they are class numbers
  int row_ndim = 0;                           // of the loss without reduction
  int64_t row_shape[kMaxDims];

  Problem(const char* op, const View& x, const View& target, const OptView& weight) : op(op) {
    if (x.ndim == 0) fail(op, "x needs a class dim: (C,) or (N, C, d1...)", {{"x", x}});
    common_dtype(op, {{"x", x}});
    const int axis = x.ndim == 1 ? 0 : 1;
    classes = x.shape[axis];
    for (int i = 0; i < x.ndim; ++i) {
      if (i == axis) continue;
      (i < axis ? outer : inner) *= x.shape[i];
      row_shape[row_ndim++] = x.shape[i];
    }
    rows = outer * inner;
    if (classes == 0) fail(op, "x has no classes", {{"x", x}});
    by_class = target.dtype == Dtype::i64 || target.dtype == Dtype::i32 || target.dtype == Dtype::u8;
    const View wanted{
        nullptr, x.dtype, false, false, by_class ? row_ndim : x.ndim, by_class ? row_shape : x.shape,
        nullptr, nullptr, 0};
    if (!by_class && target.dtype != x.dtype)
      fail_type(op, std::string("target is ") + name(target.dtype) +
                        "; it must hold class numbers, int64, int32 or uint8, or " + name(x.dtype) +
                        " probabilities like x");
    if (target.ndim != wanted.ndim || !std::equal(wanted.shape, wanted.shape + wanted.ndim, target.shape))
      fail(op, std::string("target has the wrong shape: ") + text(wanted) + " fits x",
           {{"x", x}, {"target", target}});
    if (!weight) return;
    common_dtype(op, {{"x", x}, {"weight", weight}});
    if (weight.ndim != 1 || weight.shape[0] != classes)
      fail(op, "weight needs one number for each of the " + std::to_string(classes) + " classes",
           {{"x", x}, {"weight", weight}});
  }

  // f(row, where its first class stands in x)
  template <class F> void each_row(F&& f) const {
    for (int64_t o = 0, r = 0; o < outer; ++o)
      for (int64_t i = 0; i < inner; ++i, ++r) f(r, o * classes * inner + i);
  }
  void need_class_numbers(const View& target) const {
    if (!by_class)
      fail_type(op, std::string("target is ") + name(target.dtype) +
                        "; it must hold class numbers, int64, int32 or uint8");
  }
  void check_gradient(const View& gy, const View& x, int64_t reduction) const {
    common_dtype(op, {{"x", x}, {"gy", gy}});
    const int ndim = reduction == kNone ? row_ndim : 0;
    if (gy.ndim != ndim || !std::equal(row_shape, row_shape + ndim, gy.shape))
      fail(op, "gy must have the shape of the loss", {{"x", x}, {"gy", gy}});
  }
};

// The class numbers, checked: -1 for the ignored ones. A dense list of int64 is read where it is.
class Classes {
 public:
  Classes(const Problem& p, const View& target, int64_t ignore_index) : ignored_(ignore_index) {
    if (target.dtype == Dtype::i64 && target.contiguous()) {
      at_ = target.as<const int64_t>();
      int64_t bad = 0;  // in 64 bits, as the targets are: the compiler makes vectors of them
      for (int64_t i = 0; i < p.rows; ++i) {
        const int64_t counts = at_[i] != ignore_index, outside = (at_[i] < 0) | (at_[i] >= p.classes);
        bad |= counts & outside, known_ += counts;
      }
      if (!bad) return;
      known_ = 0;
    }
    int64_t* list = copy_.emplace(size_t(p.rows));
    at_ = list;
    int64_t place[kMaxDims] = {};
    const char* from = static_cast<const char*>(target.data);
    for (int64_t i = 0; i < p.rows; ++i) {
      const int64_t v = target.dtype == Dtype::u8    ? *reinterpret_cast<const uint8_t*>(from)
                        : target.dtype == Dtype::i32 ? *reinterpret_cast<const int32_t*>(from)
                                                     : *reinterpret_cast<const int64_t*>(from);
      if (v != ignore_index && (v < 0 || v >= p.classes)) refuse(p, target, place, v, ignore_index);
      list[i] = v, known_ += v != ignore_index;
      for (int d = target.ndim - 1; d >= 0; --d) {
        from += target.strides[d];
        if (++place[d] < target.shape[d]) break;
        from -= place[d] * target.strides[d];
        place[d] = 0;
      }
    }
  }
  int64_t operator[](int64_t r) const { return at_[r] == ignored_ ? -1 : at_[r]; }
  int64_t known() const { return known_; }  // how many are not ignored

 private:
  std::optional<Workspace<int64_t>> copy_;
  const int64_t* at_;
  int64_t ignored_, known_ = 0;
  [[noreturn]] static void refuse(const Problem& p, const View& target, const int64_t* place, int64_t v,
                                  int64_t ignored) {
    std::string at;
    for (int d = 0; d < target.ndim; ++d) at += (d ? ", " : "") + std::to_string(place[d]);
    throw std::out_of_range(std::string(p.op) + ": target[" + (at.empty() ? "()" : at) + "] is " +
                            std::to_string(v) + ", but x has classes 0 to " + std::to_string(p.classes - 1) +
                            " (ignore_index=" + std::to_string(ignored) + ")");
  }
};

// What both directions read. Row r has its classes at x[at + c * inner].
template <class T> struct Tables {
  const Problem& p;
  Dense dense_x;
  std::optional<Dense> dense_q, dense_w;
  std::optional<Classes> classes;
  T smoothing, keep, even;
  const T *x, *q = nullptr, *w = nullptr;  // q: probabilities, w: weights, null without them

  Tables(const Problem& problem, const View& x_, const View& target, const OptView& weight,
         int64_t ignore_index, double label_smoothing)
      : p(problem),
        dense_x(x_),
        smoothing(T(label_smoothing)),
        keep(T(1) - smoothing),
        even(smoothing / T(problem.classes)),
        x(dense_x.template as<T>()) {
    if (weight) w = dense_w.emplace(weight).template as<T>();
    if (p.by_class)
      classes.emplace(p, target, ignore_index);
    else
      q = dense_q.emplace(target).template as<T>();
  }
  T weight(int64_t c) const { return w ? w[c] : T(1); }
  bool spread() const { return q || smoothing != 0; }  // over all classes

  // What a mean divides by.
  T divisor() const {
    if (q) return T(p.rows);
    if (!w) return T(classes->known());
    double sum = 0;
    for (int64_t r = 0; r < p.rows; ++r) sum += (*classes)[r] < 0 ? 0 : double(weight((*classes)[r]));
    return T(sum);
  }

  // What the columns' targets ask of all classes.
  ClassTargets<T> columns(int64_t at) const { return {q ? q + at : nullptr, w, keep, even}; }

  // losses[r] = -sum_c q_c w_c log p_c with log p_c = (x_c - top) - log_sum, for a stretch of rows; of
  // columns they hold the part of all classes already
  void losses(int64_t first, int64_t count, int64_t at, const T* top, const T* log_sum, T* losses) const {
    const int64_t n = p.classes, step = p.inner == 1 ? n : 1;
    T mass;
    for (int64_t i = 0; i < count && p.inner == 1; ++i) {
      losses[i] = 0;
      if (spread())
        kernels<T>().target_loss_row(x + at + i * n, q ? q + at + i * n : nullptr, w, n, top[i], log_sum[i],
                                     keep, even, losses + i, &mass);
    }
    if (q) return;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t target = (*classes)[first + i];
      if (target < 0)
        losses[i] = 0;
      else
        losses[i] += keep * weight(target) * (log_sum[i] - (x[at + i * step + target * p.inner] - top[i]));
    }
  }

  // mass[r] = sum_c q_c w_c of a stretch of rows, or of columns with class numbers
  void masses(int64_t first, int64_t count, int64_t at, T* mass) const {
    const int64_t n = p.classes;
    T all = 0, unused;
    for (int64_t c = 0; c < n && smoothing != 0; ++c) all += weight(c);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t target = q ? 0 : (*classes)[first + i];
      mass[i] = q || target < 0 ? T(0) : keep * weight(target) + even * all;
    }
    if (!q) return;
    for (int64_t i = 0; i < count; ++i)  // the loss is of no interest here
      kernels<T>().target_loss_row(q + at + i * n, q + at + i * n, w, n, T(0), T(0), keep, even, &unused,
                                   mass + i);
  }

  // The part of the target's class.
  void subtract_class(int64_t r, int64_t at, T g, T* gx) const {
    const int64_t target = (*classes)[r];
    gx += at;
    if (target < 0)  // even where x is Inf or NaN
      for (int64_t c = 0; c < p.classes; ++c) gx[c * p.inner] = 0;
    else
      gx[target * p.inner] -= g * keep * weight(target);
  }
};

// f(first row, count, offset of its x) over stretches of rows that lie side by side in one (classes, inner)
// matrix.
template <class F> void each_stretch(const Problem& p, F&& f) {
  if (p.rows == 0) return;
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
  const Problem p(kOp, x, target, weight);
  const int64_t shape[] = {2, p.rows}, n = p.classes;
  Array loss = output(kOp, x.dtype, reduction == kNone ? p.row_ndim : 0, p.row_shape);
  Array statistics = output(kOp, x.dtype, 2, shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index, label_smoothing);
    T *top = statistics.as<T>(), *log_sum = top + p.rows;
    Workspace<T> scratch(static_cast<size_t>(reduction == kNone ? 1 : p.rows));
    T* losses = reduction == kNone ? loss.as<T>() : static_cast<T*>(scratch);
    const auto& k = kernels<T>();
    each_stretch(p, [&](int64_t first, int64_t count, int64_t at) {
      if (p.inner == 1)
        k.log_sum_exp_rows(tables.x + at, count, n, top + first, log_sum + first);
      else
        k.log_sum_exp_cols(tables.x + at, p.inner, n, count, tables.columns(at), top + first, log_sum + first,
                           losses + first);
      tables.losses(first, count, at, top + first, log_sum + first, losses + first);
    });
    if (reduction == kNone) return;
    double sum = 0;
    for (int64_t r = 0; r < p.rows; ++r) sum += double(losses[r]);
    *loss.as<T>() = T(sum) / (reduction == kMean ? tables.divisor() : T(1));
  });
  return {std::move(loss), std::move(statistics)};
}

Array cross_entropy_backward(const View& gy, const View& x, const View& target, const OptView& weight,
                             const View& statistics, int64_t ignore_index, int64_t reduction,
                             double label_smoothing) {
  const Problem p(kOp, x, target, weight);
  const int64_t n = p.classes;
  p.check_gradient(gy, x, reduction);
  common_dtype(kOp, {{"x", x}, {"statistics", statistics}});
  if (statistics.ndim != 2 || statistics.shape[0] != 2 || statistics.shape[1] != p.rows ||
      (p.rows > 0 && !statistics.contiguous()))
    fail(kOp, "statistics do not belong to x", {{"x", x}, {"statistics", statistics}});
  Array gx = output(kOp, x.dtype, x.ndim, x.shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index, label_smoothing);
    const T *top = statistics.as<T>(), *log_sum = top + p.rows, *q = tables.q;
    const Dense dense_gy(gy);
    const T* g = dense_gy.template as<T>();
    const T by = reduction == kMean ? tables.divisor() : T(1);
    Workspace<T> shares(static_cast<size_t>(p.rows)), scales(static_cast<size_t>(p.rows));
    T *share = shares, *scale = scales, *to = gx.as<T>();
    const auto& k = kernels<T>();
    const int64_t step = p.inner == 1 ? n : 1;  // from row to row
    each_stretch(p, [&](int64_t first, int64_t count, int64_t at) {
      const int64_t end = first + count;
      const bool in_kernel = q && p.inner > 1;  // the masses
      if (!in_kernel) tables.masses(first, count, at, scale + first);
      for (int64_t r = first; r < end; ++r) share[r] = (reduction == kNone ? g[r] : *g) / by;
      for (int64_t r = first; r < end && !in_kernel; ++r) scale[r] *= share[r];
      if (p.inner > 1)
        k.scaled_softmax_cols(tables.x + at, p.inner, n, count, top + first, log_sum + first,
                              tables.columns(at), share + first, in_kernel ? nullptr : scale + first,
                              to + at);
      for (int64_t r = first; r < end; ++r) {
        if (p.inner == 1)
          k.scaled_softmax_row(tables.x + r * n, q ? q + r * n : nullptr, tables.w, n, top[r], log_sum[r],
                               scale[r], q ? share[r] * tables.keep : T(0), share[r] * tables.even,
                               to + r * n);
        if (!q) tables.subtract_class(r, at + (r - first) * step, share[r], to);
      }
    });
  });
  return gx;
}

Array nll_loss_forward(const View& x, const View& target, const OptView& weight, int64_t ignore_index,
                       int64_t reduction) {
  const Problem p(kNll, x, target, weight);
  p.need_class_numbers(target);
  Array loss = output(kNll, x.dtype, reduction == kNone ? p.row_ndim : 0, p.row_shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, x, target, weight, ignore_index, 0);
    double sums[4] = {};  // one would wait for itself
    p.each_row([&](int64_t r, int64_t at) {
      const int64_t c = (*tables.classes)[r];
      const T value = c < 0 ? T(0) : -tables.weight(c) * tables.x[at + c * p.inner];
      sums[r & 3] += double(value);
      if (reduction == kNone) loss.as<T>()[r] = value;
    });
    const double sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    if (reduction != kNone) *loss.as<T>() = T(sum) / (reduction == kMean ? tables.divisor() : T(1));
  });
  return loss;
}

Array nll_loss_backward(const View& gy, const View& x, const View& target, const OptView& weight,
                        int64_t ignore_index, int64_t reduction) {
  const Problem p(kNll, x, target, weight);
  p.need_class_numbers(target);
  p.check_gradient(gy, x, reduction);
  Array gx = output(kNll, x.dtype, x.ndim, x.shape);
  dispatch(x.dtype, [&](auto t) {
    using T = decltype(t);
    const Tables<T> tables(p, gx.view(), target, weight, ignore_index, 0);
    const Dense dense_gy(gy);
    const T* g = dense_gy.template as<T>();
    const T by = reduction == kMean ? tables.divisor() : T(1);
    T* to = gx.as<T>();
    parallel_for(gx.size(), 1 << 17,
                 [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, T(0)); });
    p.each_row([&](int64_t r, int64_t at) {
      const int64_t c = (*tables.classes)[r];
      if (c >= 0) to[at + c * p.inner] = -tables.weight(c) * (reduction == kNone ? g[r] : *g) / by;
    });
  });
  return gx;
}

}  // namespace nn::cpu
