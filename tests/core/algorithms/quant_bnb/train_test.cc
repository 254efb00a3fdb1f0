#include "core/algorithms/quant_bnb/train.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/checkpoint.h"
#include "core/algorithms/quant_bnb/resolve.h"
#include "gmock/gmock.h"
#include "tests/core/algorithms/quant_bnb/job_test_support.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;
using Report = v1::QuantBnbReport;
using testing::Contains;
using testing::HasSubstr;
using testing::Pair;

TEST(QuantBnbTrainTest, ItsLossIsThatOfItsPredictions) {
  const auto table = ReadTestTable("iris");
  FakeTrainingContext context;
  const auto result = Train(table, SpecOf(2), context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.quant_bnb();
  EXPECT_EQ(report.status(), Report::STATUS_OPTIMAL);
  EXPECT_EQ(report.task(), Spec::TASK_CLASSIFICATION);
  const Predictions predictions = PredictWith(result->manifest, context, *table);
  int errors = 0;
  for (size_t row = 0; row < 150; ++row) {
    const int actual = static_cast<int>(table->numbers(4)[row]);
    errors += predictions.columns[0].texts[row] != std::to_string(actual) ? 1 : 0;
  }
  EXPECT_EQ(report.loss(), errors);
  EXPECT_EQ(report.lower_bound(), errors);
  EXPECT_EQ(report.gap(), 0);
  EXPECT_EQ(errors, 6);  // iris at depth 2, as other solvers find
  EXPECT_NEAR(result->report.train_metrics().at("accuracy"), 1 - errors / 150.0, 1e-12);
  EXPECT_GE(report.cart_loss(), report.loss());
  EXPECT_LE(report.leaf_count(), 4);
  EXPECT_LE(report.depth(), 2);
  EXPECT_GT(report.distinct_rows(), 0);
  EXPECT_LE(report.distinct_rows(), 150);
  EXPECT_THAT(report.tree(), HasSubstr("petal"));
  EXPECT_EQ(report.cart_metrics().size(), 1u);
  EXPECT_NEAR(report.cart_metrics().at("train").values().at("accuracy"),
              1 - report.cart_loss() / 150, 1e-12);
}

TEST(QuantBnbTrainTest, ARegressionsLossIsItsSquaredError) {
  const auto table = ReadTestTable("diabetes_progression");
  FakeTrainingContext context;
  v1::TrainingSpec spec = SpecOf(1);
  spec.mutable_quant_bnb()->mutable_input()->mutable_split()->set_test_fraction(0.3);
  const auto result = Train(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.quant_bnb();
  EXPECT_EQ(report.task(), Spec::TASK_REGRESSION);
  const double rmse = result->report.train_metrics().at("rmse");
  const double rows = static_cast<double>(TreeOf(ModelBytes(context)).row_count[0]);
  EXPECT_NEAR(report.loss(), rmse * rmse * rows, 1e-6 * report.loss());
  EXPECT_LE(report.lower_bound(), report.loss());
  EXPECT_NEAR(report.lower_bound(), report.loss(), 1e-8 * report.loss());
  EXPECT_EQ(report.loss(), report.cart_loss()) << "one split is always optimal";
  EXPECT_EQ(result->report.test_metrics().size(), 2u);
  EXPECT_EQ(report.cart_metrics().size(), 2u);
}

TEST(QuantBnbTrainTest, WritesAModelWithItsTreeAsText) {
  FakeTrainingContext context;
  const auto result = Train(MakeColors(), SpecOf(2), context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->manifest.features_size(), 3);
  EXPECT_EQ(result->manifest.targets(0).name(), "target");
  for (const char* suffix : {"txt", "dot", "json"}) {
    const auto text =
        ReadFile(context.model_folder() / "trees" / (std::string("tree-0.") + suffix));
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_THAT(*text, HasSubstr("color"));
  }
}

TEST(QuantBnbTrainTest, TheScaleOfWeightsIsThatOfTheLossAndNotOfTheModel) {
  v1::TrainingSpec spec = SpecOf(2);
  spec.mutable_quant_bnb()->mutable_input()->set_weight_column("w");
  FakeTrainingContext plain;
  FakeTrainingContext scaled;
  const auto one = Train(MakeColors(1), spec, plain);
  const auto many = Train(MakeColors(1024), spec, scaled);
  ASSERT_TRUE(one.ok() && many.ok()) << one.status() << many.status();
  EXPECT_GT(one->report.quant_bnb().loss(), 0);
  EXPECT_EQ(many->report.quant_bnb().loss(), 1024 * one->report.quant_bnb().loss());
  EXPECT_EQ(many->report.quant_bnb().cart_loss(), 1024 * one->report.quant_bnb().cart_loss());
  const Tree tree = TreeOf(ModelBytes(plain));
  EXPECT_TRUE(tree == TreeOf(ModelBytes(scaled)));
  EXPECT_NEAR(tree.weight[0], 180, 1e-9);
}

TEST(QuantBnbTrainTest, ASplitMustBeWorthItsPenalty) {
  v1::TrainingSpec spec = SpecOf(2);
  FakeTrainingContext free;
  const auto whole = Train(MakeColors(), spec, free);
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_GT(whole->report.quant_bnb().leaf_count(), 2);
  spec.mutable_quant_bnb()->set_split_penalty(1000);
  FakeTrainingContext context;
  const auto leaf = Train(MakeColors(), spec, context);
  ASSERT_TRUE(leaf.ok()) << leaf.status();
  EXPECT_EQ(leaf->report.quant_bnb().leaf_count(), 1);
  EXPECT_EQ(leaf->report.quant_bnb().cart_loss(), leaf->report.quant_bnb().loss());
  EXPECT_THAT(context.logs,
              Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("a single leaf"))));
}

