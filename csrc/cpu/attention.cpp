// Scaled dot-product attention: y = softmax(scale q k' + mask) v, and log(sum(exp(scores))) for backward.
//
// Work is split into panels of 32 queries of one head. A panel walks over blocks of 128 keys, whose scores
// stay in L1: scores, running maximum and sum, weights, and their product with the values added to a
// result that shrinks when a maximum grows (online softmax). Memory beyond the result is a few blocks per
// thread. Bound by the tiles of the two products.
//
// One query per head (decoding) has a path of its own, bound by reading keys and values once.
//
// Sources: Milakov & Gimelshein 2018 (online softmax); Dao et al. 2022 (FlashAttention).
#include "attention.h"

namespace nn::cpu {
namespace {

constexpr double kGrainFlops = 4e6;  // some 20 us

template <class T> struct Forward {
  const AttentionProblem& p;
  Rows<T> q, k, v, y;
  T* statistics;

  T* statistics_at(int64_t b, int64_t h, int64_t i) const {
    return statistics + (b * p.heads + h) * p.rows + i;
  }
};

template <class T> void fill_zero(const Forward<T>& f, int64_t b, int64_t h, int64_t i, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    std::fill_n(f.y.at(b, h, i + r), f.p.value_width, T(0));
    *f.statistics_at(b, h, i + r) = -std::numeric_limits<T>::infinity();
  }
}

// Blocks of one panel, and their room.
template <class T> class PanelForward {
 public:
  explicit PanelForward(const Forward<T>& f)
      : f_(f),
        scores_(f.p),
        turned_(size_t(f.p.width * kLanes)),
        s_(kKeyBlock * kLanes),
        y_(size_t(f.p.value_width * kLanes)) {}

  void run(const QueryPanel& q, const T* k, int64_t k_row, const T* v, int64_t v_row) {
    const Kernels<T>& kern = kernels<T>();
    const int64_t n = f_.p.value_width;
    turn<T>(f_.q.at(q.b, q.h, q.i), f_.q.row, q, f_.p.width, turned_);
    std::fill_n(top_, kLanes, -std::numeric_limits<T>::infinity());
    std::fill_n(total_, kLanes, T(0));
    for (int64_t j = q.first; j < q.last; j += kKeyBlock) {
      const int64_t count = std::min(kKeyBlock, q.last - j);
      scores_(q, k, k_row, turned_, j, count, s_);
      kern.attention_softmax(s_, count, q.columns, top_, total_, y_, j == q.first ? 0 : n);
      scores_.drop(q, j, count, s_);
      multiply<T>({n, q.columns, count, v + j * v_row, s_, 1, v_row, kLanes, y_, kLanes, T(1), j > q.first});
    }
    T statistics[kLanes];
    kern.attention_finish(y_, n, q.columns, top_, total_, statistics);
    kern.transpose_copy(y_, kLanes, f_.y.at(q.b, q.h, q.i), f_.y.row, n, q.lanes);
    std::copy_n(statistics, q.lanes, f_.statistics_at(q.b, q.h, q.i));
  }

 private:
  const Forward<T>& f_;
  Scores<T> scores_;
  Workspace<T> turned_, s_, y_;
  alignas(64) T top_[kLanes], total_[kLanes];
};

// What is masked must not matter, not even NaN, and 0 * NaN is NaN: values that are not finite are left out,
// then given to the queries that see them.
template <class T> class FiniteValues {
 public:
  FiniteValues(const Forward<T>& f, int64_t b, int64_t g, bool finite)
      : p(f.v.at(b, g, 0)), step(f.v.row), f_(f), raw_(p), n_(f.p.value_width) {
    if (finite) return;
    const int64_t keys = f.p.keys_in(b);
    clean_.emplace(size_t(keys * n_));
    for (int64_t j = 0; j < keys; ++j)
      for (int64_t e = 0; e < n_; ++e) {
        const T x = raw_[j * f.v.row + e];
        (*clean_)[j * n_ + e] = std::isfinite(x) ? x : T(0);
      }
    p = *clean_, step = n_;
  }
  void give_back(const QueryPanel& q) const {
    if (!clean_) return;
    for (int64_t j = q.first; j < q.last; ++j)
      for (int64_t e = 0; e < n_; ++e) {
        const T x = raw_[j * f_.v.row + e];
        if (std::isfinite(x)) continue;
        for (int64_t i = q.i; i < q.i + q.lanes; ++i)
          if (f_.p.sees(q.b, q.h, i, j)) f_.y.at(q.b, q.h, i)[e] += x;
      }
  }

  const T* p;
  int64_t step;

 private:
  const Forward<T>& f_;
  const T* raw_;
  int64_t n_;
  std::optional<Workspace<T>> clean_;
};

// finite[head of keys]: whether its values are, where masks make it matter.
template <class T> void find_finite(const Forward<T>& f, uint8_t* finite) {
  const AttentionProblem& p = f.p;
  const int64_t heads = p.batch * p.kv_heads, size = std::max<int64_t>(1, p.keys * p.value_width);
  std::fill_n(finite, heads, uint8_t(1));
  if (!p.hides()) return;
  parallel_for(heads, std::max<int64_t>(1, (int64_t(1) << 19) / size), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      const int64_t b = u / p.kv_heads, g = u % p.kv_heads, keys = p.keys_in(b);
      for (int64_t j = 0; finite[u] && j < keys; ++j)
        finite[u] = kernels<T>().all_finite(f.v.at(b, g, j), p.value_width);
    }
  });
}

