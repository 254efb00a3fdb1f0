// Copies to and from a GPU through memory that its copy engine can read.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstddef>

namespace trainyard::cuda {

// Two buffers of pinned memory that take turns: one is filled or emptied while the other is copied.
class PinnedStaging {
 public:
  explicit PinnedStaging(cudaStream_t stream);
  ~PinnedStaging();
  PinnedStaging(const PinnedStaging&) = delete;
  PinnedStaging& operator=(const PinnedStaging&) = delete;

  // Returns when `from` has been read; the copy goes on on the stream.
  void CopyFromHost(void* to, const void* from, size_t bytes);
  // Returns when `to` is complete.
  void CopyToHost(void* to, const void* from, size_t bytes);

 private:
  static constexpr size_t kBufferBytes = size_t{4} << 20;
  struct Buffer {
    void* memory = nullptr;
    cudaEvent_t copied = nullptr;
  };
  Buffer& NextBuffer();
  void Release();

  const cudaStream_t stream_;
  std::array<Buffer, 2> buffers_;
  size_t next_ = 0;
};

}  // namespace trainyard::cuda
