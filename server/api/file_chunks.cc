#include "server/api/file_chunks.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/status.h"

namespace trainyard {
namespace {

absl::Status CheckRange(int64_t offset, int64_t limit, int64_t size) {
  if (offset < 0 || offset > size) {
    return absl::OutOfRangeError(absl::StrCat("offset is ", offset, "; must be from 0 to ", size,
                                              ", the bytes of the file"));
  }
  if (limit < 0) {
    return absl::OutOfRangeError(absl::StrCat("limit is ", limit, "; must be at least 0"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FileChunker> FileChunker::Open(const std::filesystem::path& file, std::string path,
                                              std::string sha256, int64_t size_bytes,
                                              int64_t offset, int64_t limit) {
  TY_RETURN_IF_ERROR(CheckRange(offset, limit, size_bytes));
  FileChunker chunker;
  chunker.descriptor_ = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (chunker.descriptor_ < 0) return absl::ErrnoToStatus(errno, "cannot open a stored file");
  struct stat information {};
  if (fstat(chunker.descriptor_, &information) != 0) {
    return absl::ErrnoToStatus(errno, "cannot read the size of a stored file");
  }
  if (information.st_size != size_bytes) {
    return absl::DataLossError(absl::StrCat("the stored file has ", information.st_size,
                                            " bytes; it should have ", size_bytes));
  }
  chunker.path_ = std::move(path);
  chunker.sha256_ = std::move(sha256);
  chunker.size_bytes_ = size_bytes;
  chunker.position_ = offset;
  chunker.end_ = limit == 0 ? size_bytes : offset + std::min(limit, size_bytes - offset);
  return chunker;
}

FileChunker::FileChunker(FileChunker&& other) noexcept { *this = std::move(other); }

FileChunker& FileChunker::operator=(FileChunker&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  path_ = std::move(other.path_);
  sha256_ = std::move(other.sha256_);
  size_bytes_ = other.size_bytes_;
  position_ = other.position_;
  end_ = other.end_;
  first_ = other.first_;
  return *this;
}

FileChunker::~FileChunker() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<bool> FileChunker::Next(v1::FileChunk& chunk) {
  if (position_ >= end_ && !first_) return false;
  chunk.Clear();
  chunk.set_offset(position_);
  if (first_) {
    chunk.set_path(path_);
    chunk.set_total_size_bytes(size_bytes_);
    chunk.set_sha256(sha256_);
    first_ = false;
  }
  std::string& data = *chunk.mutable_data();
  data.resize(static_cast<size_t>(std::min(kChunkBytes, end_ - position_)));
  for (size_t done = 0; done < data.size();) {
    const ssize_t count = pread(descriptor_, data.data() + done, data.size() - done,
                                static_cast<off_t>(position_ + static_cast<int64_t>(done)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot read a stored file");
    if (count == 0) return absl::DataLossError("a stored file ended early");
    done += static_cast<size_t>(count);
  }
  chunk.set_crc32c(Crc32c(data));
  position_ += static_cast<int64_t>(data.size());
  return true;
}

}  // namespace trainyard
