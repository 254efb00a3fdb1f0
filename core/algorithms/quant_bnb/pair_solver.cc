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
  thresholds += other.thresholds;
  batches += other.batches;
  pruned += other.pruned;
  screened_features += other.screened_features;
  return *this;
}

SubtreeSolution PairSolver::Solve(const SearchNode& node, double budget, const KnownCuts& known,
                                  ThreadPool* pool) {
  Begin(node, budget, known);
  while (Step(pool)) {
  }
  return solution_;
}

bool PairSolver::Step(ThreadPool* pool) {
  // Every split costs the penalty.
  if (node_->leaf_loss() <= penalty_) return false;
  if (!NextBatch()) {
    for (const double bound : bounds_) solution_.bound = std::min(solution_.bound, bound);
    return false;
  }
  ScanBatch(pool);
  if (stop_.stopped()) return false;
  for (size_t g = 0; g < group_count_; ++g) Absorb(g);
  return true;
}

int64_t PairSolver::alive() const {
  int64_t alive = 0;
  for (size_t f = 0; f < features_; ++f) {
    if (open_[f] == 0) continue;
    alive += listed_[f] != 0 ? lists_[f].alive() : node_->row_count() - 1;
  }
  return alive;
}

double PairSolver::LeastBound() const {
  double least = kInfinity;
  for (size_t f = 0; f < features_; ++f) {
    if (open_[f] == 0) continue;
    if (listed_[f] == 0) return penalty_;
    least = std::min(least, lists_[f].LeastBound(penalty_));
  }
  return least;
}

void PairSolver::Summarise(KnownCuts& found) const {
  const size_t all = static_cast<size_t>(node_->problem().feature_count());
  found.whole = std::max(whole_, solution_.bound);
  found.begin.assign(all + 1, 0);
  found.cuts.clear();
  size_t own = 0;
  for (size_t f = 0; f < all; ++f) {
    found.begin[f] = static_cast<int32_t>(found.cuts.size());
    if (own == features_ || node_->features()[own] != static_cast<int>(f)) continue;
    if (listed_[own] != 0) {
      lists_[own].AppendCuts(*node_, static_cast<int>(own), found.cuts);
    }
    ++own;
  }
  found.begin[all] = static_cast<int32_t>(found.cuts.size());
}

void PairSolver::Begin(const SearchNode& node, double budget, const KnownCuts& known) {
  ++counters_.subproblems;
  node_ = &node;
  known_ = &known;
  penalty_ = node.problem().split_penalty();
  features_ = static_cast<size_t>(node.feature_count());
  solution_ = {kInfinity, -1, 0, node.leaf_loss()};
  limit_ = budget;
  if (node.sample_count() >= node.problem().min_samples_leaf() && node.leaf_loss() < budget) {
    solution_.loss = limit_ = node.leaf_loss();
  }
  // Where it is not known it is found out with the first batch.
  whole_ = known.empty() ? -1 : known.whole;
  profile_count_ = 0;
  enough_profiles_ = few_profiles_;
  profiles_.clear();
  profile_.assign(2 * features_, 0.0);
  AddProfile();  // kBeginTag: nothing on the left
  AddProfile();  // kEndTag: nothing on the right
  cursor_ = 0;
  open_.assign(features_, 1);
  listed_.assign(features_, 0);
  bounds_.assign(features_, kInfinity);
  if (lists_.size() < features_) lists_.resize(features_, ThresholdList(rules_.bounds));
  if (node.leaf_loss() <= penalty_) return;
  scanner_.Assign(node);
  costs_.Assign(node);
}

// Keeps `profile_` for an anchor; -1 where there is no room left.
int PairSolver::AddProfile() {
  if (profile_count_ > kEndTag && profiles_.size() + 2 * features_ > 16 * few_profiles_) return -1;
  profiles_.insert(profiles_.end(), profile_.begin(), profile_.end());
  return profile_count_++;
}

