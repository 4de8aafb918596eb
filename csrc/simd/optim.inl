// One step of SGD and of Adam on contiguous parameters. Bound by bytes: all arrays are read once and written
// once.
namespace nn {
namespace {

// p -= lr * g', where g' = g + decay * p goes through the momentum buffer b if there is one. sign is -1 to
// climb.
template <class T> void sgd_update(T* p, const T* g, T* b, int64_t n, T lr, T momentum, T dampening, T decay,
                                   bool nesterov, T sign, bool first_step) {
  constexpr int w = vec<T>::width;
  const vec<T> s = set1(sign), d = set1(decay), mu = set1(momentum), keep = set1(T(1) - dampening),
               rate = set1(lr);
  for (int64_t i = 0; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const vec<T> x = load(p + i, k);
    vec<T> step = mul_add(d, x, s * load(g + i, k));
    if (b) {
      const vec<T> m = first_step ? step : mul_add(mu, load(b + i, k), keep * step);
      store(b + i, m, k);
      step = nesterov ? mul_add(mu, m, step) : m;
    }
    store(p + i, neg_mul_add(rate, step, x), k);
  }
}

// m += new1 (g - m);  v = (1 - new2) v + new2 g^2;  p = shrink * p - rate * m / (sqrt(v) / root + eps)
// new1, new2: 1 - beta, taken by the caller in double: of a float near 1 it would keep five digits. top is
// AMSGrad's running maximum of v, or null. rate and root carry the corrections for the first steps.
template <class T> void adam_update(T* p, const T* g, T* m, T* v, T* top, int64_t n, T rate, T root, T new1,
                                    T new2, T eps, T decay, T shrink, T sign) {
  constexpr int w = vec<T>::width;
  const vec<T> s = set1(sign), d = set1(decay), b1 = set1(new1), b2 = set1(T(1) - new2), c2 = set1(new2);
  const vec<T> r = set1(rate), inverse_root = set1(T(1) / root), e = set1(eps), sh = set1(shrink);
  for (int64_t i = 0; i < n; i += w) {
    const int k = n - i < w ? int(n - i) : w;
    const vec<T> x = load(p + i, k), old = load(m + i, k);
    const vec<T> step = mul_add(d, x, s * load(g + i, k));
    const vec<T> m1 = mul_add(b1, step - old, old), v1 = mul_add(b2, load(v + i, k), c2 * step * step);
    store(m + i, m1, k), store(v + i, v1, k);
    vec<T> largest = v1;
    if (top) store(top + i, largest = max(load(top + i, k), v1), k);
    const vec<T> scale = mul_add(sqrt(largest), inverse_root, e);
    store(p + i, neg_mul_add(r, m1 / scale, sh * x), k);
  }
}

}  // namespace
}  // namespace nn
