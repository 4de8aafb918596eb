// Optimiser steps, in place, one call for all parameters: small networks would spend their time in calls
// otherwise. Formulas and their order are torch.optim's. Bound by bytes.
#include <cmath>
#include <optional>

#include "../memory.h"
#include "../ops.h"
#include "../parallel.h"
#include "../simd/kernels.h"
#include "copy.h"

namespace nn::cpu {
namespace {

constexpr int64_t kGrain = 1 << 15;  // elements
constexpr int kMaxRoles = 5;

// One kind of array that a step works with: the parameters, their gradients, a state.
struct Role {
  const char* name;
  const Views& arrays;
  bool written;
};

bool meet(const View& a, const View& b) { return a.data == b.data || overlaps(a, b); }

void check(const char* op, const Role* roles, int count) {
  const Views& params = roles[0].arrays;
  for (int r = 0; r < count; ++r)
    if (roles[r].arrays.count != params.count)
      throw std::invalid_argument(std::string(op) + ": " + std::to_string(params.count) + " params but " +
                                  std::to_string(roles[r].arrays.count) + " " + roles[r].name);
  for (int i = 0; i < params.count; ++i) {
    const View& p = params[i];
    const std::string at = "[" + std::to_string(i) + "]", p_name = roles[0].name + at;
    for (int r = 0; r < count; ++r) {
      const View& a = roles[r].arrays[i];
      const std::string name = roles[r].name + at;
      common_dtype(op, {{p_name.c_str(), p}, {name.c_str(), a}});
      bool same = a.ndim == p.ndim;
      for (int d = 0; same && d < p.ndim; ++d) same = a.shape[d] == p.shape[d];
      if (!same)
        fail(op, name + " must have the shape of its parameter", {{p_name.c_str(), p}, {name.c_str(), a}});
      if (roles[r].written && !a.writeable)
        throw std::invalid_argument(std::string(op) + ": " + name + " is read-only");
      for (int q = 0; q < r && p.size(); ++q)
        if (meet(roles[q].arrays[i], a))
          fail(op, name + " shares memory with " + roles[q].name + at, {{name.c_str(), a}});
    }
  }
}

// C-contiguous memory seen in the shape of v.
struct Compact : View {
  int64_t dense_strides[kMaxDims];
  Compact(void* memory, const View& v) : View(v) {
    data = memory, strides = dense_strides;
    int64_t step = itemsize(v.dtype);
    for (int d = v.ndim - 1; d >= 0; --d) dense_strides[d] = step, step *= v.shape[d];
  }
  Compact(const Compact&) = delete;
};

// f(pointers of all roles, begin, end) on contiguous elements of parameter i; others are packed and put back.
template <class T, class F> void each_part(const Role* roles, int count, int i, F&& f) {
  T* at[kMaxRoles] = {};
  std::optional<Workspace<T>> packed[kMaxRoles];
  for (int r = 0; r < count; ++r) {
    const View& a = roles[r].arrays[i];
    at[r] = a.as<T>();
    if (a.contiguous()) continue;
    at[r] = packed[r].emplace(size_t(a.size()));
    copy(a, Compact(at[r], a));
  }
  parallel_for(roles[0].arrays[i].size(), kGrain,
               [&](int64_t begin, int64_t end) { f(at, begin, end - begin); });
  for (int r = 0; r < count; ++r) {
    if (!packed[r]) continue;
    const View& a = roles[r].arrays[i];
    if (roles[r].written) copy(Compact(at[r], a), a);
  }
}

}  // namespace

void sgd_step(const Views& params, const Views& grads, const Views& momentum_buffers, double lr,
              double momentum, double dampening, double weight_decay, bool nesterov, bool maximize,
              bool first_step) {
  const Role roles[] = {
      {"params", params, true}, {"grads", grads, false}, {"momentum_buffers", momentum_buffers, true}};
  const int count = momentum != 0 ? 3 : 2;
  check("sgd_step", roles, count);
  for (int i = 0; i < params.count; ++i)
    dispatch(params[i].dtype, [&](auto t) {
      using T = decltype(t);
      each_part<T>(roles, count, i, [&](T** at, int64_t from, int64_t n) {
        kernels<T>().sgd_update(at[0] + from, at[1] + from, at[2] ? at[2] + from : nullptr, n, T(lr),
                                T(momentum), T(dampening), T(weight_decay), nesterov, maximize ? T(-1) : T(1),
                                first_step);
      });
    });
}

void adam_step(const Views& params, const Views& grads, const Views& exp_avgs, const Views& exp_avg_sqs,
               const Views& max_exp_avg_sqs, double step, double lr, double beta1, double beta2, double eps,
               double weight_decay, bool decoupled, bool amsgrad, bool maximize) {
  const Role roles[] = {{"params", params, true},
                        {"grads", grads, false},
                        {"exp_avgs", exp_avgs, true},
                        {"exp_avg_sqs", exp_avg_sqs, true},
                        {"max_exp_avg_sqs", max_exp_avg_sqs, true}};
  const int count = amsgrad ? 5 : 4;
  check("adam_step", roles, count);
  const double rate = lr / (1 - std::pow(beta1, step)), root = std::sqrt(1 - std::pow(beta2, step));
  const double decay = decoupled ? 0 : weight_decay, shrink = decoupled ? 1 - lr * weight_decay : 1;
  for (int i = 0; i < params.count; ++i)
    dispatch(params[i].dtype, [&](auto t) {
      using T = decltype(t);
      each_part<T>(roles, count, i, [&](T** at, int64_t from, int64_t n) {
        kernels<T>().adam_update(at[0] + from, at[1] + from, at[2] + from, at[3] + from,
                                 at[4] ? at[4] + from : nullptr, n, T(rate), T(root), T(1 - beta1),
                                 T(1 - beta2), T(eps), T(decay), T(shrink), maximize ? T(-1) : T(1));
      });
    });
}

}  // namespace nn::cpu
