#include "tests/client/cli/run_cli.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "google/protobuf/util/json_util.h"
#include "tests/paths.h"

namespace trainyard::testing {
namespace {

std::string ReadAndRemove(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  std::remove(path.c_str());
  return text.str();
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

CliProcess::CliProcess(const std::vector<std::string>& arguments,
                       const std::vector<std::string>& environment) {
  static std::atomic<int> counter = 0;
  const std::string stem =
      absl::StrCat(::testing::TempDir(), "cli-", getpid(), "-", counter.fetch_add(1));
  out_path_ = stem + ".out";
  err_path_ = stem + ".err";
  std::vector<std::string> words = {absl::StrCat(kProgramFolder, "/trainyard")};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = {"PATH=/usr/bin:/bin", "TZ=UTC", "TERM=xterm"};
  variables.insert(variables.end(), environment.begin(), environment.end());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, out_path_.c_str(), O_WRONLY | O_CREAT, 0600);
  posix_spawn_file_actions_addopen(&actions, 2, err_path_.c_str(), O_WRONLY | O_CREAT, 0600);
  const int error = posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, Pointers(words).data(),
                                Pointers(variables).data());
  EXPECT_EQ(error, 0) << words[0];
  posix_spawn_file_actions_destroy(&actions);
}

CliProcess::~CliProcess() {
  if (pid_ > 0) Wait();
}

void CliProcess::Signal(int signal) const { kill(pid_, signal); }

CliResult CliProcess::Wait() {
  CliResult result;
  int status = 0;
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (absl::Now() > deadline) {
      kill(pid_, SIGKILL);
      waitpid(pid_, &status, 0);
      break;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  pid_ = -1;
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = ReadAndRemove(out_path_);
  result.err = ReadAndRemove(err_path_);
  return result;
}

CliResult RunCli(const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment) {
  return CliProcess(arguments, environment).Wait();
}

google::protobuf::Struct ParseJson(const std::string& text) {
  google::protobuf::Struct document;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &document);
  EXPECT_TRUE(status.ok()) << status.message().as_string() << "\n" << text;
  return document;
}

}  // namespace trainyard::testing
