// Resampling of images along their spatial axes by sparse weights.
//
//   y[.., o, ..] = sum over e of weight[e] * x[.., index[e], ..],  first[o] <= e < first[o + 1],  for each
//   axis
//
// nearest, linear, cubic and antialiased resampling are such tables, and so are their gradients (the tables
// transposed). The axes are separable: a row is resampled along the width (numbers looked up in a register's
// worth of places, or whole channels in channels-last order), and rows are added up along height and depth at
// once, in whichever order is less work. Rows already resampled wait in a ring that stays in L1 or L2. Work
// is split over images, channels and blocks of rows. Bound by bytes, the width of NCHW by the look-ups.
#include <algorithm>
#include <limits>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr const char* kOp = "interpolate";
constexpr int64_t kGrain = 1 << 15;  // numbers looked up or added: some 20 us

// One axis as given, checked.
template <class T> struct Axis {
  int64_t in = 1, out = 1, taps = 1;  // the most that one output has
  bool same = true;                   // x as it is
  std::vector<int64_t> first = {0, 1}, index = {0};
  std::vector<T> weight = {T(1)};

  Axis() = default;
  Axis(const View& x, int64_t length, const View& f, const View& i, const View& w) {
    if (f.dtype != Dtype::i64 || i.dtype != Dtype::i64)
      fail_type(kOp, std::string("tables need int64 places, not ") + name(f.dtype) + " and " + name(i.dtype));
    if (f.ndim != 1 || i.ndim != 1 || w.ndim != 1 || f.shape[0] < 1 || i.shape[0] != w.shape[0])
      fail(kOp, "a table is (first, index, weight), the last two of equal length",
           {{"first", f}, {"index", i}, {"weight", w}});
    const Dense df(f), di(i), dw(w);
    in = length, out = f.shape[0] - 1, taps = 0, same = in == out;
    const int64_t entries = i.shape[0];
    first.assign(df.as<int64_t>(), df.as<int64_t>() + out + 1);
    index.assign(di.as<int64_t>(), di.as<int64_t>() + entries);
    weight.assign(dw.as<T>(), dw.as<T>() + entries);
    bool fits = first[0] == 0 && first[size_t(out)] == entries;
    for (int64_t o = 0; o < out; ++o) fits &= first[size_t(o)] <= first[size_t(o + 1)];
    for (const int64_t e : index) fits &= e >= 0 && e < in;
    if (!fits) fail(kOp, "a table's places lie outside x", {{"x", x}, {"first", f}, {"index", i}});
    for (int64_t o = 0; o < out; ++o) {
      const int64_t begin = first[size_t(o)], count = first[size_t(o + 1)] - begin;
      taps = std::max(taps, count);
      same = same && count == 1 && index[size_t(begin)] == o && weight[size_t(begin)] == T(1);
    }
  }
};

// The row's axis as resample_row reads it: entry k of output o at [k * out + o], -1 where there is none. A
// few channels are pixels of their own.
template <class T> struct RowTable {
  int64_t out, taps, inner;  // inner: of resample_pixels; 1: resample_row
  std::vector<int32_t> index;
  std::vector<T> weight;

  RowTable(const Axis<T>& a, int64_t channels) {
    const int64_t wide = channels < 8 ? channels : 1;
    inner = channels / wide, out = a.out * wide, taps = std::max<int64_t>(1, a.taps);
    index.assign(size_t(taps * out), -1), weight.assign(size_t(taps * out), T(0));
    for (int64_t o = 0; o < a.out; ++o)
      for (int64_t e = a.first[size_t(o)], k = 0; e < a.first[size_t(o + 1)]; ++e, ++k)
        for (int64_t c = 0; c < wide; ++c) {
          const size_t at = size_t(k * out + o * wide + c);
          index[at] = int32_t(a.index[size_t(e)] * wide + c), weight[at] = a.weight[size_t(e)];
        }
  }
  void run(const T* x, T* y) const {
    if (inner == 1) return kernels<T>().resample_row(x, index.data(), weight.data(), taps, out, y);
    kernels<T>().resample_pixels(x, index.data(), weight.data(), taps, out, inner, y);
  }
};

// Rows of x by number, those that make each row of y: the product of depth's table and height's.
template <class T> struct RowSums {
  std::vector<int64_t> first = {0}, row;
  std::vector<T> weight;
  int64_t taps = 0, span = 1;  // span: rows between the first and the last of one output, both included

  RowSums(const Axis<T>& depth, const Axis<T>& height) {
    for (int64_t d = 0; d < depth.out; ++d)
      for (int64_t h = 0; h < height.out; ++h) {
        int64_t low = std::numeric_limits<int64_t>::max(), high = 0;
        for (int64_t i = depth.first[size_t(d)]; i < depth.first[size_t(d + 1)]; ++i)
          for (int64_t j = height.first[size_t(h)]; j < height.first[size_t(h + 1)]; ++j) {
            const int64_t r = depth.index[size_t(i)] * height.in + height.index[size_t(j)];
            row.push_back(r), weight.push_back(depth.weight[size_t(i)] * height.weight[size_t(j)]);
            low = std::min(low, r), high = std::max(high, r);
          }
        taps = std::max(taps, int64_t(row.size()) - first.back());
        if (int64_t(row.size()) > first.back()) span = std::max(span, high - low + 1);
        first.push_back(int64_t(row.size()));
      }
  }
};

