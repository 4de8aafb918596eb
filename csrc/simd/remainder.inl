// What is left of a division, exactly, for quotients that a T holds as whole numbers.
//
// x / y rounded is below or at the next whole number when the exact quotient is below it, so trunc(x / y) is
// right or one too large; x - trunc(x / y) y is a multiple of y's last place and no larger than y, so fnma
// gives it without rounding; where it was one too large it stands on the other side of 0, and gets y back.
namespace nn {
namespace {

template <bool kFloor, class T> NN_INLINE vec<T> rest_of(vec<T> x, vec<T> y, mask<T>& too_large) {
  const vec<T> zero = set1(T(0)), q = trunc(x / y);
  too_large = too_large | ~lt(abs(q), set1(T(sizeof(T) == 4 ? 0x1p22 : 0x1p51)));  // NaN, too
  const vec<T> rest = fnma(q, y, x);
  const mask<T> beyond = lt(rest * copysign(set1(T(1)), x), zero);
  const vec<T> left = copysign(select(eq(q, zero), x, rest + select(beyond, copysign(y, x), zero)), x);
  if (!kFloor) return left;
  const mask<T> below = lt(left * copysign(set1(T(1)), y), zero);
  return select(below, copysign(left + y, y), left);
}

template <bool kFloor, int X, int Y, class T> bool rest_loop(const T* x, const T* y, T* z, int64_t n) {
  constexpr int w = vec<T>::width;
  mask<T> too_large = lt(set1(T(0)), set1(T(0)));
  for (int64_t i = 0; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const vec<T> a = X ? load(x + i, k) : set1(*x), b = Y ? load(y + i, k) : set1(*y);
    store(z + i, rest_of<kFloor>(a, select(first<T>(k), b, set1(T(1))), too_large), k);
  }
  return !any(too_large);
}

// z = fmod(x, y), or with `floor` Python's x % y; steps are 1, or 0 for a single number. False, and z is
// wrong, if a quotient is too large, or x or y is no number.
template <class T>
bool remainder_row(bool floor, const T* x, int x_step, const T* y, int y_step, T* z, int64_t n) {
  if (vec<T>::width == 1) return false;  // fma is a call there: the caller's way is faster
  if (x_step && y_step) return floor ? rest_loop<true, 1, 1>(x, y, z, n) : rest_loop<false, 1, 1>(x, y, z, n);
  if (x_step) return floor ? rest_loop<true, 1, 0>(x, y, z, n) : rest_loop<false, 1, 0>(x, y, z, n);
  return floor ? rest_loop<true, 0, 1>(x, y, z, n) : rest_loop<false, 0, 1>(x, y, z, n);
}

}  // namespace
}  // namespace nn
