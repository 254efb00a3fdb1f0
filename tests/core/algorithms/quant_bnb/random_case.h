// Small random problems for the searches for optimal trees.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard {

// A table with a target and the options to fit it by. Owns its data.
struct RandomCase {
  std::vector<std::vector<double>> numbers;  // one of the two is empty for each feature
  std::vector<std::vector<int32_t>> codes;
  std::vector<int32_t> level_counts;  // 0 for numbers
  std::vector<int64_t> rows;
  std::vector<int32_t> classes;
  std::vector<double> values;
  std::vector<double> weights;  // may be empty
  std::vector<double> costs;    // may be empty
  int outputs = 1;
  v1::QuantBnbSpec spec;

  std::vector<FeatureColumn> features;  // views of the columns

  OptimalTreeInput input() const;
  // What it is made of, to tell which case failed.
  std::string Description() const;
};

// The case of a seed: at most 40 rows and 4 features, fewer the deeper the tree (1 to 3); ties,
// constant, equal and categorical features, missing values, duplicate rows; weights (whole, real,
// zero), costs, split penalties, 1 to 5 rows in a leaf; up to 5 classes or 3 targets, shifted by up
// to 1e6. All fields of the spec have values.
RandomCase MakeRandomCase(uint64_t seed);

}  // namespace trainyard
