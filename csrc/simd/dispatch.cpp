// Which table runs: best first by cpuid; NNKERN_ISA and set_isa() override.
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <stdexcept>
#include <string>

#include "../processor.h"
#include "kernels.h"

namespace nn {

const bool lines_are_fetched = fetches_lines();

#define NN_TABLES(name)                    \
  extern const Kernels<float> name##_f32;  \
  extern const Kernels<double> name##_f64; \
  const Isa isa_##name = {#name, &name##_f32, &name##_f64};
#if defined(__x86_64__)
NN_TABLES(avx512)
NN_TABLES(avx2)
#elif defined(__aarch64__)
NN_TABLES(neon)
#endif
NN_TABLES(scalar)
#undef NN_TABLES

namespace {

struct Candidate {
  const Isa* table;
  bool (*runs)();
};

bool always() { return true; }

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
#endif

const Candidate candidates[] = {
#if defined(__x86_64__)
    {&isa_avx512, has_avx512},
    {&isa_avx2, has_avx2},
#elif defined(__aarch64__)
    {&isa_neon, always},
#endif
    {&isa_scalar, always},
};

const Isa* find(const char* name) {
  for (const Candidate& c : candidates)
    if ((!name || !strcmp(name, c.table->name)) && c.runs()) return c.table;
  return nullptr;
}

const Isa* first_choice() {
#if defined(__x86_64__)
  __builtin_cpu_init();
#endif
  const char* wanted = getenv("NNKERN_ISA");
  if (!wanted || !*wanted) return find(nullptr);
  if (const Isa* table = find(wanted)) return table;
  throw std::invalid_argument("NNKERN_ISA=" + std::string(wanted) + ": this CPU and build run only " +
                              available_isas());
}

std::atomic<const Isa*>& current() {
  static std::atomic<const Isa*> table{first_choice()};
  return table;
}

}  // namespace

const Isa& isa() { return *current().load(std::memory_order_relaxed); }

bool set_isa(const char* name) {
  const Isa* table = find(name);
  if (table) current().store(table, std::memory_order_relaxed);
  return table != nullptr;
}

const char* available_isas() {
  static const std::string names = [] {
    std::string s;
    for (const Candidate& c : candidates)
      if (c.runs()) s += (s.empty() ? "" : " ") + std::string(c.table->name);
    return s;
  }();
  return names.c_str();
}

}  // namespace nn
