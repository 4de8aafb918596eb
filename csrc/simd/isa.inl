// Included last by each isa_<isa>.cpp, after its vec_<isa>.h: all kernel bodies, then the table as
// `isa_<NN_ISA>`.
#include <math.h>

#include "kernels.h"

// What other bodies use.
#include "copy.inl"
#include "math.inl"

#include "activation.inl"
#include "ctc.inl"
#include "dropout.inl"
#include "elementwise.inl"
#include "gate.inl"
#include "gemm.inl"
#include "grid_sample.inl"
#include "interpolate.inl"
#include "loss.inl"
#include "optim.inl"
#include "probe.inl"
#include "recurrent.inl"
#include "reduce.inl"
#include "softmax.inl"
#include "winograd.inl"

#include "attention.inl"        // stands on softmax.inl
#include "attention_query.inl"  // stands on softmax.inl
#include "conv.inl"             // stands on gemm.inl
#include "norm.inl"             // stands on reduce.inl
#include "pool.inl"             // stands on reduce.inl
#include "response_norm.inl"    // stands on norm.inl and reduce.inl

#include "distance.inl"    // stands on norm.inl
#include "layer_norm.inl"  // stands on norm.inl

#define NN_CONCAT_(a, b) a##b
#define NN_CONCAT(a, b) NN_CONCAT_(a, b)
#define NN_TEXT_(a) #a
#define NN_TEXT(a) NN_TEXT_(a)

namespace nn {
extern const Isa NN_CONCAT(isa_, NN_ISA);
const Isa NN_CONCAT(isa_, NN_ISA) = {
    NN_TEXT(NN_ISA),
#define NN_KERNEL(name, result, params) &name<T>,
#define T float
    {NN_KERNELS(NN_KERNEL)},
#undef T
#define T double
    {NN_KERNELS(NN_KERNEL)},
#undef T
#undef NN_KERNEL
};
}  // namespace nn
