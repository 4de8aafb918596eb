// What is known of processors by name, where instruction sets don't tell.
#pragma once
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace nn {

inline bool is_intel() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  __cpuid(0, a, b, c, d);
  return b == signature_INTEL_ebx && c == signature_INTEL_ecx && d == signature_INTEL_edx;
#else
  return false;
#endif
}

}  // namespace nn
