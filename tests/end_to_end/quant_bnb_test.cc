// Searches for optimal trees through the real programs: live gap, certificate, limits, faults, and
// what the models can be used for afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/model_service.pb.h"

namespace trainyard::e2e {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

constexpr int kNoiseFeatures = 20;

// Rows whose classes have nothing to do with their features: a search of three levels takes far
// longer than any test waits, one of four levels for ever.
std::string NoiseTable() {
  std::mt19937 random(1);
  std::string table;
  for (int f = 0; f < kNoiseFeatures; ++f) absl::StrAppend(&table, "x", f, ",");
  table += "target\n";
  for (int row = 0; row < 30'000; ++row) {
    for (int f = 0; f < kNoiseFeatures; ++f) absl::StrAppend(&table, random() % 1'000'000, ",");
    absl::StrAppend(&table, random() % 2, "\n");
  }
  return table;
}

class QuantBnbTest : public ::testing::Test {
 protected:
  void Upload(const std::string& id, const std::string& file) {
    v1::Dataset dataset;
    service_.RunJson({"datasets", "upload", file, "--id", id}, dataset);
  }
  // The training rows of the paper: the first 1097.
  void UploadBanknote() {
    const std::vector<std::string> lines = Lines(ReadText(TestData("tabular/banknote.csv")));
    std::string text;
    for (size_t i = 0; i <= 1097; ++i) absl::StrAppend(&text, lines.at(i), "\n");
    WriteText(service_.folder() / "banknote.csv", text);
    Upload("banknote", (service_.folder() / "banknote.csv").string());
  }
  void UploadNoise() {
    WriteText(service_.folder() / "noise.csv", NoiseTable());
    Upload("noise", (service_.folder() / "noise.csv").string());
  }
  static std::vector<std::string> Train(const std::string& dataset, const std::string& id,
                                        const std::vector<std::string>& settings,
                                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"train", "quant-bnb", "--dataset", dataset, "--job-id", id};
    for (const std::string& setting : settings) words.insert(words.end(), {"--set", setting});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  v1::Job TrainToEnd(const std::string& dataset, const std::string& id,
                     const std::vector<std::string>& settings) {
    v1::Job job;
    service_.RunJson(Train(dataset, id, settings, {"--wait"}), job);
    return job;
  }
  // Starts a search that does not end by itself; the command returned writes its events, as JSON,
  // to `watch.out`.
  std::unique_ptr<ChildProcess> StartEndless(const std::string& id,
                                             const std::vector<std::string>& settings) {
    v1::Job job;
    service_.RunJson(Train("noise", id, settings), job);
    return service_.StartCommand("watch", {"--json", "jobs", "watch", id});
  }

