#include "tests/core/trees/brute_force_cart.h"

#include <bit>
#include <cmath>
#include <optional>
#include <set>
#include <string>

namespace trainyard {
namespace {

using Rows = std::vector<size_t>;

// Splits equal to this share of N i are ties.
constexpr double kTie = 1e-11;

class Checker {
 public:
  Checker(const Tree& tree, const TrainingSet& set, const v1::CartOptions& options,
          RightSplit right)
      : tree_(tree), set_(set), options_(options), right_(right), columns_(set.columns()) {
    for (size_t row = 0; row < set.rows; ++row) {
      if (set.WeightOf(row) > 0) all_.push_back(row);
    }
    total_weight_ = Weight(all_);
  }

  void Run() {
    decreases_.assign(tree_.feature.size(), std::nullopt);
    CheckNode(0, all_, 0);
    if (options_.max_leaf_nodes() > 0) CheckBestFirst();
  }

 private:
  struct Candidate {
    int32_t feature = -1;
    double decrease = 0;
    bool missing_left = false;
    double threshold = 0;
    std::vector<bool> left;
  };

  double Weight(const Rows& rows) const {
    double sum = 0;
    for (const size_t row : rows) sum += set_.WeightOf(row);
    return sum;
  }

  std::vector<double> Mean(const Rows& rows) const {
    const size_t width = static_cast<size_t>(set_.outputs);
    std::vector<double> mean(width, 0);
    for (const size_t row : rows) {
      for (size_t k = 0; k < width; ++k) {
        const double value = set_.classification()
                                 ? static_cast<double>(set_.classes[row] == static_cast<int>(k))
                                 : set_.values[row * width + k];
        mean[k] += set_.WeightOf(row) * value;
      }
    }
    for (double& m : mean) m /= Weight(rows);
    return mean;
  }

  double Impurity(const Rows& rows) const {
    const std::vector<double> mean = Mean(rows);
    const size_t width = mean.size();
    double impurity = 0;
    if (set_.classification()) {
      const bool entropy = options_.criterion() == v1::CartOptions::CRITERION_ENTROPY ||
                           options_.criterion() == v1::CartOptions::CRITERION_GAIN_RATIO;
      for (const double p : mean) {
        if (p > 0) impurity += entropy ? -p * std::log2(p) : p * (1 - p);
      }
      return impurity;
    }
    if (IsPoisson()) return HalfDeviance(rows, mean);
    for (const size_t row : rows) {
      for (size_t k = 0; k < width; ++k) {
        const double difference = set_.values[row * width + k] - mean[k];
        impurity += set_.WeightOf(row) * difference * difference;
      }
    }
    return impurity / Weight(rows) / static_cast<double>(width);
  }

  bool IsPoisson() const { return options_.criterion() == v1::CartOptions::CRITERION_POISSON; }

  double HalfDeviance(const Rows& rows, const std::vector<double>& mean) const {
    const size_t width = mean.size();
    double deviance = 0;
    for (const size_t row : rows) {
      for (size_t k = 0; k < width; ++k) {
        const double value = set_.values[row * width + k];
        deviance += set_.WeightOf(row) * (mean[k] - value);
        if (value > 0) deviance += set_.WeightOf(row) * value * std::log(value / mean[k]);
      }
    }
    return deviance / Weight(rows) / static_cast<double>(width);
  }

  // Poisson deviance allows no side whose targets are all 0, unless those of the node are.
  bool LeavesSumOfZero(const Rows& rows, const Rows (&sides)[2]) const {
    if (!IsPoisson()) return false;
    const std::vector<double> mean = Mean(rows);
    for (const Rows& side : sides) {
      const std::vector<double> own = Mean(side);
      for (size_t k = 0; k < own.size(); ++k) {
        if (own[k] == 0 && mean[k] > 0) return true;
      }
    }
    return false;
  }

