// Local response normalisation of a tile of channels `step` apart, n positions side by side.
//
// The window of channel c is [c - low, c + high]; its squares are summed anew for each channel: a running sum
// would drag rounding errors along. Bound by square roots and divisions, or by bytes.
namespace nn {
namespace {

// s^-beta; 3/4, which everybody uses, by two square roots
template <class T> NN_INLINE vec<T> inverse_power(vec<T> s, T beta) {
  if (beta == T(0.75)) {
    const vec<T> root = sqrt(s);
    return set1(T(1)) / (root * sqrt(root));
  }
  return exp(set1(-beta) * log(s));
}

// f(i) of the channels in [from, to] that there are
template <class F> NN_INLINE void each_in(int64_t from, int64_t to, int64_t channels, F&& f) {
  for (int64_t i = from < 0 ? 0 : from; i <= (to < channels ? to : channels - 1); ++i) f(i);
}

// y = x (k + alpha sum of squares)^-beta
template <class T>
void response_norm(const ResponseNorm<T>& p, const T* x, int64_t step, T* y, int64_t y_step) {
  constexpr int w = vec<T>::width;
  const vec<T> alpha = set1(p.alpha), k = set1(p.k);
  for (int64_t c = 0; c < p.channels; ++c)
    each_vector<w>(p.n, [&](int64_t j, int m) {
      vec<T> s = set1(T(0));
      each_in(c - p.low, c + p.high, p.channels, [&](int64_t i) {
        const vec<T> v = load(x + i * step + j, m);
        s = mul_add(v, v, s);
      });
      store(y + c * y_step + j, load(x + c * step + j, m) * inverse_power(mul_add(alpha, s, k), p.beta), m);
    });
}

// gx = gy s^-beta - 2 alpha beta x (sum over the windows with x in them of gy x s^(-beta - 1)); t: channels *
// n numbers
template <class T> void response_norm_grad(const ResponseNorm<T>& p, const T* gy, int64_t gy_step, const T* x,
                                           int64_t step, T* t, T* gx, int64_t gx_step) {
  constexpr int w = vec<T>::width;
  const vec<T> alpha = set1(p.alpha), k = set1(p.k), factor = set1(2 * p.alpha * p.beta);
  for (int64_t c = 0; c < p.channels; ++c)
    each_vector<w>(p.n, [&](int64_t j, int m) {
      vec<T> s = set1(T(0));
      each_in(c - p.low, c + p.high, p.channels, [&](int64_t i) {
        const vec<T> v = load(x + i * step + j, m);
        s = mul_add(v, v, s);
      });
      s = mul_add(alpha, s, k);
      const vec<T> g = load(gy + c * gy_step + j, m) * inverse_power(s, p.beta);
      store(gx + c * gx_step + j, g, m);
      store(t + c * p.n + j, g * load(x + c * step + j, m) / s, m);
    });
  for (int64_t c = 0; c < p.channels; ++c)
    each_vector<w>(p.n, [&](int64_t j, int m) {
      vec<T> s = set1(T(0));
      each_in(c - p.high, c + p.low, p.channels, [&](int64_t i) { s = s + load(t + i * p.n + j, m); });
      T* to = gx + c * gx_step + j;
      store(to, neg_mul_add(factor * load(x + c * step + j, m), s, load(to, m)), m);
    });
}

}  // namespace
}  // namespace nn
