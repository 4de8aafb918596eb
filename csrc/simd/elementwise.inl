// Contiguous elementwise loops.
namespace nn {
namespace {

template <class T> void unary(int, const T* x, T* y, int64_t n) {
  constexpr int w = vec<T>::width;
  int64_t i = 0;
  for (; i + w <= n; i += w) store(y + i, -load(x + i));
  if (i < n) store(y + i, -load(x + i, int(n - i)), int(n - i));
}

}  // namespace
}  // namespace nn
