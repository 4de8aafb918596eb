// The only allocation: blocks for outputs and workspaces, recycled by size class.
//
// Writing to fresh pages costs several times more than writing to warm ones (the kernel zeroes them), so
// blocks come back to a free list instead of the system, up to a cap. Blocks are 64-byte aligned; large ones
// ask for huge pages.
#pragma once
#include <cstddef>
#include <cstdint>

namespace nn {

void* allocate(size_t bytes);  // never null (bytes 0 gives a valid block); throws std::bad_alloc
void* reallocate(void* block, size_t bytes);  // keeps the contents, as realloc
void release(void* block) noexcept;

struct MemoryStats {
  uint64_t live_bytes;    // in use, of blocks above 32 KiB (smaller ones are not counted: counting costs more
                          // than they do)
  uint64_t cached_bytes;  // waiting in the common free lists
  uint64_t cap_bytes;     // the most that may wait
  uint64_t system_calls, reused_calls;
};
MemoryStats memory_stats();
void empty_cache();  // free blocks go back to the system (other threads keep a few small ones each)
void set_memory_cap(uint64_t);  // bytes that may wait in free lists
void set_poison(bool);  // tests: fill every new block with 0xFF (NaN), so that a skipped element shows

// From how many bytes on a result should be stored past the caches: no cache will keep it, so that reading
// the lines it overwrites costs more than it would save to find them there.
size_t past_caches_from();

// Scratch for the length of a scope: Workspace<float> panel(n); panel[i] = ...
template <class T> class Workspace {
 public:
  explicit Workspace(size_t count) : data_(static_cast<T*>(allocate(count * sizeof(T)))) {}
  ~Workspace() { release(data_); }
  Workspace(const Workspace&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

}  // namespace nn
