// SHAP values of a table's rows, block by block.
#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/tree_explanations.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/trees/explain/interventional_shap.h"
#include "core/trees/explain/path_shap.h"
#include "core/trees/explain/row_lanes.h"
#include "core/trees/explain/shap_interactions.h"

namespace trainyard {
namespace {

// Some rows of bound columns.
struct DrawnRows {
  std::vector<std::vector<double>> numbers;
  std::vector<std::vector<int32_t>> codes;
  std::vector<FeatureColumn> columns;
  int64_t count = 0;
};

// `most` rows of `available`, drawn without replacement, in table order; all where there are no
// more.
DrawnRows DrawRows(std::span<const FeatureColumn> from, int64_t available, int64_t most,
                   uint64_t seed) {
  std::vector<int64_t> rows;
  Rng random(seed);
  // Selection sampling: one pass, each row with the chance that fills what is left.
  for (int64_t row = 0; row < available; ++row) {
    const int64_t wanted = most - static_cast<int64_t>(rows.size());
    const uint64_t left = static_cast<uint64_t>(available - row);
    if (random.UniformInt(left) < static_cast<uint64_t>(std::max<int64_t>(wanted, 0))) {
      rows.push_back(row);
    }
  }
  DrawnRows drawn;
  drawn.count = static_cast<int64_t>(rows.size());
  drawn.numbers.resize(from.size());
  drawn.codes.resize(from.size());
  for (size_t j = 0; j < from.size(); ++j) {
    for (const int64_t row : rows) {
      const size_t r = static_cast<size_t>(row);
      if (from[j].categorical) {
        drawn.codes[j].push_back(from[j].codes[r]);
      } else {
        drawn.numbers[j].push_back(from[j].numbers[r]);
      }
    }
    drawn.columns.push_back(from[j].categorical
                                ? FeatureColumn::Categorical(drawn.codes[j], from[j].level_count)
                                : FeatureColumn::Numeric(drawn.numbers[j]));
  }
  return drawn;
}

class ShapExplanation final : public Explanation {
 public:
  ShapExplanation(std::unique_ptr<TreeExplanationJob> job, BoundColumns background)
      : job_(std::move(job)),
        options_(job_->request.header.shap()),
        background_(std::move(background)),
        features_(job_->model.features.size()) {}

  absl::StatusOr<bool> Next(v1::ExplainResponse& message) override {
    if (!prepared_) {
      if (job_->stop.Ask()) return job_->stop.status();
      Prepare();
      if (job_->stop.stopped()) return job_->stop.status();
    }
    if (next_info_ < info_.size()) {
      message = std::move(info_[next_info_++]);
      return true;
    }
    if (next_row_ == job_->rows) return false;
    const size_t outputs = job_->outputs.size();
    const size_t width = outputs * features_ * (options_.interactions() ? features_ + 1 : 1);
    const int64_t fitting = static_cast<int64_t>(kMaxMessageNumbers / (width + features_ + 1));
    constexpr int64_t kMostRows = 4096;
    const int64_t count =
        std::min(job_->rows - next_row_, std::clamp<int64_t>(fitting, 1, kMostRows));
    TY_RETURN_IF_ERROR(FillBlock(count, *message.mutable_shap()));
    next_row_ += count;
    return true;
  }

 private:
  void Prepare() {
    const int features = static_cast<int>(features_);
    const bool all = job_->outputs.size() == job_->model.outputs.size();
    TreeEnsemble ensemble = job_->model.Ensemble();
    if (!all) ensemble = SelectOutputs(ensemble, job_->outputs);
    std::span<const double> base;
    if (options_.method() == v1::ShapOptions::METHOD_INTERVENTIONAL) {
      const DrawnRows drawn =
          DrawRows(background_.columns, job_->request.background->row_count(),
                   options_.background_rows(), static_cast<uint64_t>(options_.seed()));
      interventional_.emplace(ensemble, features, drawn.columns, 0, drawn.count, job_->rows,
                              job_->stop);
      base = interventional_->base();
    } else if (options_.interactions()) {
      interactions_.emplace(ensemble, features, job_->stop);
      base = interactions_->shap().base();
    } else {
      path_.emplace(ensemble, features, job_->stop);
      base = path_->base();
    }
    // Asked for in another order, all outputs need no selection but a permutation.
    std::vector<double> ordered;
    for (size_t k = 0; k < job_->outputs.size(); ++k) {
      ordered.push_back(base[all ? static_cast<size_t>(job_->outputs[k]) : k]);
      places_.push_back(all ? static_cast<size_t>(job_->outputs[k]) : k);
    }
    info_ = job_->Info(ordered);
    prepared_ = true;
  }

