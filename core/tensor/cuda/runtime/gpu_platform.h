// A GPU behind the CUDA runtime.
#pragma once

#include <memory>

#include "core/tensor/cuda/platform.h"

namespace trainyard::cuda {

// GPU `index`, with a stream of its own. Errors as MakeCudaDevice.
std::unique_ptr<Platform> MakeGpuPlatform(int index);

}  // namespace trainyard::cuda
