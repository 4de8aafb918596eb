// Broadcasting, strides and threads around a contiguous loop: what all elementwise ops share.
//
// The operands' axes are merged as far as all of them allow; the innermost merged axis is one call of a loop,
// the others are walked. Steps that a loop can't take go through small buffers.
#pragma once
#include <algorithm>
#include <cmath>
#include <string>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"

namespace nn::cpu {

constexpr int64_t kWalkChunk = 1 << 15;  // elements worth a thread (about 10 us at least)
constexpr int kWalkBlock = 512;  // elements gathered at a time when an inner stride is neither 0 nor 1

// Up to three inputs and a result over common axes; steps in elements, 0 where an input is broadcast.
struct ElementWalk {
  static constexpr int kMax = 4;  // operand 0 is the result
  int operands = 0, ndim = 0;
  int64_t shape[kMaxDims];
  int64_t step[kMax][kMaxDims];

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }

  // Drops axes of length 1 and merges neighbours that every operand walks as one.
  void merge() {
    int kept = 0;
    for (int i = 0; i < ndim; ++i) {
      if (shape[i] == 1) continue;
      bool joins = kept > 0;
      for (int p = 0; joins && p < operands; ++p) joins = step[p][kept - 1] == step[p][i] * shape[i];
      if (joins)
        shape[kept - 1] *= shape[i];
      else
        shape[kept++] = shape[i];
      for (int p = 0; p < operands; ++p) step[p][kept - 1] = step[p][i];
    }
    ndim = kept;
  }

  // f(offsets[operands], n): runs of n elements of the innermost axis, in chunks shared among threads.
  template <class F> void run(F&& f) const {
    const int64_t total = size();
    if (total == 0) return;
    const int64_t inner = ndim ? shape[ndim - 1] : 1, rows = total / inner;
    if (rows == 1) {
      parallel_for(inner, kWalkChunk, [&](int64_t begin, int64_t end) {
        int64_t at[kMax] = {};
        for (int p = 0; p < operands; ++p) at[p] = ndim ? begin * step[p][ndim - 1] : 0;
        f(at, end - begin);
      });
      return;
    }
    parallel_for(rows, std::max<int64_t>(1, kWalkChunk / inner), [&](int64_t begin, int64_t end) {
      int64_t index[kMaxDims], at[kMax] = {};
      int64_t rest = begin;
      for (int i = ndim - 2; i >= 0; --i) {
        index[i] = rest % shape[i];
        rest /= shape[i];
        for (int p = 0; p < operands; ++p) at[p] += index[i] * step[p][i];
      }
      for (int64_t row = begin; row < end; ++row) {
        f(at, inner);
        for (int i = ndim - 2; i >= 0; --i) {
          for (int p = 0; p < operands; ++p) at[p] += step[p][i];
          if (++index[i] < shape[i]) break;
          for (int p = 0; p < operands; ++p) at[p] -= index[i] * step[p][i];
          index[i] = 0;
        }
      }
    });
  }

  int64_t inner_step(int p) const { return ndim ? step[p][ndim - 1] : 0; }
};

// The common shape of the inputs by NumPy's broadcasting rule.
inline int broadcast(const char* op, const Named* args, int count, int64_t* shape) {
  int ndim = 0;
  for (int p = 0; p < count; ++p) ndim = std::max(ndim, args[p].view.ndim);
  for (int i = 0; i < ndim; ++i) {
    int64_t n = 1;
    for (int p = 0; p < count; ++p) {
      const View& v = args[p].view;
      const int at = i - (ndim - v.ndim);
      if (at < 0 || v.shape[at] == 1 || v.shape[at] == n) continue;
      if (n != 1) {
        const std::string what = "shapes do not broadcast: axis " + std::to_string(i - ndim) + " is " +
                                 std::to_string(n) + " and " + std::to_string(v.shape[at]) +
                                 "; equal lengths or 1 would fit";
        if (count == 2) fail(op, what, {args[0], args[1]});
        fail(op, what, {args[0], args[1], args[2]});
      }
      n = v.shape[at];
    }
    shape[i] = n;
  }
  return ndim;
}

