// Size classes, four per octave (at most a quarter of a block is slack). A block is one system allocation
// with a 64-byte header in front; freed blocks wait in a small list of their thread (small sizes), else in a
// common list.
#include "memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <new>

#include "processor.h"

#if defined(__SANITIZE_ADDRESS__)
#define NN_RECYCLE \
  0  // every block its own allocation, so that the sanitizer sees overflow and use after free
#else
#define NN_RECYCLE 1
#endif

namespace nn {
namespace {

struct Header {
  size_t capacity;  // bytes behind the header
  uint32_t size_class;
  uint32_t mapped;  // from mmap, not malloc
  size_t mapping;   // bytes in front of the header that belong to the same mapping
  Header* next;     // in a free list
};
constexpr size_t kHeader = 64;
static_assert(sizeof(Header) <= kHeader);

constexpr int kClasses = 176;
constexpr size_t kMapFrom = size_t(1)
                            << 20;  // larger blocks come from mmap, so that they can go back to the system
constexpr size_t kHugeFrom = size_t(4) << 20;  // and ask for huge pages, aligned to one
constexpr size_t kHugePage = size_t(2) << 20;
constexpr size_t kLocalLimit = size_t(32) << 10;  // largest block in a thread's own list
constexpr int kLocalCount = 8;                    // per size class

uint32_t class_of(size_t bytes) {
  if (bytes <= 64) return 0;
  const int b = 64 - __builtin_clzll(bytes - 1);  // 2^(b-1) < bytes <= 2^b
  const size_t base = size_t(1) << (b - 1);
  return uint32_t((b - 7) * 4 + (bytes - 1 - base) / (base / 4) + 1);
}

size_t class_bytes(uint32_t c) {
  if (c == 0) return 64;
  const size_t base = size_t(64) << ((c - 1) / 4);
  return base + ((c - 1) % 4 + 1) * (base / 4);
}

struct Common {
  std::mutex mutex;
  Header* free_list[kClasses] = {};
  std::atomic<uint64_t> cached{0}, live{0}, cap{0}, system_calls{0}, reused{0};
  std::atomic<bool> poison{false};

