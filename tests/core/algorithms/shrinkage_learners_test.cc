// Every base learner through the whole job.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/hierarchical_shrinkage/resolve.h"
#include "core/algorithms/hierarchical_shrinkage/train.h"
#include "core/algorithms/table_input.h"
#include "core/base/file_system.h"
#include "core/trees/shrinkage.h"
#include "core/trees/tree_model_files.h"
#include "gtest/gtest.h"
#include "tests/core/algorithms/train_test_support.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

Spec& Own(v1::TrainingSpec& spec) { return *spec.mutable_hierarchical_shrinkage(); }

// A small learner of each kind.
const std::map<std::string, v1::TrainingSpec>& Learners() {
  static const auto* const learners = [] {
    auto* specs = new std::map<std::string, v1::TrainingSpec>();
    v1::TrainingSpec c45 = MakeSpec();
    Own(c45).mutable_cart()->set_criterion(v1::CartOptions::CRITERION_GAIN_RATIO);
    Own(c45).mutable_cart()->set_pruning_confidence(0.25);
    (*specs)["c45"] = c45;
    v1::TrainingSpec ccp = MakeSpec();
    Own(ccp).set_tune_ccp_alpha(true);
    (*specs)["ccp"] = ccp;
    v1::TrainingSpec forest = MakeSpec();
    Own(forest).mutable_forest()->set_tree_count(25);
    (*specs)["forest"] = forest;
    v1::TrainingSpec own_strengths = forest;
    Own(own_strengths).set_lambda_per_tree(true);
    (*specs)["forest_per_tree"] = own_strengths;
    v1::TrainingSpec extra = MakeSpec();
    Own(extra).mutable_forest()->set_kind(v1::ForestOptions::KIND_EXTRA_TREES);
    Own(extra).mutable_forest()->set_tree_count(7);
    (*specs)["extra_trees"] = extra;
    v1::TrainingSpec boosting = MakeSpec();
    Own(boosting).mutable_boosting()->set_rounds(12);
    Own(boosting).mutable_boosting()->set_max_leaves(6);
    (*specs)["boosting"] = boosting;
    v1::TrainingSpec in_loop = boosting;
    Own(in_loop).mutable_boosting()->set_shrinkage_mode(
        v1::BoostingOptions::SHRINKAGE_MODE_IN_LOOP);
    for (const double lambda : {0, 10, 100}) Own(in_loop).add_lambda_grid(lambda);
    (*specs)["boosting_in_loop"] = in_loop;
    v1::TrainingSpec figs = MakeSpec();
    Own(figs).mutable_figs()->set_max_splits(8);
    (*specs)["figs"] = figs;
    return specs;
  }();
  return *learners;
}

// Trains with a checkpoint after every tree.
absl::StatusOr<TrainingResult> TrainSaving(const std::shared_ptr<const Table>& table,
                                           v1::TrainingSpec spec, TrainingContext& context) {
  FillDefaults(spec);
  Violations violations;
  Spec& own = Own(spec);
  const TableColumns columns =
      ResolveHierarchicalShrinkage(table->schema(), "spec", own, violations);
  if (!violations.empty()) return violations.ToStatus();
  CheckpointPolicy policy;
  policy.least_interval = absl::ZeroDuration();
  policy.least_ratio = 0;
  return TrainHierarchicalShrinkage(own, columns, table, context, policy);
}

StoredTrees TreesOf(const TrainingContext& context) {
  auto stored = ReadTreeModel(context.model_folder());
  EXPECT_TRUE(stored.ok()) << stored.status();
  return *std::move(stored);
}

