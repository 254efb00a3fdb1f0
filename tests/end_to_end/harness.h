// Runs the real programs: a server in a temporary folder, and the command line against it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::e2e {

// A folder that vanishes with its object.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A child process whose output goes to files. Killed by the destructor if it still runs.
class ChildProcess {
 public:
  ChildProcess(const std::vector<std::string>& command, const std::filesystem::path& stdout_file,
               const std::filesystem::path& stderr_file);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int signal);
  // Exit code, or 128 + signal. Nullopt when it still runs after `limit`.
  std::optional<int> Wait(absl::Duration limit);

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

struct CommandResult {
  int exit_code = -1;
  std::string out;
  std::string err;
};

// A server with a store of its own, and commands against it.
class Service {
 public:
  // Starts a server with diagnostics enabled and `flags` added.
  explicit Service(std::vector<std::string> flags = {});
  ~Service();

  // Starts the server again, on the same store and port.
  void Start();
  // SIGKILL; returns when the process is gone.
  void Kill();
  // SIGTERM; returns its exit code.
  int Stop();
  bool Running();
  pid_t server_pid() const { return server_->pid(); }
  // `host:port` of the API; stays the same over restarts.
  const std::string& address() const { return address_; }
  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path data_dir() const { return folder_.path() / "store"; }
  std::string ServerLog() const;

  // Runs `trainyard --server=… ARGUMENTS` to its end.
  CommandResult Run(const std::vector<std::string>& arguments);
  // The same with --json; the answer is parsed into `message`. Fails the test unless the exit code
  // is 0.
  void RunJson(const std::vector<std::string>& arguments, google::protobuf::Message& message);
  // Starts such a command and leaves it running; its output goes to `NAME.out` and `NAME.err`.
  std::unique_ptr<ChildProcess> StartCommand(const std::string& name,
                                             const std::vector<std::string>& arguments);

  // Submits a diagnostic job: `settings` as for --set. Returns its id.
  std::string SubmitDiagnostic(const std::vector<std::string>& settings,
                               const std::vector<std::string>& arguments = {});
  v1::Job GetJob(const std::string& id);
  // Waits until the job is in one of `states`; fails the test after `limit`.
  v1::Job WaitForState(const std::string& id, const std::vector<v1::Job::State>& states,
                       absl::Duration limit = absl::Seconds(60));
  v1::Job WaitForEnd(const std::string& id, absl::Duration limit = absl::Seconds(60));
  // All events of a job, by `jobs watch --json`, which ends when the job does.
  std::vector<v1::JobEvent> Events(const std::string& id);

 private:
  TemporaryFolder folder_;
  std::vector<std::string> flags_;
  std::unique_ptr<ChildProcess> server_;
  std::string address_;
  int commands_run_ = 0;
};

bool IsTerminal(v1::Job::State state);

// Path of a program: of the build, or of the folder that the environment's TRAINYARD_BINARY_DIR names.
std::string Program(std::string_view name);
// Path of a file in tests/data.
std::string TestData(std::string_view name);

std::string ReadText(const std::filesystem::path& file);
void WriteText(const std::filesystem::path& file, std::string_view text);

// Process ids of the workers (by their --attempt argument) and of every process that belongs to an
// attempt of `job` (by the marker in its environment). An empty job means all.
struct AttemptProcesses {
  std::vector<pid_t> workers;
  std::vector<pid_t> all;
};
AttemptProcesses FindAttemptProcesses(const std::string& data_dir, const std::string& job);

// Fails the test unless sequences are 1, 2, 3, …, the state changes form one chain of legal changes
// from QUEUED to the terminal state `job` is in, and nothing follows the terminal change.
void CheckHistory(const v1::Job& job, const std::vector<v1::JobEvent>& events);

}  // namespace trainyard::e2e
