#include "vec_avx512.h"

#define NN_TABLE avx512_f64
#define NN_NUMBER double
#include "isa.inl"
