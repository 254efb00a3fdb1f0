#include "core/trees/sampled_splitter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainyard {
namespace {

constexpr uint8_t kAbsent = 0;
constexpr uint8_t kLeft = 1;
constexpr uint8_t kRight = 2;

// Uniform in [lower, upper); a random cut between their ranks where that is no number.
struct RandomCut {
  double threshold;
  uint32_t last_left_rank;
};

RandomCut DrawThreshold(const FeatureRanks& feature, Rng& rng) {
  const std::span<const double> values = feature.values;
  const double lower = values[feature.least];
  const double upper = values[feature.greatest];
  const double share = rng.NextDouble();
  double threshold = lower * (1 - share) + upper * share;
  if (!std::isfinite(lower) || !std::isfinite(upper)) {
    const uint32_t cuts = feature.greatest - feature.least;
    const uint32_t rank = feature.least + static_cast<uint32_t>(share * cuts);
    return {MidpointThreshold(values[rank], values[rank + 1]), rank};
  }
  if (!(threshold >= lower && threshold < upper)) threshold = lower;
  const auto first = values.begin() + feature.least;
  const auto last = values.begin() + feature.greatest;
  const auto above = std::upper_bound(first, last, threshold);
  return {threshold, static_cast<uint32_t>(above - values.begin()) - 1};
}

}  // namespace

SampledSplitter::SampledSplitter(const RankMatrix& ranks, const NodeRows& rows,
                                 const SplitSearcher& searcher, const GrowthRules& rules,
                                 const SplitSampling& sampling, Rng& rng, StopToken& stop)
    : matrix_(ranks),
      rows_(rows),
      searcher_(searcher),
      rules_(rules),
      sampling_(sampling),
      rng_(rng),
      stop_(stop),
      is_constant_(static_cast<size_t>(ranks.feature_count()), 0),
      ranks_(rows.count()) {
  for (int32_t f = 0; f < ranks.feature_count(); ++f) features_.push_back(f);
}

void SampledSplitter::KeepConstants(size_t known) {
  for (; constants_.size() > known; constants_.pop_back()) {
    is_constant_[static_cast<size_t>(constants_.back())] = 0;
  }
}

// Missing values get the rank above the greatest of the node.
FeatureRanks SampledSplitter::GatherRanks(int32_t feature, RowRange range) {
  const size_t count = static_cast<size_t>(range.size());
  const std::span<uint32_t> ranks(ranks_.data(), count);
  matrix_.Gather(feature, {rows_.rows() + range.begin, count}, ranks.data());
  uint32_t least = std::numeric_limits<uint32_t>::max();
  uint32_t greatest = 0;
  for (const uint32_t rank : ranks) {
    least = std::min(least, rank);
    greatest = std::max(greatest, rank);
  }
  const PresortedFeatures& features = matrix_.features();
  FeatureRanks result;
  result.feature = feature;
  result.range = range;
  result.ranks = ranks.data();
  result.categorical = features.categorical(feature);
  result.values = features.values(feature);
  const uint32_t missing = features.missing_rank(feature);
  if (greatest == missing) {
    greatest = least == missing ? missing : least;
    for (const uint32_t rank : ranks) {
      result.missing_rows += rank == missing ? 1 : 0;
      if (rank != missing) greatest = std::max(greatest, rank);
    }
    for (uint32_t& rank : ranks) rank = rank == missing ? greatest + 1 : rank;
  }
  result.least = least;
  result.greatest = greatest;
  result.missing_rank = greatest + 1;
  return result;
}

Split SampledSplitter::FindSplit(const GrowingNode& node, size_t& known) {
  KeepConstants(known);
  searcher_.Totals(node.range, totals_);
  const double whole = node.weight * node.impurity / rows_.impurity_scale();
  const double tolerance = kTieTolerance * whole;
  const bool by_ratio = rows_.criterion() == v1::CartOptions::CRITERION_GAIN_RATIO;
  splits_.clear();
  bool any_varies = false;
  for (size_t drawn = 0; drawn < features_.size(); ++drawn) {
    if (drawn >= static_cast<size_t>(sampling_.features_per_node) && any_varies) break;
    std::swap(features_[drawn], features_[drawn + rng_.UniformInt(features_.size() - drawn)]);
    const int32_t f = features_[drawn];
    if (is_constant_[static_cast<size_t>(f)] != 0) continue;
    FeatureRanks feature = GatherRanks(f, node.range);
    if (feature.constant()) {
      is_constant_[static_cast<size_t>(f)] = 1;
      constants_.push_back(f);
      continue;
    }
    any_varies = true;
    Split split = Search(feature, rules_.limits(), tolerance);
    if (!split.found()) continue;
    // Nothing is better than two pure children.
    const bool perfect = !by_ratio && split.decrease >= whole - tolerance;
    splits_.push_back(std::move(split));
    if (perfect) break;
  }
  known = constants_.size();
  const int chosen = ChooseSplit(rows_.criterion(), splits_, node.weight, tolerance);
  if (chosen < 0) return {};
  Split& best = splits_[static_cast<size_t>(chosen)];
  if (!rules_.Allows(best, tolerance, rows_)) return {};
  return std::move(best);
}

