// What Quant-BnB still searches: the living states Φ(f0, [a,b], F1, F2) of the paper, and how an
// interval of thresholds is cut.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/algorithms/quant_bnb/state_bytes.h"

namespace trainyard::quant_bnb {

// A set of search features.
class FeatureSet {
 public:
  FeatureSet() = default;
  // Features 0 to `count` - 1.
  static FeatureSet All(int count);

  bool contains(int feature) const {
    const size_t word = static_cast<size_t>(feature) / 64;
    return word < words_.size() && (words_[word] >> (feature % 64) & 1) != 0;
  }
  void Insert(int feature);
  int size() const;
  bool empty() const { return size() == 0; }
  // Calls `visit(feature)`, ascending.
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (size_t word = 0; word < words_.size(); ++word) {
      for (uint64_t bits = words_[word]; bits != 0; bits &= bits - 1) {
        visit(static_cast<int>(word * 64) + std::countr_zero(bits));
      }
    }
  }

  std::vector<uint64_t> words() const { return {words_.begin(), words_.end()}; }
  static FeatureSet OfWords(std::span<const uint64_t> words);

 private:
  absl::InlinedVector<uint64_t, 2> words_;
};

// Trees of two levels that are still sought at a node: those that split on `feature` at a rank in
// [lo, hi], with one split at most by a feature of `left` and of `right` below. Φ(f, [a,b], F1,
// F2).
struct PairState {
  int feature = 0;
  uint32_t lo = 0;
  uint32_t hi = 0;
  // Ranks in [lo, hi] that split the node's rows differently.
  uint32_t size = 0;
  FeatureSet left;
  FeatureSet right;
  // Whether it is a single choice that others were given up for: it stays even where no row of the
  // node has its rank.
  bool fixed = false;
  // No such tree has a smaller loss.
  double bound = 0;

  // Splits by one feature that are left to be looked at: the paper's count of trees alive.
  double trees() const { return static_cast<double>(size) * (left.size() + right.size()); }
};

// A subtree of at most two levels: a leaf (feature -1), or a split with at most one split by the
// given feature on either side. Where all rows are on one side of the split, that side alone.
struct PairTree {
  double loss = 0;  // penalties of its splits included
  int feature = -1;
  uint32_t rank = 0;
  int left_feature = -1;
  int right_feature = -1;
};

// What may still hang below one side of a root split.
struct ChildStates {
  // By feature, then rank.
  std::vector<PairState> pairs;
  bool leaf = false;

  double trees() const;
  bool empty() const { return pairs.empty() && !leaf; }
};

// Trees of three levels that are still sought: a split of all rows on `feature` at a rank in [lo,
// hi] over any of the children.
struct RootState {
  int feature = 0;
  uint32_t lo = 0;
  uint32_t hi = 0;
  ChildStates left;
  ChildStates right;
  double bound = 0;

  int64_t thresholds() const { return int64_t{hi} - lo + 1; }
  double trees() const {
    return static_cast<double>(thresholds()) * (left.trees() + right.trees());
  }
};

// A part of an interval between cuts.
struct CutPart {
  uint32_t lo = 0;  // ranks, inclusive
  uint32_t hi = 0;
  uint32_t size = 0;  // ranks present in it
  int below = 0;      // the greatest cut that is <= all its ranks
  int above = 0;      // the least cut that is >= all its ranks
};

// An interval cut at quantiles of its distinct values.
struct CutPlan {
  std::vector<uint32_t> cuts;  // ascending ranks
  std::vector<CutPart> parts;  // ascending, those without any rank left out
};

enum class CutKind {
  // The cuts themselves belong to no part: they are evaluated exactly.
  kOpenParts,
  // Every rank belongs to a part.
  kClosedParts,
};

// Cuts the ranks, ascending, into at most `parts` parts; with kClosedParts ranks that are cuts may
// be parts of their own.
CutPlan PlanCuts(std::span<const uint32_t> ranks, int parts, CutKind kind);

// The plan of a state with a single choice.
CutPlan SingleCut(uint32_t rank);

// All rows, or those on one side of a split.
struct Region {
  int feature = -1;  // -1: all rows
  uint32_t rank = 0;
  bool left = true;

  bool Contains(const SearchProblem& problem, uint32_t row) const {
    return feature < 0 || (problem.ranks(feature)[row] <= rank) == left;
  }
};

// Finds the distinct values of a feature in a region. O(distinct values) memory per feature.
class RankIndex {
 public:
  // The problem outlives it.
  explicit RankIndex(const SearchProblem& problem);

  int distinct(int feature) const {
    return static_cast<int>(starts_[static_cast<size_t>(feature)].size()) - 1;
  }
  // The ranks in [lo, hi] that rows of the region have and that leave some of its rows above,
  // ascending. O(rows of these ranks) but for a region without rows above.
  std::vector<uint32_t> Present(int feature, uint32_t lo, uint32_t hi, const Region& region) const;

 private:
  const SearchProblem& problem_;
  std::vector<std::vector<uint32_t>> starts_;  // [feature][rank]: first place in the order
};

// All trees of two levels of a problem.
std::vector<PairState> AllPairs(const RankIndex& index, int features);

void PutPair(const PairState& state, ByteWriter& writer);
PairState TakePair(const RankIndex& index, int features, ByteReader& reader);
void PutRoot(const RootState& state, ByteWriter& writer);
RootState TakeRoot(const RankIndex& index, int features, ByteReader& reader);

}  // namespace trainyard::quant_bnb
