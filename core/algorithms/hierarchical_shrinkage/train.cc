#include "core/algorithms/hierarchical_shrinkage/train.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/algorithms/hierarchical_shrinkage/checkpoint.h"
#include "core/algorithms/hierarchical_shrinkage/cross_validation.h"
#include "core/algorithms/metrics.h"
#include "core/algorithms/table_learning.h"
#include "core/base/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/trees/shrinkage.h"
#include "core/trees/tree_printer.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

using Spec = v1::HierarchicalShrinkageSpec;
using Metrics = std::map<std::string, double>;

constexpr size_t kTreeTextBytes = 64 * 1024;

// Time since construction, in s.
class Stopwatch {
 public:
  double Seconds() const { return absl::ToDoubleSeconds(Clock::Real().Monotonic() - start_); }

 private:
  const absl::Duration start_ = Clock::Real().Monotonic();
};

// Parts of the whole job by the time they take; the unit is one fit on all training rows.
class JobProgress {
 public:
  JobProgress(TrainingContext& context, int folds) : context_(context), folds_(folds) {
    const double k = folds;
    fold_cost_ = folds > 0 ? (k - 1) / k : 0;
    total_ = kSortCost + k * fold_cost_ + 1 + kEvaluationCost;
  }

  void Sorting() const { Report("sorting features", 0, 0, 0, ""); }

  // `part` of fold `fold` (from 0) is done.
  void Folds(int fold, double part) const {
    Report("cross-validation", kSortCost + (fold + part) * fold_cost_, fold, folds_, "folds");
  }

  void FinalFit(double part) const {
    Report("final fit", kSortCost + folds_ * fold_cost_ + part, static_cast<int64_t>(part * 100),
           100, "percent");
  }

  void Evaluation() const { Report("evaluation", total_ - kEvaluationCost, 0, 0, ""); }
  void Done() const { Report("done", total_, 0, 0, ""); }

 private:
  static constexpr double kSortCost = 0.2;
  static constexpr double kEvaluationCost = 0.1;

  void Report(const char* phase, double cost, int64_t step, int64_t step_count,
              const char* unit) const {
    v1::Progress progress;
    progress.set_phase(phase);
    progress.set_fraction(std::min(cost / total_, 1.0));
    progress.set_step(step);
    progress.set_step_count(step_count);
    progress.set_unit(unit);
    context_.ReportProgress(progress);
  }

  TrainingContext& context_;
  const int folds_;
  double fold_cost_ = 0;
  double total_ = 1;
};

// One training, from the split table to the model.
class Trainer {
 public:
  Trainer(const Spec& spec, LearningTable data, TrainingContext& context)
      : spec_(spec),
        data_(std::move(data)),
        context_(context),
        progress_(context, spec.has_lambda() ? 0 : spec.folds()),
        pool_(context.threads()) {
    lambdas_.assign(spec.lambda_grid().begin(), spec.lambda_grid().end());
    if (spec.has_lambda()) lambdas_ = {spec.lambda()};
  }

