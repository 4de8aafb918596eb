// Reading and writing by integer index, along one axis.
//
//   take      y[a.., i.., b..] = x[a.., index[i..], b..]               index_select: rows of x
//   index_add y = x; y[a.., index[i..], b..] += source[a.., i.., b..]  its gradient
//
// Indices are int64 or int32 and may be negative, as in NumPy; one out of range is an IndexError and nothing
// has been written then. Sums run in the order of the index whatever the number of threads: threads share out
// the rows that are written, never the additions to one row. Bound by bytes (and by cache misses).
#include "index.h"

#include <algorithm>
#include <cstring>

#include "../memory.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {

// `value`: the bad index, to which size was added if it was negative.
void out_of_range(const char* op, int64_t value, const View& index, int64_t flat, int64_t size,
                  int64_t axis) {
  if (value < 0) value -= size;
  std::string place;
  for (int i = index.ndim - 1; i >= 0; --i) {
    place = std::to_string(flat % index.shape[i]) + (place.empty() ? "" : ", ") + place;
    flat /= index.shape[i];
  }
  throw std::out_of_range(std::string(op) + ": index[" + (place.empty() ? "()" : place) + "] is " +
                          std::to_string(value) + ", out of range for dim " + std::to_string(axis) +
                          " of size " + std::to_string(size));
}

int64_t check_axis(const char* op, const View& x, int64_t axis) {
  if (axis < -x.ndim || axis >= x.ndim)
    fail(op, "dim " + std::to_string(axis) + " does not exist", {{"x", x}});
  return axis < 0 ? axis + x.ndim : axis;
}

// y as a copy of x, or `out` holding it already (out is x itself: in place).
Array start_from(const char* op, const View& x, const View& index, const View& source, const OptView& out) {
  if (source.dtype != x.dtype)
    fail_type(op, std::string("x is ") + nn::name(x.dtype) + " but source is " + nn::name(source.dtype));
  Array y = output(op, x.dtype, x.ndim, x.shape, &out);
  const bool same = out && (source.data == out.data || index.data == out.data);
  if (same || (out && (overlaps(source, out) || overlaps(index, out) || overlaps(x, out))))
    fail(op, "out overlaps another argument", {{"x", x}, {"source", source}, {"out", out}});
  if (!out || out.data != x.data) copy(x, y.view());
  return y;
}

namespace {

int64_t read_index(const View& index, const char* at) {
  return index.dtype == Dtype::i32 ? *reinterpret_cast<const int32_t*>(at)
                                   : *reinterpret_cast<const int64_t*>(at);
}

// The index in C order, checked and not negative: where it lies if it is so already.
class Indices {
 public:
  const int64_t count;

 private:
  const bool ready_;
  Workspace<int64_t> own_;

 public:
  const int64_t* const at;

  Indices(const char* op, const View& index, int64_t size, int64_t axis)
      : count(index.size()),
        ready_(index.dtype == Dtype::i64 && index.contiguous() && inside(index.as<const int64_t>(), size)),
        own_(size_t(ready_ ? 0 : count)),
        at(ready_ ? index.as<const int64_t>() : own_) {
    if (index.dtype != Dtype::i64 && index.dtype != Dtype::i32)
      fail_type(op, std::string("index is ") + nn::name(index.dtype) + "; int64 or int32 is needed");
    if (ready_ ||
        (index.contiguous() && (index.dtype == Dtype::i64 ? dense(index.as<const int64_t>(), size)
                                                          : dense(index.as<const int32_t>(), size))))
      return;
    int64_t place[kMaxDims] = {};
    const char* p = static_cast<const char*>(index.data);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t v = read_index(index, p);
      own_[i] = v < 0 ? v + size : v;
      if (uint64_t(own_[i]) >= uint64_t(size)) out_of_range(op, own_[i], index, i, size, axis);
      for (int d = index.ndim - 1; d >= 0; --d) {
        p += index.strides[d];
        if (++place[d] < index.shape[d]) break;
        p -= place[d] * index.strides[d];
        place[d] = 0;
      }
    }
  }

 private:
  bool inside(const int64_t* index, int64_t size) const {
    bool bad = false;
    for (int64_t i = 0; i < count; ++i) bad |= uint64_t(index[i]) >= uint64_t(size);
    return !bad;
  }
  // Without a branch per index; false if one is out of range, which the loop above then names.
  template <class I> bool dense(const I* index, int64_t size) {
    int64_t* to = own_;
    bool bad = false;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t v = index[i] < 0 ? index[i] + size : index[i];
      bad |= uint64_t(v) >= uint64_t(size);
      to[i] = v;
    }
    return !bad;
  }
};

// x seen as (outer, n, inner) around one axis; packed first where its strides do not allow that.
struct Folded {
  int64_t outer = 1, inner = 1;
  Folded(const View& x, int64_t axis) {
    for (int i = 0; i < axis; ++i) outer *= x.shape[i];
    for (int i = int(axis) + 1; i < x.ndim; ++i) inner *= x.shape[i];
  }
};

