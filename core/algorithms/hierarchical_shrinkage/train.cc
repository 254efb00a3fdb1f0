#include "core/algorithms/hierarchical_shrinkage/train.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/hierarchical_shrinkage/base_learner.h"
#include "core/algorithms/hierarchical_shrinkage/base_model.h"
#include "core/algorithms/hierarchical_shrinkage/evaluation.h"
#include "core/algorithms/hierarchical_shrinkage/progress.h"
#include "core/algorithms/hierarchical_shrinkage/stability.h"
#include "core/algorithms/hierarchical_shrinkage/strength.h"
#include "core/algorithms/table_learning.h"
#include "core/algorithms/tree_metrics.h"
#include "core/algorithms/tree_texts.h"
#include "core/base/byte_stream.h"
#include "core/base/status.h"
#include "core/trees/tree_model_files.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;

constexpr size_t kTreeTextBytes = size_t{64} * 1024;
constexpr size_t kMostImportances = 1000;

bool CrossValidates(const Spec& spec) {
  return spec.selection() == Spec::SELECTION_CROSS_VALIDATION || spec.tune_ccp_alpha();
}

JobProgress::Plan PlanOf(const Spec& spec) {
  JobProgress::Plan plan;
  if (CrossValidates(spec)) plan.folds = spec.folds();
  plan.final_fit_first = spec.tune_ccp_alpha();
  if (spec.has_boosting()) {
    plan.fit_unit = "rounds";
    plan.fit_steps = spec.boosting().rounds();
    if (spec.boosting().shrinkage_mode() == v1::BoostingOptions::SHRINKAGE_MODE_IN_LOOP &&
        !spec.has_lambda()) {
      plan.fits_per_fold = spec.lambda_grid_size();
    }
  } else if (spec.has_forest()) {
    plan.fit_unit = "trees";
    plan.fit_steps = spec.forest().tree_count();
  }
  return plan;
}

// One training, from the split table to the model.
class Trainer {
 public:
  Trainer(const Spec& spec, LearningTable data, TrainingContext& context,
          const CheckpointPolicy& policy)
      : spec_(spec),
        data_(std::move(data)),
        context_(context),
        progress_(context, PlanOf(spec)),
        keeper_(context, policy),
        pool_(context.threads()) {}

  absl::StatusOr<TrainingResult> Run() {
    progress_.Preparing();
    if (spec_.learner_case() == Spec::kBaseModel) {
      TY_ASSIGN_OR_RETURN(base_, LoadBaseModel(spec_, data_, context_));
    }
    TY_RETURN_IF_ERROR(PrepareInput());
    TY_ASSIGN_OR_RETURN(const std::unique_ptr<BaseLearner> learner, MakeLearner());
    const v1::TreeModel model = Describe(learner->Shape());
    std::vector<int32_t> fold_of;
    if (CrossValidates(spec_)) {
      TY_ASSIGN_OR_RETURN(fold_of, Folds());
    }
    TY_RETURN_IF_ERROR(LoadCheckpoint(model));
    report().set_task(spec_.task());
    StrengthSelector selector(spec_, input_, *learner, keeper_, progress_, context_, report());
    TY_ASSIGN_OR_RETURN(ShrunkTrees shrunk, selector.Run(fold_of));
    WarnOfLeaves(shrunk.ensemble);
    progress_.Evaluation();
    TY_RETURN_IF_ERROR(Evaluate(shrunk.ensemble));
    if (spec_.stability().refits() > 0) {
      TY_ASSIGN_OR_RETURN(*report().mutable_stability(),
                          MeasureStability(spec_, input_, *learner, shrunk.lambda, HeldOut(), pool_,
                                           progress_, check()));
    }
    TY_RETURN_IF_ERROR(WriteModel(model, shrunk));
    progress_.Done();
    return std::move(result_);
  }

 private:
  v1::HierarchicalShrinkageReport& report() {
    return *result_.report.mutable_hierarchical_shrinkage();
  }

  std::function<absl::Status()> check() {
    return [this] { return context_.CheckCancelled(); };
  }

  absl::StatusOr<std::unique_ptr<BaseLearner>> MakeLearner() {
    if (base_.has_value()) {
      return MakeStoredLearner(spec_, input_, pool_, base_->stored.ensemble);
    }
    return MakeBaseLearner(spec_, input_, pool_, check());
  }

  const std::vector<int64_t>& HeldOut() const {
    const RowSplit& split = data_.split;
    if (!split.test.empty()) return split.test;
    return split.validation.empty() ? split.train : split.validation;
  }

