// Layouts of tensors, for launches.
#pragma once

#include <initializer_list>

#include "core/tensor/cuda/strided_layout.h"
#include "core/tensor/tensor.h"

namespace trainyard::cuda {

// Of operands that all have the shape of the first, or are undefined (strides of 0).
StridedLayout LayoutOf(std::initializer_list<const Tensor*> operands);

// The address of element 0, or null.
inline void* DataOf(const Tensor& tensor) { return tensor.defined() ? tensor.raw_data() : nullptr; }

}  // namespace trainyard::cuda