template <class U> void add_row(const U* x, U* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = U(y[i] + x[i]);
}
void add_row(const float* x, float* y, int64_t n) { kernels<float>().add_to(x, y, n); }
void add_row(const double* x, double* y, int64_t n) { kernels<double>().add_to(x, y, n); }

}  // namespace

Array take_forward(const View& x, const View& index, int64_t axis) {
  axis = check_axis("index_select", x, axis);
  if (x.ndim - 1 + index.ndim > kMaxDims)
    fail("index_select", "at most 32 dimensions", {{"x", x}, {"index", index}});
  const Indices rows("index_select", index, x.shape[axis], axis);
  int64_t shape[kMaxDims];
  memcpy(shape, x.shape, sizeof(int64_t) * size_t(axis));
  std::copy_n(index.shape, index.ndim, shape + axis);
  memcpy(shape + axis + index.ndim, x.shape + axis + 1, sizeof(int64_t) * size_t(x.ndim - axis - 1));
  Array y = output("index_select", x.dtype, x.ndim - 1 + index.ndim, shape);
  if (y.size() == 0) return y;
  const Folded fold(x, axis);
  const Dense packed(x);
  const int64_t row = fold.inner * itemsize(x.dtype), n = x.shape[axis];
  if (fold.inner == 1) {  // single elements
    dispatch_all(x.dtype, [&](auto t) {
      using T = decltype(t);
      parallel_for(fold.outer, std::max<int64_t>(1, kGrainBytes / 8 / rows.count),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t o = begin; o < end; ++o) {
                       const T* from = packed.as<T>() + o * n;
                       T* to = y.as<T>() + o * rows.count;
                       for (int64_t i = 0; i < rows.count; ++i) to[i] = from[rows.at[i]];
                     }
                   });
    });
    return y;
  }
  const int64_t grain = std::max<int64_t>(1, kGrainBytes / row);
  for (int64_t o = 0; o < fold.outer; ++o)
    parallel_for(rows.count, grain, [&](int64_t begin, int64_t end) {
      const char* from = packed.as<char>() + o * n * row;
      char* to = y.as<char>() + (o * rows.count + begin) * row;
      if (row <= 4096 && itemsize(x.dtype) == 4)
        kernels<float>().copy_rows(reinterpret_cast<const float*>(from), row / 4, rows.at + begin,
                                   reinterpret_cast<float*>(to), row / 4, end - begin, row / 4);
      else if (row <= 4096 && itemsize(x.dtype) == 8)
        kernels<double>().copy_rows(reinterpret_cast<const double*>(from), row / 8, rows.at + begin,
                                    reinterpret_cast<double*>(to), row / 8, end - begin, row / 8);
      else
        for (int64_t i = begin; i < end; ++i, to += row) memcpy(to, from + rows.at[i] * row, size_t(row));
    });
  return y;
}

Array index_add_forward(const View& x, const View& index, const View& source, int64_t axis,
                        const OptView& out) {
  axis = check_axis("index_add", x, axis);
  const Indices rows("index_add", index, x.shape[axis], axis);
  bool fits = source.ndim == x.ndim - 1 + index.ndim;
  for (int i = 0; fits && i < source.ndim; ++i)
    fits = source.shape[i] == (i < axis                ? x.shape[i]
                               : i < axis + index.ndim ? index.shape[i - axis]
                                                       : x.shape[i - index.ndim + 1]);
  if (!fits)
    fail("index_add",
         "source must have x's shape with dim " + std::to_string(axis) + " replaced by index's shape",
         {{"x", x}, {"index", index}, {"source", source}});
  if (out && !out.contiguous()) fail("index_add", "out must be C-contiguous", {{"out", out}});
  Array y = start_from("index_add", x, index, source, out);
  if (source.size() == 0) return y;
  const Folded fold(x, axis);
  const Dense packed(source);
  const int64_t n = x.shape[axis], inner = fold.inner;
  // A thread owns a range of target rows (or of outer blocks) and walks the whole index for it.
  const int64_t range = std::max<int64_t>(std::max<int64_t>(1, rows.count / 4), (n + 15) / 16);
  const int64_t ranges = (n + range - 1) / range;
  const int64_t grain = std::max<int64_t>(
      1, kGrainBytes / std::max<int64_t>(1, rows.count * inner * itemsize(x.dtype) / ranges));
  parallel_for(fold.outer * ranges, grain, [&](int64_t begin, int64_t end) {
    dispatch_all(x.dtype, [&](auto t) {
      using T = decltype(t);
      for (int64_t u = begin; u < end; ++u) {
        const int64_t outer = u / ranges, lo = u % ranges * range, hi = lo + range;
        const T* from = packed.as<T>() + outer * rows.count * inner;
        T* to = y.as<T>() + outer * n * inner;
        for (int64_t i = 0; i < rows.count; ++i) {
          const int64_t r = rows.at[i];
          if (r < lo || r >= hi) continue;
          if (inner == 1)
            to[r] = T(to[r] + from[i]);
          else
            add_row(from + i * inner, to + r * inner, inner);
        }
      }
    });
  });
  return y;
}

}  // namespace nn::cpu
