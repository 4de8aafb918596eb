#include "vec_scalar.h"

#define NN_TABLE scalar_f64
#define NN_NUMBER double
#include "isa.inl"
