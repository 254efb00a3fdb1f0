// Numbers that are computed side by side: what the element-wise functions are written in.
//
// Each file that includes this gets `Lanes` (with its element type `Scalar`) for the instruction
// set it is compiled for, in a namespace of that name; TRAINYARD_LANES_DOUBLE asks for one double.
// Code for different instruction sets must not be taken for the same, so nothing from the standard
// library is used in what is compiled for the wider ones, and all that is built on lanes belongs in
// the namespace TRAINYARD_LANES.
//
// A lane's result depends on nothing but its own inputs: first, last or masked gives the same bits.
#pragma once

#if defined(TRAINYARD_LANES_DOUBLE)
#define TRAINYARD_LANES lanes_double
#include "core/tensor/cpu/lanes_double.h"
#elif defined(__AVX512F__)
#define TRAINYARD_LANES lanes_avx512
#include "core/tensor/cpu/lanes_avx512.h"
#include "core/tensor/cpu/lanes_math.h"
#else
#define TRAINYARD_LANES lanes_avx2
#include "core/tensor/cpu/lanes_avx2.h"
#include "core/tensor/cpu/lanes_math.h"
#endif
