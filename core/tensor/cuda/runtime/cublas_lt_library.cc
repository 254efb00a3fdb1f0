#include "core/tensor/cuda/runtime/cublas_lt_library.h"

#include <dlfcn.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

[[noreturn]] void ThrowLoadError(const std::string& file) {
  const char* const error = dlerror();
  throw TensorError(absl::FailedPreconditionError(
      absl::StrCat("cuBLASLt cannot be loaded from ", file, ": ", error == nullptr ? "" : error)));
}

template <typename Function>
void Find(void* library, const std::string& file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) ThrowLoadError(file);
}

CublasLtLibrary Load() {
  const std::string file = absl::StrCat("libcublasLt.so.", CUBLAS_VER_MAJOR);
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) ThrowLoadError(file);
  CublasLtLibrary result;
  Find(library, file, "cublasLtCreate", result.Create);
  Find(library, file, "cublasLtDestroy", result.Destroy);
  Find(library, file, "cublasLtMatmul", result.Matmul);
  Find(library, file, "cublasLtMatmulDescCreate", result.MatmulDescCreate);
  Find(library, file, "cublasLtMatmulDescDestroy", result.MatmulDescDestroy);
  Find(library, file, "cublasLtMatmulDescSetAttribute", result.MatmulDescSetAttribute);
  Find(library, file, "cublasLtMatrixLayoutCreate", result.MatrixLayoutCreate);
  Find(library, file, "cublasLtMatrixLayoutDestroy", result.MatrixLayoutDestroy);
  Find(library, file, "cublasLtMatrixLayoutSetAttribute", result.MatrixLayoutSetAttribute);
  Find(library, file, "cublasLtMatmulPreferenceCreate", result.MatmulPreferenceCreate);
  Find(library, file, "cublasLtMatmulPreferenceDestroy", result.MatmulPreferenceDestroy);
  Find(library, file, "cublasLtMatmulPreferenceSetAttribute", result.MatmulPreferenceSetAttribute);
  Find(library, file, "cublasLtMatmulAlgoGetHeuristic", result.MatmulAlgoGetHeuristic);
  Find(library, file, "cublasLtGetStatusString", result.GetStatusString);
  return result;
}

}  // namespace

const CublasLtLibrary& LoadCublasLt() {
  static const CublasLtLibrary library = Load();
  return library;
}

}  // namespace trainyard::cuda
