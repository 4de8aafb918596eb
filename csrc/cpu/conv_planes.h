// Strips of padded planes: rows of an image, channel by channel, with their padding written out, as the
// direct and the depthwise algorithm read them. They stay in L1 or L2; layout and padding modes end here.
#pragma once
#include "conv_panels.h"

namespace nn::cpu {

// Rows [first, first + rows) of the result of one image and one position along the depth axis, and where a
// tap finds its numbers: plane (channel, depth tap), row, column. Split rows hold their columns sorted by the
// remainder modulo the stride: what a tap reads for neighbouring results then lies side by side.
template <class T> class PlaneStrip {
 public:
  static constexpr int64_t kSlack = 64;  // kernels read up to four vectors, beyond the last row's end
  enum Rows { whole, split };
  // Strips of up to `rows` rows of the result, `channels` planes at a time.
  PlaneStrip(const Patches<T>& patches, int64_t channels, int64_t rows, Rows order)
      : g_(patches),
        depths_(patches.axis[0].taps()),
        height_((rows - 1) * patches.axis[1].step() + patches.axis[1].reach()),
        width_((patches.axis[2].count() - 1) * patches.axis[2].step() + patches.axis[2].reach()),
        parts_(order == split ? patches.axis[2].step() : 1),
        part_((width_ + parts_ - 1) / parts_),
        data_(size_t(channels * plane() + kSlack)) {
    std::fill_n(static_cast<T*>(data_), channels * plane(), T(0));  // padding columns stay so
  }

  // Offsets of the taps of `channels` channels, channel by channel.
  std::vector<int32_t> offsets(int64_t channels) const {
    std::vector<int32_t> found;
    const TapAxis &h = g_.axis[1], &w = g_.axis[2];
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t d = 0; d < depths_; ++d)
        for (int i = 0; i < h.taps(); ++i)
          for (int j = 0; j < w.taps(); ++j)
            found.push_back(int32_t(((c * depths_ + d) * height_ + h.offset(i) - h.lowest()) * row() +
                                    column(w.offset(j) - w.lowest())));
    return found;
  }
  int64_t row_step() const { return g_.axis[1].step() * row(); }     // from a row of the result to the next
  int64_t pixel_step() const { return g_.axis[2].step() / parts_; }  // and from pixel to pixel
  int64_t plane() const { return depths_ * height_ * row(); }        // from channel to channel
  const T* data() const { return data_; }

  // Channels from c0 on go to the planes from `plane0` on.
  void load(int64_t n, int64_t depth, int64_t first, int64_t rows, int64_t c0, int64_t channels,
            int64_t plane0 = 0) {
    const TapAxis &d = g_.axis[0], &h = g_.axis[1];
    const int64_t height = (rows - 1) * h.step() + h.reach();
    const bool together = g_.x.c == 1 && channels > 1;  // channels of a row lie side by side
    for (int64_t t = 0; t < depths_; ++t) {
      const int64_t at_d = d.at(depth * d.step() + d.offset(int(t)));
      const T* image = g_.x.p + n * g_.x.n + at_d * g_.x.step[0] + c0 * g_.x.c;
      T* out = data_ + plane0 * plane() + t * height_ * row();
      for (int64_t c = 0; c < channels; c += together ? channels : 1)
        for (int64_t i = 0, count; i < height; i += count) {
          const int64_t at_h = h.at(first * h.step() + h.lowest() + i);
          T* to = out + c * plane() + i * row();
          // rows of the image in one piece; padding row by row
          count = 1;
          if (at_d < 0 || at_h < 0) {
            for (int64_t k = 0; k < (together ? channels : 1); ++k)
              std::fill_n(to + k * plane(), row(), T(0));
          } else if (together) {
            load_rows(image + at_h * g_.x.step[1], g_.x.c, channels, to, plane());
          } else {
            if (first * h.step() + h.lowest() + i == at_h) count = std::min(height - i, h.in() - at_h);
            load_rows(image + c * g_.x.c + at_h * g_.x.step[1], g_.x.step[1], count, to, row());
          }
        }
    }
  }

 private:
  int64_t row() const { return parts_ * part_; }
  int64_t column(int64_t i) const { return i % parts_ * part_ + i / parts_; }

  // Padded rows, of an image or of all its channels.
  void load_rows(const T* from, int64_t from_row, int64_t rows, T* out, int64_t out_row) const {
    const TapAxis& w = g_.axis[2];
    const int64_t low = w.lowest(), a = std::min(width_, std::max<int64_t>(0, -low)),
                  b = std::max(a, std::min(width_, w.in() - low)), step = g_.x.step[2];
    const T* inside = from + (low + a) * step;
    if (step == 1 && parts_ == 2) {
      kernels<T>().split_rows(inside, from_row, rows, b - a, out + column(a), out + column(a + 1), out_row);
    } else {
      for (int64_t i = a; i < std::min(b, a + parts_); ++i)
        load_columns(inside + (i - a) * step, parts_ * step, (b - i + parts_ - 1) / parts_, from_row, rows,
                     out + column(i), out_row);
    }
    for (int64_t i = w.wraps() ? 0 : width_; i < width_; ++i)
      if (i < a || i >= b)
        for (int64_t r = 0; r < rows; ++r)
          out[column(i) + r * out_row] = from[r * from_row + w.at(low + i) * step];
  }
  void load_columns(const T* from, int64_t step, int64_t count, int64_t from_row, int64_t rows, T* out,
                    int64_t out_row) const {
    if (step == 1) {
      kernels<T>().copy_rows(from, from_row, nullptr, out, out_row, rows, count);
    } else if (from_row == 1 && rows > 1) {
      kernels<T>().transpose_copy(from, step, out, out_row, count, rows);
    } else {
      for (int64_t r = 0; r < rows; ++r, from += from_row, out += out_row)
        for (int64_t i = 0; i < count; ++i) out[i] = from[i * step];
    }
  }
  const Patches<T>& g_;
  int64_t depths_, height_, width_, parts_, part_;
  Workspace<T> data_;
};

}  // namespace nn::cpu
