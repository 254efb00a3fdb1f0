#include "tests/benchmarks/api/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/telemetry/log.h"
#include "tests/benchmarks/api/floor_server.h"
#include "tests/server/api/test_server.h"

namespace trainyard {
namespace {

constexpr char kChild[] = "--child";

// Tells the parent the address, then waits until it closes the pipe.
int Serve(const std::string& address) {
  std::cout << address << std::endl;
  while (std::cin.get() != EOF) {
  }
  return 0;
}

// Reading the table is left out: it happens in another process.
int ServeUploads() {
  TestServer::Options options;
  options.ingest = [](const std::filesystem::path&, const v1::TableReadOptions&,
                      const std::filesystem::path& cache) -> absl::StatusOr<v1::TableSchema> {
    TableColumn column;
    column.name = "x";
    column.numbers = {1, 2};
    const auto table = MakeTable({column}).value();
    if (absl::Status status = WriteTableCache(*table, cache); !status.ok()) return status;
    return table->schema();
  };
  TestServer server(options);
  return Serve(server.address());
}

void WatchToTheEnd(grpc::ClientContext& context, const std::shared_ptr<grpc::Channel>& channel) {
  v1::WatchJobRequest request;
  request.set_name("projects/default/jobs/busy");
  const auto reader = v1::JobService::NewStub(channel)->WatchJob(&context, request);
  v1::WatchJobResponse response;
  while (reader->Read(&response)) {
  }
  (void)reader->Finish();
}

int ReadAlong(const std::string& address, int count) {
  (void)setpriority(PRIO_PROCESS, 0, 19);
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    contexts.push_back(std::make_unique<grpc::ClientContext>());
    threads.emplace_back(
        [&context = *contexts.back(), channel] { WatchToTheEnd(context, channel); });
  }
  const int code = Serve("reading");
  for (const auto& context : contexts) context->TryCancel();
  for (std::thread& thread : threads) thread.join();
  return code;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& arguments) {
  int to_child[2];
  int from_child[2];
  if (pipe2(to_child, O_CLOEXEC) != 0 || pipe2(from_child, O_CLOEXEC) != 0) std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, to_child[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, from_child[1], STDOUT_FILENO);
  std::vector<std::string> words = {"child", kChild};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, argv.data(), environ) != 0) {
    std::abort();
  }
  posix_spawn_file_actions_destroy(&actions);
  close(to_child[0]);
  close(from_child[1]);
  input_ = to_child[1];
  char c = 0;
  while (read(from_child[0], &c, 1) == 1 && c != '\n') address_ += c;
  close(from_child[0]);
}

ChildProcess::~ChildProcess() {
  close(input_);
  (void)waitpid(process_, nullptr, 0);
}

double ChildProcess::PeakMemory() const {
  std::ifstream status(absl::StrCat("/proc/", process_, "/status"));
  std::string word;
  while (status >> word) {
    if (word != "VmHWM:") continue;
    double kilobytes = 0;
    status >> kilobytes;
    return kilobytes / 1024;
  }
  return 0;
}

void ChildProcess::ResetPeakMemory() const {
  std::ofstream(absl::StrCat("/proc/", process_, "/clear_refs")) << "5";
}

std::optional<int> RunAsChild(int argc, char** argv) {
  if (argc < 3 || std::string(argv[1]) != kChild) return std::nullopt;
  LogOptions quiet;
  quiet.level = LogLevel::kWarning;
  ConfigureLog(quiet);
  const std::string what = argv[2];
  if (what == "upload-server") return ServeUploads();
  if (what == "floor-server") {
    FloorServer server;
    return Serve(server.address());
  }
  if (what == "readers" && argc == 5) return ReadAlong(argv[3], std::atoi(argv[4]));
  return 2;
}

}  // namespace trainyard
