// Reading and writing by integer index, along one axis.
//
//   take      y[a.., i.., b..] = x[a.., index[i..], b..]               index_select: rows of x
//   index_add y = x; y[a.., index[i..], b..] += source[a.., i.., b..]  its gradient
//   gather    y[..i..] = x[.., index[..i..], ..]                       an index for every element
//   scatter   y = x; y[.., index[..i..], ..] = source[..i..]           scatter_add: +=
//   scatter_reduce: the same with products, the largest, the smallest
//
// Indices are int64 or int32 and may be negative, as in NumPy; one out of range is an IndexError and nothing
// has been written then. Sums run in the order of the index whatever the number of threads: threads share out
// the rows that are written, never the additions to one row. Bound by bytes (and by cache misses).
#include <algorithm>
#include <cstring>
#include <limits>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrainBytes = 128 << 10;

int64_t read_index(const View& index, const char* at) {
  return index.dtype == Dtype::i32 ? *reinterpret_cast<const int32_t*>(at)
                                   : *reinterpret_cast<const int64_t*>(at);
}

// `value`: the bad index, to which size was added if it was negative.
[[noreturn]] void out_of_range(const char* op, int64_t value, const View& index, int64_t flat, int64_t size,
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

// The index in C order, checked and made non-negative.
struct Indices {
  int64_t count;
  Workspace<int64_t> at;
  Indices(const char* op, const View& index, int64_t size, int64_t axis)
      : count(index.size()), at(size_t(index.size())) {
    if (index.dtype != Dtype::i64 && index.dtype != Dtype::i32)
      fail_type(op, std::string("index is ") + nn::name(index.dtype) + "; int64 or int32 is needed");
    if (index.contiguous() && (index.dtype == Dtype::i64 ? dense(index.as<const int64_t>(), size)
                                                         : dense(index.as<const int32_t>(), size)))
      return;
    int64_t place[kMaxDims] = {};
    const char* p = static_cast<const char*>(index.data);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t v = read_index(index, p);
      at[i] = v < 0 ? v + size : v;
      if (uint64_t(at[i]) >= uint64_t(size)) out_of_range(op, at[i], index, i, size, axis);
      for (int d = index.ndim - 1; d >= 0; --d) {
        p += index.strides[d];
        if (++place[d] < index.shape[d]) break;
        p -= place[d] * index.strides[d];
        place[d] = 0;
      }
    }
  }

 private:
  // Without a branch per index; false if one is out of range, which the loop above then names.
  template <class I> bool dense(const I* index, int64_t size) {
    int64_t* to = at;
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

// A C-contiguous version of v: v itself, or a copy of it.
class Packed {
 public:
  explicit Packed(const View& v) : data_(v.as<char>()) {
    if (v.contiguous()) return;
    Array a = output("index", v.dtype, v.ndim, v.shape);
    copy(v, a.view());
    data_ = block_ = a.as<char>();
  }
  ~Packed() {
    if (block_) release(block_);
  }
  Packed(const Packed&) = delete;
  const char* data() const { return data_; }

 private:
  char* data_;
  char* block_ = nullptr;
};

// y as a copy of x, or `out` holding it already (out is x itself: in place).
Array start_from(const char* op, const View& x, const View& index, const View& source, const OptView& out) {
  if (source.dtype != x.dtype)
    fail_type(op, std::string("x is ") + nn::name(x.dtype) + " but source is " + nn::name(source.dtype));
  Array y = output(op, x.dtype, x.ndim, x.shape, &out);
  if (out && (overlaps(source, out) || source.data == out.data || overlaps(index, out) || overlaps(x, out)))
    fail(op, "out overlaps another argument", {{"x", x}, {"source", source}, {"out", out}});
  if (!out || out.data != x.data) copy(x, y.view());
  return y;
}

template <class U> void add_row(const U* x, U* y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) y[i] = U(y[i] + x[i]);
}
void add_row(const float* x, float* y, int64_t n) { kernels<float>().add_to(x, y, n); }
void add_row(const double* x, double* y, int64_t n) { kernels<double>().add_to(x, y, n); }

// The shapes of gather and scatter: index is at most as long as x (except along axis) and as source.
void check_elementwise_index(const char* op, const View& x, const View& index, const View* source,
                             int64_t axis) {
  if (index.dtype != Dtype::i64 && index.dtype != Dtype::i32)
    fail_type(op, std::string("index is ") + nn::name(index.dtype) + "; int64 or int32 is needed");
  bool fits = index.ndim == x.ndim && (!source || source->ndim == x.ndim);
  for (int i = 0; fits && i < x.ndim; ++i)
    fits = (i == axis || index.shape[i] <= x.shape[i]) && (!source || index.shape[i] <= source->shape[i]);
  if (fits) return;
  const std::string what =
      "index must have x's number of dimensions and be no longer than x except along dim " +
      std::to_string(axis);
  if (source)
    fail(op, what + ", and no longer than source", {{"x", x}, {"index", index}, {"source", *source}});
  fail(op, what, {{"x", x}, {"index", index}});
}

// The lines of index along its last dim, with where they stand in x (without the axis) and in a third array.
struct Line {
  int64_t flat, x, other;  // place in C order; byte offsets
  const char* index;
};

template <class F> void each_line(const View& index, const View& x, const View& other, int64_t axis,
                                  int64_t begin, int64_t end, F&& f) {
  const int last = index.ndim - 1;
  int64_t place[kMaxDims], rest = begin;
  Line line{begin * index.shape[last], 0, 0, index.as<const char>()};
  const auto move = [&](int d, int64_t by) {
    line.index += by * index.strides[d], line.other += by * other.strides[d];
    if (d != axis) line.x += by * x.strides[d];
  };
  for (int d = last - 1; d >= 0; --d) {
    place[d] = rest % index.shape[d];
    rest /= index.shape[d];
    move(d, place[d]);
  }
  for (int64_t i = begin; i < end; ++i, line.flat += index.shape[last]) {
    f(line);
    for (int d = last - 1; d >= 0; --d) {
      move(d, 1);
      if (++place[d] < index.shape[d]) break;
      move(d, -place[d]);
      place[d] = 0;
    }
  }
}

// f(k, x[k]) for each element k of a line: its index is checked (IndexError) and x points at what it names.
template <class T, class I, class F> void along_line(const char* op, const View& index, const Line& line,
                                                     char* x, const View& x_view, int64_t axis, F&& f) {
  const int last = index.ndim - 1;
  const int64_t n = index.shape[last], size = x_view.shape[axis];
  const auto loop = [&](int64_t index_step, int64_t step, int64_t x_step) {
    for (int64_t k = 0; k < n; ++k) {
      int64_t v = *reinterpret_cast<const I*>(line.index + k * index_step);
      if (v < 0) v += size;
      if (uint64_t(v) >= uint64_t(size)) out_of_range(op, v, index, line.flat + k, size, axis);
      f(k, reinterpret_cast<T*>(x + k * x_step + v * step));
    }
  };
  const int64_t index_step = index.strides[last], step = x_view.strides[axis];
  if (index_step == sizeof(I) && axis == last && step == sizeof(T)) return loop(sizeof(I), sizeof(T), 0);
  if (index_step == sizeof(I) && axis != last && x_view.strides[last] == sizeof(T))
    return loop(sizeof(I), step, sizeof(T));
  loop(index_step, step, axis == last ? 0 : x_view.strides[last]);
}

// g(T(), I()): T for the items, I for the index.
template <class G> void dispatch_index(Dtype items, Dtype index, G&& g) {
  dispatch_all(items, [&](auto t) { index == Dtype::i32 ? g(t, int32_t()) : g(t, int64_t()); });
}

int64_t lines_of(const View& index) {
  return index.size() / std::max<int64_t>(1, index.shape[index.ndim - 1]);
}

// Elements that differ before `axis` never share a target, so threads take whole groups of them.
template <class Put> Array scatter(const char* op, const View& x, const View& index, const View& source,
                                   int64_t axis, const OptView& out, Put&& put) {
  if (x.ndim == 0) fail(op, "x needs at least one dimension", {{"x", x}});
  axis = check_axis(op, x, axis);
  check_elementwise_index(op, x, index, &source, axis);
  const int64_t lines = lines_of(index);
  dispatch_index(x.dtype, index.dtype,
                 [&](auto t, auto i) {  // all indices are good before anything is written
                   each_line(index, x, source, axis, 0, lines, [&](const Line& line) {
                     along_line<decltype(t), decltype(i)>(op, index, line, x.as<char>() + line.x, x, axis,
                                                          [](int64_t, const auto*) {});
                   });
                 });
  Array y = start_from(op, x, index, source, out);
  if (index.size() == 0) return y;
  const View target = y.view();
  int64_t groups = 1;
  for (int d = 0; d < axis && d < index.ndim - 1; ++d) groups *= index.shape[d];
  const int64_t each = lines / groups, step = source.strides[index.ndim - 1];
  const int64_t grain = std::max<int64_t>(1, kGrainBytes / 8 / (index.size() / groups));
  parallel_for(groups, grain, [&](int64_t begin, int64_t end) {
    dispatch_index(x.dtype, index.dtype, [&](auto t, auto i) {
      using T = decltype(t);
      each_line(index, target, source, axis, begin * each, end * each, [&](const Line& line) {
        const char* from = source.as<const char>() + line.other;
        along_line<T, decltype(i)>(
            op, index, line, target.as<char>() + line.x, target, axis,
            [&](int64_t k, T* to) { put(to, reinterpret_cast<const T*>(from + k * step)); });
      });
    });
  });
  return y;
}

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
  const Packed packed(x);
  const int64_t row = fold.inner * itemsize(x.dtype), n = x.shape[axis];
  if (fold.inner == 1) {  // single elements
    dispatch_all(x.dtype, [&](auto t) {
      using T = decltype(t);
      parallel_for(fold.outer, std::max<int64_t>(1, kGrainBytes / 8 / rows.count),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t o = begin; o < end; ++o) {
                       const T* from = reinterpret_cast<const T*>(packed.data()) + o * n;
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
      const char* from = packed.data() + o * n * row;
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
  const Packed packed(source);
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
        const T* from = reinterpret_cast<const T*>(packed.data()) + outer * rows.count * inner;
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

Array gather_forward(const View& x, const View& index, int64_t axis) {
  if (x.ndim == 0) fail("gather", "x needs at least one dimension", {{"x", x}});
  axis = check_axis("gather", x, axis);
  check_elementwise_index("gather", x, index, nullptr, axis);
  Array y = output("gather", x.dtype, index.ndim, index.shape);
  const View target = y.view();
  try {
    const int64_t grain =
        std::max<int64_t>(1, kGrainBytes / 8 / std::max<int64_t>(1, index.shape[index.ndim - 1]));
    parallel_for(index.size() ? lines_of(index) : 0, grain, [&](int64_t begin, int64_t end) {
      dispatch_index(x.dtype, index.dtype, [&](auto t, auto i) {
        using T = decltype(t);
        each_line(index, x, target, axis, begin, end, [&](const Line& line) {
          T* to = reinterpret_cast<T*>(target.as<char>() + line.other);
          along_line<T, decltype(i)>("gather", index, line, x.as<char>() + line.x, x, axis,
                                     [&](int64_t k, const T* from) { to[k] = *from; });
        });
      });
    });
  } catch (...) {
    release(y.data);
    throw;
  }
  return y;
}

Array scatter_forward(const View& x, const View& index, const View& source, int64_t axis,
                      const OptView& out) {
  return scatter("scatter", x, index, source, axis, out, [](auto* to, const auto* from) { *to = *from; });
}

Array scatter_add_forward(const View& x, const View& index, const View& source, int64_t axis,
                          const OptView& out) {
  return scatter("scatter_add", x, index, source, axis, out, [](auto* to, const auto* from) {
    *to = std::remove_reference_t<decltype(*to)>(*to + *from);
  });
}

// reduce: 0 product, 1 largest, 2 smallest (NaN wins). Without x itself, its places start from what changes
// nothing.
Array scatter_reduce_forward(const View& x, const View& index, const View& source, int64_t axis,
                             int64_t reduce, bool include_self) {
  const char* op = "scatter_reduce";
  if (reduce < 0 || reduce > 2) fail(op, "reduce must be 0 to 2", {{"x", x}});
  const auto fold = [=](auto* to, const auto* from) {
    using T = std::remove_reference_t<decltype(*to)>;
    if (reduce == 0)
      *to = T(*to * *from);
    else if (*from != *from || (reduce == 1 ? *from > *to : *from < *to))
      *to = *from;
  };
  if (include_self) return scatter(op, x, index, source, axis, OptView(), fold);
  const Array y = scatter(op, x, index, source, axis, OptView(), [=](auto* to, const auto*) {
    using L = std::numeric_limits<std::remove_reference_t<decltype(*to)>>;
    if (reduce == 0)
      *to = 1;
    else if (L::has_infinity)
      *to = reduce == 1 ? -L::infinity() : L::infinity();
    else
      *to = reduce == 1 ? L::lowest() : L::max();
  });
  OptView here;
  static_cast<View&>(here) = y.view(), here.given = true;
  scatter(op, here, index, source, axis, here, fold);
  return y;
}

}  // namespace nn::cpu
