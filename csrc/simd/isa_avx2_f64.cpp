#include "vec_avx2.h"

#define NN_TABLE avx2_f64
#define NN_NUMBER double
#include "isa.inl"