  // C4.5: every feature offers its first split of greatest gain; of those with at least the average
  // gain the one of greatest gain per bit of division wins.
  std::vector<Candidate> WithBestRatio(const Rows& rows,
                                       const std::vector<Candidate>& candidates) const {
    const double tolerance = kTie * Weight(rows) * Impurity(rows);
    std::vector<Candidate> offers;
    for (const Candidate& candidate : candidates) {
      if (offers.empty() || offers.back().feature != candidate.feature) {
        offers.push_back(candidate);
      } else if (candidate.decrease > offers.back().decrease + tolerance) {
        offers.back() = candidate;
      }
    }
    double average = 0;
    for (const Candidate& offer : offers) {
      average += offer.decrease / static_cast<double>(offers.size());
    }
    const auto ratio = [&](const Candidate& offer) {
      double left = 0;
      for (size_t i = 0; i < rows.size(); ++i) left += offer.left[i] ? set_.WeightOf(rows[i]) : 0;
      const double share = left / Weight(rows);
      return offer.decrease / -(share * std::log2(share) + (1 - share) * std::log2(1 - share));
    };
    double best = -HUGE_VAL;
    for (const Candidate& offer : offers) {
      if (offer.decrease >= average - tolerance) best = std::max(best, ratio(offer));
    }
    std::erase_if(offers, [&](const Candidate& offer) {
      return offer.decrease < average - tolerance || ratio(offer) < best - kTie * best;
    });
    return offers;
  }

  bool IsPure(const Rows& rows) const {
    const size_t width = static_cast<size_t>(set_.outputs);
    for (const size_t row : rows) {
      if (set_.classification()) {
        if (set_.classes[row] != set_.classes[rows[0]]) return false;
        continue;
      }
      for (size_t k = 0; k < width; ++k) {
        if (set_.values[row * width + k] != set_.values[rows[0] * width + k]) return false;
      }
    }
    return true;
  }

  bool MayBeSplit(const Rows& rows, int depth) const {
    const int64_t count = static_cast<int64_t>(rows.size());
    return !IsPure(rows) && count >= options_.min_samples_split() &&
           (options_.max_depth() == 0 || depth < options_.max_depth());
  }

  bool IsMissing(size_t feature, size_t row) const {
    const FeatureColumn& column = columns_[feature];
    return column.categorical ? column.codes[row] < 0 : std::isnan(column.numbers[row]);
  }

  // Adds the candidate when it satisfies the limits on both sides.
  void Consider(int32_t feature, const Rows& rows, const std::vector<bool>& left, bool missing_left,
                double threshold, std::vector<Candidate>& candidates) const {
    Rows sides[2];
    for (size_t i = 0; i < rows.size(); ++i) sides[left[i] ? 0 : 1].push_back(rows[i]);
    const double least = options_.min_weight_fraction_leaf() * total_weight_;
    for (const Rows& side : sides) {
      if (static_cast<int64_t>(side.size()) < options_.min_samples_leaf()) return;
      if (Weight(side) < least) return;
    }
    if (LeavesSumOfZero(rows, sides)) return;
    const double decrease = Weight(rows) * Impurity(rows) - Weight(sides[0]) * Impurity(sides[0]) -
                            Weight(sides[1]) * Impurity(sides[1]);
    const double tolerance = kTie * Weight(rows) * Impurity(rows);
    if (decrease < options_.min_impurity_decrease() * total_weight_ - tolerance) return;
    candidates.push_back({feature, decrease, missing_left, threshold, left});
  }

  void AddNumeric(int32_t f, const Rows& rows, std::vector<Candidate>& candidates) const {
    const std::vector<double>& numbers = set_.numbers[static_cast<size_t>(f)];
    std::set<double> distinct;
    bool any_missing = false;
    for (const size_t row : rows) {
      if (std::isnan(numbers[row])) {
        any_missing = true;
      } else {
        distinct.insert(numbers[row]);
      }
    }
    for (const bool missing_left : {false, true}) {
      if (missing_left && !any_missing) break;
      for (auto it = distinct.begin(); it != distinct.end(); ++it) {
        const auto next = std::next(it);
        if (next == distinct.end() && (missing_left || !any_missing)) break;
        std::vector<bool> left;
        for (const size_t row : rows) {
          left.push_back(std::isnan(numbers[row]) ? missing_left : numbers[row] <= *it);
        }
        const double threshold = next == distinct.end() ? HUGE_VAL : (*it + *next) / 2;
        Consider(f, rows, left, missing_left, threshold, candidates);
      }
    }
  }

  // Every set of levels, or every single level where levels have no order.
  void AddCategorical(int32_t f, const Rows& rows, std::vector<Candidate>& candidates) const {
    const std::vector<int32_t>& codes = set_.codes[static_cast<size_t>(f)];
    const uint32_t levels = static_cast<uint32_t>(set_.level_counts[static_cast<size_t>(f)]);
    const bool any_set = set_.classification() ? set_.outputs == 2 : set_.outputs == 1;
    for (uint32_t subset = 0; subset < (uint32_t{1} << levels); ++subset) {
      const int members = std::popcount(subset);
      const bool rest = subset == (uint32_t{1} << levels) - 1;
      if (!any_set && members != 1 && !rest) continue;
      for (const bool missing_left : {false, true}) {
        std::vector<bool> left;
        for (const size_t row : rows) {
          left.push_back(codes[row] < 0 ? missing_left : ((subset >> codes[row]) & 1) != 0);
        }
        Consider(f, rows, left, missing_left, 0, candidates);
      }
    }
  }

