#include "vec_avx512.h"

#define NN_ISA avx512
#include "isa.inl"
