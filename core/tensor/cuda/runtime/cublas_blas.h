// Matrix products of a GPU.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>

#include "core/tensor/cuda/blas.h"
#include "core/tensor/cuda/runtime/cublas_lt_library.h"

namespace trainyard::cuda {

// By cuBLASLt, on one stream. The algorithm for a request is asked for once and kept, so that equal
// requests are computed alike; only reductions of a fixed order are allowed.
class CublasBlas : public Blas {
 public:
  // Of the current device. Allocates a workspace.
  explicit CublasBlas(cudaStream_t stream);
  ~CublasBlas() override;
  CublasBlas(const CublasBlas&) = delete;
  CublasBlas& operator=(const CublasBlas&) = delete;

  void Gemm(const GemmRequest& request) override;
  void set_compute_mode(ComputeMode mode) override { mode_ = mode; }

 private:
  class Plan;
  // What the choice of an algorithm depends on.
  using Key = std::tuple<int, int, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                         int64_t, int64_t, int64_t, int, int, unsigned>;

  Key KeyOf(const GemmRequest& request) const;
  Plan& PlanFor(const GemmRequest& request);

  const CublasLtLibrary& library_;
  const cudaStream_t stream_;
  cublasLtHandle_t handle_ = nullptr;
  void* workspace_ = nullptr;
  ComputeMode mode_ = ComputeMode::kFloat32;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

}  // namespace trainyard::cuda
