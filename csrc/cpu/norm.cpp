// Batch and group norm (instance norm is a group per channel), forward and backward.
//
//   y = act((x - mean) / sqrt(var + eps) w + b + residual)
//   gx = w rstd (gz - mean(gz) - xhat mean(gz xhat))       gz = gy where y > 0, if the relu was fused
//
// Moments of each tile are merged in double by Chan's formula (Chan, Golub, LeVeque 1983). Channels first, a
// set is folded and then written while it is in cache: one read and one write of memory (forward), two and
// one (backward). The mean is rounded to T, but what the rounding took is part of the shift: y keeps its
// digits when the mean is large. Bound by bytes.
#include <cmath>
#include <string>

#include "../ops.h"
#include "norm_folds.h"

namespace nn::cpu {
namespace {

// w, b or a running statistic: one number per channel, or the default.
template <class T> struct PerChannel {
  T* p;
  int64_t step;
  explicit PerChannel(const OptView& v) : p(v ? v.as<T>() : nullptr), step(v ? v.step(0) : 0) {}
  double at(int64_t c, double otherwise) const { return p ? double(p[c * step]) : otherwise; }
  void blend(int64_t c, double momentum, double value) const {
    if (p) p[c * step] = T((1 - momentum) * double(p[c * step]) + momentum * value);
  }
};

const View& either(const OptView& v, const View& otherwise) {
  return v ? static_cast<const View&>(v) : otherwise;
}

void check_channels(const char* op, const View& x, const char* name, const OptView& v, int64_t channels) {
  if (v && (v.ndim != 1 || v.shape[0] != channels))
    fail(
        op,
        std::string(name) + " must have one number for each of the " + std::to_string(channels) + " channels",
        {{"input", x}, {name, v}});
}
void check_running(const char* op, const View& x, const char* name, const OptView& v, bool written) {
  check_channels(op, x, name, v, x.shape[1]);
  if (v && written && !v.writeable)
    throw std::invalid_argument(std::string(op) + ": " + name + " is read-only, but training writes it");
}
void check_like(const char* op, const View& x, const char* name, const View& v) {
  if (v.ndim != x.ndim || !std::equal(x.shape, x.shape + x.ndim, v.shape))
    fail(op, std::string(name) + " must have the shape of input", {{"input", x}, {name, v}});
}
void check_input(const char* op, const View& x) {
  if (x.ndim < 2) fail(op, "input must be (N, C) or (N, C, ...)", {{"input", x}});
}

template <class T> struct Coefficients {
  Workspace<T> mean, scale, shift, slope;
  explicit Coefficients(int64_t n) : mean(size_t(n)), scale(size_t(n)), shift(size_t(n)), slope(size_t(n)) {}
  void give(NormTile<T>& t, const NormTiles& g, int64_t first) const {
    t.mean = mean + first, t.scale = scale + first, t.shift = shift + first, t.slope = slope + first;
    t.coefficient_step = g.batch ? 0 : 1;
    t.stream = size_t(g.size) * sizeof(T) >= past_caches_from();
  }
};

NormTiles tiles(const View& x, int64_t groups) {
  NormTiles g;
  g.batch = groups == 0, g.groups = groups;
  g.n = x.shape[0], g.c = x.shape[1], g.l = plane_size(x);
  g.columns = by_columns(x), g.size = x.size();
  return g;
}
// Batch statistics of channels-last arrays: positions of all samples in one row of tiles, if the steps allow
// it.
template <class... A> void merge_samples(NormTiles& g, A&... arrays) {
  if (!g.columns || !g.batch || !(arrays.merges(g.n, g.l) && ...)) return;
  (arrays.merge(g.l), ...);
  g.l *= g.n, g.n = 1;
}

// From statistics to coefficients: y = (x - mean) scale + shift.
template <class T> struct Affine {
  const NormTiles& g;
  PerChannel<T> w, b;
  double eps;
  Coefficients<T>& to;

  double rstd(double var) const { return 1 / std::sqrt(var + eps); }
  void set(int64_t statistic, double mean, double r) const {
    for (int64_t i = 0; i < g.channels(); ++i) {
      const int64_t k = statistic * g.channels() + i, c = g.channel(k);
      const double scale = w.at(c, 1) * r;
      to.mean[k] = T(mean), to.scale[k] = T(scale);
      to.shift[k] = T(b.at(c, 0) - (mean - double(to.mean[k])) * scale);
    }
  }
};

template <class T> struct Running {
  PerChannel<T> mean, var;
  double momentum;
};

template <class T> void forward(NormTiles g, const View& vx, const OptView& vr, const Array& out,
                                const OptView& w, const OptView& b, const Running<T>& running, bool training,
                                double eps, bool relu, T* mean, T* var) {
  Laid<const T> x(vx, g.columns), residual(vr, g.columns, vr.given);
  Laid<T> y(out.view(), g.columns);
  merge_samples(g, x, residual, y);
  g.cut(int64_t(1) << 30);
  Coefficients<T> coefficients(g.coefficients());
  const Affine<T> affine{g, PerChannel<T>(w), PerChannel<T>(b), eps, coefficients};
  const auto apply = [&](int64_t set, int64_t block) {
    const NormPlace at = g.place(set, block), next = g.before(set, block);
    NormTile<T> t;
    t.rows = at.rows, t.n = at.length, t.relu = relu;
    t.x = g.rows(x, at, next), t.residual = g.rows(residual, at, next), t.out = g.rows(y, at, next);
    coefficients.give(t, g, at.coefficient);
    g.columns ? kernels<T>().norm_cols(t) : kernels<T>().norm_rows(t);
  };
  if (!training) {
    for (int64_t c = 0; c < g.c; ++c) {
      mean[c] = T(running.mean.at(c, 0)), var[c] = T(running.var.at(c, 1));
      affine.set(c, running.mean.at(c, 0), affine.rstd(running.var.at(c, 1)));
    }
    return g.each_tile(apply);
  }
  const MomentFold<T> fold(g, x);
  const double share = 1 / double(g.count()), unbiased = double(g.count()) / double(g.count() - 1);
  g.two_phases([&](int64_t set, int64_t block) { fold.tile(set, block); },
               [&](int64_t set) {
                 fold.finish(set, [&](int64_t k, const Moments& m) {
                   const double variance = m.squares * share;
                   mean[k] = T(m.mean), var[k] = T(variance);
                   running.mean.blend(k, running.momentum, m.mean);
                   running.var.blend(k, running.momentum, variance * unbiased);
                   affine.set(k, m.mean, affine.rstd(variance));
                 });
               },
               apply);
}

template <class T> void backward(NormTiles g, const View& vgy, const View& vx, const OptView& vy,
                                 const Array& out, const Array* gz_out, const OptView& w, const View& mean,
                                 const View& var, bool training, double eps, T* gw, T* gb) {
  Laid<const T> gy(vgy, g.columns), x(vx, g.columns), y(vy, g.columns, vy.given);
  Laid<T> gx(out.view(), g.columns), gz(gz_out ? gz_out->view() : out.view(), g.columns, gz_out != nullptr);
  merge_samples(g, gy, x, y, gx, gz);
  g.cut(g.batch ? int64_t(1) << 30 : 1);
  Coefficients<T> to(g.coefficients());
  const Affine<T> affine{g, PerChannel<T>(w), PerChannel<T>(OptView()), eps, to};
  const Dense dense_mean(mean), dense_var(var);
  Workspace<double> rstds(size_t(g.statistics()));
  for (int64_t k = 0; k < g.statistics(); ++k) {
    rstds[k] = affine.rstd(double(dense_var.as<T>()[k]));
    affine.set(k, double(dense_mean.as<T>()[k]), rstds[k]);
  }
  Workspace<double> g_sum(size_t(g.coefficients())), gx_sum(size_t(g.coefficients()));
  const GradFold<T> fold(g);
  const double share = training ? 1 / double(g.count()) : 0;  // running statistics are constants
  const auto tile = [&](int64_t set, int64_t block, const NormPlace& next) {
    const NormPlace at = g.place(set, block);
    NormTile<T> t;
    t.rows = at.rows, t.n = at.length;
    t.gy = g.rows(gy, at, next), t.x = g.rows(x, at, next), t.y = g.rows(y, at, next);
    t.out = g.rows(gx, at, next), t.gz = g.rows(gz, at, next);
    to.give(t, g, at.coefficient);
    return t;
  };
  const auto finish = [&](int64_t set) {
    fold.finish(set);
    const int64_t statistics = g.statistics() / g.sets, n = g.channels();
    for (int64_t i = 0; i < statistics; ++i) {
      const int64_t statistic = set * statistics + i;
      const double rstd = rstds[statistic];
      double a = 0, b = 0;
      for (int64_t c = i * n; c < (i + 1) * n; ++c) {
        const double *s = fold.at(set, c), weight = affine.w.at(g.channel(set * statistics * n + c), 1);
        a += weight * s[0], b += weight * s[fold.apart()];
        g_sum[set * statistics * n + c] = s[0], gx_sum[set * statistics * n + c] = s[fold.apart()] * rstd;
      }
      if (!training) a = b = 0;  // x has no part in it, even if it is NaN
      for (int64_t k = statistic * n; k < (statistic + 1) * n; ++k)
        to.shift[k] = T(-rstd * share * a), to.slope[k] = T(-rstd * rstd * rstd * share * b);
    }
  };
  g.two_phases(
      [&](int64_t set, int64_t block) { fold.tile(set, block, tile(set, block, g.after(set, block))); },
      finish,
      [&](int64_t set, int64_t block) {
        NormTile<T> t = tile(set, block, g.before(set, block));
        if (!training) t.x = t.gy;
        g.columns ? kernels<T>().norm_grad_cols(t) : kernels<T>().norm_grad_rows(t);
      });
  for (int64_t c = 0; c < g.c; ++c) {
    double s = 0, sx = 0;
    for (int64_t k = c; k < g.coefficients(); k += g.c) s += g_sum[k], sx += gx_sum[k];
    gb[c] = T(s), gw[c] = T(sx);
  }
}

}  // namespace

Array3 batch_norm_forward(const View& x, const OptView& w, const OptView& b, const OptView& running_mean,
                          const OptView& running_var, const OptView& residual, bool training, double momentum,
                          double eps, bool relu) {
  constexpr const char* op = "batch_norm";
  const Dtype dt = common_dtype(op, {{"input", x},
                                     {"weight", either(w, x)},
                                     {"bias", either(b, x)},
                                     {"running_mean", either(running_mean, x)},
                                     {"running_var", either(running_var, x)},
                                     {"residual", either(residual, x)}});
  check_input(op, x);
  check_channels(op, x, "weight", w, x.shape[1]);
  check_channels(op, x, "bias", b, x.shape[1]);
  check_running(op, x, "running_mean", running_mean, training);
  check_running(op, x, "running_var", running_var, training);
  if (residual) check_like(op, x, "residual", residual);
  const NormTiles g = tiles(x, 0);
  if (training && g.n * g.l == 1)
    fail(op, "training needs more than one value per channel to have a variance", {{"input", x}});
  Array y = output_like(op, x, g.columns), mean = output(op, dt, 1, &x.shape[1]),
        var = output(op, dt, 1, &x.shape[1]);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (x.size() == 0) {
      std::fill_n(mean.as<T>(), g.c, T(0));
      std::fill_n(var.as<T>(), g.c, T(0));
      return;
    }
    const Running<T> running{PerChannel<T>(running_mean), PerChannel<T>(running_var), momentum};
    forward<T>(g, x, residual, y, w, b, running, training, eps, relu, mean.as<T>(), var.as<T>());
  });
  return {std::move(y), std::move(mean), std::move(var)};
}

