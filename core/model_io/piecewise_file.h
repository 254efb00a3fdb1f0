// Large files, written so that a cancellation is noticed soon.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "core/base/file_system.h"

namespace trainyard {

// Writes the parts, one after another, under a temporary name, in pieces of about a millisecond
// with a `check` (may be empty) before each, and renames the file when it is on the disk. Errors:
// those of the file system and of `check`; nothing is left then.
absl::Status WriteFilePiecewise(const std::filesystem::path& file,
                                std::span<const std::string_view> parts,
                                const std::function<absl::Status()>& check,
                                FileSystem& files = FileSystem::Real());

}  // namespace trainyard
