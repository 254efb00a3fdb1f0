#include "core/algorithms/hierarchical_shrinkage/hierarchical_shrinkage.h"

#include <cmath>
#include <numeric>

#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"
#include "core/data/split.h"
#include "core/trees/cart.h"
#include "core/trees/shrinkage.h"
#include "core/trees/tree_proto.h"
#include "gmock/gmock.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;
using testing::Contains;
using testing::HasSubstr;
using testing::Key;
using testing::Pair;

TEST(HierarchicalShrinkageTest, HelpsOnNoisyClasses) {
  const auto table = ReadTestTable("diabetes_pima");
  FakeTrainingContext context;
  const auto result = TrainOn(table, MakeSpec(), context);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::HierarchicalShrinkageReport& report = result->report.hierarchical_shrinkage();
  EXPECT_EQ(report.task(), Spec::TASK_CLASSIFICATION);
  EXPECT_EQ(report.metrics_rows(), "test");
  EXPECT_GT(report.lambda(), 1);
  EXPECT_EQ(report.lambda_path_size(), 9);
  EXPECT_GT(report.metrics_shrunk().at("auc"), report.metrics_plain().at("auc") + 0.03);
  EXPECT_LT(report.metrics_shrunk().at("log_loss"), report.metrics_plain().at("log_loss") / 5);
  EXPECT_EQ(result->report.test_metrics().at("auc"), report.metrics_shrunk().at("auc"));
  EXPECT_TRUE(result->report.validation_metrics().empty());
  EXPECT_THAT(result->report.train_metrics(), Contains(Key("accuracy")));
  const Tree tree = TreeOf(ModelBytes(context));
  EXPECT_EQ(report.leaf_count(), tree.leaf_count());
  EXPECT_EQ(report.depth(), tree.depth());
  EXPECT_EQ(tree.row_count[0], 614);
  EXPECT_THAT(report.tree(), HasSubstr("all rows: N 614"));
  EXPECT_EQ(result->manifest.features_size(), 8);
  EXPECT_EQ(result->manifest.targets(0).name(), "target");
}

