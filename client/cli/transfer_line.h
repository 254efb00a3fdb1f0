// A live line that shows how far a transfer is, and options on how to read tables.
#pragma once

#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/context.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard::cli {

// Shows `what`, bytes, share and rate on standard error while a transfer runs; nothing where that
// is no terminal, or with --json or --quiet. The transfer may call back from another thread.
class TransferLine {
 public:
  TransferLine(const Context& context, std::string what);
  ProgressCallback Callback();
  // Removes the line.
  void Clear();

 private:
  void Show(int64_t done, int64_t total);

  const Terminal terminal_;
  const bool shown_;
  const std::string what_;
  const absl::Time start_;
  absl::Time last_ = absl::InfinitePast();
};

// `uploading  3.0 MiB of 6.0 MiB  50%  1.5 MiB/s  2 s left`.
std::string TransferText(const std::string& what, int64_t done, int64_t total, double seconds);

// The options of commands that read a table.
struct TableReadFlags {
  std::string format;
  std::string delimiter;
  std::vector<std::string> column_types;
  std::vector<std::string> missing;
  CLI::Option* header = nullptr;
  CLI::Option* no_header = nullptr;

  void AddTo(CLI::App& command);
  // Fills `table` with what was given. A usage error names the option.
  absl::Status Apply(v1::TableReadOptions& table) const;
};

}  // namespace trainyard::cli
