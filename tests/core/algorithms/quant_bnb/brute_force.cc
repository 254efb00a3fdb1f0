#include "tests/core/algorithms/quant_bnb/brute_force.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace trainyard {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

uint64_t Bit(int row) { return uint64_t{1} << row; }

template <typename Visit>
void ForEachRow(uint64_t rows, Visit visit) {
  for (; rows != 0; rows &= rows - 1) visit(std::countr_zero(rows));
}

}  // namespace

BruteForce::BruteForce(const OptimalTreeInput& input, const v1::QuantBnbSpec& spec)
    : input_(input), spec_(spec) {
  for (int row = 0; row < static_cast<int>(input.rows.size()); ++row) {
    if (WeightOf(row) > 0) all_ |= Bit(row);
  }
  for (const FeatureColumn& feature : input.features) {
    Column column;
    ForEachRow(all_, [&](int row) {
      const size_t at = TableRow(row);
      const bool missing =
          feature.categorical ? feature.codes[at] < 0 : std::isnan(feature.numbers[at]);
      if (missing) {
        column.missing |= Bit(row);
      } else {
        column.present.push_back(row);
      }
    });
    if (!feature.categorical) {
      std::sort(column.present.begin(), column.present.end(), [&](int a, int b) {
        return feature.numbers[TableRow(a)] < feature.numbers[TableRow(b)];
      });
    }
    columns_.push_back(std::move(column));
  }
}

double BruteForce::WeightOf(int row) const {
  return input_.weights.empty() ? 1.0 : input_.weights[static_cast<size_t>(row)];
}

size_t BruteForce::TableRow(int row) const {
  return static_cast<size_t>(input_.rows[static_cast<size_t>(row)]);
}

double BruteForce::OptimalLoss(int depth) {
  known_.resize(std::max(known_.size(), static_cast<size_t>(depth) + 1));
  return Best(all_, depth);
}

double BruteForce::Best(uint64_t rows, int depth) {
  if (depth == 0) return LeafLoss(rows);
  std::unordered_map<uint64_t, double>& known = known_[static_cast<size_t>(depth)];
  if (const auto found = known.find(rows); found != known.end()) return found->second;
  double best = LeafLoss(rows);
  for (const uint64_t left : LeftSides(rows)) {
    const uint64_t right = rows & ~left;
    if (std::min(std::popcount(left), std::popcount(right)) < spec_.min_samples_leaf()) continue;
    best = std::min(best, spec_.split_penalty() + Best(left, depth - 1) + Best(right, depth - 1));
  }
  known.emplace(rows, best);
  return best;
}

std::vector<uint64_t> BruteForce::LeftSides(uint64_t rows) const {
  std::vector<uint64_t> sides;
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (input_.features[c].categorical) {
      AddLevelSides(c, rows, sides);
    } else {
      AddNumberSides(c, rows, sides);
    }
  }
  std::sort(sides.begin(), sides.end());
  sides.erase(std::unique(sides.begin(), sides.end()), sides.end());
  std::erase_if(sides, [rows](uint64_t left) { return left == 0 || left == rows; });
  return sides;
}

void BruteForce::AddNumberSides(size_t column, uint64_t rows, std::vector<uint64_t>& sides) const {
  const std::span<const double> numbers = input_.features[column].numbers;
  const uint64_t missing = columns_[column].missing & rows;
  uint64_t left = 0;
  double value = 0;
  for (const int row : columns_[column].present) {
    if ((rows & Bit(row)) == 0) continue;
    const double next = numbers[TableRow(row)];
    if (left != 0 && next > value) {
      sides.push_back(left);
      sides.push_back(left | missing);
    }
    left |= Bit(row);
    value = next;
  }
  sides.push_back(left);
}

void BruteForce::AddLevelSides(size_t column, uint64_t rows, std::vector<uint64_t>& sides) const {
  const FeatureColumn& feature = input_.features[column];
  const uint64_t missing = columns_[column].missing & rows;
  for (int32_t level = 0; level < feature.level_count; ++level) {
    uint64_t left = 0;
    ForEachRow(rows, [&](int row) {
      if (feature.codes[TableRow(row)] == level) left |= Bit(row);
    });
    if (left == 0) continue;
    sides.push_back(left);
    sides.push_back(left | missing);
  }
  sides.push_back(missing);
}

double BruteForce::LeafLoss(uint64_t rows) const {
  return input_.classification() ? ClassLoss(rows) : SquaredLoss(rows);
}

double BruteForce::ClassLoss(uint64_t rows) const {
  double best = kInfinity;
  for (int32_t predicted = 0; predicted < input_.outputs; ++predicted) {
    double cost = 0;
    ForEachRow(rows, [&](int row) {
      const int32_t actual = input_.classes[static_cast<size_t>(row)];
      if (actual == predicted) return;
      const size_t cell = static_cast<size_t>(actual * input_.outputs + predicted);
      cost += WeightOf(row) * (input_.costs.empty() ? 1.0 : input_.costs[cell]);
    });
    best = std::min(best, cost);
  }
  return best;
}

double BruteForce::SquaredLoss(uint64_t rows) const {
  double loss = 0;
  for (int output = 0; output < input_.outputs; ++output) {
    const auto value = [&](int row) {
      return input_.values[static_cast<size_t>(row * input_.outputs + output)];
    };
    double weight = 0;
    double sum = 0;
    ForEachRow(rows, [&](int row) {
      weight += WeightOf(row);
      sum += WeightOf(row) * value(row);
    });
    const double mean = sum / weight;
    ForEachRow(rows,
               [&](int row) { loss += WeightOf(row) * (value(row) - mean) * (value(row) - mean); });
  }
  return loss;
}

double BruteForce::LossOf(const Tree& tree) const {
  std::vector<uint64_t> rows_of(static_cast<size_t>(tree.node_count()), 0);
  ForEachRow(all_, [&](int row) {
    const int leaf = FindLeaf(tree, input_.features, input_.rows[static_cast<size_t>(row)]);
    rows_of[static_cast<size_t>(leaf)] |= Bit(row);
  });
  double loss = 0;
  for (int node = 0; node < tree.node_count(); ++node) {
    if (!tree.is_leaf(node)) {
      loss += spec_.split_penalty();
      continue;
    }
    const uint64_t rows = rows_of[static_cast<size_t>(node)];
    if (tree.node_count() > 1 && std::popcount(rows) < spec_.min_samples_leaf()) return kInfinity;
    loss += LeafLoss(rows);
  }
  return loss;
}

}  // namespace trainyard
