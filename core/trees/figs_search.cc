#include "core/trees/figs_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/trees/node_rows.h"

namespace trainyard {
namespace {

constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();

// The rows of all leaves one leaf after the other, and where each row stands.
struct LeafPositions {
  std::vector<uint32_t> rows;
  std::vector<RowRange> ranges;
  std::vector<uint32_t> position;  // by presorted row
  std::vector<uint32_t> leaf;      // by position
};

LeafPositions PlaceLeaves(std::span<const LeafToSearch> leaves, int64_t row_count) {
  LeafPositions placed;
  placed.position.assign(static_cast<size_t>(row_count), kAbsent);
  for (size_t i = 0; i < leaves.size(); ++i) {
    const uint32_t begin = static_cast<uint32_t>(placed.rows.size());
    for (const uint32_t row : leaves[i].rows) {
      placed.position[row] = static_cast<uint32_t>(placed.rows.size());
      placed.rows.push_back(row);
      placed.leaf.push_back(static_cast<uint32_t>(i));
    }
    placed.ranges.push_back({begin, static_cast<uint32_t>(placed.rows.size())});
  }
  return placed;
}

// A feature's order divided among the leaves, each part still sorted.
void DivideOrder(std::span<const OrderEntry> order, const LeafPositions& placed,
                 std::vector<OrderEntry>& divided) {
  divided.resize(placed.rows.size());
  std::vector<uint32_t> next;
  for (const RowRange& range : placed.ranges) next.push_back(range.begin);
  for (const OrderEntry& entry : order) {
    const uint32_t position = placed.position[entry.row];
    if (position == kAbsent) continue;
    divided[next[placed.leaf[position]]++] = {position, entry.rank};
  }
}

bool MaySplit(const NodeStatistics& node, int64_t rows, int32_t depth,
              const v1::CartOptions& options, double least_weight) {
  return !node.pure && rows >= options.min_samples_split() &&
         rows >= 2 * int64_t{options.min_samples_leaf()} && node.weight >= 2 * least_weight &&
         (options.max_depth() == 0 || depth < options.max_depth());
}

}  // namespace

std::vector<SearchedLeaf> SearchLeaves(const PresortedFeatures& features, const TreeTarget& target,
                                       std::span<const double> weights,
                                       std::span<const LeafToSearch> leaves,
                                       const v1::CartOptions& options, double total_weight,
                                       ThreadPool& pool, StopToken& stop) {
  const LeafPositions placed = PlaceLeaves(leaves, features.row_count());
  NodeRows rows(target, weights, placed.rows, v1::CartOptions::CRITERION_SQUARED_ERROR);
  const SplitLimits limits = {options.min_samples_leaf(),
                              options.min_weight_fraction_leaf() * total_weight};
  const std::unique_ptr<SplitSearcher> searcher = MakeSplitSearcher(rows);
  std::vector<SearchedLeaf> found(leaves.size());
  std::vector<std::vector<double>> totals(leaves.size());
  std::vector<double> tolerances(leaves.size());
  std::vector<uint8_t> open(leaves.size());
  for (size_t i = 0; i < leaves.size(); ++i) {
    const NodeStatistics node = rows.Prepare(placed.ranges[i]);
    found[i].weight = node.weight;
    found[i].impurity = node.impurity;
    open[i] = MaySplit(node, placed.ranges[i].size(), leaves[i].depth, options, limits.min_weight);
    searcher->Totals(placed.ranges[i], totals[i]);
    tolerances[i] = kTieTolerance * node.weight * node.impurity / rows.impurity_scale();
  }
  const size_t feature_count = static_cast<size_t>(features.feature_count());
  std::vector<std::vector<Split>> splits(leaves.size(), std::vector<Split>(feature_count));
  std::vector<std::vector<OrderEntry>> divided(static_cast<size_t>(pool.threads()));
  pool.Run(static_cast<int64_t>(feature_count), [&](int64_t f, int thread) {
    if (stop.Ask()) return;
    const int32_t feature = static_cast<int32_t>(f);
    std::vector<OrderEntry>& entries = divided[static_cast<size_t>(thread)];
    DivideOrder(features.order(feature), placed, entries);
    for (size_t i = 0; i < leaves.size() && !stop.stopped(); ++i) {
      if (!open[i]) continue;
      const RowRange range = placed.ranges[i];
      const FeatureSegment segment = {
          feature, std::span(entries).subspan(range.begin, static_cast<size_t>(range.size())),
          features.missing_rank(feature), features.categorical(feature)};
      if (segment.entries.front().rank == segment.entries.back().rank) continue;
      splits[i][static_cast<size_t>(f)] =
          searcher->Search(segment, totals[i], limits, tolerances[i], stop);
    }
  });
  if (stop.stopped()) return found;
  for (size_t i = 0; i < leaves.size(); ++i) {
    const int chosen = ChooseSplit(v1::CartOptions::CRITERION_SQUARED_ERROR, splits[i],
                                   found[i].weight, tolerances[i]);
    if (chosen < 0) continue;
    Split& best = splits[i][static_cast<size_t>(chosen)];
    const double least =
        options.min_impurity_decrease() / rows.impurity_scale() * total_weight - tolerances[i];
    if (best.decrease < least || !(best.decrease > tolerances[i])) continue;
    found[i].reduction = best.decrease * rows.impurity_scale();
    if (best.left_levels.empty()) {
      best.threshold = ThresholdOf(best, features.values(best.feature));
    }
    found[i].split = std::move(best);
  }
  return found;
}

}  // namespace trainyard
