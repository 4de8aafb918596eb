// One step of connectionist temporal classification, in logarithms:
//
//   out[s] = emit[s] + log(exp(prev[s]) + exp(prev[s - 1]) + exp(prev[s - 2] + skip[s]))
//
// skip is 0 or -Inf; prev[-2] and prev[-1] can be read. Bound by exp and log: lanes are states.
namespace nn {
namespace {

template <class T> void ctc_step(const T* prev, const T* skip, const T* emit, T* out, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> lowest = set1(T(-1e30));  // keeps -Inf - -Inf away
  for (int64_t i = 0; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    const vec<T> a = load(prev + i, m), b = load(prev + i - 1, m),
                 c = load(prev + i - 2, m) + load(skip + i, m);
    const vec<T> top = max(lowest, max(max(a, b), c));
    store(out + i, load(emit + i, m) + top + log(exp(a - top) + exp(b - top) + exp(c - top)), m);
  }
}

}  // namespace
}  // namespace nn
