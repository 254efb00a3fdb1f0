// The host as a CUDA device: for tests.
#pragma once

#include <memory>

#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/interpreter/block_interpreter.h"

namespace trainyard {

struct CudaInterpreterOptions {
  cuda::ThreadOrder thread_order = cuda::ThreadOrder::kAscending;
  CudaDeviceOptions device;
};

std::unique_ptr<CudaDevice> MakeCudaInterpreter(const CudaInterpreterOptions& options = {});

}  // namespace trainyard
