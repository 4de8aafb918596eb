#include "parallel.h"

namespace nn {
int num_threads() { return 1; }
void set_num_threads(int) {}
const char* num_threads_reason() { return "1: not built yet"; }
void parallel_run(int64_t n, int64_t grain, ChunkFn f, void* context) {
  for (int64_t b = 0; b < n; b += grain) f(context, b, b + grain < n ? b + grain : n);
}
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
}  // namespace nn
