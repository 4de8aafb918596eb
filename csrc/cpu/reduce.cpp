// Reductions over any axes of arrays of any strides.
//
// The axes are sorted by stride and merged, so that one dense axis ("the run") stays innermost; what has none
// is packed first, or leaf by leaf. If the run is reduced, rows are folded; if it is kept, columns are: rows
// are added into a row of results. Either way the work is cut into leaves whose size depends on the shape
// alone (4096 elements of a row, 256 rows of a column); partial results are an array again and are reduced by
// the same code. Hence the bits do not depend on the number of threads, and rounding errors grow with the
// logarithm of the length, as in pairwise summation. Bound by bytes.
#include "reduce.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {

Reduction reduction(const char* op, const View& x, const Ints& axes, bool keepdims) {
  Reduction r;
  for (int i = 0; i < x.ndim; ++i) r.reduced[i] = axes.count == 0;
  for (int i = 0; i < axes.count; ++i) {
    const int64_t axis = axes[i] < 0 ? axes[i] + x.ndim : axes[i];
    if (x.ndim == 0 && (axes[i] == 0 || axes[i] == -1))
      continue;  // as PyTorch: a number has one axis if asked
    if (axis < 0 || axis >= x.ndim)
      fail(op, "dim " + std::to_string(axes[i]) + " does not exist", {{"x", x}});
    if (r.reduced[axis]) fail(op, "dim " + std::to_string(axes[i]) + " appears twice", {{"x", x}});
    r.reduced[axis] = true;
  }
  for (int i = 0; i < x.ndim; ++i) {
    (r.reduced[i] ? r.count : r.results) *= x.shape[i];
    if (!r.reduced[i] || keepdims) r.shape[r.ndim++] = r.reduced[i] ? 1 : x.shape[i];
  }
  return r;
}

Packed::Packed(const View& x, const Reduction& r) : data_(x.data) {
  int64_t shape[kMaxDims], from[kMaxDims], to[kMaxDims];
  int n = 0;
  for (bool reduced : {false, true})
    for (int i = 0; i < x.ndim; ++i)
      if (r.reduced[i] == reduced) shape[n] = x.shape[i], from[n++] = x.strides[i];
  const View source{x.data, x.dtype, false, false, n, shape, from};
  if (source.contiguous()) return;
  int64_t bytes = itemsize(x.dtype);
  for (int i = n - 1; i >= 0; --i) to[i] = bytes, bytes *= shape[i];
  data_ = block_ = allocate(size_t(bytes));
  copy(source, View{block_, x.dtype, true, false, n, shape, to});
}

Packed::~Packed() {
  if (block_) release(block_);
}

bool make_plan(const View& x, const Reduction& r, Plan& p, int* order) {
  struct Item {
    int64_t n, step;
    int axis;
    bool reduced;
  } all[kMaxDims];
  int n = 0, n_order = 0;
  for (int i = 0; i < x.ndim; ++i) {
    if (x.shape[i] == 1) continue;
    const Item item{x.shape[i], x.step(i), i, r.reduced[i]};
    if (item.step <= 0) return false;
    int at = n++;
    for (; at > 0 && all[at - 1].step < item.step; --at) all[at] = all[at - 1];
    all[at] = item;
  }
  if (n && all[n - 1].step != 1 && !all[n - 1].reduced) return false;
  int merged = 0;
  for (int i = 0; i < n; ++i) {
    if (!all[i].reduced) order[n_order++] = all[i].axis;
    Item* last = merged ? &all[merged - 1] : nullptr;
    if (last && last->reduced == all[i].reduced && last->step == all[i].n * all[i].step)
      *last = {last->n * all[i].n, all[i].step, 0, last->reduced};
    else
      all[merged++] = all[i];
  }
  if (merged) {
    const Item& run = all[--merged];
    p.columns = !run.reduced, p.run = run.n, p.run_step = run.step;
  }
  for (int i = 0; i < merged; ++i)
    if (!all[i].reduced) p.axis[p.kept++] = {all[i].n, all[i].step};
  for (int i = 0; i < merged; ++i)
    if (all[i].reduced) p.axis[p.kept + p.folded++] = {all[i].n, all[i].step};
  return true;
}

