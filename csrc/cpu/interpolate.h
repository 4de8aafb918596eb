// The tables of resampling: one axis as given, a row's axis as the kernels read it, and which rows make a
// row.
#pragma once
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "../simd/kernels.h"
#include "../view.h"
#include "copy.h"

namespace nn::cpu {

// One axis as given, checked.
template <class T> struct Axis {
  int64_t in = 1, out = 1, taps = 1;  // the most that one output has
  bool same = true;                   // x as it is
  bool single = true;                 // each output one number of x, as it is
  int64_t block = 1;  // each output the sum of so many numbers of x by a weight; 0: no such blocks
  std::vector<int64_t> first = {0, 1}, index = {0};
  std::vector<T> weight = {T(1)};

  Axis() = default;
  static Axis whole(int64_t n) {  // n numbers as they are
    Axis a;
    a.in = a.out = n;
    a.first.resize(size_t(n + 1)), a.index.resize(size_t(n)), a.weight.assign(size_t(n), T(1));
    for (int64_t i = 0; i < n; ++i) a.first[size_t(i + 1)] = i + 1, a.index[size_t(i)] = i;
    return a;
  }
  Axis(const View& x, int64_t length, const View& f, const View& i, const View& w) {
    if (f.dtype != Dtype::i64 || i.dtype != Dtype::i64)
      fail_type("interpolate",
                std::string("tables need int64 places, not ") + name(f.dtype) + " and " + name(i.dtype));
    if (f.ndim != 1 || i.ndim != 1 || w.ndim != 1 || f.shape[0] < 1 || i.shape[0] != w.shape[0])
      fail("interpolate", "a table is (first, index, weight), the last two of equal length",
           {{"first", f}, {"index", i}, {"weight", w}});
    const Dense df(f), di(i), dw(w);
    in = length, out = f.shape[0] - 1, taps = 0, same = in == out;
    block = out > 0 && in % out == 0 && i.shape[0] == in ? in / out : 0;
    const int64_t entries = i.shape[0];
    first.assign(df.as<int64_t>(), df.as<int64_t>() + out + 1);
    index.assign(di.as<int64_t>(), di.as<int64_t>() + entries);
    weight.assign(dw.as<T>(), dw.as<T>() + entries);
    bool fits = first[0] == 0 && first[size_t(out)] == entries;
    for (int64_t o = 0; o < out; ++o) fits &= first[size_t(o)] <= first[size_t(o + 1)];
    for (const int64_t e : index) fits &= e >= 0 && e < in;
    if (!fits) fail("interpolate", "a table's places lie outside x", {{"x", x}, {"first", f}, {"index", i}});
    for (int64_t o = 0; o < out; ++o) {
      const int64_t begin = first[size_t(o)], count = first[size_t(o + 1)] - begin;
      taps = std::max(taps, count);
      single = single && count == 1 && weight[size_t(begin)] == T(1);
      same = same && single && index[size_t(begin)] == o;
      if (begin != o * block) block = 0;
    }
    for (int64_t e = 0; e < entries; ++e)
      if (index[size_t(e)] != e || weight[size_t(e)] != weight[0]) block = 0;
  }
};

// The row's axis as the kernels read it. Entry k of output o is at [k * out + o], -1 where there is none, for
// pixels of `inner` numbers; a few channels are pixels of their own. For single numbers the entries are cut
// by registers: numbers of x that lie within two registers are permuted, those farther apart looked up.
template <class T> struct RowTable {
  static constexpr int kWindows = 4;       // pairs of registers that are faster than a look-up
  int64_t in, out, taps, inner, cost = 0;  // cost: of an output, in additions
  std::vector<int32_t> index, base, lane;
  std::vector<T> weight, lane_weight;
  std::vector<int64_t> first = {0};

  RowTable(const Axis<T>& a, int64_t channels) {
    const int64_t wide = channels < 8 ? channels : 1;
    inner = channels / wide, in = a.in * channels, out = a.out * wide, taps = std::max<int64_t>(1, a.taps);
    index.assign(size_t(taps * out), -1), weight.assign(size_t(taps * out), T(0));
    for (int64_t o = 0; o < a.out; ++o)
      for (int64_t e = a.first[size_t(o)], k = 0; e < a.first[size_t(o + 1)]; ++e, ++k)
        for (int64_t c = 0; c < wide; ++c) {
          const size_t at = size_t(k * out + o * wide + c);
          index[at] = int32_t(a.index[size_t(e)] * wide + c), weight[at] = a.weight[size_t(e)];
        }
    if (inner > 1)
      cost = taps;
    else
      cut();
  }

  void cut() {
    const int lanes = kernels<T>().resample_lanes();
    for (int64_t v = 0; v < out; v += lanes) {
      const int64_t m = std::min<int64_t>(lanes, out - v);
      int64_t low = in, high = -1;
      for (int64_t k = 0; k < taps; ++k)
        for (int64_t i = v; i < v + m; ++i) {
          const int64_t at = index[size_t(k * out + i)];
          if (at >= 0) low = std::min(low, at), high = std::max(high, at);
        }
      for (int64_t k = 0; k < taps; ++k) cut(k * out + v, m, lanes, high - low < 2 * lanes ? low : -1);
      first.push_back(int64_t(base.size()));
    }
    for (const int32_t b : base) cost += b < 0 ? 16 : 2;
    cost = std::max<int64_t>(1, cost / std::max<int64_t>(1, int64_t(first.size()) - 1));
  }
  // One tap of a register: an entry for each window of two registers (or the one that all taps share), or one
  // look-up.
  void cut(int64_t from, int64_t m, int lanes, int64_t shared) {
    const auto begin = index.begin() + from;
    std::vector<int32_t> left(begin, begin + m);
    const size_t entries = base.size();
    for (int windows = 0;; ++windows) {
      int64_t low = in;
      for (const int32_t at : left)
        if (at >= 0) low = std::min<int64_t>(low, at);
      if (low == in) return;
      const bool far = windows == kWindows;
      if (far) {  // instead of the windows so far
        base.resize(entries), lane.resize(entries * size_t(lanes)),
            lane_weight.resize(entries * size_t(lanes));
        left.assign(begin, begin + m), low = 0;
      } else if (shared >= 0) {
        low = shared;
      }
      base.push_back(far ? -1 : int32_t(low));
      for (int i = 0; i < lanes; ++i) {
        const bool here = i < m && left[size_t(i)] >= 0 && (far || left[size_t(i)] < low + 2 * lanes);
        lane.push_back(here ? int32_t(left[size_t(i)] - low) : -1);
        lane_weight.push_back(here ? weight[size_t(from + i)] : T(0));
        if (here) left[size_t(i)] = -1;
      }
    }
  }

  ResampleTable<T> cuts() const {
    return {in, out, first.data(), base.data(), lane.data(), lane_weight.data()};
  }
  void repeat(const T* x, const int64_t* source, int64_t rows, T* y) const {
    kernels<T>().repeat_rows(cuts(), x, source, rows, y);
  }
  // y: `rows` rows side by side; x: as many, a step apart
  void run(const T* x, int64_t step, int64_t rows, T* y) const {
    const T one = 1;
    if (inner == 1) return kernels<T>().resample_rows(cuts(), x, step, rows, y, out);
    for (int64_t r = 0; r < rows; ++r, x += step, y += out * inner)
      kernels<T>().resample_pixels(&x, &one, 1, index.data(), weight.data(), taps, out, inner, y);
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

}  // namespace nn::cpu
