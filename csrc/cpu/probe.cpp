// Measures the limits that benchmarks are judged by. Not ops: nothing here has a gradient.
#include "probe.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "../memory.h"
#include "../parallel.h"
#include "../simd/kernels.h"

namespace nn::cpu {
namespace {

// Of eight times; of three, where they are long: what is slow because it is large is steady.
template <class F> double best_seconds(F&& f) {
  double best = 1e9, total = 0;
  for (int i = 0; i < 8 && (i < 3 || total < 0.2); ++i) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, seconds), total += seconds;
  }
  return best;
}

template <class T> double flops_per_second(int threads) {
  constexpr int64_t rounds = 400000;
  Workspace<T> sink(static_cast<size_t>(threads));
  const double seconds = best_seconds([&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sink[i] = kernels<T>().probe_fma(rounds);
    });
  });
  return 2.0 * 12 * kernels<T>().gemm_shape().width * double(rounds) * threads / seconds;
}

}  // namespace

double probe_flops(bool is_double, int threads) {
  return is_double ? flops_per_second<double>(threads) : flops_per_second<float>(threads);
}

double probe_read(int64_t bytes, int threads) {
  const int64_t n = bytes / int64_t(sizeof(float));
  Workspace<float> x(static_cast<size_t>(n));
  std::fill(x + 0, x + n, 1.0f);
  const int64_t part = (n + threads - 1) / threads;
  const int inner = int(std::max<int64_t>(1, (int64_t(32) << 20) / bytes));
  Workspace<float> sink(static_cast<size_t>(threads));
  const double seconds = best_seconds([&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t) {
      for (int i = 0; i < inner; ++i)
        sink[begin] = kernels<float>().probe_read(x + begin * part, std::min(part, n - begin * part));
    });
  });
  return double(bytes) * inner / seconds;
}

double probe_write(int64_t bytes, int threads) {
  const int64_t n = bytes / int64_t(sizeof(float));
  Workspace<float> x(static_cast<size_t>(n));
  std::fill(x + 0, x + n, 1.0f);
  const int64_t part = n / threads / 16 * 16;  // whole cache lines
  const int inner = int(std::max<int64_t>(1, (int64_t(32) << 20) / bytes));
  double best = 1e9;
  for (const bool past_cache : {false, true})
    best = std::min(best, best_seconds([&] {
                      parallel_for(threads, 1, [&](int64_t begin, int64_t) {
                        for (int i = 0; i < inner; ++i)
                          kernels<float>().probe_write(x + begin * part, part, past_cache);
                      });
                    }));
  return double(part) * threads * sizeof(float) * inner / best;
}

double probe_copy(int64_t bytes, int threads) {
  Workspace<char> x(static_cast<size_t>(bytes)), y(static_cast<size_t>(bytes));
  std::memset(x, 1, size_t(bytes));
  std::memset(y, 2, size_t(bytes));
  const int64_t part = (bytes + threads - 1) / threads;
  const int inner = int(std::max<int64_t>(1, (int64_t(32) << 20) / bytes));
  const double seconds = best_seconds([&] {
    parallel_for(threads, 1, [&](int64_t begin, int64_t) {
      for (int i = 0; i < inner; ++i)
        std::memcpy(y + begin * part, x + begin * part, size_t(std::min(part, bytes - begin * part)));
    });
  });
  return 2.0 * double(bytes) * inner / seconds;
}

}  // namespace nn::cpu
