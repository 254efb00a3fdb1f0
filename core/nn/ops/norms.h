// Normalisation of the last dimension.
#pragma once

#include "core/nn/variable.h"
#include "core/tensor/kernels/norm_kernels.h"

namespace trainyard::nn {

// See NormKind. x [..., d]; gain [d], for kScale [1]; bias [d] for kLayer, or undefined.
Variable Normalize(NormKind kind, const Variable& x, const Variable& gain, const Variable& bias,
                   double epsilon);

}  // namespace trainyard::nn
