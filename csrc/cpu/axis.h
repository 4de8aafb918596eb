// An axis that may count from the end, and an array seen as (outer, n, inner) about it.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>

#include "../view.h"

namespace nn::cpu {

// Its number from the front.
inline int64_t axis_of(const char* op, const View& x, int64_t axis, int64_t dims) {
  if (axis < -dims || axis >= dims)
    throw std::out_of_range(std::string(op) + ": dim " + std::to_string(axis) +
                            " does not exist (x.shape=" + text(x) + ")");
  return axis < 0 ? axis + dims : axis;
}

struct AboutAxis {
  int64_t outer = 1, n = 1, inner = 1;
  AboutAxis(const char* op, const View& x, int64_t axis) {
    axis = axis_of(op, x, axis, std::max(1, x.ndim));  // a 0-d array has an axis of one element
    for (int i = 0; i < x.ndim; ++i) (i < axis ? outer : i == axis ? n : inner) *= x.shape[i];
  }
};

}  // namespace nn::cpu
