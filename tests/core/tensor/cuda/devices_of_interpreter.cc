#include "core/tensor/cuda/interpreter/cuda_interpreter.h"
#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {

std::vector<TestDevice> TestDevices() {
  const auto device = [](const char* name, cuda::ThreadOrder order) {
    return TestDevice{
        name, [order](std::string&) { return MakeCudaInterpreter({.thread_order = order}); }};
  };
  return {device("Ascending", cuda::ThreadOrder::kAscending),
          device("Descending", cuda::ThreadOrder::kDescending),
          device("Shuffled", cuda::ThreadOrder::kShuffled)};
}

}  // namespace trainyard
