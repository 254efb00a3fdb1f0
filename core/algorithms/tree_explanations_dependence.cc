// Partial dependence and individual curves of a tree model.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/tree_explanations.h"
#include "core/base/status.h"
#include "core/trees/explain/partial_dependence.h"

namespace trainyard {
namespace {

// Numbers that the curves of single rows may take in memory.
constexpr int64_t kMaxIndividualNumbers = 16 << 20;

class DependenceExplanation final : public Explanation {
 public:
  DependenceExplanation(std::unique_ptr<TreeExplanationJob> job, std::vector<int> features,
                        std::vector<std::vector<double>> grids)
      : job_(std::move(job)), features_(std::move(features)), grids_(std::move(grids)) {}

  absl::StatusOr<bool> Next(v1::ExplainResponse& message) override {
    if (info_.empty()) info_ = job_->Info({});
    if (next_info_ < info_.size()) {
      message = std::move(info_[next_info_++]);
      return true;
    }
    v1::DependenceBlock& block = *message.mutable_dependence();
    if (!means_given_) {
      TY_RETURN_IF_ERROR(Compute());
      Describe(block);
      means_given_ = true;
      return true;
    }
    const size_t all = static_cast<size_t>(job_->model.predictor->outputs());
    const size_t width = Points() * all;
    const int64_t rows = static_cast<int64_t>(result_.individual.size() / width);
    if (next_row_ >= rows) return false;
    const int64_t fitting =
        static_cast<int64_t>(kMaxMessageNumbers / (Points() * job_->outputs.size()));
    const int64_t count = std::min(rows - next_row_, std::max<int64_t>(fitting, 1));
    block.set_first_row(next_row_);
    const auto first = result_.individual.begin() + next_row_ * static_cast<int64_t>(width);
    AddOutputs({first, first + count * static_cast<int64_t>(width)}, *block.mutable_individual());
    next_row_ += count;
    return true;
  }

 private:
  size_t Points() const {
    size_t points = 1;
    for (const std::vector<double>& grid : grids_) points *= grid.size();
    return points;
  }

  absl::Status Compute() {
    std::vector<GridAxis> axes;
    for (size_t a = 0; a < grids_.size(); ++a) axes.push_back({features_[a], grids_[a]});
    const v1::DependenceOptions& options = job_->request.header.dependence();
    if (options.path_dependent()) {
      result_.mean = PathDependence(job_->model.Ensemble(), job_->table.columns, axes);
      return absl::OkStatus();
    }
    const int outputs = job_->model.predictor->outputs();
    const ScoreFunction score = [this, outputs](std::span<const FeatureColumn> columns,
                                                int64_t begin, std::span<double> scores) {
      constexpr size_t kChunk = 8192;
      const size_t chunk = kChunk * static_cast<size_t>(outputs);
      for (size_t first = 0; first < scores.size(); first += chunk) {
        if (job_->stop.Ask()) return;
        const std::span<double> part =
            scores.subspan(first, std::min(chunk, scores.size() - first));
        job_->model.predictor->PredictRaw(
            columns, begin + static_cast<int64_t>(first / static_cast<size_t>(outputs)), part);
      }
    };
    TY_ASSIGN_OR_RETURN(
        result_, PartialDependence(
                     job_->table.columns, axes,
                     {.rows = job_->rows, .outputs = outputs, .individual = options.individual()},
                     score, job_->pool, job_->stop));
    return absl::OkStatus();
  }

  void Describe(v1::DependenceBlock& block) const {
    for (size_t a = 0; a < grids_.size(); ++a) {
      const v1::ColumnSchema& feature = job_->model.features[static_cast<size_t>(features_[a])];
      v1::DependenceAxis& axis = *block.add_axes();
      axis.set_feature(feature.name());
      for (const double value : grids_[a]) {
        if (feature.type() == v1::COLUMN_TYPE_CATEGORICAL) {
          axis.add_levels(feature.levels(static_cast<int>(value)));
        } else {
          axis.add_values(value);
        }
      }
    }
    AddOutputs(result_.mean, *block.mutable_means());
  }

  // Adds of [point][output] numbers the outputs that are asked for.
  void AddOutputs(std::span<const double> numbers,
                  google::protobuf::RepeatedField<double>& to) const {
    const size_t all = static_cast<size_t>(job_->model.predictor->outputs());
    for (size_t point = 0; point < numbers.size(); point += all) {
      for (const int output : job_->outputs) {
        to.Add(numbers[point + static_cast<size_t>(output)]);
      }
    }
  }

  const std::unique_ptr<TreeExplanationJob> job_;
  const std::vector<int> features_;
  const std::vector<std::vector<double>> grids_;
  Dependence result_;
  std::vector<v1::ExplainResponse> info_;
  size_t next_info_ = 0;
  bool means_given_ = false;
  int64_t next_row_ = 0;
};

// The features by number, with a violation for each that the model lacks.
std::vector<int> FindFeatures(const TreeExplanationJob& job, Violations& violations) {
  std::vector<int> found;
  const auto& names = job.request.header.dependence().features();
  for (int i = 0; i < names.size(); ++i) {
    const std::string field = absl::StrCat("header.dependence.features[", i, "]");
    const auto& features = job.model.features;
    const auto at = std::find_if(features.begin(), features.end(),
                                 [&](const auto& feature) { return feature.name() == names[i]; });
    if (at == features.end()) {
      violations.Add(field, absl::StrCat("'", names[i], "' is no feature of the model"));
      continue;
    }
    found.push_back(static_cast<int>(at - features.begin()));
    if (i == 1 && names[0] == names[1]) {
      violations.Add(field, absl::StrCat("'", names[1], "' is given twice"));
    }
  }
  return found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Explanation>> MakeDependenceExplanation(
    std::unique_ptr<TreeExplanationJob> job) {
  const v1::DependenceOptions& options = job->request.header.dependence();
  Violations violations;
  const std::vector<int> features = FindFeatures(*job, violations);
  if (options.individual() && options.path_dependent()) {
    violations.Add("header.dependence.individual", "must not be given with path_dependent");
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  std::vector<std::vector<double>> grids;
  size_t points = 1;
  for (size_t i = 0; i < features.size(); ++i) {
    const FeatureColumn& column = job->table.columns[static_cast<size_t>(features[i])];
    grids.push_back(FeatureGrid(column, job->rows, options.points()));
    points *= grids.back().size();
    if (grids.back().empty()) {
      violations.Add(absl::StrCat("header.dependence.features[", i, "]"),
                     absl::StrCat("'", options.features(static_cast<int>(i)),
                                  "' has no value in the rows of the table"));
    }
  }
  if (job->rows == 0 && !options.path_dependent()) {
    violations.Add("header.dataset", "has no row to average over");
  }
  if (points * job->outputs.size() > kMaxMessageNumbers / 2) {
    violations.Add(
        "header.dependence.points",
        absl::StrCat("make ", points, " grid points of ", job->outputs.size(), " outputs; at most ",
                     kMaxMessageNumbers / 2, " numbers can be sent"));
  }
  const int64_t individual = job->rows * static_cast<int64_t>(points) *
                             static_cast<int64_t>(job->model.predictor->outputs());
  if (options.individual() && individual > kMaxIndividualNumbers) {
    violations.Add(
        "header.dependence.individual",
        absl::StrCat(job->rows, " rows and ", points, " grid points make ", individual,
                     " numbers; at most ", kMaxIndividualNumbers, "; set row_limit or points"));
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  return std::make_unique<DependenceExplanation>(std::move(job), features, std::move(grids));
}

}  // namespace trainyard
