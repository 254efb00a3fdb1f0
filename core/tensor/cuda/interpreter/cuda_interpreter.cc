#include "core/tensor/cuda/interpreter/cuda_interpreter.h"

#include "core/tensor/cuda/interpreter/interpreted_platform.h"

namespace trainyard {

std::unique_ptr<CudaDevice> MakeCudaInterpreter(const CudaInterpreterOptions& options) {
  return std::make_unique<CudaDevice>(cuda::MakeInterpretedPlatform(options.thread_order),
                                      options.device);
}

}  // namespace trainyard
