// Scaled dot-product attention: y = softmax(scale q k' + mask) v, and log(sum(exp(scores))) for backward.
//
// Work is split into panels of 32 queries of one head. A panel walks over blocks of 128 keys, whose scores
// stay in L1: scores, running maximum and sum, weights, and their product with the values added to a
// result that shrinks when a maximum grows (online softmax). Memory beyond the result is a few blocks per
// thread. Bound by the tiles of the two products.
//
// Few queries per head (decoding) have a path of their own, bound by reading keys and values once.
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

// Up to four queries that share keys: neighbours of one head, or one of each of neighbouring heads.
struct FewQueries {
  int64_t b, h, i;
  int count;
  bool heads;
  int64_t head(int r) const { return heads ? h + r : h; }
  int64_t row(int r) const { return heads ? i : i + r; }
};
constexpr int kFew = 4;

// Rows of scores, their softmax, sums of values: keys and values are read once, in straight lines.
template <class T> class Few {
 public:
  explicit Few(const Forward<T>& f)
      : f_(f),
        q_(size_t(kFew * f.p.width)),
        s_(size_t(kFew * f.p.keys)),
        y_(size_t(kFew * f.p.value_width)) {}

  void run(const FewQueries& u, bool finite) {
    const AttentionProblem& p = f_.p;
    const Kernels<T>& kern = kernels<T>();
    int64_t first = p.keys, last = 0;
    for (int r = 0; r < u.count; ++r) {
      const QueryPanel q(p, u.b, u.head(r), u.row(r), 1);
      if (q.first < q.last) first = std::min(first, q.first), last = std::max(last, q.last);
      for (int64_t d = 0; d < p.width; ++d)
        q_[r * p.width + d] = f_.q.at(u.b, u.head(r), u.row(r))[d] * T(p.scale);
    }
    if (first >= last) {
      for (int r = 0; r < u.count; ++r) fill_zero(f_, u.b, u.head(r), u.row(r), 1);
      return;
    }
    const int64_t g = u.h / p.group(), n = last - first, e = p.value_width;
    const T* k = f_.k.at(u.b, g, first);
    if (u.count == 1)
      kern.query_scores(q_, k, f_.k.row, n, p.width, s_);
    else
      kern.gemv_dot(q_, p.width, u.count, k, f_.k.row, n, p.width, s_, n);
    const FiniteValues<T> v(f_, u.b, g, finite);
    const T* values = v.p + first * v.step;
    T factor[kFew];
    for (int r = 0; r < u.count; ++r)
      factor[r] = weights(u.b, u.head(r), u.row(r), first, last, s_ + r * n, values);
    if (u.count == 1)
      kern.query_values(s_, values, v.step, n, e, T(1), y_);
    else
      multiply<T>({u.count, e, n, s_, values, n, 1, v.step, y_, e, T(1), false});
    for (int r = 0; r < u.count; ++r) {
      T* y = f_.y.at(u.b, u.head(r), u.row(r));
      for (int64_t c = 0; c < e; ++c) y[c] = factor[r] == 0 ? T(0) : y_[r * e + c] * factor[r];
      v.give_back(QueryPanel(p, u.b, u.head(r), u.row(r), 1));
    }
  }

 private:
  // Scores of keys [first, last) become exp(score - maximum); the factor that makes weights of them.
  T weights(int64_t b, int64_t h, int64_t i, int64_t first, int64_t last, T* s, const T* values) const {
    const AttentionProblem& p = f_.p;
    const T hidden = -std::numeric_limits<T>::infinity();
    const int64_t n = last - first;
    if (p.softcap > 0) kernels<T>().attention_cap(s, n, T(p.softcap));
    if (p.masked) mask_row(p.mask_at(b, h, i, first), n, s);
    const int64_t at = i + p.offset - first;
    if (p.left >= 0) std::fill_n(s, std::clamp<int64_t>(at - p.left, 0, n), hidden);
    if (p.right >= 0) std::fill(s + std::clamp<int64_t>(at + p.right + 1, 0, n), s + n, hidden);
    T top = hidden, total = 0;
    if (i < p.rows_in(b)) total = kernels<T>().query_weights(s, n, &top, values);
    const bool none = top == hidden;
    if (none) std::fill_n(s, n, T(0));
    *f_.statistics_at(b, h, i) = none ? hidden : top + std::log(total);
    return none ? T(0) : T(1) / total;
  }

  void mask_row(const char* m, int64_t n, T* s) const {
    const T hidden = -std::numeric_limits<T>::infinity();
    const int64_t step = f_.p.mask.strides[3];
    if (f_.p.mask.dtype == Dtype::b8) {
      for (int64_t j = 0; j < n; ++j) s[j] = m[j * step] ? s[j] : hidden;
      return;
    }
    for (int64_t j = 0; j < n; ++j) {
      const T bias = *reinterpret_cast<const T*>(m + j * step);
      s[j] = bias == hidden ? hidden : s[j] + bias;
    }
  }

  const Forward<T>& f_;
  Workspace<T> q_, s_, y_;
};

template <class T> void all_few(const Forward<T>& f) {
  const AttentionProblem& p = f.p;
  Workspace<uint8_t> finite(size_t(p.batch * p.kv_heads));
  find_finite<T>(f, finite);
  const bool heads = p.rows == 1;
  const int64_t parts = heads ? (p.group() + kFew - 1) / kFew : p.group();  // of a head of keys
  const int64_t bytes = p.keys * (p.width + p.value_width) * int64_t(sizeof(T));
  const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 19) / (bytes + 1));
  parallel_for(p.batch * p.kv_heads * parts, grain, [&](int64_t begin, int64_t end) {
    Few<T> few(f);
    for (int64_t u = begin; u < end; ++u) {
      const int64_t b = u / parts / p.kv_heads, g = u / parts % p.kv_heads, part = u % parts;
      FewQueries q{b, g * p.group() + part, 0, int(p.rows), false};
      if (heads) {
        q.h = g * p.group() + part * kFew;
        q.count = int(std::min<int64_t>(kFew, p.group() - part * kFew)), q.heads = true;
      }
      few.run(q, finite[b * p.kv_heads + g]);
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
    if (p.rows <= kFew && p.dropout == 0)
      all_few(f);
    else
      all_panels(f);
  });
  return {std::move(y), std::move(statistics)};
}

}  // namespace nn::cpu
