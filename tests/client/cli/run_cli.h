// Runs the program `trainyard` as a user would.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "google/protobuf/struct.pb.h"

namespace trainyard::testing {

struct CliResult {
  int code = -1;  // exit code; 128 + signal where a signal ended it
  std::string out;
  std::string err;
};

// A running program.
class CliProcess {
 public:
  // Starts with `arguments` after the program's name, and `environment` (`NAME=VALUE`) over a small
  // fixed one.
  explicit CliProcess(const std::vector<std::string>& arguments,
                      const std::vector<std::string>& environment = {});
  ~CliProcess();
  CliProcess(const CliProcess&) = delete;
  CliProcess& operator=(const CliProcess&) = delete;

  void Signal(int signal) const;
  // Waits for the end; at most 30 s, then kills it.
  CliResult Wait();

 private:
  pid_t pid_ = -1;
  std::string out_path_;
  std::string err_path_;
};

CliResult RunCli(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {});

// `text` as exactly one JSON object; a test failure and an empty one otherwise.
google::protobuf::Struct ParseJson(const std::string& text);

}  // namespace trainyard::testing
