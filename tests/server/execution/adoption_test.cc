// Workers outlive the server that launched them.
#include <signal.h>

#include "server/execution/local/helper_process.h"
#include "server/execution/local/process_record.h"
#include "tests/server/execution/executor_fixture.h"

namespace trainyard {
namespace {

class AdoptionTest : public ExecutorFixture, public ::testing::WithParamInterface<Confinement> {
 protected:
  AdoptionTest() : ExecutorFixture(GetParam()) {}

  // Has another process launch the job and die; returns what it would have stored.
  std::string LaunchByAnotherServer(const std::string& job) {
    executor_.reset();
    const auto result =
        RunHelper({.arguments = {TEST_LAUNCHER, TEST_WORKER, work_folder(), AttemptOf(job),
                                 absl::StrCat(GetParam().use_cgroup_v2 ? 1 : 0,
                                              GetParam().use_cgroup_v1 ? 1 : 0)}});
    EXPECT_TRUE(result.ok() && result->exit_code == 0) << result->stderr_tail;
    return result->output;
  }
};

INSTANTIATE_TEST_SUITE_P(Confinements, AdoptionTest, ::testing::ValuesIn(kConfinements),
                         ConfinementName);

TEST_P(AdoptionTest, FollowsAWorkerOfADeadServer) {
  const std::string process = LaunchByAnotherServer("strays");
  const std::vector<pid_t> strays = StraysOf("strays");
  ASSERT_EQ(strays.size(), 3u);
  Restart();
  EXPECT_TRUE(IsAlive(strays[0])) << "the restart killed a worker that lives";
  ExitWaiter waiter;
  const absl::Status adopted = executor_->Adopt(AttemptOf("strays"), process, waiter.callback());
  ASSERT_TRUE(adopted.ok()) << adopted;
  EXPECT_GT(executor_->ProcessId(AttemptOf("strays")), 0);
  EXPECT_FALSE(waiter.ended());
  executor_->Kill(AttemptOf("strays"));
  const WorkerExit exit = waiter.Wait();
  // Not a child of this process: nobody can know.
  EXPECT_EQ(exit.exit_code, std::nullopt);
  for (const pid_t pid : strays) EXPECT_FALSE(IsAlive(pid)) << pid;
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(FolderOf("strays")); }));
}

TEST_P(AdoptionTest, NoticesTheEndOfAnAdoptedWorker) {
  const std::string process = LaunchByAnotherServer("sleep");
  Restart();
  ExitWaiter waiter;
  ASSERT_TRUE(executor_->Adopt(AttemptOf("sleep"), process, waiter.callback()).ok());
  executor_->Terminate(AttemptOf("sleep"));
  waiter.Wait();
}

TEST_P(AdoptionTest, FindsAWorkerWhoseTextWasNotStored) {
  LaunchByAnotherServer("sleep");
  Restart();
  ExitWaiter waiter;
  ASSERT_TRUE(executor_->Adopt(AttemptOf("sleep"), "", waiter.callback()).ok());
  executor_->Kill(AttemptOf("sleep"));
  waiter.Wait();
}

TEST_P(AdoptionTest, DoesNotMistakeAnotherProcessForTheWorker) {
  const std::string text = LaunchByAnotherServer("sleep");
  Restart();
  auto record = LocalProcessRecord::Parse(text);
  ASSERT_TRUE(record.ok()) << record.status();
  const pid_t worker = record->pid;
  // The worker's id now belongs to somebody else, say.
  record->pid = getpid();
  ExitWaiter waiter;
  const absl::Status adopted =
      executor_->Adopt(AttemptOf("sleep"), record->ToString(), waiter.callback());
  EXPECT_EQ(adopted.code(), absl::StatusCode::kNotFound) << adopted;
  EXPECT_FALSE(IsAlive(worker)) << "what the attempt left behind was not killed";
  EXPECT_FALSE(waiter.ended());
  EXPECT_FALSE(std::filesystem::exists(FolderOf("sleep")));
}

TEST_P(AdoptionTest, WorkerThatDiedMeanwhileIsNotFound) {
  const std::string text = LaunchByAnotherServer("strays");
  const std::vector<pid_t> strays = StraysOf("strays");
  const auto record = LocalProcessRecord::Parse(text);
  ASSERT_TRUE(record.ok());
  kill(record->pid, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(record->pid); }));
  Restart();
  ExitWaiter waiter;
  EXPECT_EQ(executor_->Adopt(AttemptOf("strays"), text, waiter.callback()).code(),
            absl::StatusCode::kNotFound);
  for (const pid_t pid : {strays[0], strays[1]}) EXPECT_FALSE(IsAlive(pid)) << pid;
  // Without a control group nothing ties the third to the attempt any more.
  if (record->group.exists()) {
    EXPECT_FALSE(IsAlive(strays[2]));
  }
  kill(strays[2], SIGKILL);
}

TEST_P(AdoptionTest, RemovesWhatDeadAttemptsLeftAtTheStart) {
  const auto record = LocalProcessRecord::Parse(LaunchByAnotherServer("strays"));
  ASSERT_TRUE(record.ok());
  const std::vector<pid_t> strays = StraysOf("strays");
  kill(record->pid, SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsAlive(record->pid); }));
  Restart();
  EXPECT_FALSE(std::filesystem::exists(FolderOf("strays")));
  for (const pid_t pid : {strays[0], strays[1]}) EXPECT_FALSE(IsAlive(pid)) << pid;
  for (const auto& folder : record->group.folders()) {
    EXPECT_FALSE(std::filesystem::exists(folder)) << folder;
  }
  kill(strays[2], SIGKILL);
}

TEST_P(AdoptionTest, TextThatIsNoneIsNotFound) {
  EXPECT_EQ(executor_->Adopt(AttemptOf("sleep"), "pid=1;start=x", [](WorkerExit) {}).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace trainyard