Array4 batch_norm_backward(const View& gy, const View& x, const OptView& w, const View& mean, const View& var,
                           const OptView& y, bool training, double eps, bool residual) {
  constexpr const char* op = "batch_norm_backward";
  const Dtype dt = common_dtype(
      op, {{"gy", gy}, {"x", x}, {"w", either(w, x)}, {"mean", mean}, {"var", var}, {"y", either(y, x)}});
  check_input(op, x);
  check_like(op, x, "gy", gy);
  if (y) check_like(op, x, "y", y);
  check_channels(op, x, "w", w, x.shape[1]);
  const NormTiles g = tiles(x, 0);
  if (mean.size() != g.c || var.size() != g.c)
    fail(op, "mean and var must have one number per channel", {{"x", x}, {"mean", mean}, {"var", var}});
  const int64_t none = 0;
  Array gx = output_like(op, x, g.columns), gw = output(op, dt, 1, &x.shape[1]),
        gb = output(op, dt, 1, &x.shape[1]);
  Array gz = residual ? output_like(op, x, g.columns) : output(op, dt, 1, &none);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (x.size() == 0) {
      std::fill_n(gw.as<T>(), g.c, T(0));
      std::fill_n(gb.as<T>(), g.c, T(0));
      return;
    }
    backward<T>(g, gy, x, y, gx, residual ? &gz : nullptr, w, mean, var, training, eps, gw.as<T>(),
                gb.as<T>());
  });
  return {std::move(gx), std::move(gw), std::move(gb), std::move(gz)};
}

