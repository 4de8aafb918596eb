// Reading and writing by an index for every element.
//
//   gather    y[..i..] = x[.., index[..i..], ..]
//   scatter   y = x; y[.., index[..i..], ..] = source[..i..]           scatter_add: +=
//   scatter_reduce: the same with products, the largest, the smallest
//
// Indices are as in index.cpp. Elements that differ before the axis never share a target, so threads take
// whole groups of them. Bound by cache misses.
#include <algorithm>
#include <limits>

#include "../parallel.h"
#include "index.h"

namespace nn::cpu {
namespace {

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
  if (begin >= end) return;  // an empty dim has no places to tell apart
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

Array gather_forward(const View& x, const View& index, int64_t axis) {
  if (x.ndim == 0) fail("gather", "x needs at least one dimension", {{"x", x}});
  axis = check_axis("gather", x, axis);
  check_elementwise_index("gather", x, index, nullptr, axis);
  Array y = output("gather", x.dtype, index.ndim, index.shape);
  const View target = y.view();
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
  Array y = scatter(op, x, index, source, axis, OptView(), [=](auto* to, const auto*) {
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
