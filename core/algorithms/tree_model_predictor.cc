#include "core/algorithms/tree_model_predictor.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "core/algorithms/tree_model_explainer.h"
#include "core/base/status.h"
#include "core/trees/thread_pool.h"
#include "core/trees/tree_predictor.h"
#include "core/trees/tree_proto.h"

namespace trainyard {
namespace {

// Whether values of a column of type `given` mean the same as those the model learned from.
bool TypesFit(v1::ColumnType learned, v1::ColumnType given) {
  const auto is_number = [](v1::ColumnType type) {
    return type == v1::COLUMN_TYPE_NUMERIC || type == v1::COLUMN_TYPE_BOOLEAN;
  };
  return learned == given || (is_number(learned) && is_number(given));
}

// The columns of a table as a model wants them, with what had to be made for that.
struct BoundFeatures {
  std::vector<FeatureColumn> columns;
  std::vector<std::vector<int32_t>> codes;
  std::vector<double> missing_numbers;
};

class TreeModelPredictor final : public Predictor {
 public:
  TreeModelPredictor(const v1::TreeModel& model, TreeEnsemble ensemble)
      : features_(model.features().begin(), model.features().end()),
        targets_(model.targets().begin(), model.targets().end()),
        classes_(model.classes().begin(), model.classes().end()),
        trees_(ensemble),
        explainer_(model, std::move(ensemble), trees_) {
    level_codes_.resize(features_.size());
    for (size_t f = 0; f < features_.size(); ++f) {
      for (int code = 0; code < features_[f].levels_size(); ++code) {
        level_codes_[f].emplace(features_[f].levels(code), code);
      }
    }
  }

  absl::StatusOr<Predictions> Predict(const Table& table, int threads) const override {
    TY_ASSIGN_OR_RETURN(const BoundFeatures features, Bind(table));
    const int64_t rows = table.row_count();
    const size_t width = static_cast<size_t>(trees_.prediction_count());
    std::vector<double> values(static_cast<size_t>(rows) * width);
    constexpr int64_t kChunk = 8192;
    const int64_t chunks = (rows + kChunk - 1) / kChunk;
    ThreadPool pool(static_cast<int>(std::clamp<int64_t>(chunks, 1, std::max(threads, 1))));
    pool.Run(chunks, [&](int64_t chunk, int) {
      const int64_t begin = chunk * kChunk;
      const size_t count = static_cast<size_t>(std::min(kChunk, rows - begin));
      trees_.Predict(features.columns, begin,
                     std::span(values).subspan(static_cast<size_t>(begin) * width, count * width));
    });
    return classes_.empty() ? ValueColumns(values) : ClassColumns(values);
  }

  absl::StatusOr<std::unique_ptr<Explanation>> Explain(ExplanationRequest request) const override {
    return explainer_.Explain(
        std::move(request), [this](const Table& table) -> absl::StatusOr<BoundColumns> {
          TY_ASSIGN_OR_RETURN(BoundFeatures features, Bind(table));
          const auto owner = std::make_shared<BoundFeatures>(std::move(features));
          return BoundColumns{owner->columns, owner};
        });
  }

 private:
  absl::StatusOr<BoundFeatures> Bind(const Table& table) const {
    BoundFeatures bound;
    bound.codes.resize(features_.size());
    Violations violations;
    for (size_t f = 0; f < features_.size(); ++f) {
      const v1::ColumnSchema& learned = features_[f];
      const std::optional<int> column = table.FindColumn(learned.name());
      if (!column.has_value()) {
        violations.Add(learned.name(), "is not in the table; the model needs this column");
        continue;
      }
      const v1::ColumnSchema& given = table.column(*column);
      if (given.missing_count() >= table.row_count()) {
        BindMissing(learned, table.row_count(), bound, f);
      } else if (!TypesFit(learned.type(), given.type())) {
        violations.Add(
            learned.name(),
            absl::StrCat("is of type ", v1::ColumnType_Name(given.type()),
                         "; the model learned from ", v1::ColumnType_Name(learned.type())));
      } else if (learned.type() == v1::COLUMN_TYPE_CATEGORICAL) {
        BindLevels(table, *column, bound, f);
      } else {
        bound.columns.push_back(FeatureColumn::Numeric(table.numbers(*column)));
      }
    }
    TY_RETURN_IF_ERROR(violations.ToStatus());
    return bound;
  }

  // A column without any value has no type that could be wrong.
  void BindMissing(const v1::ColumnSchema& learned, int64_t rows, BoundFeatures& bound,
                   size_t feature) const {
    if (learned.type() == v1::COLUMN_TYPE_CATEGORICAL) {
      bound.codes[feature].assign(static_cast<size_t>(rows), -1);
      bound.columns.push_back(
          FeatureColumn::Categorical(bound.codes[feature], learned.levels_size()));
      return;
    }
    bound.missing_numbers.resize(static_cast<size_t>(rows),
                                 std::numeric_limits<double>::quiet_NaN());
    bound.columns.push_back(FeatureColumn::Numeric(bound.missing_numbers));
  }

  void BindLevels(const Table& table, int column, BoundFeatures& bound, size_t feature) const {
    std::vector<int32_t> learned_code;
    for (const std::string& level : table.levels(column)) {
      const auto found = level_codes_[feature].find(level);
      learned_code.push_back(found == level_codes_[feature].end() ? -1 : found->second);
    }
    for (const int32_t code : table.codes(column)) {
      bound.codes[feature].push_back(code < 0 ? -1 : learned_code[static_cast<size_t>(code)]);
    }
    bound.columns.push_back(
        FeatureColumn::Categorical(bound.codes[feature], features_[feature].levels_size()));
  }

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
      const auto own = values.begin() + static_cast<ptrdiff_t>(i);
      const auto best = std::max_element(own, own + static_cast<ptrdiff_t>(width));
      chosen.texts.push_back(classes_[static_cast<size_t>(best - own)]);
    }
    for (size_t k = 0; k < width; ++k) {
      Predictions::Column column;
      column.name = "probability_" + classes_[k];
      for (size_t i = k; i < values.size(); i += width) column.numbers.push_back(values[i]);
      predictions.columns.push_back(std::move(column));
    }
    return predictions;
  }

  const std::vector<v1::ColumnSchema> features_;
  const std::vector<std::string> targets_;
  const std::vector<std::string> classes_;
  std::vector<absl::flat_hash_map<std::string, int32_t>> level_codes_;
  const TreePredictor trees_;
  const TreeModelExplainer explainer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Predictor>> MakeTreeModelPredictor(const v1::TreeModel& model) {
  TY_ASSIGN_OR_RETURN(TreeEnsemble ensemble, EnsembleFromModel(model));
  return std::make_unique<TreeModelPredictor>(model, std::move(ensemble));
}

}  // namespace trainyard
