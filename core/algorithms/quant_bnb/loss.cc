#include "core/algorithms/quant_bnb/loss.h"

#include <algorithm>
#include <cstddef>

#include "core/trees/subtree.h"

namespace trainyard {
namespace {

double WeightAt(const OptimalTreeInput& input, size_t row) {
  return input.weights.empty() ? 1.0 : input.weights[row];
}

// What a node holds.
struct NodeSums {
  double weight = 0;
  std::vector<double> mean;  // class shares, or mean targets
  double squared_error = 0;  // around the mean, summed over targets; of a regression
};

std::vector<double> ClassWeights(const OptimalTreeInput& input, std::span<const uint32_t> rows) {
  std::vector<double> weights(static_cast<size_t>(input.outputs), 0.0);
  for (const uint32_t row : rows) {
    weights[static_cast<size_t>(input.classes[row])] += WeightAt(input, row);
  }
  return weights;
}

// The mean of one target. A second pass over what is left of it takes back the rounding of the
// first, which matters where the mean is large beside the spread.
double MeanTarget(const OptimalTreeInput& input, std::span<const uint32_t> rows, size_t output,
                  double weight) {
  const size_t width = static_cast<size_t>(input.outputs);
  double mean = 0;
  for (int pass = 0; pass < 2; ++pass) {
    double sum = 0;
    for (const uint32_t row : rows) {
      sum += WeightAt(input, row) * (input.values[row * width + output] - mean);
    }
    mean += sum / weight;
  }
  return mean;
}

NodeSums SumRows(const OptimalTreeInput& input, std::span<const uint32_t> rows) {
  NodeSums sums;
  for (const uint32_t row : rows) sums.weight += WeightAt(input, row);
  const size_t width = static_cast<size_t>(input.outputs);
  if (input.classification()) {
    sums.mean = ClassWeights(input, rows);
    for (double& share : sums.mean) share /= sums.weight;
    return sums;
  }
  for (size_t k = 0; k < width; ++k) {
    const double mean = MeanTarget(input, rows, k, sums.weight);
    for (const uint32_t row : rows) {
      const double difference = input.values[row * width + k] - mean;
      sums.squared_error += WeightAt(input, row) * difference * difference;
    }
    sums.mean.push_back(mean);
  }
  return sums;
}

double ClassificationLoss(const OptimalTreeInput& input, std::span<const uint32_t> rows) {
  const std::vector<double> weights = ClassWeights(input, rows);
  const size_t classes = weights.size();
  double least = 0;
  for (size_t k = 0; k < classes; ++k) {
    double loss = 0;
    for (size_t c = 0; c < classes; ++c) {
      if (c != k) loss += weights[c] * (input.costs.empty() ? 1.0 : input.costs[c * classes + k]);
    }
    if (k == 0 || loss < least) least = loss;
  }
  return least;
}

// Copies a structure node by node with the statistics of the rows that reach it.
class LeafFitter {
 public:
  LeafFitter(const OptimalTreeInput& input, const Tree& structure)
      : input_(input), structure_(structure) {
    fitted_.outputs = input.outputs;
  }

  Tree Fit() && {
    Add(0, UsedRows(input_));
    fitted_.level_begin.push_back(static_cast<int32_t>(fitted_.left_levels.size()));
    if (fitted_.left_levels.empty()) fitted_.level_begin.clear();
    fitted_.value = fitted_.mean;
    return std::move(fitted_);
  }

 private:
  // Appends the subtree at `node` of the structure; returns its number.
  int32_t Add(int node, RowPositions rows) {
    std::pair<RowPositions, RowPositions> sides;
    while (!structure_.is_leaf(node)) {
      sides = DivideRows(input_, structure_, node, rows);
      const size_t t = static_cast<size_t>(node);
      if (!sides.first.empty() && !sides.second.empty()) break;
      node = sides.first.empty() ? structure_.right[t] : structure_.left[t];
    }
    const int32_t number = AddNode(node, rows);
    if (structure_.is_leaf(node)) return number;
    RowPositions().swap(rows);
    const int32_t left = Add(structure_.left[static_cast<size_t>(node)], std::move(sides.first));
    const int32_t right = Add(structure_.right[static_cast<size_t>(node)], std::move(sides.second));
    fitted_.left[static_cast<size_t>(number)] = left;
    fitted_.right[static_cast<size_t>(number)] = right;
    return number;
  }

