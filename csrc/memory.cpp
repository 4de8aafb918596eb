#include "memory.h"

#include <cstdlib>
#include <new>

namespace nn {
void* allocate(size_t bytes) {
  void* p = std::aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!p) throw std::bad_alloc();
  return p;
}
void release(void* block) noexcept { std::free(block); }
void* reallocate(void* block, size_t bytes) { return std::realloc(block, bytes); }
MemoryStats memory_stats() { return {}; }
void empty_cache() {}
void set_memory_cap(uint64_t) {}
void set_poison(bool) {}
}  // namespace nn