TEST(QuantBnbTrainTest, NamesTheMissingValueThatItRefuses) {
  v1::TrainingSpec spec = SpecOf(1);
  spec.mutable_quant_bnb()->mutable_input()->add_target_columns("bought");
  spec.mutable_quant_bnb()->set_missing_values(Spec::MISSING_VALUES_REJECT);
  // Rows 1, 8, … have no age and rows 4, 14, … no target; the schema says only how many.
  std::vector<double> weights(120, 1.0);
  weights[0] = 0;
  spec.mutable_quant_bnb()->mutable_input()->set_weight_column("w");
  FakeTrainingContext context;
  const auto status = Train(MakeMixedTable(weights), spec, context).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("column \"age\", row 8: "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("MISSING_VALUES_REJECT"));
}

TEST(QuantBnbTrainTest, LearnsWhereMissingValuesGo) {
  v1::TrainingSpec spec = SpecOf(1);
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 60; ++i) {
    x.numbers.push_back(i % 3 == 0 ? NAN : i);
    target.numbers.push_back(i % 3 == 0 || i < 30 ? 1 : 0);
  }
  FakeTrainingContext context;
  const auto table = *MakeTable({x, target});
  const auto result = Train(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->report.quant_bnb().loss(), 0);
  EXPECT_EQ(TreeOf(ModelBytes(context)).missing_left[0], 1);
}

TEST(QuantBnbTrainTest, MetricsShowTheSearchAndNeverTurnBack) {
  FakeTrainingContext context;
  const auto result = Train(ReadTestTable("iris"), SpecOf(2), context);
  ASSERT_TRUE(result.ok()) << result.status();
  const auto& incumbents = context.metrics["search/incumbent"];
  const auto& bounds = context.metrics["search/lower_bound"];
  const auto& gaps = context.metrics["search/gap"];
  ASSERT_FALSE(incumbents.empty());
  ASSERT_EQ(bounds.size(), incumbents.size());
  ASSERT_EQ(context.metrics["search/alive"].size(), incumbents.size());
  for (size_t i = 0; i < incumbents.size(); ++i) {
    EXPECT_EQ(gaps[i].second, incumbents[i].second - bounds[i].second);
    EXPECT_LE(bounds[i].second, result->report.quant_bnb().loss());
    EXPECT_GE(incumbents[i].second, result->report.quant_bnb().loss());
    if (i == 0) continue;
    EXPECT_LE(incumbents[i].second, incumbents[i - 1].second);
    EXPECT_GE(bounds[i].second, bounds[i - 1].second);
    EXPECT_GE(incumbents[i].first, incumbents[i - 1].first);
  }
  double fraction = 0;
  for (const v1::Progress& progress : context.progress) {
    EXPECT_GE(progress.fraction(), fraction);
    fraction = progress.fraction();
  }
  EXPECT_EQ(fraction, 1);
  EXPECT_THAT(context.logs, Contains(Pair(v1::LogLine::SEVERITY_INFO, HasSubstr("a tree of"))));
  EXPECT_THAT(context.logs,
              Contains(Pair(v1::LogLine::SEVERITY_INFO, HasSubstr("no tree of depth 2 has less"))));
}

