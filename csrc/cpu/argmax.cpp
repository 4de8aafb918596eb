// The largest (smallest) elements and where they first stand, along one axis or in the flattened array. The
// first NaN wins.
//
// Best values and where they stand go side by side in registers. Of short rows, and of rows longer than a
// leaf, the best value (of each leaf) comes from the folds of reduce.inl, then one search finds it. What is
// not dense is packed first. Bound by bytes.
#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "reduce.h"

namespace nn::cpu {
namespace {

constexpr int64_t kLong = 1024;  // rows from here on wait for memory, not for the search

// True if v takes the place of the best so far.
template <class T> bool better(bool smallest, T v, T best) {
  return (smallest ? v < best : v > best) || (v != v && best == best);
}

// `results` rows of n elements, `step` apart.
template <class T>
void arg_rows(bool smallest, const T* x, int64_t step, int64_t results, int64_t n, T* value, int64_t* index) {
  const auto& k = kernels<T>();
  const int op = int(smallest ? Fold::min : Fold::max);
  if (n <= kRowLeaf) {
    parallel_for(results, std::max<int64_t>(1, kGrain / (n + 8)), [&](int64_t begin, int64_t end) {
      if (n >= kLong)
        return k.arg_rows(smallest, x + begin * step, step, end - begin, n, value + begin, index + begin);
      // A few rows at a time: the search finds them in the L1 cache.
      for (int64_t i = begin, stop; i < end; i = stop) {
        stop = std::min(end, i + kRowLeaf / n);
        k.reduce_rows(op, x + i * step, step, stop - i, n, value + i);
        for (int64_t r = i; r < stop; ++r) index[r] = k.find_first(x + r * step, n, value[r]);
      }
    });
    return;
  }
  const int64_t leaves = (n + kRowLeaf - 1) / kRowLeaf;
  Workspace<T> parts(static_cast<size_t>(leaves));
  for (int64_t i = 0; i < results; ++i) {
    const T* row = x + i * step;
    parallel_for(leaves, kGrain / kRowLeaf, [&](int64_t begin, int64_t end) {
      const int64_t full = end * kRowLeaf <= n ? end : end - 1;
      k.reduce_rows(op, row + begin * kRowLeaf, kRowLeaf, full - begin, kRowLeaf, parts + begin);
      if (full < end) k.reduce_rows(op, row + full * kRowLeaf, 0, 1, n - full * kRowLeaf, parts + full);
    });
    int64_t best = 0;
    for (int64_t leaf = 1; leaf < leaves; ++leaf)
      if (better(smallest, parts[leaf], parts[best])) best = leaf;
    const int64_t at = best * kRowLeaf;
    value[i] = parts[best];
    index[i] = at + k.find_first(row + at, std::min(kRowLeaf, n - at), value[i]);
  }
}

template <class T> void arg_columns(bool smallest, const Plan& p, const T* x, T* value, int64_t* index) {
  Axis axes[kMaxDims + 2];
  int n = p.kept;
  std::copy(p.axis, p.axis + n, axes);
  const Axis rows = p.folded ? p.axis[n] : Axis{1, 0};
  const int64_t chunks = (rows.n + kColumnLeaf - 1) / kColumnLeaf,
                tiles = (p.run + kColumnTile - 1) / kColumnTile;
  const int64_t outer = product(axes, n), size = outer * chunks * p.run;
  axes[n++] = {chunks, kColumnLeaf * rows.step};
  axes[n++] = {tiles, kColumnTile};
  Workspace<T> parts(size_t(chunks > 1 ? size : 0)), places(static_cast<size_t>(size));
  T* values = chunks > 1 ? parts : value;
  const int64_t grain = kGrain / (std::min(rows.n, kColumnLeaf) * std::min(p.run, kColumnTile) + 64);
  parallel_for(outer * chunks * tiles, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    walk(axes, n, begin, end, [&](int64_t u, int64_t offset, int64_t count, int64_t) {
      for (int64_t i = u; i < u + count; ++i, offset += kColumnTile) {
        const int64_t column = i % tiles * kColumnTile, row = i / tiles % chunks * kColumnLeaf;
        const int64_t to = i / tiles * p.run + column;
        kernels<T>().arg_cols(smallest, x + offset, rows.step, std::min(kColumnLeaf, rows.n - row),
                              std::min(kColumnTile, p.run - column), values + to, places + to);
      }
    });
  });
  Workspace<T> chunk(size_t(p.run));  // the first that holds the best
  for (int64_t o = 0; o < outer; ++o, value += p.run, index += p.run) {
    const int64_t from = o * chunks * p.run;
    if (chunks > 1) kernels<T>().arg_cols(smallest, values + from, p.run, chunks, p.run, value, chunk);
    for (int64_t j = 0; j < p.run; ++j) {
      const int64_t c = chunks > 1 ? int64_t(chunk[j]) : 0;
      index[j] = c * kColumnLeaf + int64_t(places[from + c * p.run + j]);
    }
  }
}

template <class T>
void arg_floats(bool smallest, const View& x, const Reduction& r, bool along_axis, T* value, int64_t* index) {
  Plan p;
  int order[kMaxDims];
  // A lone reduced axis keeps its order whatever the strides; a flattened array must lie in C order.
  if ((along_axis || x.contiguous()) && make_plan(x, r, p, order) && p.run_step == 1 &&
      std::is_sorted(order, order + r.kept(x))) {
    if (p.columns) return arg_columns(smallest, p, x.as<const T>(), value, index);
    if (p.kept <= 1) {
      const int64_t step = p.kept ? p.axis[0].step : 0;
      return arg_rows(smallest, x.as<const T>(), step, r.results, r.count, value, index);
    }
  }
  Packed packed(x, r);
  arg_rows(smallest, packed.as<T>(), r.count, r.results, r.count, value, index);
}

Array2 arg_extreme(const char* name, const View& x, const Ints& axes, bool keepdims, bool smallest) {
  if (axes.count > 1) fail(name, "takes one dim, or None for the flattened array", {{"x", x}});
  const Reduction r = reduction(name, x, axes, keepdims);
  if (r.count == 0 && r.results > 0) fail(name, "no elements to choose from", {{"x", x}});
  Array value = output(name, x.dtype, r.ndim, r.shape), index = output(name, Dtype::i64, r.ndim, r.shape);
  if (r.results == 0) return {std::move(value), std::move(index)};
  dispatch_all(x.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (std::is_floating_point_v<T>) {
      arg_floats<T>(smallest, x, r, axes.count == 1, value.as<T>(), index.as<int64_t>());
    } else {
      Packed packed(x, r);
      for (int64_t i = 0; i < r.results; ++i) {
        const T* row = packed.template as<T>() + i * r.count;
        int64_t best = 0;
        for (int64_t j = 1; j < r.count; ++j)
          if (smallest ? row[j] < row[best] : row[j] > row[best]) best = j;
        value.as<T>()[i] = row[best], index.as<int64_t>()[i] = best;
      }
    }
  });
  return {std::move(value), std::move(index)};
}

}  // namespace

Array2 argmax_forward(const View& x, const Ints& axes, bool keepdims) {
  return arg_extreme("argmax", x, axes, keepdims, false);
}

Array2 argmin_forward(const View& x, const Ints& axes, bool keepdims) {
  return arg_extreme("argmin", x, axes, keepdims, true);
}

}  // namespace nn::cpu
