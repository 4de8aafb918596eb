// The only threads. parallel_for cuts [0, n) into equal chunks of at most `grain`. A thread takes those of
// its own part of [0, n), then those that others have not yet begun.
//
// The chunks depend on n and grain alone, never on the number of threads: a kernel that reduces per chunk and
// then sums the chunks in order gives the same bits for any thread count. Calls inside a chunk are serial.
// Exceptions thrown by a chunk reach the caller. A forked child gets a pool of its own.
#pragma once
#include <cstdint>

namespace nn {

// How many threads the next parallel_for may use (the caller included).
int num_threads();
void set_num_threads(int n);
// "2: affinity 2, cgroup quota none, NNKERN_NUM_THREADS unset"
const char* num_threads_reason();

using ChunkFn = void (*)(void* context, int64_t begin, int64_t end);
void parallel_run(int64_t n, int64_t grain, ChunkFn f, void* context);

// f(begin, end) for each chunk. `grain` should be worth >= 20 us, so that small work stays in one chunk
// (serial).
template <class F> void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0) return;
  if (n <= grain) return f(int64_t(0), n);
  parallel_run(n, grain, [](void* c, int64_t b, int64_t e) { (*static_cast<F*>(c))(b, e); }, &f);
}

// Inside kernels denormals are zero; the caller's MXCSR/FPCR comes back at the end of the scope.
// bind.h opens one around every kernel and the pool's threads live in one.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace nn
