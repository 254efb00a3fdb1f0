#include "core/trees/sampled_splitter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainyard {
namespace {

constexpr int64_t kManyRows = int64_t{1} << 18;  // that take milliseconds by each feature
constexpr uint8_t kAbsent = 0;
constexpr uint8_t kLeft = 1;
constexpr uint8_t kRight = 2;
// Ranks that stand for sides.
constexpr uint32_t kLeftRank = 0;
constexpr uint32_t kRightRank = 1;
constexpr uint32_t kMissingRank = 2;

struct ValueRange {
  double least = std::numeric_limits<double>::infinity();
  double greatest = -std::numeric_limits<double>::infinity();
  int64_t missing = 0;
};

ValueRange RangeOf(std::span<const double> values) {
  ValueRange range;
  for (const double value : values) {
    range.least = value < range.least ? value : range.least;
    range.greatest = value > range.greatest ? value : range.greatest;
    range.missing += std::isnan(value) ? 1 : 0;
  }
  return range;
}

// Uniform in [least, greatest), or where that is no number one of the values below the greatest.
double DrawThreshold(const ValueRange& range, std::span<const double> values, Rng& rng) {
  const double share = rng.NextDouble();
  if (!std::isfinite(range.least) || !std::isfinite(range.greatest)) {
    const double value = values[static_cast<size_t>(share * static_cast<double>(values.size()))];
    return value < range.greatest ? value : range.least;
  }
  const double threshold = range.least * (1 - share) + range.greatest * share;
  return threshold >= range.least && threshold < range.greatest ? threshold : range.least;
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
      ranks_(rows.count()),
      values_(sampling.random_cuts ? rows.count() : 0) {
  for (int32_t f = 0; f < ranks.feature_count(); ++f) features_.push_back(f);
}

void SampledSplitter::KeepConstants(size_t known) {
  for (; constants_.size() > known; constants_.pop_back()) {
    is_constant_[static_cast<size_t>(constants_.back())] = 0;
  }
}

std::span<const uint32_t> SampledSplitter::RowsOf(RowRange range) const {
  return {rows_.rows() + range.begin, static_cast<size_t>(range.size())};
}

// Missing values get the rank above the greatest of the node.
FeatureRanks SampledSplitter::GatherRanks(int32_t feature, RowRange range) {
  const size_t count = static_cast<size_t>(range.size());
  const std::span<uint32_t> ranks(ranks_.data(), count);
  matrix_.Gather(feature, RowsOf(range), ranks.data());
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
    bool constant = false;
    Split split = Search(f, node.range, tolerance, constant);
    if (constant) {
      is_constant_[static_cast<size_t>(f)] = 1;
      constants_.push_back(f);
      continue;
    }
    any_varies = true;
    // A split of a node half searched is thrown away with the tree.
    if (node.range.size() > kManyRows && stop_.Ask()) break;
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
  FetchThreshold(best);
  return std::move(best);
}

// Two values far apart in memory, which come while the caller divides the rows.
void SampledSplitter::FetchThreshold(const Split& split) const {
  if (!split.left_levels.empty() || sampling_.random_cuts) return;
  const std::span<const double> values = matrix_.features().values(split.feature);
  __builtin_prefetch(values.data() + split.last_left_rank);
  if (split.first_right_rank != kNoRank) {
    __builtin_prefetch(values.data() + split.first_right_rank);
  }
}

void SampledSplitter::FillThreshold(Split& split) const {
  if (!split.left_levels.empty() || sampling_.random_cuts) return;
  split.threshold = ThresholdOf(split, matrix_.features().values(split.feature));
}

Split SampledSplitter::Search(int32_t feature, RowRange range, double tolerance, bool& constant) {
  if (matrix_.has_values(feature)) return DrawCut(feature, range, tolerance, constant);
  FeatureRanks ranks = GatherRanks(feature, range);
  constant = ranks.constant();
  if (constant) return {};
  return sampling_.random_cuts ? DrawLevels(ranks, tolerance) : SearchBest(ranks, tolerance);
}

Split SampledSplitter::SearchBest(const FeatureRanks& feature, double tolerance) {
  const int64_t count = feature.range.size();
  if (int64_t{feature.greatest} - int64_t{feature.least} < count) {
    return searcher_.SearchByCounting(feature, totals_, rules_.limits(), tolerance);
  }
  FeatureSegment segment;
  segment.feature = feature.feature;
  segment.entries =
      sorter_.Sort({feature.ranks, static_cast<size_t>(count)}, feature.range.begin, feature.least,
                   feature.greatest + (feature.missing_rows > 0 ? 1 : 0));
  segment.missing_rank = feature.missing_rank;
  segment.categorical = feature.categorical;
  return searcher_.Search(segment, totals_, rules_.limits(), tolerance, stop_);
}

// Where all present rows have one value they go left and the missing ones right.
Split SampledSplitter::DrawCut(int32_t feature, RowRange range, double tolerance, bool& constant) {
  const size_t count = static_cast<size_t>(range.size());
  const std::span<double> values(values_.data(), count);
  matrix_.Gather(feature, RowsOf(range), values.data());
  const ValueRange spread = RangeOf(values);
  const bool one_value = !(spread.least < spread.greatest);
  constant = one_value && (spread.missing == 0 || spread.missing == range.size());
  if (constant) return {};
  const double threshold =
      one_value ? std::numeric_limits<double>::infinity() : DrawThreshold(spread, values, rng_);
  for (size_t i = 0; i < count; ++i) {
    ranks_[i] = values[i] <= threshold ? kLeftRank : kRightRank;
    if (spread.missing > 0 && std::isnan(values[i])) ranks_[i] = kMissingRank;
  }
  const FeatureRanks sides = {feature,    range,          ranks_.data(), kLeftRank,
                              kRightRank, spread.missing, kMissingRank,  false};
  Split split = searcher_.ScoreCut(sides, kLeftRank, totals_, rules_.limits(), tolerance);
  split.threshold = threshold;
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

Split SampledSplitter::DrawLevels(FeatureRanks& feature, double tolerance) {
  DrawSides(feature);
  const int64_t count = feature.range.size();
  const uint32_t least = feature.least;
  for (int64_t i = 0; i < count; ++i) {
    uint32_t& rank = ranks_[static_cast<size_t>(i)];
    const bool missing = rank > feature.greatest;
    rank = missing ? kMissingRank : (sides_[rank - least] == kLeft ? kLeftRank : kRightRank);
  }
  feature.least = kLeftRank;
  feature.greatest = kRightRank;
  feature.missing_rank = kMissingRank;
  Split split = searcher_.ScoreCut(feature, kLeftRank, totals_, rules_.limits(), tolerance);
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
  if (matrix_.has_values(split.feature)) return FindSidesByValue(split, range, goes_left.data());
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

uint32_t SampledSplitter::FindSidesByValue(const Split& split, RowRange range, uint8_t* goes_left) {
  const size_t count = static_cast<size_t>(range.size());
  matrix_.Gather(split.feature, RowsOf(range), values_.data());
  uint32_t left = 0;
  for (size_t i = 0; i < count; ++i) {
    const bool missing_left = split.missing_left && std::isnan(values_[i]);
    goes_left[i] = values_[i] <= split.threshold || missing_left ? 1 : 0;
    left += goes_left[i];
  }
  return left;
}

}  // namespace trainyard
