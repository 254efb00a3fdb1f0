// What changes gradients and leaves values.
#pragma once

#include "core/nn/variable.h"

namespace trainyard::nn {

// x itself; its gradient is -factor times that of the result (Ganin and Lempitsky, "Unsupervised
// domain adaptation by backpropagation", 2015).
Variable ReverseGradient(const Variable& x, double factor);

// x as a constant.
inline Variable Detach(const Variable& x) { return x.Detached(); }

}  // namespace trainyard::nn
