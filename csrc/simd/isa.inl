// Included last by each isa_<isa>_<dtype>.cpp, after its vec_<isa>.h: all kernel bodies, then the table
// NN_TABLE of those for NN_NUMBER. (A file each: they are the longest compiles, and run side by side.)
#include <math.h>

#include "kernels.h"

// What other bodies use.
#include "copy.inl"
#include "pieces.inl"

#include "math.inl"

#include "log.inl"  // stands on math.inl

#include "activation.inl"
#include "ctc.inl"
#include "dropout.inl"
#include "elementwise.inl"
#include "gate.inl"
#include "grid_sample.inl"
#include "interpolate.inl"
#include "interpolate_u8.inl"
#include "loss.inl"
#include "optim.inl"
#include "pool_fractional.inl"
#include "probe.inl"
#include "recurrent.inl"
#include "reduce.inl"
#include "remainder.inl"
#include "softmax.inl"
#include "winograd_maps.inl"

#include "attention.inl"        // stands on softmax.inl
#include "attention_query.inl"  // stands on softmax.inl
#include "gemm.inl"             // stands on reduce.inl
#include "norm.inl"             // stands on reduce.inl
#include "pool.inl"             // stands on reduce.inl
#include "response_norm.inl"    // stands on norm.inl and reduce.inl
#include "winograd.inl"         // stands on winograd_maps.inl

#include "conv.inl"        // stands on gemm.inl
#include "distance.inl"    // stands on norm.inl
#include "layer_norm.inl"  // stands on norm.inl
#include "pool_parts.inl"  // stands on pool.inl

#include "pool_grad.inl"  // stands on pool_parts.inl

#include "depthwise.inl"  // stands on pool_grad.inl

namespace nn {
extern const Kernels<NN_NUMBER> NN_TABLE;
const Kernels<NN_NUMBER> NN_TABLE = {
#define NN_KERNEL(name, result, params) &name<NN_NUMBER>,
    NN_KERNELS(NN_KERNEL)
#undef NN_KERNEL
};
}  // namespace nn
