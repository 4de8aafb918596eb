// Activations with numbers of their own, and PReLU.
//
// Forward is the walk of elementwise_walk.h around the loops of simd/activation.inl. Backward reads gy and x
// once and writes gx once. Bound by memory.
#include "../simd/kernels.h"
#include "copy.h"
#include "elementwise_walk.h"

namespace nn::cpu {
namespace {

constexpr int64_t kPreluRow = 1 << 12;

struct Numbers {
  double a = 0, b = 0, c = 0;
};
Numbers for_kernel(Activation which, Numbers p) {
  if (which == Activation::softplus) p.c = 1 / p.a;  // a product costs less than a quotient
  return p;
}

Array forward(const char* op, Activation which, const View& x, const OptView& out, Numbers p) {
  const bool takes_whole = which == Activation::softsign || which == Activation::tanhshrink;
  if (takes_whole && !is_float(x.dtype) && x.dtype != Dtype::b8)
    return forward(op, which, Promoted(op, x, Dtype::f32).view(), out, p);
  common_dtype(op, {{"x", x}});
  p = for_kernel(which, p);
  const View* input = &x;
  return into(op, x.dtype, x.ndim, x.shape, &out, &input, 1, [&](Array& y) {
    const ElementWalk w = element_walk(y, &input, 1);
    dispatch(x.dtype, [&](auto t) {
      using T = decltype(t);
      auto kernel = kernels<T>().activate;
      const T *xs = x.as<const T>(), *none = nullptr;
      const bool past = streams(w, xs, none, y.as<T>());
      run_loop(w, xs, none, y.as<T>(), [=](const T* from, int step, const T*, int, T* to, int64_t n) {
        kernel(int(which), from, to, step == 1 || n == 0 ? n : 1, T(p.a), T(p.b), T(p.c), past && step == 1);
        if (step == 0) std::fill(to, to + n, *to);
      });
    });
  });
}

Array backward(const char* op, Activation which, const View& gy, const View& x, Numbers p) {
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"x", x}});
  if (gy.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, gy.shape))
    fail(op, "gy must have the shape of x", {{"gy", gy}, {"x", x}});
  const View* inputs[] = {&gy, &x};
  return into(op, dt, x.ndim, x.shape, nullptr, inputs, 2, [&](Array& gx) {
    const ElementWalk w = element_walk(gx, inputs, 2);
    dispatch(dt, [&](auto t) {
      using T = decltype(t);
      auto kernel = kernels<T>().activate_grad;
      const bool past = streams(w, gy.as<const T>(), x.as<const T>(), gx.as<T>());
      run_loop(w, gy.as<const T>(), x.as<const T>(), gx.as<T>(),
               [=](const T* g, int g_step, const T* v, int step, T* to, int64_t n) {
                 if (g_step && step) return kernel(int(which), g, v, to, n, T(p.a), T(p.b), T(p.c), past);
                 T gs[kWalkBlock], xs[kWalkBlock];  // one of them is a single number
                 for (int64_t i = 0; i < n; i += kWalkBlock) {
                   const int64_t m = std::min<int64_t>(kWalkBlock, n - i);
                   gather(g + i * g_step, g_step, m, gs);
                   gather(v + i * step, step, m, xs);
                   kernel(int(which), gs, xs, to + i, m, T(p.a), T(p.b), T(p.c), past);
                 }
               });
    });
  });
}

// Partial sums of the weight's gradient, one slot per unit of work, are added up in order.
template <class T> void prelu_rows(const T* gy, const T* x, const T* w, int64_t channels, int64_t rows,
                                   int64_t n, T* gx, T* gw) {
  Workspace<T> parts{size_t(rows)};
  T* part = parts;
  parallel_for(rows, std::max<int64_t>(1, kWalkChunk / n), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      part[r] = kernels<T>().prelu_grad_row(gy + r * n, x + r * n, w[r % channels], gx + r * n, n);
  });
  for (int64_t c = 0; c < channels; ++c) {
    double total = 0;
    for (int64_t r = c; r < rows; r += channels) total += double(part[r]);
    gw[c] = T(total);
  }
}

