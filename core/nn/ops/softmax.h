// Softmax along the last dimension.
#pragma once

#include "core/nn/variable.h"

namespace trainyard::nn {

Variable Softmax(const Variable& x);
Variable LogSoftmax(const Variable& x);

}  // namespace trainyard::nn