namespace {
void check_groups(const char* op, const View& x, int64_t groups) {
  if (groups < 1 || x.shape[1] % groups)
    fail(op, "num_groups=" + std::to_string(groups) + " must divide the channels", {{"input", x}});
}
}  // namespace

Array3 group_norm_forward(const View& x, const OptView& w, const OptView& b, int64_t groups, double eps) {
  constexpr const char* op = "group_norm";
  const Dtype dt = common_dtype(op, {{"input", x}, {"weight", either(w, x)}, {"bias", either(b, x)}});
  check_input(op, x);
  check_groups(op, x, groups);
  check_channels(op, x, "weight", w, x.shape[1]);
  check_channels(op, x, "bias", b, x.shape[1]);
  const NormTiles g = tiles(x, groups);
  const int64_t shape[] = {g.n, groups};
  Array y = output_like(op, x, g.columns), mean = output(op, dt, 2, shape), var = output(op, dt, 2, shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (x.size() == 0) {
      std::fill_n(mean.as<T>(), mean.size(), T(0));
      std::fill_n(var.as<T>(), var.size(), T(0));
      return;
    }
    const OptView none;
    const Running<T> running{PerChannel<T>(none), PerChannel<T>(none), 0};
    forward<T>(g, x, none, y, w, b, running, true, eps, false, mean.as<T>(), var.as<T>());
  });
  return {std::move(y), std::move(mean), std::move(var)};
}