Split SampledSplitter::Search(FeatureRanks& feature, const SplitLimits& limits, double tolerance) {
  if (sampling_.random_cuts) {
    return feature.categorical ? DrawLevels(feature, limits, tolerance)
                               : DrawCut(feature, limits, tolerance);
  }
  if (int64_t{feature.greatest} - int64_t{feature.least} < feature.range.size()) {
    return searcher_.SearchByCounting(feature, totals_, limits, tolerance);
  }
  FeatureSegment segment;
  segment.feature = feature.feature;
  segment.entries =
      sorter_.Sort({feature.ranks, static_cast<size_t>(feature.range.size())}, feature.range.begin,
                   feature.least, feature.greatest + (feature.missing_rows > 0 ? 1 : 0));
  segment.missing_rank = feature.missing_rank;
  segment.categorical = feature.categorical;
  segment.values = feature.values;
  return searcher_.Search(segment, totals_, limits, tolerance, stop_);
}

Split SampledSplitter::DrawCut(const FeatureRanks& feature, const SplitLimits& limits,
                               double tolerance) {
  RandomCut cut = {std::numeric_limits<double>::infinity(), feature.greatest};
  if (feature.least != feature.greatest) cut = DrawThreshold(feature, rng_);
  Split split = searcher_.ScoreCut(feature, cut.last_left_rank, totals_, limits, tolerance);
  split.threshold = cut.threshold;
  return split;
}

// A side for every level of the node, both sides in use unless there is one level.
void SampledSplitter::DrawSides(const FeatureRanks& feature) {
  sides_.assign(static_cast<size_t>(feature.greatest - feature.least) + 1, kAbsent);
  const int64_t count = feature.range.size();
  for (int64_t i = 0; i < count; ++i) {
    if (feature.ranks[i] <= feature.greatest) sides_[feature.ranks[i] - feature.least] = kLeft;
  }
  const bool one_level = feature.least == feature.greatest;
  for (bool any_left = false, any_right = false; !(any_left && any_right);) {
    any_left = any_right = one_level;
    for (uint8_t& side : sides_) {
      if (side == kAbsent || one_level) continue;
      side = rng_.NextUint64() >> 63 != 0 ? kLeft : kRight;
      any_left = any_left || side == kLeft;
      any_right = any_right || side == kRight;
    }
  }
}

Split SampledSplitter::DrawLevels(FeatureRanks& feature, const SplitLimits& limits,
                                  double tolerance) {
  DrawSides(feature);
  const int64_t count = feature.range.size();
  const uint32_t least = feature.least;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t& rank = ranks_[static_cast<size_t>(i)];
    const bool missing = rank > feature.greatest;
    rank = missing ? 2 : (sides_[rank - least] == kLeft ? 0 : 1);
  }
  feature.missing_rank = 2;
  feature.greatest = 1;
  feature.least = 0;
  Split split = searcher_.ScoreCut(feature, 0, totals_, limits, tolerance);
  if (!split.found()) return split;
  // Missing rows, and with them levels that the node lacks, go right.
  const bool swap = feature.missing_rows > 0 ? split.missing_left
                                             : split.left_weight > totals_[0] - split.left_weight;
  if (swap) split.left_weight = totals_[0] - split.left_weight;
  split.missing_left = false;
  for (size_t level = 0; level < sides_.size(); ++level) {
    if (sides_[level] == (swap ? kRight : kLeft)) {
      split.left_levels.push_back(static_cast<int32_t>(least + level));
    }
  }
  return split;
}

uint32_t SampledSplitter::FindSides(const Split& split, RowRange range,
                                    std::vector<uint8_t>& goes_left) {
  const size_t count = static_cast<size_t>(range.size());
  if (goes_left.size() < count) goes_left.resize(count);
  const FeatureRanks feature = GatherRanks(split.feature, range);
  const bool by_levels = !split.left_levels.empty();
  uint32_t left = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t rank = feature.ranks[i];
    bool side = false;
    if (feature.missing_rows > 0 && rank == feature.missing_rank) {
      side = split.missing_left;
    } else if (by_levels) {
      side = std::binary_search(split.left_levels.begin(), split.left_levels.end(),
                                static_cast<int32_t>(rank));
    } else {
      side = rank <= split.last_left_rank;
    }
    goes_left[i] = side ? 1 : 0;
    left += side ? 1 : 0;
  }
  return left;
}

}  // namespace trainyard