template <class T> void all_panels(const Forward<T>& f) {
  const AttentionProblem& p = f.p;
  const int64_t panels = p.panels();
  const double flops =
      2.0 * double(std::min<int64_t>(p.rows, kLanes) * p.keys) * double(p.width + p.value_width);
  const int64_t grain = std::max<int64_t>(1, int64_t(kGrainFlops / (flops + 1)));
  const int width = kernels<T>().gemm_shape().width;
  Workspace<uint8_t> finite(size_t(p.batch * p.kv_heads));
  find_finite<T>(f, finite);
  parallel_for(p.batch * p.heads * panels, grain, [&](int64_t begin, int64_t end) {
    PanelForward<T> panel(f);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t b = u / panels / p.heads, h = u / panels % p.heads, i = u % panels * kLanes,
                    g = h / p.group();
      const QueryPanel q(p, b, h, i, width);
      const int64_t rows = std::min<int64_t>(kLanes, p.rows - i);
      if (q.first == q.last) {
        fill_zero(f, b, h, i, rows);
        continue;
      }
      const FiniteValues<T> v(f, b, g, finite[b * p.kv_heads + g]);
      panel.run(q, f.k.at(b, g, 0), f.k.row, v.p, v.step);
      v.give_back(q);
      fill_zero(f, b, h, i + q.lanes, rows - q.lanes);
    }
  });
}

// One query of one head: a row of scores, its softmax, a sum of values. Keys and values are read once, in
// straight lines.
template <class T> void one_query(const Forward<T>& f, int64_t b, int64_t h, bool finite, T* scaled, T* s) {
  const AttentionProblem& p = f.p;
  const Kernels<T>& kern = kernels<T>();
  const QueryPanel q(p, b, h, 0, 1);
  if (q.first == q.last) return fill_zero(f, b, h, 0, 1);
  const int64_t g = h / p.group(), n = q.last - q.first;
  for (int64_t d = 0; d < p.width; ++d) scaled[d] = f.q.at(b, h, 0)[d] * T(p.scale);
  kern.query_scores(scaled, f.k.at(b, g, q.first), f.k.row, n, p.width, s);
  if (p.softcap > 0) kern.attention_cap(s, n, T(p.softcap));
  const bool hides = p.masked || (p.left >= 0 && q.first < p.offset - p.left);
  for (int64_t j = 0; hides && j < n; ++j) {
    if (!p.sees(b, h, 0, q.first + j))
      s[j] = -std::numeric_limits<T>::infinity();
    else if (p.masked && p.mask.dtype != Dtype::b8)
      s[j] += T(p.added(b, h, 0, q.first + j));
  }
  T top;
  const T total = kern.query_weights(s, n, &top);
  if (top == -std::numeric_limits<T>::infinity()) return fill_zero(f, b, h, 0, 1);
  const FiniteValues<T> v(f, b, g, finite);
  kern.query_values(s, v.p + q.first * v.step, v.step, n, p.value_width, T(1) / total, f.y.at(b, h, 0));
  v.give_back(q);
  *f.statistics_at(b, h, 0) = top + std::log(total);
}

template <class T> void all_single(const Forward<T>& f) {
  const AttentionProblem& p = f.p;
  Workspace<uint8_t> finite(size_t(p.batch * p.kv_heads));
  find_finite<T>(f, finite);
  const int64_t bytes = p.keys * (p.width + p.value_width) * int64_t(sizeof(T));
  const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 19) / (bytes + 1));
  parallel_for(p.batch * p.heads, grain, [&](int64_t begin, int64_t end) {
    Workspace<T> scaled(size_t(p.width)), s(size_t(p.keys));
    for (int64_t u = begin; u < end; ++u) {
      const int64_t b = u / p.heads, h = u % p.heads;
      one_query<T>(f, b, h, finite[b * p.kv_heads + h / p.group()], scaled, s);
    }
  });
}

}  // namespace

Array2 attention_forward(const View& q, const View& k, const View& v, const OptView& mask,
                         const OptView& q_lengths, const OptView& kv_lengths, double scale, int64_t left,
                         int64_t right, int64_t offset, double softcap, double dropout, int64_t seed) {
  const char* op = "scaled_dot_product_attention";
  const AttentionProblem p = attention_problem(op, q, k, v, mask, q_lengths, kv_lengths, scale, left, right,
                                               offset, softcap, dropout, seed);
  const int64_t shape[] = {p.batch, p.heads, p.rows, p.value_width};
  Array y = output_like(op, q.dtype, shape, q);
  Array statistics = output(op, q.dtype, 3, shape);
  dispatch(q.dtype, [&](auto t) {
    using T = decltype(t);
    std::optional<Dense> keep[4];
    const Forward<T> f{p,
                       rows_of<T>(q, keep[0]),
                       rows_of<T>(k, keep[1]),
                       rows_of<T>(v, keep[2]),
                       rows_of<T>(y.view(), keep[3]),
                       statistics.as<T>()};
    if (p.rows == 1 && p.dropout == 0)
      all_single(f);
    else
      all_panels(f);
  });
  return {y, statistics};
}

}  // namespace nn::cpu
