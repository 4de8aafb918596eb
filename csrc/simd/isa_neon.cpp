#include "vec_neon.h"

#define NN_ISA neon
#include "isa.inl"
