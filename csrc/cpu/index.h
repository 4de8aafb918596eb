// What reading and writing by index have in common.
#pragma once
#include "../ops.h"

namespace nn::cpu {

constexpr int64_t kGrainBytes = 128 << 10;

[[noreturn]] void out_of_range(const char* op, int64_t value, const View& index, int64_t flat, int64_t size,
                               int64_t axis);
int64_t check_axis(const char* op, const View& x, int64_t axis);
Array start_from(const char* op, const View& x, const View& index, const View& source, const OptView& out);

}  // namespace nn::cpu
