// The gradient of a grid, and of an image in channels-last order.
namespace nn {
namespace {

// sums[o] += gy[o] * x[index[o]]
template <class T> void lookup_dot(const T* x, const int32_t* index, const T* gy, int64_t n, T* sums) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; o += w) {
    const int m = n - o < w ? int(n - o) : w;
    store(sums + o, fma(load(gy + o, m), lookup(x, index + o, m), load(sums + o, m)), m);
  }
}

// The same of pixels of `inner` numbers: sums[o] = sum over c of gy[o, c] * x[index[o], c]
template <class T>
void pixel_dot(const T* x, const int32_t* index, const T* gy, int64_t n, int64_t inner, T* sums) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; ++o, gy += inner) {
    sums[o] = 0;
    if (index[o] < 0) continue;
    const T* from = x + index[o] * inner;
    vec<T> a = set1(T(0));
    for (int64_t c = 0; c < inner; c += w) {
      const int m = inner - c < w ? int(inner - c) : w;
      a = fma(load(gy + c, m), load(from + c, m), a);
    }
    sums[o] = sum(a);
  }
}

// gx[index[o], :] += weight[o] * gy[o, :]
template <class T>
void scatter_pixels(const T* gy, const int32_t* index, const T* weight, int64_t n, int64_t inner, T* gx) {
  constexpr int w = vec<T>::width;
  for (int64_t o = 0; o < n; ++o, gy += inner) {
    if (index[o] < 0) continue;
    T* to = gx + index[o] * inner;
    const vec<T> f = set1(weight[o]);
    for (int64_t c = 0; c < inner; c += w) {
      const int m = inner - c < w ? int(inner - c) : w;
      store(to + c, fma(f, load(gy + c, m), load(to + c, m)), m);
    }
  }
}

}  // namespace
}  // namespace nn
