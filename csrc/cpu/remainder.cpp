// remainder, fmod and floor_divide: what is left of a division of x by y, and how often y went into x.
//
//   fmod       x - y trunc(x / y), the sign is x's        (C)
//   remainder  x - y floor(x / y), the sign is y's        (Python, PyTorch)
//   floor_divide   floor(x / y)
//
// All three come from fmod, which is exact: simd/remainder.inl. Very large quotients go through the C
// library, slowly; a float's first through double, where x - q y has no rounding as long as q has no more
// than 28 bits.
#include <atomic>
#include <cmath>

#include "elementwise_walk.h"

namespace nn::cpu {
namespace {

enum class Part { remainder, fmod, floor_divide };

// By itself, or the compiler computes it for all before it chooses.
template <class T> [[gnu::noinline]] T slow_fmod(T x, T y) { return std::fmod(x, y); }

constexpr double kLargestQuotient = 1 << 28;

double exact_fmod(double x, double y) { return slow_fmod(x, y); }
float exact_fmod(float x, float y) {
  const double q = std::trunc(double(x) / double(y));
  if (!(std::abs(q) < kLargestQuotient)) return slow_fmod(x, y);
  if (q == 0) return x;  // also beside an infinite y
  return std::copysign(float(double(x) - q * double(y)), x);
}

template <class T> T part_of(Part which, T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    if (which == Part::floor_divide && y == 0) return x / y;
    const T left = exact_fmod(x, y);
    const bool below = left != 0 && (y < 0) != (left < 0);  // what fmod left stands on the other side of 0
    if (which != Part::floor_divide) return which == Part::remainder && below ? left + y : left;
    const T quotient = (x - left) / y - T(below);
    if (quotient == 0) return std::copysign(T(0), x / y);
    const T whole = std::floor(quotient);
    return quotient - whole > T(0.5) ? whole + 1 : whole;
  } else {
    using U = std::make_unsigned_t<T>;
    if (U(y) == U(-1) && std::is_signed_v<T>)  // the quotient of the lowest number wraps
      return which == Part::floor_divide ? T(U(0) - U(x)) : T(0);
    const T left = T(x % y);
    const bool below = left != 0 && (y < 0) != (left < 0);
    if (which == Part::floor_divide) return T(x / y - below);
    return which == Part::remainder && below ? T(left + y) : left;
  }
}

// Block by block: what one block holds that the kernel can't do makes only that block slow.
template <class T> void row(bool floor, const T* x, int xs, const T* y, int ys, T* z, int64_t n) {
  T block[kWalkBlock];  // z may be x or y
  for (int64_t i = 0; i < n; i += kWalkBlock) {
    const int64_t m = std::min<int64_t>(kWalkBlock, n - i);
    if (kernels<T>().remainder_row(floor, x + i * xs, xs, y + i * ys, ys, block, m)) {
      std::copy(block, block + m, z + i);
      continue;
    }
    for (int64_t j = i; j < i + m; ++j)
      z[j] = part_of(floor ? Part::remainder : Part::fmod, x[j * xs], y[j * ys]);
  }
}

template <class T> bool holds_zero(const View& y) {
  if (y.is_scalar) return y.whole == 0;
  ElementWalk w;
  w.operands = 1, w.ndim = y.ndim;
  for (int i = 0; i < y.ndim; ++i) w.shape[i] = y.shape[i], w.step[0][i] = y.step(i);
  w.merge();
  std::atomic<bool> found{false};
  w.run([&](const int64_t* at, int64_t n) {
    const T* p = y.as<const T>() + at[0];
    for (int64_t i = 0; i < n; ++i)
      if (p[i * w.inner_step(0)] == 0) found = true;
  });
  return found;
}

Array divided(const char* op, Part which, const View& x, const View& y, const OptView& out) {
  const Dtype dt = operand_dtype(op, x, y);
  if (dt == Dtype::b8) fail_type(op, "x and y are bool; numbers are needed");
  if (differ(x, y, dt)) {
    const Promoted a(op, x, dt), b(op, y, dt);
    return divided(op, which, a.view(), b.view(), out);
  }
  const Named args[] = {{"x", x}, {"y", y}};
  int64_t shape[kMaxDims];
  const int ndim = broadcast(op, args, 2, shape);
  int64_t size = 1;
  for (int i = 0; i < ndim; ++i) size *= shape[i];
  if (!is_float(dt) && size)
    dispatch_integer(dt, [&](auto t) {
      if (holds_zero<decltype(t)>(y))
        fail(op, "y holds 0, by which whole numbers can't be divided", {{"x", x}, {"y", y}});
    });
  const View* inputs[] = {&x, &y};
  return into(op, dt, ndim, shape, &out, inputs, 2, [&](Array& z) {
    const ElementWalk w = element_walk(z, inputs, 2);
    dispatch_all(dt, [&](auto t) {
      using T = decltype(t);
      T x0, y0;
      const T *xp = data_or<T>(x, x0), *yp = data_or<T>(y, y0);
      run_loop(w, xp, yp, z.as<T>(), [=](const T* a, int as, const T* b, int bs, T* c, int64_t n) {
        if constexpr (std::is_floating_point_v<T>)
          if (which != Part::floor_divide && (as || bs))
            return row(which == Part::remainder, a, as, b, bs, c, n);
        for (int64_t i = 0; i < n; ++i) c[i] = part_of(which, a[i * as], b[i * bs]);
      });
    });
  });
}

}  // namespace

Array remainder_forward(const Operand& x, const Operand& y, const OptView& out) {
  return divided("remainder", Part::remainder, x, y, out);
}
Array fmod_forward(const Operand& x, const Operand& y, const OptView& out) {
  return divided("fmod", Part::fmod, x, y, out);
}
Array floor_divide_forward(const Operand& x, const Operand& y, const OptView& out) {
  return divided("floor_divide", Part::floor_divide, x, y, out);
}

}  // namespace nn::cpu
