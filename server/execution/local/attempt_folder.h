// The folder of one attempt while it runs: `process` (how to find its processes), `stderr`,
// `scratch/` (the worker's working folder, private).
#pragma once

#include <filesystem>

#include "absl/status/status.h"

namespace trainyard {

class AttemptFolder {
 public:
  explicit AttemptFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path process_file() const { return path_ / "process"; }
  std::filesystem::path stderr_file() const { return path_ / "stderr"; }
  std::filesystem::path scratch() const { return path_ / "scratch"; }

  // Makes it with mode 0700, empty; it must not exist.
  absl::Status Create() const;
  // Removes it with everything in it.
  void Remove() const;

 private:
  std::filesystem::path path_;
};

}  // namespace trainyard
