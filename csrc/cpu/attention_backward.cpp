// Gradients of attention, with the weights computed anew from log(sum(exp(scores))).
//
//   p = exp(s - statistics)   gv = p' gy   gs = p (gy v' - sum(gy y))   gq = scale gs k   gk = scale gs' q
//
// Work is split into heads of keys, whose gradients then have one writer each: for every panel of 32 queries
// that reads them, over blocks of 128 keys. Five products per block, all on the GEMM tiles, all operands but
// the queries and their gradients read where they lie.
//
// Source: Dao et al. 2022 (FlashAttention).
#include "attention.h"

namespace nn::cpu {
namespace {

template <class T> struct Backward {
  const AttentionProblem& p;
  Rows<T> q, k, v, y, gy, gq, gk, gv;
  const T* statistics;
};

template <class T> bool finite_rows(const T* x, int64_t row, int64_t rows, int64_t n) {
  for (int64_t i = 0; i < rows; ++i)
    if (!kernels<T>().all_finite(x + i * row, n)) return false;
  return true;
}

// Rows of an operand: as they lie, or a copy in which rows that are not finite are zero.
template <class T> class CleanRows {
 public:
  CleanRows(const T* x, int64_t row, int64_t rows, int64_t n, bool copy) : p(x), step(row), n_(n) {
    if (!copy) return;
    copy_.emplace(size_t(rows * n));
    bad_.emplace(size_t(rows));
    for (int64_t i = 0; i < rows; ++i) {
      (*bad_)[i] = !kernels<T>().all_finite(x + i * row, n);
      if ((*bad_)[i])
        std::fill_n(*copy_ + i * n, n, T(0));
      else
        std::copy_n(x + i * row, n, *copy_ + i * n);
    }
    p = *copy_, step = n;
  }
  bool bad(int64_t i) const { return (*bad_)[i]; }
  const T* at(int64_t i) const { return p + i * step; }

  const T* p;
  int64_t step;

 private:
  int64_t n_;
  std::optional<Workspace<T>> copy_;
  std::optional<Workspace<uint8_t>> bad_;
};

// One head of queries after another against one head of keys.
template <class T> class HeadBackward {
 public:
  HeadBackward(const Backward<T>& f)
      : f_(f),
        p_(f.p),
        scores_(f.p),
        q_turned_(size_t(f.p.width * kLanes)),
        gy_turned_(size_t(f.p.value_width * kLanes)),
        gq_(size_t(f.p.width * kLanes)),
        s_(kKeyBlock * kLanes),
        g_(kKeyBlock * kLanes),
        slope_(kKeyBlock * kLanes) {}

  void run(int64_t b, int64_t g) {
    const int64_t d = p_.width, e = p_.value_width, keys = p_.keys_in(b);
    for (int64_t j = 0; j < p_.keys; ++j) {
      std::fill_n(f_.gk.at(b, g, j), d, T(0));
      std::fill_n(f_.gv.at(b, g, j), e, T(0));
    }
    const bool guarded = p_.hides() && !all_finite(b, g);
    const CleanRows<T> k(f_.k.at(b, g, 0), f_.k.row, keys, d, guarded);
    const CleanRows<T> v(f_.v.at(b, g, 0), f_.v.row, keys, e, guarded);
    for (int64_t h = g * p_.group(); h < (g + 1) * p_.group(); ++h) {
      const CleanRows<T> q(f_.q.at(b, h, 0), f_.q.row, p_.rows_in(b), d, guarded);
      const CleanRows<T> gy(f_.gy.at(b, h, 0), f_.gy.row, p_.rows_in(b), e, guarded);
      for (int64_t i = 0; i < p_.rows; i += kLanes) {
        const QueryPanel panel(p_, b, h, i, kernels<T>().gemm_shape().width);
        uint8_t bad[kLanes] = {};
        if (guarded)
          for (int l = 0; l < std::min(panel.lanes, kLanes); ++l) bad[l] = is_bad(panel, i + l, q, gy, k, v);
        one_panel(panel, g, q, gy, k, v, bad);
        if (guarded) spread(panel, g, bad);
      }
    }
  }

 private:
  bool all_finite(int64_t b, int64_t g) const {
    bool found = finite_rows(f_.k.at(b, g, 0), f_.k.row, p_.keys_in(b), p_.width) &&
                 finite_rows(f_.v.at(b, g, 0), f_.v.row, p_.keys_in(b), p_.value_width);
    for (int64_t h = g * p_.group(); found && h < (g + 1) * p_.group(); ++h)
      found = finite_rows(f_.q.at(b, h, 0), f_.q.row, p_.rows_in(b), p_.width) &&
              finite_rows(f_.gy.at(b, h, 0), f_.gy.row, p_.rows_in(b), p_.value_width);
    return found;
  }

  // What is masked must not matter, not even NaN: queries that meet something that is not finite are left
  // out, and afterwards everything that they see becomes NaN.
  bool is_bad(const QueryPanel& q, int64_t i, const CleanRows<T>& x, const CleanRows<T>& gy,
              const CleanRows<T>& k, const CleanRows<T>& v) const {
    bool alone = true, bad = x.bad(i) || gy.bad(i);
    for (int64_t j = q.first; j < q.last; ++j)
      if (p_.sees(q.b, q.h, i, j)) alone = false, bad |= k.bad(j) || v.bad(j);
    return bad && !alone;
  }
  void spread(const QueryPanel& q, int64_t g, const uint8_t* bad) const {
    const T nan = std::numeric_limits<T>::quiet_NaN();
    for (int l = 0; l < q.lanes; ++l) {
      if (!bad[l]) continue;
      std::fill_n(f_.gq.at(q.b, q.h, q.i + l), p_.width, nan);
      for (int64_t j = q.first; j < q.last; ++j) {
        if (!p_.sees(q.b, q.h, q.i + l, j)) continue;
        std::fill_n(f_.gk.at(q.b, g, j), p_.width, nan);
        std::fill_n(f_.gv.at(q.b, g, j), p_.value_width, nan);
      }
    }
  }

  // In units of log2, Inf for lanes that take no part: their weights are 0.
  void load_statistics(const QueryPanel& q, const T* gy, int64_t gy_row, const uint8_t* bad) {
    const T inf = std::numeric_limits<T>::infinity();
    const T* from = f_.statistics + (q.b * p_.heads + q.h) * p_.rows + q.i;
    std::fill_n(dots_, kLanes, T(0));
    std::fill_n(statistics_, kLanes, inf);
    kernels<T>().row_dots(gy, gy_row, f_.y.at(q.b, q.h, q.i), f_.y.row, q.lanes, p_.value_width, dots_);
    for (int l = 0; l < q.lanes; ++l) {
      dots_[l] = bad[l] || from[l] == -inf ? T(0) : dots_[l] * T(p_.scale);
      statistics_[l] = bad[l] || from[l] == -inf ? inf : from[l] * T(kLog2E);
    }
  }

  void one_panel(const QueryPanel& q, int64_t g, const CleanRows<T>& x, const CleanRows<T>& gy,
                 const CleanRows<T>& k, const CleanRows<T>& v, const uint8_t* bad) {
    const int64_t d = p_.width, e = p_.value_width;
    for (int64_t i = q.i + (q.first == q.last ? 0 : q.lanes); i < std::min(q.i + kLanes, p_.rows); ++i)
      std::fill_n(f_.gq.at(q.b, q.h, i), d, T(0));
    if (q.first == q.last) return;
    turn<T>(x.at(q.i), x.step, q, d, q_turned_);
    turn<T>(gy.at(q.i), gy.step, q, e, gy_turned_);
    load_statistics(q, gy.at(q.i), gy.step, bad);
    for (int64_t j = q.first; j < q.last; j += kKeyBlock) {
      const int64_t count = std::min(kKeyBlock, q.last - j);
      scores_(q, k.p, k.step, q_turned_, j, count, s_, slope_);
      multiply<T>({count, q.columns, e, v.at(j), gy_turned_, v.step, 1, kLanes, g_, kLanes, T(1), false});
      scores_.drop(q, j, count, g_);
      kernels<T>().attention_grad(s_, g_, count, q.columns, statistics_, dots_, T(p_.scale));
      if (p_.softcap > 0)
        for (int64_t c = 0; c < count * kLanes; ++c) g_[c] *= slope_[c];
      multiply<T>({d, q.columns, count, k.at(j), g_, 1, k.step, kLanes, gq_, kLanes, T(1), j > q.first});
      multiply<T>(
          {count, d, q.lanes, g_, x.at(q.i), kLanes, 1, x.step, f_.gk.at(q.b, g, j), f_.gk.row, T(1), true});
      scores_.drop(q, j, count, s_);
      multiply<T>({count, e, q.lanes, s_, gy.at(q.i), kLanes, 1, gy.step, f_.gv.at(q.b, g, j), f_.gv.row,
                   T(1), true});
    }
    kernels<T>().transpose_copy(gq_, kLanes, f_.gq.at(q.b, q.h, q.i), f_.gq.row, d, q.lanes);
  }

  const Backward<T>& f_;
  const AttentionProblem& p_;
  Scores<T> scores_;
  Workspace<T> q_turned_, gy_turned_, gq_, s_, g_, slope_;
  alignas(64) T statistics_[kLanes], dots_[kLanes];
};

}  // namespace

Array3 attention_backward(const View& gy, const View& q, const View& k, const View& v, const View& y,
                          const View& statistics, const OptView& mask, const OptView& q_lengths,
                          const OptView& kv_lengths, double scale, int64_t left, int64_t right,
                          int64_t offset, double softcap, double dropout, int64_t seed) {
  const char* op = "scaled_dot_product_attention_backward";
  const AttentionProblem p = attention_problem(op, q, k, v, mask, q_lengths, kv_lengths, scale, left, right,
                                               offset, softcap, dropout, seed);
  common_dtype(op, {{"q", q}, {"gy", gy}, {"y", y}, {"statistics", statistics}});
  const int64_t shape[] = {p.batch, p.heads, p.rows, p.value_width};
  for (const View* x : {&gy, &y})
    if (x->ndim != 4 || !std::equal(shape, shape + 4, x->shape))
      fail(op, "gy and y must have the shape of the result", {{"gy", gy}, {"y", y}, {"q", q}, {"v", v}});
  if (statistics.ndim != 3 || !std::equal(shape, shape + 3, statistics.shape))
    fail(op, "statistics must hold one number per query", {{"statistics", statistics}, {"q", q}});
  Array gq = output_like(op, q.dtype, q.shape, q), gk = output_like(op, q.dtype, k.shape, k),
        gv = output_like(op, q.dtype, v.shape, v);
  dispatch(q.dtype, [&](auto t) {
    using T = decltype(t);
    std::optional<Dense> keep[8];
    const Dense dense(statistics);
    const Backward<T> f{p,
                        rows_of<T>(q, keep[0]),
                        rows_of<T>(k, keep[1]),
                        rows_of<T>(v, keep[2]),
                        rows_of<T>(y, keep[3]),
                        rows_of<T>(gy, keep[4]),
                        rows_of<T>(gq.view(), keep[5]),
                        rows_of<T>(gk.view(), keep[6]),
                        rows_of<T>(gv.view(), keep[7]),
                        dense.as<T>()};
    const double flops = 5.0 * double(p.rows * p.group()) * double(p.keys) * double(p.width + p.value_width);
    const int64_t grain = std::max<int64_t>(1, int64_t(4e6 / (flops + 1)));
    if (k.shape[1] == 0) return;
    parallel_for(p.batch * p.kv_heads, grain, [&](int64_t begin, int64_t end) {
      HeadBackward<T> head(f);
      for (int64_t u = begin; u < end; ++u) head.run(u / p.kv_heads, u % p.kv_heads);
    });
  });
  return {std::move(gq), std::move(gk), std::move(gv)};
}

}  // namespace nn::cpu
