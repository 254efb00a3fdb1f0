#include "core/algorithms/quant_bnb/stump.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The loss of a leaf to which rows are added one by one.
class GrowingLeaf {
 public:
  explicit GrowingLeaf(const SearchProblem& problem)
      : problem_(problem), sums_(static_cast<size_t>(problem.outputs()), 0.0) {}

  void Add(uint32_t row) {
    const double weight = problem_.weights()[row];
    weight_ += weight;
    samples_ += problem_.counts()[row];
    if (!problem_.classification()) {
      AddTargets(row);
    } else if (problem_.costs().empty()) {
      double& sum = sums_[static_cast<size_t>(problem_.classes()[row])];
      sum += weight;
      greatest_ = std::max(greatest_, sum);
    } else {
      const size_t first = static_cast<size_t>(problem_.classes()[row]) * sums_.size();
      for (size_t p = 0; p < sums_.size(); ++p) sums_[p] += weight * problem_.costs()[first + p];
    }
  }

  double loss() const {
    if (problem_.classification()) {
      return problem_.costs().empty() ? weight_ - greatest_
                                      : *std::min_element(sums_.begin(), sums_.end());
    }
    double loss = squares_;
    for (const double sum : sums_) loss -= sum * sum / weight_;
    return std::max(loss, 0.0);
  }
  int64_t samples() const { return samples_; }

 private:
  void AddTargets(uint32_t row) {
    for (size_t o = 0; o < sums_.size(); ++o) {
      sums_[o] += problem_.sums()[row * sums_.size() + o];
      squares_ += problem_.squares()[row * sums_.size() + o];
    }
  }

  const SearchProblem& problem_;
  std::vector<double> sums_;
  double weight_ = 0;
  double greatest_ = 0;
  double squares_ = 0;
  int64_t samples_ = 0;
};

// The best cut of some rows in an order, and what it leaves; place -1: none beats the leaf.
struct Cut {
  double loss = 0;
  int place = -1;
};

// `rows` are the problem's, kLastOfValue set on the last of each value.
Cut BestCut(const SearchProblem& problem, std::span<const uint32_t> rows, int64_t min_samples) {
  std::vector<double> left(rows.size());
  GrowingLeaf before(problem);
  for (size_t i = 0; i < rows.size(); ++i) {
    before.Add(rows[i] & kRowMask);
    if ((rows[i] & kLastOfValue) == 0) continue;
    left[i] = before.samples() >= min_samples ? before.loss() : kInfinity;
  }
  Cut best{before.samples() >= min_samples ? before.loss() : kInfinity, -1};
  GrowingLeaf after(problem);
  for (size_t i = rows.size() - 1; i > 0; --i) {
    after.Add(rows[i] & kRowMask);
    if ((rows[i - 1] & kLastOfValue) == 0 || after.samples() < min_samples) continue;
    const double loss = left[i - 1] + after.loss() + problem.split_penalty();
    const bool first = best.place >= 0 && loss == best.loss;  // places come from the back
    if (loss < best.loss || first) best = {loss, static_cast<int>(i) - 1};
  }
  return best;
}

}  // namespace

Stump BestStumpOf(const SearchNode& node, int feature, int64_t min_samples) {
  const std::span<const uint32_t> order = node.order(feature);
  std::vector<uint32_t> rows;
  rows.reserve(order.size());
  for (const uint32_t entry : order) {
    rows.push_back(node.rows()[entry & kRowMask] | (entry & kLastOfValue));
  }
  const Cut cut = BestCut(node.problem(), rows, min_samples);
  return {cut.loss, cut.place < 0 ? -1 : feature, std::max(cut.place, 0)};
}

SearchTree TreeOfPair(const SearchNode& node, int feature, int place, const int (&children)[2]) {
  std::vector<uint8_t> side_of(node.rows().size(), 1);
  for (const uint32_t entry : node.order(feature).first(static_cast<size_t>(place) + 1)) {
    side_of[entry & kRowMask] = 0;
  }
  SearchTree sides[2];
  std::vector<uint32_t> rows;
  for (const uint8_t side : {0, 1}) {
    rows.clear();
    for (const uint32_t entry : node.order(children[side])) {
      if (side_of[entry & kRowMask] == side) rows.push_back(node.rows()[entry & kRowMask]);
      // The last row of a value on this side may not be that of the node.
      if (!rows.empty()) rows.back() |= entry & kLastOfValue;
    }
    const Cut cut = BestCut(node.problem(), rows, node.problem().min_samples_leaf());
    const int child = node.features()[static_cast<size_t>(children[side])];
    sides[side] = SearchTree::Leaf();
    if (cut.place < 0) continue;
    const uint32_t last = rows[static_cast<size_t>(cut.place)] & kRowMask;
    sides[side] = SearchTree::Join(child, node.problem().ranks(child)[last], SearchTree::Leaf(),
                                   SearchTree::Leaf());
  }
  return SearchTree::Join(node.features()[static_cast<size_t>(feature)],
                          node.RankAt(feature, place), sides[0], sides[1]);
}

// A batch with one threshold, that has all rows on its left, tells what each feature can do; only
// the best is asked for its cut.
StumpFinder::Answer StumpFinder::Find(const SearchNode& node, ThreadPool* pool, StopToken* stop) {
  const int64_t min_samples = node.problem().min_samples_leaf();
  const bool leaf_allowed = node.sample_count() >= min_samples;
  Answer answer{{leaf_allowed ? node.leaf_loss() : kInfinity, -1, 0}, node.leaf_loss()};
  if (node.feature_count() == 0) return answer;
  scanner_.Assign(node);
  const int all = node.row_count() - 1;
  const ThresholdGroup group{0, {&all, 1}};
  scanner_.Prepare({&group, 1});
  losses_.resize(static_cast<size_t>(node.feature_count()));
  scratch_.resize(
      std::max(scratch_.size(), pool == nullptr ? 1 : static_cast<size_t>(pool->threads())));
  const auto scan = [&](int64_t f, int thread) {
    if (stop != nullptr && stop->Ask()) return;
    scanner_.ScanFeature(static_cast<int>(f), scratch_[static_cast<size_t>(thread)],
                         &losses_[static_cast<size_t>(f)]);
  };
  if (pool != nullptr) {
    pool->Run(node.feature_count(), scan);
  } else {
    for (int f = 0; f < node.feature_count(); ++f) scan(f, 0);
  }
  if (stop != nullptr && stop->stopped()) return answer;
  int best = -1;
  double least = answer.stump.loss;
  for (int f = 0; f < node.feature_count(); ++f) {
    const SideLosses& losses = losses_[static_cast<size_t>(f)];
    answer.relaxed = std::min(answer.relaxed, losses.relaxed[0][0]);
    if (losses.constrained[0][0] >= least) continue;
    least = losses.constrained[0][0];
    best = f;
  }
  if (best >= 0) answer.stump = BestStumpOf(node, best, min_samples);
  return answer;
}

SearchTree TreeOf(const SearchNode& node, const Stump& stump) {
  if (stump.feature < 0) return SearchTree::Leaf();
  return SearchTree::Join(node.features()[static_cast<size_t>(stump.feature)],
                          node.RankAt(stump.feature, stump.place), SearchTree::Leaf(),
                          SearchTree::Leaf());
}

}  // namespace trainyard::quant_bnb
