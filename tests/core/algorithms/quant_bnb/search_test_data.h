// Inputs of searches made from random training sets, and options with their defaults.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "proto/schema/field_rules.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {

// Owns what an input points to.
class SearchSet {
 public:
  explicit SearchSet(TrainingSet set) : set_(std::move(set)), columns_(set_.columns()) {
    rows_.resize(set_.rows);
    std::iota(rows_.begin(), rows_.end(), int64_t{0});
    input_.features = columns_;
    input_.rows = rows_;
    input_.classes = set_.classes;
    input_.values = set_.values;
    input_.outputs = set_.outputs;
    input_.weights = set_.weights;
  }
  SearchSet(const SearchSet&) = delete;
  SearchSet& operator=(const SearchSet&) = delete;

  const TrainingSet& set() const { return set_; }
  const OptimalTreeInput& input() const { return input_; }
  void SetCosts(std::vector<double> costs) {
    costs_ = std::move(costs);
    input_.costs = costs_;
  }

 private:
  const TrainingSet set_;
  const std::vector<FeatureColumn> columns_;
  std::vector<int64_t> rows_;
  std::vector<double> costs_;
  OptimalTreeInput input_;
};

inline v1::QuantBnbSpec DefaultSearch(int depth = 2) {
  v1::QuantBnbSpec spec;
  FillDefaults(spec);
  spec.set_depth(depth);
  return spec;
}

}  // namespace trainyard
