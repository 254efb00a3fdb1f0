// The search for an optimal tree by the pointwise bound, best first at the root.
#pragma once

#include "absl/status/statusor.h"
#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/base/clock.h"
#include "core/base/thread_pool.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard::quant_bnb {

// Finds an optimal tree of at most spec.depth() levels, 1 to 4. `start` is a tree that leaves large
// enough rows in its leaves. Roots are evaluated in rounds of fixed size against the best tree of
// the round's start, so that the tree found does not depend on the number of threads; it is the
// same for a search that was interrupted and resumed. Without spec.deterministic() better trees
// count at once. Errors: the status of an observer.
absl::StatusOr<SearchOutcome> PointwiseSearch(const SearchProblem& problem,
                                              const v1::QuantBnbSpec& spec, SearchTree start,
                                              ThreadPool& pool, const SearchObserver& observer,
                                              Clock& clock = Clock::Real());

}  // namespace trainyard::quant_bnb