  Service service_{{"--cancel_grace_seconds=120"}};
};

TEST_F(QuantBnbTest, FollowShowsTheGapCloseAndTheCertificate) {
  UploadBanknote();
  const CommandResult followed = service_.Run(
      Train("banknote", "first", {"depth=2", "input.split.test_fraction=0"}, {"--follow"}));
  EXPECT_EQ(followed.exit_code, 0) << followed.err;
  for (const char* text : {"search", "a tree of 4 leaves with loss", "no tree of depth 2 has less",
                           "status", "optimal", "lower bound", "cart train", "variance <="}) {
    EXPECT_THAT(followed.out, HasSubstr(text));
  }
  const v1::Job job = service_.GetJob("first");
  const v1::QuantBnbReport& report = job.report().quant_bnb();
  EXPECT_EQ(report.status(), v1::QuantBnbReport::STATUS_OPTIMAL);
  // The paper's log: accuracy .925 on these rows, CART .909.
  EXPECT_NEAR(job.report().train_metrics().at("accuracy"), 0.925, 0.0005);
  EXPECT_NEAR(report.cart_metrics().at("train").values().at("accuracy"), 0.909, 0.0005);
  EXPECT_NEAR(report.loss(), (1 - job.report().train_metrics().at("accuracy")) * 1097, 1e-6);
  EXPECT_EQ(report.lower_bound(), report.loss());
  EXPECT_EQ(report.gap(), 0);
  EXPECT_GT(report.counters().thresholds(), 1000);
  EXPECT_LT(report.counters().evaluated(), report.counters().thresholds());

  std::map<std::string, std::vector<double>> metrics;
  const std::vector<v1::JobEvent> events = service_.Events("first");
  CheckHistory(job, events);
  for (const v1::JobEvent& event : events) {
    for (const v1::MetricPoint& point : event.metrics().points()) {
      metrics[point.name()].push_back(point.value());
    }
  }
  ASSERT_FALSE(metrics["search/gap"].empty());
  for (size_t i = 0; i < metrics["search/gap"].size(); ++i) {
    EXPECT_EQ(metrics["search/gap"][i],
              metrics["search/incumbent"].at(i) - metrics["search/lower_bound"].at(i));
    EXPECT_GE(metrics["search/incumbent"][i], report.loss());
    EXPECT_LE(metrics["search/lower_bound"][i], report.loss());
  }
}

TEST_F(QuantBnbTest, TheModelPredictsIsShrunkAndExplained) {
  UploadBanknote();
  const v1::Job job =
      TrainToEnd("banknote", "tree", {"depth=3", "input.split.test_fraction=0", "split_penalty=1"});
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  const auto folder = service_.folder() / "model";
  ASSERT_EQ(service_.Run({"models", "download", "tree", "--output", folder.string()}).exit_code, 0);
  EXPECT_THAT(ReadText(folder / "trees" / "tree-0.txt"), HasSubstr("variance <= "));
  EXPECT_THAT(ReadText(folder / "trees" / "tree-0.dot"), HasSubstr("digraph"));
  EXPECT_THAT(ReadText(folder / "trees" / "tree-0.json"), HasSubstr("\"nodes\""));

  const auto file = (service_.folder() / "banknote.csv").string();
  const auto predictions = service_.folder() / "predictions.csv";
  ASSERT_EQ(
      service_.Run({"models", "predict", "tree", "--input", file, "--output", predictions.string()})
          .exit_code,
      0);
  const std::vector<std::string> predicted = Lines(ReadText(predictions));
  const std::vector<std::string> rows = Lines(ReadText(file));
  ASSERT_EQ(predicted.size(), rows.size());
  int errors = 0;
  for (size_t i = 1; i < rows.size(); ++i) errors += predicted[i][0] != rows[i].back() ? 1 : 0;
  const v1::QuantBnbReport& report = job.report().quant_bnb();
  EXPECT_EQ(errors + report.leaf_count() - 1, report.loss());

  v1::Job shrunk;
  service_.RunJson(
      {"train", "hierarchical-shrinkage", "--dataset", "banknote", "--job-id", "shrunk", "--set",
       "base_model=projects/default/models/tree", "--set", "lambda=30", "--wait"},
      shrunk);
  ASSERT_EQ(shrunk.state(), v1::Job::STATE_SUCCEEDED) << shrunk.DebugString();
  EXPECT_EQ(shrunk.report().hierarchical_shrinkage().leaf_count(), report.leaf_count());

  const auto shap = service_.folder() / "shap.csv";
  const CommandResult explained =
      service_.Run({"models", "explain", "tree", "--dataset", "banknote", "--of", "1", "--output",
                    shap.string()});
  ASSERT_EQ(explained.exit_code, 0) << explained.err;
  const std::vector<std::string> explanations = Lines(ReadText(shap));
  ASSERT_EQ(explanations.size(), predicted.size());
  for (size_t i = 1; i < predicted.size(); ++i) {
    double sum = 0;
    const std::vector<std::string> parts = absl::StrSplit(explanations[i], ',');
    for (size_t k = 2; k < parts.size(); ++k) {
      double part = 0;
      ASSERT_TRUE(absl::SimpleAtod(parts[k], &part));
      sum += part;
    }
    double probability = 0;
    const std::vector<std::string> columns = absl::StrSplit(predicted[i], ',');
    ASSERT_TRUE(absl::SimpleAtod(columns[2], &probability));
    EXPECT_NEAR(sum, probability, 1e-9);
  }

  // The next search starts from it.
  const v1::Job again = TrainToEnd("banknote", "again",
                                   {"depth=3", "input.split.test_fraction=0", "split_penalty=1",
                                    "warm_start=projects/default/models/tree"});
  EXPECT_EQ(again.report().quant_bnb().loss(), report.loss());
}

TEST_F(QuantBnbTest, CostsComeFromASpecFileAndDecideWhatIsPredicted) {
  UploadBanknote();
  WriteText(service_.folder() / "spec.json",
            R"({"depth": 1, "input": {"split": {"test_fraction": 0}},
                "costs": [{"actual": "1", "predicted": "0", "cost": 20}]})");
  v1::Job job;
  service_.RunJson({"train", "quant-bnb", "--dataset", "banknote", "--job-id", "dear", "--spec",
                    (service_.folder() / "spec.json").string(), "--wait"},
                   job);
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  const auto file = (service_.folder() / "banknote.csv").string();
  const auto predictions = service_.folder() / "predictions.csv";
  ASSERT_EQ(
      service_.Run({"models", "predict", "dear", "--input", file, "--output", predictions.string()})
          .exit_code,
      0);
  const std::vector<std::string> predicted = Lines(ReadText(predictions));
  const std::vector<std::string> rows = Lines(ReadText(file));
  int cost = 0;
  for (size_t i = 1; i < rows.size(); ++i) {
    if (predicted[i][0] != rows[i].back()) cost += rows[i].back() == '1' ? 20 : 1;
  }
  EXPECT_EQ(cost, job.report().quant_bnb().loss());
}