TEST(HierarchicalShrinkageTest, MeasuresValidationRowsWhereThereIsNoTest) {
  v1::TrainingSpec spec = MakeSpec();
  v1::SplitOptions& split =
      *spec.mutable_hierarchical_shrinkage()->mutable_input()->mutable_split();
  split.set_test_fraction(0);
  split.set_validation_fraction(0.25);
  FakeTrainingContext context;
  const auto result = TrainOn(ReadTestTable("diabetes_progression"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.hierarchical_shrinkage().metrics_rows(), "validation");
  EXPECT_GT(result->report.validation_metrics().at("r2"), 0.2);
  EXPECT_LT(result->report.hierarchical_shrinkage().metrics_plain().at("r2"), 0.1);
  split.set_validation_fraction(0);
  FakeTrainingContext other;
  const auto all = TrainOn(ReadTestTable("diabetes_progression"), spec, other);
  EXPECT_EQ(all->report.hierarchical_shrinkage().metrics_rows(), "train");
  EXPECT_DOUBLE_EQ(all->report.hierarchical_shrinkage().metrics_plain().at("r2"), 1);
}

// Reference: for every fold and strength, a tree fitted, shrunk and walked by itself.
TEST(HierarchicalShrinkageTest, ThePathIsThatOfSeparateFits) {
  for (const char* name : {"iris", "heart", "diabetes_progression"}) {
    const auto table = ReadTestTable(name);
    v1::TrainingSpec spec = MakeSpec();
    Spec& own = *spec.mutable_hierarchical_shrinkage();
    own.mutable_input()->mutable_split()->set_test_fraction(0);
    own.mutable_cart()->set_max_leaf_nodes(30);
    own.set_seed(5);
    FakeTrainingContext context;
    const auto result = TrainOn(table, spec, context);
    ASSERT_TRUE(result.ok()) << result.status();

    const bool classes =
        own.task() == Spec::TASK_CLASSIFICATION ||
        result->report.hierarchical_shrinkage().task() == Spec::TASK_CLASSIFICATION;
    const int target = table->column_count() - 1;
    std::vector<FeatureColumn> columns;
    for (int c = 0; c < target; ++c) columns.push_back(FeatureColumn::Numeric(table->numbers(c)));
    std::vector<int64_t> rows(static_cast<size_t>(table->row_count()));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    const std::span<const double> y = table->numbers(target);
    std::vector<int32_t> labels;
    for (const double value : y) labels.push_back(static_cast<int32_t>(value));
    const int outputs = classes ? 1 + *std::max_element(labels.begin(), labels.end()) : 1;
    const std::vector<int32_t> folds =
        *AssignFolds(rows.size(), classes ? labels : std::vector<int32_t>(), {}, 3, 5);
    ThreadPool pool(1);
    const auto features = PresortedFeatures::Build(columns, rows, pool, {});
    for (const v1::LambdaPathPoint& point : result->report.hierarchical_shrinkage().lambda_path()) {
      std::vector<double> losses;
      for (int fold = 0; fold < 3; ++fold) {
        std::vector<uint32_t> outside;
        for (size_t i = 0; i < folds.size(); ++i) {
          if (folds[i] != fold) outside.push_back(static_cast<uint32_t>(i));
        }
        v1::CartOptions cart;
        cart.set_max_leaf_nodes(30);
        cart.set_min_samples_split(2);
        cart.set_min_samples_leaf(1);
        Tree tree = *GrowCart(
            *features,
            classes ? TreeTarget::Classification(labels, outputs) : TreeTarget::Regression(y), {},
            outside, cart, pool, {});
        Shrink(Spec::SCHEME_HIERARCHICAL, point.lambda(), tree);
        double loss = 0;
        double count = 0;
        for (size_t i = 0; i < folds.size(); ++i) {
          if (folds[i] != fold) continue;
          const auto value = tree.ValueOf(FindLeaf(tree, columns, static_cast<int64_t>(i)));
          loss += classes ? -std::log(std::max(value[static_cast<size_t>(labels[i])], 1e-15))
                          : (value[0] - y[i]) * (value[0] - y[i]);
          ++count;
        }
        losses.push_back(loss / count);
      }
      const double mean = (losses[0] + losses[1] + losses[2]) / 3;
      double squares = 0;
      for (const double loss : losses) squares += (loss - mean) * (loss - mean);
      EXPECT_NEAR(point.mean_loss(), mean, 1e-12 * mean) << name;
      EXPECT_NEAR(point.standard_error(), std::sqrt(squares / 2 / 3), 1e-11 * mean) << name;
    }
  }
}

TEST(HierarchicalShrinkageTest, ChoosesTheSmallestLossAndSmallestStrength) {
  FakeTrainingContext context;
  v1::TrainingSpec spec = MakeSpec();
  // No split at all: every strength has the same loss.
  spec.mutable_hierarchical_shrinkage()->mutable_cart()->set_max_leaf_nodes(1);
  const auto result = TrainOn(ReadTestTable("heart"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.hierarchical_shrinkage().lambda(), 0);
  EXPECT_THAT(context.logs,
              Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("single leaf"))));
  FakeTrainingContext other;
  const auto full = TrainOn(ReadTestTable("heart"), MakeSpec(), other);
  const auto& path = full->report.hierarchical_shrinkage().lambda_path();
  const auto best = std::min_element(path.begin(), path.end(), [](const auto& a, const auto& b) {
    return a.mean_loss() < b.mean_loss();
  });
  EXPECT_EQ(full->report.hierarchical_shrinkage().lambda(), best->lambda());
}

