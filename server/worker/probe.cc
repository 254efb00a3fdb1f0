#include "server/worker/probe.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "google/protobuf/text_format.h"
#include "server/execution/local/small_files.h"
#include "server/execution/worker_exit_codes.h"

namespace trainyard {
namespace {

// Threads that this process may run on at once.
int UsableThreads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

std::string CpuModelIn(std::string_view cpuinfo) {
  constexpr std::string_view kField = "model name";
  const size_t field = cpuinfo.find(kField);
  if (field == std::string_view::npos) return "";
  const size_t colon = cpuinfo.find(':', field);
  const size_t end = std::min(cpuinfo.find('\n', field), cpuinfo.size());
  if (colon == std::string_view::npos || colon > end) return "";
  const size_t start = cpuinfo.find_first_not_of(" \t", colon + 1);
  if (start == std::string_view::npos || start >= end) return "";
  return std::string(cpuinfo.substr(start, end - start));
}

v1::ServerInfo FindDevices() {
  v1::ServerInfo info;
  v1::Device& cpu = *info.add_devices();
  cpu.set_id("cpu");
  cpu.set_kind(v1::Device::KIND_CPU);
  cpu.set_model(CpuModelIn(ReadSmallFile("/proc/cpuinfo").value_or("")));
  cpu.set_memory_bytes(sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
  cpu.set_slot_count(UsableThreads());
  AddCudaDevices(info);
  return info;
}

int RunProbe(int result_fd) {
  const v1::ServerInfo info = FindDevices();
  std::string text;
  if (result_fd >= 0) {
    text = info.SerializeAsString();
  } else {
    google::protobuf::TextFormat::PrintToString(info, &text);
  }
  const int fd = result_fd >= 0 ? result_fd : STDOUT_FILENO;
  const bool written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return written ? kWorkerDone : kWorkerInternalError;
}

}  // namespace trainyard
