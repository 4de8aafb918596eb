#include "vec_avx2.h"

#define NN_TABLE avx2_f32
#define NN_NUMBER float
#include "isa.inl"
