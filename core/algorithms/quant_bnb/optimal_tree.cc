#include "core/algorithms/quant_bnb/optimal_tree.h"

#include <optional>
#include <utility>

#include "core/algorithms/quant_bnb/pointwise_search.h"
#include "core/algorithms/quant_bnb/quantile_search.h"
#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/base/status.h"

namespace trainyard {

absl::StatusOr<OptimalTree> FindOptimalTree(const OptimalTreeInput& input,
                                            const v1::QuantBnbSpec& spec, const Tree* warm_start,
                                            ThreadPool& pool, const SearchHooks& hooks) {
  using quant_bnb::SearchOutcome;
  using quant_bnb::SearchTree;
  TY_ASSIGN_OR_RETURN(const quant_bnb::SearchProblem problem,
                      quant_bnb::SearchProblem::Build(input, spec, pool, hooks.check));
  SearchTree start =
      warm_start == nullptr ? SearchTree::Leaf() : problem.FromTree(*warm_start, input);
  quant_bnb::SearchObserver observer;
  observer.check = hooks.check;
  observer.checkpoint = hooks.checkpoint;
  observer.resume = hooks.resume;
  if (hooks.report) {
    observer.report = [&](const SearchProgress& progress, const SearchTree* better) {
      std::optional<Tree> tree;
      if (better != nullptr) tree = problem.ToTree(*better, input);
      hooks.report(progress, tree.has_value() ? &*tree : nullptr);
    };
  }
  const bool pointwise = spec.bound() == v1::QuantBnbSpec::BOUND_POINTWISE ||
                         spec.bound() == v1::QuantBnbSpec::BOUND_UNSPECIFIED;
  const auto search = pointwise ? quant_bnb::PointwiseSearch : quant_bnb::QuantileSearch;
  TY_ASSIGN_OR_RETURN(SearchOutcome outcome,
                      search(problem, spec, std::move(start), pool, observer, Clock::Real()));
  OptimalTree found;
  found.status = outcome.status;
  found.tree = problem.ToTree(outcome.tree, input);
  found.progress = std::move(outcome.progress);
  found.tolerance = problem.tolerance();
  found.distinct_rows = problem.row_count();
  return found;
}

}  // namespace trainyard
