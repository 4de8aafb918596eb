// Tables of rows: embedding, its gradient, and embedding_bag (sums, means and maxima of rows).
//
//   y[i] = w[index[i]]          gw[v] = sum over i with index[i] = v of scale[i] gy[source[i]]
//   bag: y[b] = fold over its i of scale[i] w[index[i]]
//
// Backward sorts the places by row (counting sort, stable), so that every row of gw is written once, in the
// order of the index, by one thread: the bits don't depend on the number of threads. Bound by bytes (and by
// cache misses).
#include <algorithm>
#include <cstring>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrainBytes = 128 << 10;

// How many rows of `bytes` each are worth a thread.
int64_t grain(int64_t bytes) { return std::max<int64_t>(1, kGrainBytes / std::max<int64_t>(1, bytes)); }

const View& either(const OptView& v, const View& otherwise) {
  return v ? static_cast<const View&>(v) : otherwise;
}

// Whole numbers in C order, each in [0, size).
class Places {
 public:
  const int64_t* at;

  Places(const char* op, const char* name, const View& v, int64_t size)
      : dense_(v), wide_(size_t(v.dtype == Dtype::i32 ? v.size() : 0)) {
    if (v.dtype != Dtype::i64 && v.dtype != Dtype::i32)
      fail_type(op, std::string(name) + " is " + nn::name(v.dtype) + "; int64 or int32 is needed");
    const int64_t count = v.size();
    if (v.dtype == Dtype::i32) std::copy_n(dense_.as<int32_t>(), count, static_cast<int64_t*>(wide_));
    at = v.dtype == Dtype::i32 ? static_cast<int64_t*>(wide_) : dense_.as<int64_t>();
    bool bad = false;
    for (int64_t i = 0; i < count; ++i) bad |= uint64_t(at[i]) >= uint64_t(size);
    if (!bad) return;
    int64_t i = 0;
    while (uint64_t(at[i]) < uint64_t(size)) ++i;
    throw std::out_of_range(std::string(op) + ": " + name + "[" + place(v, i) + "] is " +
                            std::to_string(at[i]) + ", which is not in [0, " + std::to_string(size) + ")");
  }

 private:
  Dense dense_;
  Workspace<int64_t> wide_;
  static std::string place(const View& v, int64_t flat) {
    std::string text;
    for (int d = v.ndim - 1; d >= 0; --d) {
      text = std::to_string(flat % v.shape[d]) + (text.empty() ? "" : ", ") + text;
      flat /= v.shape[d];
    }
    return text;
  }
};

void check_flat(const char* op, const char* name, const View& v) {
  if (v.ndim != 1) fail(op, std::string(name) + " must have one dim", {{name, v}});
}
void check_scale(const char* op, const View& index, const OptView& scale) {
  if (scale && (scale.ndim != 1 || scale.shape[0] != index.shape[0]))
    fail(op, "there must be one weight for each index", {{"index", index}, {"weights", scale}});
}

// The places of row v are order[start[v]] to order[start[v + 1]], in the order of the index.
struct ByRow {
  Workspace<int64_t> start, order;
  ByRow(const int64_t* index, int64_t count, int64_t rows, int64_t padding)
      : start(size_t(rows + 2)), order(size_t(count)) {
    std::fill_n(static_cast<int64_t*>(start), rows + 2, 0);
    int64_t* next = start + 1;  // becomes the end of each row's places
    for (int64_t i = 0; i < count; ++i)
      if (index[i] != padding) ++next[index[i] + 1];
    for (int64_t v = 0; v < rows; ++v) next[v + 1] += next[v];
    for (int64_t i = 0; i < count; ++i)
      if (index[i] != padding) order[next[index[i]]++] = i;
  }
};

// y[j] = the largest w[index[i]][j] and the row that it stands in; NaN wins.
template <class T>
void largest(const T* w, const int64_t* index, int64_t count, int64_t n, T* y, int64_t* winner) {
  std::fill_n(y, n, T(0));
  std::fill_n(winner, n, int64_t(-1));
  for (int64_t i = 0; i < count; ++i) {
    const T* row = w + index[i] * n;
    for (int64_t j = 0; j < n; ++j)
      if (winner[j] < 0 || row[j] > y[j] || (row[j] != row[j] && y[j] == y[j]))
        y[j] = row[j], winner[j] = index[i];
  }
}

}  // namespace