template <class T> struct Job {
  const Axis<T>& width;
  const RowTable<T>& table;
  const RowSums<T>& sums;
  int64_t rows_out, height_in, step[2], in, out;  // steps of depth and height in numbers; row lengths
  bool rows_same, along_first;

  const T* source(const T* x, int64_t r) const {
    return x + r / height_in * step[0] + r % height_in * step[1];
  }

  // Rows [begin, end) of one plane: x its first number, y the plane.
  void run(const T* x, T* y, int64_t begin, int64_t end) const {
    const bool ring = !rows_same && !width.same && along_first;
    const bool buffer = !rows_same && !width.same && !along_first;
    Workspace<T> scratch(size_t(ring ? sums.span * out : buffer ? in : 0));
    Workspace<const T*> from(size_t(sums.taps + 1));
    std::vector<int64_t> held(size_t(ring ? sums.span : 0), -1);
    for (int64_t o = begin; o < end; ++o) {
      T* to = y + o * out;
      if (rows_same) {
        table.run(source(x, o), to);
        continue;
      }
      const int64_t first = sums.first[size_t(o)], count = sums.first[size_t(o + 1)] - first;
      for (int64_t k = 0; k < count; ++k) {
        const int64_t r = sums.row[size_t(first + k)];
        from[k] = source(x, r);
        if (!ring) continue;
        T* slot = scratch + r % sums.span * out;
        if (held[size_t(r % sums.span)] != r) table.run(from[k], slot), held[size_t(r % sums.span)] = r;
        from[k] = slot;
      }
      const T* weight = sums.weight.data() + first;
      if (!buffer) {
        kernels<T>().combine_rows(from, weight, count, out, to);
      } else if (count == 1 && weight[0] == T(1)) {
        table.run(from[0], to);
      } else {
        kernels<T>().combine_rows(from, weight, count, in, scratch);
        table.run(scratch, to);
      }
    }
  }
};

template <class T> void resample(const View& x, const Axis<T>* axis, bool last, Array& y) {
  const int64_t channels = x.shape[1], inner = last ? channels : 1,
                planes = x.shape[0] * (last ? 1 : channels);
  if (y.size() == 0) return;
  if (axis[2].in * inner > std::numeric_limits<int32_t>::max())
    fail(kOp, "a row has more than 2^31 numbers", {{"x", x}});
  const Laid from(x, last, last);
  const RowTable<T> table(axis[2], inner);
  const RowSums<T> sums(axis[0], axis[1]);
  constexpr int64_t item = sizeof(T);
  const int64_t rows_in = axis[0].in * axis[1].in, rows_out = axis[0].out * axis[1].out;
  const int64_t look = inner == 1 ? 3 * axis[2].taps : axis[2].taps;  // a look-up costs some three additions
  const int64_t in = axis[2].in * inner, out = axis[2].out * inner;
  const int64_t along_first = out * (rows_in * look + rows_out * sums.taps),
                across_first = rows_out * (in * sums.taps + out * look);
  const Job<T> job{axis[2],
                   table,
                   sums,
                   rows_out,
                   axis[1].in,
                   {from.step[0] / item, from.step[1] / item},
                   in,
                   out,
                   axis[0].same && axis[1].same,
                   along_first <= across_first};
  const int64_t row_cost = std::max<int64_t>(1, std::min(along_first, across_first) / rows_out);
  const int64_t block = std::clamp<int64_t>(kGrain / row_cost, 1, rows_out),
                blocks = (rows_out + block - 1) / block;
  parallel_for(
      planes * blocks, std::max<int64_t>(1, kGrain / (block * row_cost)), [&](int64_t begin, int64_t end) {
        while (begin < end) {
          const int64_t plane = begin / blocks, b = begin % blocks;
          const int64_t many = std::min(end - begin, blocks - b);
          const int64_t n = last ? plane : plane / channels, c = last ? 0 : plane % channels;
          job.run(reinterpret_cast<const T*>(from.p + n * from.n + c * from.c),
                  y.as<T>() + plane * rows_out * out, b * block, std::min(rows_out, (b + many) * block));
          begin += many;
        }
      });
}

}  // namespace

Array interpolate_forward(const View& x, const Views& tables) {
  const Dtype dt = common_dtype(kOp, {{"x", x}});
  if (x.ndim < 3 || x.ndim > 5 || tables.count != 3 * (x.ndim - 2))
    fail(kOp,
         "x must have one to three axes behind (N, C), and a table of three arrays for each; got " +
             std::to_string(tables.count) + " arrays",
         {{"x", x}});
  for (int i = 2; i < tables.count; i += 3) common_dtype(kOp, {{"x", x}, {"weight", tables[i]}});
  return dispatch(dt, [&](auto t) {
    using T = decltype(t);
    Axis<T> axis[3];
    int64_t shape[5] = {x.shape[0], x.shape[1]};
    for (int i = 2; i < x.ndim; ++i) {
      const int at = 3 * (i - 2);
      Axis<T>& a = axis[5 - x.ndim + i - 2];
      a = Axis<T>(x, x.shape[i], tables[at], tables[at + 1], tables[at + 2]);
      shape[i] = a.out;
    }
    const bool last = is_channels_last(x);
    Array y = pool_output(kOp, dt, x.ndim, shape, last);
    resample<T>(x, axis, last, y);
    return y;
  });
}

}  // namespace nn::cpu
