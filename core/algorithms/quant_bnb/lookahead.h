// Trees deeper than can be searched as a whole, split by split from searches that look ahead.
#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/quant_bnb/checkpoint.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/base/thread_pool.h"

namespace trainyard {

// How far a lookahead is.
struct LookaheadProgress {
  // Time of all searches, in s.
  double seconds = 0;
  // Loss of the whole tree as it is, penalty included; it never rises.
  double loss = 0;
  // Share of the rows whose part of the tree is final.
  double settled = 0;
  // Sum over the searches.
  v1::SearchCounters counters;
};

// What a lookahead asks of and tells its owner; each may be empty.
struct LookaheadHooks {
  // As in SearchHooks.
  std::function<absl::Status()> check;
  // Called from the searching thread, after every search and twice a second.
  std::function<void(const LookaheadProgress& progress)> report;
  // Called after every search and every few seconds; not OK ends the lookahead.
  std::function<absl::Status(const SearchCheckpoint& checkpoint)> checkpoint;
  // Where an earlier lookahead on the same input and options ended.
  SearchCheckpoint resume;
};

struct LookaheadTree {
  // STATUS_LOOKAHEAD, or the limit that ended it; the parts that it had not reached are then as the
  // searches above left them.
  v1::QuantBnbReport::Status status = v1::QuantBnbReport::STATUS_LOOKAHEAD;
  Tree tree;  // fitted to the input's rows
  LookaheadProgress progress;
  // The greatest of any search.
  double tolerance = 0;
  // Distinct rows of the first search.
  int64_t distinct_rows = 0;
};

// Grows a tree of at most spec.lookahead().max_depth() levels: a node with r of them left takes the
// optimal tree of min(r, spec.depth()) levels for its rows; its root split stays, and the children
// are treated likewise, each starting from what it has. Nodes with at most lookahead.polish_levels
// levels left take the optimal tree of all of them, which stays. A node where that is no better
// than a leaf, by what counts as equal, is one. The limits of `spec` hold for all searches
// together, its gaps for each.
absl::StatusOr<LookaheadTree> FindLookaheadTree(const OptimalTreeInput& input,
                                                const v1::QuantBnbSpec& spec, ThreadPool& pool,
                                                LookaheadHooks hooks);

}  // namespace trainyard
