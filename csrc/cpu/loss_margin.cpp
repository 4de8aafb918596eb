// Losses of class scores with a margin: of one class y, or of several labels y against the classes that are
// none.
//
//   multi_margin_loss       sum over j != y of w_y max(0, margin - x_y + x_j)^p / C
//   multilabel_margin_loss  sum over labels y, j no label, of max(0, 1 - x_y + x_j) / C
//
// A row is read once per label. Bound by the rows in cache.
#include <algorithm>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements
enum { kNone, kMean, kSumAll };

struct Problem {
  const char* op;
  bool several;  // labels of a row, ended by -1
  int64_t rows = 1, classes = 1;
  int loss_ndim;
  const int64_t* loss_shape;
  Workspace<int64_t> labels;

  Problem(const View& x, const View& target, const OptView& weight, int64_t p, bool several)
      : op(several ? "multilabel_margin_loss" : "multi_margin_loss"),
        several(several),
        labels(size_t(target.size())) {
    common_dtype(op, {{"x", x}});
    if (target.dtype != Dtype::i64 && target.dtype != Dtype::i32)
      fail_type(op, std::string("target is ") + name(target.dtype) +
                        "; it must hold class numbers, int64 or int32");
    if (p != 1 && p != 2) fail(op, "p must be 1 or 2, got " + std::to_string(p), {{"x", x}});
    if (x.ndim != 1 && x.ndim != 2) fail(op, "x must be (N, C) or (C,)", {{"x", x}, {"target", target}});
    classes = x.shape[x.ndim - 1], rows = x.ndim == 2 ? x.shape[0] : 1;
    const bool same = target.ndim == x.ndim && std::equal(x.shape, x.shape + x.ndim, target.shape);
    const bool one_each =
        x.ndim == 2 ? target.ndim == 1 && target.shape[0] == rows : target.size() == 1 && target.ndim < 2;
    if (several ? !same : !one_each || classes == 0)
      fail(op,
           several ? "x and target must have one shape"
                   : "x (N, C) and target (N,), or (C,) and (), would fit",
           {{"x", x}, {"target", target}});
    loss_ndim = several ? x.ndim - 1 : target.ndim, loss_shape = several ? x.shape : target.shape;
    if (weight) {
      common_dtype(op, {{"x", x}, {"weight", weight}});
      if (weight.ndim != 1 || weight.shape[0] != classes)
        fail(op, "weight must be (" + std::to_string(classes) + ",), one number for each class",
             {{"x", x}, {"weight", weight}});
    }
    read(target);
  }

  const int64_t* of(int64_t r) const { return labels + r * (several ? classes : 1); }
  int64_t count(int64_t r) const {
    if (!several) return 1;
    return std::find(of(r), of(r) + classes, -1) - of(r);
  }

 private:
  void read(const View& target) {
    const int64_t lowest = several ? -1 : 0;
    const Dense dense(target);
    for (int64_t i = 0, n = target.size(); i < n; ++i) {
      const int64_t v = target.dtype == Dtype::i32 ? dense.as<int32_t>()[i] : dense.as<int64_t>()[i];
      labels[i] = v;
      if (v >= lowest && v < classes) continue;
      std::string place;
      int64_t rest = i;
      for (int d = target.ndim - 1; d >= 0; rest /= target.shape[d--])
        place = std::to_string(rest % target.shape[d]) + (place.empty() ? "" : ", ") + place;
      throw std::out_of_range(std::string(op) + ": target[" + (place.empty() ? "()" : place) + "] is " +
                              std::to_string(v) + ", but x has classes 0 to " + std::to_string(classes - 1) +
                              (several ? ", and -1 ends the labels" : ""));
    }
  }
};

// skip[j]: 1 for labels of the row, which no label is held against.
template <class T> void mark(const Problem& p, int64_t r, T value, T* counts) {
  for (int64_t i = 0, n = p.count(r); i < n; ++i) counts[p.of(r)[i]] = value;
}