  absl::StatusOr<TrainingResult> Run() {
    TY_RETURN_IF_ERROR(SortFeatures());
    double lambda = spec_.lambda();
    if (!spec_.has_lambda()) {
      TY_ASSIGN_OR_RETURN(lambda, CrossValidate());
    }
    TY_RETURN_IF_ERROR(FitFinalTree(lambda));
    progress_.Evaluation();
    TY_RETURN_IF_ERROR(Evaluate());
    TY_RETURN_IF_ERROR(context_.CheckCancelled());
    TY_RETURN_IF_ERROR(WriteModel(lambda));
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

  absl::Status SortFeatures() {
    progress_.Sorting();
    const std::vector<int64_t>& rows = data_.split.train;
    values_ = data_.ValuesOf(rows);
    classes_ = data_.ClassesOf(rows);
    weights_ = data_.WeightsOf(rows);
    const double mean = std::accumulate(weights_.begin(), weights_.end(), 0.0) /
                        static_cast<double>(std::max<size_t>(weights_.size(), 1));
    if (!std::isfinite(mean)) {
      return absl::InvalidArgumentError(absl::StrCat("the weights of column \"",
                                                     spec_.input().weight_column(),
                                                     "\" add up to infinity; scale them down"));
    }
    for (double& weight : weights_) weight /= mean;
    TY_ASSIGN_OR_RETURN(features_, PresortedFeatures::Build(data_.features, rows, pool_, check()));
    return absl::OkStatus();
  }

  TreeTarget Target() const {
    return data_.classification() ? TreeTarget::Classification(classes_, data_.outputs())
                                  : TreeTarget::Regression(values_, data_.outputs());
  }

  // Identifies everything that the losses of the folds depend on.
  uint64_t Fingerprint() const {
    return FingerprintOf(absl::StrCat(spec_.SerializeAsString(), "|", data_.rows.size(), "|",
                                      data_.split.train.size()));
  }

  absl::StatusOr<FoldsDone> LoadFolds() {
    TY_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, context_.LoadCheckpoint());
    if (!bytes.has_value()) return FoldsDone();
    std::optional<FoldsDone> folds = DecodeCheckpoint(*bytes, Fingerprint());
    const bool fits = folds.has_value() &&
                      folds->losses.size() <= static_cast<size_t>(spec_.folds()) &&
                      (folds->losses.empty() || folds->losses.front().size() == lambdas_.size());
    if (!fits) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   "the checkpoint does not belong to this job; cross-validation starts afresh");
      return FoldsDone();
    }
    return *std::move(folds);
  }

  absl::StatusOr<double> CrossValidate() {
    TY_ASSIGN_OR_RETURN(FoldsDone done, LoadFolds());
    const std::vector<int64_t>& rows = data_.split.train;
    const bool grouped = spec_.input().split().method() == v1::SplitOptions::METHOD_GROUPED;
    const std::vector<int32_t> fold_of =
        AssignFolds(rows, classes_, grouped ? data_.GroupsOf(rows) : std::vector<int64_t>(),
                    spec_.folds(), static_cast<uint64_t>(spec_.seed()));
    const TrainingRows training = {data_.features, rows, *features_, Target(), weights_};
    for (int fold = static_cast<int>(done.losses.size()); fold < spec_.folds(); ++fold) {
      const Stopwatch stopwatch;
      progress_.Folds(fold, 0);
      const GrowthHooks hooks = {check(),
                                 [this, fold](double part) { progress_.Folds(fold, part); }};
      TY_ASSIGN_OR_RETURN(std::vector<double> losses,
                          ValidateFold(training, fold_of, fold, spec_, pool_, hooks));
      TY_RETURN_IF_ERROR(context_.CheckCancelled());
      ReportCurve(absl::StrCat("cv/fold_", fold + 1, "/loss"), losses);
      done.losses.push_back(std::move(losses));
      done.seconds += stopwatch.Seconds();
      TY_RETURN_IF_ERROR(context_.SaveCheckpoint(fold + 1, EncodeCheckpoint(done, Fingerprint())));
    }
    progress_.Folds(spec_.folds(), 0);
    return FinishCrossValidation(std::move(done));
  }

  absl::StatusOr<double> FinishCrossValidation(FoldsDone done) {
    const std::vector<v1::LambdaPathPoint> path = SummarizeFolds(lambdas_, done.losses);
    if (!done.path_reported) {
      for (size_t j = 0; j < path.size(); ++j) {
        context_.ReportMetrics(static_cast<int64_t>(j),
                               {{"cv/lambda", path[j].lambda()},
                                {"cv/loss", path[j].mean_loss()},
                                {"cv/standard_error", path[j].standard_error()}});
      }
      done.path_reported = true;
      TY_RETURN_IF_ERROR(
          context_.SaveCheckpoint(spec_.folds(), EncodeCheckpoint(done, Fingerprint())));
    }
    report().set_cv_seconds(done.seconds);
    report().mutable_lambda_path()->Add(path.begin(), path.end());
    return ChooseLambda(path);
  }

  // One point per strength, so that a person sees the loss over the grid.
  void ReportCurve(const std::string& name, const std::vector<double>& losses) {
    for (size_t j = 0; j < losses.size(); ++j) {
      context_.ReportMetrics(static_cast<int64_t>(j), {{name, losses[j]}});
    }
  }

  absl::Status FitFinalTree(double lambda) {
    std::vector<uint32_t> rows(data_.split.train.size());
    std::iota(rows.begin(), rows.end(), uint32_t{0});
    const GrowthHooks hooks = {check(), [this](double part) { progress_.FinalFit(part); }};
    progress_.FinalFit(0);
    const Stopwatch fit;
    TY_ASSIGN_OR_RETURN(tree_,
                        GrowCart(*features_, Target(), weights_, rows, spec_.cart(), pool_, hooks));
    report().set_fit_seconds(fit.Seconds());
    const Stopwatch shrink;
    Shrink(spec_.scheme(), lambda, tree_);
    report().set_shrink_seconds(shrink.Seconds());
    report().set_lambda(lambda);
    report().set_leaf_count(tree_.leaf_count());
    report().set_depth(tree_.depth());
    report().set_effective_degrees_of_freedom(
        EffectiveDegreesOfFreedom(tree_, spec_.scheme(), lambda));
    report().set_task(spec_.task());
    if (tree_.node_count() == 1) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   "no split of any feature satisfies the limits: the tree is a single leaf");
    }
    return absl::OkStatus();
  }

  // Metrics of some rows, from the shrunk values or, where `plain`, from the means.
  absl::StatusOr<Metrics> Measure(const std::vector<int64_t>& rows, bool plain) {
    if (rows.empty()) return Metrics();
    TY_ASSIGN_OR_RETURN(const std::vector<int32_t> leaves,
                        FindLeaves(tree_, data_.features, rows, check()));
    std::vector<double> predictions;
    predictions.reserve(rows.size() * static_cast<size_t>(tree_.outputs));
    for (const int32_t leaf : leaves) {
      const std::span<const double> value = plain ? tree_.MeanOf(leaf) : tree_.ValueOf(leaf);
      predictions.insert(predictions.end(), value.begin(), value.end());
    }
    const std::vector<double> weights = data_.WeightsOf(rows);
    if (data_.classification()) {
      return ClassificationMetrics(predictions, data_.ClassesOf(rows), weights, data_.outputs());
    }
    return RegressionMetrics(predictions, data_.ValuesOf(rows), weights, data_.outputs());
  }

  absl::Status Evaluate() {
    const RowSplit& split = data_.split;
    const auto fill = [](const Metrics& metrics, google::protobuf::Map<std::string, double>* to) {
      to->insert(metrics.begin(), metrics.end());
    };
    const auto announce = [this](const std::string& set, const Metrics& metrics) {
      std::vector<std::pair<std::string, double>> points;
      for (const auto& [name, value] : metrics) points.emplace_back(set + "/" + name, value);
      if (!points.empty()) context_.ReportMetrics(0, points);
    };
    TY_ASSIGN_OR_RETURN(const Metrics train, Measure(split.train, false));
    TY_ASSIGN_OR_RETURN(const Metrics validation, Measure(split.validation, false));
    TY_ASSIGN_OR_RETURN(const Metrics test, Measure(split.test, false));
    announce("train", train);
    announce("validation", validation);
    announce("test", test);
    fill(train, result_.report.mutable_train_metrics());
    fill(validation, result_.report.mutable_validation_metrics());
    fill(test, result_.report.mutable_test_metrics());
    const bool has_test = !split.test.empty();
    const bool has_validation = !split.validation.empty();
    report().set_metrics_rows(has_test ? "test" : has_validation ? "validation" : "train");
    const std::vector<int64_t>& held_out = has_test         ? split.test
                                           : has_validation ? split.validation
                                                            : split.train;
    TY_ASSIGN_OR_RETURN(const Metrics plain, Measure(held_out, true));
    fill(plain, report().mutable_metrics_plain());
    fill(has_test ? test : has_validation ? validation : train, report().mutable_metrics_shrunk());
    return absl::OkStatus();
  }

  // The column as the model needs it: with all of its levels.
  v1::ColumnSchema ModelColumn(int column) const {
    v1::ColumnSchema schema = data_.table->column(column);
    if (schema.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      const std::span<const std::string> levels = data_.table->levels(column);
      schema.mutable_levels()->Assign(levels.begin(), levels.end());
    }
    return schema;
  }

  absl::Status WriteModel(double lambda) {
    v1::TreeModel model;
    for (const int column : data_.columns.features) *model.add_features() = ModelColumn(column);
    for (const int column : data_.columns.targets) {
      model.add_targets(data_.table->column(column).name());
    }
    model.mutable_classes()->Add(data_.class_labels.begin(), data_.class_labels.end());
    model.set_output(data_.classification() ? v1::TreeModel::OUTPUT_PROBABILITIES
                                            : v1::TreeModel::OUTPUT_VALUES);
    model.set_combination(v1::TreeModel::COMBINATION_MEAN);
    model.set_lambda(lambda);
    const TreeNames names = {
        std::span<const v1::ColumnSchema* const>(model.features().data(),
                                                 static_cast<size_t>(model.features_size())),
        data_.class_labels};
    report().set_tree(TreeToText(tree_, names, kTreeTextBytes));
    *model.add_trees() = TreeToProto(tree_);
    constexpr size_t kLargestMessage = size_t{1} << 31;
    if (model.ByteSizeLong() >= kLargestMessage) {
      return absl::FailedPreconditionError(
          absl::StrCat("the tree with ", tree_.leaf_count(),
                       " leaves needs more than 2 GiB; limit max_leaf_nodes or min_samples_leaf"));
    }
    for (const int column : data_.columns.features) {
      *result_.manifest.add_features() = data_.table->column(column);
    }
    for (const int column : data_.columns.targets) {
      *result_.manifest.add_targets() = data_.table->column(column);
    }
    return WriteFileAtomically(FileSystem::Real(), context_.model_folder() / kTreeModelFile,
                               model.SerializeAsString());
  }

  const Spec& spec_;
  const LearningTable data_;
  TrainingContext& context_;
  const JobProgress progress_;
  ThreadPool pool_;
  std::vector<double> lambdas_;
  std::vector<double> values_;
  std::vector<int32_t> classes_;
  std::vector<double> weights_;
  std::optional<PresortedFeatures> features_;
  Tree tree_;
  TrainingResult result_;
};

}  // namespace

absl::StatusOr<TrainingResult> TrainHierarchicalShrinkage(const Spec& spec,
                                                          const TableColumns& columns,
                                                          std::shared_ptr<const Table> table,
                                                          TrainingContext& context) {
  TY_ASSIGN_OR_RETURN(LearningTable data,
                      PrepareLearningTable(std::move(table), columns, spec.input().split(),
                                           spec.task() == Spec::TASK_CLASSIFICATION, context));
  return Trainer(spec, std::move(data), context).Run();
}

}  // namespace trainyard
