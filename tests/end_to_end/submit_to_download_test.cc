// The whole thread on real data: upload, train, watch, download, predict.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/end_to_end/harness.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/job_service.pb.h"
#include "trainyard/v1/model_service.pb.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, absl::ByAnyChar("\r\n"), absl::SkipEmpty());
}

TEST(SubmitToDownloadTest, TrainsOnAnUploadedTableAndPredicts) {
  Service service;
  v1::Dataset dataset;
  service.RunJson({"datasets", "upload", TestData("hs/diabetes_pima.csv"), "--id", "diabetes"},
                  dataset);
  EXPECT_EQ(dataset.name(), "projects/default/datasets/diabetes");
  EXPECT_EQ(dataset.latest_version().table().row_count(), 768);
  EXPECT_EQ(dataset.latest_version().table().columns_size(), 9);

  v1::Job job;
  service.RunJson({"train", "hierarchical-shrinkage", "--dataset", "diabetes", "--target", "target",
                   "--set", "seed=3", "--job-id", "first", "--wait"},
                  job);
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_SUCCEEDED);
  ASSERT_TRUE(job.report().has_hierarchical_shrinkage());
  const auto& report = job.report().hierarchical_shrinkage();
  EXPECT_EQ(report.lambda_path_size(), 9);
  EXPECT_GT(report.metrics_shrunk().at("auc"), report.metrics_plain().at("auc"))
      << "a fully grown tree on noisy data gains from shrinkage";
  EXPECT_GT(report.metrics_shrunk().at("auc"), 0.7);
  EXPECT_GT(job.report().train_metrics().at("accuracy"),
            job.report().test_metrics().at("accuracy"));
  EXPECT_GT(job.report().wall_seconds(), 0);
  EXPECT_GT(job.report().peak_memory_bytes(), 0);
  CheckHistory(job, service.Events("first"));

  v1::Model model;
  service.RunJson({"models", "show", "first"}, model);
  EXPECT_EQ(model.job(), job.name());
  const auto model_folder = service.folder() / "model";
  ASSERT_EQ(
      service.Run({"models", "download", "first", "--output", model_folder.string()}).exit_code, 0);
  for (const v1::ModelFile& file : model.files()) {
    EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(model_folder / file.path())),
              file.size_bytes());
  }

  const auto predictions = service.folder() / "predictions.csv";
  const CommandResult predicted =
      service.Run({"models", "predict", "first", "--input", TestData("hs/diabetes_pima.csv"),
                   "--output", predictions.string()});
  ASSERT_EQ(predicted.exit_code, 0) << predicted.err;
  const auto lines = Lines(ReadText(predictions));
  ASSERT_EQ(lines.size(), 769u);
  EXPECT_EQ(lines[0], "prediction,probability_0,probability_1");
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<std::string> values = absl::StrSplit(lines[i], ',');
    double p0 = 0, p1 = 0;
    ASSERT_TRUE(absl::SimpleAtod(values[1], &p0) && absl::SimpleAtod(values[2], &p1));
    EXPECT_NEAR(p0 + p1, 1.0, 1e-12);
    EXPECT_EQ(values[0], p1 > p0 ? "1" : "0");
  }
}

TEST(SubmitToDownloadTest, SameSpecDataAndSeedGiveTheSameModel) {
  Service service;
  v1::Dataset dataset;
  service.RunJson({"datasets", "upload", TestData("hs/red_wine.csv"), "--id", "wine"}, dataset);
  std::vector<std::string> hashes;
  for (const char* id : {"one", "two"}) {
    v1::Job job;
    service.RunJson({"train", "hierarchical-shrinkage", "--dataset", "wine", "--target", "target",
                     "--set", "task=TASK_REGRESSION", "--job-id", id, "--wait"},
                    job);
    v1::Model model;
    service.RunJson({"models", "show", id}, model);
    for (const v1::ModelFile& file : model.files()) {
      if (file.path() == "tree.pb") hashes.push_back(file.sha256());
    }
  }
  ASSERT_EQ(hashes.size(), 2u);
  EXPECT_EQ(hashes[0], hashes[1]);
}

