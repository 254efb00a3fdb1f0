// Convex networks through the real programs: live objective, certificate, predictions, uploaded
// gates, faults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/harness.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard::e2e {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

// Rows whose target has little to do with their features: with a small penalty and all patterns in
// every iteration a solver is at work for minutes.
std::string NoiseTable() {
  std::mt19937 random(1);
  std::string table;
  for (int f = 0; f < 100; ++f) absl::StrAppend(&table, "x", f, ",");
  table += "target\n";
  for (int row = 0; row < 4000; ++row) {
    for (int f = 0; f < 100; ++f) absl::StrAppend(&table, random() % 1000, ",");
    absl::StrAppend(&table, random() % 1000, ".5\n");
  }
  return table;
}

class ConvexReluTest : public ::testing::Test {
 protected:
  void Upload(const std::string& id, const std::string& file) {
    v1::Dataset dataset;
    service_.RunJson({"datasets", "upload", file, "--id", id}, dataset);
  }
  void UploadText(const std::string& id, const std::string& text) {
    const auto file = service_.folder() / (id + ".csv");
    WriteText(file, text);
    Upload(id, file.string());
  }
  static std::vector<std::string> Train(const std::string& dataset, const std::string& id,
                                        const std::vector<std::string>& settings,
                                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"train", "convex-relu", "--dataset", dataset, "--job-id", id};
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
  std::unique_ptr<ChildProcess> StartLong(const std::string& id) {
    v1::Job job;
    service_.RunJson(Train("noise", id,
                           {"model=MODEL_GATED_RELU", "lambda_ratio=1e-4", "gates.count=3000",
                            "solver.method=METHOD_R_FISTA", "solver.relative_gap=1e-12"}),
                     job);
    return service_.StartCommand("watch", {"--json", "jobs", "watch", id});
  }
  size_t Await(ChildProcess& watch, const std::string& text, size_t from = 0) {
    size_t at = std::string::npos;
    while ((at = ReadText(service_.folder() / "watch.out").find(text, from)) == std::string::npos) {
      absl::SleepFor(absl::Milliseconds(20));
      if (!watch.Running()) break;
    }
    EXPECT_NE(at, std::string::npos) << text;
    return at;
  }

  Service service_{{"--cancel_grace_seconds=120"}};
};

TEST_F(ConvexReluTest, FollowShowsTheObjectiveAndTheCertificate) {
  Upload("diabetes", TestData("hs/diabetes_progression.csv"));
  const CommandResult followed =
      service_.Run(Train("diabetes", "first", {"gates.count=200"}, {"--follow"}));
  EXPECT_EQ(followed.exit_code, 0) << followed.err;
  for (const char* text :
       {"activation patterns of 200 gates", "no network over these patterns has", "status",
        "optimal", "objective", "round 1 of the search", "relative gap", "active neurons"}) {
    EXPECT_THAT(followed.out, HasSubstr(text));
  }
  const v1::Job job = service_.GetJob("first");
  const v1::ConvexReluReport& report = job.report().convex_relu();
  EXPECT_EQ(report.status(), v1::ConvexReluReport::STATUS_OPTIMAL);
  EXPECT_GT(report.gate_search().rounds(), 0);
  EXPECT_LT(report.objective(), report.gate_search().objective_before());
  EXPECT_LE(report.relative_gap(), 1e-6);
  EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
  EXPECT_LE(report.greatest_violation(), 1e-7);
  EXPECT_GT(job.report().test_metrics().at("r2"), 0.3);

  std::map<std::string, int64_t> last;
  const std::vector<v1::JobEvent> events = service_.Events("first");
  CheckHistory(job, events);
  for (const v1::JobEvent& event : events) {
    for (const v1::MetricPoint& point : event.metrics().points()) {
      EXPECT_TRUE(std::isfinite(point.value())) << point.name();
      EXPECT_GE(point.step(), last[point.name()]) << point.name();
      last[point.name()] = point.step();
    }
  }
  for (const char* name :
       {"solver/objective", "solver/relative_gap", "solver/active_groups",
        "search/largest_violation", "search/patterns", "train/rmse", "test/rmse"}) {
    EXPECT_TRUE(last.contains(name)) << name;
  }
}

TEST_F(ConvexReluTest, TheModelPredictsWhatWasMeasured) {
  Upload("heart", TestData("hs/heart.csv"));
  const v1::Job job = TrainToEnd("heart", "network",
                                 {"loss=LOSS_LOGISTIC", "gates.count=200", "path.points=5",
                                  "path.folds=3", "input.split.test_fraction=0"});
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  EXPECT_EQ(job.report().convex_relu().path_size(), 5);
  const auto folder = service_.folder() / "model";
  ASSERT_EQ(service_.Run({"models", "download", "network", "--output", folder.string()}).exit_code,
            0);
  for (const char* file : {"model.onnx", "network.safetensors", "network.pb", "manifest.json"}) {
    EXPECT_FALSE(ReadText(folder / file).empty()) << file;
  }
  const auto predictions = service_.folder() / "predictions.csv";
  ASSERT_EQ(service_
                .Run({"models", "predict", "network", "--input", TestData("hs/heart.csv"),
                      "--output", predictions.string()})
                .exit_code,
            0);
  const std::vector<std::string> predicted = Lines(ReadText(predictions));
  const std::vector<std::string> rows = Lines(ReadText(TestData("hs/heart.csv")));
  ASSERT_EQ(predicted.size(), rows.size());
  EXPECT_THAT(predicted[0], HasSubstr("probability_1"));
  int right = 0;
  for (size_t i = 1; i < rows.size(); ++i) right += predicted[i][0] == rows[i].back() ? 1 : 0;
  EXPECT_NEAR(right / static_cast<double>(rows.size() - 1),
              job.report().train_metrics().at("accuracy"), 1e-12);
}

