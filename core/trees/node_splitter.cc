#include "core/trees/node_splitter.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace trainyard {
namespace {

// Splits whose decreases differ by less than this share of N(t) i(t) are equal: rounding must not
// decide between features that divide the rows alike.
constexpr double kTieTolerance = 1e-12;

// Calls `work(i, thread)` for i in [0, count), spread as the workspace says.
template <typename Work>
void ForEach(const Workspace& workspace, size_t count, const Work& work) {
  if (workspace.pool == nullptr) {
    for (size_t i = 0; i < count; ++i) work(i, workspace.thread);
    return;
  }
  workspace.pool->Run(static_cast<int64_t>(count),
                      [&work](int64_t i, int thread) { work(static_cast<size_t>(i), thread); });
}

}  // namespace

NodeSplitter::NodeSplitter(const PresortedFeatures& features, const TreeTarget& target,
                           std::span<const double> weights, std::span<const uint32_t> rows,
                           const v1::CartOptions& options, ThreadPool& pool, StopToken& stop)
    : features_(features),
      options_(options),
      stop_(stop),
      rows_(target, weights, rows, options.criterion()),
      searcher_(MakeSplitSearcher(rows_)),
      scratch_(static_cast<size_t>(pool.threads())) {
  new_position_.resize(rows_.count());
  FillOrders(features, rows, pool);
}

void NodeSplitter::FillOrders(const PresortedFeatures& features, std::span<const uint32_t> rows,
                              ThreadPool& pool) {
  constexpr uint32_t kAbsent = std::numeric_limits<uint32_t>::max();
  std::vector<uint32_t> position(static_cast<size_t>(features.row_count()), kAbsent);
  for (uint32_t i = 0; i < rows_.count(); ++i) position[rows_.rows()[i]] = i;
  const bool all_rows = rows_.count() == static_cast<uint64_t>(features.row_count()) &&
                        std::is_sorted(rows.begin(), rows.end());
  orders_.resize(static_cast<size_t>(features.feature_count()));
  ForEach({&pool, 0}, orders_.size(), [&](size_t f, int) {
    if (stop_.Ask()) return;
    const std::span<const OrderEntry> order = features.order(static_cast<int>(f));
    if (order.empty() || order.front().rank == order.back().rank) return;
    if (all_rows) {
      orders_[f].assign(order.begin(), order.end());
      return;
    }
    orders_[f].resize(rows_.count());
    OrderEntry* out = orders_[f].data();
    for (const OrderEntry& entry : order) {
      if (position[entry.row] != kAbsent) *out++ = {position[entry.row], entry.rank};
    }
  });
  auto active = std::make_shared<std::vector<int32_t>>();
  for (size_t f = 0; f < orders_.size(); ++f) {
    if (!orders_[f].empty()) active->push_back(static_cast<int32_t>(f));
  }
  root_features_ = std::move(active);
}

GrowingNode NodeSplitter::MakeRoot() {
  GrowingNode root;
  root.range = {0, rows_.count()};
  FinishNode(root);
  total_weight_ = root.weight;
  limits_ = {options_.min_samples_leaf(), options_.min_weight_fraction_leaf() * root.weight};
  root.splittable = root.splittable && root.weight >= 2 * limits_.min_weight;
  return root;
}

void NodeSplitter::FinishNode(GrowingNode& node) {
  const NodeStatistics statistics = rows_.Prepare(node.range);
  node.weight = statistics.weight;
  node.impurity = statistics.impurity;
  const int64_t rows = node.range.size();
  node.splittable = !statistics.pure && rows >= options_.min_samples_split() &&
                    rows >= 2 * int64_t{options_.min_samples_leaf()} &&
                    node.weight >= 2 * limits_.min_weight &&
                    (options_.max_depth() == 0 || node.depth < options_.max_depth());
}

FeatureSegment NodeSplitter::SegmentOf(int32_t feature, RowRange range) const {
  FeatureSegment segment;
  segment.feature = feature;
  segment.entries = std::span(orders_[static_cast<size_t>(feature)])
                        .subspan(range.begin, static_cast<size_t>(range.size()));
  segment.missing_rank = features_.missing_rank(feature);
  segment.categorical = features_.categorical(feature);
  segment.values = features_.values(feature);
  return segment;
}

