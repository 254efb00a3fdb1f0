// Trees that predict together: a forest, a boosted sequence, a sum of FIGS trees, or one tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/trees/tree.h"

namespace trainyard {

// How the values of several trees combine.
enum class TreeCombination { kMean, kSum };

// How raw scores become predictions.
enum class Link {
  kIdentity,  // as they are: values of a regression, class shares averaged over trees
  kLogistic,  // one raw score s: the two class probabilities 1 - p and p = 1 / (1 + exp(-s))
  kSoftmax,   // one raw score per class
  kExp,       // exp(s): the mean of a Poisson response
  kClip,      // one raw score per class, clipped to [0, 1] and divided by their sum
};

// Predictions per row for `outputs` raw scores: 2 for kLogistic, else `outputs`.
constexpr int PredictionCount(Link link, int outputs) {
  return link == Link::kLogistic ? 2 : outputs;
}

// The raw scores of a row are base + the mean or sum over trees of h(leaf that the row reaches);
// predictions are the link of the raw scores.
struct TreeEnsemble {
  std::vector<Tree> trees;
  TreeCombination combination = TreeCombination::kMean;
  // Raw scores per row.
  int outputs = 1;
  // Added to the combined values, one per output; empty for 0.
  std::vector<double> base;
  // Which output each tree adds to, where trees have one value each and there are several outputs
  // (boosting of several classes); empty: every tree has `outputs` values.
  std::vector<int32_t> tree_output;
  Link link = Link::kIdentity;

  int prediction_count() const { return PredictionCount(link, outputs); }
  // The raw score that the only value of a tree adds to; 0 where trees have all `outputs`.
  int OutputOf(int tree) const {
    return tree_output.empty() ? 0 : tree_output[static_cast<size_t>(tree)];
  }

  friend bool operator==(const TreeEnsemble&, const TreeEnsemble&) = default;
};

// One tree as an ensemble.
TreeEnsemble EnsembleOf(Tree tree);

// Predictions from raw scores, [row][output] to [row][prediction], row-major. The spans are the
// same where PredictionCount is `outputs`, or do not overlap.
void ApplyLink(Link link, int outputs, std::span<const double> raw, std::span<double> predictions);

}  // namespace trainyard
