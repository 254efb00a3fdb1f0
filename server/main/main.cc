// The program `trainyard-server`.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <iostream>
#include <string>
#include <thread>

#include "absl/flags/flag.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "server/config/settings.h"
#include "server/main/server_process.h"
#include "server/telemetry/log.h"

ABSL_FLAG(bool, check, false,
          "Verify the store instead of serving; exit code 0 when it is sound, else 1.");

namespace trainyard {
namespace {

constexpr int kFailure = 1;

void DescribeProgram() {
  absl::SetProgramUsageMessage(
      "Serves the Trainyard API.\n\n  trainyard-server --data_dir=DIR [--listen=HOST:PORT] "
      "[--config=FILE] …\n\nEvery flag is also a key of the config file and, as TRAINYARD_NAME, an "
      "environment variable.");
  absl::FlagsUsageConfig config;
  config.version_string = [] {
    return absl::StrCat("trainyard-server ", TRAINYARD_VERSION,
                        *TRAINYARD_REVISION == '\0' ? "" : " ", TRAINYARD_REVISION, "\n");
  };
  const auto is_ours = [](absl::string_view file) {
    return absl::StrContains(file, "server/config") || absl::StrContains(file, "server/main");
  };
  config.contains_help_flags = is_ours;
  config.contains_helpshort_flags = is_ours;
  absl::SetFlagsUsageConfig(config);
}

int Fail(const absl::Status& status) {
  std::cerr << "trainyard-server: " << status.message() << std::endl;
  return kFailure;
}

LogOptions LogOptionsOf(const Settings& settings) {
  LogOptions options;
  options.format = settings.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  options.level = settings.log_level == "debug"     ? LogLevel::kDebug
                  : settings.log_level == "info"    ? LogLevel::kInfo
                  : settings.log_level == "warning" ? LogLevel::kWarning
                                                    : LogLevel::kError;
  return options;
}

// The signals that end the server. Blocked in every thread, so that they wait for sigwait.
sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

std::filesystem::path WorkerBinary(const Settings& settings) {
  if (!settings.worker_binary.empty()) return std::filesystem::absolute(settings.worker_binary);
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return self.parent_path() / "trainyard-worker";
}

absl::Status Announce(const Settings& settings, const ServerProcess& server) {
  std::string line = absl::StrCat("ready grpc=", server.api_address());
  std::string ports = absl::StrCat("grpc=", server.api_address(), "\n");
  if (!server.metrics_address().empty()) {
    absl::StrAppend(&line, " metrics=", server.metrics_address());
    absl::StrAppend(&ports, "metrics=", server.metrics_address(), "\n");
  }
  std::cout << line << std::endl;
  if (settings.port_file.empty()) return absl::OkStatus();
  return WriteFileAtomically(FileSystem::Real(), settings.port_file, ports);
}

// Waits for a signal, then shuts down. Another signal meanwhile ends the process at once: what was
// acknowledged is on disk at any time.
void ServeUntilSignal(ServerProcess& server) {
  const sigset_t signals = EndSignals();
  int signal = 0;
  sigwait(&signals, &signal);
  LogInfo("shutting down", {{"signal", absl::StrCat(signal)}});
  std::thread([signals] {
    int again = 0;
    sigwait(&signals, &again);
    LogWarning("a second signal ends the server at once", {{"signal", absl::StrCat(again)}});
    _exit(128 + again);
  }).detach();
  server.Shutdown();
}

int Run(int argc, char** argv) {
  DescribeProgram();
  absl::Status read = ReadSettings(argc, argv, ProcessEnvironment());
  if (!read.ok()) return Fail(read);
  const absl::StatusOr<Settings> settings = CurrentSettings();
  if (!settings.ok()) return Fail(settings.status());
  ConfigureLog(LogOptionsOf(*settings));
  if (absl::GetFlag(FLAGS_check)) {
    const absl::Status checked = CheckStoreAndReport(*settings);
    return checked.ok() ? 0 : Fail(checked);
  }
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  auto server = ServerProcess::Start(*settings, WorkerBinary(*settings));
  if (!server.ok()) return Fail(server.status());
  if (const absl::Status status = Announce(*settings, **server); !status.ok()) return Fail(status);
  LogInfo("serving", {{"version", TRAINYARD_VERSION},
                      {"grpc", (*server)->api_address()},
                      {"metrics", (*server)->metrics_address()},
                      {"data_dir", settings->data_dir}});
  ServeUntilSignal(**server);
  server->reset();
  LogInfo("stopped");
  return 0;
}

}  // namespace
}  // namespace trainyard

int main(int argc, char** argv) { return trainyard::Run(argc, argv); }
