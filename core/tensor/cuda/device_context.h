// The context of kernels on a GPU, and their launch. Compiled by nvcc alone.
#pragma once

#include <cuda_runtime.h>

#include "core/tensor/cuda/launch.h"

namespace trainyard::cuda {

class DeviceContext {
 public:
  __device__ __forceinline__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ int64_t block() const { return blockIdx.x; }
  __device__ __forceinline__ int64_t block_y() const { return blockIdx.y; }
  __device__ __forceinline__ int64_t block_z() const { return blockIdx.z; }
  __device__ __forceinline__ int64_t blocks() const { return gridDim.x; }
  __device__ __forceinline__ int64_t blocks_y() const { return gridDim.y; }

  __device__ __forceinline__ void Sync() { __syncthreads(); }
  __device__ __forceinline__ void SyncWarp(uint32_t mask = ~0U) { __syncwarp(mask); }

  template <typename T>
  __device__ __forceinline__ T Shuffle(T value, int lane, uint32_t mask = ~0U) {
    return __shfl_sync(mask, value, lane);
  }
  template <typename T>
  __device__ __forceinline__ T ShuffleXor(T value, int lanes, uint32_t mask = ~0U) {
    return __shfl_xor_sync(mask, value, lanes);
  }
  template <typename T>
  __device__ __forceinline__ T ShuffleDown(T value, int distance, uint32_t mask = ~0U) {
    return __shfl_down_sync(mask, value, static_cast<unsigned>(distance));
  }
  template <typename T, typename Function>
  __device__ __forceinline__ T WarpReduce(T value, Function function) {
#pragma unroll
    for (int lanes = kWarp / 2; lanes > 0; lanes /= 2) {
      value = function(value, __shfl_xor_sync(~0U, value, lanes));
    }
    return value;
  }

  template <typename T>
  __device__ __forceinline__ T* Shared(int count) {
    extern __shared__ __align__(16) unsigned char shared_memory[];
    T* const first = reinterpret_cast<T*>(shared_memory + shared_used_);
    shared_used_ += (count * static_cast<int>(sizeof(T)) + 15) / 16 * 16;
    return first;
  }

  __device__ __forceinline__ int32_t AtomicAdd(int32_t* address, int32_t value) {
    return atomicAdd(address, value);
  }

 private:
  int shared_used_ = 0;
};

// Throws TensorError where the launch of `kernel` failed (platform.h's part that knows the errors).
void CheckLaunch(const char* kernel, int error);
void* StreamOf(Platform& platform);

template <typename Kernel>
__global__ void __launch_bounds__(Kernel::kThreads) RunKernel(const Kernel kernel) {
  DeviceContext context;
  kernel(context);
}

// Queues `kernel` on the platform's stream. Does nothing for an empty grid.
template <typename Kernel>
void Launch(Platform& platform, Grid grid, const Kernel& kernel, size_t shared_bytes = 0) {
  static_assert(!Kernel::kSynchronizes || Kernel::kThreads % kWarp == 0);
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const dim3 blocks(static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
                    static_cast<unsigned>(grid.z));
  RunKernel<Kernel>
      <<<blocks, Kernel::kThreads, shared_bytes, static_cast<cudaStream_t>(StreamOf(platform))>>>(
          kernel);
  CheckLaunch(Kernel::kName, static_cast<int>(cudaGetLastError()));
}

}  // namespace trainyard::cuda
