// What is known of processors where instruction sets don't tell.
#pragma once
#include <stdint.h>
#include <unistd.h>
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

// AMD's Zen 3 and 4 fetch what lies ahead on straight lines by themselves; asked for it they are slower, by
// up to a third. Zen 5 and Intel's gain.
inline bool fetches_lines() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  __cpuid(0, a, b, c, d);
  if (b != signature_AMD_ebx || c != signature_AMD_ecx || d != signature_AMD_edx) return false;
  __cpuid(1, a, b, c, d);
  return (a >> 8 & 15) + (a >> 20 & 255) == 0x19;
#else
  return false;
#endif
}

// A core's second cache; 1 MB where the system doesn't say.
inline int64_t l2_bytes() {
#if defined(_SC_LEVEL2_CACHE_SIZE)
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
  if (bytes > 0) return bytes;
#endif
  return 1 << 20;
}

}  // namespace nn
