// Matrix products of a CUDA device: cuBLASLt's on a GPU, plain ones on the interpreter.
#pragma once

#include <cstdint>

#include "core/tensor/dtype.h"

namespace trainyard::cuda {

// How products of float32 are computed. Sums are float32 in all of them.
enum class ComputeMode : uint8_t {
  kFloat32,
  kTf32,      // factors rounded to 10 bits behind the point (tensor cores)
  kBfloat16,  // to 7
};

enum class Epilogue : uint8_t { kNone, kRelu };

// A matrix as it lies in memory: `rows` x `columns` after the transposition that `transposed` says;
// `stride` is the distance between rows as stored.
struct GemmOperand {
  const void* data = nullptr;
  int64_t stride = 0;
  int64_t batch_stride = 0;
  bool transposed = false;
};

// c = epilogue(alpha * op(a) op(b) + beta * c + bias) for each matrix of a batch, row-major; op(a)
// is m x k, op(b) k x n. All of one type, float32 or float64. beta is 0 or 1; c is not read where
// it is 0.
struct GemmRequest {
  DType type = DType::kFloat32;
  int64_t m = 0;
  int64_t n = 0;
  int64_t k = 0;
  int64_t batch = 1;
  GemmOperand a;
  GemmOperand b;
  void* c = nullptr;
  int64_t c_stride = 0;
  int64_t c_batch_stride = 0;
  double alpha = 1;
  double beta = 0;
  const void* bias = nullptr;  // [n], or null
  Epilogue epilogue = Epilogue::kNone;
};

class Blas {
 public:
  virtual ~Blas() = default;
  // Queues the product. The same request gives the same bits each time. All sizes are at least 1,
  // strides at least the length of a stored row.
  virtual void Gemm(const GemmRequest& request) = 0;
  // For the requests from now on.
  virtual void set_compute_mode(ComputeMode mode) = 0;
};

}  // namespace trainyard::cuda
