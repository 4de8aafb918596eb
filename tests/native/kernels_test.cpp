// matmul and elementwise kernels against plain loops, without Python: for cross-compiled and emulated builds.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <vector>

#include "memory.h"
#include "ops.h"
#include "simd/kernels.h"

using namespace nn;

template <class T> struct Owned {
  std::vector<T> data;
  std::vector<int64_t> shape, strides;
  View view() {
    return View{data.data(),  dtype_of<T>::value, true,    false, int(shape.size()),
                shape.data(), strides.data(),     nullptr, 0};
  }
};

template <class T> Owned<T> random_matrix(int64_t rows, int64_t cols, bool turned) {
  Owned<T> m;
  m.data.resize(size_t(rows * cols));
  for (T& x : m.data) x = T(rand() % 2001 - 1000) / 500;
  const int64_t s = sizeof(T);
  m.shape = {rows, cols};
  m.strides = turned ? std::vector<int64_t>{s, rows * s} : std::vector<int64_t>{cols * s, s};
  return m;
}

template <class T> T at(const Owned<T>& m, int64_t i, int64_t j) {
  return *reinterpret_cast<const T*>(reinterpret_cast<const char*>(m.data.data()) + i * m.strides[0] +
                                     j * m.strides[1]);
}

template <class T> int check_matmul(int64_t m, int64_t n, int64_t k, bool ta, bool tb) {
  Owned<T> a = random_matrix<T>(m, k, ta), b = random_matrix<T>(k, n, tb);
  Array c = cpu::matmul_forward(a.view(), b.view(), OptView());
  double worst = 0, scale = 1;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double s = 0;
      for (int64_t p = 0; p < k; ++p) s += double(at(a, i, p)) * double(at(b, p, j));
      worst = fmax(worst, fabs(s - double(c.as<T>()[i * n + j])));
      scale = fmax(scale, fabs(s));
    }
  const double eps = sizeof(T) == 4 ? 1.2e-7 : 2.2e-16;
  if (worst <= 4 * eps * scale * sqrt(double(k))) return 0;
  fprintf(stderr, "matmul %ldx%ldx%ld %d%d: error %g\n", long(m), long(n), long(k), ta, tb, worst);
  return 1;
}

template <class T> int check_unary(const char* name, Array (*f)(const View&, const OptView&),
                                   double (*true_f)(double), bool positive) {
  Owned<T> x = random_matrix<T>(7, 33, false);
  if (positive)
    for (T& v : x.data) v = fabs(v) + T(0.01);
  Array y = f(x.view(), OptView());
  int bad = 0;
  for (size_t i = 0; i < x.data.size(); ++i) {
    const double t = true_f(double(x.data[i])), error = fabs(t - double(y.as<T>()[i]));
    if (!(error <= 4 * (sizeof(T) == 4 ? 6e-8 : 1.1e-16) * fmax(fabs(t), 1e-3))) bad = 1;
  }
  if (bad) fprintf(stderr, "%s is wrong\n", name);
  return bad;
}

template <class T> int check_all() {
  int bad = 0;
  const GemmShape shape = kernels<T>().gemm_shape();
  if (shape.nc % shape.nr || shape.mc % shape.mr) {
    fprintf(stderr, "gemm: blocks of %d x %d are no whole panels of %d x %d\n", int(shape.mc), int(shape.nc),
            int(shape.mr), int(shape.nr));
    bad = 1;
  }
  const int64_t sizes[][3] = {{1, 1, 1},    {1, 40, 30},    {40, 1, 30},   {3, 5, 7},
                              {8, 12, 16},  {13, 33, 17},   {16, 8, 64},   {31, 29, 9},
                              {65, 70, 81}, {100, 64, 300}, {20, 100, 700}};
  for (auto& s : sizes)
    for (int t = 0; t < 4; ++t) bad += check_matmul<T>(s[0], s[1], s[2], t & 1, t & 2);
  bad += check_unary<T>("exp", cpu::exp_forward, exp, false);
  bad += check_unary<T>("log", cpu::log_forward, log, true);
  bad += check_unary<T>("tanh", cpu::tanh_forward, tanh, false);
  bad += check_unary<T>("sin", cpu::sin_forward, sin, false);
  bad += check_unary<T>("cos", cpu::cos_forward, cos, false);
  bad += check_unary<T>("erf", cpu::erf_forward, erf, false);
  bad += check_unary<T>("log1p", cpu::log1p_forward, log1p, true);
  bad += check_unary<T>(
      "gelu", cpu::gelu_forward, [](double v) { return double(0.5L * v * erfcl(-v / sqrtl(2))); }, false);
  bad += check_unary<T>(
      "pow", [](const View& x, const OptView& out) { return cpu::pow_forward(Operand{x}, Operand{x}, out); },
      [](double v) { return pow(v, v); }, true);
  bad += check_unary<T>("floor", cpu::floor_forward, floor, false);
  return bad;
}

int main() {
  int bad = 0;
  for (const char* name : {"scalar", "neon", "avx2", "avx512"}) {
    if (!set_isa(name)) continue;
    const int failed = check_all<float>() + check_all<double>();
    printf("%s: %s\n", name, failed ? "FAILED" : "ok");
    bad += failed;
  }
  return bad != 0;
}