// Keeps the profiles of anchors around living thresholds only.
void PairSolver::ForgetProfiles() {
  std::vector<int> tags(static_cast<size_t>(profile_count_), -1);
  tags[kBeginTag] = kBeginTag;
  tags[kEndTag] = kEndTag;
  for (size_t f = 0; f < features_; ++f) {
    if (listed_[f] == 0) continue;
    lists_[f].ForEachTagInUse([&](int tag) {
      if (tag > kEndTag) tags[static_cast<size_t>(tag)] = tag;
    });
  }
  profile_count_ = kEndTag + 1;
  const size_t width = 2 * features_;
  for (size_t tag = kEndTag + 1; tag < tags.size(); ++tag) {
    if (tags[tag] < 0) continue;
    tags[tag] = profile_count_++;
    std::copy_n(profiles_.begin() + static_cast<ptrdiff_t>(tag * width), width,
                profiles_.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(tags[tag]) * width));
  }
  profiles_.resize(static_cast<size_t>(profile_count_) * width);
  for (size_t f = 0; f < features_; ++f) {
    if (listed_[f] != 0) lists_[f].Retag(tags);
  }
  enough_profiles_ = std::max(few_profiles_, 2 * profiles_.size());
}

// Adds thresholds of the next feature in turn that has any; false where no other feature than that
// of the first group has.
bool PairSolver::TakeNext(int most) {
  for (size_t tried = 0; tried < features_; ++tried) {
    const size_t f = cursor_++ % features_;
    if (open_[f] == 0) continue;
    if (group_count_ > 0 && groups_[0].feature == static_cast<int>(f)) return false;
    ThresholdList& list = lists_[f];
    if (listed_[f] == 0) {
      const bool known = known_->empty() && whole_ >= 0;
      list.Assign(*node_, static_cast<int>(f), costs_, std::max(whole_, 0.0),
                  known_->Of(node_->features()[f]), known ? kBeginTag : -1, known ? kEndTag : -1);
      listed_[f] = 1;
    }
    const int64_t before = list.alive();
    bounds_[f] = std::min(bounds_[f], list.Exclude(Cutoff(), penalty_));
    counters_.pruned += before - list.alive();
    if (list.alive() == 0) {
      open_[f] = 0;
      continue;
    }
    list.Choose(most, chosen_);
    for (size_t at = 0; at < chosen_.size(); at += kLanes) {
      const size_t count = std::min<size_t>(kLanes, chosen_.size() - at);
      AddGroup(static_cast<int>(f), std::span<const AnchoredThreshold>(chosen_).subspan(at, count));
    }
    return true;
  }
  return false;
}

bool PairSolver::NextBatch() {
  const size_t most = static_cast<size_t>(scanner_.max_groups());
  if (profiles_.size() > enough_profiles_) ForgetProfiles();
  group_count_ = 0;
  if (whole_ < 0) {
    // One lane of the first batch has all rows.
    if (!TakeNext(kLanes - 1)) return false;
    groups_[0].places.push_back(node_->row_count() - 1);
    groups_[0].with_whole = true;
  }
  while (group_count_ < most) {
    // A feature that is left alone gets the whole batch.
    const bool alone = std::count(open_.begin(), open_.end(), 1) == 1;
    const size_t groups = alone ? most - group_count_ : 1;
    if (!TakeNext(kLanes * static_cast<int>(groups))) break;
  }
  return group_count_ > 0;
}

void PairSolver::AddGroup(int feature, std::span<const AnchoredThreshold> thresholds) {
  Group& group = groups_[group_count_++];
  const ThresholdList& list = lists_[static_cast<size_t>(feature)];
  group.feature = feature;
  group.with_whole = false;
  group.thresholds.assign(thresholds.begin(), thresholds.end());
  group.places.clear();
  for (const AnchoredThreshold& at : thresholds) group.places.push_back(list.place(at.threshold));
}

// A lower bound of what the best stump by a child feature costs on a side.
double PairSolver::ChildBound(const AnchoredThreshold& at, int side, size_t child) const {
  const Anchor& inside = side == 0 ? at.before : at.after;
  const Anchor& outside = side == 0 ? at.after : at.before;
  // What the best child feature costs there is the least that any costs.
  double bound = side == 0 ? at.left : at.right;
  if (inside.tag >= 0) bound = std::max(bound, Profile(inside.tag, side)[child]);
  if (outside.tag >= 0) {
    const double cost = side == 0 ? at.cost_after : at.cost_before;
    bound = std::max(bound, Profile(outside.tag, side)[child] - cost);
  }
  return bound;
}

