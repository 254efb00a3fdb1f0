#include "core/algorithms/quant_bnb/pair_solver.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

WorkCounters& WorkCounters::operator+=(const WorkCounters& other) {
  subproblems += other.subproblems;
  batches += other.batches;
  pruned += other.pruned;
  screened_features += other.screened_features;
  return *this;
}

void PairSolver::Begin(const SearchNode& node, double budget) {
  ++counters_.subproblems;
  solution_ = {kInfinity, -1, 0, node.leaf_loss()};
  solution_limit_ = budget;
  if (node.sample_count() >= node.problem().min_samples_leaf() && node.leaf_loss() < budget) {
    solution_.loss = node.leaf_loss();
    solution_limit_ = node.leaf_loss();
  }
  cursor_ = 0;
  listed_.assign(static_cast<size_t>(node.feature_count()), false);
  if (lists_.size() < listed_.size()) lists_.resize(listed_.size());
}

SubtreeSolution PairSolver::Solve(const SearchNode& node, double budget, ThreadPool* pool) {
  Begin(node, budget);
  // Every split costs the penalty.
  if (node.leaf_loss() <= node.problem().split_penalty()) return solution_;
  scanner_.Assign(node);
  costs_.Assign(node);
  while (NextBatch(node)) {
    ScanBatch(node, pool);
    if (stop_.stopped()) break;
    for (int g = 0; g < static_cast<int>(batch_.groups.size()); ++g) Absorb(node, g);
  }
  return solution_;
}

void PairSolver::AddGroup(const SearchNode&, int feature, std::span<const int> thresholds) {
  const size_t g = batch_.groups.size();
  const ThresholdList& list = lists_[static_cast<size_t>(feature)];
  batch_.thresholds[g].assign(thresholds.begin(), thresholds.end());
  batch_.places[g].clear();
  for (const int threshold : thresholds) batch_.places[g].push_back(list.place(threshold));
  batch_.groups.push_back({feature, batch_.places[g]});
}

// Takes features in turn until the batch is full.
bool PairSolver::NextBatch(const SearchNode& node) {
  const double penalty = node.problem().split_penalty();
  const size_t features = listed_.size();
  const size_t most = static_cast<size_t>(scanner_.max_groups());
  batch_.groups.clear();
  for (size_t tried = 0; tried < features && batch_.groups.size() < most; ++tried) {
    const size_t f = cursor_++ % features;
    ThresholdList& list = lists_[f];
    if (!listed_[f]) {
      list.Assign(node, static_cast<int>(f), costs_);
      listed_[f] = true;
    }
    if (list.alive().empty()) continue;
    const size_t before = list.alive().size();
    solution_.bound = std::min(solution_.bound, list.Exclude(Limit(), penalty, rules_.bounds));
    counters_.pruned += static_cast<int64_t>(before - list.alive().size());
    if (list.alive().empty()) continue;
    list.Choose(kLanes, chosen_);
    AddGroup(node, static_cast<int>(f), chosen_);
  }
  if (batch_.groups.empty()) return false;
  if (batch_.groups.size() == 1 && most > 1) {
    // One feature is left: it gets the whole batch.
    const int feature = batch_.groups[0].feature;
    lists_[static_cast<size_t>(feature)].Choose(kMaxGroups * kLanes, chosen_);
    batch_.groups.clear();
    for (size_t at = 0; at < chosen_.size(); at += kLanes) {
      const size_t count = std::min<size_t>(kLanes, chosen_.size() - at);
      AddGroup(node, feature, std::span<const int>(chosen_).subspan(at, count));
    }
  }
  return true;
}

void PairSolver::ScanBatch(const SearchNode& node, ThreadPool* pool) {
  ++counters_.batches;
  scanner_.Prepare(batch_.groups);
  const size_t features = listed_.size();
  losses_.resize(features * kMaxGroups);
  const size_t threads = pool == nullptr ? 1 : static_cast<size_t>(pool->threads());
  if (scratch_.size() < threads) scratch_.resize(threads);
  const auto scan = [&](int64_t f, int thread) {
    if (stop_.Ask()) return;
    scanner_.ScanFeature(static_cast<int>(f), scratch_[static_cast<size_t>(thread)],
                         &losses_[static_cast<size_t>(f) * kMaxGroups]);
  };
  if (pool != nullptr) {
    pool->Run(static_cast<int64_t>(features), scan);
  } else {
    for (size_t f = 0; f < features; ++f) scan(static_cast<int64_t>(f), 0);
  }
  (void)node;
}

void PairSolver::Absorb(const SearchNode& node, int g) {
  const double penalty = node.problem().split_penalty();
  const ThresholdGroup& group = batch_.groups[static_cast<size_t>(g)];
  anchors_.clear();
  for (size_t lane = 0; lane < group.places.size(); ++lane) {
    double relaxed[2] = {kInfinity, kInfinity};
    double constrained[2] = {kInfinity, kInfinity};
    for (size_t f = 0; f < listed_.size(); ++f) {
      const SideLosses& losses = losses_[f * kMaxGroups + static_cast<size_t>(g)];
      for (int side = 0; side < 2; ++side) {
        relaxed[side] = std::min(relaxed[side], losses.relaxed[side][lane]);
        constrained[side] = std::min(constrained[side], losses.constrained[side][lane]);
      }
    }
    anchors_.push_back({batch_.thresholds[g][lane], relaxed[0], relaxed[1]});
    solution_.bound = std::min(solution_.bound, relaxed[0] + relaxed[1] + penalty);
    const double loss = constrained[0] + constrained[1] + penalty;
    if (loss < solution_limit_) {
      solution_limit_ = loss;
      solution_.loss = loss;
      solution_.feature = group.feature;
      solution_.place = group.places[lane];
    }
  }
  lists_[static_cast<size_t>(group.feature)].Add(anchors_);
}

}  // namespace trainyard::quant_bnb