  // An eighth of the memory (of the container's, if it has a limit), at most 1 GiB.
  Common() {
    uint64_t memory = uint64_t(sysconf(_SC_PHYS_PAGES)) * uint64_t(sysconf(_SC_PAGE_SIZE));
    for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"})
      if (FILE* file = fopen(path, "r")) {
        unsigned long long limit;
        if (fscanf(file, "%llu", &limit) == 1 && limit < memory) memory = limit;
        fclose(file);
      }
    cap = memory / 8 < (uint64_t(1) << 30) ? memory / 8 : uint64_t(1) << 30;
  }
};

// Never destroyed: arrays may be freed after static destructors ran.
Common& common() {
  static Common& c = *[] {
    auto* made = new Common;
    pthread_atfork([] { common().mutex.lock(); }, [] { common().mutex.unlock(); },
                   [] { common().mutex.unlock(); });
    return made;
  }();
  return c;
}

void* payload(Header* h) { return reinterpret_cast<char*>(h) + kHeader; }
Header* header(void* block) { return reinterpret_cast<Header*>(static_cast<char*>(block) - kHeader); }

Header* from_system(uint32_t size_class, [[maybe_unused]] size_t bytes) {
#if !NN_RECYCLE
  // Exactly as large as asked for, so that one byte too far is seen.
  char* exact = static_cast<char*>(malloc(kHeader * 2 + bytes));
  if (!exact) return nullptr;
  char* aligned = exact + (kHeader - reinterpret_cast<uintptr_t>(exact) % kHeader) % kHeader;
  return new (aligned) Header{bytes, size_class, 0, size_t(aligned - exact), nullptr};
#endif
  const size_t capacity = class_bytes(size_class);
  char* start;
  size_t mapping = 0;
  if (capacity < kMapFrom) {
    start = static_cast<char*>(aligned_alloc(64, (capacity + kHeader + 63) / 64 * 64));
    if (!start) return nullptr;
  } else {
    // The payload starts on a (huge) page, its header right before it.
    const size_t align = capacity >= kHugeFrom ? kHugePage : size_t(4096);
    const size_t bytes = capacity + 2 * align;
    void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    const uintptr_t first = reinterpret_cast<uintptr_t>(p);
    const uintptr_t data = (first + kHeader + align - 1) / align * align;
    start = reinterpret_cast<char*>(data - kHeader);
    mapping = data - kHeader - first;
    if (capacity >= kHugeFrom) madvise(reinterpret_cast<void*>(data), capacity, MADV_HUGEPAGE);
    auto* h = new (start) Header{capacity, size_class, 1, mapping, nullptr};
    return h;
  }
  return new (start) Header{capacity, size_class, 0, 0, nullptr};
}

void to_system(Header* h) {
  if (!h->mapped) return free(reinterpret_cast<char*>(h) - h->mapping);
  const size_t align = h->capacity >= kHugeFrom ? kHugePage : size_t(4096);
  munmap(reinterpret_cast<char*>(h) - h->mapping, h->capacity + 2 * align);
}

#if NN_RECYCLE
// The newest block always stays: shapes that were just used come again. Over the cap, other sizes make room
// for it.
void to_common(Header* h) {
  Common& c = common();
  const uint64_t cap = c.cap.load(std::memory_order_relaxed);
  if (h->capacity > cap) return to_system(h);
  std::lock_guard<std::mutex> lock(c.mutex);
  for (int i = kClasses - 1; i >= 0 && c.cached + h->capacity > cap; --i)
    while (c.free_list[i] && c.cached + h->capacity > cap && i != int(h->size_class)) {
      Header* old = c.free_list[i];
      c.free_list[i] = old->next;
      c.cached -= old->capacity;
      to_system(old);
    }
  if (c.cached + h->capacity > cap) return to_system(h);
  c.cached += h->capacity;
  h->next = c.free_list[h->size_class];
  c.free_list[h->size_class] = h;
}

// A thread's own few small blocks: no lock, no atomic.
struct Local {
  Header* list[kClasses] = {};
  uint8_t count[kClasses] = {};
  ~Local();
};
thread_local bool local_gone = false;  // arrays may die after this thread's destructors ran
thread_local Local local;

Local::~Local() {
  local_gone = true;
  for (Header*& first : list)
    while (first) {
      Header* h = first;
      first = h->next;
      to_common(h);
    }
}

bool is_small(size_t capacity) { return capacity <= kLocalLimit; }
#endif

Header* take(uint32_t size_class, size_t bytes) {
#if NN_RECYCLE
  if (is_small(class_bytes(size_class)) && !local_gone) {
    if (Header* h = local.list[size_class]) {
      local.list[size_class] = h->next;
      --local.count[size_class];
      return h;
    }
  }
  Common& c = common();
  {
    std::lock_guard<std::mutex> lock(c.mutex);
    if (Header* h = c.free_list[size_class]) {
      c.free_list[size_class] = h->next;
      c.cached -= h->capacity;
      c.reused.fetch_add(1, std::memory_order_relaxed);
      return h;
    }
  }
#endif
  common().system_calls.fetch_add(1, std::memory_order_relaxed);
  return from_system(size_class, bytes);
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > (size_t(1) << 46)) throw std::bad_alloc();
  const uint32_t size_class = class_of(bytes);
  Header* h = take(size_class, bytes);
  if (!h) {
    empty_cache();
    h = from_system(size_class, bytes);
    if (!h) throw std::bad_alloc();
  }
  Common& c = common();
  if (h->capacity > kLocalLimit) c.live.fetch_add(h->capacity, std::memory_order_relaxed);
  if (c.poison.load(std::memory_order_relaxed)) memset(payload(h), 0xff, bytes);
  return payload(h);
}

void release(void* block) noexcept {
  if (!block) return;
  Header* h = header(block);
  if (h->capacity > kLocalLimit) common().live.fetch_sub(h->capacity, std::memory_order_relaxed);
#if NN_RECYCLE
  if (is_small(h->capacity) && !local_gone && local.count[h->size_class] < kLocalCount) {
    h->next = local.list[h->size_class];
    local.list[h->size_class] = h;
    ++local.count[h->size_class];
    return;
  }
  to_common(h);
#else
  to_system(h);
#endif
}

void* reallocate(void* block, size_t bytes) {
  if (!block) return allocate(bytes);
  const size_t old = header(block)->capacity;
  void* fresh = allocate(bytes);
  memcpy(fresh, block, old < bytes ? old : bytes);
  release(block);
  return fresh;
}

MemoryStats memory_stats() {
  Common& c = common();
  return {c.live, c.cached, c.cap, c.system_calls, c.reused};
}

void empty_cache() {
  Common& c = common();
#if NN_RECYCLE
  if (!local_gone)
    for (int i = 0; i < kClasses; ++i)
      for (; local.list[i]; --local.count[i]) {
        Header* h = local.list[i];
        local.list[i] = h->next;
        to_system(h);
      }
#endif
  std::lock_guard<std::mutex> lock(c.mutex);
  for (Header*& first : c.free_list)
    while (first) {
      Header* h = first;
      first = h->next;
      c.cached -= h->capacity;
      to_system(h);
    }
}

void set_memory_cap(uint64_t bytes) {
  common().cap = bytes;
  if (common().cached > bytes) empty_cache();
}

void set_poison(bool on) { common().poison = on; }

namespace {

// Intel's servers have a last cache that reads as slowly as memory: not one that holds what the caches before
// it do, and far from the cores.
bool is_last_cache_slow() {
#if defined(__x86_64__)
  unsigned a, b, c, d;
  return is_intel() && __get_cpuid_count(4, 3, &a, &b, &c, &d) && (a >> 5 & 7) == 3 && !(d & 2);
#else
  return false;
#endif
}

}  // namespace

size_t past_caches_from() {
  static const size_t bytes = size_t(is_last_cache_slow() ? 3 : 16) << 20;  // measured on both kinds
  return bytes;
}

}  // namespace nn
