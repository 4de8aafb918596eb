// The only pybind11 code: ndarray -> View, Array -> ndarray, and the op table expanded into m.def.
//
// The casters talk to NumPy's C structs directly: three arrays cost < 100 ns, where py::array_t takes 600.
// Around every kernel stands a CallScope: denormals flushed, and the GIL released when the arrays are large
// enough for it to pay.
#pragma once
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <pybind11/pybind11.h>

#include <numpy/arrayobject.h>
#include <unistd.h>

#include <cmath>
#include <deque>
#include <iterator>
#include <optional>
#include <vector>

#include "memory.h"
#include "ops.h"
#include "parallel.h"

namespace py = pybind11;

namespace nn::bind {

// NumPy's numbers for our dtypes, in the order of nn::Dtype.
constexpr int kTypeNum[] = {NPY_FLOAT, NPY_DOUBLE, NPY_INT32, NPY_INT64, NPY_UINT8, NPY_BOOL};

inline bool dtype_from(int type_num, Dtype& out) {
  switch (type_num) {
    case NPY_FLOAT:
      out = Dtype::f32;
      return true;
    case NPY_DOUBLE:
      out = Dtype::f64;
      return true;
    case NPY_INT:
      out = Dtype::i32;
      return true;
    case NPY_LONG:
    case NPY_LONGLONG:
      out = sizeof(long) == 8 || type_num == NPY_LONGLONG ? Dtype::i64 : Dtype::i32;
      return true;
    case NPY_UBYTE:
      out = Dtype::u8;
      return true;
    case NPY_BOOL:
      out = Dtype::b8;
      return true;
    default:
      return false;
  }
}

// Casters don't know the op's name: they mark what they refuse, and guarded() below says it with all names.
inline bool refuse(py::handle src, View& v) {
  v.refused = true;
  v.owner = src.ptr();
  return true;
}

[[noreturn]] inline void refuse(const char* op, const std::string& argument, void* owner) {
  const py::handle src(static_cast<PyObject*>(owner));
  const bool is_array = PyArray_Check(src.ptr());
  if (is_array && PyArray_NDIM(reinterpret_cast<PyArrayObject*>(src.ptr())) > kMaxDims)
    fail_type(op, argument + " has more than 32 dimensions");
  const std::string fits =
      argument == "index" ? "an int64 or int32" : "a float32, float64, int32, int64, uint8 or bool";
  fail_type(op, argument + " must be " + fits + " array, got " +
                    std::string(is_array ? py::str(src.attr("dtype"))
                                         : py::str(py::type::of(src).attr("__name__"))));
}

// A plain number among a kernel's parameters.
template <class T> struct Number {
  T value = T();
  PyObject* refused = nullptr;  // what came instead
};
template <class T> struct as_bound {
  using type = std::conditional_t<std::is_arithmetic_v<T>, Number<T>, T>;
};
template <class T> const T& unbound(const T& a) { return a; }
template <class T> T unbound(const Number<T>& a) { return a.value; }

template <class T> void demand(const char* op, const char* argument, const Number<T>& a) {
  if (!a.refused) return;
  const char* kind = std::is_same_v<T, bool> ? "a bool" : std::is_integral_v<T> ? "an int" : "a number";
  const py::handle src(a.refused);
  const bool is_int = PyLong_Check(src.ptr());
  fail_type(op, std::string(argument) + " must be " + kind + ", got " +
                    std::string(is_int ? py::str(src) : py::str(py::type::of(src).attr("__name__"))));
}

constexpr int kRefused = -1;  // the count of Ints that are none
inline void demand(const char* op, const char* argument, const Ints& a) {
  if (a.count == kRefused)
    fail_type(op, std::string(argument) + " must be an int or a list or tuple of at most 64 ints");
}

template <class T> void demand(const char* op, const char* argument, const T& a) {
  if constexpr (std::is_base_of_v<View, T>) {
    if (a.refused) refuse(op, argument, a.owner);
  } else if constexpr (std::is_same_v<Views, T>) {
    for (int i = 0; i < a.count; ++i)
      if (a[i].refused) refuse(op, std::string(argument) + "[" + std::to_string(i) + "]", a[i].owner);
  }
}

// Fills v from an ndarray. `keep` holds a native, aligned copy for the rare array that kernels can't read in
// place.
inline void load_view(PyObject* src, View& v, py::object& keep) {
  auto* a = reinterpret_cast<PyArrayObject*>(src);
  if (!dtype_from(PyArray_TYPE(a), v.dtype) || PyArray_NDIM(a) > kMaxDims) return void(refuse(src, v));
  const int64_t item = itemsize(v.dtype);
  bool in_place = PyArray_ISBEHAVED_RO(a);
  for (int i = 0; in_place && i < PyArray_NDIM(a); ++i) in_place = PyArray_STRIDES(a)[i] % item == 0;
  if (!in_place) {
    keep = py::reinterpret_steal<py::object>(PyArray_FromArray(
        a, PyArray_DescrFromType(kTypeNum[int(v.dtype)]), NPY_ARRAY_CARRAY_RO | NPY_ARRAY_ENSURECOPY));
    if (!keep) throw py::error_already_set();
    a = reinterpret_cast<PyArrayObject*>(keep.ptr());
  }
  v.data = PyArray_DATA(a);
  v.writeable = in_place && PyArray_ISWRITEABLE(a);
  v.ndim = PyArray_NDIM(a);
  v.shape = reinterpret_cast<const int64_t*>(PyArray_DIMS(a));
  v.strides = reinterpret_cast<const int64_t*>(PyArray_STRIDES(a));
  v.owner = src;
}

// Blocks of memory.h as NumPy's allocator: the ndarrays that kernels return own and free their block (NEP
// 49).
inline PyObject* memory_handler() {
  static PyDataMem_Handler handler = {"nnkern",
                                      1,
                                      {nullptr,
                                       [](void*, size_t n) -> void* {
                                         try {
                                           return allocate(n);
                                         } catch (...) {
                                           return nullptr;
                                         }
                                       },
                                       [](void*, size_t n, size_t m) -> void* {
                                         size_t total;
                                         if (__builtin_mul_overflow(n, m, &total)) return nullptr;
                                         try {
                                           return memset(allocate(total), 0, total);
                                         } catch (...) {
                                           return nullptr;
                                         }
                                       },
                                       [](void*, void* p, size_t n) -> void* {
                                         try {
                                           return reallocate(p, n);
                                         } catch (...) {
                                           return nullptr;
                                         }
                                       },
                                       [](void*, void* p, size_t) { release(p); }}};
  static PyObject* capsule = PyCapsule_New(&handler, "mem_handler", nullptr);
  return capsule;
}

inline py::handle to_ndarray(Array& a) {
  if (a.owner) return py::handle(static_cast<PyObject*>(a.owner)).inc_ref();
  PyObject* r = PyArray_NewFromDescr(&PyArray_Type, PyArray_DescrFromType(kTypeNum[int(a.dtype)]), a.ndim,
                                     reinterpret_cast<const npy_intp*>(a.shape),
                                     reinterpret_cast<const npy_intp*>(a.strides), a.data,
                                     NPY_ARRAY_WRITEABLE | NPY_ARRAY_ALIGNED, nullptr);
  if (!r) throw py::error_already_set();
  a.owned = false;
  auto* fields = reinterpret_cast<PyArrayObject_fields*>(r);
  PyObject* handler = memory_handler();
  Py_INCREF(handler);
  Py_XDECREF(fields->mem_handler);
  fields->mem_handler = handler;
  fields->flags |= NPY_ARRAY_OWNDATA;
  return r;
}

inline int64_t bytes_of(const View& v) { return v.bytes(); }
inline int64_t bytes_of(const Views& v) {
  int64_t n = 0;
  for (int i = 0; i < v.count; ++i) n += v[i].bytes();
  return n;
}
template <class T> int64_t bytes_of(const T&) { return 0; }

// Lets other Python threads run. When the interpreter ends meanwhile, Python ends a daemon thread that asks
// for the GIL by unwinding its stack, which C++ takes for a fatal error: such a thread sleeps until the
// process is gone.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }
  WithoutGil(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

class CallScope {
 public:
  explicit CallScope(int64_t bytes) {
    if (bytes > (32 << 10)) unlocked_.emplace();
  }

 private:
  std::optional<WithoutGil> unlocked_;
  FlushDenormals flush_;
};

[[noreturn]] inline void no_memory(const char* op) {
  throw memory_error(std::string(op) + ": no memory for what it needs beside its result");
}

template <class R, class... A, class... Names> auto guarded(const char* op, R (*f)(A...), Names... names) {
  return [=](typename as_bound<A>::type... a) -> R {
    (demand(op, names, a), ...);
    CallScope scope((bytes_of(a) + ... + 0));
    try {
      return f(unbound(a)...);
    } catch (const memory_error&) {
      throw;
    } catch (const std::bad_alloc&) {
      no_memory(op);
    } catch (const std::length_error&) {  // a list that no memory could hold
      no_memory(op);
    }
  };
}

// "exp_forward" -> "exp", for messages; lives as long as the module.
inline const char* op_name(const std::string& kernel) {
  static std::deque<std::string> names;
  const size_t end = kernel.rfind("_forward");
  return names.emplace_back(end == std::string::npos ? kernel : kernel.substr(0, end)).c_str();
}

// One row of the op table. A last OptView (`out`) defaults to None.
template <class A, bool Last> auto argument(const char* name) {
  if constexpr (Last && std::is_same_v<std::decay_t<A>, OptView>)
    return py::arg_v(name, py::none());
  else
    return py::arg(name);
}
template <class R, class... A, class... Names, size_t... I>
void def(py::module_& m, const char* name, R (*f)(A...), std::index_sequence<I...>, Names... names) {
  m.def(name, guarded(op_name(name), f, names...), argument<A, I + 1 == sizeof...(A)>(names)...);
}
template <class R, class... A, class... Names>
void def(py::module_& m, const char* name, R (*f)(A...), Names... names) {
  static_assert(sizeof...(A) == sizeof...(Names), "ops.h: one Python name per parameter");
  def(m, name, f, std::index_sequence_for<A...>{}, names...);
}

inline void register_errors() {
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const type_error& e) {
      PyErr_SetString(PyExc_TypeError, e.what());
    }
  });
}

}  // namespace nn::bind

