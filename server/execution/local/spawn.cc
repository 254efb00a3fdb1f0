#include "server/execution/local/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/mutex.h"
#include "core/base/status.h"
#include "server/execution/local/clone_into_group.h"
#include "server/execution/local/small_files.h"

extern char** environ;

namespace trainyard {
namespace {

constexpr int kFirstPassed = 3;

struct OwnedChildren {
  Mutex mutex;
  absl::flat_hash_set<pid_t> pids ABSL_GUARDED_BY(mutex);
};

OwnedChildren& Owned() {
  static auto& owned = *new OwnedChildren();
  return owned;
}

// posix_spawn's two argument objects, destroyed with their owner.
class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }

  // Returns an error number, 0 for none.
  int Fill(const SpawnRequest& request) {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    int error = posix_spawnattr_setsigmask(&attributes_, &none);
    if (error == 0) error = posix_spawnattr_setsigdefault(&attributes_, &all);
    if (error == 0) {
      error = posix_spawnattr_setflags(
          &attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    if (error == 0) error = AddOpen(STDIN_FILENO, O_RDONLY);
    if (error == 0) error = AddOutput(STDOUT_FILENO, request.standard_output);
    if (error == 0) error = AddOutput(STDERR_FILENO, request.standard_error);
    int next = kFirstPassed;
    for (size_t i = 0; i < request.passed.size() && error == 0; ++i) {
      error = posix_spawn_file_actions_adddup2(&actions_, request.passed[i], next++);
    }
    if (error == 0) error = posix_spawn_file_actions_addclosefrom_np(&actions_, next);
    return error;
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  int AddOpen(int fd, int flags) {
    return posix_spawn_file_actions_addopen(&actions_, fd, "/dev/null", flags, 0);
  }
  int AddOutput(int fd, int source) {
    return source < 0 ? AddOpen(fd, O_WRONLY)
                      : posix_spawn_file_actions_adddup2(&actions_, source, fd);
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

absl::Status StartError(int error, const SpawnRequest& request) {
  return SystemError(error, absl::StrCat("start ", request.arguments[0]));
}

absl::StatusOr<SpawnedProcess> SpawnHere(const SpawnRequest& request) {
  SpawnSettings settings;
  if (const int error = settings.Fill(request)) return SystemError(error, "prepare posix_spawn");
  const std::vector<char*> arguments = Pointers(request.arguments);
  const std::vector<char*> environment = Pointers(request.environment);
  SpawnedProcess process;
  const int error = posix_spawn(&process.pid, arguments[0], settings.actions(),
                                settings.attributes(), arguments.data(), environment.data());
  if (error != 0) return StartError(error, request);
  process.pidfd = OpenPidfd(process.pid);
  if (process.pidfd.valid()) return process;
  const absl::Status status = SystemError(errno, "pidfd_open");
  kill(process.pid, SIGKILL);
  waitpid(process.pid, nullptr, 0);
  return status;
}

absl::StatusOr<SpawnedProcess> SpawnInGroup(const SpawnRequest& request) {
  const std::vector<char*> arguments = Pointers(request.arguments);
  const std::vector<char*> environment = Pointers(request.environment);
  const CloneResult started =
      CloneIntoGroup({.arguments = arguments.data(),
                      .environment = environment.data(),
                      .group = request.control_group,
                      .standard_output = request.standard_output,
                      .standard_error = request.standard_error,
                      .passed = request.passed.data(),
                      .passed_count = static_cast<int>(request.passed.size())});
  if (started.error != 0) return StartError(started.error, request);
  return SpawnedProcess{started.pid, UniqueFd(started.pidfd)};
}

}  // namespace

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

absl::StatusOr<SpawnedProcess> Spawn(const SpawnRequest& request) {
  // Sources are moved out of the range of targets first: a dup2 to 3 must not overwrite the source
  // of a later one.
  SpawnRequest moved = request;
  std::vector<UniqueFd> copies;
  for (int& fd : moved.passed) {
    copies.emplace_back(
        fcntl(fd, F_DUPFD_CLOEXEC, kFirstPassed + static_cast<int>(request.passed.size())));
    if (!copies.back().valid()) return SystemError(errno, "duplicate a descriptor");
    fd = copies.back().get();
  }
  MutexLock lock(&Owned().mutex);
  TY_ASSIGN_OR_RETURN(SpawnedProcess process,
                      request.control_group < 0 ? SpawnHere(moved) : SpawnInGroup(moved));
  Owned().pids.insert(process.pid);
  return process;
}

bool IsOwnedChild(pid_t pid) {
  MutexLock lock(&Owned().mutex);
  return Owned().pids.contains(pid);
}

void ForgetOwnedChild(pid_t pid) {
  MutexLock lock(&Owned().mutex);
  Owned().pids.erase(pid);
}

std::vector<std::string> InheritedEnvironment() {
  static constexpr std::array<absl::string_view, 6> kNames = {
      "PATH=", "HOME=", "LANG=", "TZ=", "LD_LIBRARY_PATH=", "LD_PRELOAD="};
  static constexpr std::array<absl::string_view, 9> kPrefixes = {
      "LC_",   "OMP_",          "CUDA_",         "NVIDIA_",       "MALLOC_",
      "DNNL_", "ASAN_OPTIONS=", "TSAN_OPTIONS=", "UBSAN_OPTIONS="};
  std::vector<std::string> environment;
  const auto begins_with_one_of = [](absl::string_view entry, const auto& list) {
    for (absl::string_view prefix : list) {
      if (absl::StartsWith(entry, prefix)) return true;
    }
    return false;
  };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    if (begins_with_one_of(*entry, kNames) || begins_with_one_of(*entry, kPrefixes)) {
      environment.emplace_back(*entry);
    }
  }
  return environment;
}

void SignalProcess(const UniqueFd& pidfd, int signal) {
  if (pidfd.valid()) syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0);
}

}  // namespace trainyard
