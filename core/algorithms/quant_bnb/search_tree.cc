// Between the search's trees and those of core/trees.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/trees/split_search.h"

namespace trainyard::quant_bnb {
namespace {

using Kind = SearchFeature::Kind;
using Rows = std::vector<uint32_t>;

Rows AllRows(int count) {
  Rows rows(static_cast<size_t>(count));
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  return rows;
}

// Appends a subtree to `nodes`; returns its root.
int Append(const SearchTree& from, int node, std::vector<SearchTree::Node>& nodes) {
  const int index = static_cast<int>(nodes.size());
  nodes.push_back(from.nodes[static_cast<size_t>(node)]);
  if (nodes.back().feature < 0) return index;
  const int left = Append(from, from.nodes[static_cast<size_t>(node)].left, nodes);
  const int right = Append(from, from.nodes[static_cast<size_t>(node)].right, nodes);
  nodes[static_cast<size_t>(index)].left = left;
  nodes[static_cast<size_t>(index)].right = right;
  return index;
}

// How a split stands in a Tree.
struct PlainSplit {
  double threshold = 0;
  std::vector<int32_t> left_levels;
  bool missing_left = false;
  bool swapped = false;  // the children change places
};

// Writes a SearchTree as a Tree.
class TreeWriter {
 public:
  TreeWriter(const SearchProblem& problem, const SearchTree& tree, const OptimalTreeInput& input,
             std::span<const uint32_t> input_rows)
      : problem_(problem), search_(tree), input_(input), input_rows_(input_rows) {}

  Tree Write() {
    tree_.outputs = problem_.outputs();
    bool categorical = false;
    WriteNode(0, AllRows(problem_.row_count()), categorical);
    tree_.level_begin.push_back(static_cast<int32_t>(tree_.left_levels.size()));
    if (!categorical) tree_.level_begin.clear();
    return FitLeaves(input_, std::move(tree_));
  }

 private:
  int WriteNode(int node, const Rows& rows, bool& categorical) {
    const SearchTree::Node& at = search_.nodes[static_cast<size_t>(node)];
    const size_t index = tree_.feature.size();
    PlainSplit split;
    Rows sides[2];
    if (at.feature >= 0) {
      for (const uint32_t row : rows) sides[problem_.GoesLeft(at, row) ? 0 : 1].push_back(row);
      split = PlainSplitOf(problem_.feature(at.feature), sides[0], sides[1]);
      categorical |= !split.left_levels.empty();
    }
    tree_.feature.push_back(at.feature < 0 ? -1 : problem_.feature(at.feature).column);
    tree_.threshold.push_back(split.threshold);
    tree_.left.push_back(-1);
    tree_.right.push_back(-1);
    tree_.missing_left.push_back(split.missing_left ? 1 : 0);
    tree_.level_begin.push_back(static_cast<int32_t>(tree_.left_levels.size()));
    tree_.left_levels.insert(tree_.left_levels.end(), split.left_levels.begin(),
                             split.left_levels.end());
    if (at.feature < 0) return static_cast<int>(index);
    const int children[2] = {at.left, at.right};
    const int first = split.swapped ? 1 : 0;
    const int left = WriteNode(children[first], sides[first], categorical);
    const int right = WriteNode(children[1 - first], sides[1 - first], categorical);
    tree_.left[index] = left;
    tree_.right[index] = right;
    return static_cast<int>(index);
  }

  int64_t TableRow(uint32_t row) const { return input_.rows[input_rows_[row]]; }

  bool Missing(const FeatureColumn& column, uint32_t row) const {
    const size_t at = static_cast<size_t>(TableRow(row));
    return column.categorical ? column.codes[at] < 0 : std::isnan(column.numbers[at]);
  }

  // Missing values go where those of these rows went, else to the heavier child.
  bool MissingGoesLeft(const FeatureColumn& column, const Rows& left, const Rows& right) const {
    const auto missing = [&](uint32_t row) { return Missing(column, row); };
    if (std::any_of(left.begin(), left.end(), missing)) return true;
    if (std::any_of(right.begin(), right.end(), missing)) return false;
    const auto weight = [&](const Rows& rows) {
      double sum = 0;
      for (const uint32_t row : rows) sum += problem_.weights()[row];
      return sum;
    };
    return weight(left) > weight(right);
  }