namespace {

template <class T> void run(Plan p, Fold op, const T* x, T* y);

template <class T> void divide(T* y, int64_t n, int64_t by) {
  if (by == 1) return;
  for (int64_t i = 0; i < n; ++i) y[i] /= T(by);
}

template <class T> void fold_rows(const Plan& p, Fold op, const T* x, T* y) {
  Axis axes[2 * kMaxDims + 2];
  int n = p.kept + p.folded;
  std::copy(p.axis, p.axis + n, axes);
  const int64_t leaf = p.run_step == 1 ? kRowLeaf : kPackedLeaf;
  const int64_t blocks = (p.run + leaf - 1) / leaf, tail = p.run - (blocks - 1) * leaf;
  if (blocks > 1) axes[n++] = {blocks, leaf * p.run_step};
  const int64_t results = product(axes, p.kept), leaves = product(axes + p.kept, n - p.kept);
  const auto dense = kernels<T>().reduce_rows;
  const auto kernel = [&](int fold, const T* from, int64_t step, int64_t rows, int64_t length, T* to) {
    if (p.run_step == 1) return dense(fold, from, step, rows, length, to);
    T row[kPackedLeaf];
    for (int64_t r = 0; r < rows; ++r, from += step) {
      if (p.run_step == 2)  // shuffles
        for (int64_t i = 0; i < length; ++i) row[i] = from[i * 2];
      else
        for (int64_t i = 0; i < length; ++i) row[i] = from[i * p.run_step];
      dense(fold, row, 0, 1, length, to + r);
    }
  };
  const auto leaf_fold = [&](T* to) {
    const int64_t length = std::min(p.run, leaf);
    parallel_for(results * leaves, std::max<int64_t>(1, kGrain / (length + 8)),
                 [&](int64_t begin, int64_t end) {
                   walk(axes, n, begin, end, [&](int64_t u, int64_t offset, int64_t count, int64_t step) {
                     const bool has_tail =
                         blocks > 1 && (u + count) % blocks == 0;  // count never passes the end of a run
                     const int64_t full = has_tail ? count - 1 : count;
                     kernel(int(op), x + offset, step, full, length, to + u);
                     if (has_tail) kernel(int(op), x + offset + full * step, 0, 1, tail, to + u + full);
                     if (leaves == 1) divide(to + u, count, p.divisor);
                   });
                 });
  };
  if (leaves == 1) return leaf_fold(y);
  Workspace<T> parts(size_t(results * leaves));
  leaf_fold(parts);
  Plan rest;
  rest.divisor = p.divisor;
  rest.axis[rest.kept++] = {results, leaves};
  rest.run = leaves;
  run<T>(rest, op == Fold::squares ? Fold::sum : op, parts, y);
}

template <class T> void fold_columns(const Plan& p, Fold op, const T* x, T* y) {
  Axis axes[2 * kMaxDims + 2];
  int n = p.kept + p.folded;
  std::copy(p.axis, p.axis + n, axes);
  const Axis rows = p.folded ? axes[--n] : Axis{1, 0};
  const int64_t chunks = (rows.n + kColumnLeaf - 1) / kColumnLeaf,
                tiles = (p.run + kColumnTile - 1) / kColumnTile;
  axes[n++] = {chunks, kColumnLeaf * rows.step};
  axes[n++] = {tiles, kColumnTile};
  const int64_t results = product(axes, p.kept), units = product(axes, n), leaves = units / results / tiles;
  const auto kernel = kernels<T>().reduce_cols;
  const auto leaf_fold = [&](T* to) {
    const int64_t size = std::min(rows.n, kColumnLeaf) * std::min(p.run, kColumnTile);
    parallel_for(units, std::max<int64_t>(1, kGrain / (size + 64)), [&](int64_t begin, int64_t end) {
      walk(axes, n, begin, end, [&](int64_t u, int64_t offset, int64_t count, int64_t) {
        for (int64_t i = u; i < u + count; ++i, offset += kColumnTile) {
          const int64_t leaf = i / tiles, column = i % tiles * kColumnTile, row = leaf % chunks * kColumnLeaf;
          const int64_t columns = std::min(kColumnTile, p.run - column);
          T* const sums = to + leaf * p.run + column;
          kernel(int(op), x + offset, rows.step, std::min(kColumnLeaf, rows.n - row), columns, sums);
          if (leaves == 1) divide(sums, columns, p.divisor);
        }
      });
    });
  };
  if (leaves == 1) return leaf_fold(y);
  Workspace<T> parts(size_t(results * leaves * p.run));
  leaf_fold(parts);
  Plan rest;
  rest.columns = true, rest.divisor = p.divisor;
  rest.run = p.run;
  rest.axis[rest.kept++] = {results, leaves * p.run};
  rest.axis[rest.kept + rest.folded++] = {leaves, p.run};
  run<T>(rest, op == Fold::squares ? Fold::sum : op, parts, y);
}

template <class T> void run(Plan p, Fold op, const T* x, T* y) {
  (p.columns ? fold_columns<T> : fold_rows<T>)(p, op, x, y);
}

// y = fold of x / divisor, C-contiguous over the kept axes.
template <class T> void fold(const View& x, const Reduction& r, Fold op, int64_t divisor, T* y) {
  if (r.results == 0) return;
  if (r.count == 0) {
    std::fill(y, y + r.results, (op == Fold::prod ? T(1) : T(0)) / T(divisor));
    return;
  }
  Plan p;
  p.divisor = divisor;
  int order[kMaxDims], kept[kMaxDims], n = 0;
  for (int i = 0; i < x.ndim; ++i)
    if (!r.reduced[i] && x.shape[i] != 1) kept[n++] = i;
  const bool planned = make_plan(x, r, p, order);
  if (planned && std::is_sorted(order, order + n)) return run<T>(p, op, x.as<const T>(), y);
  if (!planned) {
    Packed packed(x, r);
    Plan rows;
    rows.divisor = divisor;
    rows.axis[rows.kept++] = {r.results, r.count};
    rows.run = r.count;
    return run<T>(rows, op, packed.as<T>(), y);
  }
  // Results come in the order of x's strides: turn them.
  Workspace<T> turned(size_t(r.results));
  run<T>(p, op, x.as<const T>(), turned);
  int64_t shape[kMaxDims], from[kMaxDims], to[kMaxDims], stride_of[kMaxDims], bytes = sizeof(T);
  for (int i = n - 1; i >= 0; --i) stride_of[order[i]] = bytes, bytes *= x.shape[order[i]];
  bytes = sizeof(T);
  for (int i = n - 1; i >= 0; --i) {
    shape[i] = x.shape[kept[i]], from[i] = stride_of[kept[i]], to[i] = bytes;
    bytes *= shape[i];
  }
  const Dtype dt = dtype_of<T>::value;
  copy(View{turned, dt, false, false, n, shape, from}, View{y, dt, true, false, n, shape, to});
}

Array fold_floats(const char* name, const View& x, const Reduction& r, Fold op, bool mean) {
  const Dtype dt = common_dtype(name, {{"x", x}});
  Array y = output(name, dt, r.ndim, r.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    fold<T>(x, r, op, mean ? r.count : 1, y.as<T>());
  });
  return y;
}