  absl::Status FillBlock(int64_t count, v1::ShapBlock& block) {
    const std::span<const FeatureColumn> columns = job_->table.columns;
    const size_t width = places_.size() * features_;
    std::vector<double> values(static_cast<size_t>(count) * width);
    std::vector<double> pairs;
    if (interventional_.has_value()) {
      TY_RETURN_IF_ERROR(
          interventional_->Explain(columns, next_row_, count, job_->pool, job_->stop, values));
    } else if (path_.has_value()) {
      TY_RETURN_IF_ERROR(path_->Explain(columns, next_row_, count, job_->pool, job_->stop, values));
    } else {
      pairs.resize(values.size() * features_);
      TY_RETURN_IF_ERROR(
          interactions_->Explain(columns, next_row_, count, job_->pool, job_->stop, pairs));
      for (size_t i = 0; i < values.size(); ++i) {
        const auto row = pairs.begin() + static_cast<ptrdiff_t>(i * features_);
        values[i] = std::accumulate(row, row + static_cast<ptrdiff_t>(features_), 0.0);
      }
    }
    block.set_first_row(next_row_);
    block.set_row_count(count);
    AddInOrder(values, features_, *block.mutable_values());
    AddInOrder(pairs, features_ * features_, *block.mutable_interactions());
    auto& own = *block.mutable_feature_values();
    own.Reserve(static_cast<int>(static_cast<size_t>(count) * features_));
    for (int64_t row = next_row_; row < next_row_ + count; ++row) {
      for (const FeatureColumn& column : columns) own.AddAlreadyReserved(ValueAt(column, row));
    }
    return absl::OkStatus();
  }

  // Adds [row][output][width] numbers with the outputs in the order asked for.
  void AddInOrder(const std::vector<double>& numbers, size_t width,
                  google::protobuf::RepeatedField<double>& to) const {
    to.Reserve(static_cast<int>(numbers.size()));
    for (size_t row = 0; row < numbers.size(); row += places_.size() * width) {
      for (const size_t place : places_) {
        const auto from = numbers.begin() + static_cast<ptrdiff_t>(row + place * width);
        to.Add(from, from + static_cast<ptrdiff_t>(width));
      }
    }
  }

  const std::unique_ptr<TreeExplanationJob> job_;
  const v1::ShapOptions options_;
  const BoundColumns background_;
  const size_t features_;
  bool prepared_ = false;
  std::optional<PathShap> path_;
  std::optional<ShapInteractions> interactions_;
  std::optional<InterventionalShap> interventional_;
  std::vector<size_t> places_;  // of the outputs asked for among those computed
  std::vector<v1::ExplainResponse> info_;
  size_t next_info_ = 0;
  int64_t next_row_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Explanation>> MakeShapExplanation(
    std::unique_ptr<TreeExplanationJob> job, const TreeModelExplainer::Bind& bind) {
  const v1::ShapOptions& options = job->request.header.shap();
  const bool interventional = options.method() == v1::ShapOptions::METHOD_INTERVENTIONAL;
  Violations violations;
  if (interventional && options.interactions()) {
    violations.Add("header.shap.interactions", "must not be given for METHOD_INTERVENTIONAL");
  }
  if (!interventional && !options.background_dataset().empty()) {
    violations.Add("header.shap.background_dataset", "must not be given for METHOD_PATH_DEPENDENT");
  }
  if (interventional && job->request.background->row_count() == 0) {
    violations.Add("header.shap.background_dataset", "has no row; at least one is needed");
  }
  const size_t features = job->model.features.size();
  const size_t width = job->outputs.size() * features * (options.interactions() ? features + 1 : 1);
  if (width + features > kMaxMessageNumbers) {
    violations.Add(
        options.interactions() ? "header.shap.interactions" : "header.outputs",
        absl::StrCat("a row of ", features, " features and ", job->outputs.size(), " outputs has ",
                     width, " numbers; at most ", kMaxMessageNumbers, " can be sent"));
  }
  TY_RETURN_IF_ERROR(violations.ToStatus());
  BoundColumns background;
  if (interventional) {
    TY_ASSIGN_OR_RETURN(background, bind(*job->request.background));
  }
  return std::make_unique<ShapExplanation>(std::move(job), std::move(background));
}

}  // namespace trainyard
