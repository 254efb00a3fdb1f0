// Runs element-wise functions over tensors of any strides.
#pragma once

#include <span>

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/cpu/element_blocks.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// How many elements pay for a second thread: about what one does in ten microseconds.
enum class ElementCost : int64_t { kArithmetic = 32768, kFunction = 8192 };

// A call that touches so many bytes leaves nothing in the caches anyway: its results pass them by,
// which spares reading the lines that are overwritten.
inline constexpr size_t kStreamedBytes = size_t{32} << 20;

// What is run, and on what: tensors of the shape of the first output. Undefined tensors become null
// pointers.
template <typename T>
struct ElementCall {
  typename ElementBlocks<T>::Function function = nullptr;
  std::span<const Tensor* const> outputs;
  std::span<const Tensor* const> inputs;
  ElementCost cost = ElementCost::kArithmetic;
  // Whether the function takes inputs that are one number repeated.
  bool repeats = false;
  bool accumulate = false;
  T scale = 1;
  T shift = 0;
};

template <typename T>
void RunElements(CpuDevice& device, const ElementCall<T>& call);
extern template void RunElements(CpuDevice&, const ElementCall<float>&);
extern template void RunElements(CpuDevice&, const ElementCall<double>&);

}  // namespace trainyard
