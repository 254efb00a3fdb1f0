#include "server/execution/local/small_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/execution/local/unique_fd.h"

namespace trainyard {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Length of the well-formed UTF-8 sequence that `text` begins with; 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first == 0 ? 0 : 1;
  size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (first >= 0xC2 && first <= 0xDF) {
    length = 2;
  } else if (first >= 0xE0 && first <= 0xEF) {
    length = 3;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    length = 4;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  }
  return length;
}

}  // namespace

std::optional<std::string> ReadSmallFile(const std::filesystem::path& file, int64_t max_bytes) {
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return std::nullopt;
  std::string text;
  std::array<char, 4096> buffer;
  while (static_cast<int64_t>(text.size()) < max_bytes) {
    const ssize_t count = read(fd.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return std::nullopt;
    if (count == 0) break;
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  return text;
}

absl::Status SystemError(int error_number, std::string_view doing) {
  absl::Status status =
      absl::ErrnoToStatus(error_number, absl::string_view(doing.data(), doing.size()));
  switch (error_number) {
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(status.message());
    default:
      return status;
  }
}

absl::Status WriteControlFile(const std::filesystem::path& file, std::string_view text) {
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) return SystemError(errno, absl::StrCat("open ", file.string()));
  if (write(fd.get(), text.data(), text.size()) < 0) {
    return SystemError(errno, absl::StrCat("write ", file.string()));
  }
  return absl::OkStatus();
}

absl::Status WritePrivateFile(const std::filesystem::path& file, std::string_view text) {
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return SystemError(errno, absl::StrCat("create ", file.string()));
  while (!text.empty()) {
    const ssize_t count = write(fd.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return SystemError(errno, absl::StrCat("write ", file.string()));
    text.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

std::string ToValidUtf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t length = SequenceLength(bytes);
    text.append(length == 0 ? kReplacement : bytes.substr(0, length));
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return text;
}

std::string ReadTail(const std::filesystem::path& file, int64_t max_bytes) {
  UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) return "";
  const int64_t start = std::max<int64_t>(0, info.st_size - max_bytes);
  std::string bytes(static_cast<size_t>(info.st_size - start), '\0');
  const ssize_t count = pread(fd.get(), bytes.data(), bytes.size(), start);
  if (count < 0) return "";
  bytes.resize(static_cast<size_t>(count));
  std::string_view tail = bytes;
  if (start > 0) {
    for (int i = 0; i < 3 && !tail.empty() && (tail[0] & 0xC0) == 0x80; ++i) tail.remove_prefix(1);
  }
  std::string text = ToValidUtf8(tail);
  // Replacement characters are longer than what they stand for.
  if (static_cast<int64_t>(text.size()) > max_bytes) {
    size_t cut = text.size() - static_cast<size_t>(max_bytes);
    while (cut < text.size() && (text[cut] & 0xC0) == 0x80) ++cut;
    text.erase(0, cut);
  }
  return text;
}

void FreeHead(const std::filesystem::path& file, int64_t limit_bytes, int64_t keep_bytes) {
  UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info;
  if (!fd.valid() || fstat(fd.get(), &info) != 0) return;
  constexpr int64_t kStatBlock = 512;
  if (info.st_blocks * kStatBlock <= limit_bytes || info.st_size <= keep_bytes) return;
  if (fallocate(fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                info.st_size - keep_bytes) != 0) {
    // No holes on this file system: give up the text; appending goes on at the new end.
    if (ftruncate(fd.get(), 0) != 0) return;
  }
}

}  // namespace trainyard
