#include "core/trees/tree_predictor.h"

#include <algorithm>

namespace trainyard {

TreePredictor::TreePredictor(const TreeEnsemble& ensemble)
    : outputs_(ensemble.outputs),
      combination_(ensemble.combination),
      link_(ensemble.link),
      base_(ensemble.base),
      tree_output_(ensemble.tree_output) {
  Compile(ensemble.trees);
}

TreePredictor::TreePredictor(std::span<const Tree> trees, TreeCombination combination)
    : outputs_(trees.empty() ? 1 : trees.front().outputs), combination_(combination) {
  Compile(trees);
}

void TreePredictor::Compile(std::span<const Tree> trees) {
  std::vector<int32_t> column_of_feature;
  for (const Tree& tree : trees) {
    for (const int32_t feature : tree.feature) {
      if (feature < 0) continue;
      const size_t f = static_cast<size_t>(feature);
      if (f >= column_of_feature.size()) column_of_feature.resize(f + 1, -1);
      if (column_of_feature[f] >= 0) continue;
      column_of_feature[f] = static_cast<int32_t>(used_features_.size());
      used_features_.push_back(feature);
    }
  }
  trees_.reserve(trees.size());
  for (const Tree& tree : trees) {
    trees_.emplace_back(tree, column_of_feature);
    most_leaves_ = std::max<int64_t>(most_leaves_, trees_.back().leaf_count());
  }
}

TreeEnsemble TreePredictor::Restore() const {
  TreeEnsemble ensemble;
  for (const PredictionTree& tree : trees_) {
    ensemble.trees.push_back(tree.Restore(used_features_));
  }
  ensemble.combination = combination_;
  ensemble.outputs = outputs_;
  ensemble.base = base_;
  ensemble.tree_output = tree_output_;
  ensemble.link = link_;
  return ensemble;
}

int64_t TreePredictor::RowsPerBlock(int64_t rows) const {
  const int64_t columns = std::max<int64_t>(static_cast<int64_t>(used_features_.size()), 1);
  // Half of a usual second-level cache; the other half is for the tree. Small ensembles stay in
  // cache anyway, and their blocks should too.
  constexpr int64_t kCachedValues = int64_t{128} * 1024;
  int64_t block = std::clamp<int64_t>(kCachedValues / columns, 256, 8192);
  if (trees_.size() < 4) block /= 4;
  // A large tree is worth reading for about as many rows as it has leaves.
  constexpr int64_t kMostValues = 4 << 20;
  if (trees_.size() > 1) {
    block = std::max(block, std::min({most_leaves_, int64_t{32768}, kMostValues / columns}));
  }
  return std::clamp<int64_t>(block, 1, std::max<int64_t>(rows, 1));
}

void TreePredictor::FindLeaves(std::span<const FeatureColumn> features,
                               std::span<const int64_t> rows, std::span<int32_t> leaves) const {
  const size_t width = trees_.size();
  const size_t block_rows = static_cast<size_t>(RowsPerBlock(static_cast<int64_t>(rows.size())));
  RowBlock block(features, used_features_, static_cast<int64_t>(block_rows));
  std::vector<int32_t> found(block_rows);
  for (size_t first = 0; first < rows.size(); first += block_rows) {
    const size_t count = std::min(block_rows, rows.size() - first);
    block.LoadRows(rows.subspan(first, count));
    for (size_t t = 0; t < width; ++t) {
      trees_[t].FindLeaves(block, found.data());
      for (size_t i = 0; i < count; ++i) {
        leaves[(first + i) * width + t] = trees_[t].NodeOf(found[i]);
      }
    }
  }
}

void TreePredictor::ScoreBlock(const RowBlock& block, std::span<int32_t> leaves,
                               std::span<double> scores) const {
  const size_t outputs = static_cast<size_t>(outputs_);
  std::fill(scores.begin(), scores.end(), 0.0);
  for (size_t t = 0; t < trees_.size(); ++t) {
    const PredictionTree& tree = trees_[t];
    tree.FindLeaves(block, leaves.data());
    const size_t width = tree.outputs();
    double* to = scores.data() + (tree_output_.empty() ? 0 : tree_output_[t]);
    for (int64_t i = 0; i < block.row_count(); ++i, to += outputs) {
      const double* from = tree.ValuesOf(leaves[static_cast<size_t>(i)]);
      for (size_t k = 0; k < width; ++k) to[k] += from[k];
    }
  }
  if (combination_ == TreeCombination::kMean && trees_.size() > 1) {
    for (double& score : scores) score /= static_cast<double>(trees_.size());
  }
  if (base_.empty()) return;
  for (size_t i = 0; i < scores.size(); ++i) scores[i] += base_[i % outputs];
}

template <typename Load>
void TreePredictor::ScoreAll(std::span<const FeatureColumn> features, const Load& load,
                             std::span<double> scores) const {
  const size_t width = static_cast<size_t>(outputs_);
  const int64_t rows = static_cast<int64_t>(scores.size() / width);
  const int64_t block_rows = RowsPerBlock(rows);
  RowBlock block(features, used_features_, block_rows);
  std::vector<int32_t> leaves(static_cast<size_t>(block_rows));
  for (int64_t first = 0; first < rows; first += block_rows) {
    const int64_t count = std::min(block_rows, rows - first);
    load(block, first, count);
    ScoreBlock(
        block, leaves,
        scores.subspan(static_cast<size_t>(first) * width, static_cast<size_t>(count) * width));
  }
}

void TreePredictor::PredictRaw(std::span<const FeatureColumn> features, int64_t begin,
                               std::span<double> scores) const {
  ScoreAll(
      features,
      [begin](RowBlock& block, int64_t first, int64_t count) {
        block.LoadRange(begin + first, count);
      },
      scores);
}

void TreePredictor::PredictRaw(std::span<const FeatureColumn> features,
                               std::span<const int64_t> rows, std::span<double> scores) const {
  ScoreAll(
      features,
      [rows](RowBlock& block, int64_t first, int64_t count) {
        block.LoadRows(rows.subspan(static_cast<size_t>(first), static_cast<size_t>(count)));
      },
      scores);
}

template <typename Score>
void TreePredictor::PredictBy(const Score& score, std::span<double> values) const {
  if (prediction_count() == outputs_) {
    score(values);
    ApplyLink(link_, outputs_, values, values);
    return;
  }
  std::vector<double> scores(values.size() / static_cast<size_t>(prediction_count()) *
                             static_cast<size_t>(outputs_));
  score(std::span(scores));
  ApplyLink(link_, outputs_, scores, values);
}

void TreePredictor::Predict(std::span<const FeatureColumn> features, int64_t begin,
                            std::span<double> values) const {
  PredictBy([&](std::span<double> scores) { PredictRaw(features, begin, scores); }, values);
}

void TreePredictor::Predict(std::span<const FeatureColumn> features, std::span<const int64_t> rows,
                            std::span<double> values) const {
  PredictBy([&](std::span<double> scores) { PredictRaw(features, rows, scores); }, values);
}

}  // namespace trainyard