  PlainSplit PlainSplitOf(const SearchFeature& feature, const Rows& left, const Rows& right) const {
    const FeatureColumn& column = input_.features[static_cast<size_t>(feature.column)];
    PlainSplit split;
    split.missing_left = MissingGoesLeft(column, left, right);
    switch (feature.kind) {
      case Kind::kLevel:
      case Kind::kLevelAndMissing:
        split.left_levels = {feature.level};
        break;
      case Kind::kPresent:
        split.left_levels.resize(static_cast<size_t>(column.level_count));
        std::iota(split.left_levels.begin(), split.left_levels.end(), 0);
        break;
      case Kind::kNumber:
      case Kind::kMissingFirst:
        SetThreshold(column, left, right, split);
        break;
    }
    return split;
  }

  // The threshold between the greatest value on the left and the least on the right. Where a side
  // has missing values only, it becomes the right one.
  void SetThreshold(const FeatureColumn& column, const Rows& left, const Rows& right,
                    PlainSplit& split) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    bool left_present = false;
    bool right_present = false;
    double greatest = -kInfinity;
    double least = kInfinity;
    for (const uint32_t row : left) {
      if (Missing(column, row)) continue;
      left_present = true;
      greatest = std::max(greatest, column.numbers[static_cast<size_t>(TableRow(row))]);
    }
    for (const uint32_t row : right) {
      if (Missing(column, row)) continue;
      right_present = true;
      least = std::min(least, column.numbers[static_cast<size_t>(TableRow(row))]);
    }
    if (left_present && right_present) {
      split.threshold = MidpointThreshold(greatest, least);
      return;
    }
    split.threshold = kInfinity;
    split.swapped = !left_present;
    split.missing_left = false;
  }

  const SearchProblem& problem_;
  const SearchTree& search_;
  const OptimalTreeInput& input_;
  const std::span<const uint32_t> input_rows_;
  Tree tree_;
};

// Reads the structure of a Tree.
class TreeReader {
 public:
  TreeReader(const SearchProblem& problem, const Tree& tree, const OptimalTreeInput& input,
             std::span<const uint32_t> input_rows)
      : problem_(problem), tree_(tree), input_(input), input_rows_(input_rows) {}

  SearchTree Read() { return ReadNode(0, AllRows(problem_.row_count())); }

 private:
  struct Found {
    SearchTree::Node split;  // without a feature where the search has no such split
    bool swapped = false;    // its left side is the right child
  };

  SearchTree ReadNode(int node, const Rows& rows) {
    if (tree_.is_leaf(node)) return SearchTree::Leaf();
    const Found found = tree_.is_categorical(node) ? FindLevels(node, rows) : FindNumber(node);
    if (found.split.feature < 0) return SearchTree::Leaf();
    const size_t at = static_cast<size_t>(node);
    const int left = found.swapped ? tree_.right[at] : tree_.left[at];
    const int right = found.swapped ? tree_.left[at] : tree_.right[at];
    Rows sides[2];
    for (const uint32_t row : rows)
      sides[problem_.GoesLeft(found.split, row) ? 0 : 1].push_back(row);
    if (sides[0].empty()) return ReadNode(right, rows);
    if (sides[1].empty()) return ReadNode(left, rows);
    return SearchTree::Join(found.split.feature, found.split.rank, ReadNode(left, sides[0]),
                            ReadNode(right, sides[1]));
  }

  Found FindNumber(int node) const {
    const size_t at = static_cast<size_t>(node);
    Found fallback;
    for (int f = 0; f < problem_.feature_count(); ++f) {
      const SearchFeature& feature = problem_.feature(f);
      if (feature.column != tree_.feature[at]) continue;
      const Found found = {FindThreshold(f, tree_.threshold[at])};
      if ((feature.kind == Kind::kMissingFirst) == (tree_.missing_left[at] != 0)) return found;
      if (fallback.split.feature < 0) fallback = found;
    }
    return fallback;
  }

