#include "server/execution/local/helper_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "server/execution/local/small_files.h"
#include "server/execution/local/spawn.h"

namespace trainyard {
namespace {

constexpr int64_t kTailBytes = 8 << 10;
constexpr int64_t kMaxOutputBytes = int64_t{256} << 20;

// A nameless file in memory with these bytes, at its start.
absl::StatusOr<UniqueFd> MemoryFile(const char* name, std::string_view bytes) {
  UniqueFd fd(memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid()) return SystemError(errno, "memfd_create");
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t count = pwrite(fd.get(), bytes.data() + written, bytes.size() - written,
                                 static_cast<off_t>(written));
    if (count < 0) return SystemError(errno, "write to a memory file");
    written += static_cast<size_t>(count);
  }
  return fd;
}

// Opens the file anew, so that its descriptor is at the start.
std::string PathOf(const UniqueFd& fd) { return absl::StrCat("/proc/self/fd/", fd.get()); }

// Waits for the process, kills it when it must not go on.
void Await(const HelperRequest& request, const SpawnedProcess& process, HelperResult& result) {
  const absl::Duration end = Clock::Real().Monotonic() + request.time_limit;
  pollfd fds[2] = {{process.pidfd.get(), POLLIN, 0}, {request.stop_fd, POLLIN, 0}};
  while (true) {
    int timeout = -1;
    if (end != absl::InfiniteDuration()) {
      const absl::Duration left =
          std::clamp(end - Clock::Real().Monotonic(), absl::ZeroDuration(), absl::Hours(24));
      timeout =
          static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    }
    const int ready = poll(fds, 2, timeout);
    if (ready < 0 && errno == EINTR) continue;
    if (fds[0].revents != 0) break;
    result.stopped = fds[1].revents != 0;
    result.timed_out = !result.stopped && Clock::Real().Monotonic() >= end;
    if (!result.stopped && !result.timed_out) continue;
    SignalProcess(process.pidfd, SIGKILL);
    break;
  }
  int status = 0;
  waitpid(process.pid, &status, 0);
  ForgetOwnedChild(process.pid);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
}

}  // namespace

absl::StatusOr<HelperResult> RunHelper(const HelperRequest& request) {
  TY_ASSIGN_OR_RETURN(const UniqueFd input, MemoryFile("input", request.input));
  TY_ASSIGN_OR_RETURN(const UniqueFd output, MemoryFile("output", ""));
  TY_ASSIGN_OR_RETURN(const UniqueFd errors, MemoryFile("stderr", ""));
  SpawnRequest spawn;
  spawn.arguments = request.arguments;
  spawn.environment = InheritedEnvironment();
  spawn.standard_error = errors.get();
  spawn.passed = {input.get(), output.get()};
  TY_ASSIGN_OR_RETURN(const SpawnedProcess process, Spawn(spawn));
  HelperResult result;
  Await(request, process, result);
  result.stderr_tail = ReadTail(PathOf(errors), kTailBytes);
  auto bytes = ReadSmallFile(PathOf(output), kMaxOutputBytes);
  if (!bytes.has_value()) return absl::InternalError("the output of a helper cannot be read");
  result.output = *std::move(bytes);
  return result;
}

}  // namespace trainyard
