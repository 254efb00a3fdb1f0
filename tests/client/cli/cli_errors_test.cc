// Exit codes and JSON of each class of failure, as scripts see them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "proto/schema/violations.h"
#include "tests/client/cli/run_cli.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard::testing {
namespace {

using ::testing::HasSubstr;

class CliErrorsTest : public ::testing::Test {
 protected:
  CliResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--server=" + server_.address(), "--json"});
    return RunCli(arguments);
  }
  // That nothing is on standard output and one error document on standard error.
  void ExpectError(const CliResult& result, int code, const std::string& status_code,
                   const std::string& message) {
    EXPECT_EQ(result.code, code) << result.err;
    EXPECT_EQ(result.out, "");
    const auto document = ParseJson(result.err);
    ASSERT_EQ(document.fields().count("error"), 1u) << result.err;
    const auto& error = document.fields().at("error").struct_value().fields();
    EXPECT_EQ(error.at("code").string_value(), status_code);
    EXPECT_THAT(error.at("message").string_value(), HasSubstr(message));
    EXPECT_EQ(error.count("reason"), 1u);
    EXPECT_EQ(error.count("violations"), 1u);
  }

  FakeServer server_;
};

TEST_F(CliErrorsTest, WrongUsageIsTwo) {
  ExpectError(Run({"jobs", "lst"}), 2, "INVALID_ARGUMENT", "did you mean list?");
  ExpectError(Run({"jobs", "list", "--fliter", "x"}), 2, "INVALID_ARGUMENT", "--filter");
  ExpectError(Run({"jobs", "show"}), 2, "INVALID_ARGUMENT", "JOB");
  ExpectError(Run({"jobs", "show", "Not An Id"}), 2, "INVALID_ARGUMENT", "Not An Id");
  ExpectError(Run({"jobs", "list", "--limit", "0"}), 2, "INVALID_ARGUMENT", "--limit");
  ExpectError(Run({"train", "hierarchical-shrinkag"}), 2, "INVALID_ARGUMENT",
              "hierarchical-shrinkage");
  ExpectError(Run({"train", "hierarchical-shrinkage", "--target", "y"}), 2, "INVALID_ARGUMENT",
              "--dataset is required");
  ExpectError(Run({"train", "hierarchical-shrinkage", "--dataset", "d", "--set", "fodls=3"}), 2,
              "INVALID_ARGUMENT", "did you mean folds?");
  ExpectError(Run({"train", "hierarchical-shrinkage", "--dataset", "d", "--cart.max-dept", "3"}), 2,
              "INVALID_ARGUMENT", "did you mean --cart.max-depth?");
  ExpectError(Run({"train", "hierarchical-shrinkage", "--dataset", "d", "--wait", "--follow"}), 2,
              "INVALID_ARGUMENT", "--wait");
  ExpectError(Run({"datasets", "upload", "/does/not/exist", "--id", "d"}), 2, "NOT_FOUND",
              "/does/not/exist");
  ExpectError(Run({"datasets", "upload", "/etc/passwd", "--id", "d", "--kind", "pictures"}), 2,
              "INVALID_ARGUMENT", "images");
  ExpectError(Run({"models", "predict", "m", "--input", "/etc/passwd"}), 2, "INVALID_ARGUMENT",
              "--output");
  ExpectError(Run({}), 2, "INVALID_ARGUMENT", "subcommand");
  ExpectError(RunCli({"--json", "--server", "nonsense", "jobs", "list"}), 2, "INVALID_ARGUMENT",
              "nonsense");
  ExpectError(Run({"--project", "No", "jobs", "list"}), 2, "INVALID_ARGUMENT", "--project");
}

TEST_F(CliErrorsTest, TwoSpecsInAFileAreNamed) {
  const std::string path = ::testing::TempDir() + "two" + std::to_string(getpid()) + ".json";
  std::ofstream(path) << R"({"hierarchical_shrinkage": {}, "diagnostic": {}})";
  ExpectError(Run({"train", "hierarchical-shrinkage", "--dataset", "d", "--spec", path}), 2,
              "INVALID_ARGUMENT", "diagnostic and hierarchical_shrinkage");
  std::remove(path.c_str());
}

