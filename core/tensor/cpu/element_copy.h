// Copies, conversions and fills.
#pragma once

#include "core/tensor/cpu/cpu_device.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// Those of ElementwiseKernels.
void CopyElements(CpuDevice& device, const Tensor& in, const Tensor& out);
void FillElements(CpuDevice& device, double value, const Tensor& out);

}  // namespace trainyard
