// What a started process finds: the same whether it is born in a control group or not.
#include "server/execution/local/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/execution/local/control_group.h"
#include "server/execution/local/small_files.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A group of this test's own; none where the system grants none.
class TestGroup {
 public:
  TestGroup()
      : factory_(ControlGroupFactory::Detect(
            {.name = absl::StrCat("trainyard-spawn-test-", getpid()), .use_memory_v1 = false},
            FindControlGroupMounts(ReadSmallFile("/proc/self/mountinfo").value_or(""),
                                   ReadSmallFile("/proc/self/cgroup").value_or("")),
            [](const auto&) { return true; })) {
    if (!factory_.available()) return;
    group_ = factory_.Create("group", 0).value_or(ControlGroup());
    folder_ = UniqueFd(open(group_.unified().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~TestGroup() {
    group_.Remove();
    factory_.RemoveIfEmpty();
  }
  int folder() const { return folder_.get(); }
  std::string name() const {
    return (group_.unified().parent_path().filename() / "group").string();
  }

 private:
  ControlGroupFactory factory_;
  ControlGroup group_;
  UniqueFd folder_;
};

struct Outcome {
  int status = 0;
  std::string output;
};

// The parameter: whether the process is born in a group.
class SpawnTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (!GetParam()) return;
    group_ = std::make_unique<TestGroup>();
    if (group_->folder() < 0) GTEST_SKIP() << "this system grants no control group";
  }

  SpawnRequest Shell(const std::string& script) const {
    SpawnRequest request;
    request.arguments = {"/bin/sh", "-c", script};
    request.environment = {"PATH=/usr/bin:/bin", "COLOUR=green"};
    request.standard_output = output_.get();
    request.control_group = GetParam() ? group_->folder() : -1;
    return request;
  }

  Outcome Run(const SpawnRequest& request) {
    const auto process = Spawn(request);
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return {};
    EXPECT_TRUE(IsOwnedChild(process->pid));
    Outcome outcome;
    EXPECT_EQ(waitpid(process->pid, &outcome.status, 0), process->pid);
    ForgetOwnedChild(process->pid);
    EXPECT_FALSE(IsOwnedChild(process->pid));
    outcome.output = ReadSmallFile(absl::StrCat("/proc/self/fd/", output_.get())).value_or("");
    return outcome;
  }

  const UniqueFd output_{memfd_create("output", MFD_CLOEXEC)};
  std::unique_ptr<TestGroup> group_;
};

INSTANTIATE_TEST_SUITE_P(Groups, SpawnTest, ::testing::Bool(),
                         [](const auto& which) { return which.param ? "InAGroup" : "Here"; });

TEST_P(SpawnTest, BeginsInItsGroup) {
  const Outcome outcome = Run(Shell("cat /proc/self/cgroup"));
  EXPECT_EQ(outcome.status, 0);
  if (GetParam()) {
    EXPECT_THAT(outcome.output, HasSubstr(group_->name() + "\n"));
  } else {
    EXPECT_EQ(outcome.output, ReadSmallFile("/proc/self/cgroup"));
  }
}

TEST_P(SpawnTest, LeadsASession) {
  // The sixth field of stat is the session.
  const Outcome outcome = Run(Shell("cut -d' ' -f1,6 /proc/$$/stat"));
  const size_t space = outcome.output.find(' ');
  ASSERT_NE(space, std::string::npos) << outcome.output;
  EXPECT_EQ(outcome.output, absl::StrCat(outcome.output.substr(0, space), " ",
                                         outcome.output.substr(0, space), "\n"));
}

TEST_P(SpawnTest, HasItsEnvironmentAlone) {
  EXPECT_EQ(Run(Shell("echo $COLOUR $HOME")).output, "green\n");
}

TEST_P(SpawnTest, HasItsDescriptorsAlone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);  // not marked to be closed
  const UniqueFd left(ends[0]);
  const UniqueFd right(ends[1]);
  const UniqueFd first(memfd_create("first", MFD_CLOEXEC));
  const UniqueFd second(memfd_create("second", MFD_CLOEXEC));
  SpawnRequest request = Shell("exec ls -l /proc/self/fd");
  request.passed = {second.get(), first.get()};
  const std::string seen = Run(request).output;
  EXPECT_THAT(seen, HasSubstr("0 -> /dev/null\n"));
  EXPECT_THAT(seen, HasSubstr("1 -> /memfd:output (deleted)\n"));
  EXPECT_THAT(seen, HasSubstr("2 -> /dev/null\n"));
  EXPECT_THAT(seen, HasSubstr("3 -> /memfd:second (deleted)\n"));
  EXPECT_THAT(seen, HasSubstr("4 -> /memfd:first (deleted)\n"));
  // The folder being listed is all that follows.
  EXPECT_THAT(seen, HasSubstr("5 -> /proc/"));
  EXPECT_THAT(seen, Not(HasSubstr("6 -> ")));
  EXPECT_THAT(seen, Not(HasSubstr("pipe:")));
}

TEST_P(SpawnTest, NoSignalIsBlockedOrIgnored) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto handler = signal(SIGPIPE, SIG_IGN);
  const Outcome outcome = Run(Shell("exec sed -nE 's/^Sig(Blk|Ign):.//p' /proc/self/status"));
  signal(SIGPIPE, handler);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // Signals 32 and 33 are the C library's own.
  constexpr uint64_t kStandardSignals = 0x7fffffff;
  uint64_t blocked_there = ~uint64_t{0};
  uint64_t ignored_there = ~uint64_t{0};
  std::istringstream(outcome.output) >> std::hex >> blocked_there >> ignored_there;
  EXPECT_EQ(blocked_there, 0u);
  EXPECT_EQ(ignored_there & kStandardSignals, 0u);
}

TEST_P(SpawnTest, LeavesTheCallersSignalMask) {
  sigset_t before;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Run(Shell("true"));
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < 32; ++signal) {
    EXPECT_EQ(sigismember(&after, signal), sigismember(&before, signal)) << signal;
  }
}

TEST_P(SpawnTest, DescriptorTellsTheEnd) {
  SpawnRequest request = Shell("exit 7");
  const auto process = Spawn(request);
  ASSERT_TRUE(process.ok()) << process.status();
  siginfo_t info = {};
  ASSERT_EQ(waitid(P_PIDFD, static_cast<id_t>(process->pidfd.get()), &info, WEXITED), 0);
  ForgetOwnedChild(process->pid);
  EXPECT_EQ(info.si_pid, process->pid);
  EXPECT_EQ(info.si_status, 7);
  EXPECT_NE(fcntl(process->pidfd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(SpawnTest, NamesAProgramThatCannotBeRun) {
  SpawnRequest request = Shell("");
  request.arguments = {"/nonexistent/program"};
  const auto process = Spawn(request);
  EXPECT_EQ(process.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(process.status().message()), HasSubstr("/nonexistent/program"));
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
}

}  // namespace
}  // namespace trainyard
