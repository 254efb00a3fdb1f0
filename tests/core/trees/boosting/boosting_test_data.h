// A short way to boost random training sets, for the tests of core/trees/boosting.
#pragma once

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "core/trees/boosting/boosting.h"
#include "gtest/gtest.h"
#include "tests/core/trees/tree_test_data.h"

namespace trainyard {

using Boost = v1::BoostingOptions;

// Options as they are after the defaults were filled in, for sets of a few dozen rows.
inline Boost SmallBoosting(Boost::Loss loss, int rounds) {
  Boost options;
  options.set_loss(loss);
  options.set_rounds(rounds);
  options.set_learning_rate(0.3);
  options.set_max_leaves(8);
  options.set_max_depth(0);
  options.set_min_samples_leaf(1);
  options.set_min_child_weight(0);
  options.set_l2(0);
  options.set_max_bins(255);
  options.set_subsample(1);
  options.set_feature_fraction(1);
  options.set_early_stopping_rounds(0);
  options.set_early_stopping_tolerance(0);
  options.set_quantile_level(0.3);
  options.set_huber_quantile(0.8);
  options.set_category_smoothing(0);
  options.set_shrinkage_mode(Boost::SHRINKAGE_MODE_NONE);
  return options;
}

inline const std::vector<Boost::Loss>& AllLosses() {
  static const auto* const losses = new std::vector<Boost::Loss>{
      Boost::LOSS_SQUARED_ERROR, Boost::LOSS_LOGISTIC, Boost::LOSS_SOFTMAX,
      Boost::LOSS_POISSON,       Boost::LOSS_QUANTILE, Boost::LOSS_HUBER,
      Boost::LOSS_ABSOLUTE_ERROR};
  return *losses;
}

// A random set that fits the loss, whose target depends on the first three features.
inline TrainingSet MakeSetFor(Boost::Loss loss, RandomShape shape, uint64_t seed) {
  shape.classification = loss == Boost::LOSS_LOGISTIC || loss == Boost::LOSS_SOFTMAX;
  shape.outputs = loss == Boost::LOSS_LOGISTIC ? 2 : loss == Boost::LOSS_SOFTMAX ? 3 : 1;
  TrainingSet set = MakeRandomSet(shape, seed);
  for (size_t row = 0; row < set.rows; ++row) {
    double signal = 0;
    for (size_t f = 0; f < 3 && f < set.numbers.size(); ++f) {
      if (!set.numbers[f].empty() && !std::isnan(set.numbers[f][row])) {
        signal += std::sin(set.numbers[f][row] + static_cast<double>(f));
      }
    }
    if (shape.classification) {
      if (signal > 0.5) set.classes[row] = set.outputs - 1;
    } else {
      set.values[row] += 4 * signal;
      if (loss == Boost::LOSS_POISSON) set.values[row] = std::floor(std::abs(set.values[row]));
    }
  }
  return set;
}

inline std::vector<uint32_t> Numbers(uint32_t begin, uint32_t end) {
  std::vector<uint32_t> numbers(end - begin);
  std::iota(numbers.begin(), numbers.end(), begin);
  return numbers;
}

inline BinnedFeatures Bin(const TrainingSet& set, ThreadPool& pool, int max_bins = 255) {
  std::vector<int64_t> rows(set.rows);
  std::iota(rows.begin(), rows.end(), int64_t{0});
  const auto features =
      BinnedFeatures::Build(set.columns(), rows, {max_bins, {}, set.weights}, pool, {});
  EXPECT_TRUE(features.ok()) << features.status();
  return *features;
}

// How a set is boosted.
struct BoostCase {
  std::vector<uint32_t> rows;  // empty: all
  std::vector<uint32_t> validation_rows;
  std::vector<int8_t> directions;
  BoostingSetup setup;
  BoostingHooks hooks;
  int threads = 1;
};

inline absl::StatusOr<BoostingResult> TryBoost(const TrainingSet& set, const Boost& options,
                                               const BoostCase& own = {}) {
  ThreadPool pool(own.threads);
  const BinnedFeatures features = Bin(set, pool, options.max_bins());
  const std::vector<uint32_t> all = Numbers(0, static_cast<uint32_t>(set.rows));
  return FitBoosting({features, set.target(), set.weights, own.rows.empty() ? all : own.rows,
                      own.validation_rows, own.directions},
                     options, own.setup, pool, own.hooks);
}

inline BoostingResult MustBoost(const TrainingSet& set, const Boost& options,
                                const BoostCase& own = {}) {
  absl::StatusOr<BoostingResult> result = TryBoost(set, options, own);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : BoostingResult();
}

// Raw scores of one row by a plain walk over the trees, [output].
inline std::vector<double> ScoresOf(const TreeEnsemble& ensemble,
                                    std::span<const FeatureColumn> columns, int64_t row) {
  std::vector<double> scores = ensemble.base;
  for (size_t i = 0; i < ensemble.trees.size(); ++i) {
    const Tree& tree = ensemble.trees[i];
    const size_t output =
        ensemble.tree_output.empty() ? 0 : static_cast<size_t>(ensemble.tree_output[i]);
    scores[output] += tree.ValueOf(FindLeaf(tree, columns, row))[0];
  }
  return scores;
}

}  // namespace trainyard
