#include "view.h"

#include <initializer_list>

#include "memory.h"

namespace nn {

std::string text(const View& v) {
  if (v.is_scalar) return v.is_whole ? std::to_string(v.whole) : std::to_string(v.scalar);
  std::string s = "(";
  for (int i = 0; i < v.ndim; ++i)
    s += std::to_string(v.shape[i]) + (i + 1 < v.ndim ? ", " : v.ndim == 1 ? "," : "");
  return s + ")";
}

void fail(const char* op, const std::string& what, std::initializer_list<Named> args) {
  std::string s = std::string(op) + ": " + what + " (";
  const char* comma = "";
  for (const Named& a : args) {
    s += comma + std::string(a.name) + (a.view.is_scalar ? "=" : ".shape=") + text(a.view);
    comma = ", ";
  }
  throw std::invalid_argument(s + ")");
}

void fail_type(const char* op, const std::string& what) { throw type_error(std::string(op) + ": " + what); }

Dtype common_dtype(const char* op, std::initializer_list<Named> args) {
  const Named* first = nullptr;
  for (const Named& a : args) {
    if (a.view.is_scalar) continue;
    if (a.view.dtype != Dtype::f32 && a.view.dtype != Dtype::f64)
      fail_type(op, std::string(a.name) + " is " + name(a.view.dtype) +
                        "; float32 or float64 is needed: " + a.name + ".astype('float32')");
    if (!first) first = &a;
    if (a.view.dtype != first->view.dtype)
      fail_type(op, std::string(first->name) + " is " + name(first->view.dtype) + " but " + a.name + " is " +
                        name(a.view.dtype) + "; convert one of them with astype");
  }
  return first ? first->view.dtype : Dtype::f32;
}

Array& Array::operator=(Array&& a) noexcept {
  if (this == &a) return *this;
  if (owned) release(data);
  data = std::exchange(a.data, nullptr), owned = std::exchange(a.owned, false);
  dtype = a.dtype, ndim = a.ndim, owner = a.owner;
  for (int i = 0; i < ndim; ++i) shape[i] = a.shape[i], strides[i] = a.strides[i];
  return *this;
}

Array::~Array() {
  if (owned) release(data);
}

Array output(const char* op, Dtype dtype, int ndim, const int64_t* shape, const OptView* out) {
  Array y;
  y.dtype = dtype;
  y.ndim = ndim;
  if (out && out->given) {
    const View wanted{nullptr, dtype, true, false, ndim, shape, shape};
    bool same = out->ndim == ndim;
    for (int i = 0; same && i < ndim; ++i) same = out->shape[i] == shape[i];
    if (!same) fail(op, "out has the wrong shape", {{"out", *out}, {"result", wanted}});
    if (out->dtype != dtype)
      fail_type(op, std::string("out is ") + name(out->dtype) + " but the result is " + name(dtype));
    if (!out->writeable)
      throw std::invalid_argument(std::string(op) +
                                  ": out is read-only (or unaligned, or not in native byte order)");
    for (int i = 0; i < ndim; ++i) y.shape[i] = shape[i], y.strides[i] = out->strides[i];
    y.data = out->data;
    y.owner = out->owner;
    return y;
  }
  if (ndim > kMaxDims) throw std::invalid_argument(std::string(op) + ": at most 32 dimensions");
  int64_t bytes = itemsize(dtype);
  for (int i = 0; i < ndim; ++i) y.shape[i] = shape[i];
  for (int i = ndim - 1; i >= 0; --i) {
    y.strides[i] = bytes;
    if (__builtin_mul_overflow(bytes, shape[i] > 0 ? shape[i] : 1, &bytes) || bytes > (int64_t(1) << 46))
      fail(op, "the result is too large to allocate",
           {{"result", View{nullptr, dtype, true, false, ndim, shape, shape}}});
  }
  try {
    y.data = allocate(size_t(y.size() * itemsize(dtype)));
    y.owned = true;
  } catch (const std::bad_alloc&) {
    throw memory_error(std::string(op) + ": no memory for a result of shape " + text(y.view()) + ", " +
                       std::to_string(bytes) + " bytes");
  }
  return y;
}

namespace {
void byte_range(const View& v, const char*& lo, const char*& hi) {
  lo = hi = static_cast<const char*>(v.data);
  for (int i = 0; i < v.ndim; ++i) {
    if (v.shape[i] == 0) {
      hi = lo;
      return;
    }
    int64_t reach = (v.shape[i] - 1) * v.strides[i];
    (reach < 0 ? lo : hi) += reach;
  }
  hi += itemsize(v.dtype);
}
}  // namespace

bool overlaps(const View& a, const View& b) {
  const char *alo, *ahi, *blo, *bhi;
  byte_range(a, alo, ahi);
  byte_range(b, blo, bhi);
  if (!(alo < bhi && blo < ahi)) return false;
  bool same = a.data == b.data && a.ndim == b.ndim && a.dtype == b.dtype;
  for (int i = 0; same && i < a.ndim; ++i) same = a.shape[i] == b.shape[i] && a.strides[i] == b.strides[i];
  return !same;
}

}  // namespace nn