// The axes are walked in the order of the result's strides, so that arrays of one layout are walked as they
// lie.
inline ElementWalk element_walk(const Array& y, const View* const* inputs, int count) {
  ElementWalk w;
  w.operands = count + 1;
  w.ndim = y.ndim;
  int order[kMaxDims];
  for (int i = 0; i < y.ndim; ++i) {
    int at = i;
    for (; at > 0 && y.strides[order[at - 1]] < y.strides[i]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  for (int k = 0; k < y.ndim; ++k) {
    const int i = order[k];
    w.shape[k] = y.shape[i];
    w.step[0][k] = y.strides[i] / itemsize(y.dtype);
    for (int p = 0; p < count; ++p) {
      const View& v = *inputs[p];
      const int at = i - (y.ndim - v.ndim);
      w.step[p + 1][k] = at < 0 || v.shape[at] == 1 ? 0 : v.step(at);
    }
  }
  w.merge();
  return w;
}

template <class T> void gather(const T* x, int64_t step, int64_t n, T* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = x[i * step];
}

// Dense x and z, and one short dense row y beside every row of them: a bias in the last axis, or of
// channels-last images.
inline bool repeats_short_row(const ElementWalk& w) {
  const int64_t n = w.ndim == 2 && w.operands == 3 ? w.shape[1] : kWalkBlock;
  return n <= kWalkBlock / 2 && w.step[0][0] == n && w.step[1][0] == n && w.step[2][0] == 0 &&
         w.step[0][1] == 1 && w.step[1][1] == 1 && w.step[2][1] == 1;
}
// Several copies of y side by side, so that a call of the loop is worth its while.
template <class X, class Y, class Z, class L>
void run_repeated(const ElementWalk& w, const X* x, const Y* y, Z* z, L&& loop) {
  const int64_t n = w.shape[1], copies = kWalkBlock / n;
  parallel_for(w.shape[0], std::max<int64_t>(1, kWalkChunk / n), [&](int64_t begin, int64_t end) {
    Y ys[kWalkBlock];
    for (int64_t i = 0; i < copies; ++i) std::copy(y, y + n, ys + i * n);
    for (int64_t row = begin; row < end; row += copies)
      loop(x + row * n, 1, ys, 1, z + row * n, std::min(copies, end - row) * n);
  });
}

// Whether the loop that run_loop calls may store past the caches: that spares fetching each line of z before
// it is written.
template <class X, class Y, class Z> bool streams(const ElementWalk& w, const X* x, const Y* y, const Z* z) {
  const void *to = z, *a = x, *b = y;
  const auto direct = [&](int p) { return w.inner_step(p) == 0 || w.inner_step(p) == 1; };
  return size_t(w.size()) * sizeof(Z) >= past_caches_from() && w.shape[w.ndim - 1] >= kWalkBlock &&
         w.inner_step(0) == 1 && direct(1) && (w.operands < 3 || direct(2)) && to != a && to != b;
}

// loop(x, x_step, y, y_step, z, n) over runs whose steps it can take (1 or 0 for inputs, 1 for the result);
// other steps go through small buffers. Inputs X may be absent (null).
template <class X, class Y, class Z, class L>
void run_loop(const ElementWalk& w, const X* x, const Y* y, Z* z, L&& loop) {
  const int64_t zs = w.inner_step(0), xs = w.inner_step(1), ys = w.operands > 2 ? w.inner_step(2) : 0;
  const bool x_ok = xs == 0 || xs == 1, y_ok = ys == 0 || ys == 1;
  if (repeats_short_row(w)) return run_repeated(w, x, y, z, loop);
  if (x_ok && y_ok && zs == 1) {
    w.run([&](const int64_t* at, int64_t n) { loop(x + at[1], int(xs), y + at[2], int(ys), z + at[0], n); });
    return;
  }
  w.run([&](const int64_t* at, int64_t n) {
    X xb[kWalkBlock];
    Y yb[kWalkBlock];
    Z zb[kWalkBlock];
    for (int64_t i = 0; i < n; i += kWalkBlock) {
      const int64_t m = std::min<int64_t>(kWalkBlock, n - i);
      const X* xp = x + at[1] + i * xs;
      const Y* yp = y + at[2] + i * ys;
      Z* zp = z + at[0] + i * zs;
      if (!x_ok) gather(xp, xs, m, xb);
      if (!y_ok) gather(yp, ys, m, yb);
      loop(x_ok ? xp : xb, x_ok ? int(xs) : 1, y_ok ? yp : yb, y_ok ? int(ys) : 1, zs == 1 ? zp : zb, m);
      if (zs != 1)
        for (int64_t j = 0; j < m; ++j) zp[j * zs] = zb[j];
    }
  });
}

// The result takes the layout (channels-last, transposed) of the first input of its shape, if that is dense.
inline void take_layout(Array& y, const View* const* inputs, int count) {
  const View* x = nullptr;
  for (int p = 0; p < count && !x; ++p)
    if (!inputs[p]->is_scalar && inputs[p]->ndim == y.ndim &&
        std::equal(y.shape, y.shape + y.ndim, inputs[p]->shape))
      x = inputs[p];
  if (!x || x->contiguous()) return;
  int order[kMaxDims], n = 0;  // axes by falling stride
  for (int i = 0; i < x->ndim; ++i) {
    if (x->shape[i] == 1) continue;
    int at = n++;
    for (; at > 0 && x->strides[order[at - 1]] < x->strides[i]; --at) order[at] = order[at - 1];
    order[at] = i;
  }
  int64_t step[kMaxDims], elements = 1;
  for (int k = n - 1; k >= 0; --k) {
    if (x->strides[order[k]] != elements * itemsize(x->dtype)) return;
    step[k] = elements;
    elements *= x->shape[order[k]];
  }
  for (int k = 0; k < n; ++k) y.strides[order[k]] = step[k] * itemsize(y.dtype);
}

// Computes into `out` directly when no input lies under it in another place; else into a fresh array that is
// copied.
template <class F> Array into(const char* op, Dtype dtype, int ndim, const int64_t* shape, const OptView* out,
                              const View* const* inputs, int count, F&& f) {
  Array y = output(op, dtype, ndim, shape, out);
  if (!out || !*out) take_layout(y, inputs, count);
  bool clash = false;
  if (out && *out)
    for (int p = 0; p < count; ++p)
      clash = clash || (!inputs[p]->is_scalar && overlaps(*inputs[p], y.view()));
  if (!clash) {
    f(y);
    return y;
  }
  Array fresh = output(op, dtype, ndim, shape);
  f(fresh);
  const View from = fresh.view();
  const View* one = &from;
  const ElementWalk w = element_walk(y, &one, 1);
  auto copy = [&](auto t) {
    using T = decltype(t);
    run_loop(w, fresh.as<const T>(), static_cast<const T*>(nullptr), y.as<T>(),
             [](const T* x, int xs, const T*, int, T* z, int64_t n) {
               for (int64_t i = 0; i < n; ++i) z[i] = x[i * xs];
             });
  };
  switch (itemsize(dtype)) {
    case 1:
      copy(uint8_t());
      break;
    case 4:
      copy(float());
      break;
    default:
      copy(double());
  }
  return y;
}

inline bool is_float(Dtype t) { return t == Dtype::f32 || t == Dtype::f64; }

// Calls f with a value of the C++ type of an integer dtype.
template <class F> void dispatch_integer(Dtype t, F&& f) {
  switch (t) {
    case Dtype::i32:
      return f(int32_t());
    case Dtype::i64:
      return f(int64_t());
    default:
      return f(uint8_t());  // u8 and b8
  }
}

// Whether a number is one of the values of an integer dtype.
inline bool fits(const View& number, Dtype t) {
  if (!number.is_whole) return false;
  const int64_t n = number.whole;
  switch (t) {
    case Dtype::i32:
      return n == int32_t(n);
    case Dtype::u8:
      return n == uint8_t(n);
    case Dtype::b8:
      return number.is_bool;
    default:
      return true;
  }
}

// The dtype of two numbers by themselves.
inline Dtype number_dtype(const View& x, const View& y) {
  if (x.is_real || y.is_real) return Dtype::f32;
  return x.is_bool && y.is_bool ? Dtype::b8 : Dtype::i64;
}

// The dtype of two operands, by PyTorch's rule: a number takes that of the array beside it, but a float makes
// float32 of whole numbers, and a whole number int64 of bools. Whole numbers take the dtype of floats beside
// them, or the wider one. float32 beside float64 is refused: it would double or round unasked.
inline Dtype operand_dtype(const char* op, const View& x, const View& y) {
  if (x.is_scalar && y.is_scalar) return Dtype::f32;
  if (x.is_scalar || y.is_scalar) {
    const View &array = x.is_scalar ? y : x, &number = x.is_scalar ? x : y;
    if (is_float(array.dtype)) return array.dtype;
    if (number.is_real) return Dtype::f32;
    if (fits(number, array.dtype)) return array.dtype;
    if (array.dtype == Dtype::b8 && fits(number, Dtype::i64)) return Dtype::i64;
    fail_type(op, "the number " + text(number) + " does not fit an array of " + name(array.dtype) +
                      "; convert the array: .astype('float32')");
  }
  if (x.dtype == y.dtype) return x.dtype;
  if (is_float(x.dtype) && is_float(y.dtype))
    fail_type(op, std::string("x is ") + name(x.dtype) + " but y is " + name(y.dtype) +
                      "; convert one of them with astype");
  if (is_float(x.dtype) || is_float(y.dtype)) return is_float(x.dtype) ? x.dtype : y.dtype;
  for (Dtype t : {Dtype::i64, Dtype::i32})
    if (x.dtype == t || y.dtype == t) return t;
  return Dtype::u8;
}

// Whole numbers as an array of another dtype while it lives; what has that dtype already as it is.
class Promoted {
 public:
  Promoted(const char* op, const View& x, Dtype to) : view_(x) {
    if (x.is_scalar || x.dtype == to) return;
    const View* input = &x;
    copy_ = into(op, to, x.ndim, x.shape, nullptr, &input, 1, [&](Array& y) {
      const ElementWalk w = element_walk(y, &input, 1);
      dispatch_integer(x.dtype, [&](auto a) {
        using X = decltype(a);
        dispatch_all(to, [&](auto b) {
          using Y = decltype(b);
          run_loop(w, x.as<const X>(), static_cast<const X*>(nullptr), y.as<Y>(),
                   [](const X* from, int step, const X*, int, Y* z, int64_t n) {
                     for (int64_t i = 0; i < n; ++i) z[i] = Y(from[i * step]);
                   });
        });
      });
    });
    view_ = copy_.view();
  }
  Promoted(const Promoted&) = delete;
  const View& view() const { return view_; }

 private:
  Array copy_;
  View view_;
};

// Whether two operands must become `to` first.
inline bool differ(const View& x, const View& y, Dtype to) {
  return (!x.is_scalar && x.dtype != to) || (!y.is_scalar && y.dtype != to);
}

// A number as an array of one element of type T, an array as it is.
template <class T> const T* data_or(const View& v, T& number) {
  if (!v.is_scalar) return v.as<const T>();
  number = std::is_integral_v<T> ? T(v.whole) : T(v.scalar);
  return &number;
}

}  // namespace nn::cpu