TEST(QuantBnbTrainTest, CancelsWheneverItIsTold) {
  const auto table = ReadTestTable("iris");
  FakeTrainingContext whole;
  ASSERT_TRUE(Train(table, SpecOf(2), whole).ok());
  const int64_t checks = whole.checks;
  ASSERT_GT(checks, 5);
  for (int64_t at = 0; at < checks - 2; at += 1 + checks / 30) {
    FakeTrainingContext context;
    context.cancel_at = at;
    EXPECT_EQ(Train(table, SpecOf(2), context).status().code(), absl::StatusCode::kCancelled) << at;
    EXPECT_FALSE(std::filesystem::exists(context.model_folder() / "tree.pb"));
  }
}

TEST(QuantBnbTrainTest, LooksAheadToDeeperTrees) {
  v1::TrainingSpec spec = SpecOf(1);
  spec.mutable_quant_bnb()->mutable_lookahead()->set_max_depth(4);
  FakeTrainingContext context;
  const auto table = ReadTestTable("heart");
  const auto result = Train(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.quant_bnb();
  EXPECT_EQ(report.status(), Report::STATUS_LOOKAHEAD);
  EXPECT_FALSE(report.has_lower_bound());
  EXPECT_FALSE(report.has_gap());
  EXPECT_GT(report.depth(), 1);
  EXPECT_LE(report.depth(), 4);
  EXPECT_GE(context.metrics["search/settled"].size(), 2u);
  EXPECT_EQ(context.metrics["search/settled"].back().second, 1);
  // Errors of the model are the loss.
  const Predictions predictions = PredictWith(result->manifest, context, *table);
  int errors = 0;
  for (size_t row = 0; row < 270; ++row) {
    errors +=
        predictions.columns[0].texts[row] != table->TextAt(static_cast<int64_t>(row), 15) ? 1 : 0;
  }
  EXPECT_EQ(report.loss(), errors);
}

TEST(QuantBnbTrainTest, ALookaheadThatIsCutShortIsNoWorseThanTheGreedyTree) {
  v1::TrainingSpec spec = SpecOf(1);
  spec.mutable_quant_bnb()->mutable_lookahead()->set_max_depth(5);
  spec.mutable_quant_bnb()->mutable_limits()->set_evaluations(1);
  FakeTrainingContext context;
  const auto result = Train(ReadTestTable("heart"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const Report& report = result->report.quant_bnb();
  EXPECT_EQ(report.status(), Report::STATUS_EVALUATION_LIMIT);
  EXPECT_LE(report.loss(), report.cart_loss());
  EXPECT_THAT(context.logs,
              Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("the greedy tree"))));
}

// A lookahead that saves after every search.
absl::StatusOr<TrainingResult> TrainSavingAll(const std::shared_ptr<const Table>& table,
                                              v1::TrainingSpec given, TrainingContext& context) {
  FillDefaults(given);
  Violations violations;
  Spec& spec = *given.mutable_quant_bnb();
  const TableColumns columns = ResolveQuantBnb(table->schema(), "spec", spec, violations);
  EXPECT_TRUE(violations.empty()) << violations.ToStatus();
  return TrainQuantBnb(spec, columns, table, context, absl::ZeroDuration());
}

TEST(QuantBnbTrainTest, ALookaheadGoesOnWhereItDiedToTheSameModel) {
  v1::TrainingSpec spec = SpecOf(2);
  spec.mutable_quant_bnb()->mutable_lookahead()->set_max_depth(5);
  const auto table = ReadTestTable("heart");
  FakeTrainingContext whole;
  const auto expected = TrainSavingAll(table, spec, whole);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const int64_t saves = static_cast<int64_t>(whole.checkpoint_steps.size());
  ASSERT_GT(saves, 3);
  for (int64_t save = 1; save <= saves; save += 2) {
    FakeTrainingContext first;
    first.die_at_save = save;
    EXPECT_EQ(TrainSavingAll(table, spec, first).status().code(), absl::StatusCode::kUnavailable);
    FakeTrainingContext second(1);
    second.checkpoint = first.checkpoint;
    const auto resumed = TrainSavingAll(table, spec, second);
    ASSERT_TRUE(resumed.ok()) << resumed.status();
    EXPECT_EQ(ModelBytes(second), ModelBytes(whole));
    EXPECT_EQ(resumed->report.quant_bnb().loss(), expected->report.quant_bnb().loss());
    EXPECT_EQ(static_cast<int64_t>(second.checkpoint_steps.size()), saves - save);
    EXPECT_THAT(second.logs, Contains(Pair(v1::LogLine::SEVERITY_INFO,
                                           HasSubstr("goes on from its checkpoint"))));
  }
  // Of another job it is of no use.
  FakeTrainingContext other;
  other.checkpoint = whole.checkpoint;
  spec.mutable_quant_bnb()->set_min_samples_leaf(2);
  ASSERT_TRUE(TrainSavingAll(table, spec, other).ok());
  EXPECT_THAT(other.logs, Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("afresh"))));
}