TEST_F(QuantBnbTest, ATimeLimitGivesTheBestTreeAndAValidBound) {
  UploadNoise();
  const v1::Job job = TrainToEnd("noise", "limited", {"depth=4", "limits.time_seconds=1"});
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  const v1::QuantBnbReport& report = job.report().quant_bnb();
  EXPECT_EQ(report.status(), v1::QuantBnbReport::STATUS_TIME_LIMIT);
  EXPECT_GE(report.search_seconds(), 1);
  EXPECT_LE(report.loss(), report.cart_loss());
  EXPECT_GT(report.gap(), 0);
  EXPECT_EQ(report.gap(), report.loss() - report.lower_bound());
  EXPECT_GE(report.lower_bound(), 0);
}

TEST_F(QuantBnbTest, CancellingEndsASearchPolitely) {
  UploadNoise();
  const std::unique_ptr<ChildProcess> watch = StartEndless("endless", {"depth=3"});
  while (ReadText(service_.folder() / "watch.out").find("search/incumbent") == std::string::npos) {
    ASSERT_TRUE(watch->Running());
    absl::SleepFor(absl::Milliseconds(20));
  }
  // Politely, because the grace period is longer than the test waits.
  EXPECT_EQ(service_.Run({"jobs", "cancel", "endless"}).exit_code, 0);
  const v1::Job job = service_.WaitForEnd("endless");
  EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED);
  EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_CANCELLED);
  EXPECT_EQ(job.attempts(0).exit_signal(), 0);
}

// Where a search stands by its metrics.
struct Standing {
  int64_t milliseconds = 0;
  double incumbent = HUGE_VAL;
  double lower_bound = 0;
};

void Advance(const v1::MetricBatch& metrics, Standing& standing) {
  for (const v1::MetricPoint& point : metrics.points()) {
    if (point.name() == "search/incumbent") {
      standing.milliseconds = point.step();
      standing.incumbent = point.value();
    }
    if (point.name() == "search/lower_bound") standing.lower_bound = point.value();
  }
}

TEST_F(QuantBnbTest, AKilledWorkersSearchGoesOnFromItsCheckpoint) {
  UploadNoise();
  const std::unique_ptr<ChildProcess> watch =
      StartEndless("killed", {"depth=4", "limits.time_seconds=1e6"});
  const auto await = [&](const std::string& text, size_t from = 0) {
    size_t at = std::string::npos;
    while ((at = ReadText(service_.folder() / "watch.out").find(text, from)) == std::string::npos) {
      absl::SleepFor(absl::Milliseconds(20));
      if (!watch->Running()) break;
    }
    EXPECT_NE(at, std::string::npos) << text;
    return at;
  };
  await("\"checkpoint\"");
  for (const pid_t pid : FindAttemptProcesses(service_.data_dir().string(), "killed").workers) {
    kill(pid, SIGKILL);
  }
  const std::string kResumed = "the search goes on from its checkpoint";
  await("search/incumbent", await(kResumed));
  EXPECT_EQ(service_.Run({"jobs", "cancel", "killed"}).exit_code, 0);
  const v1::Job job = service_.WaitForEnd("killed");
  EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED);
  EXPECT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).exit_signal(), SIGKILL);
  const std::vector<v1::JobEvent> events = service_.Events("killed");
  CheckHistory(job, events);
  Standing first;
  Standing saved;  // at the last checkpoint of the first attempt
  std::optional<Standing> second;
  for (const v1::JobEvent& event : events) {
    if (event.attempt() == 1) Advance(event.metrics(), first);
    if (event.attempt() == 1 && event.has_checkpoint()) saved = first;
    if (event.attempt() == 2 && event.has_metrics() && !second.has_value()) {
      Advance(event.metrics(), second.emplace());
    }
  }
  ASSERT_TRUE(second.has_value());
  EXPECT_GT(saved.milliseconds, 0);
  EXPECT_GE(second->milliseconds, saved.milliseconds);
  EXPECT_LE(second->incumbent, saved.incumbent);
  EXPECT_GE(second->lower_bound, saved.lower_bound);
}

TEST_F(QuantBnbTest, BadInputIsNamedAllAtOnce) {
  UploadBanknote();
  const std::vector<std::string> words = Train("banknote", "bad",
                                               {"depth=7", "quantiles=1", "split_penalty=-2",
                                                "lookahead.polish_levels=2", "warm_start=nowhere"});
  const CommandResult result = service_.Run(words);
  EXPECT_EQ(result.exit_code, 3);
  for (const char* text : {"quant_bnb.depth", "is 7; must be >= 1 and <= 4", "quant_bnb.quantiles",
                           "quant_bnb.split_penalty", "quant_bnb.lookahead.polish_levels",
                           "needs lookahead.max_depth", "quant_bnb.warm_start"}) {
    EXPECT_THAT(result.err, HasSubstr(text));
  }
  EXPECT_EQ(service_.Run(Train("banknote", "bad", {"bound=BOUND_W9"})).exit_code, 2);
}

}  // namespace
}  // namespace trainyard::e2e
