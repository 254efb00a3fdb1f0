// cuBLASLt, loaded when the first device is opened.
#pragma once

#include <cublasLt.h>

namespace trainyard::cuda {

// The library weighs half a gigabyte and is not needed by workers of jobs on the CPU, nor to be
// found on machines without a GPU; so it is not linked.
struct CublasLtLibrary {
  decltype(&cublasLtCreate) Create = nullptr;
  decltype(&cublasLtDestroy) Destroy = nullptr;
  decltype(&cublasLtMatmul) Matmul = nullptr;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  decltype(&cublasLtMatrixLayoutSetAttribute) MatrixLayoutSetAttribute = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
  decltype(&cublasLtGetStatusString) GetStatusString = nullptr;
};

// Loads the library on the first call and keeps it. Throws TensorError FAILED_PRECONDITION where it
// is not to be found or is of another major version.
const CublasLtLibrary& LoadCublasLt();

}  // namespace trainyard::cuda