template <class T>
void prelu_columns(const T* gy, const T* x, const T* w, int64_t rows, int64_t n, T* gx, T* gw) {
  const int64_t chunk = std::max<int64_t>(1, kWalkChunk / n), chunks = (rows + chunk - 1) / chunk;
  Workspace<T> parts{size_t(chunks * n)};
  T* part = parts;
  parallel_for(chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t at = i * chunk * n;
      std::fill(part + i * n, part + i * n + n, T(0));
      kernels<T>().prelu_grad_cols(gy + at, x + at, w, gx + at, part + i * n,
                                   std::min(chunk, rows - i * chunk), n);
    }
  });
  for (int64_t c = 0; c < n; ++c) {
    double total = 0;
    for (int64_t i = 0; i < chunks; ++i) total += double(part[i * n + c]);
    gw[c] = T(total);
  }
}

}  // namespace

Array2 prelu_backward(const View& gy, const View& x, const View& w) {
  const Dtype dt = common_dtype("prelu_backward", {{"gy", gy}, {"x", x}, {"w", w}});
  if (gy.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, gy.shape))
    fail("prelu_backward", "gy must have the shape of x", {{"gy", gy}, {"x", x}});
  const int64_t channels = w.size(), size = x.size();
  if (w.ndim > 1 || (channels != 1 && (x.ndim < 2 || x.shape[1] != channels)))
    fail("prelu_backward", "w must hold one number or one per channel of x", {{"x", x}, {"w", w}});
  Array gx = output("prelu_backward", dt, x.ndim, x.shape),
        gw = output("prelu_backward", dt, w.ndim, w.shape);
  int64_t inner = 1;
  for (int i = 2; i < x.ndim; ++i) inner *= x.shape[i];
  const Dense dense_gy(gy), dense(x), dense_w(w);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T *g = dense_gy.as<T>(), *v = dense.as<T>(), *weight = dense_w.as<T>();
    if (size == 0) {
      std::fill(gw.as<T>(), gw.as<T>() + channels, T(0));
    } else if (channels > 1 && inner == 1) {
      prelu_columns(g, v, weight, size / channels, channels, gx.as<T>(), gw.as<T>());
    } else if (channels > 1) {
      prelu_rows(g, v, weight, channels, size / inner, inner, gx.as<T>(), gw.as<T>());
    } else {  // one weight: rows of any length will do, and what is left over
      const int64_t row = std::min<int64_t>(size, kPreluRow), whole = size / row * row;
      prelu_rows(g, v, weight, 1, size / row, row, gx.as<T>(), gw.as<T>());
      if (size > whole)
        *gw.as<T>() +=
            kernels<T>().prelu_grad_row(g + whole, v + whole, *weight, gx.as<T>() + whole, size - whole);
    }
  });
  return {std::move(gx), std::move(gw)};
}

#define NN_BODY0(A, name)                                            \
  Array name##_forward(const View& x, const OptView& out) {          \
    return forward(#name, Activation::name, x, out, {});             \
  }                                                                  \
  Array name##_backward(const View& gy, const View& x) {             \
    return backward(#name "_backward", Activation::name, gy, x, {}); \
  }
#define NN_BODY1(A, name, p)                                          \
  Array name##_forward(const View& x, double p, const OptView& out) { \
    return forward(#name, Activation::name, x, out, {p});             \
  }                                                                   \
  Array name##_backward(const View& gy, const View& x, double p) {    \
    return backward(#name "_backward", Activation::name, gy, x, {p}); \
  }
#define NN_BODY2(A, name, p, q)                                                 \
  Array name##_forward(const View& x, double p, double q, const OptView& out) { \
    return forward(#name, Activation::name, x, out, {p, q});                    \
  }                                                                             \
  Array name##_backward(const View& gy, const View& x, double p, double q) {    \
    return backward(#name "_backward", Activation::name, gy, x, {p, q});        \
  }
#define NN_BODY3(A, name, p, q, r)                                                        \
  Array name##_forward(const View& x, double p, double q, double r, const OptView& out) { \
    return forward(#name, Activation::name, x, out, {p, q, r});                           \
  }                                                                                       \
  Array name##_backward(const View& gy, const View& x, double p, double q, double r) {    \
    return backward(#name "_backward", Activation::name, gy, x, {p, q, r});               \
  }
NN_ACTIVATIONS(NN_BODY0, NN_BODY1, NN_BODY2, NN_BODY3, )

}  // namespace nn::cpu
