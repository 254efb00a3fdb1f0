// Products with Monarch matrices.
#pragma once

#include <cstdint>

#include "core/nn/variable.h"

namespace trainyard::nn {

// x M' + bias with the Monarch matrix of factors w1 [K, q, p] and w2 [L, s, r], K q = L r (Dao et
// al., section 3; see MonarchArguments): x [..., in], in <= K p; `out` <= L s columns; bias [out]
// or undefined.
Variable MonarchProduct(const Variable& x, const Variable& w1, const Variable& w2,
                        const Variable& bias, int64_t out);

}  // namespace trainyard::nn
