// The machine's measured limits, per second: floating-point operations, bytes read, bytes read, bytes
// written, bytes copied (read + written).
#pragma once
#include <stdint.h>

namespace nn::cpu {

double probe_flops(bool is_double, int threads);
double probe_read(int64_t bytes, int threads);
double probe_write(int64_t bytes, int threads);
double probe_copy(int64_t bytes, int threads);

}  // namespace nn::cpu
