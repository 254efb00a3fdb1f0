#include "tests/core/tensor/cuda/kernel_test.h"

namespace trainyard {

std::vector<TestDevice> TestDevices() {
  return {{"Gpu", [](std::string& reason) -> std::unique_ptr<CudaDevice> {
             const absl::StatusOr<std::vector<CudaDeviceInfo>> devices = ListCudaDevices();
             if (!devices.ok() || devices->empty()) {
               reason = devices.ok() ? "no GPU here" : std::string(devices.status().message());
               return nullptr;
             }
             return MakeCudaDevice(devices->front().index);
           }}};
}

}  // namespace trainyard
