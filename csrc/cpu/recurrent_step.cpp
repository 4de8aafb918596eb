// The product of one step of a recurrent layer: see recurrent.h.
//
// Two layouts of the packed weights. Many rows: a panel of nr columns per gate, tiles of mr rows, as the GEMM
// engine has them. Few rows: all gates of one register of units side by side in one panel, so that each row
// meets up to four registers per step of the depth. Tiles read the rows in place. Sums run along the whole
// depth in one order in both.
#include "recurrent.h"

namespace nn::cpu {
namespace {

constexpr int64_t kDepth = 256;                      // of a tile: its panels stay in L1
constexpr int64_t kGroup = 4;                        // tiles that share a panel while it lies there
constexpr int64_t kStripBytes = int64_t(128) << 10;  // of sums
constexpr int64_t kStepFlops = int64_t(2) << 20;     // some 10 us of one thread
constexpr int64_t kGateFlops = 100000;               // what a step costs besides, as flops of products

}  // namespace

template <class T>
StepProduct<T>::StepProduct(const T* w, int64_t depth_step, int64_t column_step, int64_t depth, int64_t gates,
                            int64_t units, int64_t rows, bool shared, bool once)
    : w_(w),
      depth_step_(depth_step),
      column_step_(column_step),
      depth_(depth),
      gates_(gates),
      units_(units),
      direct_(once),
      shared_(shared),
      shape_(kernels<T>().gemm_shape()) {
  if (direct_) return;
  const int vectors = gates == 3 ? 3 : 4;
  small_ = rows <= shape_.max_rows[vectors];
  block_ = small_ ? vectors * shape_.width / gates : shape_.nr;
  tile_rows_ = small_ ? shape_.max_rows[vectors] : shape_.mr;
  panel_ = small_ ? vectors * shape_.width : shape_.nr;
  panels_ = small_ ? 1 : gates;
  blocks_ = ceil_div(units, block_);
  packed_.emplace(size_t(blocks_ * gates * block_ * depth));
  const int64_t pack_grain = std::max<int64_t>(1, 65536 / (gates * block_ * depth));
  parallel_for(blocks_, pack_grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      for (int64_t g = 0; g < gates; ++g) {
        T* out = *packed_ + b * gates * block_ * depth + (small_ ? g * block_ : g * panel_ * depth);
        const int64_t unit = b * block_;
        kernels<T>().pack(w + (g * units + unit) * column_step, column_step, depth_step,
                          int(std::min(block_, units - unit)), int(block_), depth, out, panel_);
      }
  });
}

// Panels of few rows hold all gates of a block: strips are single blocks there.
template <class T> int64_t StepProduct<T>::strip_blocks(int64_t rows) const {
  if (small_) return 1;
  const int64_t fitting = kStripBytes / (rows * gates_ * block_ * int64_t(sizeof(T)));
  const int64_t sharers = shared_ ? num_threads() : 1;
  return std::max<int64_t>(1, std::min(fitting, sharers > 1 ? blocks_ / (4 * sharers) : blocks_));
}

template <class T> int64_t StepProduct<T>::grain(int64_t rows, int64_t strip) const {
  const int64_t weights = gates_ * block_ * depth_ * strip;
  const int64_t work =
      std::max(2 * rows * weights, 4 * weights * int64_t(sizeof(T)));  // flops, or bytes from L3
  return std::max<int64_t>(1, kStepFlops / work);
}

// sums = rows times blocks of weights, in equal tiles that share each panel.
template <class T> void StepProduct<T>::multiply_blocks(int64_t first, int64_t last, int64_t rows, const T* a,
                                                        int64_t a_row, T* sums, int64_t row,
                                                        int64_t gate) const {
  const int64_t piece = ceil_div(depth_, ceil_div(depth_, kDepth));
  const int64_t tiles = ceil_div(rows, tile_rows_), m = ceil_div(rows, tiles);
  const int64_t group = ceil_div(tiles, ceil_div(tiles, kGroup)) * m;
  GemmTile<T> t = {};
  t.panel = !small_;
  t.a_row = a_row, t.a_k = 1, t.b_k = panel_;
  t.c_row = row;
  t.n = panel_;
  for (int64_t b = first; b < last; ++b)
    for (int64_t i0 = 0; i0 < rows; i0 += group)
      for (int64_t p = 0; p < panels_; ++p)
        for (int64_t k = 0; k < depth_; k += piece) {
          t.k = std::min(piece, depth_ - k);
          t.b = *packed_ + (b * gates_ * block_ + p * panel_) * depth_ + k * panel_;
          t.accumulate = k > 0;
          for (int64_t i = i0; i < std::min(rows, i0 + group); i += m) {
            t.a = a + i * a_row + k;
            t.c = sums + i * row + p * gate + (b - first) * block_;
            kernels<T>().gemm_tile(int(std::min(m, rows - i)), int(panel_ / shape_.width), t);
          }
        }
}

RecurrentSplit recurrent_split(const RecurrentShape& s, bool once, int64_t weights, int64_t weight_bytes) {
  const int64_t step = s.batch * 2 * weights, threads = once ? 1 : num_threads();
  // Beyond some MB a step is long against a meeting of the threads, and L3 would be read once per part.
  const bool large = weight_bytes > (int64_t(4) << 20);
  const bool parted = !once && s.batch >= 12 && !large && step * s.steps >= 4 * kStepFlops;
  const auto parts = [&](int64_t sharers) { return parted ? std::min(sharers, s.batch / 6) : 1; };
  RecurrentSplit split = {parts(threads), 0, false, parted};
  if (s.directions == 2 && threads > 1 && !large && 2 * s.steps * (step + kGateFlops) >= 8 * kStepFlops) {
    const int64_t each = parts(ceil_div(threads, 2));
    split.together = 2 * each >= threads || (split.parts == 1 && step < 4 * kStepFlops);
    if (split.together) split.parts = each;
  }
  split.rows = ceil_div(s.batch, split.parts);
  return split;
}

template class StepProduct<float>;
template class StepProduct<double>;

}  // namespace nn::cpu
