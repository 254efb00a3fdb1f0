// What every command has at hand.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/terminal.h"
#include "client/cpp/client.h"
#include "google/protobuf/message.h"

namespace trainyard::cli {

// Options in front of (or behind) every command.
struct GlobalOptions {
  std::string server = "127.0.0.1:7700";
  std::string project = "default";
  bool json = false;
  bool quiet = false;
  bool no_color = false;
};

// The state of one run of the program. Not thread-safe.
class Context {
 public:
  GlobalOptions options;
  // What the chosen command does; returns the exit code.
  std::function<absl::StatusOr<int>()> action;
  Terminal out;
  Terminal err;

  // The connection, made at the first call.
  absl::StatusOr<Client*> Connect();

  // `projects/{project}`.
  std::string Parent() const;

  // Full names of resources given as an id or as a full name. A usage error for anything else.
  absl::StatusOr<std::string> JobNameOf(std::string_view text) const;
  absl::StatusOr<std::string> ModelNameOf(std::string_view text) const;
  // Also takes `ID@VERSION`.
  absl::StatusOr<std::string> DatasetNameOf(std::string_view text) const;

  // With --json prints the message; else what `human` returns, unless --quiet is given.
  void Print(const google::protobuf::Message& message,
             const std::function<std::string()>& human) const;
  // Prints for people on standard output, on standard error; nothing with --quiet or --json.
  void Say(std::string_view text) const;
  void Note(std::string_view text) const;

 private:
  std::unique_ptr<Client> client_;
};

// Writes to standard output and flushes.
void WriteOut(std::string_view text);

}  // namespace trainyard::cli
