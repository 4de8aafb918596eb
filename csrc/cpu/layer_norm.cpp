// Layer norm and RMS norm over the last axes, with an addition before it fused in.
//
//   h = x + residual        y = (h - mean) / sqrt(var + eps) w + b          rms: y = h / sqrt(mean(h^2) +
//   eps) w gx = rstd (g - mean(g) - hat mean(g hat)) + gh, g = gy w                rms: without mean(g)
//
// Rows are shared out in chunks that depend on sizes alone; each chunk sums its rows' part of gw and gb for
// itself, and the chunks are added in order. Bound by bytes. Ba, Kiros, Hinton 2016; Zhang and Sennrich 2019.
#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr int64_t kWork = 1 << 15;            // numbers: some 20 us
constexpr int64_t kFewest = 32, kMost = 256;  // rows of a chunk of gw

struct Rows {
  int64_t rows = 1, n = 1;
  Rows(const char* op, const View& x, const Ints& shape) {
    bool fits = shape.count >= 1 && shape.count <= x.ndim;
    for (int i = 0; fits && i < shape.count; ++i) fits = x.shape[x.ndim - shape.count + i] == shape[i];
    if (!fits) {
      std::string wanted;
      for (int i = 0; i < shape.count; ++i) wanted += (i ? ", " : "") + std::to_string(shape[i]);
      fail(op, "the last dims of input must be normalized_shape=(" + wanted + (shape.count == 1 ? ",)" : ")"),
           {{"input", x}});
    }
    for (int i = 0; i < x.ndim; ++i) (i < x.ndim - shape.count ? rows : n) *= x.shape[i];
  }
};

const View& either(const OptView& v, const View& otherwise) {
  return v ? static_cast<const View&>(v) : otherwise;
}
void check_like(const char* op, const View& x, const char* name, const OptView& v) {
  if (v && (v.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, v.shape)))
    fail(op, std::string(name) + " must have the shape of input", {{"input", x}, {name, v}});
}
void check_affine(const char* op, const View& x, const char* name, const OptView& v, const Ints& shape) {
  if (v && (v.ndim != shape.count || !std::equal(v.shape, v.shape + v.ndim, shape.items)))
    fail(op, std::string(name) + " must have the shape normalized_shape, the last dims of input",
         {{"input", x}, {name, v}});
}

// v's elements side by side, or n times `otherwise`.
template <class T> class Affine {
 public:
  Affine(const OptView& v, int64_t n, T otherwise)
      : dense_(v), block_(size_t(v ? 0 : n)), p_(dense_.as<T>()) {
    if (v) return;
    std::fill_n(static_cast<T*>(block_), n, otherwise);
    p_ = block_;
  }
  operator const T*() const { return p_; }

 private:
  Dense dense_;
  Workspace<T> block_;
  const T* p_;
};

Array empty(const char* op, Dtype dt) {
  const int64_t none = 0;
  return output(op, dt, 1, &none);
}

}  // namespace

Array3 layer_norm_forward(const View& x, const OptView& residual, const OptView& w, const OptView& b,
                          const Ints& normalized_shape, double eps, bool rms) {
  const char* op = rms ? "rms_norm" : "layer_norm";
  const Dtype dt = common_dtype(
      op,
      {{"input", x}, {"residual", either(residual, x)}, {"weight", either(w, x)}, {"bias", either(b, x)}});
  const Rows size(op, x, normalized_shape);
  check_like(op, x, "residual", residual);
  check_affine(op, x, "weight", w, normalized_shape);
  check_affine(op, x, "bias", b, normalized_shape);
  const int64_t statistics_shape[] = {2, size.rows};
  Array y = output(op, dt, x.ndim, x.shape), statistics = output(op, dt, 2, statistics_shape);
  Array h = residual ? output(op, dt, x.ndim, x.shape) : empty(op, dt);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    T* moments = statistics.as<T>();
    if (rms || size.n == 0) std::fill_n(moments, 2 * size.rows, T(0));
    if (x.size() == 0) return;
    const Dense dense_x(x), dense_residual(residual);
    const Affine<T> weight(w, size.n, 1), bias(b, rms ? 0 : size.n, 0);
    parallel_for(size.rows, std::max<int64_t>(1, kWork / size.n), [&](int64_t begin, int64_t end) {
      LayerNormRows<T> p;
      const int64_t at = begin * size.n;
      p.rows = end - begin, p.n = size.n, p.x = dense_x.as<T>() + at, p.w = weight, p.b = bias;
      if (residual) p.residual = dense_residual.as<T>() + at, p.h = h.as<T>() + at;
      p.y = y.as<T>() + at, p.mean = moments + begin, p.rstd = moments + size.rows + begin;
      p.eps = eps, p.rms = rms, p.stream = size_t(x.bytes()) >= past_caches_from();
      kernels<T>().layer_norm(p);
    });
  });
  return {std::move(y), std::move(h), std::move(statistics)};
}