TEST(QuantBnbTrainTest, TheModelDoesNotDependOnThreads) {
  for (const char* name : {"heart", "diabetes_progression"}) {
    std::string bytes;
    for (const int threads : {1, 2, 5}) {
      FakeTrainingContext context(threads);
      v1::TrainingSpec spec = SpecOf(2);
      spec.mutable_quant_bnb()->mutable_input()->mutable_split()->set_test_fraction(0.2);
      ASSERT_TRUE(Train(ReadTestTable(name), spec, context).ok());
      if (threads == 1) bytes = ModelBytes(context);
      EXPECT_EQ(ModelBytes(context), bytes) << name;
    }
  }
}

TEST(QuantBnbTrainTest, StartsAfreshFromAForeignCheckpoint) {
  const auto table = ReadTestTable("iris");
  for (const std::string& bytes : {std::string("garbage"), std::string()}) {
    FakeTrainingContext context;
    context.checkpoint = bytes;
    ASSERT_TRUE(Train(table, SpecOf(1), context).ok());
    EXPECT_THAT(context.logs, Contains(Pair(v1::LogLine::SEVERITY_WARNING, HasSubstr("afresh"))));
  }
}

TEST(QuantBnbTrainTest, RefusesLossesBeyondAllNumbers) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {1, 2, 3, 4}, {}, {}};
  TableColumn weight{"w", v1::COLUMN_TYPE_NUMERIC, {1e300, 1, 1, 1e300}, {}, {}};
  TableColumn target{"target", v1::COLUMN_TYPE_NUMERIC, {1e100, 2.5, 3, -1e100}, {}, {}};
  v1::TrainingSpec spec = SpecOf(1);
  spec.mutable_quant_bnb()->mutable_input()->set_weight_column("w");
  FakeTrainingContext context;
  const auto status = Train(*MakeTable({x, weight, target}), spec, context).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("infinite"));
}

TEST(QuantBnbTrainTest, LearnsSeveralTargets) {
  TableColumn x{"x", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn a{"a", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  TableColumn b{"b", v1::COLUMN_TYPE_NUMERIC, {}, {}, {}};
  for (int i = 0; i < 90; ++i) {
    x.numbers.push_back(i);
    a.numbers.push_back(i < 30 ? 1.5 : 4);
    b.numbers.push_back(i < 60 ? -1.25 : 7);
  }
  v1::TrainingSpec spec = SpecOf(2);
  for (const char* name : {"a", "b"})
    spec.mutable_quant_bnb()->mutable_input()->add_target_columns(name);
  FakeTrainingContext context;
  const auto table = *MakeTable({x, a, b});
  const auto result = Train(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->report.quant_bnb().loss(), 0, 1e-9);
  const Predictions predictions = PredictWith(result->manifest, context, *table);
  ASSERT_EQ(predictions.columns.size(), 2u);
  EXPECT_EQ(predictions.columns[0].name, "prediction_a");
  EXPECT_NEAR(predictions.columns[1].numbers[80], 7, 1e-9);
}

TEST(QuantBnbCheckpointTest, ComesBackExactlyOrNotAtAll) {
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
  SearchCheckpoint checkpoint;
  checkpoint.seconds = 12.5;
  checkpoint.steps.push_back({tree, {}, 1e-7, 42});
  checkpoint.steps[0].counters.set_evaluated(9);
  checkpoint.search = std::string("a\0state", 7);
  const std::string bytes = EncodeSearchCheckpoint(checkpoint, 77);
  const auto back = DecodeSearchCheckpoint(bytes, 77, model);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->seconds, 12.5);
  ASSERT_EQ(back->steps.size(), 1u);
  EXPECT_TRUE(back->steps[0].tree == tree);
  EXPECT_EQ(back->steps[0].tolerance, 1e-7);
  EXPECT_EQ(back->steps[0].distinct_rows, 42);
  EXPECT_EQ(back->steps[0].counters.evaluated(), 9);
  EXPECT_EQ(back->search, checkpoint.search);
  checkpoint.search.reset();
  EXPECT_FALSE(DecodeSearchCheckpoint(EncodeSearchCheckpoint(checkpoint, 77), 77, model)
                   ->search.has_value());
  EXPECT_FALSE(DecodeSearchCheckpoint(bytes, 78, model).has_value());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(DecodeSearchCheckpoint(damaged, 77, model).has_value());
    EXPECT_FALSE(DecodeSearchCheckpoint(bytes.substr(0, i), 77, model).has_value());
  }
}

}  // namespace
}  // namespace trainyard
