// The strided copy engine: what clone, cat, pad and every op that must pack an array stand on.
#pragma once
#include "../view.h"

namespace nn::cpu {

// to[...] = from[...]: equal shapes, equal item sizes, any strides (0 in `from` repeats it); memory must not
// overlap.
void copy(const View& from, const View& to);

}  // namespace nn::cpu
