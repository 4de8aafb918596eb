// What norms fold of their tiles: moments, merged by Chan's formula, and the sums behind the gradients.
//
// Every tile has its own place in a workspace; a set's tiles are merged in their order, so that the bits
// don't depend on the number of threads.
#pragma once
#include "norm_tiles.h"

namespace nn::cpu {

struct Moments {
  double mean = 0, squares = 0, count = 0;
  void merge(double m, double s, double n) {
    const double total = count + n, delta = m - mean;
    mean += delta * (n / total);
    squares += s + delta * delta * (count * n / total);
    count = total;
  }
};

// Moments of every tile, then of every set; each(statistic, moments).
template <class T> class MomentFold {
 public:
  MomentFold(const NormTiles& g, const Laid<const T>& x)
      : g_(g), x_(x), parts_(size_t(2 * g.sets * g.blocks * g.width())) {}

  void tile(int64_t set, int64_t block) const {
    const NormPlace at = g_.place(set, block);
    const NormRows<const T> rows = g_.rows(x_, at, g_.after(set, block));
    double* to = part(set, block);
    if (g_.columns)
      kernels<T>().moments_cols(rows.p, rows.step, at.rows, at.length, to, to + g_.c);
    else
      kernels<T>().moments_rows(rows, at.rows, at.length, to);
  }
  template <class F> void finish(int64_t set, F&& each) const {
    if (!g_.columns) {
      Moments all;
      for (int64_t block = 0; block < g_.blocks; ++block) {
        const NormPlace at = g_.place(set, block);
        all.merge(part(set, block)[0], part(set, block)[1], double(at.rows * at.length));
      }
      return each(set, all);
    }
    const double count = merge_columns(set);
    const double* channel = part(set, 0);
    const int64_t n = g_.c / g_.channels();
    if (g_.channels() == 1) {
      for (int64_t i = 0; i < n; ++i) each(set * n + i, Moments{channel[i], channel[g_.c + i], count});
      return;
    }
    for (int64_t i = 0; i < n; ++i) {
      Moments all;
      for (int64_t k = i * g_.channels(); k < (i + 1) * g_.channels(); ++k)
        all.merge(channel[k], channel[g_.c + k], count);
      each(set * n + i, all);
    }
  }

 private:
  const NormTiles& g_;
  const Laid<const T>& x_;
  Workspace<double> parts_;
  double* part(int64_t set, int64_t block) const {
    return parts_ + 2 * (set * g_.blocks + block) * g_.width();
  }
  // Every column's moments, into those of the first tile.
  double merge_columns(int64_t set) const {
    double *mean = part(set, 0), *squares = mean + g_.c, count = double(g_.place(set, 0).rows);
    for (int64_t block = 1; block < g_.blocks; ++block) {
      const double *m = part(set, block), *s = m + g_.c, n = double(g_.place(set, block).rows);
      const double share = n / (count + n), both = count * share;
      for (int64_t k = 0; k < g_.c; ++k) {
        const double delta = m[k] - mean[k];
        mean[k] += delta * share, squares[k] += s[k] + delta * delta * both;
      }
      count += n;
    }
    return count;
  }
};

// sum(gz) and sum(gz (x - mean)) of every tile, then of every channel of a set.
template <class T> class GradFold {
 public:
  explicit GradFold(const NormTiles& g) : g_(g), parts_(size_t(2 * g.sets * g.blocks * g.width())) {}

  void tile(int64_t set, int64_t block, const NormTile<T>& t) const {
    double* to = part(set, block);
    g_.columns ? kernels<T>().norm_sums_cols(t, to, to + g_.c) : kernels<T>().norm_sums_rows(t, to);
  }
  // The sums of channel i of the set are then at(set, i)[0] and at(set, i)[apart()].
  void finish(int64_t set) const {
    const int64_t per_channel = g_.columns || g_.batch ? g_.blocks : g_.pieces;
    const int64_t channels = g_.blocks / per_channel, width = 2 * g_.width();
    for (int64_t i = 0; i < channels; ++i)
      for (int64_t block = 0; block < per_channel; ++block) {
        double* to = part(set, i);
        const double* from = part(set, i * per_channel + block);
        for (int64_t k = 0; k < width; ++k) to[k] = block ? to[k] + from[k] : from[k];
      }
  }
  const double* at(int64_t set, int64_t i) const { return part(set, 0) + (g_.columns ? i : 2 * i); }
  int64_t apart() const { return g_.width(); }

 private:
  const NormTiles& g_;
  Workspace<double> parts_;
  double* part(int64_t set, int64_t block) const {
    return parts_ + 2 * (set * g_.blocks + block) * g_.width();
  }
};

}  // namespace nn::cpu