Split NodeSplitter::FindSplit(const GrowingNode& node, ActiveFeatures& active,
                              const Workspace& workspace) const {
  const std::vector<double> totals = searcher_->Totals(node.range);
  const double stored_impurity = node.impurity / rows_.impurity_scale();
  const double tolerance = kTieTolerance * node.weight * stored_impurity;
  thread_local std::vector<int32_t> varying;
  varying.clear();
  for (const int32_t feature : *active) {
    const FeatureSegment segment = SegmentOf(feature, node.range);
    if (segment.entries.front().rank != segment.entries.back().rank) varying.push_back(feature);
  }
  if (varying.size() != active->size()) {
    active = std::make_shared<const std::vector<int32_t>>(varying);
  }
  const std::vector<int32_t>& candidates = *active;
  Split best;
  const auto keep_better = [&best, tolerance](Split& split) {
    if (!split.found()) return;
    if (!best.found() || split.decrease > best.decrease + tolerance) best = std::move(split);
  };
  if (workspace.pool == nullptr) {
    for (const int32_t feature : candidates) {
      Split split =
          searcher_->Search(SegmentOf(feature, node.range), totals, limits_, tolerance, stop_);
      keep_better(split);
    }
  } else {
    std::vector<Split> splits(candidates.size());
    ForEach(workspace, candidates.size(), [&](size_t i, int) {
      if (stop_.Ask()) return;
      splits[i] = searcher_->Search(SegmentOf(candidates[i], node.range), totals, limits_,
                                    tolerance, stop_);
    });
    for (Split& split : splits) keep_better(split);
  }
  const double least =
      options_.min_impurity_decrease() / rows_.impurity_scale() * total_weight_ - tolerance;
  if (best.found() && best.decrease < least) return {};
  return best;
}

// Gives every position of the node its new place, left rows first, in stable order; returns where
// the right rows begin.
uint32_t NodeSplitter::PlacePositions(const Split& split, RowRange range) {
  const FeatureSegment segment = SegmentOf(split.feature, range);
  for (const OrderEntry& entry : segment.entries) {
    bool goes_left = split.missing_left;
    if (entry.rank != segment.missing_rank) {
      goes_left = segment.categorical
                      ? std::binary_search(split.left_levels.begin(), split.left_levels.end(),
                                           static_cast<int32_t>(entry.rank))
                      : entry.rank <= split.last_left_rank;
    }
    new_position_[entry.row] = goes_left ? 1 : 0;
  }
  const auto first = new_position_.begin() + range.begin;
  const auto end = new_position_.begin() + range.end;
  const uint32_t middle = range.begin + std::accumulate(first, end, uint32_t{0});
  uint32_t left = range.begin;
  uint32_t right = middle;
  for (auto it = first; it != end; ++it) {
    const uint32_t goes_left = *it;
    *it = goes_left ? left : right;
    left += goes_left;
    right += 1 - goes_left;
  }
  return middle;
}

// Stable: both sides stay sorted by rank.
void NodeSplitter::PartitionOrder(int32_t feature, RowRange range, uint32_t middle, int thread) {
  std::vector<OrderEntry>& scratch = scratch_[static_cast<size_t>(thread)];
  scratch.resize(std::max(scratch.size(), static_cast<size_t>(range.size()) + 1));
  OrderEntry* entries = orders_[static_cast<size_t>(feature)].data();
  OrderEntry* left = entries + range.begin;
  OrderEntry* right = scratch.data();
  const uint32_t* new_position = new_position_.data();
  for (const OrderEntry* entry = left; entry != entries + range.end; ++entry) {
    const OrderEntry moved = {new_position[entry->row], entry->rank};
    const bool goes_left = moved.row < middle;
    *left = moved;  // never ahead of `entry`, so nothing unread is lost
    *right = moved;
    left += goes_left;
    right += !goes_left;
  }
  std::copy(scratch.data(), right, left);
}

void NodeSplitter::Apply(const Split& split, const ActiveFeatures& active,
                         const Workspace& workspace, GrowingNode& node, GrowingNode& left,
                         GrowingNode& right) {
  const uint32_t middle = PlacePositions(split, node.range);
  rows_.Permute(node.range, new_position_.data());
  left.range = {node.range.begin, middle};
  right.range = {middle, node.range.end};
  left.depth = right.depth = node.depth + 1;
  FinishNode(left);
  FinishNode(right);
  node.feature = split.feature;
  node.threshold = split.left_levels.empty() ? split.threshold : 0;
  node.left_levels = split.left_levels;
  const bool numeric = split.left_levels.empty();
  node.missing_left =
      split.saw_missing || !numeric ? split.missing_left : left.weight > right.weight;
  if (!left.splittable && !right.splittable) return;
  ForEach(workspace, active->size(), [&](size_t i, int thread) {
    if (stop_.Ask()) return;
    PartitionOrder((*active)[i], node.range, middle, thread);
  });
}

}  // namespace trainyard
