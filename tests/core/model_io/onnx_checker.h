// ONNX's own checker, in a process of its own.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/paths.h"

namespace trainyard {

// Whether libonnx accepts the model.
inline bool OnnxAccepts(const std::string& bytes) {
  const auto file =
      std::filesystem::path(testing::TempDir()) / ("check-" + std::to_string(getpid()) + ".onnx");
  std::ofstream(file, std::ios::binary) << bytes;
  const auto program = std::filesystem::path(kProgramFolder).parent_path() / "tests/onnx_check";
  const int code = std::system((program.string() + " " + file.string()).c_str());
  std::filesystem::remove(file);
  return code == 0;
}

// Whether the checker is there.
inline bool HaveOnnxChecker() {
  return std::filesystem::exists(std::filesystem::path(kProgramFolder).parent_path() /
                                 "tests/onnx_check");
}

}  // namespace trainyard
