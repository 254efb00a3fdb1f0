#include "core/trees/explain/importance.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/random.h"

namespace trainyard {
namespace {

void ScaleToOne(std::vector<double>& values) {
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  if (sum <= 0) return;
  for (double& value : values) value /= sum;
}

std::vector<double> TreeImportance(const Tree& tree, int feature_count) {
  std::vector<double> importance(static_cast<size_t>(feature_count), 0.0);
  const auto mass = [&](int32_t node) {
    const size_t t = static_cast<size_t>(node);
    return tree.weight[t] * tree.impurity[t];
  };
  for (int node = 0; node < tree.node_count(); ++node) {
    if (tree.is_leaf(node)) continue;
    const size_t t = static_cast<size_t>(node);
    const double gain = mass(node) - mass(tree.left[t]) - mass(tree.right[t]);
    // A split that gains nothing may come out below 0 by rounding.
    importance[static_cast<size_t>(tree.feature[t])] += std::max(gain, 0.0) / tree.weight[0];
  }
  return importance;
}

// One feature with its rows in another order.
class ShuffledColumn {
 public:
  ShuffledColumn(const FeatureColumn& column, std::span<const int64_t> order) {
    if (column.categorical) {
      for (const int64_t row : order) codes_.push_back(column.codes[static_cast<size_t>(row)]);
      column_ = FeatureColumn::Categorical(codes_, column.level_count);
    } else {
      for (const int64_t row : order) numbers_.push_back(column.numbers[static_cast<size_t>(row)]);
      column_ = FeatureColumn::Numeric(numbers_);
    }
  }
  ShuffledColumn(const ShuffledColumn&) = delete;
  ShuffledColumn& operator=(const ShuffledColumn&) = delete;
  const FeatureColumn& column() const { return column_; }

 private:
  std::vector<double> numbers_;
  std::vector<int32_t> codes_;
  FeatureColumn column_;
};

}  // namespace

std::vector<double> ImpurityImportance(const TreeEnsemble& ensemble, int feature_count) {
  std::vector<double> total(static_cast<size_t>(feature_count), 0.0);
  for (const Tree& tree : ensemble.trees) {
    std::vector<double> own = TreeImportance(tree, feature_count);
    if (ensemble.combination == TreeCombination::kMean) ScaleToOne(own);
    for (size_t j = 0; j < total.size(); ++j) total[j] += own[j];
  }
  ScaleToOne(total);
  return total;
}

absl::StatusOr<PermutationImportance> PermuteFeatures(std::span<const FeatureColumn> features,
                                                      const PermutationOptions& options,
                                                      const ScoreFunction& score,
                                                      const QualityFunction& quality,
                                                      ThreadPool& pool, StopToken& stop) {
  const size_t rows = static_cast<size_t>(options.rows);
  const size_t repeats = static_cast<size_t>(options.repeats);
  const size_t score_count = rows * static_cast<size_t>(options.outputs);
  PermutationImportance result;
  std::vector<double> scores(score_count);
  score(features, 0, scores);
  result.quality = quality(scores);
  result.losses.resize(features.size() * repeats);
  pool.Run(static_cast<int64_t>(result.losses.size()), [&](int64_t task, int) {
    if (stop.Ask()) return;
    const size_t feature = static_cast<size_t>(task) / repeats;
    std::vector<int64_t> order(rows);
    std::iota(order.begin(), order.end(), int64_t{0});
    Rng(options.seed, static_cast<uint64_t>(task)).Shuffle(std::span(order));
    const ShuffledColumn shuffled(features[feature], order);
    std::vector<FeatureColumn> columns(features.begin(), features.end());
    columns[feature] = shuffled.column();
    std::vector<double> own(score_count);
    score(columns, 0, own);
    result.losses[static_cast<size_t>(task)] = result.quality - quality(own);
  });
  if (const absl::Status status = stop.status(); !status.ok()) return status;
  for (size_t j = 0; j < features.size(); ++j) {
    const auto own = std::span(result.losses).subspan(j * repeats, repeats);
    const double mean = std::accumulate(own.begin(), own.end(), 0.0) / static_cast<double>(repeats);
    double squares = 0;
    for (const double loss : own) squares += (loss - mean) * (loss - mean);
    result.mean.push_back(mean);
    result.deviation.push_back(repeats > 1 ? std::sqrt(squares / static_cast<double>(repeats - 1))
                                           : 0);
  }
  return result;
}

ShapSummarizer::ShapSummarizer(int outputs, int feature_count)
    : width_(static_cast<size_t>(outputs) * static_cast<size_t>(feature_count)) {
  sums_.mean.assign(width_, 0.0);
  sums_.mean_absolute.assign(width_, 0.0);
  sums_.max_absolute.assign(width_, 0.0);
}

void ShapSummarizer::Add(std::span<const double> values) {
  for (size_t i = 0; i + width_ <= values.size() && width_ > 0; i += width_) {
    for (size_t j = 0; j < width_; ++j) {
      const double value = values[i + j];
      sums_.mean[j] += value;
      sums_.mean_absolute[j] += std::abs(value);
      sums_.max_absolute[j] = std::max(sums_.max_absolute[j], std::abs(value));
    }
    ++rows_;
  }
}

ShapSummary ShapSummarizer::Summary() const {
  ShapSummary summary = sums_;
  if (rows_ == 0) return summary;
  for (double& value : summary.mean) value /= static_cast<double>(rows_);
  for (double& value : summary.mean_absolute) value /= static_cast<double>(rows_);
  return summary;
}

}  // namespace trainyard
