// Quant-BnB as in the paper (Mazumder, Meng, Wang, ICML 2022): intervals of thresholds are cut at
// quantiles, breadth first, and pruned by the lower bounds W0, W1 or W2.
#pragma once

#include "absl/status/statusor.h"
#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/base/clock.h"
#include "core/base/thread_pool.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard::quant_bnb {

// Finds an optimal tree of at most spec.depth() levels, 1 to 3, by spec.bound(), which is W0, W1 or
// W2. `start` is a tree that leaves large enough rows in its leaves. The tree is the same for any
// number of threads and for a search that was interrupted and resumed. Work is done in rounds of
// fixed sizes, after each of which the observer hears of it.
//
// Differences from the paper: a state of three levels whose root has a single threshold left is
// solved at once, and so is what is left at the end, by the method for two levels; a subtree that
// others are given up for as dominated stays as a choice of its own.
//
// Errors: the status of an observer; INVALID_ARGUMENT for another depth.
absl::StatusOr<SearchOutcome> QuantileSearch(const SearchProblem& problem,
                                             const v1::QuantBnbSpec& spec, SearchTree start,
                                             ThreadPool& pool, const SearchObserver& observer,
                                             Clock& clock = Clock::Real());

}  // namespace trainyard::quant_bnb