// sum over j of counts_j max(0, d + x_j)^power, in eight chains
template <class T> T hinges(const T* x, const T* counts, int64_t n, T d, int64_t power) {
  T part[8] = {};
  const auto term = [&](int64_t j) {
    const T v = d + x[j], over = v > 0 ? v : T(0);
    return counts[j] * (power == 1 ? over : over * over);
  };
  int64_t j = 0;
  for (; j + 8 <= n; j += 8)
    for (int i = 0; i < 8; ++i) part[i] += term(j + i);
  for (; j < n; ++j) part[0] += term(j);
  return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

// gx_j += g counts_j slope of its hinge; the sum of what was added goes to gx_y, turned round.
template <class T> T add_slopes(const T* x, const T* counts, int64_t n, T d, int64_t power, T g, T* gx) {
  T total = 0;
  for (int64_t j = 0; j < n; ++j) {
    const T v = d + x[j];
    const T slope = v > 0 ? g * counts[j] * (power == 1 ? T(1) : 2 * v) : T(0);
    gx[j] += slope, total += slope;
  }
  return total;
}

int64_t grain(const Problem& p) { return std::max<int64_t>(1, kGrain / std::max<int64_t>(1, p.classes)); }

template <class T> T weight_of(const Problem& p, const OptView& w, int64_t r) {
  return w ? *reinterpret_cast<const T*>(static_cast<const char*>(w.data) + *p.of(r) * w.strides[0]) : T(1);
}

}  // namespace

Array margin_loss_forward(const View& x, const View& target, const OptView& weight, int64_t p, double margin,
                          bool several, int64_t reduction) {
  const Problem problem(x, target, weight, p, several);
  Array loss = output(problem.op, x.dtype, reduction == kNone ? problem.loss_ndim : 0, problem.loss_shape);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t n = problem.classes;
    const Dense dense(x);
    Workspace<T> scratch(static_cast<size_t>(problem.rows));
    T* losses = reduction == kNone ? loss.as<T>() : static_cast<T*>(scratch);
    parallel_for(problem.rows, grain(problem), [&](int64_t begin, int64_t end) {
      Workspace<T> counts(static_cast<size_t>(n));
      std::fill(counts + 0, counts + n, T(1));
      for (int64_t r = begin; r < end; ++r) {
        const T* row = dense.template as<T>() + r * n;
        T sum = 0;
        mark(problem, r, T(0), static_cast<T*>(counts));
        for (int64_t i = 0, k = problem.count(r); i < k; ++i)
          sum += hinges<T>(row, counts, n, T(margin) - row[problem.of(r)[i]], p);
        mark(problem, r, T(1), static_cast<T*>(counts));
        losses[r] = n ? sum * weight_of<T>(problem, weight, r) / T(n) : T(0);
      }
    });
    if (reduction == kNone) return;
    double sum = 0;
    for (int64_t r = 0; r < problem.rows; ++r) sum += double(losses[r]);
    *loss.as<T>() = T(reduction == kMean ? sum / double(problem.rows) : sum);
  });
  return loss;
}

Array margin_loss_backward(const View& gy, const View& x, const View& target, const OptView& weight,
                           int64_t p, double margin, bool several, int64_t reduction) {
  const Problem problem(x, target, weight, p, several);
  common_dtype(problem.op, {{"x", x}, {"gy", gy}});
  const int gy_ndim = reduction == kNone ? problem.loss_ndim : 0;
  if (gy.ndim != gy_ndim || !std::equal(gy.shape, gy.shape + gy_ndim, problem.loss_shape))
    fail(problem.op, "gy must have the shape of the loss", {{"x", x}, {"gy", gy}});
  Array gx = output(problem.op, x.dtype, x.ndim, x.shape);
  dispatch(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const int64_t n = problem.classes;
    const Dense dense(x), dense_gy(gy);
    const T* g = dense_gy.template as<T>();
    parallel_for(problem.rows, grain(problem), [&](int64_t begin, int64_t end) {
      Workspace<T> counts(static_cast<size_t>(n));
      std::fill(counts + 0, counts + n, T(1));
      for (int64_t r = begin; r < end; ++r) {
        const T* row = dense.template as<T>() + r * n;
        T* to = gx.as<T>() + r * n;
        std::fill(to, to + n, T(0));
        const T share = (reduction == kNone   ? g[r]
                         : reduction == kMean ? *g / T(problem.rows)
                                              : *g) *
                        (n ? weight_of<T>(problem, weight, r) : T(0)) / T(n);
        mark(problem, r, T(0), static_cast<T*>(counts));
        for (int64_t i = 0, k = problem.count(r); i < k; ++i) {
          const int64_t y = problem.of(r)[i];
          to[y] -= add_slopes<T>(row, counts, n, T(margin) - row[y], p, share, to);
        }
        mark(problem, r, T(1), static_cast<T*>(counts));
      }
    });
  });
  return gx;
}

}  // namespace nn::cpu
