#include "core/algorithms/quant_bnb/leaf_bounds.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

namespace trainyard::quant_bnb {

double LeafBounds::Bound(const SearchNode& node, int leaves) {
  const SearchProblem& problem = node.problem();
  if (problem.classification()) return problem.costs().empty() ? ClassBound(node, leaves) : 0;
  return problem.outputs() == 1 ? TargetBound(node, leaves) : 0;
}

double LeafBounds::ClassBound(const SearchNode& node, int leaves) {
  class_weights_.assign(node.class_weights().begin(), node.class_weights().end());
  const size_t kept = static_cast<size_t>(leaves);
  if (class_weights_.size() <= kept) return 0;
  const auto rest = class_weights_.begin() + static_cast<ptrdiff_t>(kept);
  std::nth_element(class_weights_.begin(), rest, class_weights_.end(), std::greater<>());
  double bound = 0;
  for (auto weight = rest; weight != class_weights_.end(); ++weight) bound += *weight;
  return bound;
}

// The best groups are intervals of the sorted values, and the place where the last of them begins
// rises with the number of values: each layer of the recursion over groups is filled by halves.
double LeafBounds::TargetBound(const SearchNode& node, int leaves) {
  const SearchProblem& problem = node.problem();
  double within = 0;  // of rows that stand for several
  values_.clear();
  for (const uint32_t row : node.rows()) {
    const double weight = problem.weights()[row];
    const double mean = problem.sums()[row] / weight;
    values_.push_back({mean, weight});
    within += problem.squares()[row] - mean * problem.sums()[row];
  }
  std::sort(values_.begin(), values_.end(),
            [](const Value& a, const Value& b) { return a.mean < b.mean; });
  const size_t count = values_.size();
  weights_.assign(count + 1, 0);
  sums_.assign(count + 1, 0);
  squares_.assign(count + 1, 0);
  for (size_t i = 0; i < count; ++i) {
    const double sum = values_[i].weight * values_[i].mean;
    weights_[i + 1] = weights_[i] + values_[i].weight;
    sums_[i + 1] = sums_[i] + sum;
    squares_[i + 1] = squares_[i] + sum * values_[i].mean;
  }
  current_.resize(count + 1);
  for (size_t i = 0; i <= count; ++i) current_[i] = Cost(0, i);
  for (int groups = 2; groups <= leaves; ++groups) {
    previous_.swap(current_);
    current_.resize(count + 1);
    FillLayer(0, count, 0, count);
  }
  return std::max(within, 0.0) + std::max(current_[count], 0.0);
}

// Squared error of one group of the values [begin, end).
double LeafBounds::Cost(size_t begin, size_t end) const {
  if (begin == end) return 0;
  const double sum = sums_[end] - sums_[begin];
  const double error =
      squares_[end] - squares_[begin] - sum * sum / (weights_[end] - weights_[begin]);
  return std::max(error, 0.0);
}

// Fills current_[first] to current_[last], whose last groups begin in [least, most].
void LeafBounds::FillLayer(size_t first, size_t last, size_t least, size_t most) {
  const size_t middle = first + (last - first) / 2;
  double best = std::numeric_limits<double>::infinity();
  size_t begin = least;
  for (size_t i = least; i <= std::min(middle, most); ++i) {
    const double cost = previous_[i] + Cost(i, middle);
    if (cost < best) {
      best = cost;
      begin = i;
    }
  }
  current_[middle] = best;
  if (middle > first) FillLayer(first, middle - 1, least, begin);
  if (middle < last) FillLayer(middle + 1, last, begin, most);
}

}  // namespace trainyard::quant_bnb
