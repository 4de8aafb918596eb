// Maximum, minimum and average pooling over one to three axes, and their gradients.
//
//   y[o] = max (sum / divisor) of x[start(o) + t * dilation] over the taps t        per axis, for all axes
//
// An array is seen as rows: of pixels where images lie row by row, of channels where the channels lie side by
// side. The taps of the outer axes make a list of rows for each pooled row (for gradients: of pooled rows for
// each row), and one kernel call takes a block of such lists. Work is split over the rows of the result.
// A winner is the number of its tap, one byte while a window has no more than 256. Bound by bytes.
#include "pool.h"

#include <algorithm>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 16;         // elements read: about 20 us
constexpr int64_t kBlock = 64;              // rows per kernel call where lists are not shared
constexpr int64_t kShared = 1 << 16;        // sources of an image whose lists are made once
constexpr int64_t kSlots = 16, kRun = 256;  // rows of scratch, and results of a row that are made at a time

// What each coordinate of the result meets along one axis: places of the source, and the taps they are.
struct Links {
  struct Link {
    int64_t at, tap;
    double factor;  // 1 / divisor of a pooled coordinate
  };
  std::vector<int> begin;
  std::vector<Link> links;
  int64_t size() const { return int64_t(begin.size()) - 1; }
  int64_t most() const {
    int m = 0;
    for (size_t i = 1; i < begin.size(); ++i) m = std::max(m, begin[i] - begin[i - 1]);
    return m;
  }
};

Links pooled_links(const PoolAxis& a) {
  Links l;
  l.begin = {0};
  for (const PoolWindow& w : a.windows) {
    for (int64_t t = w.first; t < w.last; ++t) l.links.push_back({w.start + t * a.dilation, t, 1});
    l.begin.push_back(int(l.links.size()));
  }
  return l;
}

// The same from the other side. divisor: one per pooled coordinate.
Links unpooled_links(const PoolAxis& a, const std::vector<double>& divisor) {
  Links l;
  l.begin.assign(size_t(a.in) + 1, 0);
  const auto each = [&](auto&& f) {
    for (int64_t o = 0; o < a.out; ++o) {
      const PoolWindow& w = a.windows[size_t(o)];
      for (int64_t t = w.first; t < w.last; ++t) f(size_t(w.start + t * a.dilation), o, t);
    }
  };
  each([&](size_t at, int64_t, int64_t) { ++l.begin[at + 1]; });
  for (size_t i = 1; i < l.begin.size(); ++i) l.begin[i] += l.begin[i - 1];
  l.links.resize(size_t(l.begin.back()));
  std::vector<int> next(l.begin);
  each([&](size_t at, int64_t o, int64_t t) {
    l.links[size_t(next[at]++)] = {o, t, divisor.empty() ? 1 : 1 / divisor[size_t(o)]};
  });
  return l;
}

// How rows lie: up to three outer axes, and the one along the row.
struct Sight {
  bool last;       // channels-last
  int64_t n, c;    // images, and channels that are not in the row
  PoolAxis one;    // of one element: an axis that is not there
  PoolAxis other;  // the channels as an axis
  const PoolAxis *outer[3], *inner;

  Sight(const PoolShape& s, bool last) : last(last), n(s.n), c(last ? 1 : s.c) {
    one.windows = {{0, 0, 1}};
    other.in = other.out = s.c;
    for (int64_t i = 0; last && i < s.c; ++i) other.windows.push_back({i, 0, 1});
    for (int i = 0; i < 3; ++i) outer[i] = last || i < 2 ? &s.axis[i] : &one;
    inner = last ? &other : &s.axis[2];
  }
  Sight(const Sight&) = delete;
};

// The sources of rows, as offsets in elements from their image (channel).
template <class T> struct Lists {
  std::vector<int> begin, tap;
  std::vector<int64_t> offset;
  std::vector<T> scale;
  Lists(int64_t rows, int64_t sources)
      : begin(size_t(rows) + 1),
        tap(size_t(rows * sources)),
        offset(tap.size()),
        scale(std::max(tap.size(), begin.size())) {}
};

