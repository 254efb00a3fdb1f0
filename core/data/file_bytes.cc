#include "core/data/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace trainyard {
namespace {

absl::Status Error(absl::string_view operation, const std::filesystem::path& file, int error) {
  const absl::StatusCode code = error == ENOENT   ? absl::StatusCode::kNotFound
                                : error == EACCES ? absl::StatusCode::kPermissionDenied
                                                  : absl::StatusCode::kUnavailable;
  return absl::Status(code, absl::StrCat(operation, " ", file.string(), ": ",
                                         std::generic_category().message(error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedFile>> MappedFile::Open(const std::filesystem::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Error("opening", file, errno);
  struct stat info {};
  const int stat_error = fstat(descriptor, &info) == 0 ? 0 : errno;
  if (stat_error != 0 || !S_ISREG(info.st_mode)) {
    close(descriptor);
    if (stat_error != 0) return Error("looking at", file, stat_error);
    return absl::FailedPreconditionError(absl::StrCat(file.string(), " is no regular file"));
  }
  const auto size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  const int map_error = errno;
  close(descriptor);
  if (data == MAP_FAILED) return Error("mapping", file, map_error);
  return std::unique_ptr<MappedFile>(new MappedFile(static_cast<const char*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<char*>(data_), size_);
}

GrowingBuffer::~GrowingBuffer() {
  if (capacity_ > 0) munmap(data_, capacity_);
}

char* GrowingBuffer::Reserve(size_t bytes) {
  if (size_ + bytes <= capacity_) return data_ + size_;
  constexpr size_t kLeast = size_t{1} << 20;
  size_t wanted = std::max({kLeast, size_ + bytes, capacity_ + capacity_ / 2});
  wanted = (wanted + kLeast - 1) / kLeast * kLeast;
  void* grown = capacity_ == 0 ? mmap(nullptr, wanted, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                               : mremap(data_, capacity_, wanted, MREMAP_MAYMOVE);
  if (grown == MAP_FAILED) return nullptr;
  data_ = static_cast<char*>(grown);
  capacity_ = wanted;
  return data_ + size_;
}

}  // namespace trainyard