TEST(HierarchicalShrinkageTest, UsesAGivenStrengthWithoutCrossValidation) {
  v1::TrainingSpec spec = MakeSpec();
  spec.mutable_hierarchical_shrinkage()->set_lambda(20);
  spec.mutable_hierarchical_shrinkage()->set_scheme(Spec::SCHEME_LEAF_BASED);
  FakeTrainingContext context;
  const auto result = TrainOn(ReadTestTable("heart"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.hierarchical_shrinkage().lambda_path_size(), 0);
  EXPECT_EQ(result->report.hierarchical_shrinkage().lambda(), 20);
  EXPECT_TRUE(context.checkpoint_steps.empty());
  Tree tree = TreeOf(ModelBytes(context));
  const std::vector<double> values = tree.value;
  Shrink(Spec::SCHEME_LEAF_BASED, 20, tree);
  EXPECT_EQ(values, tree.value);
}

TEST(HierarchicalShrinkageTest, DoesNotDependOnTheNumberOfThreads) {
  const auto table = ReadTestTable("red_wine");
  std::vector<std::string> models;
  for (const int threads : {1, 2, 16}) {
    FakeTrainingContext context(threads);
    ASSERT_TRUE(TrainOn(table, MakeSpec(), context).ok());
    models.push_back(ModelBytes(context));
  }
  EXPECT_EQ(models[0], models[1]);
  EXPECT_EQ(models[0], models[2]);
}

// Killed after each checkpoint in turn, a job goes on from there and ends with the same model and
// path.
TEST(HierarchicalShrinkageTest, ResumesToTheSameModel) {
  const auto table = ReadTestTable("diabetes_pima");
  FakeTrainingContext whole;
  const auto expected = TrainOn(table, MakeSpec(), whole);
  ASSERT_TRUE(expected.ok());
  ASSERT_THAT(whole.checkpoint_steps, testing::ElementsAre(1, 2, 3, 3));
  for (const int step : {1, 2, 3}) {
    FakeTrainingContext first;
    first.die_at_checkpoint = step;
    EXPECT_EQ(TrainOn(table, MakeSpec(), first).status().code(), absl::StatusCode::kUnavailable);
    FakeTrainingContext second;
    second.checkpoint = first.checkpoint;
    const auto result = TrainOn(table, MakeSpec(), second);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(ModelBytes(second), ModelBytes(whole));
    for (int j = 0; j < 9; ++j) {
      EXPECT_EQ(result->report.hierarchical_shrinkage().lambda_path(j).SerializeAsString(),
                expected->report.hierarchical_shrinkage().lambda_path(j).SerializeAsString());
    }
    // The folds that were done are not done again.
    for (int fold = 1; fold <= 3; ++fold) {
      const std::string name = "cv/fold_" + std::to_string(fold) + "/loss";
      EXPECT_EQ(second.metrics.count(name), fold <= step ? 0u : 1u);
    }
  }
}

TEST(HierarchicalShrinkageTest, StartsAfreshFromAForeignCheckpoint) {
  const auto table = ReadTestTable("heart");
  FakeTrainingContext whole;
  ASSERT_TRUE(TrainOn(table, MakeSpec(), whole).ok());
  v1::TrainingSpec other = MakeSpec();
  other.mutable_hierarchical_shrinkage()->set_seed(9);
  for (const std::string& bytes :
       {std::string("garbage"), std::string(), *whole.checkpoint + "x", *whole.checkpoint}) {
    FakeTrainingContext context;
    context.checkpoint = bytes;
    FakeTrainingContext fresh;
    ASSERT_TRUE(TrainOn(table, other, context).ok());
    ASSERT_TRUE(TrainOn(table, other, fresh).ok());
    EXPECT_EQ(ModelBytes(context), ModelBytes(fresh));
    EXPECT_THAT(context.logs, Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("afresh"))));
  }
}

TEST(CheckpointTest, ComesBackExactlyOrNotAtAll) {
  TrainingState state;
  state.losses = {{0.1, 1e300, 5e-324}, {-0.0, 2, 3}};
  state.fold_losses = {7};
  state.seconds = 12.5;
  state.path_reported = true;
  state.final_fit = true;
  Tree tree;
  tree.feature = {0, -1, -1};
  tree.threshold = {0.5, 0, 0};
  tree.left = {1, -1, -1};
  tree.right = {2, -1, -1};
  tree.missing_left = {1, 0, 0};
  tree.weight = {3, 1, 2};
  tree.row_count = {3, 1, 2};
  tree.impurity = {1, 0, 0};
  tree.mean = tree.value = {0.1, 1.0 / 3, 2};
  v1::TreeModel model;
  model.add_features()->set_type(v1::COLUMN_TYPE_NUMERIC);
  model.add_targets("y");
  model.set_output(v1::TreeModel::OUTPUT_VALUES);
  const std::string bytes = EncodeCheckpoint(state, {&tree, 1}, 77);
  const auto back = DecodeCheckpoint(bytes, 77, model);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->state.losses, state.losses);
  EXPECT_EQ(back->state.fold_losses, state.fold_losses);
  EXPECT_EQ(back->state.seconds, 12.5);
  EXPECT_TRUE(back->state.path_reported);
  EXPECT_TRUE(back->state.final_fit);
  ASSERT_EQ(back->trees.size(), 1u);
  EXPECT_TRUE(back->trees[0] == tree);
  EXPECT_FALSE(DecodeCheckpoint(bytes, 78, model).has_value());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(DecodeCheckpoint(damaged, 77, model).has_value());
    EXPECT_FALSE(DecodeCheckpoint(bytes.substr(0, i), 77, model).has_value());
  }
}

