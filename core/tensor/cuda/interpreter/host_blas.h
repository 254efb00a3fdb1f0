// Matrix products of the interpreter.
#pragma once

#include <functional>

#include "core/tensor/cuda/blas.h"

namespace trainyard::cuda {

// By Eigen; the compute modes round the factors as a GPU's tensor cores do.
class HostBlas : public Blas {
 public:
  // Called with every product, to do now or later.
  using Enqueue = std::function<void(std::function<void()> product)>;
  explicit HostBlas(Enqueue enqueue) : enqueue_(std::move(enqueue)) {}

  void Gemm(const GemmRequest& request) override;
  void set_compute_mode(ComputeMode mode) override { mode_ = mode; }

 private:
  const Enqueue enqueue_;
  ComputeMode mode_ = ComputeMode::kFloat32;
};

}  // namespace trainyard::cuda
