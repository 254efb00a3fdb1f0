#include "core/tensor/cuda/interpreter/cuda_interpreter.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {

Device& TestDevice() {
  static const auto kDevice = MakeCudaInterpreter({.thread_order = cuda::ThreadOrder::kShuffled});
  return *kDevice;
}

}  // namespace trainyard::nn
