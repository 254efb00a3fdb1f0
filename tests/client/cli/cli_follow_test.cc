// Following jobs: results, lost connections, Ctrl-C.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/client/cli/run_cli.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CliFollowTest : public ::testing::Test {
 protected:
  std::vector<std::string> With(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "--server=" + server_.address());
    return arguments;
  }
  FakeServer server_;
};

TEST_F(CliFollowTest, WaitPrintsTheFinishedJobWithItsReport) {
  AddJob(server_.state(), "good", v1::Job::STATE_SUCCEEDED, 30);
  const CliResult result = RunCli(With({"--json", "train", "hierarchical-shrinkage", "--dataset",
                                        "d", "--job-id", "good", "--wait"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  const auto job = ParseJson(result.out);
  const auto report = job.fields().at("report").struct_value();
  const auto own = report.fields().at("hierarchical_shrinkage").struct_value();
  EXPECT_EQ(own.fields().at("metrics_shrunk").struct_value().fields().at("accuracy").number_value(),
            0.9);
  EXPECT_EQ(own.fields().at("lambda").number_value(), 0);
}

TEST_F(CliFollowTest, FollowShowsEventsResultsAndACurve) {
  AddJob(server_.state(), "good", v1::Job::STATE_SUCCEEDED, 30);
  server_.state().watch_cuts = {{7, WatchCut::kUnavailable}, {9, WatchCut::kCancelled}};
  const CliResult result = RunCli(
      With({"train", "hierarchical-shrinkage", "--dataset", "d", "--job-id", "good", "--follow"}));
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("RUNNING"));
  EXPECT_THAT(result.out, HasSubstr("connection lost"));
  EXPECT_THAT(result.out, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(result.out, HasSubstr("metric    train  test"));
  EXPECT_THAT(result.out, HasSubstr("metric    plain  shrunk"));
  EXPECT_THAT(result.out, HasSubstr("validation/loss\n      1 │"));
  EXPECT_THAT(result.out, HasSubstr("trainyard models download good"));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1b")));
}

TEST_F(CliFollowTest, WatchPrintsOneObjectALine) {
  AddJob(server_.state(), "good", v1::Job::STATE_SUCCEEDED, 30);
  server_.state().watch_cuts = {{7, WatchCut::kUnavailable}};
  const CliResult result = RunCli(With({"--json", "jobs", "watch", "good", "--from", "4"}));
  EXPECT_EQ(result.code, 0) << result.err;
  std::istringstream lines(result.out);
  int64_t sequence = 4;
  for (std::string line; std::getline(lines, line); ++sequence) {
    EXPECT_EQ(ParseJson(line).fields().at("sequence").string_value(), std::to_string(sequence));
  }
  EXPECT_EQ(sequence, 34);
}

TEST_F(CliFollowTest, FailureShowsTheErrorAndTheWorkersLastWords) {
  AddJob(server_.state(), "bad", v1::Job::STATE_FAILED, 1);
  server_.state().jobs["projects/default/jobs/bad"].add_attempts()->set_stderr_tail(
      "boom\x1b[2J\n");
  const CliResult result = RunCli(With({"jobs", "watch", "bad"}));
  EXPECT_EQ(result.code, 4);
  EXPECT_THAT(result.err, HasSubstr("error: the target is constant"));
  EXPECT_THAT(result.err, HasSubstr("  boom\n"));
}

TEST_F(CliFollowTest, CtrlCDetaches) {
  AddJob(server_.state(), "long", v1::Job::STATE_RUNNING, 3);
  for (const bool json : {false, true}) {
    const int before = json ? 2 : 1;
    CliProcess process(With(json ? std::vector<std::string>{"--json", "jobs", "watch", "long"}
                                 : std::vector<std::string>{"jobs", "watch", "long"}));
    ASSERT_TRUE(server_.AwaitCalls("WatchJob", before));
    process.Signal(SIGINT);
    const CliResult result = process.Wait();
    EXPECT_EQ(result.code, 130);
    EXPECT_THAT(result.err, HasSubstr(json ? "INTERRUPTED" : "trainyard jobs watch long"));
  }
  EXPECT_EQ(server_.state().calls["CancelJob"], 0);
}

TEST_F(CliFollowTest, SurvivesARestartOfTheServer) {
  AddJob(server_.state(), "good", v1::Job::STATE_SUCCEEDED, 30);
  server_.state().watch_cuts = {{7, WatchCut::kSilence}};
  CliProcess process(With({"--json", "jobs", "watch", "good"}));
  ASSERT_TRUE(server_.AwaitCalls("WatchJob", 1));
  server_.Stop();
  server_.Start();
  const CliResult result = process.Wait();
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 33);
}

}  // namespace
}  // namespace trainyard::testing
