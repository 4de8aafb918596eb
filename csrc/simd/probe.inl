// What the machine can do at most: the FMA units' rate, and the rates of reading and of writing memory.
namespace nn {
namespace {

// rounds * 16 independent chains of multiply-adds: enough in flight for two units of latency 4.
template <class T> T probe_fma(int64_t rounds) {
  vec<T> acc[12];
  for (int i = 0; i < 12; ++i) acc[i] = set1(T(1) + T(i));
  const vec<T> a = set1(T(0.999)), b = set1(T(0.001));
  for (int64_t r = 0; r < rounds; ++r) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) acc[i] = mul_add(acc[i], a, b);
  }
  for (int i = 1; i < 12; ++i) acc[0] = acc[0] + acc[i];
  return sum(acc[0]);
}

template <class T> T probe_read(const T* x, int64_t n) {
  constexpr int W = vec<T>::width;
  vec<T> acc[8];
  for (int i = 0; i < 8; ++i) acc[i] = set1(T(0));
  for (int64_t i = 0; i + 8 * W <= n; i += 8 * W) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) acc[j] = acc[j] + load(x + i + j * W);
  }
  for (int i = 1; i < 8; ++i) acc[0] = acc[0] + acc[i];
  return sum(acc[0]);
}

// past_cache: with streaming stores, which need x aligned to a vector.
template <class T> void probe_write(T* x, int64_t n, bool past_cache) {
  constexpr int W = vec<T>::width;
  const vec<T> value = set1(T(1));
  if (past_cache) {
    for (int64_t i = 0; i + W <= n; i += W) stream(x + i, value);
    stream_fence();
  } else {
    for (int64_t i = 0; i + W <= n; i += W) store(x + i, value);
  }
}

}  // namespace
}  // namespace nn
