// What a search keeps so that another attempt goes on where this one ended.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/trees/tree.h"
#include "trainyard/v1/quant_bnb.pb.h"
#include "trainyard/v1/tree.pb.h"

namespace trainyard {

// One search of a lookahead that is done: what it gave.
struct LookaheadStep {
  Tree tree;
  v1::SearchCounters counters;
  double tolerance = 0;       // as in OptimalTree
  int64_t distinct_rows = 0;  // likewise
};

struct SearchCheckpoint {
  // Time of the steps that are done, in s.
  double seconds = 0;
  // Lookahead: the searches that are done, in their order.
  std::vector<LookaheadStep> steps;
  // State of the search under way (SearchHooks::resume); nullopt where it has not saved one.
  std::optional<std::string> search;
};

// `fingerprint` identifies spec and rows.
std::string EncodeSearchCheckpoint(const SearchCheckpoint& checkpoint, uint64_t fingerprint);

// nullopt when the bytes are damaged, of another version, or of a job with another fingerprint.
// The trees are checked as those of `model`, which has everything but trees.
std::optional<SearchCheckpoint> DecodeSearchCheckpoint(std::string_view bytes, uint64_t fingerprint,
                                                       const v1::TreeModel& model);

}  // namespace trainyard