struct Job {
  const Sight& sight;
  const Links (&links)[3];
  const Laid& x;
  const Laid* winner;                  // of a gradient by winners: laid out as x is
  const std::vector<double>* divisor;  // of each outer axis, where rows are divided (average, forward)
  bool gradient, wide;

  int64_t rows() const {
    return links[0].size() * links[1].size() * links[2].size();
  }  // of an image (channel)
  int64_t most() const { return links[0].most() * links[1].most() * links[2].most(); }
};

// Fills the lists for rows [from, to) of one image (channel) of the result.
template <class T> void list_rows(const Job& j, int64_t from, int64_t to, Lists<T>& l) {
  const Sight& s = j.sight;
  const int64_t m[3] = {j.links[0].size(), j.links[1].size(), j.links[2].size()};
  const int64_t step[3] = {j.x.step[0] / int64_t(sizeof(T)), j.x.step[1] / int64_t(sizeof(T)),
                           s.last ? j.x.step[2] / int64_t(sizeof(T)) : 0};
  size_t e = 0;
  l.begin[0] = 0;
  for (int64_t row = from; row < to; ++row) {
    const int64_t at[3] = {row / m[2] / m[1], row / m[2] % m[1], row % m[2]};
    const Links::Link *a[3], *end[3];
    for (int i = 0; i < 3; ++i) {
      a[i] = j.links[i].links.data() + j.links[i].begin[size_t(at[i])];
      end[i] = j.links[i].links.data() + j.links[i].begin[size_t(at[i]) + 1];
    }
    for (const auto* u = a[0]; u < end[0]; ++u)
      for (const auto* v = a[1]; v < end[1]; ++v) {
        const int64_t offset = u->at * step[0] + v->at * step[1];
        const int64_t tap = (u->tap * s.outer[1]->kernel + v->tap) * s.outer[2]->kernel;
        for (const auto* w = a[2]; w < end[2]; ++w, ++e) {
          l.offset[e] = offset + w->at * step[2];
          l.tap[e] = int((tap + w->tap) * s.inner->kernel);
          if (j.gradient) l.scale[e] = T(u->factor * v->factor * w->factor);
        }
      }
    l.begin[size_t(row - from) + 1] = int(e);
    if (j.divisor)
      l.scale[size_t(row - from)] =
          T(j.divisor[0][size_t(at[0])] * j.divisor[1][size_t(at[1])] * j.divisor[2][size_t(at[2])]);
  }
}

// Which windows meet the elements of a row, by their place in the stride; for strides of one and two.
template <class T> struct Meetings {
  std::vector<int64_t> shift[2];
  std::vector<T> tap[2];
  int64_t nearest = 0, farthest = 0;

  explicit Meetings(const PoolAxis& a) {
    for (int64_t phase = 0; phase < a.stride; ++phase)
      for (int64_t t = a.kernel - 1; t >= 0; --t) {
        const int64_t away = phase + a.low - t * a.dilation;
        if (away % a.stride) continue;
        shift[phase].push_back(away / a.stride), tap[phase].push_back(T(t));
        nearest = std::min(nearest, away / a.stride), farthest = std::max(farthest, away / a.stride);
      }
  }
  void give(PoolRows<T>& p) const {
    for (int i = 0; i < 2; ++i) p.meets[i] = {int(shift[i].size()), shift[i].data(), tap[i].data()};
    p.nearest = nearest, p.farthest = farthest;
  }
};

