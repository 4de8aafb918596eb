// Local response normalisation across channels (Krizhevsky et al. 2012), as in AlexNet and GoogLeNet.
//
//   y[c] = x[c] / (k + alpha / size sum of x[i]^2)^beta        i in [c - size / 2, c + (size - 1) / 2]
//
// Vectors run along positions. A tile is all channels of 64 positions; tiles of channels-last arrays are
// turned on their way into cache and out of it.
#include <string>

#include "../ops.h"
#include "norm_tiles.h"

namespace nn::cpu {
namespace {

constexpr int64_t kTile = 64;  // positions

void check(const char* op, const View& x, int64_t size) {
  if (x.ndim < 3) fail(op, "input must be (N, C, ...) with at least 3 axes", {{"input", x}});
  if (size < 1)
    throw std::invalid_argument(std::string(op) + ": size must be positive, not " + std::to_string(size));
}

template <class T>
ResponseNorm<T> parameters(const View& x, int64_t size, double alpha, double beta, double k) {
  return {x.shape[1], kTile, size / 2, (size - 1) / 2, T(alpha / double(size)), T(beta), T(k)};
}

// A tile of channels-last memory with its positions side by side, and the way back.
template <class T> const T* turned(const T* x, int64_t step, int64_t channels, int64_t n, T* to) {
  kernels<T>().transpose_copy(x, step, to, kTile, n, channels);
  return to;
}

// f(first element of the sample, position, positions) for each tile
template <class F> void each_tile(const View& x, int64_t l, F&& f) {
  const int64_t tiles = (l + kTile - 1) / kTile;
  const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 14) / (kTile * std::max<int64_t>(1, x.shape[1])));
  parallel_for(x.shape[0] * tiles, grain, [&](int64_t begin, int64_t end) { f(begin, end, tiles); });
}

}  // namespace

Array local_response_norm_forward(const View& x, int64_t size, double alpha, double beta, double k) {
  constexpr const char* op = "local_response_norm";
  const Dtype dt = common_dtype(op, {{"input", x}});
  check(op, x, size);
  const bool columns = by_columns(x);
  const int64_t l = plane_size(x), channels = x.shape[1];
  Array y = output_like(op, x, columns);
  if (x.size() == 0) return y;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Laid<const T> from(x, columns);
    const Laid<T> to(y.view(), columns);
    each_tile(x, l, [&](int64_t begin, int64_t end, int64_t tiles) {
      Workspace<T> space(size_t(columns ? 2 * channels * kTile : 0));
      ResponseNorm<T> p = parameters<T>(x, size, alpha, beta, k);
      for (int64_t u = begin; u < end; ++u) {
        const int64_t n = u / tiles, i = u % tiles * kTile;
        p.n = std::min(kTile, l - i);
        const T* source = from.p + n * from.n + i * from.l;
        T* target = to.p + n * to.n + i * to.l;
        if (!columns) {
          kernels<T>().response_norm(p, source, from.c, target, to.c);
          continue;
        }
        T* result = space + channels * kTile;
        kernels<T>().response_norm(p, turned<T>(source, from.l, channels, p.n, space), kTile, result, kTile);
        kernels<T>().transpose_copy(result, kTile, target, to.l, channels, p.n);
      }
    });
  });
  return y;
}

Array local_response_norm_backward(const View& gy, const View& x, int64_t size, double alpha, double beta,
                                   double k) {
  constexpr const char* op = "local_response_norm_backward";
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"x", x}});
  check(op, x, size);
  if (gy.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, gy.shape))
    fail(op, "gy must have the shape of x", {{"gy", gy}, {"x", x}});
  const bool columns = by_columns(x);
  const int64_t l = plane_size(x), channels = x.shape[1];
  Array gx = output_like(op, x, columns);
  if (x.size() == 0) return gx;
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Laid<const T> from(x, columns), grad(gy, columns);
    const Laid<T> to(gx.view(), columns);
    each_tile(x, l, [&](int64_t begin, int64_t end, int64_t tiles) {
      const int64_t block = channels * kTile;
      Workspace<T> space(size_t(columns ? 4 * block : block));
      ResponseNorm<T> p = parameters<T>(x, size, alpha, beta, k);
      for (int64_t u = begin; u < end; ++u) {
        const int64_t n = u / tiles, i = u % tiles * kTile;
        p.n = std::min(kTile, l - i);
        const T *source = from.p + n * from.n + i * from.l, *g = grad.p + n * grad.n + i * grad.l;
        T* target = to.p + n * to.n + i * to.l;
        if (!columns) {
          kernels<T>().response_norm_grad(p, g, grad.c, source, from.c, space, target, to.c);
          continue;
        }
        const T* a = turned<T>(g, grad.l, channels, p.n, space + block);
        const T* b = turned<T>(source, from.l, channels, p.n, space + 2 * block);
        T* result = space + 3 * block;
        kernels<T>().response_norm_grad(p, a, kTile, b, kTile, space, result, kTile);
        kernels<T>().transpose_copy(result, kTile, target, to.l, channels, p.n);
      }
    });
  });
  return gx;
}

}  // namespace nn::cpu
