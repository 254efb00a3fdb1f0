// Stands in for a server that dies: launches one attempt, writes the text for Adopt to descriptor
// 4, and is gone.
#include <unistd.h>

#include <iostream>

#include "server/execution/local/local_executor.h"

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  auto executor = trainyard::LocalExecutor::Create({.worker_binary = argv[1],
                                                    .work_folder = argv[2],
                                                    .use_cgroup_v2 = argv[4][0] == '1',
                                                    .use_cgroup_v1 = argv[4][1] == '1'});
  if (!executor.ok()) {
    std::cerr << executor.status() << std::endl;
    return 1;
  }
  const auto process = (*executor)->Launch(
      {.attempt = argv[3], .token = "t", .server_address = "s"}, [](trainyard::WorkerExit) {});
  if (!process.ok()) {
    std::cerr << process.status() << std::endl;
    return 1;
  }
  const ssize_t written = write(4, process->data(), process->size());
  _exit(written == static_cast<ssize_t>(process->size()) ? 0 : 1);
}
