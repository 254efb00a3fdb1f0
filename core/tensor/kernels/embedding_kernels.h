// Rows of tables by index.
#pragma once

#include "core/tensor/tensor.h"

namespace trainyard {

// Tables [v, d] in float32 or float64, contiguous; indices int32 [n], contiguous, in 0 … v - 1 (the
// caller has checked), or -1 for a row of zeros.
class EmbeddingKernels {
 public:
  virtual ~EmbeddingKernels() = default;
  // out [n, d]: row i is scale * table[indices[i]].
  virtual void Gather(const Tensor& table, const Tensor& indices, double scale,
                      const Tensor& out) = 0;
  // dtable[indices[i]] += scale * dy[i], in the order of i for every row of the table.
  virtual void ScatterAdd(const Tensor& indices, const Tensor& dy, double scale,
                          const Tensor& dtable) = 0;
};

}  // namespace trainyard
