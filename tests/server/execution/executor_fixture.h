// Runs a LocalExecutor with the stand-in worker in a folder of its own.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/execution/local/local_executor.h"
#include "server/execution/local/process_info.h"
#include "tests/server/execution/exit_waiter.h"

namespace trainyard {

// How attempts are confined; `available` is asked of the system.
struct Confinement {
  const char* name;
  bool use_cgroup_v2;
  bool use_cgroup_v1;
  const char* description;  // what the executor must say of it, else the case is skipped
};

inline std::string ReadWhole(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

inline bool IsAlive(pid_t pid) {
  const auto stat = ReadProcessStat(pid);
  return stat.has_value() && !stat->dead();
}

class ExecutorFixture : public ::testing::Test {
 protected:
  explicit ExecutorFixture(const Confinement& confinement) : confinement_(confinement) {
    std::string name = "/tmp/trainyard-executor-XXXXXX";
    folder_ = mkdtemp(name.data());
    Restart();
  }
  ~ExecutorFixture() override {
    executor_.reset();
    std::filesystem::remove_all(folder_);
  }

  void SetUp() override {
    ASSERT_NE(executor_, nullptr);
    if (executor_->DescribeConfinement() != confinement_.description) {
      GTEST_SKIP() << "this system grants '" << executor_->DescribeConfinement() << "'";
    }
  }

  // A new executor, as after a restart of the server.
  void Restart() {
    executor_.reset();
    auto executor = LocalExecutor::Create({.worker_binary = std::filesystem::path(TEST_WORKER),
                                           .work_folder = work_folder(),
                                           .use_cgroup_v2 = confinement_.use_cgroup_v2,
                                           .use_cgroup_v1 = confinement_.use_cgroup_v1,
                                           .memory_sample_interval = absl::Milliseconds(20)});
    ASSERT_TRUE(executor.ok()) << executor.status();
    executor_ = *std::move(executor);
  }

  std::filesystem::path work_folder() const { return folder_ / "work"; }
  static std::string AttemptOf(const std::string& job) {
    return absl::StrCat("projects/p/jobs/", job, "/attempts/1");
  }
  std::filesystem::path FolderOf(const std::string& job) const {
    return work_folder() / absl::StrCat("p.", job, ".1");
  }
  std::filesystem::path ScratchOf(const std::string& job) const {
    return FolderOf(job) / "scratch";
  }

  std::string Launch(const std::string& job, ExitWaiter& waiter, int64_t memory_bytes = 0) {
    WorkerLaunch launch{.attempt = AttemptOf(job), .token = "tok-3a91", .server_address = "unix:x"};
    launch.resources.set_memory_bytes(memory_bytes);
    const auto process = executor_->Launch(launch, waiter.callback());
    EXPECT_TRUE(process.ok()) << process.status();
    return process.value_or("");
  }

  // Process ids that the stand-in worker has listed.
  std::vector<pid_t> StraysOf(const std::string& job) const {
    const auto file = ScratchOf(job) / "strays";
    EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(file); }));
    std::vector<pid_t> pids;
    std::ifstream stream(file);
    for (pid_t pid = 0; stream >> pid;) pids.push_back(pid);
    return pids;
  }

  Confinement confinement_;
  std::filesystem::path folder_;
  std::unique_ptr<LocalExecutor> executor_;
};

inline constexpr Confinement kConfinements[] = {
    {"Unified", true, false, "cgroup v2"},
    {"Hybrid", true, true, "cgroup v2 and cgroup v1 memory"},
    {"MemoryV1", false, true, "cgroup v1 memory"},
    {"None", false, false, "none"},
};

inline std::string ConfinementName(const ::testing::TestParamInfo<Confinement>& info) {
  return info.param.name;
}

}  // namespace trainyard
