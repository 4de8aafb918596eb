#include "vec_avx512.h"

#define NN_TABLE avx512_f32
#define NN_NUMBER float
#include "isa.inl"
