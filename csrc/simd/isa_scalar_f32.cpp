#include "vec_scalar.h"

#define NN_TABLE scalar_f32
#define NN_NUMBER float
#include "isa.inl"
