// Tensors in the bytes of checkpoints.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "core/base/byte_stream.h"
#include "core/tensor/tensor.h"

namespace trainyard::nn {

// The elements, row-major; nothing for an undefined tensor. Waits for the device.
void PutTensor(ByteWriter& writer, const Tensor& tensor);

// Overwrites the elements of `tensor`, which is contiguous, or undefined where an undefined one was
// put. DATA_LOSS, naming `name`, when the bytes are of another number of elements.
absl::Status TakeTensorInto(ByteReader& reader, std::string_view name, const Tensor& tensor);

}  // namespace trainyard::nn
