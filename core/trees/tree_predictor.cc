#include "core/trees/tree_predictor.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace trainyard {
namespace {

constexpr int kLanes = 8;

int64_t RowsPerBlock(size_t columns) {
  constexpr int64_t kBlockValues = 16 * 1024;
  const int64_t rows = kBlockValues / static_cast<int64_t>(std::max<size_t>(columns, 1));
  return std::clamp<int64_t>(rows / kLanes * kLanes, kLanes, 512);
}

// Values of rows as the walk wants them: codes as numbers, everything missing as NaN.
template <typename RowOf>
void GatherColumn(const FeatureColumn& column, int64_t first, int64_t count, const RowOf& row_of,
                  size_t stride, double* out) {
  for (int64_t i = 0; i < count; ++i, out += stride) {
    const size_t row = static_cast<size_t>(row_of(first + i));
    if (column.categorical) {
      const int32_t code = column.codes[row];
      *out = code < 0 || code >= column.level_count ? std::numeric_limits<double>::quiet_NaN()
                                                    : static_cast<double>(code);
    } else {
      *out = column.numbers[row];
    }
  }
}

}  // namespace

TreePredictor::TreePredictor(std::span<const Tree> trees, TreeCombination combination)
    : combination_(combination) {
  int32_t feature_count = 0;
  for (const Tree& tree : trees) {
    for (const int32_t feature : tree.feature) feature_count = std::max(feature_count, feature + 1);
    outputs_ = tree.outputs;
  }
  std::vector<int32_t> column_of_feature(static_cast<size_t>(feature_count), -1);
  for (const Tree& tree : trees) {
    for (const int32_t feature : tree.feature) {
      if (feature < 0 || column_of_feature[static_cast<size_t>(feature)] >= 0) continue;
      column_of_feature[static_cast<size_t>(feature)] = static_cast<int32_t>(used_features_.size());
      used_features_.push_back(feature);
    }
  }
  for (const Tree& tree : trees) trees_.push_back(Compile(tree, column_of_feature));
}

TreePredictor::CompiledTree TreePredictor::Compile(const Tree& tree,
                                                   std::span<const int32_t> column_of_feature) {
  CompiledTree compiled;
  compiled.has_categories = !tree.level_begin.empty();
  compiled.number.push_back(0);
  for (size_t i = 0; i < compiled.number.size(); ++i) {
    const int node = compiled.number[i];
    compiled.nodes.push_back(CompileNode(tree, node, column_of_feature));
    const std::span<const double> value = tree.ValueOf(node);
    compiled.values.insert(compiled.values.end(), value.begin(), value.end());
    if (tree.is_leaf(node)) {
      compiled.nodes.back().left = static_cast<int32_t>(i);
      continue;
    }
    compiled.nodes.back().left = static_cast<int32_t>(compiled.number.size());
    compiled.number.push_back(tree.left[static_cast<size_t>(node)]);
    compiled.number.push_back(tree.right[static_cast<size_t>(node)]);
  }
  return compiled;
}

TreePredictor::Node TreePredictor::CompileNode(const Tree& tree, int node,
                                               std::span<const int32_t> column_of_feature) {
  const size_t t = static_cast<size_t>(node);
  if (tree.is_leaf(node)) return {HUGE_VAL, 0, kMissingLeft};
  Node compiled;
  compiled.threshold = tree.threshold[t];
  compiled.left = 0;
  compiled.column = static_cast<uint32_t>(column_of_feature[static_cast<size_t>(tree.feature[t])]);
  if (tree.missing_left[t]) compiled.column |= kMissingLeft;
  const std::span<const int32_t> levels = tree.LeftLevels(node);
  if (levels.empty()) return compiled;
  compiled.column |= kCategorical;
  compiled.threshold = std::bit_cast<double>(static_cast<uint64_t>(level_bits_.size()));
  const size_t words = static_cast<size_t>(levels.back()) / 64 + 1;
  level_bits_.push_back(words);
  const size_t first = level_bits_.size();
  level_bits_.resize(first + words, 0);
  for (const int32_t level : levels) {
    level_bits_[first + static_cast<size_t>(level) / 64] |= uint64_t{1} << (level % 64);
  }
  return compiled;
}