// Integers, booleans and truth: y = f(...f(f(start, x0), x1)...) by plain loops over packed rows.
template <class T, class Y, class F>
void fold_plain(const View& x, const Reduction& r, Y start, Y* y, F&& f) {
  Packed packed(x, r);
  const T* rows = packed.template as<T>();
  parallel_for(r.results, std::max<int64_t>(1, kGrain / (r.count + 1)), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      Y a = start;
      for (int64_t i = 0; i < r.count; ++i) a = f(a, rows[o * r.count + i]);
      y[o] = a;
    }
  });
}

// Sums and products of integers are int64.
Array fold_integers(const char* name, const View& x, const Reduction& r, Fold op) {
  Array y = output(name, Dtype::i64, r.ndim, r.shape);
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    if (op == Fold::sum)
      fold_plain<T, uint64_t>(x, r, 0, y.as<uint64_t>(),
                              [](uint64_t a, T v) { return a + uint64_t(int64_t(v)); });
    else
      fold_plain<T, uint64_t>(x, r, 1, y.as<uint64_t>(),
                              [](uint64_t a, T v) { return a * uint64_t(int64_t(v)); });
  });
  return y;
}

Array fold_extreme(const char* name, const View& x, const Ints& axes, bool keepdims, Fold op) {
  const Reduction r = reduction(name, x, axes, keepdims);
  if (r.count == 0 && r.results > 0)
    fail(name, "no elements to reduce: an empty maximum has no value", {{"x", x}});
  if (is_float(x)) return fold_floats(name, x, r, op, false);
  Array y = output(name, x.dtype, r.ndim, r.shape);
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    if (op == Fold::max)
      fold_plain<T, T>(x, r, std::numeric_limits<T>::lowest(), y.as<T>(),
                       [](T a, T v) { return v > a ? v : a; });
    else
      fold_plain<T, T>(x, r, std::numeric_limits<T>::max(), y.as<T>(),
                       [](T a, T v) { return v < a ? v : a; });
  });
  return y;
}

