// Stands in for trainyard-worker: behaves as the id of its job says.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "server/execution/local/control_group.h"

namespace {

std::map<std::string, std::string> flags;
char** own_arguments = nullptr;

std::filesystem::path Scratch() { return flags["--work_dir"]; }

// The file appears whole.
void Publish(const std::string& name, const std::string& text) {
  const auto temporary = Scratch() / (name + ".new");
  std::ofstream(temporary) << text;
  std::filesystem::rename(temporary, Scratch() / name);
}

[[noreturn]] void SleepForEver() {
  for (;;) pause();
}

// A grandchild in a session of its own whose parent is gone.
template <typename Body>
void DoubleFork(Body body) {
  int report[2];
  if (pipe(report) != 0) abort();
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    const pid_t grandchild = fork();
    if (grandchild != 0) {
      if (write(report[1], &grandchild, sizeof(grandchild)) < 0) abort();
      _exit(0);
    }
    setsid();
    body();
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  pid_t grandchild = 0;
  if (read(report[0], &grandchild, sizeof(grandchild)) < 0) abort();
  close(report[0]);
  close(report[1]);
  std::ofstream(Scratch() / "strays.list", std::ios::app) << grandchild << "\n";
}

void MakeStrays() {
  DoubleFork([] {
    signal(SIGTERM, SIG_IGN);
    SleepForEver();
  });
  DoubleFork([] {
    for (;;) raise(SIGSTOP);
  });
  // An ordinary child that has lost the environment.
  const pid_t child = fork();
  if (child == 0) {
    char* no_environment[] = {nullptr};
    char mode[] = "--sleep";
    char* arguments[] = {own_arguments[0], mode, nullptr};
    execve(own_arguments[0], arguments, no_environment);
    _exit(1);
  }
  std::ofstream(Scratch() / "strays.list", std::ios::app) << child << "\n";
  std::filesystem::rename(Scratch() / "strays.list", Scratch() / "strays");
}

// A grandchild in a session of its own, without the environment, whose parent is gone.
void MakeStrayWithoutTraces() {
  DoubleFork([] {
    char* no_environment[] = {nullptr};
    char mode[] = "--sleep";
    char* arguments[] = {own_arguments[0], mode, nullptr};
    execve(own_arguments[0], arguments, no_environment);
  });
  std::filesystem::rename(Scratch() / "strays.list", Scratch() / "strays");
}

void EatMemory() {
  for (;;) {
    constexpr size_t kBytes = size_t{4} << 20;
    std::memset(std::malloc(kBytes), 1, kBytes);
    usleep(5000);
  }
}

int Behave(const std::string& job) {
  if (job.rfind("exit-", 0) == 0) return std::atoi(job.c_str() + 5);
  if (job == "crash") {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would turn it into an exit code
    raise(SIGSEGV);
  } else if (job == "sleep") {
    Publish("ready", "");
    SleepForEver();
  } else if (job == "strays") {
    MakeStrays();
    SleepForEver();
  } else if (job == "strays-exit") {
    MakeStrays();
    // The test has to read the list first.
    while (std::filesystem::exists(Scratch() / "strays")) usleep(1000);
  } else if (job == "traceless") {
    MakeStrayWithoutTraces();
    SleepForEver();
  } else if (job == "traceless-exit") {
    MakeStrayWithoutTraces();
    while (std::filesystem::exists(Scratch() / "strays")) usleep(1000);
  } else if (job == "eat") {
    EatMemory();
  } else if (job == "eat-in-child") {
    if (fork() == 0) EatMemory();
    SleepForEver();
  } else if (job == "stderr") {
    for (int i = 0; i < 4000; ++i) std::cerr << "line " << i << "\n";
    std::cerr << "caf\xC3\xA9 \xFF end";
    return 1;
  } else if (job == "flood") {
    const std::string text(1 << 20, 'x');
    for (int i = 0; i < 8; ++i) std::cerr << text;
    Publish("ready", "");
    SleepForEver();
  } else if (job == "secrets") {
    char token[100] = {};
    if (read(std::atoi(flags["--token_fd"].c_str()), token, sizeof(token) - 1) < 0) return 1;
    std::string text = std::string("token ") + token + "\n";
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code error;
      text += "fd " + entry.path().filename().string() + " " +
              std::filesystem::read_symlink(entry.path(), error).string() + "\n";
    }
    Publish("secrets", text);
    SleepForEver();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  own_arguments = argv;
  for (const std::string& argument : std::vector<std::string>(argv + 1, argv + argc)) {
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : argument.substr(equals + 1);
    if (name == "--cgroup" && !trainyard::EnterControlGroup(value.c_str())) return 10;
    flags[name] = value;
  }
  if (flags.contains("--version")) return 0;
  if (flags.contains("--sleep")) SleepForEver();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // as the worker does
  const std::string attempt = flags["--attempt"];
  const size_t start = attempt.find("/jobs/") + 6;
  return Behave(attempt.substr(start, attempt.find('/', start) - start));
}
