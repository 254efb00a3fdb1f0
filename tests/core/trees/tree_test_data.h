// Random training sets and a short way to grow a tree on them, for the tests of core/trees.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/cart.h"
#include "core/trees/presort.h"
#include "core/trees/tree.h"
#include "gtest/gtest.h"

namespace trainyard {

inline constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

// A training set that owns its columns.
struct TrainingSet {
  std::vector<std::vector<double>> numbers;  // one of the two is empty for each feature
  std::vector<std::vector<int32_t>> codes;
  std::vector<int32_t> level_counts;  // 0 for numbers
  std::vector<double> values;         // [row][output]
  std::vector<int32_t> classes;
  std::vector<double> weights;  // may be empty
  int outputs = 1;
  size_t rows = 0;

  bool classification() const { return !classes.empty(); }
  TreeTarget target() const {
    return classification() ? TreeTarget::Classification(classes, outputs)
                            : TreeTarget::Regression(values, outputs);
  }
  std::vector<FeatureColumn> columns() const {
    std::vector<FeatureColumn> columns;
    for (size_t f = 0; f < level_counts.size(); ++f) {
      columns.push_back(level_counts[f] > 0 ? FeatureColumn::Categorical(codes[f], level_counts[f])
                                            : FeatureColumn::Numeric(numbers[f]));
    }
    return columns;
  }
  double WeightOf(size_t row) const { return weights.empty() ? 1.0 : weights[row]; }
  void AddNumbers(std::vector<double> column) {
    numbers.push_back(std::move(column));
    codes.emplace_back();
    level_counts.push_back(0);
  }
  void AddCodes(std::vector<int32_t> column, int32_t levels) {
    numbers.emplace_back();
    codes.push_back(std::move(column));
    level_counts.push_back(levels);
  }
};

// What a random training set is made of.
struct RandomShape {
  size_t rows = 30;
  int numeric_features = 3;
  int categorical_features = 0;
  int levels = 4;
  int outputs = 1;
  bool classification = false;
  bool weighted = false;
  double missing_share = 0;
  int distinct_values = 0;   // of numeric features; 0: continuous
  int distinct_targets = 0;  // of a regression; 0: continuous
  double target_offset = 0;  // added to the targets of a regression
};

inline TrainingSet MakeRandomSet(const RandomShape& shape, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  const auto number = [&](int distinct) {
    return distinct > 0 ? static_cast<double>(random() % static_cast<uint64_t>(distinct))
                        : uniform(random) * 10 - 5;
  };
  TrainingSet set;
  set.rows = shape.rows;
  set.outputs = shape.outputs;
  for (int f = 0; f < shape.numeric_features; ++f) {
    std::vector<double> column(shape.rows);
    for (double& value : column) {
      value = uniform(random) < shape.missing_share ? kMissing : number(shape.distinct_values);
    }
    set.AddNumbers(std::move(column));
  }
  for (int f = 0; f < shape.categorical_features; ++f) {
    std::vector<int32_t> column(shape.rows);
    for (int32_t& code : column) {
      const bool missing = uniform(random) < shape.missing_share;
      code = missing ? -1 : static_cast<int32_t>(random() % static_cast<uint64_t>(shape.levels));
    }
    set.AddCodes(std::move(column), shape.levels);
  }
  for (size_t row = 0; row < shape.rows; ++row) {
    if (shape.classification) {
      set.classes.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(shape.outputs)));
    } else {
      for (int k = 0; k < shape.outputs; ++k) {
        set.values.push_back(number(shape.distinct_targets) + shape.target_offset);
      }
    }
    if (shape.weighted) {
      // Small multiples of 1/4, now and then 0: sums stay exact.
      set.weights.push_back(static_cast<double>(random() % 9) / 4);
    }
  }
  if (shape.weighted) set.weights[0] = 1;
  return set;
}

// Options as they are after the defaults were filled in.
inline v1::CartOptions DefaultCart() {
  v1::CartOptions options;
  options.set_max_depth(0);
  options.set_max_leaf_nodes(0);
  options.set_min_samples_split(2);
  options.set_min_samples_leaf(1);
  options.set_min_weight_fraction_leaf(0);
  options.set_min_impurity_decrease(0);
  return options;
}

inline Tree Grow(const TrainingSet& set, const v1::CartOptions& options, int threads = 1) {
  ThreadPool pool(threads);
  std::vector<int64_t> table_rows(set.rows);
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::vector<uint32_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), uint32_t{0});
  const auto features = PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  EXPECT_TRUE(features.ok()) << features.status();
  const auto tree = GrowCart(*features, set.target(), set.weights, rows, options, pool, {});
  EXPECT_TRUE(tree.ok()) << tree.status();
  return *tree;
}

}  // namespace trainyard
