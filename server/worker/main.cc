// The worker binary: trains one job attempt, reads one table, or tells what this machine offers.
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "server/execution/local/control_group.h"
#include "server/execution/local/unique_fd.h"
#include "server/execution/worker_exit_codes.h"
#include "server/worker/command_line.h"
#include "server/worker/crash_report.h"
#include "server/worker/grpc_connection.h"
#include "server/worker/ingest.h"
#include "server/worker/probe.h"
#include "server/worker/worker.h"

namespace trainyard {
namespace {

// Reads the token and closes the descriptor, so that nobody finds it there later.
std::string ReadToken(int fd) {
  const UniqueFd owned(fd);
  std::string token;
  char buffer[512];
  ssize_t count = 0;
  while ((count = read(fd, buffer, sizeof(buffer))) > 0) {
    token.append(buffer, static_cast<size_t>(count));
  }
  return token;
}

bool EnterControlGroups(int argc, char** argv) {
  static constexpr char kFlag[] = "--cgroup=";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], kFlag, sizeof(kFlag) - 1) != 0) continue;
    if (EnterControlGroup(argv[i] + sizeof(kFlag) - 1)) continue;
    std::perror(argv[i]);
    return false;
  }
  return true;
}

int Train(const WorkerCommand& command) {
  // Before any thread exists: the worker waits for SIGTERM on one of its own.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  // What the training starts stays below this process, however it detaches itself: the executor
  // finds it by descent where it has no control group.
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  InstallCrashReport();
  WorkerOptions options = command.worker;
  options.token = ReadToken(command.token_fd);
  // Closing the session in order would only keep the attempt's slots busy.
  options.on_stored = [] { _exit(kWorkerDone); };
  const auto connection = MakeGrpcConnection(command.server);
  const int code = RunWorker(options, *connection);
  // Threads may still train, and nothing needs to be put in order: the process is the order.
  _exit(code);
}

int Main(int argc, char** argv) {
  if (!EnterControlGroups(argc, argv)) return kWorkerNoGroup;
  const auto command = ParseWorkerCommand(std::vector<std::string>(argv + 1, argv + argc));
  if (!command.ok()) {
    std::fprintf(stderr, "trainyard-worker: %s\n%s",
                 std::string(command.status().message()).c_str(), kWorkerUsageText);
    return kWorkerUsage;
  }
  switch (command->mode) {
    case WorkerCommand::Mode::kTrain:
      return Train(*command);
    case WorkerCommand::Mode::kIngest:
      return RunIngest(command->ingest);
    case WorkerCommand::Mode::kProbe:
      return RunProbe(command->result_fd);
    case WorkerCommand::Mode::kVersion:
      std::puts("trainyard-worker " TRAINYARD_VERSION);
      return kWorkerDone;
    case WorkerCommand::Mode::kHelp:
      std::fputs(kWorkerUsageText, stdout);
      return kWorkerDone;
  }
  return kWorkerUsage;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::Main(argc, argv); }
