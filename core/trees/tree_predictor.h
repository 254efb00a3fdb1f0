// Fast application of trees to many rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/ensemble.h"
#include "core/trees/prediction_tree.h"
#include "core/trees/tree.h"

namespace trainyard {

// Trees in a layout for prediction (see PredictionTree): rows are taken in blocks, and each block
// passes through one tree after the other, so that a tree is read from memory once per block.
// Agrees with FindLeaf in every case. Immutable and thread-safe.
class TreePredictor {
 public:
  // The ensemble is valid (grown here, or checked by EnsembleFromModel); it is not kept.
  explicit TreePredictor(const TreeEnsemble& ensemble);
  // Trees of equal `outputs` without base and link.
  TreePredictor(std::span<const Tree> trees, TreeCombination combination);

  int tree_count() const { return static_cast<int>(trees_.size()); }
  // Raw scores per row.
  int outputs() const { return outputs_; }
  Link link() const { return link_; }
  // Predictions per row.
  int prediction_count() const { return PredictionCount(link_, outputs_); }

  // The ensemble again, with trees as PredictionTree::Restore gives them.
  TreeEnsemble Restore() const;

  // Node number of the leaf that each row reaches, [row][tree] row-major. `features` are indexed as
  // in the trees, `rows` are indices into their columns.
  void FindLeaves(std::span<const FeatureColumn> features, std::span<const int64_t> rows,
                  std::span<int32_t> leaves) const;

  // Raw scores (base plus combined values h) of rows [begin, begin + scores.size() / outputs()),
  // [row][output] row-major.
  void PredictRaw(std::span<const FeatureColumn> features, int64_t begin,
                  std::span<double> scores) const;

  // The same for the given rows.
  void PredictRaw(std::span<const FeatureColumn> features, std::span<const int64_t> rows,
                  std::span<double> scores) const;

  // Predictions (the link of the raw scores) of rows [begin, begin + values.size() /
  // prediction_count()), [row][prediction] row-major.
  void Predict(std::span<const FeatureColumn> features, int64_t begin,
               std::span<double> values) const;

  // The same for the given rows.
  void Predict(std::span<const FeatureColumn> features, std::span<const int64_t> rows,
               std::span<double> values) const;

 private:
  void Compile(std::span<const Tree> trees);
  // Calls `score` for raw scores and applies the link.
  template <typename Score>
  void PredictBy(const Score& score, std::span<double> values) const;
  int64_t RowsPerBlock(int64_t rows) const;
  // Raw scores of a loaded block.
  void ScoreBlock(const RowBlock& block, std::span<int32_t> leaves, std::span<double> scores) const;
  // Calls `load(block, first, count)` and fills `scores` block by block.
  template <typename Load>
  void ScoreAll(std::span<const FeatureColumn> features, const Load& load,
                std::span<double> scores) const;

  int outputs_ = 1;
  TreeCombination combination_ = TreeCombination::kMean;
  Link link_ = Link::kIdentity;
  std::vector<double> base_;
  std::vector<int32_t> tree_output_;
  std::vector<int32_t> used_features_;
  std::vector<PredictionTree> trees_;
  int64_t most_leaves_ = 0;  // of one tree
};

}  // namespace trainyard
