#include "vec_neon.h"

#define NN_TABLE neon_f64
#define NN_NUMBER double
#include "isa.inl"