  std::vector<Candidate> AllCandidates(const Rows& rows) const {
    std::vector<Candidate> candidates;
    for (size_t f = 0; f < columns_.size(); ++f) {
      if (columns_[f].categorical) {
        AddCategorical(static_cast<int32_t>(f), rows, candidates);
      } else {
        AddNumeric(static_cast<int32_t>(f), rows, candidates);
      }
    }
    const bool by_ratio = options_.criterion() == v1::CartOptions::CRITERION_GAIN_RATIO;
    return by_ratio ? WithBestRatio(rows, candidates) : candidates;
  }

  void CheckFigures(int node, const Rows& rows) const {
    const size_t t = static_cast<size_t>(node);
    const double scale = std::max(1.0, Impurity(all_));
    EXPECT_NEAR(tree_.weight[t], Weight(rows), 1e-12 * total_weight_) << "node " << node;
    EXPECT_EQ(tree_.row_count[t], static_cast<int64_t>(rows.size())) << "node " << node;
    EXPECT_NEAR(tree_.impurity[t], Impurity(rows), 1e-12 * scale) << "node " << node;
    const std::vector<double> mean = Mean(rows);
    for (size_t k = 0; k < mean.size(); ++k) {
      EXPECT_NEAR(tree_.MeanOf(node)[k], mean[k], 1e-12 * scale) << "node " << node;
      EXPECT_EQ(tree_.ValueOf(node)[k], tree_.MeanOf(node)[k]) << "node " << node;
    }
  }

  void CheckNode(int node, const Rows& rows, int depth) {
    CheckFigures(node, rows);
    const std::vector<Candidate> candidates =
        MayBeSplit(rows, depth) ? AllCandidates(rows) : std::vector<Candidate>();
    double best = -HUGE_VAL;
    for (const Candidate& candidate : candidates) best = std::max(best, candidate.decrease);
    if (!candidates.empty()) decreases_[static_cast<size_t>(node)] = best;
    if (tree_.is_leaf(node)) {
      // Where few features were drawn they may have allowed no split.
      if (options_.max_leaf_nodes() == 0 && right_ != RightSplit::kBestOfItsFeature) {
        EXPECT_TRUE(candidates.empty()) << "node " << node << " could be split by " << best;
      }
      return;
    }
    ASSERT_FALSE(candidates.empty()) << "node " << node << " must not be split";
    CheckSplit(node, rows, candidates, best);
    Rows left;
    Rows right;
    for (const size_t row : rows) (GoesLeft(node, row) ? left : right).push_back(row);
    CheckNode(tree_.left[static_cast<size_t>(node)], left, depth + 1);
    CheckNode(tree_.right[static_cast<size_t>(node)], right, depth + 1);
  }

  bool GoesLeft(int node, size_t row) const {
    const size_t t = static_cast<size_t>(node);
    const size_t feature = static_cast<size_t>(tree_.feature[t]);
    if (IsMissing(feature, row)) return tree_.missing_left[t] != 0;
    if (!columns_[feature].categorical) {
      return columns_[feature].numbers[row] <= tree_.threshold[t];
    }
    const std::span<const int32_t> levels = tree_.LeftLevels(node);
    return std::find(levels.begin(), levels.end(), columns_[feature].codes[row]) != levels.end();
  }

  // Whether the node divides its present rows like the candidate; the sides of a category have no
  // order, and the missing rows are on the better one.
  bool IsMade(int node, const Rows& rows, const Candidate& candidate) const {
    const size_t feature = static_cast<size_t>(tree_.feature[static_cast<size_t>(node)]);
    if (candidate.feature != static_cast<int32_t>(feature)) return false;
    bool same = true;
    bool flipped = columns_[feature].categorical;
    for (size_t i = 0; i < rows.size(); ++i) {
      const bool left = GoesLeft(node, rows[i]);
      if (right_ == RightSplit::kAny && IsMissing(feature, rows[i])) continue;
      same = same && left == candidate.left[i];
      flipped = flipped && left != candidate.left[i];
    }
    return same || flipped;
  }

