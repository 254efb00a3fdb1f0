// The rows and weights that each tree of a forest learns from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/random.h"
#include "core/trees/cart.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"

namespace trainyard {

// Draws rows of a forest's training rows. Immutable and thread-safe.
class ForestSampler {
 public:
  // The spans are indexed by presorted row and must outlive it; `rows` are the training rows. Rows
  // without weight are never drawn.
  ForestSampler(const TreeTarget& target, std::span<const double> weights,
                std::span<const uint32_t> rows, const v1::ForestOptions& options);

  bool bootstrap() const { return bootstrap_; }
  // The rows of positive weight.
  std::span<const uint32_t> rows() const { return rows_; }

  // How often each presorted row is drawn: max_samples x rows() draws with replacement; 1 for every
  // one of rows() without bootstrap. The first use of a tree's `rng`.
  void DrawCounts(Rng& rng, std::vector<uint32_t>& counts) const;

  // Drawn count x row weight x class weight by presorted row; 0 for rows that were not drawn.
  void WeightRows(std::span<const uint32_t> counts, std::vector<double>& weights) const;

 private:
  // The factor of each class that gives all classes of the rows the same weight; the sum is kept.
  std::vector<double> BalanceClasses(std::span<const uint32_t> counts) const;
  double WeightOf(uint32_t row) const { return weights_.empty() ? 1.0 : weights_[row]; }

  const TreeTarget target_;
  const std::span<const double> weights_;
  const v1::ForestOptions::ClassWeights class_weights_;
  bool bootstrap_ = false;
  uint64_t draws_ = 0;
  size_t presorted_rows_ = 0;
  std::vector<uint32_t> rows_;
  std::vector<double> balance_;  // by class, of all rows
};

}  // namespace trainyard