// The model predicts what the report says, its trees are those of the strength that it names, and
// reports are complete.
TEST(ShrinkageLearnersTest, TrainOnClassesAndNumbers) {
  for (const auto& [name, spec] : Learners()) {
    for (const std::string data : {"heart", "wine", "diabetes_progression"}) {
      if (name == "c45" && data == "diabetes_progression") continue;
      SCOPED_TRACE(name + " on " + data);
      const auto table = ReadTestTable(data);
      FakeTrainingContext context;
      const auto result = TrainOn(table, spec, context);
      ASSERT_TRUE(result.ok()) << result.status();
      const v1::HierarchicalShrinkageReport& report = result->report.hierarchical_shrinkage();
      EXPECT_EQ(report.metrics_rows(), "test");
      double last = 0;
      for (const v1::Progress& progress : context.progress) {
        ASSERT_GE(progress.fraction(), last - 1e-12) << progress.phase();
        last = progress.fraction();
      }
      EXPECT_EQ(last, 1);
      EXPECT_EQ(report.comparisons_size(), 2);
      EXPECT_GT(report.leaf_count(), 0);
      EXPECT_FALSE(report.tree().empty());
      double importance = 0;
      for (const auto& one : report.feature_importances()) importance += one.importance();
      EXPECT_NEAR(importance, 1, 1e-9);
      EXPECT_FALSE(report.metrics_shrunk().empty());
      if (report.metrics_shrunk().contains("r2")) {
        EXPECT_GT(report.metrics_shrunk().at("r2"), 0.1);
      } else {
        EXPECT_GT(report.metrics_shrunk().at("auc"), 0.7);
      }
      StoredTrees stored = TreesOf(context);
      EXPECT_EQ(stored.model.lambda(), report.lambda());
      EXPECT_EQ(static_cast<int>(stored.ensemble.trees.size()), report.tree_count());
      for (size_t t = 0; t < stored.ensemble.trees.size(); ++t) {
        Tree& tree = stored.ensemble.trees[t];
        const std::vector<double> values = tree.value;
        Shrink(Spec::SCHEME_HIERARCHICAL,
               report.tree_lambdas_size() > 0 ? report.tree_lambdas(static_cast<int>(t))
                                              : report.lambda(),
               tree);
        ASSERT_EQ(values, tree.value);
      }
      const auto predictor =
          HierarchicalShrinkageAlgorithm().LoadPredictor({}, context.model_folder());
      ASSERT_TRUE(predictor.ok()) << predictor.status();
      EXPECT_TRUE((*predictor)->Predict(*table, 2).ok());
    }
  }
}

TEST(ShrinkageLearnersTest, DoNotDependOnTheNumberOfThreads) {
  const auto table = ReadTestTable("diabetes_pima");
  for (const auto& [name, spec] : Learners()) {
    SCOPED_TRACE(name);
    std::vector<std::string> models;
    for (const int threads : {1, 3}) {
      FakeTrainingContext context(threads);
      ASSERT_TRUE(TrainOn(table, spec, context).ok());
      models.push_back(ModelBytes(context));
    }
    EXPECT_EQ(models[0], models[1]);
  }
}

// Killed after any of its checkpoints, a job goes on from there and ends with the same model.
TEST(ShrinkageLearnersTest, ResumeToTheSameModel) {
  const auto table = ReadTestTable("heart");
  for (const auto& [name, spec] : Learners()) {
    SCOPED_TRACE(name);
    FakeTrainingContext whole;
    const auto expected = TrainSaving(table, spec, whole);
    ASSERT_TRUE(expected.ok()) << expected.status();
    const size_t saves = whole.checkpoint_steps.size();
    for (size_t kill = 1; kill <= saves; kill += 1 + saves / 6) {
      FakeTrainingContext first;
      first.die_at_save = static_cast<int64_t>(kill);
      EXPECT_EQ(TrainSaving(table, spec, first).status().code(), absl::StatusCode::kUnavailable);
      FakeTrainingContext second;
      second.checkpoint = first.checkpoint;
      const auto result = TrainSaving(table, spec, second);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_EQ(ModelBytes(second), ModelBytes(whole)) << "killed at save " << kill;
      EXPECT_EQ(second.checkpoint_steps.size(), saves - kill) << "nothing is done again";
      EXPECT_EQ(result->report.hierarchical_shrinkage().lambda_path_size(),
                expected->report.hierarchical_shrinkage().lambda_path_size());
    }
  }
}

TEST(ShrinkageLearnersTest, CancelWheneverTheyAreTold) {
  const auto table = ReadTestTable("diabetes_pima");
  for (const auto& [name, spec] : Learners()) {
    SCOPED_TRACE(name);
    FakeTrainingContext whole;
    ASSERT_TRUE(TrainOn(table, spec, whole).ok());
    for (int64_t at = 0; at < whole.checks - 2; at += 1 + whole.checks / 12) {
      FakeTrainingContext context;
      context.cancel_at = at;
      EXPECT_EQ(TrainOn(table, spec, context).status().code(), absl::StatusCode::kCancelled);
      EXPECT_FALSE(std::filesystem::exists(context.model_folder() / kTreeModelFile));
    }
  }
}

