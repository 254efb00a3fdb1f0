// What a CUDA device runs on: a GPU, or the interpreter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "core/tensor/cuda/blas.h"
#include "core/tensor/device.h"
#include "core/tensor/memory_pool.h"

namespace trainyard::cuda {

// Work that was captured: launches and products in their order.
class CapturedWork {
 public:
  virtual ~CapturedWork() = default;
  // Queues all of it. The platform that captured it must live.
  virtual void Replay() = 0;
};

// Memory, one stream of work, and products of one device. Used by one thread at a time. Errors are
// TensorErrors: INTERNAL with the device's own words, RESOURCE_EXHAUSTED where its memory ran out.
class Platform {
 public:
  virtual ~Platform() = default;

  virtual DeviceKind kind() const = 0;
  virtual const std::string& name() const = 0;
  virtual std::unique_ptr<SegmentSource> Segments() = 0;
  virtual Blas& blas() = 0;

  // Work that is queued is done before the device's memory is read or written. The host's memory
  // may be used again on return; CopyFromHost does not wait for the copy itself.
  virtual void CopyFromHost(void* to, const void* from, size_t bytes) = 0;
  virtual void CopyToHost(void* to, const void* from, size_t bytes) = 0;
  virtual void Synchronize() = 0;

  // Between the two, launches and products are kept rather than queued. Copies are refused.
  virtual void BeginCapture() = 0;
  virtual std::unique_ptr<CapturedWork> EndCapture() = 0;
};

}  // namespace trainyard::cuda