template <bool kCategories>
bool TreePredictor::GoesRight(const Node& node, double value) const {
  if (kCategories && (node.column & kCategorical) != 0 && !std::isnan(value)) {
    const size_t first = static_cast<size_t>(std::bit_cast<uint64_t>(node.threshold));
    const uint64_t code = static_cast<uint64_t>(value);
    const uint64_t word = code / 64;
    return word >= level_bits_[first] || ((level_bits_[first + 1 + word] >> (code % 64)) & 1) == 0;
  }
  const bool missing_right = (node.column & kMissingLeft) == 0;
  return value > node.threshold || (std::isnan(value) && missing_right);
}

template <bool kCategories>
void TreePredictor::Walk(const CompiledTree& tree, const double* block, int64_t rows,
                         int32_t* indices) const {
  constexpr uint32_t kColumnMask = ~(kMissingLeft | kCategorical);
  const size_t columns = std::max<size_t>(used_features_.size(), 1);
  const Node* nodes = tree.nodes.data();
  for (int64_t first = 0; first < rows; first += kLanes) {
    const int64_t lanes = std::min<int64_t>(kLanes, rows - first);
    const double* values = block + static_cast<size_t>(first) * columns;
    int32_t at[kLanes] = {};
    int32_t moved = 1;
    while (moved != 0) {
      moved = 0;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        const Node& node = nodes[at[lane]];
        const double value =
            values[static_cast<size_t>(lane) * columns + (node.column & kColumnMask)];
        const int32_t next = node.left + static_cast<int32_t>(GoesRight<kCategories>(node, value));
        moved |= next ^ at[lane];
        at[lane] = next;
      }
    }
    std::copy(at, at + lanes, indices + first);
  }
}

template <typename RowOf, typename Visit>
void TreePredictor::ForEachBlock(std::span<const FeatureColumn> features, int64_t count,
                                 const RowOf& row_of, const Visit& visit) const {
  const size_t columns = std::max<size_t>(used_features_.size(), 1);
  const int64_t block_rows = RowsPerBlock(columns);
  std::vector<double> block(static_cast<size_t>(block_rows) * columns, 0.0);
  std::vector<int32_t> indices(static_cast<size_t>(block_rows));
  for (int64_t first = 0; first < count; first += block_rows) {
    const int64_t rows = std::min(block_rows, count - first);
    for (size_t c = 0; c < used_features_.size(); ++c) {
      GatherColumn(features[static_cast<size_t>(used_features_[c])], first, rows, row_of, columns,
                   block.data() + c);
    }
    for (size_t t = 0; t < trees_.size(); ++t) {
      if (trees_[t].has_categories) {
        Walk<true>(trees_[t], block.data(), rows, indices.data());
      } else {
        Walk<false>(trees_[t], block.data(), rows, indices.data());
      }
      visit(t, first, rows, indices.data());
    }
  }
}

void TreePredictor::FindLeaves(std::span<const FeatureColumn> features,
                               std::span<const int64_t> rows, std::span<int32_t> leaves) const {
  const size_t width = trees_.size();
  ForEachBlock(
      features, static_cast<int64_t>(rows.size()),
      [&](int64_t i) { return rows[static_cast<size_t>(i)]; },
      [&](size_t t, int64_t first, int64_t count, const int32_t* indices) {
        for (int64_t i = 0; i < count; ++i) {
          leaves[static_cast<size_t>(first + i) * width + t] =
              trees_[t].number[static_cast<size_t>(indices[i])];
        }
      });
}

void TreePredictor::Predict(std::span<const FeatureColumn> features, int64_t begin,
                            std::span<double> values) const {
  const size_t width = static_cast<size_t>(outputs_);
  std::fill(values.begin(), values.end(), 0.0);
  ForEachBlock(
      features, static_cast<int64_t>(values.size() / width), [&](int64_t i) { return begin + i; },
      [&](size_t t, int64_t first, int64_t count, const int32_t* indices) {
        for (int64_t i = 0; i < count; ++i) {
          const double* from = trees_[t].values.data() + static_cast<size_t>(indices[i]) * width;
          double* to = values.data() + static_cast<size_t>(first + i) * width;
          for (size_t k = 0; k < width; ++k) to[k] += from[k];
        }
      });
  if (combination_ == TreeCombination::kSum || trees_.size() < 2) return;
  for (double& value : values) value /= static_cast<double>(trees_.size());
}

}  // namespace trainyard
