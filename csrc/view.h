// View: a borrowed array. Array: an array that a kernel returns. Neither knows Python.
//
// Shapes count elements, strides count BYTES (NumPy's convention, so that views of any array pass without a
// copy). A View never outlives the call that received it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

namespace nn {

enum class Dtype : uint8_t { f32, f64, i32, i64, u8, b8 };
constexpr int kMaxDims = 32;

constexpr int64_t itemsize(Dtype t) {
  return t == Dtype::f32 || t == Dtype::i32 ? 4 : t == Dtype::f64 || t == Dtype::i64 ? 8 : 1;
}
constexpr const char* name(Dtype t) {
  constexpr const char* names[] = {"float32", "float64", "int32", "int64", "uint8", "bool"};
  return names[int(t)];
}

// f(T()) with the C++ type of t.
template <class F> auto dispatch_all(Dtype t, F&& f) {
  switch (t) {
    case Dtype::f32:
      return f(float());
    case Dtype::f64:
      return f(double());
    case Dtype::i32:
      return f(int32_t());
    case Dtype::i64:
      return f(int64_t());
    default:
      return f(uint8_t());  // bool too: 0 or 1
  }
}

// Of whole numbers that are not negative.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

template <class T> struct dtype_of;
template <> struct dtype_of<float> {
  static constexpr Dtype value = Dtype::f32;
};
template <> struct dtype_of<double> {
  static constexpr Dtype value = Dtype::f64;
};
template <> struct dtype_of<int32_t> {
  static constexpr Dtype value = Dtype::i32;
};
template <> struct dtype_of<int64_t> {
  static constexpr Dtype value = Dtype::i64;
};
template <> struct dtype_of<uint8_t> {
  static constexpr Dtype value = Dtype::u8;
};
template <> struct dtype_of<bool> {
  static constexpr Dtype value = Dtype::b8;
};

struct View {
  void* data = nullptr;
  Dtype dtype = Dtype::f32;
  bool writeable = false;
  bool is_scalar = false;  // a Python number: takes the dtype of the arrays beside it
  int ndim = 0;
  const int64_t* shape = nullptr;
  const int64_t* strides = nullptr;
  void* owner =
      nullptr;        // the Python object behind the view, opaque here; given back when an `out` is returned
  double scalar = 0;  // its value when is_scalar
  bool is_real = false;   // a float, whatever its value
  bool is_whole = false;  // whether `whole` is its exact value
  int64_t whole = 0;
  bool is_bool = false;  // True or False
  bool refused = false;  // `owner` is nothing that kernels read: the binding says so before a kernel runs

  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  int64_t bytes() const { return size() * itemsize(dtype); }
  // Element stride of axis i (strides are always multiples of the item size: the caster refuses others).
  int64_t step(int i) const { return strides[i] / itemsize(dtype); }
  bool contiguous() const {
    int64_t expect = itemsize(dtype);
    for (int i = ndim - 1; i >= 0; --i) {
      if (shape[i] != 1 && strides[i] != expect) return false;
      expect *= shape[i];
    }
    return true;
  }
  template <class T> T* as() const { return static_cast<T*>(data); }
};

// A View that may be absent (Python's None).
struct OptView : View {
  bool given = false;
  explicit operator bool() const { return given; }
};

// A View that may have been a Python number (see View::is_scalar). Only elementwise ops take it.
struct Operand : View {};

// A list of arrays (a Python list or tuple of them).
struct Views {
  const View* items = nullptr;
  int count = 0;
  const View& operator[](int i) const { return items[i]; }
};

// A short list of integers (a Python int, or a list or tuple of them): axes, pads, shapes.
struct Ints {
  int count = 0;
  int64_t items[2 * kMaxDims];
  int64_t operator[](int i) const { return items[i]; }
};

// What a kernel returns: dense (C-contiguous or channels-last), or an `out` that the caller gave (then owner
// is set). A block of memory.h is its own until it passes into the ndarray, so that an error frees it.
struct Array {
  void* data = nullptr;
  bool owned = false;
  Dtype dtype = Dtype::f32;
  int ndim = 0;
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims];
  void* owner = nullptr;

  Array() = default;
  Array(Array&& a) noexcept { *this = std::move(a); }
  Array& operator=(Array&& a) noexcept;
  ~Array();

  template <class T> T* as() const { return static_cast<T*>(data); }
  int64_t size() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
  View view() const { return View{data, dtype, true, false, ndim, shape, strides, owner, 0}; }
};

// Errors: invalid_argument becomes ValueError, type_error becomes TypeError, std::bad_alloc MemoryError.
struct type_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct memory_error : std::bad_alloc {
  explicit memory_error(std::string text) : text_(std::move(text)) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

std::string text(const View& v);  // "(2, 3)", or the number itself

// fail("matmul", "x has 3 columns but w has 4 rows", {{"x", x}, {"w", w}}) throws
// ValueError: matmul: x has 3 columns but w has 4 rows (x.shape=(2, 3), w.shape=(4, 5))
struct Named {
  const char* name;
  const View& view;
};
[[noreturn]] void fail(const char* op, const std::string& what, std::initializer_list<Named> args);
[[noreturn]] void fail_type(const char* op, const std::string& what);

// The common float dtype of the arrays among `args` (scalars follow); TypeError names the odd one out.
Dtype common_dtype(const char* op, std::initializer_list<Named> args);

// A fresh output of this shape (or `out` itself after checking its shape, dtype and that it can be written).
Array output(const char* op, Dtype dtype, int ndim, const int64_t* shape, const OptView* out = nullptr);

// True if the byte ranges of a and b meet without a and b being the very same view.
bool overlaps(const View& a, const View& b);

// Call f<float>() or f<double>() by dtype: dispatch(dtype, [&](auto t) { using T = decltype(t); ... });
template <class F> auto dispatch(Dtype t, F&& f) { return t == Dtype::f64 ? f(double()) : f(float()); }

}  // namespace nn
