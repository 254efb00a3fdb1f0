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

// The out-of-bag values of one strength beside the truth.
class StrengthScores {
 public:
  StrengthScores(const ForestOob& oob, size_t strength, const TreeTarget& target,
                 std::span<const double> weights, std::span<const uint32_t> rows)
      : oob_(oob), strength_(strength), target_(target), weights_(weights), rows_(rows) {}

  OobScore Score() const {
    OobScore score;
    score.lambda = oob_.lambdas[strength_];
    score.loss = Mean([this](size_t i) { return LossOf(i); });
    double squares = 0;
    ForEachRow([&](size_t i, double weight) {
      const double distance = weight * (LossOf(i) - score.loss);
      squares += distance * distance;
    });
    score.loss_error = std::sqrt(squares) / TotalWeight();
    score.score = target_.classification() ? Mean([this](size_t i) { return Hit(i); }) : RSquared();
    return score;
  }

 private:
  size_t width() const { return static_cast<size_t>(oob_.outputs); }
  const double* ValuesOf(size_t i) const {
    return oob_.values.data() + (i * oob_.lambdas.size() + strength_) * width();
  }
  size_t ClassOf(size_t i) const { return static_cast<size_t>(target_.classes[rows_[i]]); }

  // Calls `visit(position, weight)` for every row with a value.
  template <typename Visit>
  void ForEachRow(const Visit& visit) const {
    for (size_t i = 0; i < rows_.size(); ++i) {
      if (oob_.tree_counts[i] > 0) visit(i, weights_.empty() ? 1.0 : weights_[rows_[i]]);
    }
  }
  double TotalWeight() const {
    double total = 0;
    ForEachRow([&](size_t, double weight) { total += weight; });
    return total;
  }
  template <typename Value>
  double Mean(const Value& value) const {
    double sum = 0;
    ForEachRow([&](size_t i, double weight) { sum += weight * value(i); });
    return sum / TotalWeight();
  }

  double LossOf(size_t i) const {
    const double* values = ValuesOf(i);
    if (target_.classification()) {
      return -std::log(std::clamp(values[ClassOf(i)], kLeastShare, 1.0));
    }
    double loss = 0;
    for (size_t k = 0; k < width(); ++k) {
      const double error = target_.values[rows_[i] * width() + k] - values[k];
      loss += error * error;
    }
    return loss / static_cast<double>(width());
  }
  double Hit(size_t i) const {
    const double* shares = ValuesOf(i);
    return std::max_element(shares, shares + width()) == shares + ClassOf(i) ? 1 : 0;
  }

  double RSquared() const {
    if (TotalWeight() == 0) return std::numeric_limits<double>::quiet_NaN();
    double result = 0;
    for (size_t k = 0; k < width(); ++k) {
      const auto truth = [&](size_t i) { return target_.values[rows_[i] * width() + k]; };
      const double mean = Mean(truth);
      double error = 0;
      double spread = 0;
      ForEachRow([&](size_t i, double weight) {
        error += weight * (truth(i) - ValuesOf(i)[k]) * (truth(i) - ValuesOf(i)[k]);
        spread += weight * (truth(i) - mean) * (truth(i) - mean);
      });
      if (spread > 0) result += (1 - error / spread) / static_cast<double>(width());
    }
    return result;
  }

  const ForestOob& oob_;
  const size_t strength_;
  const TreeTarget& target_;
  const std::span<const double> weights_;
  const std::span<const uint32_t> rows_;
};

}  // namespace

std::vector<OobScore> ScoreOob(const ForestOob& oob, const TreeTarget& target,
                               std::span<const double> weights, std::span<const uint32_t> rows) {
  std::vector<OobScore> scores;
  for (size_t j = 0; j < oob.lambdas.size(); ++j) {
    scores.push_back(StrengthScores(oob, j, target, weights, rows).Score());
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
                                             StopToken& stop, std::vector<double>& path) const {
  const size_t width = static_cast<size_t>(oob_.outputs);
  const size_t strengths = oob_.lambdas.size();
  std::vector<double> values(leaves.size() * strengths * width);
  // As many strengths at once as leave the path small.
  const size_t most = std::max<size_t>(1, kPathNumbers / tree.mean.size());
  for (size_t first = 0; first < strengths && !stop.Ask(); first += most) {
    const size_t count = std::min(most, strengths - first);
    ShrinkagePath(tree, request_.scheme, std::span(oob_.lambdas).subspan(first, count), path);
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