TEST(SubmitToDownloadTest, ShrinksAModelOfTheServiceAndExplainsIt) {
  Service service;
  v1::Dataset dataset;
  service.RunJson({"datasets", "upload", TestData("hs/diabetes_pima.csv"), "--id", "diabetes"},
                  dataset);
  const auto train = [&](const std::string& id, const std::vector<std::string>& settings) {
    std::vector<std::string> words = {
        "train", "hierarchical-shrinkage", "--dataset", "diabetes", "--wait", "--job-id", id};
    for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
    v1::Job job;
    service.RunJson(words, job);
    return job.report().hierarchical_shrinkage();
  };
  const auto forest = train("forest", {"forest.tree_count=10", "lambda=0"});
  EXPECT_EQ(forest.tree_count(), 10);
  const auto shrunk = train("shrunk", {"base_model=projects/default/models/forest", "lambda=50"});
  EXPECT_EQ(shrunk.tree_count(), 10);
  EXPECT_EQ(shrunk.metrics_plain().at("auc"), forest.metrics_plain().at("auc"));
  EXPECT_LT(shrunk.metrics_shrunk().at("log_loss"), shrunk.metrics_plain().at("log_loss"));
  const CommandResult unknown =
      service.Run({"train", "hierarchical-shrinkage", "--dataset", "diabetes", "--set",
                   "base_model=projects/default/models/nope"});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("base_model"));
  EXPECT_THAT(unknown.err, HasSubstr("does not exist"));

  // SHAP values of a row add up to its prediction.
  const auto predictions = service.folder() / "predictions.csv";
  const auto explanations = service.folder() / "explanations.csv";
  const auto chart = service.folder() / "chart.svg";
  ASSERT_EQ(service
                .Run({"models", "predict", "shrunk", "--input", TestData("hs/diabetes_pima.csv"),
                      "--output", predictions.string()})
                .exit_code,
            0);
  const CommandResult explained =
      service.Run({"models", "explain", "shrunk", "--dataset", "diabetes", "--of", "1", "--output",
                   explanations.string(), "--svg", chart.string()});
  ASSERT_EQ(explained.exit_code, 0) << explained.err;
  EXPECT_THAT(explained.out, HasSubstr("glucose"));
  EXPECT_THAT(ReadText(chart), HasSubstr("</svg>"));
  const auto predicted = Lines(ReadText(predictions));
  const auto shap = Lines(ReadText(explanations));
  ASSERT_EQ(predicted.size(), 769u);
  ASSERT_EQ(shap.size(), predicted.size());
  for (size_t i = 1; i < shap.size(); ++i) {
    const std::vector<std::string> numbers = absl::StrSplit(shap[i], ',');
    double sum = 0;
    for (size_t k = 2; k < numbers.size(); ++k) {
      double number = 0;
      ASSERT_TRUE(absl::SimpleAtod(numbers[k], &number)) << shap[i];
      sum += number;
    }
    const std::vector<std::string> columns = absl::StrSplit(predicted[i], ',');
    double probability = 0;
    ASSERT_TRUE(absl::SimpleAtod(columns[2], &probability));
    EXPECT_NEAR(sum, probability, 1e-9) << "row " << i;
  }
}

TEST(SubmitToDownloadTest, FollowShowsProgressAndResults) {
  Service service;
  v1::Dataset dataset;
  service.RunJson({"datasets", "upload", TestData("hs/heart.csv"), "--id", "heart"}, dataset);
  const CommandResult followed = service.Run(
      {"train", "hierarchical-shrinkage", "--dataset", "heart", "--target", "target", "--follow"});
  EXPECT_EQ(followed.exit_code, 0) << followed.err;
  EXPECT_THAT(followed.out, HasSubstr("lambda"));
  EXPECT_THAT(followed.out, HasSubstr("auc"));
}

TEST(SubmitToDownloadTest, ListsFiltersAndPages) {
  Service service;
  for (int i = 0; i < 5; ++i) {
    service.SubmitDiagnostic({"steps=0"}, {"--job-id", absl::StrCat("job-", i), "--wait"});
  }
  service.SubmitDiagnostic({"finale=FINALE_USER_ERROR"}, {"--job-id", "bad"});
  service.WaitForEnd("bad");
  v1::ListJobsResponse jobs;
  service.RunJson({"jobs", "list", "--filter", "state = FAILED"}, jobs);
  ASSERT_EQ(jobs.jobs_size(), 1);
  EXPECT_EQ(jobs.jobs(0).name(), "projects/default/jobs/bad");
  service.RunJson({"jobs", "list", "--filter", "state = SUCCEEDED", "--order-by", "create_time"},
                  jobs);
  ASSERT_EQ(jobs.jobs_size(), 5);
  EXPECT_EQ(jobs.jobs(0).name(), "projects/default/jobs/job-0");
}

TEST(SubmitToDownloadTest, ServerTellsItsAlgorithmsWithEveryField) {
  Service service;
  v1::ServerInfo info;
  service.RunJson({"server", "info"}, info);
  EXPECT_THAT(info.algorithms(), IsSupersetOf({"hierarchical_shrinkage"}));
  v1::Algorithm algorithm;
  service.RunJson({"server", "algorithms", "hierarchical-shrinkage"}, algorithm);
  EXPECT_GT(algorithm.fields_size(), 15);
  EXPECT_EQ(algorithm.defaults().hierarchical_shrinkage().folds(), 3);
}

TEST(SubmitToDownloadTest, EqualBytesAreOneVersion) {
  Service service;
  v1::Dataset first, second, third;
  service.RunJson({"datasets", "upload", TestData("hs/heart.csv"), "--id", "heart"}, first);
  service.RunJson({"datasets", "upload", TestData("hs/heart.csv"), "--id", "heart"}, second);
  EXPECT_EQ(second.version_count(), 1);
  service.RunJson({"datasets", "upload", TestData("hs/haberman.csv"), "--id", "heart"}, third);
  EXPECT_EQ(third.version_count(), 2);
  const auto copy = service.folder() / "copy.csv";
  ASSERT_EQ(service.Run({"datasets", "download", "heart@1", "--output", copy.string()}).exit_code,
            0);
  EXPECT_EQ(ReadText(copy), ReadText(TestData("hs/heart.csv")));
}

}  // namespace
}  // namespace trainyard::e2e
