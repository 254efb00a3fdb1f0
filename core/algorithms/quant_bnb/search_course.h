// What surrounds a search whatever its method: its time, best tree, lower bound, limits and
// reports.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/base/clock.h"
#include "core/trees/stop_token.h"
#include "trainyard/v1/quant_bnb.pb.h"

namespace trainyard::quant_bnb {

// SearchHooks in the search's terms; see there.
struct SearchObserver {
  std::function<absl::Status()> check;
  std::function<void(const SearchProgress& progress, const SearchTree* better)> report;
  std::function<absl::Status(std::string state)> checkpoint;
  std::optional<std::string> resume;
};

// What a search found and how it ended.
struct SearchOutcome {
  v1::QuantBnbReport::Status status = v1::QuantBnbReport::STATUS_UNSPECIFIED;
  SearchTree tree;
  SearchProgress progress;
};

// How far a search is; what is kept of it for a later attempt beside the method's own items.
struct CourseState {
  double seconds = 0;  // of this and earlier attempts
  SearchTree tree;
  double loss = 0;  // of the tree, penalty included
  double lower_bound = 0;
  v1::SearchCounters counters;
};

// The course of one search. The thread that makes it is the searching thread: it alone reports.
// Ask, Offer, incumbent and cutoff may be called from any thread, all else from the searching
// thread between its parallel loops.
class SearchCourse {
 public:
  // Losses that differ by `tolerance` count as equal. The observer and the clock outlive the
  // course.
  SearchCourse(const v1::QuantBnbSpec& spec, double tolerance, const SearchObserver& observer,
               Clock& clock = Clock::Real());

  // Begins, at a first tree or where an earlier attempt ended, and reports the tree. Before all
  // else.
  void Begin(CourseState state);

  // Whether to stop at once: the observer refused, or the time is up. Ask at least every 10 ms of
  // work; asking costs as much as reading the clock. Reports twice a second on the searching
  // thread.
  bool Ask();

  // Takes a tree of a strictly smaller loss than the incumbent's; whether it was one. A better tree
  // is reported at once on the searching thread, else at the next Ask of that thread.
  bool Offer(const SearchTree& tree, double loss);
  // Loss of the best tree so far, penalty included.
  double incumbent() const { return incumbent_.load(std::memory_order_relaxed); }
  // What cannot be below this cannot be better than the incumbent: incumbent - tolerance.
  double cutoff() const { return incumbent() - tolerance_; }

  // States that no tree that is still sought has a loss below `least_alive` (infinite when none is
  // sought any more), up to rounding. The bound of the search is the smaller of this and the
  // incumbent, less the tolerance, and never falls.
  void SetLeastAlive(double least_alive);
  double lower_bound() const { return lower_bound_; }
  // Root thresholds that may still hold a better tree.
  void SetAlive(int64_t thresholds) { alive_ = thresholds; }
  v1::SearchCounters& counters() { return counters_; }

  // The reason to end before the search is complete, if there is one: gap, evaluations, time.
  // OPTIMAL where the bound has met the incumbent.
  std::optional<v1::QuantBnbReport::Status> Limit();
  // OK, or why the observer refused.
  absl::Status status() const { return stop_.status(); }

  // Reports, if that is due or a better tree has not been reported.
  void ReportIfDue();
  // Hands the observer the state that `encode` makes of the search, every few seconds. `encode` is
  // called only where a state is wanted now.
  absl::Status CheckpointIfDue(const std::function<std::string(const CourseState&)>& encode);

  CourseState State() const;
  // Reports for the last time.
  SearchOutcome Finish(v1::QuantBnbReport::Status status);

 private:
  bool on_searching_thread() const { return std::this_thread::get_id() == searching_thread_; }
  absl::Duration Elapsed() const { return clock_.Monotonic() - start_; }
  double SecondsAt(absl::Duration elapsed) const {
    return earlier_seconds_ + absl::ToDoubleSeconds(elapsed);
  }
  SearchProgress Progress(double seconds) const;
  void ReportIfDue(absl::Duration elapsed);
  void Report(absl::Duration elapsed, const SearchTree* better);

  const v1::QuantBnbSpec& spec_;
  const double tolerance_;
  const SearchObserver& observer_;
  Clock& clock_;
  const std::thread::id searching_thread_ = std::this_thread::get_id();
  const absl::Duration start_;
  StopToken stop_;
  std::atomic<bool> time_up_{false};
  std::atomic<int64_t> next_check_ns_{0};
  std::atomic<double> incumbent_;
  std::atomic<bool> unreported_{false};

  mutable std::mutex mutex_;
  SearchTree tree_;  // guarded by mutex_

  // Of the searching thread alone.
  double earlier_seconds_ = 0;
  double lower_bound_ = 0;
  int64_t alive_ = 0;
  v1::SearchCounters counters_;
  absl::Duration next_report_;
  absl::Duration next_checkpoint_;
};

}  // namespace trainyard::quant_bnb