// run(first row, PoolRows) for each block of rows of the result; y and y_winner are left to it. The lists of
// one channel serve all; those of whole channels-last images would be long and are made block by block.
template <class T, class F> void each_block(const Job& j, const T* divisor, F&& run) {
  const Sight& s = j.sight;
  const PoolAxis& a = *s.inner;
  const int64_t most = j.most(), rows = j.rows();
  if (most == 0) return;
  const int64_t reach = a.dilation * (a.kernel - 1);
  const int64_t cost = most * (a.in + a.out) + a.out * std::min<int64_t>(a.kernel, 16) + 16;
  const bool shared = rows * most <= kShared;
  const int64_t size = shared ? rows : std::max<int64_t>(1, std::min(kBlock, 8192 / most));
  const bool slotted = !s.last && (a.stride == 1 || a.stride == 2);
  const int64_t slots = std::max(kSlots, 2 * most), length = std::min(kRun, std::max(a.in, a.out));
  const int64_t slot_step = round_up(std::max<int64_t>(1, a.stride) * length + 2 * reach + 5 * 16, 16);
  const Meetings<T> meetings(slotted && j.gradient ? a : PoolAxis());
  Lists<T> all(shared ? rows : 0, most);
  if (shared) list_rows(j, 0, rows, all);
  const int64_t grain = std::max<int64_t>(1, kGrain / cost);
  const int64_t unit = shared && grain > rows ? rows : 1;  // whole planes
  parallel_for(s.n * s.c * rows / unit, grain / unit, [&](int64_t begin, int64_t end) {
    begin *= unit, end *= unit;
    Lists<T> own(shared ? 0 : size, most);
    Lists<T>& l = shared ? all : own;
    Workspace<T> scratch(size_t(slotted ? slots * slot_step : s.last ? 0 : a.in + a.out));
    PoolRows<T> p = {};
    p.slots = int(slots), p.slot_step = slot_step, p.run = length;
    meetings.give(p);
    p.tap = l.tap.data(), p.offset = l.offset.data();
    p.divisor = divisor, p.scratch = scratch, p.wide = j.wide;
    p.in = a.in, p.out = a.out, p.kernel = a.kernel, p.stride = a.stride, p.dilation = a.dilation;
    p.low = a.low, p.windows = a.windows.data();
    p.x_plane = j.x.c / int64_t(sizeof(T)), p.winner_plane = j.winner ? j.winner->c : 0;
    p.y_plane = rows * (j.gradient ? a.in : a.out);
    for (int64_t row = begin; row < end; row += p.rows * p.planes) {
      const int64_t plane = row / rows, from = row % rows, n = plane / s.c, c = plane % s.c;
      p.rows = std::min(std::min(size, end - row), rows - from);
      p.planes = p.rows == rows ? std::min((end - row) / rows, s.c - c) : 1;
      if (!shared) list_rows(j, from, from + p.rows, l), p.planes = 1;
      const int64_t skipped = shared ? from : 0;
      p.begin = l.begin.data() + skipped;
      p.scale = l.scale.data() + (j.gradient ? 0 : skipped);
      p.x = reinterpret_cast<const T*>(j.x.p + n * j.x.n + c * j.x.c);
      if (j.winner)
        p.winner = reinterpret_cast<const uint8_t*>(j.winner->p + n * j.winner->n + c * j.winner->c);
      run(row, p);
    }
  });
}

void result_shape(int64_t* shape, const PoolShape& s, int64_t PoolAxis::* size) {
  shape[0] = s.n, shape[1] = s.c;
  for (int i = 0; i < s.axes; ++i) shape[2 + i] = s.axis[3 - s.axes + i].*size;
}

// Places of the winners of pooled rows [from, from + rows) in their flattened images.
void flat_places(const PoolShape& s, bool last, int64_t from, int64_t rows, const void* winner, bool wide,
                 int64_t* to) {
  const int64_t out[3] = {s.axis[0].out, s.axis[1].out, last ? s.axis[2].out : 1};
  const int64_t width = last ? s.c : s.axis[2].out;
  for (int64_t i = 0; i < rows; ++i) {
    int64_t o[3], rest = from + i;
    for (int a = 2; a >= 0; --a) o[a] = rest % out[a], rest /= out[a];
    for (int64_t k = 0; k < width; ++k) {
      const int64_t at = i * width + k;
      const int64_t tap =
          wide ? static_cast<const int32_t*>(winner)[at] : static_cast<const uint8_t*>(winner)[at];
      to[at] = s.place(tap, o[0], o[1], last ? o[2] : k);
    }
  }
}

enum { kNoIndex, kTaps, kPlaces };

}  // namespace

