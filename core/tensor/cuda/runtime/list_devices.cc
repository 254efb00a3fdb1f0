#include <cuda_runtime_api.h>

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/cuda/cuda_device.h"
#include "core/tensor/cuda/runtime/gpu_platform.h"
#include "core/tensor/tensor_error.h"

namespace trainyard {
namespace {

// The oldest that the kernels are built for (CMakeLists.txt).
constexpr int kOldestMajor = 8;

bool MeansNoGpu(cudaError_t error) {
  return error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
         error == cudaErrorStubLibrary;
}

// As the driver's tools write it: `GPU-` and 8-4-4-4-12 hexadecimal digits.
std::string TextOf(const cudaUUID_t& uuid) {
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppend(&text, absl::Hex(static_cast<unsigned char>(uuid.bytes[i]), absl::kZeroPad2));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<CudaDeviceInfo>> ListCudaDevices() {
  std::vector<CudaDeviceInfo> devices;
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    if (MeansNoGpu(error)) return devices;
    return absl::UnavailableError(absl::StrCat("the CUDA driver answers ", cudaGetErrorName(error),
                                               ": ", cudaGetErrorString(error)));
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
      cudaGetLastError();
      continue;
    }
    if (properties.major < kOldestMajor) continue;
    std::array<char, 32> address{};
    cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), index);
    devices.push_back({.index = index,
                       .name = properties.name,
                       .compute_capability_major = properties.major,
                       .compute_capability_minor = properties.minor,
                       .memory_bytes = properties.totalGlobalMem,
                       .pci_address = address.data(),
                       .uuid = TextOf(properties.uuid)});
  }
  return devices;
}

std::unique_ptr<CudaDevice> MakeCudaDevice(int index, const CudaDeviceOptions& options) {
  const absl::StatusOr<std::vector<CudaDeviceInfo>> devices = ListCudaDevices();
  if (!devices.ok()) throw TensorError(devices.status());
  for (const CudaDeviceInfo& device : *devices) {
    if (device.index != index) continue;
    return std::make_unique<CudaDevice>(cuda::MakeGpuPlatform(index), options);
  }
  ThrowInvalidTensor("cuda: no GPU ", index, " that can run this build; ", devices->size(), " can");
}

}  // namespace trainyard
