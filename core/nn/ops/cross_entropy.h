// Cross-entropy with classes.
#pragma once

#include <cstdint>

#include "core/nn/variable.h"

namespace trainyard::nn {

// Which rows count and how much.
struct CrossEntropyOptions {
  // [n], of the type of the logits, or undefined: 1 for each row.
  Tensor weights;
  // The loss is the sum over rows divided by this.
  double divisor = 1;
};

// sum over rows i of w_i * -log softmax(logits_i)[target_i] / divisor, a scalar. logits [..., v],
// targets int32 of the leading shape or of as many elements, in 0 … v - 1, or -1 for rows without a
// loss. Throws INVALID_ARGUMENT for a target outside where the device is the host; elsewhere the
// caller has checked.
Variable CrossEntropy(const Variable& logits, const Tensor& targets,
                      const CrossEntropyOptions& options = {});

// CrossEntropy(x table' + bias, …) for large vocabularies: x [..., d], table [v, d], bias [v] or
// undefined. Logits exist for a slice of rows at a time, and the gradients are computed along with
// them, so memory beyond the gradients is `slice_elements` numbers.
Variable LinearCrossEntropy(const Variable& x, const Variable& table, const Variable& bias,
                            const Tensor& targets, const CrossEntropyOptions& options = {},
                            int64_t slice_elements = int64_t{1} << 21);

}  // namespace trainyard::nn
