// Elementary functions over vec<T>.
#include <math.h>

namespace nn {
namespace {

// exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln(2) / 2; polynomials of degree 6 and 13, <= 1 ulp.
NN_INLINE vec<float> exp(vec<float> x) {
  x = min(set1(89.0f), max(set1(-104.0f), x));  // NaN stays; beyond, scale2 gives Inf or 0
  const vec<float> n = round(x * set1(1.44269504f));
  vec<float> r = fnma(n, set1(0.693145752f), x);  // ln 2 in two parts
  r = fnma(n, set1(1.42860677e-6f), r);
  vec<float> q = fma(set1(0.00138145383f), r, set1(0.00836874545f));
  q = fma(q, r, set1(0.041668389f));
  q = fma(q, r, set1(0.166665211f));
  q = fma(q, r, set1(0.49999994f));
  return scale2(set1(1.0f) + fma(r * r, q, r), n);
}
NN_INLINE vec<double> exp(vec<double> x) {
  x = min(set1(710.0), max(set1(-746.0), x));
  const vec<double> n = round(x * set1(1.4426950408889634));
  vec<double> r = fnma(n, set1(6.93147180369123816490e-01), x);
  r = fnma(n, set1(1.90821492927058770002e-10), r);
  vec<double> q = set1(1.0 / 6227020800);
  const double inverse_factorials[] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                       1.0 / 40320,     1.0 / 5040,     1.0 / 720,     1.0 / 120,
                                       1.0 / 24,        1.0 / 6,        1.0 / 2};
  for (int i = 0; i < 11; ++i) q = fma(q, r, set1(inverse_factorials[i]));
  return scale2(set1(1.0) + fma(r * r, q, r), n);
}

}  // namespace
}  // namespace nn
