#include "vec_avx2.h"

#define NN_ISA avx2
#include "isa.inl"