Array3 group_norm_backward(const View& gy, const View& x, const OptView& w, const View& mean, const View& var,
                           int64_t groups, double eps) {
  constexpr const char* op = "group_norm_backward";
  const Dtype dt =
      common_dtype(op, {{"gy", gy}, {"x", x}, {"w", either(w, x)}, {"mean", mean}, {"var", var}});
  check_input(op, x);
  check_groups(op, x, groups);
  check_like(op, x, "gy", gy);
  check_channels(op, x, "w", w, x.shape[1]);
  const NormTiles g = tiles(x, groups);
  if (mean.size() != g.n * groups || var.size() != g.n * groups)
    fail(op, "mean and var must have one number per group", {{"x", x}, {"mean", mean}, {"var", var}});
  Array gx = output_like(op, x, g.columns), gw = output(op, dt, 1, &x.shape[1]),
        gb = output(op, dt, 1, &x.shape[1]);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    if (x.size() == 0) {
      std::fill_n(gw.as<T>(), g.c, T(0));
      std::fill_n(gb.as<T>(), g.c, T(0));
      return;
    }
    backward<T>(g, gy, x, OptView(), gx, nullptr, w, mean, var, true, eps, gw.as<T>(), gb.as<T>());
  });
  return {std::move(gx), std::move(gw), std::move(gb)};
}

}  // namespace nn::cpu
