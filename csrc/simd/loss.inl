// Losses element by element: values and gradients with respect to x, of prediction x and target t.
//
// Bound by memory, but for those with an exp or a logarithm. The order is that of NN_LOSSES (elementwise.h).
namespace nn {
namespace {

// One struct per loss, holding its number a (beta, delta) in registers: y(x, t), and slope(x, t) = dy/dx.
#define NN_LOSS(name, value, gradient)                                                     \
  template <class T> struct loss_##name {                                                  \
    vec<T> a, zero, one;                                                                   \
    NN_INLINE vec<T> y(vec<T> x, vec<T> t) const { return value; }                         \
    NN_INLINE vec<T> slope([[maybe_unused]] vec<T> x, vec<T> t) const { return gradient; } \
  };

// |d| against a number where the quadratic part ends; NaN comes through
template <class T> NN_INLINE vec<T> bounded(vec<T> d, vec<T> top) { return min(top, max(-top, d)); }
template <class T> NN_INLINE vec<T> half_square(vec<T> d) { return set1(T(0.5)) * d * d; }
// log(x), but no less than -100
template <class T> NN_INLINE vec<T> bounded_log(vec<T> x) { return max(set1(T(-100)), log(x)); }
template <class T> NN_INLINE vec<T> softplus_of(vec<T> x) { return max(set1(T(0)), x) + softplus_tail(x); }

NN_LOSS(mse, (x - t) * (x - t), (x - t) + (x - t))
NN_LOSS(l1, abs(x - t), (select(gt(x, t), one, select(lt(x, t), -one, zero))))
NN_LOSS(smooth_l1, (select(lt(abs(x - t), a), half_square(x - t) / a, abs(x - t) - set1(T(0.5)) * a)),
        (bounded((x - t) / a, one)))
NN_LOSS(huber, (select(le(abs(x - t), a), half_square(x - t), a*(abs(x - t) - set1(T(0.5)) * a))),
        (bounded(x - t, a)))
NN_LOSS(binary_cross_entropy, ((t - one) * max(set1(T(-100)), log1p(-x)) - t * bounded_log(x)),
        ((x - t) / max(set1(T(1e-12)), x*(one - x))))
NN_LOSS(binary_cross_entropy_with_logits, ((one - t) * x + softplus_of(-x)), (sigmoid(x) - t))
NN_LOSS(kl_div, (select(eq(t, zero), zero, t* log(t)) - t * x), -t)
NN_LOSS(kl_div_log, exp(t) * (t - x), -exp(t))
NN_LOSS(poisson_nll, exp(x) - t * x, exp(x) - t)
NN_LOSS(soft_margin, (softplus_of(-t * x)), (-t * sigmoid(-t * x)))
NN_LOSS(hinge_embedding, (select(eq(t, one), zero, max(zero, a - x)) + select(eq(t, -one), zero, x)),
        (select(eq(t, one) | ~ge(a, x), zero, -one) + select(eq(t, -one), zero, one)))
#undef NN_LOSS

template <template <class> class L, class T> NN_INLINE L<T> with_number(T a) {
  return {set1(a), set1(T(0)), set1(T(1))};
}
template <class L, class T> void loss_loop(const L f, const T* x, const T* t, T* y, int64_t n) {
  constexpr int W = vec<T>::width;
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const vec<T> u = f.y(load_part(x + i, W, true), load_part(t + i, W, true)),
                 v = f.y(load_part(x + i + W, W, true), load_part(t + i + W, W, true));
    store(y + i, u);
    store(y + i + W, v);
  }
  for (; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    store(y + i, f.y(load(x + i, m), load(t + i, m)), m);
  }
}
template <class L, class T> void loss_grad_loop(const L f, T g, const T* x, const T* t, T* gx, int64_t n) {
  constexpr int W = vec<T>::width;
  const vec<T> scale = set1(g);
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const vec<T> u = f.slope(load_part(x + i, W, true), load_part(t + i, W, true)),
                 v = f.slope(load_part(x + i + W, W, true), load_part(t + i + W, W, true));
    store(gx + i, scale * u);
    store(gx + i + W, scale * v);
  }
  for (; i < n; i += W) {
    const int m = int(n - i < W ? n - i : W);
    store(gx + i, scale * f.slope(load(x + i, m), load(t + i, m)), m);
  }
}

template <class T> void loss(int kind, const T* x, const T* t, T* y, int64_t n, T a) {
  switch (Loss(kind)) {
#define NN_CASE(A, name) \
  case Loss::name:       \
    return loss_loop(with_number<loss_##name>(a), x, t, y, n);
    NN_LOSSES(NN_CASE, )
#undef NN_CASE
  }
}
// gx = g dy/dx
template <class T> void loss_grad(int kind, T g, const T* x, const T* t, T* gx, int64_t n, T a) {
  switch (Loss(kind)) {
#define NN_CASE(A, name) \
  case Loss::name:       \
    return loss_grad_loop(with_number<loss_##name>(a), g, x, t, gx, n);
    NN_LOSSES(NN_CASE, )
#undef NN_CASE
  }
}

}  // namespace
}  // namespace nn
