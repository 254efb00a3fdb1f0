// The rounds of a Quant-BnB search: what its methods for two and three levels share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/quant_bnb/quantile_root.h"
#include "core/algorithms/quant_bnb/search_course.h"
#include "core/base/thread_pool.h"

namespace trainyard::quant_bnb {

// What all rounds work with.
struct QuantileContext {
  const SearchProblem& problem;
  const v1::QuantBnbSpec& spec;
  ThreadPool& pool;
  const SearchObserver& observer;
  SearchCourse& course;
  const QuantileOptions& options;
  const RankIndex& index;
  const SearchNode& root;
  uint64_t fingerprint;
  std::vector<std::unique_ptr<RootSearch>> workers;  // by thread
};

// The state of a search that goes on. Lists are worked off from the front.
struct QuantileState {
  int64_t pass = 0;
  // Whether passes are over and what is left is solved threshold by threshold (three levels).
  bool solving = false;
  // Two levels: blocks of states of one feature that are evaluated together.
  std::vector<std::vector<PairState>> blocks;
  std::vector<PairState> next_pairs;
  // Three levels.
  std::vector<RootState> roots;
  std::vector<RootState> next_roots;
};

// The bytes of a search, and back. Too many states (some tens of MB) are left out: the search then
// starts over with the tree found.
std::string EncodeState(const QuantileContext& context, const QuantileState& state,
                        const CourseState& course);
struct ResumedState {
  CourseState course;
  std::optional<QuantileState> state;
};
// nullopt for bytes that are damaged or of another search.
std::optional<ResumedState> DecodeState(const SearchProblem& problem, const RankIndex& index,
                                        uint64_t fingerprint, std::string_view bytes);

// Tells the observer of a round that ended, `least_alive` being the least bound of all that is
// still sought. The status to end with; STATUS_UNSPECIFIED: go on.
absl::StatusOr<v1::QuantBnbReport::Status> EndRound(QuantileContext& context,
                                                    const QuantileState& state, double least_alive,
                                                    int64_t alive);
// Offers a tree.
void OfferTree(QuantileContext& context, const SearchTree& tree);
// Adds up the work of a thread's tasks.
void AddWork(const WorkCounters& work, int64_t evaluated, v1::SearchCounters& counters);

// The searches from a state on.
absl::StatusOr<v1::QuantBnbReport::Status> SearchOneLevel(QuantileContext& context);
absl::StatusOr<v1::QuantBnbReport::Status> SearchTwoLevels(QuantileContext& context,
                                                           QuantileState state);
absl::StatusOr<v1::QuantBnbReport::Status> SearchThreeLevels(QuantileContext& context,
                                                             QuantileState state);

}  // namespace trainyard::quant_bnb