  // Training rows first, then those that validate.
  absl::Status PrepareInput() {
    rows_ = data_.split.train;
    rows_.insert(rows_.end(), data_.split.validation.begin(), data_.split.validation.end());
    input_.training_count = data_.split.train.size();
    values_ = data_.ValuesOf(rows_);
    classes_ = data_.ClassesOf(rows_);
    weights_ = data_.WeightsOf(rows_);
    const double sum = std::accumulate(
        weights_.begin(),
        weights_.begin() + static_cast<ptrdiff_t>(weights_.empty() ? 0 : input_.training_count),
        0.0);
    const double mean = sum / static_cast<double>(input_.training_count);
    if (!std::isfinite(mean)) {
      return absl::InvalidArgumentError(absl::StrCat("the weights of column \"",
                                                     spec_.input().weight_column(),
                                                     "\" add up to infinity; scale them down"));
    }
    for (double& weight : weights_) weight /= mean;
    input_.data = {data_.features, rows_,
                   data_.classification() ? TreeTarget::Classification(classes_, data_.outputs())
                                          : TreeTarget::Regression(values_, data_.outputs()),
                   weights_};
    if (base_.has_value()) {
      for (const v1::ColumnSchema& column : base_->stored.model.features()) {
        input_.feature_names.push_back(column.name());
      }
      return absl::OkStatus();
    }
    for (const int column : data_.columns.features) {
      input_.feature_names.push_back(data_.table->column(column).name());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<int32_t>> Folds() const {
    const std::vector<int64_t>& rows = data_.split.train;
    const bool grouped = spec_.input().split().method() == v1::SplitOptions::METHOD_GROUPED;
    return AssignFolds(rows.size(), data_.ClassesOf(rows),
                       grouped ? data_.GroupsOf(rows) : std::vector<int64_t>(), spec_.folds(),
                       static_cast<uint64_t>(spec_.seed()),
                       [this] { return context_.CheckCancelled(); });
  }

  // A checkpoint is of use where everything that losses and trees depend on is the same.
  absl::Status LoadCheckpoint(const v1::TreeModel& model) {
    const uint64_t fingerprint = FingerprintOf(absl::StrCat(
        spec_.SerializeAsString(), "|", data_.rows.size(), "|", data_.split.train.size()));
    const size_t folds = CrossValidates(spec_) ? static_cast<size_t>(spec_.folds()) : 0;
    size_t strengths = spec_.has_lambda() ? 1 : static_cast<size_t>(spec_.lambda_grid_size());
    if (spec_.tune_ccp_alpha()) strengths = 0;  // known only after the final fit
    return keeper_.Load(fingerprint, folds, strengths, model);
  }

  void WarnOfLeaves(const TreeEnsemble& ensemble) {
    const bool grown = std::any_of(ensemble.trees.begin(), ensemble.trees.end(),
                                   [](const Tree& tree) { return tree.node_count() > 1; });
    if (grown) return;
    context_.Log(v1::LogLine::SEVERITY_WARNING,
                 "no split of any feature satisfies the limits: every tree is a single leaf");
  }

  absl::Status Evaluate(TreeEnsemble& ensemble) {
    const TreePredictor plain = PlainPredictor(ensemble);
    const TreePredictor shrunk(ensemble);
    for (const MeasuredRows& set : MeasuredRowsOf(data_.split, result_.report)) {
      TY_ASSIGN_OR_RETURN(const Metrics with, Measure(shrunk, *set.rows));
      TY_ASSIGN_OR_RETURN(const Metrics without, Measure(plain, *set.rows));
      ReportMeasured(set, with, context_);
      v1::ShrinkageComparison& comparison = (*report().mutable_comparisons())[set.name];
      comparison.mutable_shrunk()->insert(with.begin(), with.end());
      comparison.mutable_plain()->insert(without.begin(), without.end());
      report().set_metrics_rows(set.name);
    }
    const v1::ShrinkageComparison& held_out = report().comparisons().at(report().metrics_rows());
    *report().mutable_metrics_plain() = held_out.plain();
    *report().mutable_metrics_shrunk() = held_out.shrunk();
    for (v1::FeatureImportance& importance :
         FeatureImportances(ensemble, input_.feature_names, kMostImportances)) {
      *report().add_feature_importances() = std::move(importance);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Metrics> Measure(const TreePredictor& predictor,
                                  const std::vector<int64_t>& rows) {
    std::span<const double> costs;
    if (base_.has_value()) {
      const auto& own = base_->stored.model.costs();
      costs = {own.data(), static_cast<size_t>(own.size())};
    }
    return MeasureRows(predictor, data_.features, data_, rows, costs, pool_, check());
  }

  v1::TreeModel Describe(const TreeEnsemble& shape) const {
    if (base_.has_value()) return base_->stored.model;
    v1::TreeModel model = DescribeModel(data_);
    DescribeEnsemble(shape, model);
    return model;
  }

  absl::Status WriteModel(v1::TreeModel model, const ShrunkTrees& shrunk) {
    TY_RETURN_IF_ERROR(context_.CheckCancelled());
    model.set_lambda(shrunk.lambda);
    model.mutable_tree_lambda()->Assign(shrunk.tree_lambda.begin(), shrunk.tree_lambda.end());
    TY_RETURN_IF_ERROR(WriteTreeTexts(model, shrunk.ensemble, context_.model_folder()));
    report().set_tree(FirstTreeText(model, shrunk.ensemble, kTreeTextBytes));
    if (base_.has_value()) {
      *result_.manifest.mutable_features() = base_->manifest.features();
      *result_.manifest.mutable_targets() = base_->manifest.targets();
    } else {
      DescribeColumns(data_, result_.manifest);
    }
    return WriteTreeModel(model, shrunk.ensemble, context_.model_folder(), check());
  }

  const Spec& spec_;
  LearningTable data_;
  std::optional<BaseModel> base_;  // what `data_.features` point into
  TrainingContext& context_;
  const JobProgress progress_;
  CheckpointKeeper keeper_;
  ThreadPool pool_;
  std::vector<int64_t> rows_;
  std::vector<double> values_;
  std::vector<int32_t> classes_;
  std::vector<double> weights_;
  LearnerInput input_;
  TrainingResult result_;
};

}  // namespace

absl::StatusOr<TrainingResult> TrainHierarchicalShrinkage(const Spec& spec,
                                                          const TableColumns& columns,
                                                          std::shared_ptr<const Table> table,
                                                          TrainingContext& context,
                                                          const CheckpointPolicy& policy) {
  TY_ASSIGN_OR_RETURN(LearningTable data,
                      PrepareLearningTable(std::move(table), columns, spec.input().split(),
                                           spec.task() == Spec::TASK_CLASSIFICATION, context));
  return Trainer(spec, std::move(data), context, policy).Run();
}

}  // namespace trainyard
