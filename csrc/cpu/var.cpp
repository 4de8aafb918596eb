// Variance and mean, in one walk over the array.
//
// Moments are taken leaf by leaf, about a mean that the first of its elements give, so that a large mean
// costs no digits. Leaves are merged in their order by Chan's formula (Chan, Golub, LeVeque, 1983). Rows and
// columns, leaves and bits are as in reduce.cpp. Bound by bytes.
#include <algorithm>
#include <cmath>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr int64_t kTile = 1024;  // columns whose moments are merged together

// The leaves of a plan: `leaves` of them fold into each of `results` rows of p.run (columns) or one (rows)
// numbers.
template <class T> class Leaves {
 public:
  Leaves(const Plan& p, const T* x) : p_(p), x_(x), width_(p.columns ? p.run : 1) {
    n_ = p.kept + p.folded;
    std::copy(p.axis, p.axis + n_, axes_);
    Axis along = {p.run, p.run_step};  // what a leaf is a piece of
    if (p.columns) along = p.folded ? axes_[--n_] : Axis{1, 0};
    leaf_ = p.columns ? kColumnLeaf : p.run_step == 1 ? kRowLeaf : kPackedLeaf;
    length_ = along.n, step_ = along.step, blocks_ = ceil_div(length_, leaf_);
    if (blocks_ > 1) axes_[n_++] = {blocks_, leaf_ * step_};
    results_ = product(axes_, p.kept), leaves_ = product(axes_ + p.kept, n_ - p.kept);
    tiles_ = ceil_div(width_, kTile);
    if (tiles_ > 1) axes_[n_++] = {tiles_, kTile};
  }

  // each(place, mean, squares) for every result
  template <class F> void fold(F&& each) const {
    const int64_t units = results_ * leaves_, size = std::min(leaf_, length_) * std::min(width_, kTile);
    Workspace<double> mean(size_t(units * width_)), squares(size_t(units * width_));
    parallel_for(units * tiles_, std::max<int64_t>(1, kGrain / (size + 64)), [&](int64_t begin, int64_t end) {
      walk(axes_, n_, begin, end, [&](int64_t i, int64_t offset, int64_t some, int64_t step) {
        for (const int64_t stop = i + some; i < stop; ++i, offset += step) {
          const int64_t column = i % tiles_ * kTile, to = i / tiles_ * width_ + column;
          leaf(x_ + offset, count(i / tiles_), std::min(kTile, width_ - column), mean + to, squares + to);
        }
      });
    });
    const int64_t grain = std::max<int64_t>(1, kGrain / (leaves_ * std::min(width_, kTile) + 8));
    parallel_for(results_ * tiles_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t o = i / tiles_, at = i % tiles_ * kTile;
        merge(o, at, std::min(kTile, width_ - at), mean, squares, each);
      }
    });
  }

 private:
  int64_t count(int64_t unit) const {  // of a leaf
    const int64_t block = unit % blocks_;
    return std::min(leaf_, length_ - block * leaf_);
  }
  void leaf(const T* x, int64_t n, int64_t columns, double* mean, double* squares) const {
    if (p_.columns) return kernels<T>().moments_cols(x, step_, n, columns, mean, squares);
    T packed[kPackedLeaf];
    if (step_ != 1) {
      for (int64_t i = 0; i < n; ++i) packed[i] = x[i * step_];
      x = packed;
    }
    double moments[2];
    kernels<T>().moments_rows({x}, 1, n, moments);
    *mean = moments[0], *squares = moments[1];
  }
  template <class F> void merge(int64_t o, int64_t at, int64_t columns, const double* mean,
                                const double* squares, F&& each) const {
    if (leaves_ == 1) {
      const int64_t from = o * width_ + at;
      for (int64_t j = from; j < from + columns; ++j) each(j, mean[j], squares[j]);
      return;
    }
    double m[kTile], s[kTile], total = 0;
    std::fill_n(m, columns, 0.0), std::fill_n(s, columns, 0.0);
    for (int64_t u = o * leaves_; u < (o + 1) * leaves_; ++u) {
      const double *leaf_mean = mean + u * width_ + at, *leaf_squares = squares + u * width_ + at;
      const double n = double(count(u)), share = n / (total + n), both = total * share;
      for (int64_t j = 0; j < columns; ++j) {
        const double delta = leaf_mean[j] - m[j];
        m[j] += delta * share, s[j] += leaf_squares[j] + delta * delta * both;
      }
      total += n;
    }
    for (int64_t j = 0; j < columns; ++j) each(o * width_ + at + j, m[j], s[j]);
  }

  const Plan& p_;
  const T* x_;
  int64_t width_, results_, leaves_, tiles_;  // width: numbers of a result that lie side by side
  int64_t length_, step_, leaf_, blocks_;     // of what leaves are pieces of
  Axis axes_[2 * kMaxDims + 2];
  int n_;
};

}  // namespace

Array2 var_mean_forward(const View& x, const Ints& axes, double correction, bool keepdims) {
  const Dtype dt = common_dtype("var", {{"x", x}});
  const Reduction r = reduction("var", x, axes, keepdims);
  Array mean = output("var", dt, r.ndim, r.shape), var = output("var", dt, r.ndim, r.shape);
  if (r.results == 0) return {std::move(var), std::move(mean)};
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const double divisor = std::max(0.0, double(r.count) - correction);
    const auto put = [&](int64_t i, double m, double squares) {
      mean.as<T>()[i] = T(m), var.as<T>()[i] = T(squares / divisor);
    };
    if (r.count == 0) {
      for (int64_t i = 0; i < r.results; ++i) put(i, std::nan(""), std::nan(""));
      return;
    }
    Plan p;
    int order[kMaxDims];
    if (make_plan(x, r, p, order) && std::is_sorted(order, order + r.kept(x)))
      return Leaves<T>(p, x.as<const T>()).fold(put);
    const Packed packed(x, r);
    Plan rows;
    rows.axis[rows.kept++] = {r.results, r.count};
    rows.run = r.count;
    Leaves<T>(rows, packed.template as<T>()).fold(put);
  });
  return {std::move(var), std::move(mean)};
}

}  // namespace nn::cpu
