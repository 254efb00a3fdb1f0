#include "core/tensor/cuda/runtime/cuda_errors.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {

void CheckCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  // Errors that do not stick are reported once.
  cudaGetLastError();
  const std::string text =
      absl::StrCat(what, ": ", cudaGetErrorName(error), ", ", cudaGetErrorString(error));
  throw TensorError(error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text)
                                                       : absl::InternalError(text));
}

}  // namespace trainyard::cuda