Array2 max_pool_forward(const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,
                        const Ints& dilation, bool ceil_mode, bool smallest, bool ignore_nan, int64_t index) {
  const std::string name = pool_name(smallest ? "min_pool" : "max_pool", x.ndim);
  const char* op = name.c_str();
  const Dtype dt = common_dtype(op, {{"input", x}});
  const PoolShape s = pool_shape(op, x.ndim, x.shape, {kernel_size, stride, padding, dilation, ceil_mode});
  const bool last = is_channels_last(x), wide = s.taps() > 256;
  int64_t shape[5];
  const int64_t nothing[1] = {0};
  result_shape(shape, s, &PoolAxis::out);
  Array y = pool_output(op, dt, x.ndim, shape, last);
  const Dtype kind = index == kPlaces ? Dtype::i64 : index && wide ? Dtype::i32 : Dtype::u8;
  Array at = index ? pool_output(op, kind, x.ndim, shape, last) : output(op, kind, 1, nothing);
  const Sight sight(s, last);
  const Links links[3] = {pooled_links(*sight.outer[0]), pooled_links(*sight.outer[1]),
                          pooled_links(*sight.outer[2])};
  const Laid from(x, last);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const int64_t width = sight.inner->out;
    each_block<T>(
        Job{sight, links, from, nullptr, nullptr, false, wide}, nullptr, [&](int64_t row, PoolRows<T>& p) {
          p.y = y.as<T>() + row * width;
          if (!index && !ignore_nan) return kernels<T>().pool_extreme(smallest, p);
          if (index == kTaps) p.y_winner = at.as<char>() + row * width * itemsize(kind);
          if (index != kPlaces) return kernels<T>().pool_winner(smallest, ignore_nan, p);
          Workspace<int32_t> taps(size_t(p.rows * p.planes * width));
          p.y_winner = static_cast<int32_t*>(taps);
          kernels<T>().pool_winner(smallest, ignore_nan, p);
          flat_places(s, last, row, p.rows * p.planes, p.y_winner, wide, at.as<int64_t>() + row * width);
        });
  });
  return {std::move(y), std::move(at)};
}

Array max_pool_backward(const View& gy, const View& index, const Ints& input_size, const Ints& kernel_size,
                        const Ints& stride, const Ints& padding, const Ints& dilation) {
  const std::string name = pool_name("max_pool", gy.ndim) + "_backward";
  const char* op = name.c_str();
  if (index.dtype == Dtype::i64) return pool_scatter(op, gy, index, input_size, true);
  const Dtype dt = common_dtype(op, {{"gy", gy}});
  if (gy.ndim < 3 || index.ndim != gy.ndim || !std::equal(gy.shape, gy.shape + gy.ndim, index.shape))
    fail(op, "gy and index must have the same shape (N, C, ...)", {{"gy", gy}, {"index", index}});
  int64_t shape[kMaxDims] = {gy.shape[0], gy.shape[1]};
  if (input_size.count != gy.ndim - 2)
    fail(op, "input_size must have a number per spatial axis", {{"gy", gy}});
  for (int i = 2; i < gy.ndim; ++i) shape[i] = input_size[i - 2];
  const PoolShape s =
      pool_shape(op, gy.ndim, shape, {kernel_size, stride, padding, dilation, false}, gy.shape + 2);
  const bool wide = s.taps() > 256, last = is_channels_last(index);
  if (index.dtype != (wide ? Dtype::i32 : Dtype::u8))
    fail_type(op,
              std::string("index must be ") + (wide ? "int32" : "uint8") + ", not " + nn::name(index.dtype));
  Array gx = pool_output(op, dt, gy.ndim, shape, last);
  const Sight sight(s, last);
  const Links links[3] = {unpooled_links(*sight.outer[0], {}), unpooled_links(*sight.outer[1], {}),
                          unpooled_links(*sight.outer[2], {})};
  const Laid from(gy, last, true), marks(index, last, true);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    each_block<T>(Job{sight, links, from, &marks, nullptr, true, wide}, nullptr,
                  [&](int64_t row, PoolRows<T>& p) {
                    p.y = gx.as<T>() + row * sight.inner->in;
                    kernels<T>().pool_winner_grad(p);
                  });
  });
  return gx;
}