Array3 layer_norm_backward(const View& gy, const View& x, const OptView& w, const View& statistics,
                           const OptView& gh, const Ints& normalized_shape, bool rms) {
  const char* op = rms ? "rms_norm_backward" : "layer_norm_backward";
  const Dtype dt = common_dtype(
      op, {{"gy", gy}, {"x", x}, {"w", either(w, x)}, {"statistics", statistics}, {"gh", either(gh, x)}});
  const Rows size(op, x, normalized_shape);
  if (gy.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, gy.shape))
    fail(op, "gy must have the shape of x", {{"gy", gy}, {"x", x}});
  check_like(op, x, "gh", gh);
  check_affine(op, x, "w", w, normalized_shape);
  if (statistics.size() != 2 * size.rows)
    fail(op, "statistics must be two numbers per row", {{"x", x}, {"statistics", statistics}});
  const View affine{nullptr, dt, true, false, normalized_shape.count, normalized_shape.items, nullptr};
  Array gx = output(op, dt, x.ndim, x.shape), gw = output(op, dt, affine.ndim, affine.shape);
  Array gb = rms ? empty(op, dt) : output(op, dt, affine.ndim, affine.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (x.size() == 0) {
      std::fill_n(gw.as<T>(), gw.size(), T(0));
      std::fill_n(gb.as<T>(), gb.size(), T(0));
      return;
    }
    const Dense dense_gy(gy), dense_x(x), dense_gh(gh), moments(statistics);
    const Affine<T> weight(w, size.n, 1);
    const int64_t chunk = std::clamp(kWork / size.n, kFewest, kMost);
    const int64_t chunks = (size.rows + chunk - 1) / chunk, width = (rms ? 1 : 2) * size.n;
    const Workspace<T> parts(size_t(chunks * width));
    parallel_for(chunks, std::max<int64_t>(1, kWork / (chunk * size.n)), [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        LayerNormRows<T> p;
        const int64_t row = c * chunk, at = row * size.n;
        p.rows = std::min(chunk, size.rows - row), p.n = size.n, p.w = weight;
        p.x = dense_x.as<T>() + at, p.gy = dense_gy.as<T>() + at, p.gx = gx.as<T>() + at;
        if (gh) p.extra = dense_gh.as<T>() + at;
        p.centre = moments.as<T>() + row, p.scale = p.centre + size.rows;
        p.gw = parts + c * width, p.gb = p.gw + size.n;
        p.rms = rms, p.stream = size_t(x.bytes()) >= past_caches_from();
        kernels<T>().layer_norm_grad(p);
      }
    });
    const auto add_parts = [&](const T* from, T* to) {
      kernels<T>().reduce_cols(int(Fold::sum), from, width, chunks, size.n, to);
    };
    add_parts(parts, gw.as<T>());
    if (!rms) add_parts(parts + size.n, gb.as<T>());
  });
  return {std::move(gx), std::move(gw), std::move(gb)};
}

}  // namespace nn::cpu
