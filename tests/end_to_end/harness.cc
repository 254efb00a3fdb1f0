#include "tests/end_to_end/harness.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/error_details.pb.h"
#include "tests/paths.h"
#include "trainyard/v1/job_service.pb.h"

extern char** environ;

namespace trainyard::e2e {
namespace {

// Polls `condition` until it holds or `limit` has passed.
template <typename Condition>
bool WaitUntil(absl::Duration limit, const Condition& condition) {
  const absl::Time deadline = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void ParseJson(const std::string& text, google::protobuf::Message& message) {
  google::rpc::ErrorInfo::descriptor();  // links the type, which stands in google.protobuf.Any fields
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = google::protobuf::util::JsonStringToMessage(text, &message, options);
  ASSERT_TRUE(status.ok()) << status.ToString() << " in:\n" << text;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "trainyard-e2e-XXXXXX").string();
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ChildProcess::ChildProcess(const std::vector<std::string>& command,
                           const std::filesystem::path& stdout_file,
                           const std::filesystem::path& stderr_file) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, stdout_file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0600);
  posix_spawn_file_actions_addopen(&actions, 2, stderr_file.c_str(), O_WRONLY | O_CREAT | O_APPEND,
                                   0600);
  std::vector<char*> arguments;
  for (const std::string& part : command) arguments.push_back(const_cast<char*>(part.c_str()));
  arguments.push_back(nullptr);
  const int error =
      posix_spawn(&pid_, command[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) {
    ADD_FAILURE() << "cannot start " << command[0] << ": error " << error;
    exit_code_ = 127;
  }
}

ChildProcess::~ChildProcess() {
  if (exit_code_.has_value()) return;
  Signal(SIGKILL);
  Wait(absl::Seconds(30));
}

void ChildProcess::Signal(int signal) {
  if (!exit_code_.has_value()) kill(pid_, signal);
}

bool ChildProcess::Running() {
  if (exit_code_.has_value()) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) exit_code_ = ExitCodeOf(status);
  return !exit_code_.has_value();
}

std::optional<int> ChildProcess::Wait(absl::Duration limit) {
  WaitUntil(limit, [&] { return !Running(); });
  return exit_code_;
}

Service::Service(std::vector<std::string> flags)
    : flags_(std::move(flags)), address_("127.0.0.1:0") {
  Start();
}

Service::~Service() {
  if (server_ != nullptr) Stop();
  // Workers outlive a server by design; those of this test must not outlive the test.
  for (const pid_t pid : FindAttemptProcesses(data_dir().string(), "").all) kill(pid, SIGKILL);
  if (::testing::Test::HasFailure()) std::cerr << "server log:\n" << ServerLog() << std::endl;
}

void Service::Start() {
  const auto port_file = folder() / "ports";
  std::filesystem::remove(port_file);
  std::vector<std::string> command = {
      Program("trainyard-server"), absl::StrCat("--data_dir=", data_dir().string()),
      absl::StrCat("--listen=", address_), absl::StrCat("--port_file=", port_file.string()),
      "--enable_diagnostics"};
  command.insert(command.end(), flags_.begin(), flags_.end());
  server_ =
      std::make_unique<ChildProcess>(command, folder() / "server.out", folder() / "server.err");
  const bool ready = WaitUntil(
      absl::Seconds(30), [&] { return std::filesystem::exists(port_file) || !server_->Running(); });
  ASSERT_TRUE(ready && server_->Running()) << "the server did not start:\n" << ServerLog();
  for (const absl::string_view line : absl::StrSplit(ReadText(port_file), '\n')) {
    const std::pair<std::string, std::string> setting =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (setting.first == "grpc") address_ = setting.second;
  }
}

void Service::Kill() {
  server_->Signal(SIGKILL);
  EXPECT_TRUE(server_->Wait(absl::Seconds(30)).has_value());
}

int Service::Stop() {
  server_->Signal(SIGTERM);
  const auto code = server_->Wait(absl::Seconds(30));
  EXPECT_TRUE(code.has_value()) << "the server did not stop";
  return code.value_or(-1);
}

bool Service::Running() { return server_->Running(); }

std::string Service::ServerLog() const { return ReadText(folder() / "server.err"); }

CommandResult Service::Run(const std::vector<std::string>& arguments) {
  const std::string name = absl::StrCat("command-", ++commands_run_);
  const auto process = StartCommand(name, arguments);
  const auto code = process->Wait(absl::Seconds(120));
  EXPECT_TRUE(code.has_value()) << "hangs: " << absl::StrJoin(arguments, " ");
  CommandResult result{code.value_or(-1), ReadText(folder() / (name + ".out")),
                       ReadText(folder() / (name + ".err"))};
  std::filesystem::remove(folder() / (name + ".out"));
  std::filesystem::remove(folder() / (name + ".err"));
  return result;
}

std::unique_ptr<ChildProcess> Service::StartCommand(const std::string& name,
                                                    const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {Program("trainyard"), absl::StrCat("--server=", address_)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return std::make_unique<ChildProcess>(command, folder() / (name + ".out"),
                                        folder() / (name + ".err"));
}

void Service::RunJson(const std::vector<std::string>& arguments,
                      google::protobuf::Message& message) {
  std::vector<std::string> with_json = {"--json"};
  with_json.insert(with_json.end(), arguments.begin(), arguments.end());
  const CommandResult result = Run(with_json);
  ASSERT_EQ(result.exit_code, 0) << absl::StrJoin(arguments, " ") << "\n" << result.err;
  ParseJson(result.out, message);
}

std::string Service::SubmitDiagnostic(const std::vector<std::string>& settings,
                                      const std::vector<std::string>& arguments) {
  std::vector<std::string> command = {"train", "diagnostic"};
  for (const std::string& setting : settings) {
    command.push_back("--set");
    command.push_back(setting);
  }
  command.insert(command.end(), arguments.begin(), arguments.end());
  v1::Job job;
  RunJson(command, job);
  return job.name().substr(job.name().rfind('/') + 1);
}

v1::Job Service::GetJob(const std::string& id) {
  v1::Job job;
  RunJson({"jobs", "show", id}, job);
  return job;
}

v1::Job Service::WaitForState(const std::string& id, const std::vector<v1::Job::State>& states,
                              absl::Duration limit) {
  v1::Job job;
  const bool reached = WaitUntil(limit, [&] {
    const CommandResult shown = Run({"--json", "jobs", "show", id});
    if (shown.exit_code != 0) return false;  // not there yet, or the server is away
    ParseJson(shown.out, job);
    return std::find(states.begin(), states.end(), job.state()) != states.end();
  });
  EXPECT_TRUE(reached) << id << " is " << v1::Job::State_Name(job.state()) << "\n"
                       << job.DebugString();
  return job;
}

v1::Job Service::WaitForEnd(const std::string& id, absl::Duration limit) {
  return WaitForState(
      id, {v1::Job::STATE_SUCCEEDED, v1::Job::STATE_FAILED, v1::Job::STATE_CANCELLED}, limit);
}

std::vector<v1::JobEvent> Service::Events(const std::string& id) {
  const CommandResult result = Run({"--json", "jobs", "watch", id});
  std::vector<v1::JobEvent> events;
  for (const absl::string_view line : absl::StrSplit(result.out, '\n', absl::SkipEmpty())) {
    ParseJson(std::string(line), events.emplace_back());
  }
  return events;
}

bool IsTerminal(v1::Job::State state) {
  return state == v1::Job::STATE_SUCCEEDED || state == v1::Job::STATE_FAILED ||
         state == v1::Job::STATE_CANCELLED;
}

std::string Program(std::string_view name) {
  const char* const folder = std::getenv("TRAINYARD_BINARY_DIR");
  return (std::filesystem::path(folder != nullptr ? folder : kProgramFolder) / name).string();
}

std::string TestData(std::string_view name) {
  return (std::filesystem::path(kTestData) / name).string();
}

std::string ReadText(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void WriteText(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary) << text;
}

AttemptProcesses FindAttemptProcesses(const std::string& data_dir, const std::string& job) {
  AttemptProcesses found;
  const std::string in_job = job.empty() ? "" : absl::StrCat("/jobs/", job, "/");
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const std::string environment = ReadText(entry.path() / "environ");
    const std::string command = ReadText(entry.path() / "cmdline");
    const bool of_store =
        absl::StrContains(command, data_dir) || absl::StrContains(environment, data_dir);
    const std::string marker = absl::StrCat("TRAINYARD_ATTEMPT=");
    const size_t at = environment.find(marker);
    if (!of_store || at == std::string::npos) continue;
    const std::string attempt = environment.substr(at, environment.find('\0', at) - at);
    if (!absl::StrContains(attempt, in_job)) continue;
    found.all.push_back(pid);
    if (absl::StrContains(command, "--attempt=")) found.workers.push_back(pid);
  }
  return found;
}

void CheckHistory(const v1::Job& job, const std::vector<v1::JobEvent>& events) {
  v1::Job::State state = v1::Job::STATE_UNSPECIFIED;
  for (size_t i = 0; i < events.size(); ++i) {
    ASSERT_EQ(events[i].sequence(), static_cast<int64_t>(i) + 1) << job.name();
    ASSERT_FALSE(IsTerminal(state)) << job.name() << ": an event follows the end";
    if (!events[i].has_state_change()) continue;
    ASSERT_EQ(events[i].state_change().from(), state) << job.name() << " at " << i + 1;
    state = events[i].state_change().to();
  }
  EXPECT_TRUE(IsTerminal(state)) << job.name();
  EXPECT_EQ(state, job.state()) << job.name();
  EXPECT_EQ(job.newest_sequence(), static_cast<int64_t>(events.size())) << job.name();
}

}  // namespace trainyard::e2e