namespace {

// What the windows of an axis divide by; with padding, those taps that lie in it count too.
std::vector<double> divisors(const PoolAxis& a, bool with_padding, bool overridden) {
  std::vector<double> d;
  for (const PoolWindow& w : a.windows) {
    int64_t count = w.last - w.first;
    if (with_padding) count = std::min(a.kernel, (a.in + a.high - w.start + a.dilation - 1) / a.dilation);
    d.push_back(overridden ? 1 : double(count));
  }
  return d;
}

}  // namespace

Array avg_pool_forward(const View& x, const Ints& kernel_size, const Ints& stride, const Ints& padding,
                       const Ints& dilation, bool ceil_mode, bool count_include_pad, int64_t divisor) {
  const std::string name = pool_name("avg_pool", x.ndim);
  const char* op = name.c_str();
  const Dtype dt = common_dtype(op, {{"input", x}});
  const PoolShape s = pool_shape(op, x.ndim, x.shape, {kernel_size, stride, padding, dilation, ceil_mode});
  const bool last = is_channels_last(x), count_all = count_include_pad && stride.count;
  int64_t shape[5];
  result_shape(shape, s, &PoolAxis::out);
  Array y = pool_output(op, dt, x.ndim, shape, last);
  const Sight sight(s, last);
  Links links[3];
  std::vector<double> rows[3];
  for (int i = 0; i < 3; ++i) {
    links[i] = pooled_links(*sight.outer[i]);
    rows[i] = divisors(*sight.outer[i], count_all, divisor != 0);
  }
  if (divisor)
    for (double& d : rows[0]) d = double(divisor);
  const Laid from(x, last);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    const std::vector<double> d = divisors(*sight.inner, count_all, divisor != 0);
    const std::vector<T> within(d.begin(), d.end());
    each_block<T>(Job{sight, links, from, nullptr, rows, false, false}, last ? nullptr : within.data(),
                  [&](int64_t row, PoolRows<T>& p) {
                    p.y = y.as<T>() + row * sight.inner->out;
                    kernels<T>().pool_average(p);
                  });
  });
  return y;
}

Array avg_pool_backward(const View& gy, const Ints& input_size, const Ints& kernel_size, const Ints& stride,
                        const Ints& padding, const Ints& dilation, bool count_include_pad, int64_t divisor) {
  const std::string name = pool_name("avg_pool", gy.ndim) + "_backward";
  const char* op = name.c_str();
  const Dtype dt = common_dtype(op, {{"gy", gy}});
  if (gy.ndim < 3 || input_size.count != gy.ndim - 2)
    fail(op, "input_size must have a number per spatial axis", {{"gy", gy}});
  int64_t shape[kMaxDims] = {gy.shape[0], gy.shape[1]};
  for (int i = 2; i < gy.ndim; ++i) shape[i] = input_size[i - 2];
  const PoolShape s =
      pool_shape(op, gy.ndim, shape, {kernel_size, stride, padding, dilation, false}, gy.shape + 2);
  const bool last = is_channels_last(gy), count_all = count_include_pad && stride.count;
  Array gx = pool_output(op, dt, gy.ndim, shape, last);
  const Sight sight(s, last);
  Links links[3];
  for (int i = 0; i < 3; ++i) {
    std::vector<double> d = divisors(*sight.outer[i], count_all, divisor != 0);
    if (divisor && i == 0)
      for (double& v : d) v = double(divisor);
    links[i] = unpooled_links(*sight.outer[i], d);
  }
  const Laid from(gy, last);
  dispatch(dt, [&](auto t) {
    using T = decltype(t);
    std::vector<T> within;
    for (double d : divisors(*sight.inner, count_all, divisor != 0)) within.push_back(T(1 / d));
    each_block<T>(Job{sight, links, from, nullptr, nullptr, true, false}, last ? nullptr : within.data(),
                  [&](int64_t row, PoolRows<T>& p) {
                    p.y = gx.as<T>() + row * sight.inner->in;
                    kernels<T>().pool_average_grad(p);
                  });
  });
  return gx;
}

}  // namespace nn::cpu
