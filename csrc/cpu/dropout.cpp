// Dropout: y[i] = x[i] / (1 - p) where a hash of (seed, i) allows it, else 0.
//
// The random numbers are a function of the seed and the element's place in C order (Philox 4x32-10), so that
// backward is the same call on gy: no mask is stored, and any number of threads gives the same bits.
#include <cstring>

#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {

Array dropout_forward(const View& x, double p, int64_t seed) {
  const Dtype dt = common_dtype("dropout", {{"x", x}});
  if (!(p >= 0 && p <= 1))
    throw std::invalid_argument("dropout: p must lie in [0, 1], got " + std::to_string(p));
  Array y = output("dropout", dt, x.ndim, x.shape);
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
                           T(1 / (1 - p)));
    });
  });
  return y;
}

}  // namespace nn::cpu