TEST(HierarchicalShrinkageTest, CancelsWheneverItIsTold) {
  const auto table = ReadTestTable("red_wine");
  FakeTrainingContext whole;
  ASSERT_TRUE(TrainOn(table, MakeSpec(), whole).ok());
  ASSERT_GT(whole.checks, 20);
  for (int64_t at = 0; at < whole.checks - 2; at += 1 + whole.checks / 40) {
    FakeTrainingContext context;
    context.cancel_at = at;
    EXPECT_EQ(TrainOn(table, MakeSpec(), context).status().code(), absl::StatusCode::kCancelled);
    EXPECT_FALSE(std::filesystem::exists(context.model_folder() / "tree.pb"));
  }
}

TEST(HierarchicalShrinkageTest, ReportsProgressAndCurves) {
  FakeTrainingContext context;
  ASSERT_TRUE(TrainOn(ReadTestTable("heart"), MakeSpec(), context).ok());
  double last = 0;
  for (const v1::Progress& progress : context.progress) {
    EXPECT_GE(progress.fraction(), last - 1e-12) << progress.phase();
    EXPECT_LE(progress.fraction(), 1);
    last = progress.fraction();
  }
  EXPECT_EQ(last, 1);
  for (const char* curve :
       {"cv/fold_1/loss", "cv/fold_2/loss", "cv/fold_3/loss", "cv/loss", "cv/lambda"}) {
    ASSERT_EQ(context.metrics[curve].size(), 9u) << curve;
    for (int64_t j = 0; j < 9; ++j) {
      EXPECT_EQ(context.metrics[curve][static_cast<size_t>(j)].first, j);
    }
  }
  EXPECT_EQ(context.metrics["test/auc"].size(), 1u);
}

TEST(HierarchicalShrinkageTest, LeavesOutRowsWithoutTargetAndSaysSo) {
  FakeTrainingContext context;
  v1::TrainingSpec spec = MakeSpec();
  spec.mutable_hierarchical_shrinkage()->mutable_input()->mutable_split()->set_test_fraction(0);
  const auto result = TrainOn(MakeMixedTable(), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(context.logs, Contains(Pair(v1::LogLine::SEVERITY_WARNING,
                                          HasSubstr("12 of 120 rows have no target"))));
  EXPECT_EQ(TreeOf(ModelBytes(context)).row_count[0], 108);
}

TEST(HierarchicalShrinkageTest, ScalesWeightsToMeanOne) {
  std::vector<double> weights;
  for (int i = 0; i < 120; ++i) weights.push_back(i % 5 == 0 ? 0 : 1 + i % 4);
  v1::TrainingSpec spec = MakeSpec();
  v1::TableInput& input = *spec.mutable_hierarchical_shrinkage()->mutable_input();
  input.set_weight_column("w");
  input.mutable_split()->set_test_fraction(0);
  FakeTrainingContext context;
  const auto result = TrainOn(MakeMixedTable(weights), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Tree tree = TreeOf(ModelBytes(context));
  EXPECT_NEAR(tree.weight[0], static_cast<double>(tree.row_count[0]), 1e-9);
  EXPECT_THAT(context.logs, Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("weight 0"))));
  // The scale of the weights does not matter.
  for (double& weight : weights) weight *= 1024;
  FakeTrainingContext scaled;
  ASSERT_TRUE(TrainOn(MakeMixedTable(weights), spec, scaled).ok());
  EXPECT_EQ(TreeOf(ModelBytes(scaled)).value, tree.value);
  EXPECT_EQ(TreeOf(ModelBytes(scaled)).weight, tree.weight);
}

