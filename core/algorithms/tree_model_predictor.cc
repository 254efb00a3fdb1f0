#include "core/algorithms/tree_model_predictor.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/feature_binder.h"
#include "core/algorithms/tree_model_explainer.h"
#include "core/base/status.h"
#include "core/base/thread_pool.h"
#include "core/trees/class_costs.h"
#include "core/trees/tree_predictor.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

class TreeModelPredictor final : public Predictor {
 public:
  TreeModelPredictor(const v1::TreeModel& model, const TreeEnsemble& ensemble)
      : binder_(model),
        targets_(model.targets().begin(), model.targets().end()),
        classes_(model.classes().begin(), model.classes().end()),
        costs_(model.costs().begin(), model.costs().end()),
        trees_(ensemble),
        explainer_(model, ensemble, trees_) {}

  absl::StatusOr<Predictions> Predict(const Table& table, int threads) const override {
    TY_ASSIGN_OR_RETURN(const BoundFeatures features, binder_.Bind(table));
    const int64_t rows = table.row_count();
    const size_t width = static_cast<size_t>(trees_.prediction_count());
    std::vector<double> values(static_cast<size_t>(rows) * width);
    const int64_t workers = std::max(threads, 1);
    // As many rows as the predictor takes at most at once, so that it reads a large tree rarely.
    const int64_t size = std::clamp<int64_t>((rows + workers - 1) / workers, 2048, 32768);
    const int64_t chunks = (rows + size - 1) / size;
    ThreadPool pool(static_cast<int>(std::clamp<int64_t>(chunks, 1, workers)));
    pool.Run(chunks, [&](int64_t chunk, int) {
      const int64_t begin = chunk * size;
      const size_t count = static_cast<size_t>(std::min(size, rows - begin));
      trees_.Predict(features.columns, begin,
                     std::span(values).subspan(static_cast<size_t>(begin) * width, count * width));
    });
    return classes_.empty() ? ValueColumns(values) : ClassColumns(values);
  }

  absl::StatusOr<std::unique_ptr<Explanation>> Explain(ExplanationRequest request) const override {
    return explainer_.Explain(
        std::move(request), [this](const Table& table) -> absl::StatusOr<BoundColumns> {
          TY_ASSIGN_OR_RETURN(BoundFeatures features, binder_.Bind(table));
          const auto owner = std::make_shared<BoundFeatures>(std::move(features));
          return BoundColumns{owner->columns, owner};
        });
  }

 private:
  Predictions ValueColumns(const std::vector<double>& values) const {
    Predictions predictions;
    const size_t width = targets_.size();
    for (size_t k = 0; k < width; ++k) {
      Predictions::Column column;
      column.name = width == 1 ? "prediction" : "prediction_" + targets_[k];
      for (size_t i = k; i < values.size(); i += width) column.numbers.push_back(values[i]);
      predictions.columns.push_back(std::move(column));
    }
    return predictions;
  }

  Predictions ClassColumns(const std::vector<double>& values) const {
    Predictions predictions;
    const size_t width = classes_.size();
    Predictions::Column& chosen = predictions.columns.emplace_back();
    chosen.name = "prediction";
    for (size_t i = 0; i < values.size(); i += width) {
      const int best = LeastCostClass(std::span(values).subspan(i, width), costs_);
      chosen.texts.push_back(classes_[static_cast<size_t>(best)]);
    }
    for (size_t k = 0; k < width; ++k) {
      Predictions::Column column;
      column.name = "probability_" + classes_[k];
      for (size_t i = k; i < values.size(); i += width) column.numbers.push_back(values[i]);
      predictions.columns.push_back(std::move(column));
    }
    return predictions;
  }

  const FeatureBinder binder_;
  const std::vector<std::string> targets_;
  const std::vector<std::string> classes_;
  const std::vector<double> costs_;  // as TreeModel.costs
  const TreePredictor trees_;
  const TreeModelExplainer explainer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Predictor>> MakeTreeModelPredictor(const v1::TreeModel& model) {
  TY_ASSIGN_OR_RETURN(const TreeEnsemble ensemble, EnsembleFromModel(model));
  return MakeTreeModelPredictor(model, ensemble);
}

std::unique_ptr<Predictor> MakeTreeModelPredictor(const v1::TreeModel& model,
                                                  const TreeEnsemble& ensemble) {
  return std::make_unique<TreeModelPredictor>(model, ensemble);
}

}  // namespace trainyard
