// The gradient of padding: for each row of x, the rows of y that map to it are added, in order.
//
// Work is split over rows of x. Bound by bytes.
#include <algorithm>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "pad.h"

namespace nn::cpu {
namespace {

// Which of y's places map to each of x's, in order.
struct Sources {
  std::vector<int64_t> first, place;
  explicit Sources(const PadAxis& a) : first(size_t(a.in) + 1), place(size_t(a.out)) {
    for (const int64_t i : a.map) ++first[size_t(i) + 1];
    for (int64_t i = 0; i < a.in; ++i) first[size_t(i + 1)] += first[size_t(i)];
    std::vector<int64_t> next = first;
    for (int64_t o = 0; o < a.out; ++o) place[size_t(next[size_t(a.map[size_t(o)])]++)] = o;
  }
};

template <class T> struct PadGrad {
  const PadShape& s;
  const PadRows& gy;
  std::vector<Sources> sources;  // of the axes before the row

  void add_ends(const PadAxis& a, const PadMiddle& m, const T* g, T* gx) const {
    const auto add = [&](int64_t o) {
      const int64_t i = a.map[size_t(o)];
      if (s.inner == 1)
        gx[i] += g[o];
      else
        kernels<T>().add_to(g + o * s.inner, gx + i * s.inner, s.inner);
    };
    for (int64_t o = 0; o < m.begin; ++o) add(o);
    for (int64_t o = m.end; o < a.out; ++o) add(o);
  }
  void add_row(const T* g, T* gx, bool& fresh) const {
    const PadAxis& a = s.axis[s.row];
    const PadMiddle m(a);
    const int64_t low = (m.begin - a.low) * s.inner, n = (m.end - m.begin) * s.inner;
    if (fresh && n == 0) {
      std::fill_n(gx, a.in * s.inner, T(0));
    } else if (fresh) {
      std::fill_n(gx, low, T(0));
      kernels<T>().copy_rows(g + m.begin * s.inner, 0, nullptr, gx + low, 0, 1, n);
      std::fill_n(gx + low + n, a.in * s.inner - low - n, T(0));
    } else {
      kernels<T>().add_to(g + m.begin * s.inner, gx + low, n);
    }
    fresh = false;
    add_ends(a, m, g, gx);
  }
  // Rows of gx from `at` on, at most `left` of a plane, that one row of gy maps to each, side by side as
  // well: done at once. Returns their number.
  int64_t add_rows(const int64_t* at, int64_t left, T* gx) const {
    const PadAxis& a = s.axis[s.row];
    const PadMiddle m(a);
    if (s.row == 0 || m.end - m.begin != a.in) return 0;
    const char* g = gy.p;
    const auto count = [&](int i, int64_t place) {
      return sources[size_t(i)].first[size_t(place + 1)] - sources[size_t(i)].first[size_t(place)];
    };
    const auto source = [&](int i, int64_t place) {
      return sources[size_t(i)].place[size_t(sources[size_t(i)].first[size_t(place)])];
    };
    for (int i = 0; i < s.row; ++i) {
      if (count(i, at[i]) != 1) return 0;
      g += source(i, at[i]) * gy.step(i);
    }
    const int b = s.row - 1;
    int64_t rows = 1;
    left = std::min(left, s.axis[b].in - at[b]);
    while (rows < left && count(b, at[b] + rows) == 1 && source(b, at[b] + rows) == source(b, at[b]) + rows)
      ++rows;
    const T* from = reinterpret_cast<const T*>(g);
    const int64_t n = a.in * s.inner, step = gy.step(b) / int64_t(sizeof(T));
    kernels<T>().copy_rows(from + m.begin * s.inner, step, nullptr, gx, n, rows, n);
    for (int64_t r = 0; r < rows; ++r) add_ends(a, m, from + r * step, gx + r * n);
    return rows;
  }
  // All rows of gy whose places map to `at`, axis by axis; fresh: gx holds nothing yet.
  void collect(int axis, const int64_t* at, const char* g, T* gx, bool& fresh) const {
    if (axis == s.row) return add_row(reinterpret_cast<const T*>(g), gx, fresh);
    const Sources& from = sources[size_t(axis)];
    for (int64_t e = from.first[size_t(at[axis])]; e < from.first[size_t(at[axis] + 1)]; ++e)
      collect(axis + 1, at, g + from.place[size_t(e)] * gy.step(axis), gx, fresh);
  }
};

}  // namespace

Array pad_backward(const View& gy, const Ints& input_size, const Ints& pads, int64_t mode) {
  const Dtype dt = common_dtype("pad_backward", {{"gy", gy}});
  if (gy.ndim != input_size.count || gy.ndim == 0 || mode == kConstant)
    fail("pad_backward", "input_size must have a length for each dim of gy, and mode be 1 to 3",
         {{"gy", gy}});
  for (int d = 0; d < gy.ndim; ++d)
    if (input_size[d] < 0) fail("pad_backward", "input_size must not be negative", {{"gy", gy}});
  const PadShape s = pad_shape(gy, input_size.items, pads, mode);
  if (!std::equal(s.shape, s.shape + s.ndim, gy.shape))
    fail("pad_backward", "gy must have the shape of the padded array", {{"gy", gy}});
  Array gx = pad_output(dt, s, input_size.items);
  if (gx.size() == 0) return gx;
  const PadRows from(gy, s);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    PadGrad<T> job{s, from, {}};
    int64_t rows = 1;
    for (int i = 0; i < s.row; ++i) job.sources.emplace_back(s.axis[i]), rows *= s.axis[i].in;
    const int64_t n = s.axis[s.row].in * s.inner;
    parallel_for(rows, std::max<int64_t>(1, kPadGrain / (n * int64_t(sizeof(T)))),
                 [&](int64_t begin, int64_t end) {
                   int64_t at[kMaxDims], rest = begin;
                   for (int i = s.row - 1; i >= 0; --i) at[i] = rest % s.axis[i].in, rest /= s.axis[i].in;
                   for (int64_t r = begin, done; r < end; r += done) {
                     T* to = gx.as<T>() + r * n;
                     done = gy.size() > 0 ? job.add_rows(at, end - r, to) : 0;
                     if (done == 0) {
                       bool fresh = true;
                       if (gy.size() > 0) job.collect(0, at, from.p, to, fresh);
                       if (fresh) std::fill_n(to, n, T(0));
                       done = 1;
                     }
                     if (s.row > 0) at[s.row - 1] += done;
                     for (int i = s.row - 1; i > 0 && at[i] == s.axis[i].in; --i) at[i] = 0, ++at[i - 1];
                   }
                 });
  });
  return gx;
}

}  // namespace nn::cpu
