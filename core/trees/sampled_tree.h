// One tree whose nodes are split by a few drawn features.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "core/base/random.h"
#include "core/trees/cart.h"
#include "core/trees/rank_matrix.h"
#include "core/trees/sampled_splitter.h"
#include "core/trees/stop_token.h"
#include "core/trees/tree.h"

namespace trainyard {

// Number of features that a node draws, of `feature_count`: at least 1.
// MAX_FEATURES_UNSPECIFIED is all of them.
int FeaturesPerNode(const v1::CartOptions& options, int feature_count);

// Grows a tree as GrowCart does (limits, criteria, missing values, categories, numbering), but
// every node draws its features as SampledSplitter says. `options.criterion` is resolved; prunings
// are not done here. On the calling thread alone; everything random comes from `rng`.
// `add_progress` is called with rows, or leaves for best-first growth, that need no more work.
// `rows` has a row of positive weight. A tree without nodes when `stop` is set.
Tree GrowSampledTree(const RankMatrix& ranks, const TreeTarget& target,
                     std::span<const double> weights, std::span<const uint32_t> rows,
                     const v1::CartOptions& options, const SplitSampling& sampling, Rng& rng,
                     StopToken& stop, const std::function<void(int64_t)>& add_progress);

}  // namespace trainyard
