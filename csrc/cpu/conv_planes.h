// Strips of padded planes: rows of an image, channel by channel, with their padding written out, as the
// direct and the depthwise algorithm read them. They stay in L1 or L2; layout and padding modes end here.
#pragma once
#include "conv_panels.h"

namespace nn::cpu {

// Where a tap finds its numbers in padded planes of `rows` rows of the result: plane (channel, depth tap),
// row, column. Split rows hold their columns sorted by the remainder modulo the stride: what a tap reads for
// neighbouring results then lies side by side. Sorted planes hold their rows like that, too.
template <class T> class PlaneShape {
 public:
  static constexpr int64_t kSlack = 64;  // kernels read up to four vectors, beyond the last row's end
  enum Order { whole, split, sorted };
  PlaneShape(const Patches<T>& patches, int64_t rows, Order order)
      : g_(patches),
        depths_(patches.axis[0].taps()),
        width_(extent(patches.axis[2], patches.axis[2].count())),
        parts_(order == whole ? 1 : patches.axis[2].step()),
        part_(ceil_div(width_, parts_)),
        row_parts_(order == sorted ? patches.axis[1].step() : 1),
        row_part_(ceil_div(extent(patches.axis[1], rows), row_parts_)),
        row_(order == sorted ? part_ : parts_ * part_),
        part_step_(order == sorted ? row_part_ * part_ : part_) {}

  // Offsets of the taps of `channels` channels, channel by channel.
  std::vector<int32_t> offsets(int64_t channels) const {
    std::vector<int32_t> found;
    const TapAxis &h = g_.axis[1], &w = g_.axis[2];
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t d = 0; d < depths_; ++d)
        for (int i = 0; i < h.taps(); ++i)
          for (int j = 0; j < w.taps(); ++j)
            found.push_back(int32_t(c * plane() + d * depth() + line(h.offset(i) - h.lowest()) +
                                    column(w.offset(j) - w.lowest())));
    return found;
  }
  // From a row of the result to the next, and from pixel to pixel.
  int64_t row_step() const { return g_.axis[1].step() / row_parts_ * row_; }
  int64_t pixel_step() const { return g_.axis[2].step() / parts_; }
  int64_t plane() const { return depths_ * depth(); }  // from channel to channel

 protected:
  // Padded elements that `count` results read.
  static int64_t extent(const TapAxis& a, int64_t count) { return (count - 1) * a.step() + a.reach(); }
  int64_t depth() const { return row_parts_ * row_part_ * parts_ * part_; }
  int64_t line(int64_t i) const {
    return i % row_parts_ * row_part_ * parts_ * part_ + i / row_parts_ * row_;
  }
  int64_t column(int64_t i) const { return i % parts_ * part_step_ + i / parts_; }

  const Patches<T>& g_;
  int64_t depths_, width_, parts_, part_, row_parts_, row_part_;
  int64_t row_, part_step_;  // from row to row, from part to part
};

// The planes of rows [first, first + rows) of the result of one image and one position along the depth axis.
template <class T> class PlaneStrip : public PlaneShape<T> {
 public:
  using Shape = PlaneShape<T>;
  using typename Shape::Order;
  // Strips of up to `rows` rows of the result, `channels` planes at a time.
  PlaneStrip(const Patches<T>& patches, int64_t channels, int64_t rows, Order order)
      : Shape(patches, rows, order), data_(size_t(channels * this->plane() + Shape::kSlack)) {
    std::fill_n(static_cast<T*>(data_), channels * this->plane(), T(0));  // padding columns stay so
  }
  const T* data() const { return data_; }

  // Channels from c0 on go to the planes from `plane0` on.
  void load(int64_t n, int64_t depth, int64_t first, int64_t rows, int64_t c0, int64_t channels,
            int64_t plane0 = 0) {
    const TapAxis &d = g_.axis[0], &h = g_.axis[1];
    const int64_t height = this->extent(h, rows), step = row_parts_;
    const bool together = g_.x.c == 1 && channels > 1;  // channels of a row lie side by side
    for (int64_t t = 0; t < depths_; ++t) {
      const int64_t at_d = d.at(depth * d.step() + d.offset(int(t)));
      const T* image = g_.x.p + n * g_.x.n + at_d * g_.x.step[0] + c0 * g_.x.c;
      T* out = data_ + plane0 * this->plane() + t * this->depth();
      for (int64_t c = 0; c < channels; c += together ? channels : 1)
        for (int64_t part = 0; part < step; ++part)
          for (int64_t i = part, count; i < height; i += count * step) {
            const int64_t at_h = h.at(first * h.step() + h.lowest() + i);
            T* to = out + c * this->plane() + this->line(i);
            // rows of the image in one piece; padding row by row
            count = 1;
            if (at_d < 0 || at_h < 0) {
              for (int64_t k = 0; k < (together ? channels : 1); ++k)
                for (int64_t q = 0; q < parts_; ++q)
                  std::fill_n(to + k * this->plane() + column(q), this->part_, T(0));
            } else if (together) {
              load_rows(image + at_h * g_.x.step[1], g_.x.c, channels, to, this->plane());
            } else {
              if (first * h.step() + h.lowest() + i == at_h)
                count = ceil_div(std::min(height - i, h.in() - at_h), step);
              load_rows(image + c * g_.x.c + at_h * g_.x.step[1], step * g_.x.step[1], count, to, row_);
            }
          }
    }
  }

 private:
  using Shape::column, Shape::row_;
  using Shape::g_, Shape::parts_, Shape::width_, Shape::depths_, Shape::row_parts_;

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
  Workspace<T> data_;
};

}  // namespace nn::cpu
