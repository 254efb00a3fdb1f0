// Rows of tables.
#pragma once

#include "core/nn/variable.h"

namespace trainyard::nn {

// scale * table[index] for each index: table [v, d], indices int32 [...] in 0 … v - 1, or -1 for a
// row of zeros; the result is [..., d]. Throws for an index outside where the device is the host;
// elsewhere the caller has checked.
Variable Embed(const Variable& table, const Tensor& indices, double scale = 1);

}  // namespace trainyard::nn
