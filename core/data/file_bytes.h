// The bytes of a file, mapped into memory, and a growing buffer that never copies.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"

namespace trainyard {

// A file mapped read-only. Immutable, thread-safe.
class MappedFile {
 public:
  // NOT_FOUND, PERMISSION_DENIED or UNAVAILABLE; FAILED_PRECONDITION when it is no regular file.
  static absl::StatusOr<std::unique_ptr<MappedFile>> Open(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}
  const char* data_;
  size_t size_;
};

// Anonymous memory that grows by remapping. Not thread-safe.
class GrowingBuffer {
 public:
  GrowingBuffer() = default;
  ~GrowingBuffer();
  GrowingBuffer(const GrowingBuffer&) = delete;
  GrowingBuffer& operator=(const GrowingBuffer&) = delete;

  // Room for `bytes` more behind the used part; null when memory ran out.
  char* Reserve(size_t bytes);
  // Counts `bytes` of the room as used.
  void Commit(size_t bytes) { size_ += bytes; }
  std::string_view bytes() const { return {data_, size_}; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace trainyard