TEST_F(CliErrorsTest, RejectionIsThreeWithViolations) {
  Violations violations;
  violations.Add("job.spec.hierarchical_shrinkage.folds", "1 is less than 2");
  violations.Add("job.spec.hierarchical_shrinkage.lambda", "-1 is less than 0");
  const absl::Status rejected = WithReason(violations.ToStatus(), "BAD_SPEC");
  server_.state().failures["CreateJob"] = {rejected, rejected};
  const std::vector<std::string> arguments = {
      "train", "hierarchical-shrinkage", "--dataset", "d", "--folds", "1", "--lambda", "-1"};
  const CliResult result = Run(arguments);
  ExpectError(result, 3, "INVALID_ARGUMENT", "");
  const auto error = ParseJson(result.err).fields().at("error").struct_value();
  EXPECT_EQ(error.fields().at("reason").string_value(), "BAD_SPEC");
  const auto& list = error.fields().at("violations").list_value();
  ASSERT_EQ(list.values_size(), 2);
  EXPECT_EQ(list.values(1).struct_value().fields().at("field").string_value(),
            "job.spec.hierarchical_shrinkage.lambda");
  const auto& sent = server_.state().create_requests[0].job().spec().hierarchical_shrinkage();
  EXPECT_EQ(sent.folds(), 1);
  EXPECT_EQ(sent.lambda(), -1);

  std::vector<std::string> human = arguments;
  human.insert(human.begin(), "--server=" + server_.address());
  const CliResult text = RunCli(human);
  EXPECT_EQ(text.code, 3);
  EXPECT_THAT(text.err, HasSubstr("(--folds): 1 is less than 2"));
}

TEST_F(CliErrorsTest, UnknownResourcesAreThree) {
  ExpectError(Run({"jobs", "show", "absent"}), 3, "NOT_FOUND", "projects/default/jobs/absent");
  ExpectError(Run({"jobs", "watch", "absent"}), 3, "NOT_FOUND", "absent");
  ExpectError(Run({"models", "show", "projects/p/models/absent"}), 3, "NOT_FOUND",
              "projects/p/models/absent");
}

TEST_F(CliErrorsTest, AnotherMajorVersionIsThree) {
  server_.state().version = "7.0.0";
  ExpectError(Run({"jobs", "list"}), 3, "FAILED_PRECONDITION", "7.0.0");
}

TEST_F(CliErrorsTest, FailedJobIsFourAndIsPrinted) {
  AddJob(server_.state(), "bad", v1::Job::STATE_FAILED, 3);
  const CliResult result =
      Run({"train", "hierarchical-shrinkage", "--dataset", "d", "--job-id", "bad", "--wait"});
  EXPECT_EQ(result.code, 4) << result.err;
  EXPECT_EQ(ParseJson(result.out).fields().at("state").string_value(), "STATE_FAILED");
  const auto error = ParseJson(result.err).fields().at("error").struct_value().fields();
  EXPECT_EQ(error.at("message").string_value(), "the target is constant");
  EXPECT_EQ(error.at("reason").string_value(), "END_CAUSE_USER_ERROR");
}

TEST_F(CliErrorsTest, CancelledJobIsFive) {
  AddJob(server_.state(), "gone", v1::Job::STATE_CANCELLED, 3);
  const CliResult result = Run({"jobs", "watch", "gone"});
  EXPECT_EQ(result.code, 5) << result.err;
}

TEST_F(CliErrorsTest, NobodyListeningIsSix) {
  server_.Stop();
  ExpectError(Run({"jobs", "list"}), 6, "UNAVAILABLE", server_.address());
}

TEST_F(CliErrorsTest, HumanErrorsGoToStandardErrorWithoutColours) {
  const CliResult result = RunCli({"--server=" + server_.address(), "jobs", "show", "absent"});
  EXPECT_EQ(result.code, 3);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "error: projects/default/jobs/absent does not exist\n");
}

}  // namespace
}  // namespace trainyard::testing
