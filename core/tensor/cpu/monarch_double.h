// Monarch layers in double, term by term: what the fast kernels are checked by.
#pragma once

#include "core/tensor/kernels/structured_kernels.h"

namespace trainyard {

void MonarchInDouble(const MonarchArguments& arguments);
void MonarchBackwardInDouble(const MonarchArguments& forward, const MonarchGradients& gradients);

}  // namespace trainyard
