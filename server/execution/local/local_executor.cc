#include "server/execution/local/local_executor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/execution/local/attempt_folder.h"
#include "server/execution/local/attempt_monitor.h"
#include "server/execution/local/process_record.h"
#include "server/execution/local/small_files.h"
#include "server/execution/local/spawn.h"
#include "server/execution/local/stale_attempts.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

constexpr int kTokenFd = 3;

// A pipe that holds `secret` and nothing else; its writing end is closed.
absl::StatusOr<UniqueFd> PipeWith(const std::string& secret) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError(errno, "pipe");
  UniqueFd reading(ends[0]);
  const UniqueFd writing(ends[1]);
  // A pipe takes PIPE_BUF bytes without a reader.
  if (secret.size() > 4096) return absl::InvalidArgumentError("token is longer than 4096 bytes");
  if (write(writing.get(), secret.data(), secret.size()) != static_cast<ssize_t>(secret.size())) {
    return SystemError(errno, "write the token");
  }
  return reading;
}

// Of a control group's folder, to start a process in it.
UniqueFd OpenGroup(const fs::path& folder) {
  return UniqueFd(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

// Runs the worker just far enough to enter these control groups, in `born_in` from its start.
bool RunsIn(const fs::path& binary, const std::vector<fs::path>& groups, int born_in = -1) {
  SpawnRequest request;
  request.arguments = {binary.string()};
  for (const fs::path& group : groups) {
    request.arguments.push_back(absl::StrCat("--cgroup=", group.string()));
  }
  request.arguments.push_back("--version");
  request.environment = InheritedEnvironment();
  request.control_group = born_in;
  const auto process = Spawn(request);
  if (!process.ok()) return false;
  int status = 0;
  const bool waited = waitpid(process->pid, &status, 0) == process->pid;
  ForgetOwnedChild(process->pid);
  return waited && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// Makes CUDA show these GPUs, named as the driver does, and no others.
void ShowGpus(const std::vector<std::string>& gpus, std::vector<std::string>& environment) {
  constexpr absl::string_view kVariable = "CUDA_VISIBLE_DEVICES=";
  std::erase_if(environment,
                [](const std::string& entry) { return absl::StartsWith(entry, kVariable); });
  environment.push_back(absl::StrCat(kVariable, absl::StrJoin(gpus, ",")));
}

// Whether workers can be started inside their version 2 group.
bool CanStartInGroup(const fs::path& binary, const ControlGroupFactory& groups) {
  if (!groups.available()) return false;
  const auto group = groups.Create(absl::StrCat("trial-start-", getpid()), 0);
  if (!group.ok()) return false;
  const UniqueFd folder = OpenGroup(group->unified());
  const bool started = folder.valid() && RunsIn(binary, {}, folder.get());
  group->Remove();
  return started;
}

class LocalExecutorImpl : public LocalExecutor {
 public:
  LocalExecutorImpl(const Options& options, std::string store, ControlGroupFactory groups,
                    bool start_in_group, std::unique_ptr<AttemptMonitor> monitor)
      : options_(options),
        store_(std::move(store)),
        groups_(std::move(groups)),
        start_in_group_(start_in_group),
        monitor_(std::move(monitor)) {}

  ~LocalExecutorImpl() override {
    monitor_.reset();  // removes the groups of attempts that have ended
    groups_.RemoveIfEmpty();
  }

  std::string_view name() const override { return "local"; }
  std::string DescribeConfinement() const override { return groups_.Describe(); }

  absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit on_exit) override;
  absl::Status Adopt(const std::string& attempt, const std::string& process,
                     OnExit on_exit) override;

  void Terminate(const std::string& attempt) override { monitor_->Terminate(attempt); }
  void Kill(const std::string& attempt) override { monitor_->Kill(attempt); }
  int64_t ProcessId(const std::string& attempt) const override {
    return monitor_->ProcessId(attempt);
  }

 private:
  std::string MarkerOf(const std::string& attempt) const { return AttemptMarker(attempt, store_); }
  absl::StatusOr<SpawnedProcess> StartWorker(const WorkerLaunch& launch,
                                             const AttemptFolder& folder,
                                             const ControlGroup& group) const;
  absl::Status Watch(const std::string& attempt, const AttemptFolder& folder,
                     const LocalProcessRecord& record, UniqueFd pidfd, OnExit on_exit);
  // For a worker that is gone.
  void RemoveLeftovers(const std::string& attempt, const AttemptFolder& folder,
                       const LocalProcessRecord& record) const;

  const Options options_;
  const std::string store_;  // tells this server's attempts from those of others
  const ControlGroupFactory groups_;
  const bool start_in_group_;
  std::unique_ptr<AttemptMonitor> monitor_;
};

absl::StatusOr<SpawnedProcess> LocalExecutorImpl::StartWorker(const WorkerLaunch& launch,
                                                              const AttemptFolder& folder,
                                                              const ControlGroup& group) const {
  TY_ASSIGN_OR_RETURN(const UniqueFd token, PipeWith(launch.token));
  const UniqueFd errors(
      open(folder.stderr_file().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!errors.valid()) {
    return SystemError(errno, absl::StrCat("create ", folder.stderr_file().string()));
  }
  SpawnRequest request;
  request.arguments = {options_.worker_binary.string()};
  UniqueFd born_in;
  if (start_in_group_ && !group.unified().empty()) born_in = OpenGroup(group.unified());
  for (const fs::path& path : group.folders()) {
    // The worker enters the others itself.
    if (born_in.valid() && path == group.unified()) continue;
    request.arguments.push_back(absl::StrCat("--cgroup=", path.string()));
  }
  request.control_group = born_in.get();
  request.arguments.push_back(absl::StrCat("--server=", launch.server_address));
  request.arguments.push_back(absl::StrCat("--attempt=", launch.attempt));
  request.arguments.push_back(absl::StrCat("--token_fd=", kTokenFd));
  request.arguments.push_back(absl::StrCat("--work_dir=", folder.scratch().string()));
  request.arguments.insert(request.arguments.end(), options_.worker_arguments.begin(),
                           options_.worker_arguments.end());
  request.environment = InheritedEnvironment();
  ShowGpus(launch.gpus, request.environment);
  request.environment.push_back(absl::StrCat("TMPDIR=", folder.scratch().string()));
  request.environment.push_back(absl::StrCat(kAttemptVariable, "=", MarkerOf(launch.attempt)));
  request.standard_error = errors.get();
  request.passed = {token.get()};
  return Spawn(request);
}

absl::Status LocalExecutorImpl::Watch(const std::string& attempt, const AttemptFolder& folder,
                                      const LocalProcessRecord& record, UniqueFd pidfd,
                                      OnExit on_exit) {
  const bool limited_by_group = record.group.exists() && groups_.limits_memory();
  return monitor_->Add(std::shared_ptr<RunningAttempt>(new RunningAttempt{
      .name = attempt,
      .folder = folder,
      .pidfd = std::move(pidfd),
      .on_exit = std::move(on_exit),
      .watched_memory_bytes = limited_by_group ? 0 : record.memory_limit_bytes,
      .processes = AttemptProcesses(record.group, MarkerOf(attempt), record.pid, record.start_time),
  }));
}

absl::StatusOr<std::string> LocalExecutorImpl::Launch(const WorkerLaunch& launch, OnExit on_exit) {
  TY_ASSIGN_OR_RETURN(const std::string id, AttemptFolderName(launch.attempt));
  if (monitor_->Contains(launch.attempt)) {
    return absl::AlreadyExistsError(absl::StrCat(launch.attempt, " is running"));
  }
  const AttemptFolder folder(options_.work_folder / id);
  RemoveStaleAttempt(folder, groups_, store_);
  TY_RETURN_IF_ERROR(folder.Create());

  LocalProcessRecord record;
  record.boot_id = BootId();
  record.memory_limit_bytes = launch.resources.memory_bytes();
  const auto start = [&]() -> absl::StatusOr<SpawnedProcess> {
    if (groups_.available()) {
      TY_ASSIGN_OR_RETURN(record.group, groups_.Create(id, record.memory_limit_bytes));
    }
    return StartWorker(launch, folder, record.group);
  };
  absl::StatusOr<SpawnedProcess> process = start();
  if (!process.ok()) {
    record.group.Remove();
    folder.Remove();
    return AddContext(process.status(), launch.attempt);
  }
  record.pid = process->pid;
  // It has not been waited for, so it is there, dead or alive.
  if (const auto stat = ReadProcessStat(process->pid)) record.start_time = stat->start_time;
  const std::string text = record.ToString();
  absl::Status watched = WritePrivateFile(folder.process_file(), text);
  if (watched.ok()) {
    watched = Watch(launch.attempt, folder, record, std::move(process->pidfd), std::move(on_exit));
  }
  if (watched.ok()) return text;
  kill(record.pid, SIGKILL);
  waitpid(record.pid, nullptr, 0);
  ForgetOwnedChild(record.pid);
  RemoveLeftovers(launch.attempt, folder, record);
  return AddContext(watched, launch.attempt);
}

void LocalExecutorImpl::RemoveLeftovers(const std::string& attempt, const AttemptFolder& folder,
                                        const LocalProcessRecord& record) const {
  KillLeftovers(record.group, MarkerOf(attempt));
  record.group.Remove();
  folder.Remove();
}

absl::Status LocalExecutorImpl::Adopt(const std::string& attempt, const std::string& process,
                                      OnExit on_exit) {
  TY_ASSIGN_OR_RETURN(const std::string id, AttemptFolderName(attempt));
  const AttemptFolder folder(options_.work_folder / id);
  if (monitor_->Contains(attempt)) {
    return absl::AlreadyExistsError(absl::StrCat(attempt, " is running"));
  }
  // A server that died between starting the worker and storing the text left it in the folder.
  const std::string text =
      process.empty() ? ReadSmallFile(folder.process_file()).value_or("") : process;
  const auto record = LocalProcessRecord::Parse(text);
  if (!record.ok()) {
    RemoveStaleAttempt(folder, groups_, store_);
    return absl::NotFoundError(absl::StrCat(attempt, ": ", record.status().message()));
  }
  // The pidfd is opened first: if the process is the right one afterwards, the pidfd is its.
  UniqueFd pidfd = OpenPidfd(record->pid);
  if (!pidfd.valid() || !record->Alive()) {
    RemoveLeftovers(attempt, folder, *record);
    return absl::NotFoundError(absl::StrCat(attempt, ": its worker is gone"));
  }
  return Watch(attempt, folder, *record, std::move(pidfd), std::move(on_exit));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalExecutor>> LocalExecutor::Create(const Options& options) {
  std::error_code error;
  fs::create_directories(options.work_folder, error);
  if (!error) fs::permissions(options.work_folder, fs::perms::owner_all, error);
  Options resolved = options;
  if (!error) resolved.work_folder = fs::canonical(options.work_folder, error);
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("work folder ", options.work_folder.string(), ": ", error.message()));
  }
  if (!RunsIn(options.worker_binary, {})) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker binary ", options.worker_binary.string(), " cannot be run"));
  }
  const std::string store = Sha256Hex(resolved.work_folder.string()).substr(0, 12);
  const ControlGroupFactory groups = ControlGroupFactory::Detect(
      {.name = absl::StrCat("trainyard-", store),
       .use_unified = options.use_cgroup_v2,
       .use_memory_v1 = options.use_cgroup_v1},
      FindControlGroupMounts(ReadSmallFile("/proc/self/mountinfo").value_or(""),
                             ReadSmallFile("/proc/self/cgroup").value_or("")),
      [&](const std::vector<fs::path>& folders) { return RunsIn(options.worker_binary, folders); });
  RemoveStaleAttempts(resolved.work_folder, groups, store);

  AttemptMonitor::Options monitor_options;
  monitor_options.memory_sample_interval = options.memory_sample_interval;
  monitor_options.inherits_orphans = getpid() == 1;
  if (!groups.available()) {
    // Orphans become children of this process, which can then wait for them.
    monitor_options.inherits_orphans |= prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
  }
  TY_ASSIGN_OR_RETURN(auto monitor, AttemptMonitor::Start(monitor_options));
  const bool start_in_group = CanStartInGroup(options.worker_binary, groups);
  return std::make_unique<LocalExecutorImpl>(resolved, store, groups, start_in_group,
                                             std::move(monitor));
}

}  // namespace trainyard
