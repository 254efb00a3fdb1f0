// The job: its report against the network's own predictions and plain formulas.
#include "core/algorithms/convex_relu/train.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/base/byte_stream.h"
#include "tests/core/algorithms/convex_relu/job_test_support.h"

namespace trainyard {
namespace {

using Spec = v1::ConvexReluSpec;
using Report = v1::ConvexReluReport;
using testing::HasSubstr;

// A fingerprint of the weights that were written: files are too long to print.
uint64_t WeightsOf(const TrainingContext& context) {
  return FingerprintOf(ReadFile(context.model_folder() / "network.safetensors").value_or(""));
}

class ConvexReluTrainTest : public testing::TestWithParam<Spec::Model> {
 protected:
  static v1::TrainingSpec SpecOf(int gates = 60) { return ConvexSpec(GetParam(), gates); }
};

TEST_P(ConvexReluTrainTest, ARegressionsObjectiveIsThatOfItsPredictions) {
  const auto table = ReadTestTable("diabetes_progression");
  FakeTrainingContext context;
  const auto result = TrainConvex(table, SpecOf(), context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  EXPECT_EQ(report.status(), Report::STATUS_OPTIMAL);
  EXPECT_EQ(report.task(), Spec::TASK_REGRESSION);
  EXPECT_LE(report.relative_gap(), 1e-6);
  EXPECT_LE(report.lower_bound(), report.objective());
  EXPECT_LE(report.patterns(), report.gates_drawn());
  EXPECT_EQ(report.gates_drawn(), 60);
  EXPECT_GT(report.active_neurons(), 0);
  EXPECT_NEAR(report.lambda(), 0.05 * report.largest_lambda(), 1e-12);
  // The network in raw units says the same as the convex solution in scaled ones.
  EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
  const Predictions predictions = PredictConvex(result->manifest, context, *table);
  const std::span<const double> target =
      table->numbers(*table->FindColumn(result->manifest.targets(0).name()));
  double squares = 0;
  for (size_t j = 0; j < target.size(); ++j) {
    const double error = predictions.columns[0].numbers[j] - target[j];
    squares += error * error;
  }
  const double mean = squares / static_cast<double>(target.size());
  EXPECT_NEAR(result->report.train_metrics().at("rmse"), std::sqrt(mean), 1e-9 * std::sqrt(mean));
  EXPECT_LT(mean / 2, report.network_objective());
  EXPECT_GT(result->report.train_metrics().at("r2"), 0.5);
}

TEST_P(ConvexReluTrainTest, ClassesBecomeOneOutputOrOneEach) {
  for (const char* name : {"heart", "iris"}) {
    const auto table = ReadTestTable(name);
    for (const Spec::Loss loss : {Spec::LOSS_SQUARED, Spec::LOSS_LOGISTIC}) {
      v1::TrainingSpec spec = SpecOf(40);
      spec.mutable_convex_relu()->set_loss(loss);
      FakeTrainingContext context;
      const auto result = TrainConvex(table, spec, context);
      ASSERT_TRUE(result.ok()) << result.status();
      const Report& report = result->report.convex_relu();
      EXPECT_EQ(report.status(), Report::STATUS_OPTIMAL) << name;
      EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
      EXPECT_GT(result->report.train_metrics().at("accuracy"), 0.8);
      const Predictions predictions = PredictConvex(result->manifest, context, *table);
      const bool two = std::string(name) == "heart";
      EXPECT_EQ(predictions.columns.size(), two ? 3u : 4u);
      EXPECT_EQ(predictions.columns[1].name.substr(0, 5),
                loss == Spec::LOSS_SQUARED ? "score" : "proba");
    }
  }
}

TEST_P(ConvexReluTrainTest, TheSameForEveryNumberOfThreads) {
  const auto table = ReadTestTable("wine");
  std::vector<double> objectives;
  std::vector<uint64_t> weights;
  for (const int threads : {1, 2, 3}) {
    FakeTrainingContext context(threads);
    const auto result = TrainConvex(table, SpecOf(), context);
    ASSERT_TRUE(result.ok()) << result.status();
    objectives.push_back(result->report.convex_relu().objective());
    weights.push_back(WeightsOf(context));
  }
  EXPECT_EQ(objectives[0], objectives[1]);
  EXPECT_EQ(objectives[0], objectives[2]);
  EXPECT_EQ(weights[0], weights[1]);
  EXPECT_EQ(weights[0], weights[2]);
}

TEST_P(ConvexReluTrainTest, RowsMayComeInAnyOrder) {
  const auto table = ReadTestTable("wine");
  std::vector<TableColumn> reversed;
  for (int c = 0; c < table->column_count(); ++c) {
    const std::span<const double> numbers = table->numbers(c);
    reversed.push_back({table->column(c).name(),
                        table->column(c).type(),
                        {numbers.rbegin(), numbers.rend()},
                        {},
                        {}});
  }
  FakeTrainingContext one;
  FakeTrainingContext other;
  const auto forward = TrainConvex(table, SpecOf(), one);
  const auto backward = TrainConvex(*MakeTable(reversed), SpecOf(), other);
  ASSERT_TRUE(forward.ok() && backward.ok()) << forward.status() << backward.status();
  EXPECT_EQ(forward->report.convex_relu().patterns(), backward->report.convex_relu().patterns());
  EXPECT_NEAR(
      forward->report.convex_relu().objective() / backward->report.convex_relu().objective(), 1,
      2e-6);
}

TEST_P(ConvexReluTrainTest, WeightsOfRowsCountAsRepeatedRows) {
  const auto table = ReadTestTable("diabetes_progression");
  std::vector<TableColumn> weighted;
  std::vector<TableColumn> repeated;
  for (int c = 0; c < table->column_count(); ++c) {
    const std::span<const double> numbers = table->numbers(c).first(150);
    TableColumn plain{
        table->column(c).name(), table->column(c).type(), {numbers.begin(), numbers.end()}, {}, {}};
    weighted.push_back(plain);
    plain.numbers.insert(plain.numbers.end(), numbers.begin(), numbers.begin() + 50);
    repeated.push_back(std::move(plain));
  }
  TableColumn weight{"w", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 150; ++i) weight.numbers.push_back(i < 50 ? 2 : 1);
  weighted.insert(weighted.begin(), weight);
  v1::TrainingSpec spec = SpecOf(40);
  // Norms of columns count rows as they stand.
  spec.mutable_convex_relu()->set_scaling(Spec::SCALING_NONE);
  spec.mutable_convex_relu()->set_lambda(20);
  FakeTrainingContext first;
  FakeTrainingContext second;
  const auto many = TrainConvex(*MakeTable(repeated), spec, second);
  spec.mutable_convex_relu()->mutable_input()->set_weight_column("w");
  const auto few = TrainConvex(*MakeTable(weighted), spec, first);
  ASSERT_TRUE(few.ok() && many.ok()) << few.status() << many.status();
  EXPECT_EQ(few->report.convex_relu().patterns(), many->report.convex_relu().patterns());
  EXPECT_NEAR(few->report.convex_relu().objective() / many->report.convex_relu().objective(), 1,
              2e-6);
}

TEST_P(ConvexReluTrainTest, GoesOnFromItsCheckpointBitForBit) {
  const auto table = ReadTestTable("wine");
  v1::TrainingSpec spec = SpecOf();
  spec.mutable_convex_relu()->mutable_path()->set_points(3);
  spec.mutable_convex_relu()->mutable_path()->set_smallest_ratio(0.05);
  spec.mutable_convex_relu()->mutable_path()->set_folds(2);
  FakeTrainingContext whole;
  whole.keep_checkpoints = true;
  FillDefaults(spec);
  Violations violations;
  ConvexReluAlgorithm().Resolve({{kTestDataset, table->schema()}}, "spec", spec, violations);
  ASSERT_TRUE(violations.empty());
  const TableColumns columns = [&] {
    v1::TableInput input = spec.convex_relu().input();
    return ResolveTableInput(table->schema(), "input", input, violations);
  }();
  const auto train = [&](TrainingContext& context) {
    return TrainConvexRelu(spec.convex_relu(), columns, table, nullptr, context,
                           absl::ZeroDuration());
  };
  const auto result = train(whole);
  ASSERT_TRUE(result.ok()) << result.status();
  const uint64_t weights = WeightsOf(whole);
  ASSERT_GT(whole.checkpoints.size(), 20u);
  for (size_t i = 0; i < whole.checkpoints.size(); i += 1 + whole.checkpoints.size() / 7) {
    FakeTrainingContext context;
    context.checkpoint = whole.checkpoints[i];
    const auto resumed = train(context);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(WeightsOf(context), weights) << i;
    EXPECT_EQ(resumed->report.convex_relu().objective(), result->report.convex_relu().objective());
    EXPECT_EQ(resumed->report.convex_relu().iterations(),
              result->report.convex_relu().iterations());
  }
}

TEST_P(ConvexReluTrainTest, ChoosesFromAPathByCrossValidation) {
  const auto table = ReadTestTable("diabetes_progression");
  v1::TrainingSpec spec = SpecOf();
  v1::ConvexReluPath& path = *spec.mutable_convex_relu()->mutable_path();
  path.set_points(6);
  path.set_smallest_ratio(0.01);
  path.set_folds(4);
  FakeTrainingContext context;
  const auto result = TrainConvex(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  ASSERT_EQ(report.path_size(), 6);
  EXPECT_EQ(report.path(0).active_neurons(), 0);
  int best = 0;
  for (int i = 0; i < 6; ++i) {
    const v1::ConvexReluPathPoint& point = report.path(i);
    EXPECT_TRUE(i == 0 || point.objective() < report.path(i - 1).objective());
    EXPECT_GT(point.cv_standard_error(), 0);
    // Errors of rows left out are about those of rows learned from where the penalty is large, and
    // above where it is small.
    const double rmse = point.train_metrics().at("rmse");
    EXPECT_GT(point.cv_error(), rmse * rmse * (i < 3 ? 0.95 : 1));
    if (point.cv_error() < report.path(best).cv_error()) best = i;
  }
  int chosen = 0;
  const double allowed = report.path(best).cv_error() + report.path(best).cv_standard_error();
  while (report.path(chosen).cv_error() > allowed) ++chosen;
  EXPECT_EQ(report.lambda(), report.path(chosen).lambda());
  EXPECT_EQ(report.objective(), report.path(chosen).objective());
  path.set_selection(v1::ConvexReluPath::SELECTION_MINIMUM);
  FakeTrainingContext second;
  const auto minimum = TrainConvex(table, spec, second);
  ASSERT_TRUE(minimum.ok()) << minimum.status();
  EXPECT_EQ(minimum->report.convex_relu().lambda(), report.path(best).lambda());
}

TEST_P(ConvexReluTrainTest, DescentDoesNotBeatTheConvexOptimumOfItsOwnPatterns) {
  const auto table = ReadTestTable("diabetes_progression");
  v1::TrainingSpec spec = SpecOf(200);
  spec.mutable_convex_relu()->mutable_input()->mutable_split()->set_test_fraction(0.2);
  v1::ConvexReluComparison& comparison = *spec.mutable_convex_relu()->mutable_comparison();
  comparison.set_seeds(2);
  comparison.set_epochs(20);
  FakeTrainingContext context;
  const auto result = TrainConvex(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  ASSERT_EQ(report.comparison_size(), 2 * 6);
  for (const v1::ConvexReluDescent& descent : report.comparison()) {
    if (descent.diverged()) continue;
    if (GetParam() == Spec::MODEL_GATED_RELU) {
      EXPECT_GE(descent.objective(), report.lower_bound() * (1 - 1e-5));
    }
    EXPECT_TRUE(std::isfinite(descent.objective()));
    EXPECT_GT(descent.test_metrics().at("rmse"), 0);
    // Its objective is its predictions' and its weights'.
    const double rmse = descent.train_metrics().at("rmse");
    EXPECT_LT(rmse * rmse / 2, descent.objective() * (1 + 1e-6));
  }
}

TEST_P(ConvexReluTrainTest, CancellationEndsIt) {
  FakeTrainingContext context;
  context.cancel_at = 40;
  const auto result = TrainConvex(ReadTestTable("red_wine"), SpecOf(500), context);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kCancelled);
}

INSTANTIATE_TEST_SUITE_P(Models, ConvexReluTrainTest,
                         testing::Values(Spec::MODEL_GATED_RELU, Spec::MODEL_RELU));

TEST(ConvexReluTrainTest, EveryPenaltyAndMethodOfGatedNetworks) {
  const auto table = ReadTestTable("wine");
  const auto objective = [&](Spec::Penalty penalty, v1::ConvexReluSolver::Method method,
                             Spec::Precision precision) {
    v1::TrainingSpec spec = GatedSpec();
    Spec& own = *spec.mutable_convex_relu();
    own.set_penalty(penalty);
    own.set_precision(precision);
    own.mutable_solver()->set_method(method);
    if (penalty != Spec::PENALTY_NONE) own.set_lambda(1e-4);
    FakeTrainingContext context;
    const auto result = TrainConvex(table, spec, context);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return 0.0;
    const Report& report = result->report.convex_relu();
    EXPECT_EQ(report.status(),
              penalty == Spec::PENALTY_NONE ? Report::STATUS_STATIONARY : Report::STATUS_OPTIMAL);
    return report.objective();
  };
  using Solver = v1::ConvexReluSolver;
  const double working =
      objective(Spec::PENALTY_GROUP_L1, Solver::METHOD_WORKING_SETS, Spec::PRECISION_DOUBLE);
  EXPECT_NEAR(
      objective(Spec::PENALTY_GROUP_L1, Solver::METHOD_R_FISTA, Spec::PRECISION_DOUBLE) / working,
      1, 2e-6);
  EXPECT_NEAR(
      objective(Spec::PENALTY_GROUP_L1, Solver::METHOD_R_FISTA, Spec::PRECISION_SINGLE) / working,
      1, 2e-4);
  const double ridge =
      objective(Spec::PENALTY_SQUARED_L2, Solver::METHOD_LEAST_SQUARES, Spec::PRECISION_DOUBLE);
  EXPECT_NEAR(
      objective(Spec::PENALTY_SQUARED_L2, Solver::METHOD_R_FISTA, Spec::PRECISION_DOUBLE) / ridge,
      1, 2e-6);
  objective(Spec::PENALTY_L1, Solver::METHOD_R_FISTA, Spec::PRECISION_DOUBLE);
  objective(Spec::PENALTY_FEATURE_GROUP_L1, Solver::METHOD_R_FISTA, Spec::PRECISION_DOUBLE);
  objective(Spec::PENALTY_NONE, Solver::METHOD_LEAST_SQUARES, Spec::PRECISION_DOUBLE);
}

// One ReLU network by every method: its report.
Report ReluReport(const std::shared_ptr<const Table>& table,
                  const std::function<void(v1::ConvexReluSolver&)>& change) {
  v1::TrainingSpec spec = ConvexSpec(Spec::MODEL_RELU, 15);
  change(*spec.mutable_convex_relu()->mutable_solver());
  FakeTrainingContext context;
  const auto result = TrainConvex(table, spec, context);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? result->report.convex_relu() : Report();
}

TEST(ConvexReluTrainTest, EveryMethodOfReluNetworks) {
  using Solver = v1::ConvexReluSolver;
  const auto table = ReadTestTable("diabetes_progression");
  const Report working = ReluReport(table, [](Solver&) {});
  EXPECT_EQ(working.status(), Report::STATUS_OPTIMAL);
  EXPECT_LE(working.greatest_violation(), 1e-7);
  const Report lagrangian = ReluReport(table, [](Solver& solver) {
    solver.set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
    solver.set_relative_gap(1e-3);
  });
  EXPECT_EQ(lagrangian.status(), Report::STATUS_OPTIMAL);
  EXPECT_NEAR(lagrangian.objective() / working.objective(), 1, 1e-3);
  EXPECT_LE(lagrangian.lower_bound(), working.objective());
  EXPECT_LE(lagrangian.greatest_violation(), 1e-7) << "repaired";
  EXPECT_NEAR(lagrangian.network_objective() / lagrangian.objective(), 1, 1e-6);
  const Report release = ReluReport(table, [](Solver& solver) {
    solver.set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
    solver.set_release_rules(true);
    solver.set_subgradient_tolerance(1e-4);
  });
  EXPECT_EQ(release.status(), Report::STATUS_STATIONARY);
  EXPECT_LE(release.subgradient_norm_squared(), 1e-4);
  EXPECT_GT(release.objective(), working.lower_bound());
  EXPECT_NEAR(release.objective() / working.objective(), 1, 0.1);
  const Report loose = ReluReport(table, [](Solver& solver) {
    solver.set_method(Solver::METHOD_AUGMENTED_LAGRANGIAN);
    solver.set_stop_rule(Solver::STOP_RULE_SUBGRADIENT);
    solver.set_subgradient_tolerance(1e-3);
  });
  EXPECT_EQ(loose.status(), Report::STATUS_STATIONARY);
  EXPECT_LT(loose.iterations(), lagrangian.iterations());
  double gated = 0;
  for (const Solver::Decomposition decomposition :
       {Solver::DECOMPOSITION_MIN_NORM, Solver::DECOMPOSITION_APPROXIMATE,
        Solver::DECOMPOSITION_GATE_SHIFT}) {
    const Report report = ReluReport(table, [&](Solver& solver) {
      solver.set_method(Solver::METHOD_CONE_DECOMPOSITION);
      solver.set_decomposition(decomposition);
    });
    EXPECT_EQ(report.status(), Report::STATUS_DECOMPOSED);
    EXPECT_GT(report.norm_ratio(), 1);
    // The order of the three objectives on the same gates.
    EXPECT_LE(report.gated_objective(), working.objective() * (1 + 1e-6));
    EXPECT_GE(report.objective(), working.lower_bound());
    EXPECT_LE(report.lower_bound(), working.objective());
    EXPECT_LE(report.greatest_violation(), 1e-7);
    // The network in raw units, whose long weights nearly cancel, still says the same.
    EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
    EXPECT_TRUE(gated == 0 || std::abs(report.gated_objective() / gated - 1) < 1e-12);
    gated = report.gated_objective();
  }
}

TEST(ConvexReluTrainTest, TheLagrangianGoesOnFromItsCheckpointBitForBit) {
  const auto table = ReadTestTable("iris");
  v1::TrainingSpec spec = ConvexSpec(Spec::MODEL_RELU, 20);
  spec.mutable_convex_relu()->mutable_solver()->set_method(
      v1::ConvexReluSolver::METHOD_AUGMENTED_LAGRANGIAN);
  spec.mutable_convex_relu()->mutable_solver()->set_relative_gap(1e-2);
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
  ASSERT_GT(whole.checkpoints.size(), 20u);
  for (size_t i = whole.checkpoints.size(); i-- > 0;
       i -= std::min(i, whole.checkpoints.size() / 5)) {
    FakeTrainingContext context;
    context.checkpoint = whole.checkpoints[i];
    ASSERT_TRUE(train(context).ok());
    EXPECT_EQ(WeightsOf(context), WeightsOf(whole)) << i;
  }
}

TEST_P(ConvexReluTrainTest, SoftmaxSolvesAllClassesTogether) {
  v1::TrainingSpec spec = SpecOf(40);
  spec.mutable_convex_relu()->set_loss(Spec::LOSS_SOFTMAX);
  const auto table = ReadTestTable("iris");
  FakeTrainingContext context;
  const auto result = TrainConvex(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.convex_relu();
  EXPECT_EQ(report.status(), Report::STATUS_OPTIMAL);
  EXPECT_LE(report.relative_gap(), 1e-6);
  EXPECT_LE(report.greatest_violation(), 1e-7);
  EXPECT_NEAR(report.network_objective() / report.objective(), 1, 1e-6);
  // The loss, from the probabilities that the network gives the rows' own classes.
  const Predictions predictions = PredictConvex(result->manifest, context, *table);
  const std::span<const double> target =
      table->numbers(*table->FindColumn(result->manifest.targets(0).name()));
  double loss = 0;
  for (size_t j = 0; j < 150; ++j) {
    double sum = 0;
    for (size_t c = 1; c < predictions.columns.size(); ++c) {
      sum += predictions.columns[c].numbers[j];
    }
    EXPECT_NEAR(sum, 1, 1e-12);
    const auto own = static_cast<size_t>(1 + target[j]);
    loss -= std::log(predictions.columns[own].numbers[j]) / 150;
  }
  EXPECT_NEAR(loss, result->report.train_metrics().at("log_loss"), 1e-9);
  EXPECT_LT(loss, report.objective());
  EXPECT_GT(loss, 0);
}

TEST(ConvexReluTrainTest, UploadedGatesAreInUnitsOfTheFeatures) {
  // With the gates (1, 0) and (-1, 0) about x = 3 the network is any pair of lines that bends
  // there.
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 60; ++i) {
    x.numbers.push_back(i / 10.0 + 0.05);
    target.numbers.push_back(std::abs(x.numbers.back() - 3) + 0.5);
  }
  TableColumn gate{"x", v1::COLUMN_TYPE_NUMERIC, {1, -1, 2}, {}, {}};
  TableColumn bias{"bias", v1::COLUMN_TYPE_NUMERIC, {-3, 3, -6}, {}, {}};
  const std::string gates = "projects/default/datasets/gates/versions/1";
  for (const Spec::Scaling scaling :
       {Spec::SCALING_STANDARDIZED, Spec::SCALING_UNIT_NORM, Spec::SCALING_NONE}) {
    v1::TrainingSpec spec = GatedSpec();
    Spec& own = *spec.mutable_convex_relu();
    own.mutable_gates()->set_dataset(gates);
    own.set_scaling(scaling);
    own.set_lambda(1e-9);
    own.mutable_solver()->set_relative_gap(1e-3);
    FakeTrainingContext context;
    const auto result =
        TrainConvex(*MakeTable({x, target}), spec, context, {{gates, *MakeTable({gate, bias})}});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->report.convex_relu().gates_drawn(), 3);
    EXPECT_EQ(result->report.convex_relu().patterns(), 2);
    EXPECT_LT(result->report.train_metrics().at("rmse"), 1e-3) << Spec::Scaling_Name(scaling);
  }
}

TEST(ConvexReluTrainTest, UploadedGatesThatFitNoFeatureAreRefused) {
  TableColumn gate{"height", v1::COLUMN_TYPE_NUMERIC, {1, -1}, {}, {}};
  const std::string gates = "projects/default/datasets/gates/versions/1";
  v1::TrainingSpec spec = GatedSpec();
  spec.mutable_convex_relu()->mutable_gates()->set_dataset(gates);
  FakeTrainingContext context;
  const auto result =
      TrainConvex(ReadTestTable("iris"), spec, context, {{gates, *MakeTable({gate})}});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("gates.dataset: the column \"height\" is no feature"));
}

TEST(ConvexReluTrainTest, WindowsOfImagesWithPixelsThatNeverVary) {
  std::vector<TableColumn> columns;
  for (int k = 0; k < 16; ++k) {
    TableColumn pixel{"p" + std::to_string(k), v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
    for (int i = 0; i < 80; ++i) {
      pixel.numbers.push_back(k % 4 == 0 ? 0 : std::sin(i * (k + 1)));  // the left edge is dark
    }
    columns.push_back(std::move(pixel));
  }
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 80; ++i) target.numbers.push_back(std::abs(std::sin(i * 6.0)));
  columns.push_back(target);
  v1::TrainingSpec spec = GatedSpec(100);
  v1::ConvexReluGates& gates = *spec.mutable_convex_relu()->mutable_gates();
  gates.set_sampler(v1::ConvexReluGates::SAMPLER_CONVOLUTIONAL);
  gates.set_image_height(4);
  gates.set_image_width(4);
  gates.set_kernel(2);
  FakeTrainingContext context;
  const auto result = TrainConvex(*MakeTable(columns), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.convex_relu().features(), 12);
  EXPECT_GT(result->report.convex_relu().patterns(), 50);
}

TEST(ConvexReluTrainTest, OtherSamplersTrainToo) {
  for (const v1::ConvexReluGates::Sampler sampler :
       {v1::ConvexReluGates::SAMPLER_FROM_DATA, v1::ConvexReluGates::SAMPLER_FEATURE_SPARSE}) {
    v1::TrainingSpec spec = GatedSpec(100);
    spec.mutable_convex_relu()->mutable_gates()->set_sampler(sampler);
    FakeTrainingContext context;
    const auto result = TrainConvex(ReadTestTable("wine"), spec, context);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_GT(result->report.train_metrics().at("accuracy"), 0.9);
  }
}

}  // namespace
}  // namespace trainyard
