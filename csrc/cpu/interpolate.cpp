// Resampling of images along their spatial axes by sparse weights.
//
//   y[.., o, ..] = sum over e of weight[e] * x[.., index[e], ..],  first[o] <= e < first[o + 1],  for each
//   axis
//
// nearest, linear, cubic and antialiased resampling and means of areas are such tables, and so are their
// gradients (the tables transposed). The axes are separable: a row is resampled along the width (numbers are
// permuted in registers, or whole channels added in channels-last order), and rows are added up along height
// and depth at once, in whichever order is less work; pixels of few taps all at once. What waits between the
// two stays in L1 or L2. Work is split over images, channels and blocks of rows. Bound by bytes.
#include <algorithm>
#include <limits>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "interpolate.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 18;    // additions: some 20 us
constexpr int64_t kScratch = 1 << 14;  // numbers that wait between the row's axis and the others

enum Way { kRowOnly, kColumnOnly, kRowFirst, kColumnFirst, kAtOnce, kRepeat };

struct Run {  // rows of x side by side, resampled into rows from `slot` on
  int64_t row, count, slot;
};

// What all planes share: how each block of rows of y comes from rows of x.
template <class T> struct Job {
  const RowTable<T>& table;
  const RowSums<T>& sums;
  int64_t height_in, step[2], in, out;  // steps of depth and height in numbers; row lengths
  Way way;
  int64_t rows_out, block, slots = 0;
  std::vector<int64_t> place = {};          // of each entry of `sums`: its row in x, or in scratch
  std::vector<std::vector<Run>> runs = {};  // of each block

  int64_t source(int64_t r) const { return r / height_in * step[0] + r % height_in * step[1]; }

  void plan() {
    for (int64_t begin = 0; begin < rows_out; begin += block) {
      const int64_t e = sums.first[size_t(begin)],
                    end = sums.first[size_t(std::min(rows_out, begin + block))];
      if (way == kRowFirst) {
        plan_rows(e, end);
        continue;
      }
      for (int64_t k = e; k < end; ++k) place.push_back(source(sums.row[size_t(k)]));
    }
  }
  // The rows that entries [e, end) read, each once.
  void plan_rows(int64_t e, int64_t end) {
    std::vector<int64_t> used(sums.row.begin() + e, sums.row.begin() + end);
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
    runs.emplace_back();
    for (const int64_t& r : used) {
      std::vector<Run>& v = runs.back();
      const int64_t slot = &r - used.data();
      if (!v.empty() && v.back().row + v.back().count == r && r % height_in != 0)
        ++v.back().count;
      else
        v.push_back({r, 1, slot});
    }
    for (int64_t k = e; k < end; ++k) {
      const auto at = std::lower_bound(used.begin(), used.end(), sums.row[size_t(k)]);
      place.push_back((at - used.begin()) * out);
    }
    slots = std::max(slots, int64_t(used.size()));
  }

  // Block b of one plane: x its first number, y the plane. `from` and scratch are as large as any block
  // needs; known: `from` has been set for this block and scratch.
  void run(const T* x, T* y, int64_t b, const T** from, T* scratch, bool known) const {
    const int64_t begin = b * block, rows = std::min(rows_out, begin + block) - begin;
    y += begin * out;
    if (way == kRepeat) return table.repeat(x, place.data() + begin, rows, y);
    if (way == kRowOnly) {
      for (int64_t r = begin, stop; r < begin + rows; y += (stop - r) * out, r = stop) {
        stop = std::min(begin + rows, (r / height_in + 1) * height_in);
        table.run(x + source(r), step[1], stop - r, y);
      }
      return;
    }
    const int64_t* first = sums.first.data() + begin;
    const T* weight = sums.weight.data() + *first;
    if (way == kRowFirst)
      for (const Run& r : runs[size_t(b)])
        table.run(x + source(r.row), step[1], r.count, scratch + r.slot * out);
    const T* base = way == kRowFirst ? scratch : x;
    if (!known || way != kRowFirst)
      for (int64_t k = *first; k < first[rows]; ++k) from[k - *first] = base + place[size_t(k)];
    if (way == kColumnFirst) {
      kernels<T>().combine_rows(from, first, weight, rows, in, scratch);
      table.run(scratch, in, rows, y);
    } else if (way == kAtOnce) {
      for (int64_t r = 0; r < rows; ++r)
        kernels<T>().resample_pixels(from + (first[r] - *first), weight + (first[r] - *first),
                                     first[r + 1] - first[r], table.index.data(), table.weight.data(),
                                     table.taps, table.out, table.inner, y + r * out);
    } else {
      kernels<T>().combine_rows(from, first, weight, rows, out, y);
    }
  }
};

