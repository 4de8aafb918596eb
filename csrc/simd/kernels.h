// THE kernel table: what an ISA supplies, for float and double, plus its blocking numbers.
//
// A row is NN_KERNEL(name, result, (parameters over T)). Its body is `template <class T> result name(...)` in some
// simd/*.inl, written once over vec<T>; simd/isa.inl includes them all and fills one const table per ISA.
// Kernels see pointers and sizes only: no allocation, no threads, no exceptions, no std:: at all. Everything they
// define or instantiate stays in an anonymous namespace: a weak symbol (any inline function or template outside one)
// compiled with AVX-512 flags may be the copy that the linker keeps for everybody, an illegal instruction on old CPUs.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace nn {

#define NN_KERNELS(NN_KERNEL)                                                                            \
  /* elementwise.inl: y[i] = op(x[i]) */                                                                 \
  NN_KERNEL(unary, void, (int op, const T* x, T* y, int64_t n))                                         \
  /* copy.inl: y[j * y_step + i] = x[i * x_step + j];  y[i] += x[i] */                                  \
  NN_KERNEL(transpose_copy, void, (const T* x, int64_t x_step, T* y, int64_t y_step, int64_t rows, int64_t cols)) \
  NN_KERNEL(add_to, void, (const T* x, T* y, int64_t n))                                                \
  /* dropout.inl: y[i] = word i of the hash >= threshold ? x[i] * scale : 0 */                           \
  NN_KERNEL(dropout, void, (const T* x, T* y, int64_t n, uint64_t key, int64_t group, uint32_t threshold, T scale)) \
  NN_REDUCE_KERNELS(NN_KERNEL)                                                                           \
  NN_OPTIM_KERNELS(NN_KERNEL)                                                                            \
  NN_SOFTMAX_KERNELS(NN_KERNEL)

// clang-format off
/* reduce.inl: op as in nn::cpu::Fold. Rows: y[r] = fold of x[r * row_step ...]; columns: y[j] = fold of x[... + j] */
#define NN_REDUCE_KERNELS(NN_KERNEL)                                                                                           \
  NN_KERNEL(reduce_rows, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t n, const T* centre,                \
                                int64_t centre_step, T* y))                                                                    \
  NN_KERNEL(reduce_cols, void, (int op, const T* x, int64_t row_step, int64_t rows, int64_t cols, const T* centre, T* y))      \
  NN_KERNEL(find_first, int64_t, (const T* x, int64_t n, T value))                                                             \
  NN_KERNEL(arg_cols, void, (bool smallest, const T* x, int64_t row_step, int64_t rows, int64_t cols, T* value, T* index))

/* softmax.inl: rows of n elements; columns of an (n, cols) matrix */
#define NN_SOFTMAX_KERNELS(NN_KERNEL)                                                                                          \
  NN_KERNEL(softmax_rows, void, (bool log, const T* x, int64_t rows, int64_t n, T* y))                                         \
  NN_KERNEL(softmax_cols, void, (bool log, const T* x, int64_t n, int64_t cols, T* y))                                         \
  NN_KERNEL(softmax_backward_rows, void, (bool log, const T* gy, const T* y, int64_t rows, int64_t n, T* gx))                  \
  NN_KERNEL(softmax_backward_cols, void, (bool log, const T* gy, const T* y, int64_t n, int64_t cols, T* gx))                  \
  NN_KERNEL(log_sum_exp_rows, void, (const T* x, int64_t rows, int64_t n, T* top, T* log_sum))                                 \
  NN_KERNEL(scaled_softmax_row, void, (const T* x, int64_t n, T top, T log_sum, T scale, T* y))

/* optim.inl */
#define NN_OPTIM_KERNELS(NN_KERNEL)                                                                                            \
  NN_KERNEL(sgd_update, void, (T* p, const T* g, T* b, int64_t n, T lr, T momentum, T dampening, T decay, bool nesterov,       \
                               T sign, bool first_step))                                                                       \
  NN_KERNEL(adam_update, void, (T* p, const T* g, T* m, T* v, T* top, int64_t n, T rate, T root, T beta1, T beta2, T eps,      \
                                T decay, T shrink, T sign))
// clang-format on

template <class T> struct Kernels {
#define NN_KERNEL(name, result, params) result(*name) params;
  NN_KERNELS(NN_KERNEL)
#undef NN_KERNEL
};

struct Isa {
  const char* name;
  Kernels<float> f32;
  Kernels<double> f64;
};

// dispatch.cpp: the table in use. Chosen at load: NNKERN_ISA if set, else the best that this CPU runs.
const Isa& isa();
template <class T> const Kernels<T>& kernels();
template <> inline const Kernels<float>& kernels<float>() { return isa().f32; }
template <> inline const Kernels<double>& kernels<double>() { return isa().f64; }

// Names of the tables in this build that this CPU can run, best first, space separated.
const char* available_isas();
// False if the name is unknown or the CPU lacks it (nothing changes then).
bool set_isa(const char* name);

}  // namespace nn