TEST(HierarchicalShrinkageTest, RefusesWeightsThatOnlyTheDataShows) {
  v1::TrainingSpec spec = MakeSpec();
  spec.mutable_hierarchical_shrinkage()->mutable_input()->set_weight_column("w");
  for (const double bad : {-1.0, static_cast<double>(NAN), HUGE_VAL}) {
    std::vector<double> weights(120, 1);
    weights[17] = bad;
    FakeTrainingContext context;
    const auto result = TrainOn(MakeMixedTable(weights), spec, context);
    EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  FakeTrainingContext context;
  EXPECT_FALSE(TrainOn(MakeMixedTable(std::vector<double>(120, 0)), spec, context).ok());
}

TEST(HierarchicalShrinkageTest, RefusesTrainingRowsOfOneClass) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 100; ++i) {
    x.numbers.push_back(i);
    target.numbers.push_back(i < 99 ? 0 : 1);
  }
  v1::TrainingSpec spec = MakeSpec();
  v1::SplitOptions& split =
      *spec.mutable_hierarchical_shrinkage()->mutable_input()->mutable_split();
  TableColumn time = x;
  time.name = "time";
  split.set_method(v1::SplitOptions::METHOD_TIME);
  split.set_time_column("time");
  FakeTrainingContext context;
  const auto result = TrainOn(*MakeTable({x, time, target}), spec, context);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()),
              HasSubstr("the same in all 80 training rows"));
}

TEST(HierarchicalShrinkageTest, KeepsGroupsTogetherInFolds) {
  // The target is a property of the group and a feature names the group: with groups split over
  // folds lambda 0 would be perfect, with groups kept together it is useless.
  TableColumn feature{"group_number", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn group{"group", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 400; ++i) {
    const int g = i / 10;
    feature.numbers.push_back((g * 17) % 40);
    group.numbers.push_back(g);
    target.numbers.push_back((g * 29) % 41 + 0.5);
  }
  v1::TrainingSpec spec = MakeSpec();
  v1::SplitOptions& split =
      *spec.mutable_hierarchical_shrinkage()->mutable_input()->mutable_split();
  split.set_method(v1::SplitOptions::METHOD_GROUPED);
  split.set_group_column("group");
  FakeTrainingContext context;
  const auto result = TrainOn(*MakeTable({feature, group, target}), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_GT(result->report.hierarchical_shrinkage().lambda_path(0).mean_loss(), 10);
  split.set_method(v1::SplitOptions::METHOD_RANDOM);
  FakeTrainingContext other;
  const auto mixed = TrainOn(*MakeTable({feature, group, target}), spec, other);
  EXPECT_LT(mixed->report.hierarchical_shrinkage().lambda_path(0).mean_loss(), 1e-9);
}

TEST(HierarchicalShrinkageTest, LearnsSeveralTargets) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn a{"a", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn b{"b", v1::COLUMN_TYPE_BOOLEAN, {}, {}, {}};
  for (int i = 0; i < 200; ++i) {
    x.numbers.push_back(i);
    a.numbers.push_back(i < 60 ? 1.5 : 4);
    b.numbers.push_back(i < 120 ? 0 : 1);
  }
  v1::TrainingSpec spec = MakeSpec();
  Spec& own = *spec.mutable_hierarchical_shrinkage();
  own.mutable_input()->add_target_columns("a");
  own.mutable_input()->add_target_columns("b");
  FakeTrainingContext context;
  const auto table = *MakeTable({x, a, b});
  const auto result = TrainOn(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.hierarchical_shrinkage().leaf_count(), 3);
  const auto predictor =
      HierarchicalShrinkageAlgorithm().LoadPredictor(result->manifest, context.model_folder());
  ASSERT_TRUE(predictor.ok()) << predictor.status();
  const auto predictions = (*predictor)->Predict(*table, 2);
  ASSERT_TRUE(predictions.ok()) << predictions.status();
  ASSERT_EQ(predictions->columns.size(), 2u);
  EXPECT_EQ(predictions->columns[0].name, "prediction_a");
  EXPECT_EQ(predictions->columns[1].name, "prediction_b");
  EXPECT_NEAR(predictions->columns[0].numbers[10], 1.5, 0.1);
}

}  // namespace
}  // namespace trainyard
