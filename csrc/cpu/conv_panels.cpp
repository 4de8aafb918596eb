#include "conv_panels.h"

#include <algorithm>

namespace nn::cpu {

int64_t padding_source(PaddingMode mode, int64_t i, int64_t size) {
  if (i >= 0 && i < size) return i;
  switch (mode) {
    case PaddingMode::zeros:
      return -1;
    case PaddingMode::replicate:
      return i < 0 ? 0 : size - 1;
    case PaddingMode::circular:
      return (i % size + size) % size;
    case PaddingMode::reflect:
      return i < 0 ? -i : 2 * (size - 1) - i;
  }
  return -1;
}

TapAxis::TapAxis(int64_t count, int64_t step, int64_t in, std::vector<int64_t> offsets, PaddingMode mode)
    : count_(count),
      step_(step),
      in_(in),
      first_all_(0),
      last_all_(count),
      mode_(mode),
      offset_(std::move(offsets)) {
  source_.resize(size_t(count) * offset_.size());
  size_t at = 0;
  for (int64_t o = 0; o < count; ++o)
    for (const int64_t offset : offset_) source_[at++] = int32_t(padding_source(mode, o * step + offset, in));
  for (const int64_t offset : offset_) {
    // o * step + offset >= 0 and < in
    const int64_t first = offset >= 0 ? 0 : (-offset + step - 1) / step;
    const int64_t last = in - offset <= 0 ? 0 : (in - offset - 1) / step + 1;
    first_.push_back(std::min(first, count));
    last_.push_back(std::max(std::min(last, count), first_.back()));
    first_all_ = std::max(first_all_, first_.back());
    last_all_ = std::min(last_all_, last_.back());
  }
  last_all_ = std::max(first_all_, last_all_);
}

TapAxis forward_axis(const ConvAxis& a, PaddingMode mode) {
  std::vector<int64_t> offsets;
  for (int64_t t = 0; t < a.kernel; ++t) offsets.push_back(t * a.dilation - a.low);
  return TapAxis(a.out, a.stride, a.in, std::move(offsets), mode);
}

Residue::Residue(const ConvAxis& a, int64_t r) : count(a.in > r ? (a.in - r - 1) / a.stride + 1 : 0) {
  for (int64_t t = 0; t < a.kernel; ++t) {
    const int64_t at = r + a.low - t * a.dilation;
    if (at % a.stride != 0) continue;
    if (taps == 0) tap0 = t;
    if (taps == 1) tap_step = t - tap0;
    ++taps;
    offsets.push_back(at / a.stride);
  }
}

namespace {

constexpr int kMaxLanes = 32;  // of a panel

// Pixels from j on that lie in one row of the result.
struct PixelRun {
  int64_t n, d, h, w, length;
};

template <class T> PixelRun pixel_run(const Patches<T>& g, int64_t j, int64_t most) {
  PixelRun r;
  const int64_t width = g.axis[2].count(), height = g.axis[1].count(), depth = g.axis[0].count();
  r.w = j % width, j /= width;
  r.h = j % height, j /= height;
  r.d = j % depth;
  r.n = j / depth;
  r.length = std::min(most, width - r.w);
  return r;
}

// The pixels of a panel, row by row.
template <class T> int pixel_runs(const Patches<T>& g, int64_t j, int lanes, PixelRun* runs) {
  int count = 0;
  for (int l = 0; l < lanes; ++count) {
    runs[count] = pixel_run(g, j + l, lanes - l);
    l += int(runs[count].length);
  }
  return count;
}

// The row of the image that a run of pixels and a tap read; null: a row of padding.
template <class T> const T* image_row(const Patches<T>& g, const PixelRun& r, int td, int th) {
  const int64_t d = g.axis[0].source(r.d, td), h = g.axis[1].source(r.h, th);
  return d < 0 || h < 0 ? nullptr : g.x.p + r.n * g.x.n + d * g.x.step[0] + h * g.x.step[1];
}

struct Tap {
  int d, h, w;
};
template <class T> Tap tap_at(const Patches<T>& g, int t) {
  const int kw = g.axis[2].taps(), kh = g.axis[1].taps();
  return {t / kw / kh, t / kw % kh, t % kw};
}

}  // namespace

template <class T>
void PatchColumns<T>::pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const {
  PixelRun runs[kMaxLanes];
  const int rows = pixel_runs(g, lane, lanes, runs);
  const TapAxis& aw = g.axis[2];
  const int taps = g.taps();
  const int64_t step = g.x.step[2];
  for (int t = 0; t < taps; ++t) {
    // channels c with depth <= c * taps + t < depth + count
    const int64_t c0 = (depth - t + taps - 1) / taps, c1 = (depth + count - t + taps - 1) / taps;
    if (c0 >= c1) continue;
    const Tap tap = tap_at(g, t);
    Segment segments[kMaxLanes];
    int found = 0;
    for (int r = 0, at = 0; r < rows; at += int(runs[r].length), ++r) {
      const T* row = image_row(g, runs[r], tap.d, tap.h);
      if (!row) continue;
      const int64_t from = runs[r].w, to = from + runs[r].length;
      const int64_t inner = std::max(from, aw.first(tap.w)),
                    end = std::max(inner, std::min(to, aw.last(tap.w)));
      const auto add = [&](int64_t w, int64_t length) {
        segments[found++] = {row - g.x.p + aw.source(w, tap.w) * step, int(at + w - from), int(length)};
      };
      if (aw.wraps())
        for (int64_t w = from; w < std::min(inner, to); ++w) add(w, 1);
      if (inner < end) add(inner, end - inner);
      if (aw.wraps())
        for (int64_t w = end; w < to; ++w) add(w, 1);
    }
    kernels<T>().pack_segments(g.x.p + c0 * g.x.c, g.x.c, c1 - c0, segments, found, aw.step() * step, width,
                               out + (c0 * taps + t - depth) * width, int64_t(taps) * width);
  }
}

template <class T>
void PatchRows<T>::pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const {
  PixelRun runs[kMaxLanes];
  const int rows = pixel_runs(g, lane, lanes, runs);
  const T* from[kMaxLanes];
  int zero[kMaxLanes] = {}, length[kMaxLanes];
  for (int64_t at = depth, end = depth + count; at < end;) {
    const Tap tap = tap_at(g, int(at / g.channels));
    const int64_t c = at % g.channels, piece = std::min(g.channels - c, end - at);
    for (int r = 0, l = 0; r < rows; ++r) {
      const T* row = image_row(g, runs[r], tap.d, tap.h);
      for (int64_t i = 0; i < runs[r].length; ++i, ++l) {
        const int64_t w = g.axis[2].source(runs[r].w + i, tap.w);
        const bool inside = row && w >= 0;
        from[l] = inside ? row + w * g.x.step[2] + c : g.x.p;
        length[l] = inside ? int(piece) : 0;
      }
    }
    kernels<T>().pack_lanes(from, zero, length, 1, lanes, width, piece, out);
    out += piece * width;
    at += piece;
  }
}

template <class T>
void PatchDepth<T>::pack(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const {
  if (last)
    by_channels(lane, lanes, width, depth, count, out);
  else
    by_lanes(lane, lanes, width, depth, count, out);
}

template <class T>
void PatchDepth<T>::by_lanes(int64_t lane, int lanes, int width, int64_t depth, int64_t count, T* out) const {
  const TapAxis& aw = g.axis[2];
  const int taps = g.taps();
  const int64_t step = g.x.step[2];
  Tap tap[kMaxLanes];
  int64_t channel[kMaxLanes];
  for (int l = 0; l < lanes; ++l) {
    tap[l] = tap_at(g, int((lane + l) % taps));
    channel[l] = (lane + l) / taps * g.x.c;
  }
  const T* from[kMaxLanes];
  int first[kMaxLanes], end[kMaxLanes];
  for (int64_t at = 0; at < count;) {
    PixelRun r = pixel_run(g, depth + at, count - at);
    // Padding that is not zeros is read pixel by pixel, the rest of the row in one piece.
    if (aw.wraps() && r.w < aw.first())
      r.length = 1;
    else if (aw.wraps() && r.w < aw.last())
      r.length = std::min(r.length, aw.last() - r.w);
    else if (aw.wraps())
      r.length = 1;
    for (int l = 0; l < lanes; ++l) {
      const T* row = image_row(g, r, tap[l].d, tap[l].h);
      const int64_t w0 = std::max(r.w, aw.first(tap[l].w)), w1 = std::min(r.w + r.length, aw.last(tap[l].w));
      if (row && aw.wraps() && r.length == 1) {
        from[l] = row + channel[l] + aw.source(r.w, tap[l].w) * step, first[l] = 0, end[l] = 1;
      } else if (row && w0 < w1) {
        from[l] = row + channel[l] + (aw.source(w0, tap[l].w) - (w0 - r.w) * aw.step()) * step;
        first[l] = int(w0 - r.w), end[l] = int(w1 - r.w);
      } else {
        from[l] = g.x.p, first[l] = end[l] = 0;
      }
    }
    kernels<T>().pack_lanes(from, first, end, aw.step() * step, lanes, width, r.length, out);
    out += r.length * width;
    at += r.length;
  }
}

template <class T> void PatchDepth<T>::by_channels(int64_t lane, int lanes, int width, int64_t depth,
                                                   int64_t count, T* out) const {
  const TapAxis& aw = g.axis[2];
  for (int64_t at = 0; at < count;) {
    const PixelRun r = pixel_run(g, depth + at, count - at);
    int l = 0;
    while (l < lanes) {
      const int64_t c = (lane + l) % g.channels;
      const int piece = int(std::min<int64_t>(g.channels - c, lanes - l));
      const int wide = l + piece == lanes ? width - l : piece;
      const Tap tap = tap_at(g, int((lane + l) / g.channels));
      const T* row = image_row(g, r, tap.d, tap.h);
      for (int64_t i = 0; i < r.length;) {
        const int64_t w = r.w + i;
        const bool inside = row && w >= aw.first(tap.w) && w < aw.last(tap.w);
        const int64_t source = row ? aw.source(w, tap.w) : -1;
        // inside the image as far as it goes; outside (or wrapped around) pixel by pixel
        const int64_t straight = inside ? std::min(aw.last(tap.w) - w, r.length - i) : 1;
        kernels<T>().pack(source < 0 ? g.x.p : row + source * g.x.step[2] + c, 1, aw.step() * g.x.step[2],
                          source < 0 ? 0 : piece, wide, straight, out + i * width + l, width);
        i += straight;
      }
      l += piece;
    }
    out += r.length * width;
    at += r.length;
  }
}

#define NN_INSTANTIATE(T)          \
  template struct PatchColumns<T>; \
  template struct PatchRows<T>;    \
  template struct PatchDepth<T>;
NN_INSTANTIATE(float)
NN_INSTANTIATE(double)
#undef NN_INSTANTIATE

}  // namespace nn::cpu
