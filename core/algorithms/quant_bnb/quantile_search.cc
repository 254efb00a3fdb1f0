#include "core/algorithms/quant_bnb/quantile_search.h"

#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/algorithms/quant_bnb/quantile_rounds.h"
#include "core/algorithms/quant_bnb/state_bytes.h"
#include "core/base/status.h"

namespace trainyard::quant_bnb {
namespace {

constexpr int kMostLevels = 3;

// Where a search begins that does not go on from another: the better of the given tree and a leaf.
CourseState FirstCourse(const SearchProblem& problem, const RankIndex& index, SearchTree start) {
  CourseState course;
  course.tree = SearchTree::Leaf();
  course.loss = problem.Loss(course.tree);
  const double loss = problem.Loss(start) + problem.split_penalty() * start.splits();
  if (loss < course.loss) {
    course.loss = loss;
    course.tree = std::move(start);
  }
  int64_t thresholds = 0;
  for (int f = 0; f < problem.feature_count(); ++f) thresholds += index.distinct(f) - 1;
  course.counters.set_thresholds(thresholds);
  return course;
}

absl::StatusOr<v1::QuantBnbReport::Status> SearchLevels(QuantileContext& context,
                                                        QuantileState state) {
  if (context.problem.feature_count() == 0) {
    context.course.SetLeastAlive(std::numeric_limits<double>::infinity());
    return v1::QuantBnbReport::STATUS_OPTIMAL;
  }
  switch (context.spec.depth()) {
    case 1:
      return SearchOneLevel(context);
    case 2:
      return SearchTwoLevels(context, std::move(state));
    default:
      return SearchThreeLevels(context, std::move(state));
  }
}

}  // namespace

absl::StatusOr<SearchOutcome> QuantileSearch(const SearchProblem& problem,
                                             const v1::QuantBnbSpec& spec, SearchTree start,
                                             ThreadPool& pool, const SearchObserver& observer,
                                             Clock& clock) {
  if (spec.depth() < 1 || spec.depth() > kMostLevels) {
    return absl::InvalidArgumentError(absl::StrCat("depth is ", spec.depth(), "; with the bound ",
                                                   v1::QuantBnbSpec::Bound_Name(spec.bound()),
                                                   " it must be at most ", kMostLevels));
  }
  SearchCourse course(spec, problem.tolerance(), observer, clock);
  const QuantileOptions options(spec);
  const RankIndex index(problem);
  const uint64_t fingerprint = FingerprintOf(problem, spec);
  std::optional<ResumedState> resumed;
  if (observer.resume.has_value()) {
    resumed = DecodeState(problem, index, fingerprint, *observer.resume);
  }
  QuantileState state;
  if (resumed.has_value()) {
    course.Begin(std::move(resumed->course));
    if (resumed->state.has_value()) state = *std::move(resumed->state);
  } else {
    course.Begin(FirstCourse(problem, index, std::move(start)));
  }
  SearchNode root;
  root.AssignRoot(problem);
  QuantileContext context{problem, spec,  pool, observer,    course,
                          options, index, root, fingerprint, {}};
  for (int thread = 0; thread < pool.threads(); ++thread) {
    context.workers.push_back(std::make_unique<RootSearch>(problem, index, options, course));
  }
  TY_ASSIGN_OR_RETURN(const auto status, SearchLevels(context, std::move(state)));
  return course.Finish(status);
}

}  // namespace trainyard::quant_bnb
