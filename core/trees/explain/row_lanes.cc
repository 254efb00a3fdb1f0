#include "core/trees/explain/row_lanes.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace trainyard {

std::vector<int32_t> UsedFeatures(const TreeEnsemble& ensemble) {
  std::vector<int32_t> used;
  for (const Tree& tree : ensemble.trees) {
    for (const int32_t feature : tree.feature) {
      if (feature >= 0) used.push_back(feature);
    }
    std::sort(used.begin(), used.end());
    used.erase(std::unique(used.begin(), used.end()), used.end());
  }
  return used;
}

double ValueAt(const FeatureColumn& column, int64_t row) {
  const size_t r = static_cast<size_t>(row);
  if (!column.categorical) return column.numbers[r];
  const int32_t code = column.codes[r];
  return code < 0 || code >= column.level_count ? std::numeric_limits<double>::quiet_NaN()
                                                : static_cast<double>(code);
}

bool GoesLeft(const Tree& tree, int node, std::span<const FeatureColumn> features, int64_t row) {
  const size_t t = static_cast<size_t>(node);
  const FeatureColumn& column = features[static_cast<size_t>(tree.feature[t])];
  const double value = ValueAt(column, row);
  if (std::isnan(value)) return tree.missing_left[t] != 0;
  if (!column.categorical) return value <= tree.threshold[t];
  const std::span<const int32_t> levels = tree.LeftLevels(node);
  return std::binary_search(levels.begin(), levels.end(), static_cast<int32_t>(value));
}

void GatherLanes(std::span<const FeatureColumn> features, std::span<const int32_t> used,
                 int64_t begin, int64_t count, double* block) {
  for (const int32_t feature : used) {
    const FeatureColumn& column = features[static_cast<size_t>(feature)];
    for (int lane = 0; lane < kShapLanes; ++lane) {
      *block++ = ValueAt(column, lane < count ? begin + lane : begin);
    }
  }
}

int32_t LevelSets::Add(std::span<const int32_t> levels) {
  const size_t first = words_.size();
  const size_t count = static_cast<size_t>(levels.back()) / 64 + 1;
  words_.push_back(count);
  words_.resize(first + 1 + count, 0);
  for (const int32_t level : levels) {
    words_[first + 1 + static_cast<size_t>(level) / 64] |= uint64_t{1} << (level % 64);
  }
  return static_cast<int32_t>(first);
}

}  // namespace trainyard
