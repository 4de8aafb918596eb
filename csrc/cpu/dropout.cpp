// Dropout: y[i] = x[i] / (1 - p) where a hash of (seed, i) allows it, else 0. Alpha dropout (Klambauer et al.
// 2017): y[i] = a x[i] + b there, else a s + b, where a and b keep mean 0 and variance 1, and s is what selu
// saturates at.
//
// The random numbers are a function of the seed and the element's place in C order (Philox 4x32-10), so that
// backward is the same call on gy: no mask is stored, and any number of threads gives the same bits.
#include <cmath>
#include <cstring>

#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

struct Choice {
  double scale, shift, fill;  // kept: x scale + shift, else fill
};

Array drop(const char* op, const char* name, const View& x, double p, int64_t seed, const Choice& to) {
  const Dtype dt = common_dtype(op, {{name, x}});
  if (!(p >= 0 && p <= 1))
    throw std::invalid_argument(std::string(op) + ": p must lie in [0, 1], got " + std::to_string(p));
  Array y = output(op, dt, x.ndim, x.shape);
  if (p == 1) {
    memset(y.data, 0, size_t(x.bytes()));
    return y;
  }
  const bool packed = x.contiguous();
  if (!packed) copy(x, y.view());
  const uint32_t threshold = uint32_t(p * 4294967296.0);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* from = packed ? x.as<T>() : y.as<T>();
    const int64_t n = x.size();
    parallel_for((n + 63) / 64, 512, [&](int64_t begin, int64_t end) {
      const int64_t count = (end * 64 < n ? end * 64 : n) - begin * 64;
      kernels<T>().dropout(from + begin * 64, y.as<T>() + begin * 64, count, uint64_t(seed), begin, threshold,
                           T(to.scale), T(to.shift), T(to.fill));
    });
  });
  return y;
}

constexpr double kSaturated = -1.7580993408473766;  // -scale alpha of selu
double alpha_scale(double p) { return 1 / std::sqrt((1 - p) * (1 + p * kSaturated * kSaturated)); }

}  // namespace

Array dropout_forward(const View& x, double p, int64_t seed) {
  return drop("dropout", "x", x, p, seed, {1 / (1 - p), 0, 0});
}

Array alpha_dropout_forward(const View& x, double p, int64_t seed) {
  const double a = alpha_scale(p), shift = -a * kSaturated * p;
  return drop("alpha_dropout", "x", x, p, seed, {a, shift, a * kSaturated + shift});
}

Array alpha_dropout_backward(const View& gy, double p, int64_t seed) {
  return drop("alpha_dropout", "gy", gy, p, seed, {alpha_scale(p), 0, 0});
}

}  // namespace nn::cpu
