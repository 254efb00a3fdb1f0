// Forests on random training sets, for the tests of core/trees.
#pragma once

#include <numeric>
#include <utility>
#include <vector>

#include "core/trees/forest.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {

inline v1::ForestOptions SmallForest(
    int trees, v1::ForestOptions::Kind kind = v1::ForestOptions::KIND_RANDOM_FOREST) {
  v1::ForestOptions options;
  options.set_kind(kind);
  options.set_tree_count(trees);
  options.set_max_samples(1);
  options.set_class_weights(v1::ForestOptions::CLASS_WEIGHTS_NONE);
  options.set_oob(true);
  return options;
}

inline OobRequest Strengths() {
  return {v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL, {0, 1, 20}};
}

// A training set with everything that a forest needs of it.
struct Sorted {
  explicit Sorted(const TrainingSet& training_set, int threads = 1)
      : set(training_set), pool(threads), rows(set.rows) {
    std::vector<int64_t> table_rows(set.rows);
    std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
    std::iota(rows.begin(), rows.end(), uint32_t{0});
    features = *PresortedFeatures::Build(set.columns(), table_rows, pool, {});
  }
  ForestData data() const { return {features, set.target(), set.weights, rows}; }
  absl::StatusOr<Forest> Fit(const v1::CartOptions& cart, const v1::ForestOptions& options,
                             uint64_t seed, std::vector<Tree> grown = {},
                             const ForestHooks& hooks = {}) {
    return GrowForest(data(), cart, options, Strengths(), seed, std::move(grown), pool, hooks);
  }

  const TrainingSet set;
  ThreadPool pool;
  PresortedFeatures features;
  std::vector<uint32_t> rows;
};

inline TrainingSet MixedSet(bool classification, size_t rows) {
  return MakeRandomSet({.rows = rows,
                        .numeric_features = 5,
                        .categorical_features = 2,
                        .levels = 6,
                        .outputs = classification ? 3 : 1,
                        .classification = classification,
                        .weighted = true,
                        .missing_share = 0.05},
                       17);
}

inline v1::CartOptions WithFeatures(v1::CartOptions::MaxFeatures kind, double number = 0) {
  v1::CartOptions cart = DefaultCart();
  cart.set_max_features(kind);
  if (number > 0) cart.set_max_features_number(number);
  return cart;
}

}  // namespace trainyard