// Whether a child feature can be of use at a threshold of the group.
bool PairSolver::Needs(const Group& group, size_t child) const {
  const double cutoff = Cutoff() - penalty_;
  return std::any_of(group.thresholds.begin(), group.thresholds.end(),
                     [&](const AnchoredThreshold& at) {
                       return ChildBound(at, 0, child) + at.right < cutoff ||
                              ChildBound(at, 1, child) + at.left < cutoff;
                     });
}

void PairSolver::ScanBatch(ThreadPool* pool) {
  ++counters_.batches;
  ThresholdGroup groups[kMaxGroups];
  for (size_t g = 0; g < group_count_; ++g) groups[g] = {groups_[g].feature, groups_[g].places};
  scanner_.Prepare({groups, group_count_});
  scanned_.clear();
  for (size_t child = 0; child < features_; ++child) {
    bool needed = !rules_.screening || whole_ < 0;
    for (size_t g = 0; g < group_count_ && !needed; ++g) needed = Needs(groups_[g], child);
    if (needed) {
      scanned_.push_back(static_cast<int>(child));
    } else {
      ++counters_.screened_features;
    }
  }
  losses_.resize(scanned_.size() * kMaxGroups);
  const size_t threads = pool == nullptr ? 1 : static_cast<size_t>(pool->threads());
  if (scratch_.size() < threads) scratch_.resize(threads);
  const auto scan = [&](int64_t i, int thread) {
    if (stop_.Ask()) return;
    const size_t at = static_cast<size_t>(i);
    scanner_.ScanFeature(scanned_[at], scratch_[static_cast<size_t>(thread)],
                         &losses_[at * kMaxGroups]);
  };
  if (pool != nullptr) {
    pool->Run(static_cast<int64_t>(scanned_.size()), scan);
  } else {
    for (size_t i = 0; i < scanned_.size(); ++i) scan(static_cast<int64_t>(i), 0);
  }
}

// The lane with all rows: the ends of every order are anchors with its losses.
void PairSolver::AbsorbWhole(size_t g) {
  const size_t lane = groups_[g].places.size() - 1;
  whole_ = kInfinity;
  for (size_t child = 0; child < features_; ++child) {
    const double loss = losses_[child * kMaxGroups + g].relaxed[0][lane];
    whole_ = std::min(whole_, loss);
    Profile(kBeginTag, 1)[child] = loss;
    Profile(kEndTag, 0)[child] = loss;
  }
}

void PairSolver::Absorb(size_t g) {
  const Group& group = groups_[g];
  evaluated_.clear();
  double& bound = bounds_[static_cast<size_t>(group.feature)];
  for (size_t lane = 0; lane < group.thresholds.size(); ++lane) {
    const AnchoredThreshold& at = group.thresholds[lane];
    double constrained[2] = {kInfinity, kInfinity};
    int children[2] = {0, 0};
    for (int side = 0; side < 2; ++side) {
      double* const profile = &profile_[static_cast<size_t>(side) * features_];
      for (size_t child = 0; child < features_; ++child) {
        profile[child] = ChildBound(at, side, child);
      }
      for (size_t i = 0; i < scanned_.size(); ++i) {
        const SideLosses& losses = losses_[i * kMaxGroups + g];
        profile[static_cast<size_t>(scanned_[i])] = losses.relaxed[side][lane];
        if (losses.constrained[side][lane] >= constrained[side]) continue;
        constrained[side] = losses.constrained[side][lane];
        children[side] = scanned_[i];
      }
    }
    const auto middle = profile_.begin() + static_cast<ptrdiff_t>(features_);
    const double left = *std::min_element(profile_.begin(), middle);
    const double right = *std::min_element(middle, profile_.end());
    const int tag = AddProfile();
    evaluated_.push_back({at.threshold, {0, left, right, tag}});
    bound = std::min(bound, left + right + penalty_);
    const double loss = constrained[0] + constrained[1] + penalty_;
    if (loss < limit_) {
      limit_ = loss;
      solution_.loss = loss;
      solution_.feature = group.feature;
      solution_.place = group.places[lane];
      std::copy(children, children + 2, solution_.children);
    }
  }
  counters_.thresholds += static_cast<int64_t>(evaluated_.size());
  lists_[static_cast<size_t>(group.feature)].Add(evaluated_);
  if (group.with_whole) AbsorbWhole(g);
}

}  // namespace trainyard::quant_bnb