  // The split is the first of the best ones; the sides of a category have no order.
  void CheckSplit(int node, const Rows& rows, const std::vector<Candidate>& candidates,
                  double best) const {
    if (options_.criterion() == v1::CartOptions::CRITERION_GAIN_RATIO) best = -HUGE_VAL;
    const size_t t = static_cast<size_t>(node);
    const double tolerance = kTie * Weight(rows) * Impurity(rows);
    if (right_ == RightSplit::kBestOfItsFeature || right_ == RightSplit::kAny) {
      best = -HUGE_VAL;
      for (const Candidate& candidate : candidates) {
        const bool counts = candidate.feature == tree_.feature[t] &&
                            (right_ != RightSplit::kAny || IsMade(node, rows, candidate));
        if (counts) best = std::max(best, candidate.decrease);
      }
    }
    const auto first = std::find_if(candidates.begin(), candidates.end(), [&](const Candidate& c) {
      if (right_ != RightSplit::kFirstBest && !IsMade(node, rows, c)) return false;
      return c.decrease >= best - tolerance;
    });
    ASSERT_NE(first, candidates.end()) << "node " << node;
    ASSERT_EQ(tree_.feature[t], first->feature) << "node " << node;
    std::vector<bool> left;
    std::vector<bool> flipped;
    bool any_missing = false;
    for (const size_t row : rows) {
      left.push_back(GoesLeft(node, row));
      flipped.push_back(!left.back());
      any_missing = any_missing || IsMissing(static_cast<size_t>(first->feature), row);
    }
    if (!columns_[static_cast<size_t>(first->feature)].categorical) {
      EXPECT_EQ(left, first->left) << "node " << node;
      if (right_ != RightSplit::kAny) {
        EXPECT_DOUBLE_EQ(tree_.threshold[t], first->threshold) << "node " << node;
      }
      const size_t a = static_cast<size_t>(tree_.left[t]);
      const size_t b = static_cast<size_t>(tree_.right[t]);
      const bool missing_left =
          any_missing ? first->missing_left : tree_.weight[a] > tree_.weight[b];
      EXPECT_EQ(tree_.missing_left[t] != 0, missing_left) << "node " << node;
      return;
    }
    EXPECT_FALSE(tree_.missing_left[t]) << "node " << node;
    const bool among_best = std::any_of(candidates.begin(), candidates.end(), [&](const auto& c) {
      return c.feature == first->feature && c.decrease >= best - tolerance &&
             (c.left == left || c.left == flipped);
    });
    EXPECT_TRUE(among_best) << "node " << node;
  }

  // Nodes are numbered as created, so the order of the splits can be read off the children.
  void CheckBestFirst() const {
    std::vector<std::pair<int, int>> splits;  // left child, node
    for (int t = 0; t < tree_.node_count(); ++t) {
      if (!tree_.is_leaf(t)) splits.emplace_back(tree_.left[static_cast<size_t>(t)], t);
    }
    std::sort(splits.begin(), splits.end());
    std::set<int> frontier = {0};
    for (const auto& [left, node] : splits) {
      ASSERT_TRUE(frontier.contains(node));
      const double own = *decreases_[static_cast<size_t>(node)];
      for (const int other : frontier) {
        const std::optional<double>& decrease = decreases_[static_cast<size_t>(other)];
        if (!decrease.has_value()) continue;
        EXPECT_GE(own, *decrease - kTie * total_weight_ * Impurity(all_))
            << "node " << node << " was split before " << other;
      }
      frontier.erase(node);
      frontier.insert({left, left + 1});
    }
    const bool full = static_cast<int>(frontier.size()) == options_.max_leaf_nodes();
    for (const int leaf : frontier) {
      EXPECT_TRUE(full || !decreases_[static_cast<size_t>(leaf)].has_value()) << "node " << leaf;
    }
    EXPECT_LE(static_cast<int>(frontier.size()), std::max(options_.max_leaf_nodes(), 1));
  }

  const Tree& tree_;
  const TrainingSet& set_;
  const v1::CartOptions& options_;
  const RightSplit right_;
  const std::vector<FeatureColumn> columns_;
  Rows all_;
  double total_weight_ = 0;
  std::vector<std::optional<double>> decreases_;  // best possible, by node; none: must be a leaf
};

}  // namespace

void ExpectIsCart(const Tree& tree, const TrainingSet& set, const v1::CartOptions& options,
                  RightSplit right) {
  Checker(tree, set, options, right).Run();
}

}  // namespace trainyard
