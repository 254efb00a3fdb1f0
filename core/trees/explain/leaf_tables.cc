#include "core/trees/explain/leaf_tables.h"

#include <algorithm>
#include <bit>

namespace trainyard {
namespace {

constexpr size_t kLeavesPerQuestion = 64;

}  // namespace

LeafTables::LeafTables(const Tree& tree, std::span<const int32_t> used)
    : node_count_(tree.feature.size()) {
  struct Place {
    int32_t node;
    size_t features;  // above
  };
  std::vector<Place> open = {{0, 0}};
  std::vector<int32_t> path;  // the features above, in the order of their bits
  while (!open.empty()) {
    const Place place = open.back();
    open.pop_back();
    path.resize(place.features);
    const size_t t = static_cast<size_t>(place.node);
    if (tree.is_leaf(place.node)) {
      leaves_.push_back({place.node, static_cast<uint32_t>(path.size()), columns_.size(), size_});
      columns_.insert(columns_.end(), path.begin(), path.end());
      size_ += path.size() << path.size();
      continue;
    }
    const int32_t column = static_cast<int32_t>(
        std::lower_bound(used.begin(), used.end(), tree.feature[t]) - used.begin());
    const size_t bit =
        static_cast<size_t>(std::find(path.begin(), path.end(), column) - path.begin());
    if (bit == path.size()) path.push_back(column);
    if (path.size() > kMostFeatures) {
      possible_ = false;
      return;
    }
    splits_.push_back({place.node, tree.left[t], tree.right[t], static_cast<uint32_t>(bit)});
    // The left side is walked next, with the path as it is; the right side shortens it to this.
    open.push_back({tree.right[t], path.size()});
    open.push_back({tree.left[t], path.size()});
  }
}

double LeafTables::Work(int64_t background_rows) const {
  double work = static_cast<double>(background_rows) * static_cast<double>(node_count_);
  for (const Leaf& leaf : leaves_) {
    const double sets = static_cast<double>(uint64_t{1} << leaf.features);
    work += sets * std::min(sets, static_cast<double>(background_rows));
  }
  return work;
}

void LeafTables::Fill(std::span<const uint64_t> goes_left, int64_t background_rows,
                      const ShapWeights& weights, StopToken& stop) {
  shares_.assign(size_, 0.0);
  const size_t rows = static_cast<size_t>(background_rows);
  std::vector<uint32_t> failed(node_count_);
  std::vector<uint16_t> sets(leaves_.size() * rows);  // [leaf][background row]
  for (size_t row = 0; row < rows; ++row) {
    const uint64_t* const sides = goes_left.data() + row / 64 * node_count_;
    FindFailed([&](int32_t node) { return (sides[node] >> (row % 64) & 1) != 0; }, failed);
    for (size_t i = 0; i < leaves_.size(); ++i) {
      sets[i * rows + row] = static_cast<uint16_t>(failed[static_cast<size_t>(leaves_[i].node)]);
    }
  }
  std::vector<uint32_t> counts(size_t{1} << kMostFeatures, 0);
  for (size_t i = 0; i < leaves_.size(); ++i) {
    if (i % kLeavesPerQuestion == 0 && stop.Ask()) return;
    for (size_t row = 0; row < rows; ++row) ++counts[sets[i * rows + row]];
    FillLeaf(leaves_[i], counts, weights);
    std::fill_n(counts.begin(), size_t{1} << leaves_[i].features, 0U);
  }
}

// `counts` says how many background rows fail in each set of features. A leaf is reached with the
// features that fail for the row taken from the background, where they must hold, and the others
// from either: so the two sets have no feature in common.
void LeafTables::FillLeaf(const Leaf& leaf, std::span<const uint32_t> counts,
                          const ShapWeights& weights) {
  const uint32_t all = (uint32_t{1} << leaf.features) - 1;
  double* const table = shares_.data() + leaf.first_share;
  for (uint32_t background = 0; background <= all; ++background) {
    if (counts[background] == 0) continue;
    const double rows = counts[background];
    const size_t from_row = static_cast<size_t>(std::popcount(background));
    const uint32_t rest = all & ~background;
    // All subsets of `rest`, the empty one last.
    for (uint32_t own = rest;; own = (own - 1) & rest) {
      const size_t from_background = static_cast<size_t>(std::popcount(own));
      double* const shares = table + size_t{own} * leaf.features;
      const double positive = rows * weights(from_row, from_background);
      const double negative = rows * weights(from_background, from_row);
      for (uint32_t bits = background; bits != 0; bits &= bits - 1) {
        shares[std::countr_zero(bits)] += positive;
      }
      for (uint32_t bits = own; bits != 0; bits &= bits - 1) {
        shares[std::countr_zero(bits)] -= negative;
      }
      if (own == 0) break;
    }
  }
}

}  // namespace trainyard
