// Writing large files past the page cache.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "core/base/file_system.h"

namespace trainyard {

// Appends to the empty file `descriptor`, which was opened for writing with O_DIRECT and is closed
// in the end, `path` being its name in errors. A thread of its own writes whole pieces of 1 MiB
// while the caller fills the next; at most three are in memory. The cache of the system is neither
// filled nor paid for, so that Sync has little left to do. An error of the disk is answered by the
// call after it, and by every later one. What follows the first Sync is written as usual.
// `allocated` tells that blocks were allocated that Sync gives back where they were not needed.
std::unique_ptr<WritableFile> MakeDirectFile(std::filesystem::path path, int descriptor,
                                             bool allocated);

// The error of a system call on a file, as FileSystem answers it.
absl::Status FileError(absl::string_view operation, const std::filesystem::path& path, int error);

}  // namespace trainyard
