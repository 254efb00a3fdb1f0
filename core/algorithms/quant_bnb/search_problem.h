// The data of a search for an optimal tree, made small: distinct rows, distinct features, ranks.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/base/thread_pool.h"
#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard::quant_bnb {

// A way to order the rows, whose prefixes are the candidate left sides. A column makes one or more:
// numbers without missing values make one; with some, two (missing last, and missing first); a
// category makes one of two values per level (the level first), with missing values also the level
// and the missing first, and all levels first.
struct SearchFeature {
  enum class Kind { kNumber, kMissingFirst, kLevel, kLevelAndMissing, kPresent };
  int column = 0;  // of OptimalTreeInput::features
  Kind kind = Kind::kNumber;
  int32_t level = 0;  // of kLevel and kLevelAndMissing
};

// One row of an order: row number in the low bits, kLastOfValue set on the last row of each value.
inline constexpr uint32_t kLastOfValue = uint32_t{1} << 31;
inline constexpr uint32_t kRowMask = kLastOfValue - 1;

// A tree in the search's terms: what is left open by FindOptimalTree's callers is the thresholds.
struct SearchTree {
  struct Node {
    int feature = -1;  // search feature; -1 for a leaf
    // Rows whose rank is <= this go left.
    uint32_t rank = 0;
    int left = -1;
    int right = -1;
  };
  std::vector<Node> nodes;  // node 0 is the root, parents precede children

  int splits() const { return static_cast<int>(nodes.size() / 2); }
  static SearchTree Leaf() { return {{Node{}}}; }
  // A root over two trees.
  static SearchTree Join(int feature, uint32_t rank, const SearchTree& left,
                         const SearchTree& right);
};

// Rows that are equal in all features (and class) are one row, their weights added up; rows of
// weight 0 are left out; constant features and those that order the rows as an earlier one are left
// out. Immutable and thread-safe. Memory: 8 bytes per row and feature.
class SearchProblem {
 public:
  // INVALID_ARGUMENT for missing values where `spec` refuses them; else the status of `check`.
  static absl::StatusOr<SearchProblem> Build(const OptimalTreeInput& input,
                                             const v1::QuantBnbSpec& spec, ThreadPool& pool,
                                             const std::function<absl::Status()>& check);

  int row_count() const { return static_cast<int>(weights_.size()); }
  int feature_count() const { return static_cast<int>(features_.size()); }
  const SearchFeature& feature(int f) const { return features_[static_cast<size_t>(f)]; }
  // All rows by ascending rank; entries as described at kLastOfValue.
  std::span<const uint32_t> order(int f) const { return orders_[static_cast<size_t>(f)]; }
  // Number of smaller distinct values, per row.
  std::span<const uint32_t> ranks(int f) const { return ranks_[static_cast<size_t>(f)]; }

  bool classification() const { return !classes_.empty(); }
  int outputs() const { return outputs_; }
  std::span<const int32_t> classes() const { return classes_; }
  // Weight of each distinct row, > 0.
  std::span<const double> weights() const { return weights_; }
  // Number of given rows that each one stands for.
  std::span<const int32_t> counts() const { return counts_; }
  // Regression: sum of weight x (target - its mean over all rows), [row][output].
  std::span<const double> sums() const { return sums_; }
  // Regression: sum of weight x (target - its mean over all rows)^2, [row][output].
  std::span<const double> squares() const { return squares_; }
  // Cost of predicting a class, [true][predicted]; empty for 1 off the diagonal.
  std::span<const double> costs() const { return costs_; }

  double split_penalty() const { return split_penalty_; }
  int64_t min_samples_leaf() const { return min_samples_leaf_; }
  // Whether all losses are whole numbers, exact in a double: whole weights, costs and
  // penalty.
  bool whole_losses() const { return whole_losses_; }
  // Whether every row has weight 1.
  bool unit_weights() const { return unit_weights_; }
  // Losses that differ by no more count as equal.
  double tolerance() const { return tolerance_; }

  // The tree with thresholds midway between neighbouring values at each node, fitted to the rows of
  // `input`, that of Build.
  Tree ToTree(const SearchTree& tree, const OptimalTreeInput& input) const;
  // The structure of a tree on the columns of `input`, its thresholds at the nearest candidates.
  // Splits that this problem does not know (on several levels) become leaves.
  SearchTree FromTree(const Tree& tree, const OptimalTreeInput& input) const;
  // Whether a row goes left at a split.
  bool GoesLeft(const SearchTree::Node& node, uint32_t row) const {
    return ranks_[static_cast<size_t>(node.feature)][row] <= node.rank;
  }
  // Loss of a leaf with these rows.
  double LeafLoss(std::span<const uint32_t> rows) const;
  // Loss of a tree whose leaves predict what is best for their rows, without the penalty. Infinite
  // where a leaf has fewer than min_samples_leaf rows.
  double Loss(const SearchTree& tree) const;

 private:
  friend class SearchProblemBuilder;

  std::vector<SearchFeature> features_;
  std::vector<std::vector<uint32_t>> orders_;
  std::vector<std::vector<uint32_t>> ranks_;
  std::vector<uint32_t> input_row_;  // a row of the input that each row stands for
  std::vector<int32_t> classes_;
  std::vector<double> weights_;
  std::vector<int32_t> counts_;
  std::vector<double> sums_;
  std::vector<double> squares_;
  std::vector<double> costs_;
  int outputs_ = 1;
  double split_penalty_ = 0;
  int64_t min_samples_leaf_ = 1;
  bool whole_losses_ = false;
  bool unit_weights_ = false;
  double tolerance_ = 0;
};

}  // namespace trainyard::quant_bnb
