#include "core/trees/forest_oob.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trainyard {
namespace {

constexpr double kLeastShare = 1e-15;
constexpr size_t kRowsBetweenQuestions = size_t{1} << 18;
// Values of nodes kept at once.
constexpr size_t kPathNumbers = size_t{1} << 21;

// One split as a test of rows.
class RowTest {
 public:
  static constexpr size_t kFewRows = 16;

  // For `rows` rows: few look their values up, many the greatest rank that goes left.
  RowTest(const Tree& tree, int node, const RankMatrix& matrix, size_t rows)
      : matrix_(matrix),
        feature_(tree.feature[static_cast<size_t>(node)]),
        threshold_(tree.threshold[static_cast<size_t>(node)]),
        missing_left_(tree.missing_left[static_cast<size_t>(node)] != 0),
        by_value_(matrix.has_values(feature_)),
        missing_rank_(matrix.features().missing_rank(feature_)),
        few_(rows < kFewRows),
        levels_(tree.LeftLevels(node)),
        values_(matrix.features().values(feature_)) {
    if (by_value_ || few_) return;
    left_ranks_ = static_cast<uint32_t>(
        std::upper_bound(values_.begin(), values_.end(), threshold_) - values_.begin());
  }

  bool GoesLeft(uint32_t row) const {
    if (by_value_) {
      const double value = matrix_.value(feature_, row);
      return std::isnan(value) ? missing_left_ : value <= threshold_;
    }
    const uint32_t rank = matrix_.rank(feature_, row);
    if (rank == missing_rank_) return missing_left_;
    if (levels_.empty()) return few_ ? values_[rank] <= threshold_ : rank < left_ranks_;
    return std::binary_search(levels_.begin(), levels_.end(), static_cast<int32_t>(rank));
  }

 private:
  const RankMatrix& matrix_;
  const int32_t feature_;
  const double threshold_;
  const bool missing_left_;
  const bool by_value_;
  const uint32_t missing_rank_;
  const bool few_;
  const std::span<const int32_t> levels_;
  const std::span<const double> values_;
  uint32_t left_ranks_ = 0;  // ranks below go left
};

struct Measure {
  double loss = 0;
  double score = 0;
};

Measure ScoreClasses(const ForestOob& oob, size_t strength, const TreeTarget& target,
                     std::span<const double> weights, std::span<const uint32_t> rows) {
  const size_t width = static_cast<size_t>(oob.outputs);
  double total = 0;
  Measure sums;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (oob.tree_counts[i] == 0) continue;
    const double weight = weights.empty() ? 1.0 : weights[rows[i]];
    const double* shares = oob.values.data() + (i * oob.lambdas.size() + strength) * width;
    const size_t truth = static_cast<size_t>(target.classes[rows[i]]);
    total += weight;
    sums.loss -= weight * std::log(std::clamp(shares[truth], kLeastShare, 1.0));
    if (std::max_element(shares, shares + width) == shares + truth) sums.score += weight;
  }
  return {sums.loss / total, sums.score / total};
}

Measure ScoreNumbers(const ForestOob& oob, size_t strength, const TreeTarget& target,
                     std::span<const double> weights, std::span<const uint32_t> rows) {
  const size_t width = static_cast<size_t>(oob.outputs);
  Measure result;
  for (size_t k = 0; k < width; ++k) {
    double total = 0;
    double sum = 0;
    const auto for_each = [&](const auto& visit) {
      for (size_t i = 0; i < rows.size(); ++i) {
        if (oob.tree_counts[i] == 0) continue;
        visit(weights.empty() ? 1.0 : weights[rows[i]], target.values[rows[i] * width + k],
              oob.values[(i * oob.lambdas.size() + strength) * width + k]);
      }
    };
    for_each([&](double weight, double truth, double) {
      total += weight;
      sum += weight * truth;
    });
    double error = 0;
    double spread = 0;
    for_each([&](double weight, double truth, double value) {
      error += weight * (truth - value) * (truth - value);
      spread += weight * (truth - sum / total) * (truth - sum / total);
    });
    result.loss += error / total / static_cast<double>(width);
    if (spread > 0 || total == 0) result.score += (1 - error / spread) / static_cast<double>(width);
  }
  return result;
}

}  // namespace

std::vector<OobScore> ScoreOob(const ForestOob& oob, const TreeTarget& target,
                               std::span<const double> weights, std::span<const uint32_t> rows) {
  std::vector<OobScore> scores;
  for (size_t j = 0; j < oob.lambdas.size(); ++j) {
    const Measure measure = target.classification() ? ScoreClasses(oob, j, target, weights, rows)
                                                    : ScoreNumbers(oob, j, target, weights, rows);
    scores.push_back({oob.lambdas[j], measure.loss, measure.score});
  }
  return scores;
}

