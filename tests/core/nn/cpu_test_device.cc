#include "core/tensor/cpu/cpu_device.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {

Device& TestDevice() {
  static CpuDevice device(2);
  return device;
}

}  // namespace trainyard::nn
