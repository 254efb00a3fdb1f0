// What a search tells while it runs.
#pragma once

#include <string>

#include "core/algorithms/quant_bnb/lookahead.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/training/training_context.h"

namespace trainyard {

// Turns reports of a search into progress, metrics and log lines. One thread at a time.
//
// Metrics, at the milliseconds of the search: `search/incumbent`, `search/lower_bound`,
// `search/gap` and `search/alive` (thresholds that may hold a better tree); of a lookahead
// `search/incumbent` and `search/settled` (share of the rows).
class SearchMonitor {
 public:
  explicit SearchMonitor(TrainingContext& context) : context_(context) {}

  void Preparing() { Report("preparing features", 0, {}); }
  // `better` as in SearchHooks::report; a better tree is logged.
  void Search(const SearchProgress& progress, const Tree* better);
  void Lookahead(const LookaheadProgress& progress);
  void Evaluation() { Report("evaluation", kSearchEnd, {}); }
  void Done() { Report("done", 1, {}); }

 private:
  static constexpr double kSearchBegin = 0.05;
  static constexpr double kSearchEnd = 0.95;

  // Fills in phase and fraction, which never falls.
  void Report(const char* phase, double fraction, v1::Progress progress);

  TrainingContext& context_;
  double fraction_ = 0;
};

// A number for people, of six significant digits.
std::string ShortNumber(double value);

}  // namespace trainyard
