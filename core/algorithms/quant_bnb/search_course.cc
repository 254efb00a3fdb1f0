#include "core/algorithms/quant_bnb/search_course.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace trainyard::quant_bnb {
namespace {

constexpr absl::Duration kCheckInterval = absl::Milliseconds(2);
constexpr absl::Duration kReportInterval = absl::Milliseconds(500);
constexpr absl::Duration kCheckpointInterval = absl::Seconds(5);

}  // namespace

SearchCourse::SearchCourse(const v1::QuantBnbSpec& spec, double tolerance,
                           const SearchObserver& observer, Clock& clock)
    : spec_(spec),
      tolerance_(tolerance),
      observer_(observer),
      clock_(clock),
      start_(clock.Monotonic()),
      stop_(observer.check),
      incumbent_(std::numeric_limits<double>::infinity()),
      next_report_(kReportInterval),
      next_checkpoint_(kCheckpointInterval) {}

void SearchCourse::Begin(CourseState state) {
  earlier_seconds_ = state.seconds;
  lower_bound_ = state.lower_bound;
  counters_ = std::move(state.counters);
  {
    const std::lock_guard lock(mutex_);
    tree_ = std::move(state.tree);
    incumbent_.store(state.loss, std::memory_order_relaxed);
  }
  unreported_.store(true, std::memory_order_release);
  ReportIfDue();
}

bool SearchCourse::Ask() {
  if (stop_.stopped() || time_up_.load(std::memory_order_relaxed)) return true;
  const absl::Duration elapsed = Elapsed();
  const int64_t now = absl::ToInt64Nanoseconds(elapsed);
  if (now >= next_check_ns_.load(std::memory_order_relaxed)) {
    next_check_ns_.store(now + absl::ToInt64Nanoseconds(kCheckInterval), std::memory_order_relaxed);
    if (stop_.Ask()) return true;
    const double limit = spec_.limits().time_seconds();
    if (limit > 0 && SecondsAt(elapsed) >= limit) {
      time_up_.store(true, std::memory_order_relaxed);
      return true;
    }
  }
  if (on_searching_thread()) ReportIfDue(elapsed);
  return false;
}

bool SearchCourse::Offer(const SearchTree& tree, double loss) {
  if (!(loss < incumbent())) return false;
  {
    const std::lock_guard lock(mutex_);
    if (!(loss < incumbent())) return false;
    tree_ = tree;
    incumbent_.store(loss, std::memory_order_relaxed);
  }
  unreported_.store(true, std::memory_order_release);
  if (on_searching_thread()) ReportIfDue();
  return true;
}

void SearchCourse::SetLeastAlive(double least_alive) {
  lower_bound_ = std::max(lower_bound_, std::min(least_alive, incumbent()) - tolerance_);
}

std::optional<v1::QuantBnbReport::Status> SearchCourse::Limit() {
  const double incumbent_loss = incumbent();
  const double gap = incumbent_loss - lower_bound_;
  const v1::SearchLimits& limits = spec_.limits();
  if (gap <= tolerance_) return v1::QuantBnbReport::STATUS_OPTIMAL;
  if (gap <= std::max(limits.absolute_gap(), limits.relative_gap() * incumbent_loss)) {
    return v1::QuantBnbReport::STATUS_GAP_REACHED;
  }
  if (limits.evaluations() > 0 && counters_.evaluated() >= limits.evaluations()) {
    return v1::QuantBnbReport::STATUS_EVALUATION_LIMIT;
  }
  if (time_up_.load(std::memory_order_relaxed) ||
      (limits.time_seconds() > 0 && SecondsAt(Elapsed()) >= limits.time_seconds())) {
    return v1::QuantBnbReport::STATUS_TIME_LIMIT;
  }
  return std::nullopt;
}

void SearchCourse::ReportIfDue() { ReportIfDue(Elapsed()); }

void SearchCourse::ReportIfDue(absl::Duration elapsed) {
  if (unreported_.exchange(false, std::memory_order_acq_rel)) {
    SearchTree better;
    {
      const std::lock_guard lock(mutex_);
      better = tree_;
    }
    Report(elapsed, &better);
  } else if (elapsed >= next_report_) {
    Report(elapsed, nullptr);
  }
}

void SearchCourse::Report(absl::Duration elapsed, const SearchTree* better) {
  next_report_ = elapsed + kReportInterval;
  if (observer_.report) observer_.report(Progress(SecondsAt(elapsed)), better);
}

SearchProgress SearchCourse::Progress(double seconds) const {
  SearchProgress progress;
  progress.seconds = seconds;
  progress.incumbent = incumbent();
  progress.lower_bound = lower_bound_;
  progress.alive = alive_;
  progress.counters = counters_;
  return progress;
}

absl::Status SearchCourse::CheckpointIfDue(
    const std::function<std::string(const CourseState&)>& encode) {
  if (!observer_.checkpoint || Elapsed() < next_checkpoint_) return absl::OkStatus();
  absl::Status status = observer_.checkpoint(encode(State()));
  next_checkpoint_ = Elapsed() + kCheckpointInterval;
  return status;
}

CourseState SearchCourse::State() const {
  const std::lock_guard lock(mutex_);
  return {SecondsAt(Elapsed()), tree_, incumbent(), lower_bound_, counters_};
}

SearchOutcome SearchCourse::Finish(v1::QuantBnbReport::Status status) {
  const absl::Duration elapsed = Elapsed();
  SearchOutcome outcome;
  outcome.status = status;
  outcome.tree = State().tree;
  Report(elapsed, unreported_.exchange(false) ? &outcome.tree : nullptr);
  outcome.progress = Progress(SecondsAt(elapsed));
  return outcome;
}

}  // namespace trainyard::quant_bnb
