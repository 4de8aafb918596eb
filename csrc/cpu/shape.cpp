// Shape ops that move memory: copies over the engine of copy.cpp. All of them take any dtype and any strides.
#include <algorithm>
#include <cstring>

#include "../ops.h"
#include "../parallel.h"
#include "copy.h"

namespace nn::cpu {
namespace {

Array shaped_like(const char* op, const View& x, const OptView* out) {
  Array y = output(op, x.dtype, x.ndim, x.shape, out);
  if (out && out->given && overlaps(x, *out)) fail(op, "out overlaps x", {{"x", x}, {"out", *out}});
  return y;
}

// v[..., begin:begin+length, ...] along one axis: a view over the caller's shape array.
struct Part : View {
  int64_t lengths[kMaxDims];
  explicit Part(const View& v) : View(v) {
    memcpy(lengths, v.shape, sizeof(int64_t) * size_t(v.ndim));
    shape = lengths;
  }
  Part(const View& v, int axis, int64_t begin, int64_t length) : Part(v) { narrow(axis, begin, length); }
  Part(const Part&) = delete;
  void narrow(int axis, int64_t begin, int64_t length) {
    data = static_cast<char*>(data) + begin * strides[axis];
    lengths[axis] = length;
  }
};

void fill(const View& y, double value) {
  alignas(8) char item[8];
  switch (y.dtype) {
    case Dtype::f32: {
      float v = float(value);
      memcpy(item, &v, 4);
      break;
    }
    case Dtype::f64:
      memcpy(item, &value, 8);
      break;
    case Dtype::i32: {
      int32_t v = int32_t(value);
      memcpy(item, &v, 4);
      break;
    }
    case Dtype::i64: {
      int64_t v = int64_t(value);
      memcpy(item, &v, 8);
      break;
    }
    case Dtype::u8:
      item[0] = char(uint8_t(value));
      break;
    case Dtype::b8:
      item[0] = value != 0;
      break;
  }
  const int64_t zeros[kMaxDims] = {};
  copy(View{item, y.dtype, false, false, y.ndim, y.shape, zeros}, y);
}

}  // namespace

Array copy_forward(const View& x, const OptView& out) {
  if (out && out.data == x.data && out.ndim == x.ndim &&
      !overlaps(x, out)) {  // the very same view: nothing to do
    return output("copy", x.dtype, x.ndim, x.shape, &out);
  }
  Array y = shaped_like("copy", x, &out);
  copy(x, y.view());
  return y;
}

namespace {
constexpr int kMaxParts = 16;
constexpr int64_t kPartBytes = 256 << 10;
// PyTorch's old rule: an array of shape (0,) goes with any others and adds nothing.
bool is_nothing(const View& x) { return x.ndim == 1 && x.shape[0] == 0; }
}  // namespace

Array cat_forward(const Views& xs, int64_t axis) {
  if (xs.count == 0) throw std::invalid_argument("cat: needs at least one array");
  int lead = 0;
  while (lead < xs.count - 1 && is_nothing(xs[lead])) ++lead;
  const View& first = xs[lead];
  const std::string first_name = "tensors[" + std::to_string(lead) + "]";
  if (axis < 0) axis += first.ndim;
  if (axis < 0 || axis >= first.ndim)
    fail("cat", "dim " + std::to_string(axis) + " does not exist", {{first_name.c_str(), first}});
  int64_t shape[kMaxDims], total = 0;
  for (int i = 0; i < xs.count; ++i) {
    const std::string name = "tensors[" + std::to_string(i) + "]";
    bool fits = xs[i].ndim == first.ndim;
    for (int d = 0; fits && d < first.ndim; ++d) fits = d == axis || xs[i].shape[d] == first.shape[d];
    if (!fits && !is_nothing(xs[i]))
      fail("cat",
           name + " must have the shape of " + first_name + " except along dim " + std::to_string(axis),
           {{first_name.c_str(), first}, {name.c_str(), xs[i]}});
    if (xs[i].dtype != first.dtype)
      fail_type("cat", first_name + " is " + nn::name(first.dtype) + " but " + name + " is " +
                           nn::name(xs[i].dtype) + "; convert one of them with astype");
    if (!is_nothing(xs[i])) total += xs[i].shape[axis];
  }
  memcpy(shape, first.shape, sizeof(int64_t) * size_t(first.ndim));
  shape[axis] = total;
  Array y = output("cat", first.dtype, first.ndim, shape);
  int64_t begin[kMaxParts];
  const int64_t bytes = y.view().bytes();
  // Large parts share their rows among threads; small ones are handed out whole.
  const bool whole = xs.count <= kMaxParts && bytes <= kMaxParts * kPartBytes;
  for (int64_t i = 0, at = 0; i < xs.count; ++i) {
    begin[whole ? i : 0] = at;
    if (is_nothing(xs[int(i)])) continue;
    const int64_t length = xs[int(i)].shape[axis];
    if (!whole) copy(xs[int(i)], Part(y.view(), int(axis), at, length));
    at += length;
  }
  if (whole)
    parallel_for(xs.count, std::max<int64_t>(1, kPartBytes * xs.count / std::max<int64_t>(1, bytes)),
                 [&](int64_t b, int64_t e) {
                   for (int64_t i = b; i < e; ++i)
                     if (!is_nothing(xs[int(i)]))
                       copy(xs[int(i)], Part(y.view(), int(axis), begin[i], xs[int(i)].shape[axis]));
                 });
  return y;
}

// Keeps the elements on and below (upper: on and above) the diagonal of each matrix; zeros elsewhere.
Array triangle_forward(const View& x, int64_t diagonal, bool upper) {
  if (x.ndim < 2) fail(upper ? "triu" : "tril", "x needs at least two dimensions", {{"x", x}});
  Array y = output(upper ? "triu" : "tril", x.dtype, x.ndim, x.shape);
  const int row = x.ndim - 2, col = x.ndim - 1;
  diagonal = std::clamp<int64_t>(diagonal, -x.shape[row] - 1, x.shape[col] + 1);
  const View whole = y.view();
  for (int64_t i = 0; i < x.shape[row]; ++i) {
    const int64_t cut = std::clamp<int64_t>(i + diagonal + (upper ? 0 : 1), 0, x.shape[col]);
    const int64_t begin = upper ? cut : 0, length = upper ? x.shape[col] - cut : cut;
    Part from(x, row, i, 1), to(whole, row, i, 1), zero(whole, row, i, 1);
    from.narrow(col, begin, length);
    to.narrow(col, begin, length);
    zero.narrow(col, upper ? 0 : cut, x.shape[col] - length);
    copy(from, to);
    fill(zero, 0);
  }
  return y;
}

}  // namespace nn::cpu