Array fold_truth(const char* name, const View& x, const Ints& axes, bool keepdims, bool all) {
  const Reduction r = reduction(name, x, axes, keepdims);
  Array y = output(name, Dtype::b8, r.ndim, r.shape);
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    if (all)
      fold_plain<T, uint8_t>(x, r, 1, y.as<uint8_t>(), [](uint8_t a, T v) { return uint8_t(a & (v != 0)); });
    else
      fold_plain<T, uint8_t>(x, r, 0, y.as<uint8_t>(), [](uint8_t a, T v) { return uint8_t(a | (v != 0)); });
  });
  return y;
}

}  // namespace

Array sum_forward(const View& x, const Ints& axes, bool keepdims) {
  const Reduction r = reduction("sum", x, axes, keepdims);
  return is_float(x) ? fold_floats("sum", x, r, Fold::sum, false) : fold_integers("sum", x, r, Fold::sum);
}

Array prod_forward(const View& x, const Ints& axes, bool keepdims) {
  const Reduction r = reduction("prod", x, axes, keepdims);
  return is_float(x) ? fold_floats("prod", x, r, Fold::prod, false) : fold_integers("prod", x, r, Fold::prod);
}

Array mean_forward(const View& x, const Ints& axes, bool keepdims) {
  return fold_floats("mean", x, reduction("mean", x, axes, keepdims), Fold::sum, true);
}

Array amax_forward(const View& x, const Ints& axes, bool keepdims) {
  return fold_extreme("amax", x, axes, keepdims, Fold::max);
}

Array amin_forward(const View& x, const Ints& axes, bool keepdims) {
  return fold_extreme("amin", x, axes, keepdims, Fold::min);
}

Array any_forward(const View& x, const Ints& axes, bool keepdims) {
  return fold_truth("any", x, axes, keepdims, false);
}

Array all_forward(const View& x, const Ints& axes, bool keepdims) {
  return fold_truth("all", x, axes, keepdims, true);
}

// Roots of sums of squares.
Array norm_forward(const View& x, const Ints& axes, bool keepdims) {
  const Dtype dt = common_dtype("norm", {{"x", x}});
  const Reduction r = reduction("norm", x, axes, keepdims);
  Array y = output("norm", dt, r.ndim, r.shape);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    fold<T>(x, r, Fold::squares, 1, y.as<T>());
    kernels<T>().unary(int(Unary::sqrt), y.as<T>(), y.as<T>(), r.results, false);
  });
  return y;
}

}  // namespace nn::cpu
