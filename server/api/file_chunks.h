// Files on their way to a client, in pieces with checksums.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard {

// Bytes of a piece that the server sends.
inline constexpr int64_t kChunkBytes = 512 << 10;
// Most bytes of a piece that the server takes.
inline constexpr int64_t kMaxChunkBytes = 1 << 20;

// Cuts a range of one file into chunks. Not thread-safe.
class FileChunker {
 public:
  // `path` and `sha256` go into the first chunk. OUT_OF_RANGE when `offset` is not within the file
  // or either number is negative; `limit` 0 means to the end. DATA_LOSS when the file has not
  // `size_bytes`; NOT_FOUND, UNAVAILABLE for the file itself.
  static absl::StatusOr<FileChunker> Open(const std::filesystem::path& file, std::string path,
                                          std::string sha256, int64_t size_bytes, int64_t offset,
                                          int64_t limit);
  FileChunker(FileChunker&& other) noexcept;
  FileChunker& operator=(FileChunker&& other) noexcept;
  ~FileChunker();

  // Fills in the next chunk; false at the end. There is always one, also of an empty file.
  absl::StatusOr<bool> Next(v1::FileChunk& chunk);

 private:
  FileChunker() = default;

  int descriptor_ = -1;
  std::string path_;
  std::string sha256_;
  int64_t size_bytes_ = 0;
  int64_t position_ = 0;
  int64_t end_ = 0;
  bool first_ = true;
};

}  // namespace trainyard
