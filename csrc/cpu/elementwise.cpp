#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"

namespace nn::cpu {

Array neg_forward(const View& x, const OptView& out) {
  Dtype dt = common_dtype("neg", {{"x", x}});
  Array y = output("neg", dt, x.ndim, x.shape, &out);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    kernels<T>().unary(0, x.as<T>(), y.as<T>(), x.size());
  });
  return y;
}

}  // namespace nn::cpu
