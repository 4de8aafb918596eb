#include "vec_scalar.h"

#define NN_ISA scalar
#include "isa.inl"
