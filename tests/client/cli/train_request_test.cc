#include "client/cli/train_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "client/cli/errors.h"
#include "proto/schema/violations.h"

namespace trainyard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TrainRequestTest : public ::testing::Test {
 protected:
  TrainRequestTest() {
    options_.algorithm = "hierarchical_shrinkage";
    options_.dataset = "iris";
  }
  v1::CreateJobRequest Make(const std::vector<SpecFlag>& flags = {}) {
    const auto request = MakeTrainRequest(context_, options_, flags);
    EXPECT_TRUE(request.ok()) << request.status();
    return request.ok() ? *request : v1::CreateJobRequest();
  }
  const v1::HierarchicalShrinkageSpec& Spec(const v1::CreateJobRequest& request) {
    return request.job().spec().hierarchical_shrinkage();
  }
  std::string UsageErrorOf() {
    const auto request = MakeTrainRequest(context_, options_, {});
    EXPECT_EQ(ReasonOf(request.status()), kUsageReason) << request.status();
    return std::string(request.status().message());
  }

  Context context_;
  TrainOptions options_;
};

TEST_F(TrainRequestTest, MakesFullNamesOfDataSets) {
  EXPECT_EQ(Spec(Make()).input().dataset(), "projects/default/datasets/iris");
  options_.dataset = "iris@3";
  EXPECT_EQ(Spec(Make()).input().dataset(), "projects/default/datasets/iris/versions/3");
  options_.dataset = "projects/other/datasets/d";
  EXPECT_EQ(Spec(Make()).input().dataset(), "projects/other/datasets/d");
  context_.options.project = "blue";
  options_.dataset = "";
  options_.assignments = {"input.dataset=iris"};
  const auto request = Make();
  EXPECT_EQ(Spec(request).input().dataset(), "projects/blue/datasets/iris");
  EXPECT_EQ(request.parent(), "projects/blue");
}

TEST_F(TrainRequestTest, RefusesBadDataSets) {
  for (const char* bad : {"Iris", "iris@0", "iris@x", "projects/p/jobs/j", "a b"}) {
    options_.dataset = bad;
    EXPECT_THAT(UsageErrorOf(), HasSubstr("data set")) << bad;
  }
  options_.dataset = "";
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--dataset is required"));
}

TEST_F(TrainRequestTest, TargetsAreTakenWhole) {
  options_.targets = {"a,b", "c"};
  EXPECT_THAT(Spec(Make()).input().target_columns(), ElementsAre("a,b", "c"));
}

TEST_F(TrainRequestTest, AlgorithmsWithoutDataRefuseDataSets) {
  options_.algorithm = "diagnostic";
  EXPECT_THAT(UsageErrorOf(), HasSubstr("diagnostic takes no data set"));
  options_.dataset = "";
  EXPECT_TRUE(Make().job().spec().has_diagnostic());
}

TEST_F(TrainRequestTest, FlagsGoOverSetGoesOverTheFile) {
  options_.spec_file = ::testing::TempDir() + "spec" + std::to_string(getpid()) + ".json";
  std::ofstream(options_.spec_file)
      << R"({"priority": 5, "spec": {"hierarchical_shrinkage": {"folds": 4, "seed": 1, "lambda": 9}}})";
  options_.assignments = {"seed=2", "folds=6"};
  CLI::App app;
  const auto flags = AddSpecFlags(app, *v1::HierarchicalShrinkageSpec::descriptor());
  app.parse("--folds 8");
  const auto request = Make(flags);
  EXPECT_EQ(Spec(request).lambda(), 9);
  EXPECT_EQ(Spec(request).seed(), 2);
  EXPECT_EQ(Spec(request).folds(), 8);
  EXPECT_EQ(request.job().priority(), 5);
  std::remove(options_.spec_file.c_str());
}

TEST_F(TrainRequestTest, FillsTheJob) {
  options_.job_id = "first";
  options_.labels = {"team=blue", "note=a=b"};
  options_.priority = -3;
  options_.cpu_threads = 2;
  options_.gpus = 1;
  options_.memory = "2G";
  options_.time_limit = "10m";
  options_.cancel_grace_period = "500ms";
  options_.max_attempts = 5;
  options_.validate_only = true;
  const auto request = Make();
  EXPECT_EQ(request.job_id(), "first");
  EXPECT_TRUE(request.validate_only());
  const v1::Job& job = request.job();
  EXPECT_EQ(job.labels().at("note"), "a=b");
  EXPECT_EQ(job.priority(), -3);
  EXPECT_EQ(job.resources().cpu_threads(), 2);
  EXPECT_EQ(job.resources().gpus(), 1);
  EXPECT_EQ(job.resources().memory_bytes(), 2LL << 30);
  EXPECT_EQ(job.time_limit().seconds(), 600);
  EXPECT_EQ(job.cancel_grace_period().nanos(), 500000000);
  EXPECT_EQ(job.max_attempts(), 5);
}

TEST_F(TrainRequestTest, NamesTheBadOption) {
  options_.memory = "lots";
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--memory"));
  options_.memory = "";
  options_.time_limit = "soon";
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--time-limit"));
  options_.time_limit = "";
  options_.labels = {"team"};
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--label"));
  options_.labels = {};
  options_.job_id = "Bad Id";
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--job-id"));
  options_.job_id = "";
  options_.assignments = {"fodls=3"};
  EXPECT_THAT(UsageErrorOf(), HasSubstr("--set: fodls"));
}

}  // namespace
}  // namespace trainyard::cli
