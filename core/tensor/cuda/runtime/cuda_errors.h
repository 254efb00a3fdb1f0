// Errors of the CUDA runtime as TensorErrors.
#pragma once

#include <cuda_runtime_api.h>

namespace trainyard::cuda {

// Throws unless `error` is cudaSuccess: RESOURCE_EXHAUSTED where memory ran out, else INTERNAL,
// with `what` and the runtime's words.
void CheckCuda(cudaError_t error, const char* what);

}  // namespace trainyard::cuda
