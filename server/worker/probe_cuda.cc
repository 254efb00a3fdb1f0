#include "absl/strings/str_cat.h"
#include "core/tensor/cuda/cuda_device.h"
#include "server/worker/probe.h"

namespace trainyard {

void AddCudaDevices(v1::ServerInfo& info) {
  const absl::StatusOr<std::vector<CudaDeviceInfo>> found = ListCudaDevices();
  if (!found.ok()) {
    v1::Device& device = *info.add_devices();
    device.set_id("cuda");
    device.set_kind(v1::Device::KIND_CUDA);
    device.set_unavailable_reason(std::string(found.status().message()));
    return;
  }
  for (const CudaDeviceInfo& gpu : *found) {
    v1::Device& device = *info.add_devices();
    device.set_id(absl::StrCat("cuda:", gpu.index));
    device.set_kind(v1::Device::KIND_CUDA);
    device.set_model(gpu.name);
    device.set_memory_bytes(static_cast<int64_t>(gpu.memory_bytes));
    device.set_slot_count(1);
    device.set_driver_name(gpu.uuid);
  }
}

}  // namespace trainyard
