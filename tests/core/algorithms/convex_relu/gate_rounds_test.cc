// Jobs that search for patterns, against the optimum over all patterns there are.
#include "core/algorithms/convex_relu/gate_rounds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/algorithms/convex_relu/train.h"
#include "core/base/byte_stream.h"
#include "tests/core/algorithms/convex_relu/job_test_support.h"

namespace trainyard {
namespace {

using Spec = v1::ConvexReluSpec;
using Report = v1::ConvexReluReport;

constexpr char kGates[] = "projects/p/datasets/gates";

uint64_t WeightsOf(const TrainingContext& context) {
  return FingerprintOf(ReadFile(context.model_folder() / "network.safetensors").value_or(""));
}

struct RoundsCase {
  Spec::Model model;
  Spec::Loss loss;
  int targets;
  bool classes;
};

// Ten rows of three features; there is no bias, as sampled gates would have none.
std::shared_ptr<const Table> SmallTable(const RoundsCase& kind, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<TableColumn> columns;
  for (int k = 0; k < 3 + kind.targets; ++k) {
    TableColumn column{"c" + std::to_string(k), v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
    for (int j = 0; j < 10; ++j) {
      const double value = normal(random);
      column.numbers.push_back(k >= 3 && kind.classes ? (j % 2 == 0 ? 1 : 0) : value);
    }
    columns.push_back(std::move(column));
  }
  return *MakeTable(columns);
}

// With a tight gap, few gates, and as many rounds as it takes.
v1::TrainingSpec SmallSpec(const RoundsCase& kind, int gates) {
  v1::TrainingSpec spec = ConvexSpec(kind.model, gates);
  Spec& own = *spec.mutable_convex_relu();
  for (int t = 0; t < kind.targets; ++t) {
    own.mutable_input()->add_target_columns("c" + std::to_string(3 + t));
  }
  own.set_loss(kind.loss);
  own.set_bias(false);
  own.set_scaling(Spec::SCALING_NONE);
  own.mutable_solver()->set_relative_gap(1e-9);
  own.mutable_gate_search()->set_rounds(100);
  own.mutable_gate_search()->set_min_decrease(0);
  own.mutable_gate_search()->set_starts(1000);
  return spec;
}

// A gate within each cell that the rows' planes cut space into: the four cells at every ray in
// which two planes meet. `patterns` becomes the set of their patterns.
std::shared_ptr<const Table> AllGates(const Table& table, std::set<std::vector<bool>>& patterns) {
  Eigen::Matrix<double, 10, 3> x;
  for (int k = 0; k < 3; ++k) {
    for (int j = 0; j < 10; ++j) x(j, k) = table.numbers(k)[static_cast<size_t>(j)];
  }
  std::vector<TableColumn> columns;
  for (const char* name : {"c0", "c1", "c2"}) {
    columns.push_back({name, v1::COLUMN_TYPE_NUMERIC, {}, {}, {}});
  }
  for (int corner = 0; corner < 10 * 10 * 8; ++corner) {
    const int i = corner / 8 % 10;
    const int j = corner / 80;
    if (i >= j) continue;
    const Eigen::Vector3d a = x.row(i);
    const Eigen::Vector3d b = x.row(j);
    const Eigen::Vector3d ray = a.cross(b).normalized() * (corner % 2 == 0 ? 1 : -1);
    const Eigen::Vector3d from_a = a - a.dot(b) / b.squaredNorm() * b;  // stays on b's plane
    const Eigen::Vector3d from_b = b - a.dot(b) / a.squaredNorm() * a;
    const Eigen::Vector3d gate = ray + 1e-6 * (corner / 2 % 2 == 0 ? from_a : -from_a) +
                                 1e-6 * (corner / 4 % 2 == 0 ? from_b : -from_b);
    std::vector<bool> pattern;
    for (int row = 0; row < 10; ++row) pattern.push_back(x.row(row).dot(gate) > 0);
    if (!patterns.insert(pattern).second) continue;
    for (int k = 0; k < 3; ++k) columns[static_cast<size_t>(k)].numbers.push_back(gate[k]);
  }
  return *MakeTable(columns);
}

class AllPatternsTest : public testing::TestWithParam<RoundsCase> {};

// The paper's global optimum: no network of any patterns is better.
TEST_P(AllPatternsTest, TheSearchReachesTheOptimumOverAllPatterns) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    const auto table = SmallTable(GetParam(), seed);
    std::set<std::vector<bool>> patterns;
    const auto gates = AllGates(*table, patterns);
    // As many as ten planes through the origin cut space into.
    ASSERT_EQ(patterns.size(), 2u * (1 + 9 + 36));
    v1::TrainingSpec everything = SmallSpec(GetParam(), 2);
    everything.mutable_convex_relu()->mutable_gates()->set_dataset(kGates);
    everything.mutable_convex_relu()->mutable_gate_search()->set_rounds(0);
    everything.mutable_convex_relu()->set_lambda(0.02);
    FakeTrainingContext all_context;
    const auto all = TrainConvex(table, everything, all_context, {{kGates, gates}});
    ASSERT_TRUE(all.ok()) << all.status();
    const Report& optimum = all->report.convex_relu();
    const size_t zeros = patterns.count(std::vector<bool>(10, false));
    ASSERT_EQ(optimum.patterns(), static_cast<int64_t>(patterns.size() - zeros));
    ASSERT_EQ(optimum.status(), Report::STATUS_OPTIMAL);

    v1::TrainingSpec few = SmallSpec(GetParam(), 2);
    few.mutable_convex_relu()->set_lambda(0.02);
    FakeTrainingContext context;
    const auto searched = TrainConvex(table, few, context);
    ASSERT_TRUE(searched.ok()) << searched.status();
    const Report& report = searched->report.convex_relu();
    EXPECT_NEAR(report.objective() / optimum.objective(), 1, 1e-6)
        << seed << " " << report.gate_search().ShortDebugString();
    EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
    EXPECT_GT(report.gate_search().objective_before(), report.objective() * (1 + 1e-3));
    EXPECT_LT(report.gate_search().largest_violation(), 1e-3);
    EXPECT_LT(report.patterns(), optimum.patterns());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, AllPatternsTest,
    testing::Values(RoundsCase{Spec::MODEL_RELU, Spec::LOSS_SQUARED, 1, false},
                    RoundsCase{Spec::MODEL_RELU, Spec::LOSS_SQUARED, 2, false},
                    RoundsCase{Spec::MODEL_RELU, Spec::LOSS_LOGISTIC, 1, true},
                    RoundsCase{Spec::MODEL_RELU, Spec::LOSS_SOFTMAX, 1, true},
                    RoundsCase{Spec::MODEL_GATED_RELU, Spec::LOSS_SQUARED, 1, false},
                    RoundsCase{Spec::MODEL_GATED_RELU, Spec::LOSS_SQUARED, 2, false},
                    RoundsCase{Spec::MODEL_GATED_RELU, Spec::LOSS_LOGISTIC, 1, true},
                    RoundsCase{Spec::MODEL_GATED_RELU, Spec::LOSS_SOFTMAX, 1, true}));

class GateRoundsTest : public testing::TestWithParam<Spec::Model> {
 protected:
  static v1::TrainingSpec SpecOf(int gates, int rounds) {
    v1::TrainingSpec spec = ConvexSpec(GetParam(), gates);
    v1::ConvexReluGateSearch& search = *spec.mutable_convex_relu()->mutable_gate_search();
    search.set_rounds(rounds);
    search.set_starts(20);
    search.set_max_new_patterns(10);
    return spec;
  }
};

TEST_P(GateRoundsTest, ReportsWhatItDid) {
  const auto table = ReadTestTable("diabetes_progression");
  v1::TrainingSpec plain = SpecOf(60, 0);
  FakeTrainingContext plain_context;
  const auto without = TrainConvex(table, plain, plain_context);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_FALSE(without->report.convex_relu().has_gate_search());
  const double sampled = without->report.convex_relu().objective();

  FakeTrainingContext context;
  const auto with = TrainConvex(table, SpecOf(60, 2), context);
  ASSERT_TRUE(with.ok()) << with.status();
  const Report& report = with->report.convex_relu();
  EXPECT_EQ(report.status(), Report::STATUS_OPTIMAL);
  EXPECT_EQ(report.gate_search().objective_before(), sampled);
  EXPECT_LT(report.objective(), 0.99 * sampled);
  EXPECT_GE(report.gate_search().rounds(), 1);
  EXPECT_LE(report.gate_search().rounds(), 2);
  EXPECT_GE(report.gate_search().patterns_added(), report.patterns() - 60);
  EXPECT_GT(report.patterns(), 60);
  EXPECT_EQ(report.gates_drawn(), 60);
  // The network, its gates too, predicts in raw units what the solution does in scaled ones.
  EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
  const auto& violations = context.metrics["search/largest_violation"];
  ASSERT_EQ(static_cast<int>(violations.size()), report.gate_search().rounds() + 1);
  EXPECT_EQ(violations.back().second, report.gate_search().largest_violation());
  EXPECT_LT(violations.back().second, violations.front().second);
  EXPECT_EQ(context.metrics["search/patterns"].front().second, 60);
  EXPECT_EQ(context.metrics["search/patterns"].back().second, report.patterns());
  double last = 0;
  for (const v1::Progress& progress : context.progress) {
    EXPECT_GE(progress.fraction(), last);
    last = progress.fraction();
  }
}

TEST_P(GateRoundsTest, StartsFromThePenaltyThatAPathChose) {
  const auto table = ReadTestTable("wine");
  v1::TrainingSpec spec = SpecOf(40, 2);
  spec.mutable_convex_relu()->mutable_path()->set_points(4);
  spec.mutable_convex_relu()->mutable_path()->set_smallest_ratio(0.01);
  spec.mutable_convex_relu()->mutable_path()->set_folds(2);
  FakeTrainingContext context;
  const auto result = TrainConvex(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  int chosen = 0;
  while (chosen < report.path_size() && report.path(chosen).lambda() != report.lambda()) ++chosen;
  ASSERT_LT(chosen, report.path_size());
  EXPECT_EQ(report.gate_search().objective_before(), report.path(chosen).objective());
  EXPECT_LE(report.objective(), report.path(chosen).objective());
}

TEST_P(GateRoundsTest, GoesOnFromEachRoundsCheckpointsBitForBit) {
  const auto table = ReadTestTable("diabetes_progression");
  v1::TrainingSpec spec = SpecOf(20, 2);
  FillDefaults(spec);
  Violations violations;
  ConvexReluAlgorithm().Resolve({{kTestDataset, table->schema()}}, "spec", spec, violations);
  ASSERT_TRUE(violations.empty());
  v1::TableInput input = spec.convex_relu().input();
  const TableColumns columns = ResolveTableInput(table->schema(), "input", input, violations);
  FakeTrainingContext whole;
  whole.keep_checkpoints = true;
  const auto train = [&](TrainingContext& context) {
    return TrainConvexRelu(spec.convex_relu(), columns, table, nullptr, context,
                           absl::ZeroDuration());
  };
  const auto result = train(whole);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  ASSERT_EQ(report.gate_search().rounds(), 2);
  const size_t count = whole.checkpoints.size();
  ASSERT_GT(count, 4u);
  for (size_t i = 0; i < count; i += 1 + count / 4) {
    FakeTrainingContext context;
    context.checkpoint = whole.checkpoints[count - 1 - i];
    const auto resumed = train(context);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(WeightsOf(context), WeightsOf(whole)) << i;
    const Report& own = resumed->report.convex_relu();
    EXPECT_EQ(own.objective(), report.objective());
    EXPECT_EQ(own.iterations(), report.iterations());
    EXPECT_EQ(own.gate_search().SerializeAsString(), report.gate_search().SerializeAsString());
  }
}

TEST_P(GateRoundsTest, TheSameForEveryNumberOfThreads) {
  const auto table = ReadTestTable("diabetes_progression");
  std::vector<uint64_t> weights;
  for (const int threads : {1, 3}) {
    FakeTrainingContext context(threads);
    ASSERT_TRUE(TrainConvex(table, SpecOf(30, 2), context).ok());
    weights.push_back(WeightsOf(context));
  }
  EXPECT_EQ(weights[0], weights[1]);
}

TEST_P(GateRoundsTest, CancellationEndsASearch) {
  const auto table = ReadTestTable("diabetes_progression");
  FakeTrainingContext whole;
  ASSERT_TRUE(TrainConvex(table, SpecOf(30, 0), whole).ok());
  FakeTrainingContext context;
  context.cancel_at = whole.checks + 20;  // in the search that would follow
  const auto result = TrainConvex(table, SpecOf(30, 2), context);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

TEST_P(GateRoundsTest, EndsWhenTheTimeIsUp) {
  v1::TrainingSpec spec = SpecOf(200, 3);
  spec.mutable_convex_relu()->mutable_solver()->set_time_seconds(1e-9);
  FakeTrainingContext context;
  const auto result = TrainConvex(ReadTestTable("diabetes_progression"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.convex_relu().status(), Report::STATUS_TIME_LIMIT);
  EXPECT_EQ(result->report.convex_relu().gate_search().rounds(), 0);
}

INSTANTIATE_TEST_SUITE_P(Models, GateRoundsTest,
                         testing::Values(Spec::MODEL_GATED_RELU, Spec::MODEL_RELU));

TEST(GateRoundsTest, ReluNetworksEndBelowDescentFromRandomWeights) {
  v1::TrainingSpec spec = ConvexSpec(Spec::MODEL_RELU, 200);
  spec.mutable_convex_relu()->clear_gate_search();
  v1::ConvexReluComparison& comparison = *spec.mutable_convex_relu()->mutable_comparison();
  comparison.set_seeds(3);
  comparison.set_epochs(150);
  FakeTrainingContext context;
  const auto result = TrainConvex(ReadTestTable("diabetes_progression"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  EXPECT_GT(report.gate_search().rounds(), 0) << "on by default";
  double least = INFINITY;
  for (const v1::ConvexReluDescent& descent : report.comparison()) {
    if (!descent.diverged()) least = std::min(least, descent.objective());
  }
  EXPECT_GT(report.gate_search().objective_before(), least);
  EXPECT_LT(report.objective(), least);
}

TEST(GateRoundsTest, StateIsReadAsItWasWritten) {
  convex_relu::GateRounds rounds;
  rounds.rounds = 3;
  rounds.solving = true;
  rounds.patterns_added = 17;
  rounds.objective_before = 2.5;
  rounds.largest_violation = 0.25;
  rounds.added = {{{1, 2}, {7}}, {{3, 4}, {9}}};
  rounds.start = {{1, 5, -1, {0.5, 0.25}}};
  rounds.fit.objective = 2;
  rounds.fit.blocks = {{0, 4, 1, {1, 2}}};
  ByteWriter writer;
  PutRounds(rounds, writer);
  ByteReader reader(writer.bytes());
  const convex_relu::GateRounds read = convex_relu::TakeRounds(reader);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(read.rounds, 3);
  EXPECT_TRUE(read.solving);
  EXPECT_EQ(read.patterns_added, 17);
  EXPECT_EQ(read.objective_before, 2.5);
  EXPECT_EQ(read.largest_violation, 0.25);
  ASSERT_EQ(read.added.size(), 2u);
  EXPECT_EQ(read.added[1].gate, rounds.added[1].gate);
  EXPECT_EQ(read.added[1].bits, rounds.added[1].bits);
  ASSERT_EQ(read.start.size(), 1u);
  EXPECT_EQ(read.start[0].pattern, 5);
  EXPECT_EQ(read.start[0].sign, -1);
  EXPECT_EQ(read.start[0].weights, rounds.start[0].weights);
  EXPECT_EQ(read.fit.objective, 2);
  EXPECT_EQ(read.fit.blocks.size(), 1u);
}

}  // namespace
}  // namespace trainyard