TEST(ShrinkageLearnersTest, ForestsOfManyTreesChooseOutOfBag) {
  FakeTrainingContext context;
  const auto result = TrainOn(ReadTestTable("heart"), Learners().at("forest"), context);
  const v1::HierarchicalShrinkageReport& report = result->report.hierarchical_shrinkage();
  EXPECT_EQ(report.selection(), Spec::SELECTION_OOB);
  EXPECT_EQ(report.lambda_path_size(), 9);
  EXPECT_EQ(report.cv_seconds(), 0);
  EXPECT_GT(report.oob_score_plain(), 0.6);
  EXPECT_GT(report.oob_score_shrunk(), 0.6);
  const auto& path = report.lambda_path();
  const auto best = std::min_element(path.begin(), path.end(), [](const auto& a, const auto& b) {
    return a.mean_loss() < b.mean_loss();
  });
  EXPECT_EQ(report.lambda(), best->lambda());
  FakeTrainingContext other;
  const auto numbers =
      TrainOn(ReadTestTable("diabetes_progression"), Learners().at("forest"), other);
  EXPECT_EQ(numbers->report.hierarchical_shrinkage().selection(), Spec::SELECTION_CROSS_VALIDATION);
}

// Reference: scores that the ensemble gives by the plain walk, with means instead of values.
TEST(ShrinkageLearnersTest, ReportWhatTheTreesAreWorthWithoutShrinkage) {
  const auto table = ReadTestTable("diabetes_progression");
  v1::TrainingSpec spec = Learners().at("boosting");
  Own(spec).mutable_input()->mutable_split()->set_test_fraction(0);
  FakeTrainingContext context;
  const auto result = TrainOn(table, spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const StoredTrees stored = TreesOf(context);
  const int target = table->column_count() - 1;
  std::vector<FeatureColumn> columns;
  for (int c = 0; c < target; ++c) columns.push_back(FeatureColumn::Numeric(table->numbers(c)));
  double squares = 0;
  for (int64_t row = 0; row < table->row_count(); ++row) {
    double score = stored.ensemble.base[0];
    for (const Tree& tree : stored.ensemble.trees) {
      score += tree.MeanOf(FindLeaf(tree, columns, row))[0];
    }
    const double rest = score - table->numbers(target)[static_cast<size_t>(row)];
    squares += rest * rest;
  }
  EXPECT_NEAR(result->report.hierarchical_shrinkage().metrics_plain().at("rmse"),
              std::sqrt(squares / static_cast<double>(table->row_count())), 1e-8);
}

TEST(ShrinkageLearnersTest, BoostingStopsEarlyByTheValidationRows) {
  v1::TrainingSpec spec = MakeSpec();
  v1::BoostingOptions& boosting = *Own(spec).mutable_boosting();
  boosting.set_rounds(300);
  boosting.set_early_stopping_rounds(5);
  Own(spec).mutable_input()->mutable_split()->set_validation_fraction(0.2);
  Own(spec).set_lambda(10);
  FakeTrainingContext context;
  const auto result = TrainOn(ReadTestTable("diabetes_pima"), spec, context);
  ASSERT_TRUE(result.ok()) << result.status();
  const v1::HierarchicalShrinkageReport& report = result->report.hierarchical_shrinkage();
  EXPECT_TRUE(report.stopped_early());
  EXPECT_LT(report.kept_rounds(), 200);
  EXPECT_EQ(report.kept_rounds(), report.tree_count());
  EXPECT_EQ(report.comparisons_size(), 3);
  EXPECT_EQ(context.metrics["boosting/validation_loss"].size(),
            static_cast<size_t>(report.kept_rounds()) + 5);
}

TEST(ShrinkageLearnersTest, MeasureStability) {
  for (const auto perturbation : {v1::StabilityOptions::PERTURBATION_BOOTSTRAP,
                                  v1::StabilityOptions::PERTURBATION_SUBSAMPLE}) {
    v1::TrainingSpec spec = Learners().at("forest");
    Own(spec).mutable_stability()->set_refits(4);
    Own(spec).mutable_stability()->set_perturbation(perturbation);
    Own(spec).set_lambda(50);
    FakeTrainingContext context;
    const auto result = TrainOn(ReadTestTable("haberman"), spec, context);
    ASSERT_TRUE(result.ok()) << result.status();
    const v1::StabilityReport& report = result->report.hierarchical_shrinkage().stability();
    EXPECT_EQ(report.refits(), 4);
    EXPECT_EQ(report.explained_rows(), 61);
    EXPECT_GT(report.plain().variance(), 0);
    EXPECT_LT(report.shrunk().variance(), report.plain().variance());
    EXPECT_LT(report.shrunk().prediction_variance(), report.plain().prediction_variance());
  }
}

// A model of the service is shrunk on other data: its structure stays.
TEST(ShrinkageLearnersTest, ShrinkAModelOfTheService) {
  for (const std::string learner : {"forest", "boosting"}) {
    v1::TrainingSpec first = Learners().at(learner);
    Own(first).set_lambda(0);
    FakeTrainingContext trained;
    const auto table = ReadTestTable("heart");
    const auto original = TrainOn(table, first, trained);
    ASSERT_TRUE(original.ok()) << original.status();
    v1::TrainingSpec spec = MakeSpec();
    Own(spec).set_base_model("projects/p/models/m");
    FakeTrainingContext context;
    context.models["projects/p/models/m"] = {
        original->manifest, {{kTreeModelFile, trained.model_folder() / kTreeModelFile}}};
    const auto result = TrainOn(table, spec, context);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->report.hierarchical_shrinkage().lambda_path_size(), 9);
    const StoredTrees before = TreesOf(trained);
    const StoredTrees after = TreesOf(context);
    ASSERT_EQ(before.ensemble.trees.size(), after.ensemble.trees.size());
    for (size_t t = 0; t < before.ensemble.trees.size(); ++t) {
      EXPECT_EQ(before.ensemble.trees[t].mean, after.ensemble.trees[t].mean);
      EXPECT_EQ(before.ensemble.trees[t].threshold, after.ensemble.trees[t].threshold);
    }
    EXPECT_EQ(result->manifest.features_size(), original->manifest.features_size());
    // Not for other data.
    FakeTrainingContext other;
    other.models = context.models;
    const auto unfit = TrainOn(ReadTestTable("diabetes_progression"), spec, other);
    EXPECT_EQ(unfit.status().code(), absl::StatusCode::kInvalidArgument) << unfit.status();
    FakeTrainingContext without;
    EXPECT_EQ(TrainOn(table, spec, without).status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

// A model in several files comes back whole; without one of them it does not.
TEST(TreeModelFilesTest, GoOnInFurtherFiles) {
  FakeTrainingContext context;
  ASSERT_TRUE(TrainOn(ReadTestTable("heart"), Learners().at("forest"), context).ok());
  const StoredTrees stored = TreesOf(context);
  FakeTrainingContext other;
  v1::TreeModel model = stored.model;
  ASSERT_TRUE(WriteTreeModel(model, stored.ensemble, other.model_folder(), {}, 20'000).ok());
  ASSERT_TRUE(std::filesystem::exists(other.model_folder() / "tree-2.pb"));
  const auto back = ReadTreeModel(other.model_folder());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(back->ensemble == stored.ensemble);
  const auto path_of = [&other](const std::string& name) -> absl::StatusOr<std::filesystem::path> {
    return other.model_folder() / name;
  };
  const int64_t trees = static_cast<int64_t>(stored.ensemble.trees.size());
  for (int64_t t = 0; t < trees; ++t) {
    const auto one = ReadStoredTree(path_of, t);
    ASSERT_TRUE(one.ok()) << one.status();
    EXPECT_TRUE(one->tree == stored.ensemble.trees[static_cast<size_t>(t)]) << t;
    EXPECT_EQ(one->model.features_size(), model.features_size());
    EXPECT_EQ(one->model.tree_count(), trees);
  }
  EXPECT_EQ(ReadStoredTree(path_of, trees).status().code(), absl::StatusCode::kOutOfRange);
  // Damaged bytes are refused or harmless.
  const std::string bytes = *ReadFile(other.model_folder() / kTreeModelFile);
  std::mt19937_64 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = bytes.substr(0, i % 3 == 0 ? random() % bytes.size() : bytes.size());
    for (int k = 0; k < 3 && !damaged.empty(); ++k) {
      damaged[random() % std::min<size_t>(damaged.size(), k == 0 ? 400 : damaged.size())] =
          static_cast<char>(random());
    }
    std::ofstream(other.model_folder() / kTreeModelFile, std::ios::binary) << damaged;
    const absl::Status status = ReadStoredTree(path_of, i % 2).status();
    EXPECT_TRUE(status.ok() || absl::IsDataLoss(status) || absl::IsOutOfRange(status)) << status;
  }
  std::ofstream(other.model_folder() / kTreeModelFile, std::ios::binary) << bytes;
  std::filesystem::remove(other.model_folder() / "tree-2.pb");
  EXPECT_TRUE(ReadStoredTree(path_of, 0).ok());
  EXPECT_EQ(ReadStoredTree(path_of, trees - 1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadTreeModel(other.model_folder()).status().code(), absl::StatusCode::kDataLoss);
  std::ofstream(other.model_folder() / "tree-2.pb") << "no message";
  EXPECT_EQ(ReadStoredTree(path_of, trees - 1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadTreeModel(other.model_folder()).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace trainyard