  // The split of some levels is known where it parts the node's rows as one of a single level does.
  Found FindLevels(int node, const Rows& rows) const {
    const size_t at = static_cast<size_t>(node);
    const FeatureColumn& column = input_.features[static_cast<size_t>(tree_.feature[at])];
    const std::span<const int32_t> levels = tree_.LeftLevels(node);
    const auto goes_left = [&](uint32_t row) {
      const int32_t code = column.codes[static_cast<size_t>(input_.rows[input_rows_[row]])];
      return code < 0 ? tree_.missing_left[at] != 0
                      : std::binary_search(levels.begin(), levels.end(), code);
    };
    for (int f = 0; f < problem_.feature_count(); ++f) {
      if (problem_.feature(f).column != tree_.feature[at]) continue;
      const Found found = {{f, 0, -1, -1}};
      const auto agrees = [&](uint32_t row) {
        return problem_.GoesLeft(found.split, row) == goes_left(row);
      };
      if (std::all_of(rows.begin(), rows.end(), agrees)) return found;
      if (std::none_of(rows.begin(), rows.end(), agrees)) return {found.split, true};
    }
    return {};
  }

  SearchTree::Node FindThreshold(int f, double threshold) const {
    const SearchFeature& feature = problem_.feature(f);
    const FeatureColumn& column = input_.features[static_cast<size_t>(feature.column)];
    const std::span<const uint32_t> order = problem_.order(f);
    const auto last = std::partition_point(order.begin(), order.end(), [&](uint32_t entry) {
      const double value =
          column.numbers[static_cast<size_t>(input_.rows[input_rows_[entry & kRowMask]])];
      if (std::isnan(value)) return feature.kind == Kind::kMissingFirst;
      return value <= threshold;
    });
    if (last == order.begin()) return {};
    return {f, problem_.ranks(f)[*(last - 1) & kRowMask], -1, -1};
  }

  const SearchProblem& problem_;
  const Tree& tree_;
  const OptimalTreeInput& input_;
  const std::span<const uint32_t> input_rows_;
};

}  // namespace

SearchTree SearchTree::Join(int feature, uint32_t rank, const SearchTree& left,
                            const SearchTree& right) {
  SearchTree tree;
  tree.nodes.reserve(1 + left.nodes.size() + right.nodes.size());
  tree.nodes.push_back({feature, rank, -1, -1});
  const int left_root = Append(left, 0, tree.nodes);
  const int right_root = Append(right, 0, tree.nodes);
  tree.nodes[0].left = left_root;
  tree.nodes[0].right = right_root;
  return tree;
}

Tree SearchProblem::ToTree(const SearchTree& tree, const OptimalTreeInput& input) const {
  return TreeWriter(*this, tree, input, input_row_).Write();
}

SearchTree SearchProblem::FromTree(const Tree& tree, const OptimalTreeInput& input) const {
  return TreeReader(*this, tree, input, input_row_).Read();
}

double SearchProblem::LeafLoss(std::span<const uint32_t> rows) const {
  const size_t outputs = static_cast<size_t>(outputs_);
  std::vector<double> sums(outputs, 0.0);
  double total = 0;
  double squares = 0;
  for (const uint32_t row : rows) {
    total += weights_[row];
    if (!classification()) {
      for (size_t o = 0; o < outputs; ++o) {
        sums[o] += sums_[row * outputs + o];
        squares += squares_[row * outputs + o];
      }
    } else if (costs_.empty()) {
      sums[static_cast<size_t>(classes_[row])] += weights_[row];
    } else {
      for (size_t o = 0; o < outputs; ++o) {
        sums[o] += weights_[row] * costs_[static_cast<size_t>(classes_[row]) * outputs + o];
      }
    }
  }
  if (classification()) {
    return costs_.empty() ? total - *std::max_element(sums.begin(), sums.end())
                          : *std::min_element(sums.begin(), sums.end());
  }
  double loss = squares;
  for (const double sum : sums) loss -= sum * sum / total;
  return std::max(loss, 0.0);
}

double SearchProblem::Loss(const SearchTree& tree) const {
  std::vector<Rows> rows_of(tree.nodes.size());
  rows_of[0] = AllRows(row_count());
  double loss = 0;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const SearchTree::Node& node = tree.nodes[i];
    if (node.feature < 0) {
      int64_t count = 0;
      for (const uint32_t row : rows_of[i]) count += counts_[row];
      if (count < min_samples_leaf_ && tree.nodes.size() > 1) {
        return std::numeric_limits<double>::infinity();
      }
      loss += LeafLoss(rows_of[i]);
      continue;
    }
    for (const uint32_t row : rows_of[i]) {
      rows_of[static_cast<size_t>(GoesLeft(node, row) ? node.left : node.right)].push_back(row);
    }
    rows_of[i] = Rows();
  }
  return loss;
}

}  // namespace trainyard::quant_bnb
