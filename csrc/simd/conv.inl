// Packing images into the panels of the GEMM engine.
//
//   pack_segments  lanes are pixels of image rows: straight copies under a mask, one row of a panel per
//   channel pack_lanes     lanes are pointers, the depth runs along them: squares are turned in registers
namespace nn {
namespace {

// For each channel c: out[c * out_step + s.lane + i] = x[c * channel_step + s.source + i * lane_step] for
// every segment s and i < s.count; 0 in the lanes between them, up to width.
template <class T> void pack_segments(const T* x, int64_t channel_step, int64_t channels, const Segment* s,
                                      int count, int64_t lane_step, int width, T* out, int64_t out_step) {
  constexpr int W = vec<T>::width;
  for (int v = 0; v < width; v += W) {
    const int wide = width - v < W ? width - v : W;
    while (count > 0 && s->lane + s->count <= v) ++s, --count;
    int meet = 0;  // segments with a lane in [v, v + W)
    while (meet < count && s[meet].lane < v + W) ++meet;
    const T* p = x;
    T* o = out + v;
    if (meet == 0) {
      for (int64_t c = 0; c < channels; ++c, o += out_step) store(o, set1(T(0)), wide);
    } else if (meet == 1 && wide == W) {
      const int from = s->lane - v, to = s->lane + s->count - v;
      p += s->source - from * lane_step;
      if (from <= 0 && to >= W && lane_step == 1)
        for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step) store(o, load(p));
      else
        for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step)
          store(o, load_range(p, lane_step, from, to));
    } else {
      for (int64_t c = 0; c < channels; ++c, o += out_step, p += channel_step) {
        vec<T> a = set1(T(0));
        for (int i = 0; i < meet; ++i) {
          const int from = s[i].lane - v;
          a = a + load_range(p + s[i].source - from * lane_step, lane_step, from, from + s[i].count);
        }
        store(o, a, wide);
      }
    }
  }
}

// W pointers and W elements of each, turned; not inlined, as transpose_square.
template <class T> __attribute__((noinline)) void pack_square(const T* const* x, const int* first,
                                                              const int* end, int64_t step, int64_t k,
                                                              int lanes, int rows, T* out, int64_t out_step,
                                                              int wide) {
  constexpr int W = vec<T>::width;
  vec<T> r[W];
#pragma GCC unroll 16
  for (int l = 0; l < W; ++l)
    r[l] = l < lanes ? load_range(x[l] + k * step, step, int(first[l] - k), int(end[l] - k)) : set1(T(0));
  transpose(r);
  if (rows == W && wide >= W) {
#pragma GCC unroll 16
    for (int l = 0; l < W; ++l) store(out + l * out_step, r[l]);
  } else {
    for (int l = 0; l < rows; ++l) store(out + l * out_step, r[l], wide);
  }
}

// out[k * width + l] = x[l][k * step] for first[l] <= k < end[l] and l < lanes, else 0.
template <class T> void pack_lanes(const T* const* x, const int* first, const int* end, int64_t step,
                                   int lanes, int width, int64_t depth, T* out) {
  constexpr int W = vec<T>::width;
  for (int64_t k = 0; k < depth; k += W)
    for (int i = 0; i < width; i += W)
      pack_square(x + i, first + i, end + i, step, k, lanes - i, int(depth - k < W ? depth - k : W),
                  out + k * width + i, width, width - i);
}

}  // namespace
}  // namespace nn