  int32_t AddNode(int node, std::span<const uint32_t> rows) {
    const size_t t = static_cast<size_t>(node);
    const int32_t number = fitted_.node_count();
    fitted_.feature.push_back(structure_.feature[t]);
    fitted_.threshold.push_back(structure_.threshold[t]);
    fitted_.missing_left.push_back(structure_.missing_left[t]);
    fitted_.left.push_back(-1);
    fitted_.right.push_back(-1);
    fitted_.level_begin.push_back(static_cast<int32_t>(fitted_.left_levels.size()));
    const std::span<const int32_t> levels = structure_.LeftLevels(node);
    fitted_.left_levels.insert(fitted_.left_levels.end(), levels.begin(), levels.end());
    const NodeSums sums = SumRows(input_, rows);
    fitted_.weight.push_back(sums.weight);
    fitted_.row_count.push_back(static_cast<int64_t>(rows.size()));
    fitted_.impurity.push_back(ImpurityOf(sums));
    fitted_.mean.insert(fitted_.mean.end(), sums.mean.begin(), sums.mean.end());
    return number;
  }

  // Gini impurity, or mean squared error averaged over targets.
  double ImpurityOf(const NodeSums& sums) const {
    if (!input_.classification()) return sums.squared_error / sums.weight / input_.outputs;
    double impurity = 1;
    for (const double share : sums.mean) impurity -= share * share;
    return std::max(impurity, 0.0);
  }

  const OptimalTreeInput& input_;
  const Tree& structure_;
  Tree fitted_;
};

// Finds the nodes that are better leaves.
class Pruner {
 public:
  Pruner(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec, const Tree& tree)
      : input_(input),
        penalty_(spec.split_penalty()),
        min_rows_(static_cast<size_t>(spec.min_samples_leaf())),
        tree_(tree),
        made_leaf_(tree.feature.size(), 0) {}

  Tree Run() && {
    Visit(0, UsedRows(input_));
    return MakeLeaves(tree_, made_leaf_);
  }

 private:
  // Least loss of the subtree at `node`.
  double Visit(int node, RowPositions rows) {
    const double as_leaf = LeafLoss(input_, rows);
    if (tree_.is_leaf(node)) return as_leaf;
    const size_t t = static_cast<size_t>(node);
    auto [left, right] = DivideRows(input_, tree_, node, rows);
    RowPositions().swap(rows);
    if (std::min(left.size(), right.size()) >= std::max<size_t>(min_rows_, 1)) {
      const double left_loss = Visit(tree_.left[t], std::move(left));
      const double split = penalty_ + left_loss + Visit(tree_.right[t], std::move(right));
      if (split < as_leaf) return split;
    }
    made_leaf_[t] = 1;
    return as_leaf;
  }

  const OptimalTreeInput& input_;
  const double penalty_;
  const size_t min_rows_;
  const Tree& tree_;
  std::vector<uint8_t> made_leaf_;
};

}  // namespace

RowPositions UsedRows(const OptimalTreeInput& input) {
  RowPositions rows;
  rows.reserve(input.rows.size());
  for (size_t row = 0; row < input.rows.size(); ++row) {
    if (WeightAt(input, row) > 0) rows.push_back(static_cast<uint32_t>(row));
  }
  return rows;
}

std::pair<RowPositions, RowPositions> DivideRows(const OptimalTreeInput& input, const Tree& tree,
                                                 int node, std::span<const uint32_t> rows) {
  const size_t feature = static_cast<size_t>(tree.feature[static_cast<size_t>(node)]);
  const FeatureColumn& column = input.features[feature];
  std::pair<RowPositions, RowPositions> sides;
  for (const uint32_t row : rows) {
    (GoesLeft(tree, node, column, input.rows[row]) ? sides.first : sides.second).push_back(row);
  }
  return sides;
}

double LeafLoss(const OptimalTreeInput& input, std::span<const uint32_t> rows) {
  if (rows.empty()) return 0;
  return input.classification() ? ClassificationLoss(input, rows)
                                : SumRows(input, rows).squared_error;
}

double TreeLoss(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec, const Tree& tree) {
  std::vector<RowPositions> rows_of(tree.feature.size());
  for (const uint32_t row : UsedRows(input)) {
    rows_of[static_cast<size_t>(FindLeaf(tree, input.features, input.rows[row]))].push_back(row);
  }
  double loss = spec.split_penalty() * static_cast<double>(tree.leaf_count() - 1);
  for (const RowPositions& rows : rows_of) loss += LeafLoss(input, rows);
  return loss;
}

Tree FitLeaves(const OptimalTreeInput& input, Tree structure) {
  return LeafFitter(input, structure).Fit();
}

Tree PruneToLeastLoss(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec,
                      const Tree& tree) {
  return Pruner(input, spec, tree).Run();
}

}  // namespace trainyard