Array embedding_forward(const View& w, const View& index) {
  constexpr const char* op = "embedding";
  const Dtype dt = common_dtype(op, {{"weight", w}});
  if (w.ndim != 2) fail(op, "weight must be (rows, width)", {{"weight", w}});
  if (index.ndim >= kMaxDims) fail(op, "input has too many dims", {{"input", index}});
  const Places places(op, "input", index, w.shape[0]);
  const int64_t n = w.shape[1];
  int64_t shape[kMaxDims];
  std::copy_n(index.shape, index.ndim, shape);
  shape[index.ndim] = n;
  Array y = output(op, dt, index.ndim + 1, shape);
  const Dense table(w);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const T* rows = table.as<T>();
    parallel_for(index.size(), grain(n * int64_t(sizeof(T))), [&](int64_t begin, int64_t end) {
      kernels<T>().copy_rows(rows, n, places.at + begin, y.as<T>() + begin * n, n, end - begin, n);
    });
  });
  return y;
}

Array embedding_backward(const View& gy, const View& index, const OptView& source, const OptView& scale,
                         int64_t rows, int64_t padding_idx) {
  constexpr const char* op = "embedding_backward";
  const Dtype dt = common_dtype(op, {{"gy", gy}, {"scale", either(scale, gy)}});
  check_flat(op, "index", index);
  check_scale(op, index, scale);
  const int64_t count = index.shape[0];
  if (gy.ndim != 2 || (!source && gy.shape[0] != count))
    fail(op, "gy must be (rows, width), a row for each index", {{"gy", gy}, {"index", index}});
  if (source && (source.ndim != 1 || source.shape[0] != count))
    fail(op, "source must have one number for each index", {{"index", index}, {"source", source}});
  if (rows < 0) fail(op, "rows must not be negative", {{"index", index}});
  const Places places(op, "index", index, rows);
  const Places from(op, "source", either(source, index), source ? gy.shape[0] : rows);
  const ByRow order(places.at, count, rows, padding_idx);
  const int64_t n = gy.shape[1], shape[] = {rows, n};
  Array gw = output(op, dt, 2, shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense_gy(gy), dense_scale(scale);
    const T *g = dense_gy.as<T>(), *factor = dense_scale.as<T>();
    parallel_for(rows, grain(n * int64_t(sizeof(T))), [&](int64_t begin, int64_t end) {
      memset(gw.as<T>() + begin * n, 0, size_t((end - begin) * n) * sizeof(T));
      for (int64_t v = begin; v < end; ++v) {
        T* to = gw.as<T>() + v * n;
        for (int64_t k = order.start[v]; k < order.start[v + 1]; ++k) {
          const int64_t i = order.order[k];
          kernels<T>().add_scaled(scale ? factor[i] : T(1), g + (source ? from.at[i] : i) * n, to, n);
        }
      }
    });
  });
  return gw;
}

Array2 embedding_bag_forward(const View& w, const View& index, const View& offsets, const OptView& scale,
                             int64_t mode) {
  constexpr const char* op = "embedding_bag";
  const Dtype dt = common_dtype(op, {{"weight", w}, {"per_sample_weights", either(scale, w)}});
  if (w.ndim != 2) fail(op, "weight must be (rows, width)", {{"weight", w}});
  check_flat(op, "input", index);
  check_flat(op, "offsets", offsets);
  check_scale(op, index, scale);
  const int64_t n = w.shape[1], count = index.shape[0], bags = offsets.shape[0];
  const Places places(op, "input", index, w.shape[0]), first(op, "offsets", offsets, count + 1);
  for (int64_t b = 1; b < bags; ++b)
    if (first.at[b] < first.at[b - 1])
      fail(op, "offsets must not fall, but offsets[" + std::to_string(b) + "] does", {{"offsets", offsets}});
  const int64_t shape[] = {bags, n}, none[] = {0, 0};
  Array y = output(op, dt, 2, shape), winner = output(op, Dtype::i64, 2, mode == 2 ? shape : none);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const Dense dense_w(w), dense_scale(scale);
    const T *table = dense_w.as<T>(), *factor = dense_scale.as<T>();
    const auto bag = [&](int64_t b, int64_t begin, int64_t end) {
      T* to = y.as<T>() + b * n;
      if (mode == 2)
        return largest(table, places.at + begin, end - begin, n, to, winner.as<int64_t>() + b * n);
      const T share = mode == 1 && end > begin ? T(1) / T(end - begin) : T(1);
      kernels<T>().sum_rows(table, n, places.at + begin, scale ? factor + begin : nullptr, share, end - begin,
                            count - begin, to);
    };
    parallel_for(bags, grain((count / std::max<int64_t>(1, bags) + 1) * n * int64_t(sizeof(T))),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t b = begin; b < end; ++b)
                     bag(b, first.at[b], b + 1 < bags ? first.at[b + 1] : count);
                 });
  });
  return {std::move(y), std::move(winner)};
}

}  // namespace nn::cpu