// Blocks of numbers added up: means of areas by whole factors, gradients of numbers that were repeated.
template <class T> bool add_blocks(const View& x, const Axis<T>* axis, const Laid& from, Array& y) {
  const int64_t high = axis[1].block, wide = axis[2].block, rows = axis[1].out, out = axis[2].out;
  if (axis[0].in * axis[0].out != 1 || !axis[0].same || high == 0 || (wide != 2 && wide != 4)) return false;
  const T scale = axis[1].weight[0] * axis[2].weight[0];
  const int64_t channels = x.shape[1], grain = kGrain / (rows * out * high * wide);
  parallel_for(x.shape[0] * channels, std::max<int64_t>(1, grain), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u)
      kernels<T>().block_rows(
          reinterpret_cast<const T*>(from.p + u / channels * from.n + u % channels * from.c),
          from.step[1] / int64_t(sizeof(T)), rows, high, wide, out, scale, y.as<T>() + u * rows * out);
  });
  return true;
}

template <class T> void resample(const View& x, Axis<T>* axis, bool last, Array& y) {
  if (y.size() == 0) return;
  const Laid from(x, last, last);
  if (!last && add_blocks(x, axis, from, y)) return;
  constexpr int64_t item = sizeof(T);
  int64_t channels = last ? 1 : x.shape[1], step[2] = {from.step[0] / item, from.step[1] / item};
  if (!last && axis[0].same && axis[1].same && axis[0].in * axis[1].in == 1) {  // channels are rows
    axis[1] = Axis<T>::whole(channels), step[1] = from.c / item, channels = 1;
  }
  const int64_t inner = last ? x.shape[1] : 1, planes = x.shape[0] * channels;
  if (axis[2].in * inner > std::numeric_limits<int32_t>::max())
    fail("interpolate", "a row has more than 2^31 numbers", {{"x", x}});
  const RowTable<T> table(axis[2], inner);
  const RowSums<T> sums(axis[0], axis[1]);
  const int64_t rows_in = axis[0].in * axis[1].in, rows_out = axis[0].out * axis[1].out;
  const int64_t in = axis[2].in * inner, out = axis[2].out * inner;
  // additions, and a store and a load of what waits between the two
  const int64_t row_first = out * (rows_in * (table.cost + 1) + rows_out * sums.taps),
                column_first = rows_out * (in * (sums.taps + 1) + out * table.cost),
                at_once = rows_out * out * table.cost * sums.taps;
  Way way = row_first < column_first ? kRowFirst : kColumnFirst;
  if (table.inner > 1 && at_once <= std::min(row_first, column_first)) way = kAtOnce;
  if (axis[2].same) way = kColumnOnly;
  if (axis[0].same && axis[1].same) way = kRowOnly;
  if (table.inner == 1 && axis[0].single && axis[1].single && axis[2].single && !axis[2].same) way = kRepeat;
  const int64_t row_cost = std::max<int64_t>(1, std::min(row_first, column_first) / rows_out);
  const int64_t waiting = way == kColumnFirst ? in : way == kRowFirst ? out : 0;
  const int64_t most = waiting ? std::max(kScratch / waiting, sums.span) : kGrain / row_cost;
  const int64_t block = std::clamp<int64_t>(std::min(most, kGrain / row_cost), 1, rows_out),
                blocks = ceil_div(rows_out, block);
  Job<T> job{table, sums, axis[1].in, {step[0], step[1]}, in, out, way, rows_out, block};
  job.plan();
  const int64_t waits = way == kRowFirst ? job.slots * out : way == kColumnFirst ? block * in : 0;
  parallel_for(planes * blocks, std::max<int64_t>(1, kGrain / (block * row_cost)),
               [&](int64_t begin, int64_t end) {
                 Workspace<const T*> rows(static_cast<size_t>(block * sums.taps + 1));
                 Workspace<T> scratch(static_cast<size_t>(waits));
                 for (int64_t u = begin; u < end; ++u) {
                   const int64_t plane = u / blocks;
                   const char* p = from.p + plane / channels * from.n + plane % channels * from.c;
                   job.run(reinterpret_cast<const T*>(p), y.as<T>() + plane * rows_out * out, u % blocks,
                           rows, scratch, blocks == 1 && u > begin);
                 }
               });
}

}  // namespace

Array interpolate_forward(const View& x, const Views& tables) {
  const Dtype dt = common_dtype("interpolate", {{"x", x}});
  if (x.ndim < 3 || x.ndim > 5 || tables.count != 3 * (x.ndim - 2))
    fail("interpolate",
         "x must have one to three axes behind (N, C), and a table of three arrays for each; got " +
             std::to_string(tables.count) + " arrays",
         {{"x", x}});
  for (int i = 2; i < tables.count; i += 3) common_dtype("interpolate", {{"x", x}, {"weight", tables[i]}});
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
    Array y = pool_output("interpolate", dt, x.ndim, shape, last);
    resample<T>(x, axis, last, y);
    return y;
  });
}

}  // namespace nn::cpu
