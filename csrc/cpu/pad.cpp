// Surrounding (and cropping) an array: by a number, its reflection, its edge, or its other end.
//
//   y[.., o, ..] = x[.., map(o), ..] for each padded axis; where constant padding maps to nothing, the number
//
// Axes are taken in memory's order, so that an image in channels-last order stays one. A row is the last
// padded axis with all behind it: the middles of a plane's rows are copied, then their ends go by the map.
// Work is split over rows. Bound by bytes. Any dtype. The gradient: pad_grad.cpp.
#include <algorithm>
#include <cstring>
#include <vector>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"
#include "pad.h"
#include "pool.h"

namespace nn::cpu {
namespace {

constexpr int64_t kRowBytes =
    1 << 10;  // of rows copied before their ends: few enough to be still on their way
constexpr const char* kModes[] = {"constant", "reflect", "replicate", "circular"};

PadAxis pad_axis(int mode, int64_t n, int64_t low, int64_t high) {
  PadAxis a{n, n + low + high, low};
  a.map.resize(size_t(a.out));
  const int64_t start = std::max<int64_t>(0, -low), length = n - start - std::max<int64_t>(0, -high);
  for (int64_t o = 0; o < a.out; ++o) {
    int64_t i = o - low;
    if (i < 0 || i >= n) {
      if (mode == kConstant) i = -1, a.full = false;
      if (mode == kReflect) i = i < 0 ? -i : 2 * (n - 1) - i;
      if (mode == kReplicate) i = i < 0 ? 0 : n - 1;
      if (mode == kCircular) i = start + ((i - start) % length + length) % length;  // what is cropped is gone
    }
    a.map[size_t(o)] = i;
  }
  return a;
}

void check_axis(const View& x, int mode, int d, int64_t n, int64_t low, int64_t high) {
  int64_t out;
  const std::string pair = "(" + std::to_string(low) + ", " + std::to_string(high) + ")";
  if (__builtin_add_overflow(n, low, &out) || __builtin_add_overflow(out, high, &out) || out < 0)
    fail("pad", "padding by " + pair + " leaves no valid length along dim " + std::to_string(d), {{"x", x}});
  const int64_t most = std::max(low, high);
  if (most <= 0 || mode == kConstant) return;
  const std::string limit = mode == kReflect ? "below" : "at most";
  if (n == 0 || (mode == kReflect && most >= n) || (mode == kCircular && most > n) ||
      (mode == kCircular && n + std::min<int64_t>(0, low) + std::min<int64_t>(0, high) <= 0))
    fail("pad",
         std::string(kModes[mode]) + " padding by " + pair + " must be " + limit + " the length " +
             std::to_string(n) + " of dim " + std::to_string(d),
         {{"x", x}});
}

// The axis and the few numbers behind each of its places as one.
void widen(PadAxis& a, int64_t& inner) {
  std::vector<int64_t> map;
  for (const int64_t i : a.map)
    for (int64_t c = 0; c < inner; ++c) map.push_back(i < 0 ? -1 : i * inner + c);
  a = {a.in * inner, a.out * inner, a.low * inner, a.full, std::move(map)};
  inner = 1;
}

}  // namespace

PadShape pad_shape(const View& like, const int64_t* size, const Ints& pads, int64_t mode) {
  const int ndim = like.ndim;
  if (mode < kConstant || mode > kCircular) fail("pad", "mode must be 0 to 3", {{"x", like}});
  if (pads.count % 2 || pads.count > 2 * ndim)
    fail("pad",
         "pad needs (before, after) for at most each dimension, got " + std::to_string(pads.count) +
             " numbers",
         {{"x", like}});
  PadShape s;
  s.ndim = ndim;
  const bool last = ndim >= 4 && ndim <= 5 && is_channels_last(like);
  for (int i = 0; i < ndim; ++i) s.order[i] = last && i > 0 ? (i == ndim - 1 ? 1 : i + 1) : i;
  for (int i = 0; i < ndim; ++i) {
    const int d = s.order[i], at = 2 * (ndim - 1 - d);
    const int64_t low = at < pads.count ? pads[at] : 0, high = at < pads.count ? pads[at + 1] : 0;
    check_axis(like, int(mode), d, size[d], low, high);
    s.axis[i] = pad_axis(int(mode), size[d], low, high);
    s.shape[d] = s.axis[i].out;
    if (low || high) s.row = i;
  }
  for (int i = s.row + 1; i < ndim; ++i) s.inner *= s.axis[i].in;
  if (s.inner != 1 && s.inner < 16) widen(s.axis[s.row], s.inner);
  for (int i = 0; i < s.row; ++i) s.outer *= s.axis[i].out;
  return s;
}

Array pad_output(Dtype dtype, const PadShape& s, const int64_t* shape) {
  Array y = output("pad", dtype, s.ndim, shape);
  int64_t step = itemsize(dtype);
  for (int i = s.ndim - 1; i >= 0; --i) y.strides[s.order[i]] = step, step *= shape[s.order[i]];
  return y;
}

PadRows::PadRows(const View& v, const PadShape& s) {
  int64_t shape[kMaxDims], dense = itemsize(v.dtype);
  for (int i = 0; i < s.ndim; ++i) shape[i] = v.shape[s.order[i]], strides_[i] = v.strides[s.order[i]];
  bool here = true;
  for (int i = s.ndim - 1; i >= s.row; --i) {
    here &= shape[i] == 1 || strides_[i] == dense;
    dense *= shape[i];
  }
  p = v.as<char>();
  if (here || s.ndim == 0) return;
  const View turned{v.data, v.dtype, false, false, s.ndim, shape, strides_};
  int64_t packed[kMaxDims], step = itemsize(v.dtype);
  for (int i = s.ndim - 1; i >= 0; --i) packed[i] = step, step *= shape[i];
  block_ = allocate(size_t(v.bytes()));
  copy(turned, View{block_, v.dtype, true, false, s.ndim, shape, packed});
  std::copy(packed, packed + s.ndim, strides_);
  p = static_cast<char*>(block_);
}

namespace {

template <class U>
inline void pad_ends(const PadAxis& a, const PadMiddle& m, int64_t inner, const U* x, U value, U* y) {
  const int64_t* map = a.map.data();
  const auto place = [=](int64_t o) {
    const int64_t i = map[o];
    if (inner == 1)
      y[o] = i < 0 ? value : x[i];
    else if (i < 0)
      std::fill_n(y + o * inner, inner, value);
    else
      copy_rows(x + i * inner, 0, nullptr, y + o * inner, 0, 1, inner);
  };
  for (int64_t o = 0; o < m.begin; ++o) place(o);
  for (int64_t o = m.end; o < a.out; ++o) place(o);
}

// Numbers of 4 and 8 bytes move through registers of float and double, all bits kept.
template <class U> struct Carrier;
template <> struct Carrier<uint32_t> {
  typedef float type;
};
template <> struct Carrier<uint64_t> {
  typedef double type;
};

// Rows whose ends a register covers: places for surround_rows.
template <class U> struct Ends {
  const PadAxis& a;
  std::vector<int32_t> head, tail;
  bool fit = false;

  explicit Ends(const PadAxis& axis, int64_t inner) : a(axis) {
    if constexpr (sizeof(U) >= 4) {
      const int64_t w = kernels<typename Carrier<U>::type>().resample_lanes(), high = a.out - a.low - a.in;
      fit = inner == 1 && a.in > 0 && std::min(a.low, high) >= 0 && std::max(a.low, high) <= w &&
            (a.in >= w || a.out <= 2 * w) && places(0, w, head) &&
            places(std::max<int64_t>(0, a.out - w), w, tail);
    }
  }
  bool places(int64_t begin, int64_t w, std::vector<int32_t>& found) const {
    const int64_t last = std::max<int64_t>(0, a.in - w);
    found.assign(size_t(w), -1);
    for (int64_t o = begin; o < std::min(a.out, begin + w); ++o) {
      const int64_t i = a.map[size_t(o)];
      if (i >= w && i < last) return false;
      found[size_t(o - begin)] = int32_t(i < w ? i : w + i - last);
    }
    return true;
  }
};

// `rows` rows of y side by side: those of x `step` apart, or those that `at` says.
template <class U> void pad_middle(const Ends<U>& ends, int64_t inner, const U* x, int64_t step,
                                   const int64_t* at, int64_t rows, U value, U* y) {
  const PadAxis& a = ends.a;
  if constexpr (sizeof(U) >= 4)
    if (ends.fit) {
      using T = typename Carrier<U>::type;
      Surround<T> p{a.in, a.out, a.low, ends.head.data(), ends.tail.data(), T(0)};
      memcpy(&p.value, &value, sizeof value);
      return kernels<T>().surround_rows(p, reinterpret_cast<const T*>(x), step, at, reinterpret_cast<T*>(y),
                                        rows);
    }
  const PadMiddle m(a);
  const int64_t n = a.out * inner;
  const bool whole = m.begin == 0 && m.end == a.out;
  const int64_t some = whole ? rows : std::max<int64_t>(1, kRowBytes / (n * int64_t(sizeof(U))));
  for (int64_t done = 0; done < rows; done += some) {
    const int64_t count = std::min(some, rows - done);
    const U* from = at ? x : x + done * step;
    copy_rows(from + (m.begin - a.low) * inner, step, at ? at + done : nullptr, y + m.begin * inner, n, count,
              (m.end - m.begin) * inner);
    for (int64_t r = 0; r < count; ++r, y += n)
      pad_ends(a, m, inner, from + (at ? at[done + r] : r) * step, value, y);
  }
}

// The number as it lies in memory.
template <class U> U bits(Dtype dtype, double value) {
  U u{};
  const auto put = [&](auto v) { memcpy(&u, &v, std::min(sizeof u, sizeof v)); };
  switch (dtype) {
    case Dtype::f32:
      put(float(value));
      break;
    case Dtype::f64:
      put(value);
      break;
    case Dtype::i32:
      put(int32_t(value));
      break;
    case Dtype::i64:
      put(int64_t(value));
      break;
    case Dtype::u8:
      put(uint8_t(value));
      break;
    case Dtype::b8:
      put(uint8_t(value != 0));
      break;
  }
  return u;
}

// Rows [begin, end) of axis `b`, with the row's axis behind it: of x they lie `step` apart.
template <class U> void pad_plane(const PadAxis& b, const Ends<U>& a, int64_t inner, const U* x, int64_t step,
                                  int64_t begin, int64_t end, U value, U* y) {
  const int64_t n = a.a.out * inner;
  if (b.full) return pad_middle(a, inner, x, step, b.map.data() + begin, end - begin, value, y);
  const PadMiddle m(b);
  const int64_t low = std::clamp(m.begin, begin, end), high = std::clamp(m.end, low, end);
  std::fill_n(y, (low - begin) * n, value);
  pad_middle<U>(a, inner, x + (low - b.low) * step, step, nullptr, high - low, value, y + (low - begin) * n);
  std::fill_n(y + (high - begin) * n, (end - high) * n, value);
}

template <class U> void pad_rows(const PadShape& s, const PadRows& x, U value, U* y) {
  const PadAxis &a = s.axis[s.row], one = pad_axis(kConstant, 1, 0, 0), &b = s.row ? s.axis[s.row - 1] : one;
  const Ends<U> ends(a, s.inner);
  const int64_t n = a.out * s.inner, step = s.row ? x.step(s.row - 1) / int64_t(sizeof(U)) : 0;
  parallel_for(s.outer, std::max<int64_t>(1, kPadGrain / (n * int64_t(sizeof(U)))),
               [&](int64_t begin, int64_t end) {
                 for (int64_t r = begin, next; r < end; r = next) {
                   next = std::min(end, (r / b.out + 1) * b.out);
                   const char* from = x.p;
                   bool outside = false;
                   int64_t rest = r / b.out;
                   for (int i = s.row - 2; i >= 0; --i) {
                     const int64_t place = s.axis[i].map[size_t(rest % s.axis[i].out)];
                     rest /= s.axis[i].out, outside |= place < 0, from += place * x.step(i);
                   }
                   if (outside)
                     std::fill_n(y + r * n, (next - r) * n, value);
                   else
                     pad_plane<U>(b, ends, s.inner, reinterpret_cast<const U*>(from), step, r % b.out,
                                  r % b.out + next - r, value, y + r * n);
                 }
               });
}

}  // namespace

Array pad_forward(const View& x, const Ints& pads, int64_t mode, double value) {
  const PadShape s = pad_shape(x, x.shape, pads, mode);
  Array y = pad_output(x.dtype, s, s.shape);
  if (y.size() == 0) return y;
  if (x.ndim == 0) {
    copy(x, y.view());
    return y;
  }
  const PadRows from(x, s);
  const auto rows = [&](auto u) {
    using U = decltype(u);
    pad_rows<U>(s, from, bits<U>(x.dtype, value), y.as<U>());
  };
  if (itemsize(x.dtype) == 4)
    rows(uint32_t());
  else if (itemsize(x.dtype) == 8)
    rows(uint64_t());
  else
    rows(uint8_t());
  return y;
}

}  // namespace nn::cpu