namespace pybind11::detail {

template <class T> struct type_caster<nn::bind::Number<T>> {
  using Plain = make_caster<T>;
  PYBIND11_TYPE_CASTER(nn::bind::Number<T>, Plain::name);
  Plain plain;
  bool load(handle src, bool convert) {
    if (plain.load(src, convert))
      value.value = cast_op<T>(plain);
    else
      value.refused = src.ptr();
    return true;
  }
};

template <> struct type_caster<nn::View> {
  PYBIND11_TYPE_CASTER(nn::View, const_name("numpy.ndarray"));
  object keep;
  bool load(handle src, bool) {
    if (!PyArray_Check(src.ptr())) return nn::bind::refuse(src, value);
    nn::bind::load_view(src.ptr(), value, keep);
    return true;
  }
};

template <> struct type_caster<nn::OptView> {
  PYBIND11_TYPE_CASTER(nn::OptView, const_name("numpy.ndarray | None"));
  object keep;
  bool load(handle src, bool) {
    if (src.is_none()) return true;
    value.given = true;
    if (!PyArray_Check(src.ptr())) return nn::bind::refuse(src, value);
    nn::bind::load_view(src.ptr(), value, keep);
    return true;
  }
};

template <> struct type_caster<nn::Operand> {
  PYBIND11_TYPE_CASTER(nn::Operand, const_name("numpy.ndarray | float"));
  object keep;
  bool load(handle src, bool) {
    if (PyArray_Check(src.ptr())) {
      nn::bind::load_view(src.ptr(), value, keep);
      return true;
    }
    if (!PyFloat_Check(src.ptr()) && !PyLong_Check(src.ptr()) && !PyArray_CheckScalar(src.ptr()))
      return nn::bind::refuse(src, value);
    value.is_scalar = true;
    value.scalar = PyFloat_AsDouble(src.ptr());
    value.is_bool = PyBool_Check(src.ptr()) || PyArray_IsScalar(src.ptr(), Bool);
    value.is_real = PyFloat_Check(src.ptr()) || PyArray_IsScalar(src.ptr(), Floating);
    if (value.scalar == -1 && PyErr_Occurred()) throw error_already_set();
    if (PyFloat_Check(src.ptr())) {
      value.is_whole =
          value.scalar >= -0x1p63 && value.scalar < 0x1p63 && value.scalar == std::floor(value.scalar);
      if (value.is_whole) value.whole = int64_t(value.scalar);
    } else if (PyIndex_Check(src.ptr())) {
      const object number = reinterpret_steal<object>(PyNumber_Index(src.ptr()));
      if (!number) throw error_already_set();
      int overflow;
      value.whole = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
      value.is_whole = overflow == 0;
    }
    return true;
  }
};

template <> struct type_caster<nn::Views> {
  PYBIND11_TYPE_CASTER(nn::Views, const_name("collections.abc.Sequence[numpy.ndarray]"));
  std::vector<nn::View> views;
  std::vector<object> keep;
  bool load(handle src, bool) {
    if (!PyList_Check(src.ptr()) && !PyTuple_Check(src.ptr())) return false;
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(src.ptr());
    views.resize(size_t(n));
    keep.resize(size_t(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(src.ptr(), i);
      if (PyArray_Check(item))
        nn::bind::load_view(item, views[size_t(i)], keep[size_t(i)]);
      else
        nn::bind::refuse(item, views[size_t(i)]);
    }
    value.items = views.data();
    value.count = int(n);
    return true;
  }
};

template <> struct type_caster<nn::Ints> {
  PYBIND11_TYPE_CASTER(nn::Ints, const_name("int | collections.abc.Sequence[int]"));
  bool load(handle src, bool) {
    const bool many = PyList_Check(src.ptr()) || PyTuple_Check(src.ptr());
    const Py_ssize_t n = many ? PySequence_Fast_GET_SIZE(src.ptr()) : 1;
    value.count = n > Py_ssize_t(std::size(value.items)) ? nn::bind::kRefused : int(n);
    for (int i = 0; i < value.count; ++i) {
      PyObject* item = many ? PySequence_Fast_GET_ITEM(src.ptr(), i) : src.ptr();
      object number = reinterpret_steal<object>(PyNumber_Index(item));
      value.items[i] = number ? PyLong_AsLongLong(number.ptr()) : -1;
      if (value.items[i] == -1 && PyErr_Occurred()) value.count = nn::bind::kRefused;
    }
    PyErr_Clear();
    return true;
  }
};

template <> struct type_caster<nn::Array> {
  static constexpr auto name = const_name("numpy.ndarray");
  static handle cast(nn::Array&& a, return_value_policy, handle) { return nn::bind::to_ndarray(a); }
};

}  // namespace pybind11::detail