TEST_F(ConvexReluTest, GatesMayBeUploaded) {
  std::string table = "x,target\n";
  for (int i = 0; i < 60; ++i) {
    const double x = i / 10.0 + 0.05;
    absl::StrAppend(&table, x, ",", std::abs(x - 3) + 0.25, "\n");
  }
  UploadText("bend", table);
  UploadText("gates", "x,bias\n1,-3\n-1,3\n");
  const v1::Job job = TrainToEnd("bend", "bend",
                                 {"gates.dataset=projects/default/datasets/gates", "lambda=1e-7",
                                  "input.split.test_fraction=0"});
  ASSERT_EQ(job.state(), v1::Job::STATE_SUCCEEDED) << job.DebugString();
  EXPECT_EQ(job.report().convex_relu().patterns(), 2);
  EXPECT_LT(job.report().train_metrics().at("rmse"), 1e-3);
}

TEST_F(ConvexReluTest, CancellingEndsASolvePolitely) {
  UploadText("noise", NoiseTable());
  const std::unique_ptr<ChildProcess> watch = StartLong("long");
  Await(*watch, "solver/objective");
  EXPECT_EQ(service_.Run({"jobs", "cancel", "long"}).exit_code, 0);
  const v1::Job job = service_.WaitForEnd("long");
  EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED);
  EXPECT_EQ(job.attempts(0).exit_signal(), 0);
}

// The grace is two minutes and the wait one: a solver that does not hear of it fails this.
TEST_F(ConvexReluTest, CancellingEndsReluNetworksByEveryMethod) {
  UploadText("noise", NoiseTable());
  const std::pair<std::string, std::string> methods[] = {
      {"sets", "METHOD_WORKING_SETS"},
      {"lagrangian", "METHOD_AUGMENTED_LAGRANGIAN"},
      {"cones", "METHOD_CONE_DECOMPOSITION"}};
  for (const auto& [id, method] : methods) {
    v1::Job job;
    service_.RunJson(Train("noise", id,
                           {"model=MODEL_RELU", "lambda_ratio=1e-4", "gates.count=1000",
                            absl::StrCat("solver.method=", method), "solver.relative_gap=1e-12"}),
                     job);
    {
      const auto watch = service_.StartCommand("watch", {"--json", "jobs", "watch", id});
      Await(*watch, "solver/objective");
    }
    const absl::Time asked = absl::Now();
    EXPECT_EQ(service_.Run({"jobs", "cancel", id}).exit_code, 0);
    job = service_.WaitForEnd(id);
    EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLED) << method;
    EXPECT_EQ(job.end_cause(), v1::Attempt::END_CAUSE_CANCELLED) << method;
    RecordProperty(id + "_ms", static_cast<int>(absl::ToInt64Milliseconds(absl::Now() - asked)));
  }
}

TEST_F(ConvexReluTest, AKilledWorkersSolveGoesOnFromItsCheckpoint) {
  UploadText("noise", NoiseTable());
  const std::unique_ptr<ChildProcess> watch = StartLong("killed");
  Await(*watch, "\"checkpoint\"");
  for (const pid_t pid : FindAttemptProcesses(service_.data_dir().string(), "killed").workers) {
    kill(pid, SIGKILL);
  }
  Await(*watch, "solver/objective", Await(*watch, "the solver goes on from its checkpoint"));
  EXPECT_EQ(service_.Run({"jobs", "cancel", "killed"}).exit_code, 0);
  const v1::Job job = service_.WaitForEnd("killed");
  EXPECT_EQ(job.attempts_size(), 2);
  double before = 0;
  double after = 0;
  for (const v1::JobEvent& event : service_.Events("killed")) {
    for (const v1::MetricPoint& point : event.metrics().points()) {
      if (point.name() != "solver/objective") continue;
      if (event.attempt() == 1 && before == 0) before = point.value();
      if (event.attempt() == 2 && after == 0) after = point.value();
    }
  }
  EXPECT_GT(after, 0);
  EXPECT_LT(after, before) << "the second attempt began where the first began";
}

TEST_F(ConvexReluTest, BadInputIsNamedAllAtOnce) {
  Upload("iris", TestData("hs/iris.csv"));
  const CommandResult result = service_.Run(
      Train("iris", "bad",
            {"lambda=0", "gates.count=0", "solver.method=METHOD_R_FISTA", "path.folds=1"}));
  EXPECT_EQ(result.exit_code, 3);
  for (const char* text : {"convex_relu.lambda", "must be > 0", "convex_relu.gates.count",
                           "convex_relu.solver.method", "convex_relu.path.folds"}) {
    EXPECT_THAT(result.err, HasSubstr(text));
  }
}

}  // namespace
}  // namespace trainyard::e2e
