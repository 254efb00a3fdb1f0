#include "core/tensor/cuda/runtime/pinned_staging.h"

#include <algorithm>
#include <cstring>

#include "core/tensor/cuda/runtime/cuda_errors.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {

PinnedStaging::PinnedStaging(cudaStream_t stream) : stream_(stream) {
  try {
    for (Buffer& buffer : buffers_) {
      CheckCuda(cudaMallocHost(&buffer.memory, kBufferBytes), "cudaMallocHost");
      CheckCuda(cudaEventCreateWithFlags(&buffer.copied, cudaEventDisableTiming),
                "cudaEventCreate");
    }
  } catch (const TensorError&) {
    Release();
    throw;
  }
}

PinnedStaging::~PinnedStaging() { Release(); }

void PinnedStaging::Release() {
  for (Buffer& buffer : buffers_) {
    if (buffer.copied != nullptr) {
      cudaEventSynchronize(buffer.copied);
      cudaEventDestroy(buffer.copied);
    }
    if (buffer.memory != nullptr) cudaFreeHost(buffer.memory);
  }
}

PinnedStaging::Buffer& PinnedStaging::NextBuffer() {
  Buffer& buffer = buffers_[next_];
  next_ = (next_ + 1) % buffers_.size();
  // An event that was never recorded counts as done.
  CheckCuda(cudaEventSynchronize(buffer.copied), "waiting for a copy");
  return buffer;
}

void PinnedStaging::CopyFromHost(void* to, const void* from, size_t bytes) {
  for (size_t done = 0; done < bytes; done += kBufferBytes) {
    const size_t part = std::min(kBufferBytes, bytes - done);
    Buffer& buffer = NextBuffer();
    std::memcpy(buffer.memory, static_cast<const std::byte*>(from) + done, part);
    CheckCuda(cudaMemcpyAsync(static_cast<std::byte*>(to) + done, buffer.memory, part,
                              cudaMemcpyHostToDevice, stream_),
              "copying to the device");
    CheckCuda(cudaEventRecord(buffer.copied, stream_), "cudaEventRecord");
  }
}

void PinnedStaging::CopyToHost(void* to, const void* from, size_t bytes) {
  // Part i is copied while part i - 1 is taken out of the other buffer.
  const Buffer* before = nullptr;
  size_t before_start = 0;
  size_t before_bytes = 0;
  const auto take_out = [&] {
    if (before == nullptr) return;
    CheckCuda(cudaEventSynchronize(before->copied), "copying from the device");
    std::memcpy(static_cast<std::byte*>(to) + before_start, before->memory, before_bytes);
  };
  for (size_t done = 0; done < bytes; done += kBufferBytes) {
    const size_t part = std::min(kBufferBytes, bytes - done);
    Buffer& buffer = NextBuffer();
    CheckCuda(cudaMemcpyAsync(buffer.memory, static_cast<const std::byte*>(from) + done, part,
                              cudaMemcpyDeviceToHost, stream_),
              "copying from the device");
    CheckCuda(cudaEventRecord(buffer.copied, stream_), "cudaEventRecord");
    take_out();
    before = &buffer;
    before_start = done;
    before_bytes = part;
  }
  take_out();
}

}  // namespace trainyard::cuda
