// The rows of a node, sorted by every feature.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {

// The rows that reach a node, numbered from 0 within it, and their orders by each feature that has
// two values among them. Orders are made by stable partition of the parent's, never by sorting.
// Memory: 4 bytes per row and feature, none for the root. Reused from split to split without
// allocation while it is large enough and not much too large.
class SearchNode {
 public:
  // All rows of the problem, which must outlive the node.
  void AssignRoot(const SearchProblem& problem);
  // The two sides of `parent` when the first `left_count` rows in the order of its feature number
  // `index` (a position in features()) go left; the cut lies between two values. O(rows x
  // features).
  static void Split(const SearchNode& parent, int index, int left_count, SearchNode& left,
                    SearchNode& right, StopToken* stop = nullptr);

  const SearchProblem& problem() const { return *problem_; }
  int row_count() const { return static_cast<int>(rows_.size()); }
  // The problem's number of each row.
  std::span<const uint32_t> rows() const { return rows_; }
  // The search features that have two or more values here, ascending.
  std::span<const int> features() const { return features_; }
  int feature_count() const { return static_cast<int>(features_.size()); }
  // The rows by ascending value of feature number `index`; kLastOfValue is set on the last row of
  // each value.
  std::span<const uint32_t> order(int index) const {
    if (root_) return problem_->order(features_[static_cast<size_t>(index)]);
    const size_t count = rows_.size();
    return {entries_.data() + 1 + static_cast<size_t>(index) * (count + 1), count};
  }
  // The problem's rank of the row at a place of an order: what SearchTree calls a cut after it.
  uint32_t RankAt(int index, int place) const {
    return problem_->ranks(features_[static_cast<size_t>(
        index)])[rows_[order(index)[static_cast<size_t>(place)] & kRowMask]];
  }

  // Loss of the node as a leaf; 0 or more.
  double leaf_loss() const { return leaf_loss_; }
  // Given rows in the node.
  int64_t sample_count() const { return sample_count_; }
  // Sum of the row weights.
  double weight() const { return weight_; }
  // Classification: weight of each class.
  std::span<const double> class_weights() const { return class_weights_; }

 private:
  void Measure();
  void DropConstantFeatures();

  const SearchProblem* problem_ = nullptr;
  bool root_ = false;  // the orders are the problem's
  std::vector<uint32_t> rows_;
  std::vector<int> features_;
  // Each order has one entry in front that splits may write to.
  std::vector<uint32_t> entries_;
  std::vector<double> class_weights_;
  double leaf_loss_ = 0;
  double weight_ = 0;
  int64_t sample_count_ = 0;
};

}  // namespace trainyard::quant_bnb
