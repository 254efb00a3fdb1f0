// Small files of the kernel (/proc, /sys/fs/cgroup) and of attempts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace trainyard {

// The whole file, at most `max_bytes` of it; nullopt when it cannot be opened or read.
std::optional<std::string> ReadSmallFile(const std::filesystem::path& file,
                                         int64_t max_bytes = 1 << 20);

// Writes `text` in one write to a file that exists, as control files want it. The status names the
// path and the system's text; its code is that of the system's error.
absl::Status WriteControlFile(const std::filesystem::path& file, std::string_view text);

// Creates or replaces a private file (mode 0600). Not durable.
absl::Status WritePrivateFile(const std::filesystem::path& file, std::string_view text);

// The last `max_bytes` of the file as valid UTF-8: a cut character at the front is dropped, bytes
// that are no UTF-8 and NUL become U+FFFD. Empty when the file cannot be read.
std::string ReadTail(const std::filesystem::path& file, int64_t max_bytes);

// `bytes` as valid UTF-8, as above.
std::string ToValidUtf8(std::string_view bytes);

// Frees the disk space of all but the last `keep_bytes` of a file that others append to, once it
// is larger than `limit_bytes`. The readable size stays, the freed part reads as zeros.
void FreeHead(const std::filesystem::path& file, int64_t limit_bytes, int64_t keep_bytes);

// The status that `error_number` of a system call stands for: RESOURCE_EXHAUSTED for exhausted
// processes, memory, descriptors or disk, else as absl::ErrnoToStatus.
absl::Status SystemError(int error_number, std::string_view doing);

}  // namespace trainyard
