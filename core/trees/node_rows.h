// The targets and weights of the rows of a growing tree, kept so that every node's rows are
// adjacent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/cart.h"

namespace trainyard {

// Positions [begin, end) of the rows of one node.
struct RowRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  int64_t size() const { return static_cast<int64_t>(end) - static_cast<int64_t>(begin); }
};

// What NodeRows::Prepare finds out about a node.
struct NodeStatistics {
  double weight = 0;    // N(t)
  double impurity = 0;  // i(t), exactly 0 for a pure node
  bool pure = false;    // all rows have the same target
};

// Targets and weights in node order. Targets of a regression are stored scaled by a power of two
// and, except for Poisson deviance, centred at the mean of their node, so that sums over them
// neither cancel nor overflow. Disjoint ranges may be used from different threads at once.
class NodeRows {
 public:
  // Takes the rows with positive weight.
  NodeRows(const TreeTarget& target, std::span<const double> weights,
           std::span<const uint32_t> rows, v1::CartOptions::Criterion criterion);

  uint32_t count() const { return static_cast<uint32_t>(rows_.size()); }
  int outputs() const { return target_.outputs; }
  bool classification() const { return target_.classification(); }
  bool weighted() const { return !weights_.empty(); }
  v1::CartOptions::Criterion criterion() const { return criterion_; }
  bool entropy() const {
    return criterion_ == v1::CartOptions::CRITERION_ENTROPY ||
           criterion_ == v1::CartOptions::CRITERION_GAIN_RATIO;
  }
  // x log2 x for whole x up to the total weight; empty unless the criterion is an entropy and all
  // weights are whole.
  std::span<const double> log_table() const { return log_table_; }
  // Factor from impurities of stored targets to impurities of targets.
  double impurity_scale() const { return impurity_scale_; }

  // By position.
  const uint32_t* rows() const { return rows_.data(); }
  const double* values() const { return values_.data(); }
  const int32_t* classes() const { return classes_.data(); }
  const double* weights() const { return weights_.data(); }

  // Centres a node's targets and measures it.
  NodeStatistics Prepare(RowRange range);

  // Moves position i of the range to `new_position[i]`, a permutation of the range.
  void Permute(RowRange range, const uint32_t* new_position);

  // Moves the positions i of the range with goes_left[i - range.begin] == 1 before those with 0, in
  // stable order.
  void Partition(RowRange range, const uint8_t* goes_left);

  // Adds up weight (in [0]) and weighted original targets or class weights of a range.
  void AddSums(RowRange range, std::span<double> sums) const;

 private:
  void CopyTargets(const TreeTarget& target);
  void FillLogTable();
  NodeStatistics PrepareRegression(RowRange range);
  NodeStatistics PreparePoisson(RowRange range) const;
  NodeStatistics PrepareClassification(RowRange range) const;
  double WeightAt(uint32_t position) const { return weights_.empty() ? 1.0 : weights_[position]; }

  const TreeTarget target_;
  const v1::CartOptions::Criterion criterion_;
  std::vector<uint32_t> rows_;
  std::vector<double> values_;
  std::vector<int32_t> classes_;
  std::vector<double> weights_;
  std::vector<double> log_table_;
  double impurity_scale_ = 1;
};

}  // namespace trainyard
