// Distances between all pairs of rows; products, distances and cosines of rows that lie at the same place;
// rows of length 1.
//
//   y[i, j] = (sum over d of |x[i, d] - x[j, d]|^p)^(1/p), i < j, one after another
//
// Differences are formed as they stand: no |a|^2 + |b|^2 - 2ab, which loses the digits of near rows. Every
// row of gx is one thread's, which takes each pair twice for it. Bound by arithmetic; rows with rows by
// bytes.
#include <algorithm>
#include <cmath>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;     // differences: some 20 us
constexpr int64_t kRowGrain = 1 << 17;  // numbers of each operand: some 20 us

struct Power {
  int kind;  // as in simd/distance.inl
  double p;
  Power(const char* op, double p) : kind(p == 0 ? 0 : p == 1 ? 1 : p == 2 ? 2 : std::isinf(p) ? 3 : 4), p(p) {
    if (!(p >= 0))
      throw std::invalid_argument(std::string(op) + ": p must not be negative, got " + std::to_string(p));
  }
  // What distance_grad leaves out.
  double factor(double y, double gy) const {
    if (kind == 0 || y == 0) return 0;
    return kind == 2 ? gy / y : kind == 4 ? gy * std::pow(y, 1 - p) : gy;
  }
};

// Where the pairs (i, i + 1), (i, i + 2)... stand.
int64_t first_pair(int64_t i, int64_t rows) { return i * rows - i * (i + 1) / 2; }

void check_matrix(const char* op, const View& x) {
  if (x.ndim != 2) fail(op, "input must be (rows, width)", {{"input", x}});
}

// f(x, y, rows, width, out) over stretches of the rows of x and y.
template <class F> Array each_row_pair(const char* op, const View& x, const View& y, F&& f) {
  const Dtype dt = common_dtype(op, {{"x", x}, {"y", y}});
  if (x.ndim == 0 || x.ndim != y.ndim || !std::equal(x.shape, x.shape + x.ndim, y.shape))
    fail(op, "x and y must have one shape, (..., width)", {{"x", x}, {"y", y}});
  const int64_t n = x.shape[x.ndim - 1];
  Array out = output(op, dt, x.ndim - 1, x.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense_x(x), dense_y(y);
    parallel_for(out.size(), std::max<int64_t>(1, kRowGrain / std::max<int64_t>(1, n)),
                 [&](int64_t begin, int64_t end) {
                   f(dense_x.as<T>() + begin * n, dense_y.as<T>() + begin * n, end - begin, n,
                     out.as<T>() + begin);
                 });
  });
  return out;
}

}  // namespace

Array row_dots_forward(const View& x, const View& y) {
  return each_row_pair("row_dots", x, y, [](auto* a, auto* b, int64_t rows, int64_t n, auto* out) {
    kernels<std::decay_t<decltype(*out)>>().row_dots(a, n, b, n, rows, n, out);
  });
}

Array pairwise_distance_forward(const View& x, const View& y, double eps) {
  return each_row_pair("pairwise_distance", x, y, [=](auto* a, auto* b, int64_t rows, int64_t n, auto* out) {
    using T = std::decay_t<decltype(*out)>;
    kernels<T>().row_distances(a, b, T(eps), rows, n, out);
  });
}

Array cosine_similarity_forward(const View& x, const View& y, double eps) {
  return each_row_pair("cosine_similarity", x, y, [=](auto* a, auto* b, int64_t rows, int64_t n, auto* out) {
    using T = std::decay_t<decltype(*out)>;
    kernels<T>().row_cosines(a, b, T(eps), rows, n, out);
  });
}

Array normalize_forward(const View& x, double eps) {
  constexpr const char* op = "normalize";
  const Dtype dt = common_dtype(op, {{"input", x}});
  if (x.ndim == 0) fail(op, "input must have an axis", {{"input", x}});
  Array y = output(op, dt, x.ndim, x.shape);
  if (y.size() == 0) return y;
  const int64_t n = x.shape[x.ndim - 1];
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense(x);
    const bool past = size_t(y.size()) * sizeof(T) >= past_caches_from();
    parallel_for(y.size() / n, std::max<int64_t>(1, kRowGrain / n), [&](int64_t begin, int64_t end) {
      kernels<T>().unit_rows(dense.as<T>() + begin * n, T(eps), end - begin, n, past, y.as<T>() + begin * n);
    });
  });
  return y;
}

Array pdist_forward(const View& x, double p) {
  constexpr const char* op = "pdist";
  const Dtype dt = common_dtype(op, {{"input", x}});
  check_matrix(op, x);
  const Power power(op, p);
  const int64_t rows = x.shape[0], n = x.shape[1], pairs = first_pair(rows, rows);
  Array y = output(op, dt, 1, &pairs);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense(x);
    const T* row = dense.as<T>();
    const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, rows * n));
    parallel_for(rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        kernels<T>().distances(power.kind, T(p), row + i * n, row + (i + 1) * n, n, rows - i - 1,
                               y.as<T>() + first_pair(i, rows));
    });
  });
  return y;
}

Array pdist_backward(const View& gy, const View& x, const View& y, double p) {
  constexpr const char* op = "pdist_backward";
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"x", x}, {"y", y}});
  check_matrix(op, x);
  const Power power(op, p);
  const int64_t rows = x.shape[0], n = x.shape[1];
  if (gy.size() != first_pair(rows, rows) || y.size() != gy.size())
    fail(op, "gy and y must have one number for each pair of rows", {{"gy", gy}, {"x", x}, {"y", y}});
  Array gx = output(op, dt, 2, x.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense_x(x), dense_gy(gy), dense_y(y);
    const T *row = dense_x.as<T>(), *g = dense_gy.as<T>(), *distance = dense_y.as<T>();
    parallel_for(
        rows, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, rows * n)), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            T* to = gx.as<T>() + i * n;
            std::fill_n(to, n, T(0));
            for (int64_t j = 0; j < rows; ++j) {
              if (j == i) continue;
              const int64_t low = std::min(i, j), at = first_pair(low, rows) + std::max(i, j) - low - 1;
              const double factor = power.factor(distance[at], g[at]);
              if (factor != 0)
                kernels<T>().distance_grad(power.kind, T(p), T(factor), distance[at], row + i * n,
                                           row + j * n, n, to);
            }
          }
        });
  });
  return gx;
}

}  // namespace nn::cpu