// The rows walk down together: each node's are a range, divided like the training rows.
std::vector<int32_t> LeavesOfRows(const Tree& tree, const RankMatrix& ranks,
                                  std::span<const uint32_t> rows, StopToken& stop) {
  struct Part {
    int32_t node;
    size_t begin;
    size_t end;
  };
  std::vector<int32_t> leaves(rows.size());
  std::vector<uint32_t> order(rows.size());  // positions in `rows`
  for (size_t i = 0; i < rows.size(); ++i) order[i] = static_cast<uint32_t>(i);
  std::vector<uint32_t> scratch(rows.size());
  std::vector<Part> open = {{0, 0, rows.size()}};
  size_t work = 0;
  while (!open.empty()) {
    const Part part = open.back();
    open.pop_back();
    work += part.end - part.begin;
    if (work > kRowsBetweenQuestions && std::exchange(work, 0) > 0 && stop.Ask()) return leaves;
    if (part.begin == part.end) continue;
    if (tree.is_leaf(part.node)) {
      for (size_t i = part.begin; i < part.end; ++i) leaves[order[i]] = part.node;
      continue;
    }
    const size_t t = static_cast<size_t>(part.node);
    const RowTest test(tree, part.node, ranks, part.end - part.begin);
    size_t left = part.begin;
    size_t right = 0;
    for (size_t i = part.begin; i < part.end; ++i) {
      const uint32_t position = order[i];
      const bool goes_left = test.GoesLeft(rows[position]);
      order[left] = position;  // never ahead of `i`
      scratch[right] = position;
      left += goes_left ? 1 : 0;
      right += goes_left ? 0 : 1;
    }
    std::copy_n(scratch.begin(), right, order.begin() + static_cast<ptrdiff_t>(left));
    open.push_back({tree.right[t], left, part.end});
    open.push_back({tree.left[t], part.begin, left});
  }
  return leaves;
}

OobAccumulator::OobAccumulator(const OobRequest& request, int outputs, size_t rows)
    : request_(request) {
  oob_.lambdas = request.lambdas;
  oob_.outputs = outputs;
  oob_.values.assign(rows * request.lambdas.size() * static_cast<size_t>(outputs), 0);
  oob_.tree_counts.assign(rows, 0);
}

std::vector<double> OobAccumulator::ValuesOf(const Tree& tree, std::span<const int32_t> leaves,
                                             StopToken& stop) const {
  const size_t width = static_cast<size_t>(oob_.outputs);
  const size_t strengths = oob_.lambdas.size();
  std::vector<double> values(leaves.size() * strengths * width);
  // As many strengths at once as leave the path small.
  const size_t most = std::max<size_t>(1, kPathNumbers / tree.mean.size());
  for (size_t first = 0; first < strengths && !stop.Ask(); first += most) {
    const size_t count = std::min(most, strengths - first);
    const std::vector<double> path =
        ShrinkagePath(tree, request_.scheme, std::span(oob_.lambdas).subspan(first, count));
    for (size_t i = 0; i < leaves.size(); ++i) {
      std::copy_n(
          path.begin() + static_cast<ptrdiff_t>(leaves[i]) * static_cast<ptrdiff_t>(count * width),
          count * width, values.begin() + static_cast<ptrdiff_t>((i * strengths + first) * width));
    }
  }
  return values;
}

void OobAccumulator::Add(std::span<const uint32_t> positions, std::span<const double> values) {
  const size_t width = oob_.lambdas.size() * static_cast<size_t>(oob_.outputs);
  for (size_t i = 0; i < positions.size(); ++i) {
    double* to = oob_.values.data() + positions[i] * width;
    for (size_t k = 0; k < width; ++k) to[k] += values[i * width + k];
    ++oob_.tree_counts[positions[i]];
  }
}

ForestOob OobAccumulator::Finish() {
  const size_t width = oob_.lambdas.size() * static_cast<size_t>(oob_.outputs);
  for (size_t i = 0; i < oob_.tree_counts.size(); ++i) {
    const double count = oob_.tree_counts[i];
    for (size_t k = 0; k < width; ++k) {
      double& value = oob_.values[i * width + k];
      value = count > 0 ? value / count : std::numeric_limits<double>::quiet_NaN();
    }
  }
  return std::move(oob_);
}

}  // namespace trainyard
