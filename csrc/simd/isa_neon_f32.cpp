#include "vec_neon.h"

#define NN_TABLE neon_f32
#define NN_NUMBER float
#include "isa.inl"
