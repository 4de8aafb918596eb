// Threaded kernels under ThreadSanitizer, without Python: each on 3 threads, from two callers at once, with
// the bits of one thread. Prints "ok"; a race, a wrong result or an error exits non-zero.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "memory.h"
#include "ops.h"
#include "parallel.h"
#include "simd/kernels.h"

using namespace nn;

template <class T> struct Owned {
  std::vector<T> data;
  std::vector<int64_t> shape, strides;
  Owned(std::vector<int64_t> shape_, int64_t modulus = 2001) : shape(shape_), strides(shape_.size()) {
    int64_t n = 1;
    for (size_t i = shape.size(); i-- > 0;) strides[i] = n * int64_t(sizeof(T)), n *= shape[i];
    data.resize(size_t(n));
    unsigned seed = unsigned(n);
    for (T& x : data) {
      seed = seed * 1664525u + 1013904223u;
      x = T(int64_t(seed >> 8) % modulus) / T(modulus > 1000 ? modulus / 4 : 1);
    }
  }
  View view() {
    return View{data.data(),  dtype_of<T>::value, true,    false, int(shape.size()),
                shape.data(), strides.data(),     nullptr, 0};
  }
  View turned() {  // a matrix, transposed
    std::swap(shape[0], shape[1]), std::swap(strides[0], strides[1]);
    return view();
  }
};

static OptView given(const View& v) {
  OptView o;
  static_cast<View&>(o) = v;
  o.given = true;
  return o;
}

static Operand operand(const View& v) {
  Operand o;
  static_cast<View&>(o) = v;
  return o;
}

static Ints axes(std::initializer_list<int64_t> list) {
  Ints a;
  for (int64_t x : list) a.items[a.count++] = x;
  return a;
}

using Job = std::function<Array()>;

static bool equal(const Array& a, const Array& b) {
  return a.size() == b.size() && memcmp(a.data, b.data, size_t(a.size() * itemsize(a.dtype))) == 0;
}

// The jobs' inputs live as long as the program.
template <class T> std::vector<std::pair<const char*, Job>> jobs() {
  static Owned<T> x({300, 517}), w({517, 259}), wide({6, 9, 40000}), row({40000}), bias({259}),
      wt({259, 517}), wt2({259, 517}), batch({8, 70, 60}), batch2({8, 60, 50});
  static const View xv = x.view(), wv = w.view(), widev = wide.view(), rowv = row.view(), bv = bias.view(),
                    wtv = wt.view(), wt2v = wt2.turned(), batchv = batch.view(), batch2v = batch2.view();
  const OptView none;
  return {
      {"matmul", [=] { return cpu::matmul_forward(xv, wv, none); }},
      {"matmul turned", [=] { return cpu::matmul_forward(xv, wt2v, none); }},
      {"matmul batched", [=] { return cpu::matmul_forward(batchv, batch2v, none); }},
      {"linear", [=] { return cpu::linear_forward(xv, wtv, given(bv), none, 1, 1, 0, none); }},
      {"exp", [=] { return cpu::exp_forward(widev, none); }},
      {"add", [=] { return cpu::add_forward(operand(widev), operand(rowv), none); }},
      {"eq", [=] { return cpu::eq_forward(operand(widev), operand(rowv), none); }},
      {"sum", [=] { return cpu::sum_forward(widev, axes({0, 1, 2}), false); }},
      {"sum of the middle", [=] { return cpu::sum_forward(widev, axes({1}), false); }},
      {"sum of rows", [=] { return cpu::sum_forward(widev, axes({0}), false); }},
      {"softmax", [=] { return cpu::softmax_forward(xv, 1, false); }},
      {"dropout", [=] { return cpu::dropout_forward(widev, 0.3, 7); }},
  };
}

template <class T> void check() {
  for (auto& [name, job] : jobs<T>()) {
    set_num_threads(1);
    const Array expected = job();
    set_num_threads(3);
    std::atomic<int> wrong{0};
    std::thread callers[2];
    for (auto& caller : callers)
      caller = std::thread([&, job = job] {
        for (int i = 0; i < 4; ++i) {
          const Array y = job();
          if (!equal(y, expected)) wrong++;
        }
      });
    for (auto& caller : callers) caller.join();
    if (wrong) {
      fprintf(stderr, "%s: 3 threads give other bits than 1\n", name);
      _exit(1);
    }
  }
}

int main() {
  check<float>();
  check<double>();
  puts("ok");
}
