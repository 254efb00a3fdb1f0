#include "server/worker/event_buffer.h"

#include <algorithm>

namespace trainyard {
namespace {

// Beside name and value: step, time stamp, tags.
constexpr int64_t kPointOverheadBytes = 40;

}  // namespace

void EventBuffer::Stamp(v1::JobEvent& event) const {
  const absl::Time now = options_.clock->Now();
  const timespec time = absl::ToTimespec(now);
  event.mutable_time()->set_seconds(time.tv_sec);
  event.mutable_time()->set_nanos(static_cast<int32_t>(time.tv_nsec));
}

void EventBuffer::Append(v1::JobEvent event) {
  const auto bytes = static_cast<int64_t>(event.ByteSizeLong());
  kept_bytes_ += bytes;
  unsent_bytes_ += bytes;
  kept_.push_back({std::move(event), bytes});
  changed_.SignalAll();
}

void EventBuffer::SealMetrics() {
  if (!pending_metrics_.has_value()) return;
  Append(*std::move(pending_metrics_));
  pending_metrics_.reset();
  pending_metric_bytes_ = 0;
}

void EventBuffer::SealProgress() {
  if (!pending_progress_.has_value()) return;
  Append(*std::move(pending_progress_));
  pending_progress_.reset();
}

void EventBuffer::Add(v1::JobEvent event) {
  Stamp(event);
  MutexLock lock(&mutex_);
  mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Accepts(); });
  if (finished_.has_value()) return;
  SealMetrics();
  Append(std::move(event));
}

void EventBuffer::AddMetrics(int64_t step,
                             const std::vector<std::pair<std::string, double>>& values) {
  MutexLock lock(&mutex_);
  for (const auto& [name, value] : values) {
    mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return Accepts(); });
    if (finished_.has_value()) return;
    if (!pending_metrics_.has_value()) {
      Stamp(pending_metrics_.emplace());
      changed_.SignalAll();
    }
    v1::JobEvent stamp;
    Stamp(stamp);
    v1::MetricPoint& point = *pending_metrics_->mutable_metrics()->add_points();
    point.set_name(name);
    point.set_step(step);
    point.set_value(value);
    point.mutable_time()->Swap(stamp.mutable_time());
    pending_metric_bytes_ += static_cast<int64_t>(name.size()) + kPointOverheadBytes;
    if (pending_metric_bytes_ >= options_.metric_bytes) SealMetrics();
  }
}

void EventBuffer::SetProgress(const v1::Progress& progress) {
  MutexLock lock(&mutex_);
  if (finished_.has_value()) return;
  if (!pending_progress_.has_value()) changed_.SignalAll();
  v1::JobEvent& event = pending_progress_.emplace();
  Stamp(event);
  *event.mutable_progress() = progress;
}

void EventBuffer::Finish(v1::Finished finished) {
  MutexLock lock(&mutex_);
  SealMetrics();
  SealProgress();
  finished.set_last_sequence(first_kept_ + static_cast<int64_t>(kept_.size()) - 1);
  finished_ = std::move(finished);
  never_wait_ = true;
  changed_.SignalAll();
}

void EventBuffer::StopWaiting() {
  MutexLock lock(&mutex_);
  never_wait_ = true;
}

absl::Duration EventBuffer::TimeToDue() const {
  if (paused_) return absl::InfiniteDuration();
  if (finished_.has_value()) {
    const bool unsent = sent_ < kept_.size() || !finished_sent_;
    return unsent ? absl::ZeroDuration() : absl::InfiniteDuration();
  }
  if (unsent_bytes_ >= options_.metric_bytes) return absl::ZeroDuration();
  if (sent_ == kept_.size() && !pending_metrics_.has_value() && !pending_progress_.has_value()) {
    return absl::InfiniteDuration();
  }
  return std::max(absl::ZeroDuration(),
                  last_taken_ + options_.batch_delay - options_.clock->Monotonic());
}

std::optional<v1::WorkerMessage> EventBuffer::Take() {
  MutexLock lock(&mutex_);
  if (TimeToDue() > absl::ZeroDuration()) return std::nullopt;
  SealMetrics();
  SealProgress();
  last_taken_ = options_.clock->Monotonic();
  v1::WorkerMessage message;
  if (sent_ == kept_.size()) {
    finished_sent_ = true;
    *message.mutable_finished() = *finished_;
    return message;
  }
  v1::WorkerEvents& events = *message.mutable_events();
  events.set_first_sequence(first_kept_ + static_cast<int64_t>(sent_));
  int64_t bytes = 0;
  while (sent_ < kept_.size() &&
         (bytes == 0 || bytes + kept_[sent_].bytes <= options_.batch_bytes)) {
    *events.add_events() = kept_[sent_].event;
    bytes += kept_[sent_].bytes;
    ++sent_;
  }
  unsent_bytes_ -= bytes;
  return message;
}

void EventBuffer::Wait(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  const absl::Duration end = options_.clock->Monotonic() + timeout;
  while (!interrupted_) {
    const absl::Duration left = end - options_.clock->Monotonic();
    const absl::Duration due = TimeToDue();
    if (due <= absl::ZeroDuration() || left <= absl::ZeroDuration()) return;
    changed_.WaitWithTimeout(&mutex_, std::min(due, left));
  }
  interrupted_ = false;
}

void EventBuffer::Interrupt() {
  MutexLock lock(&mutex_);
  interrupted_ = true;
  changed_.SignalAll();
}

void EventBuffer::Pause() {
  MutexLock lock(&mutex_);
  paused_ = true;
}

void EventBuffer::AcknowledgeLocked(int64_t sequence) {
  while (!kept_.empty() && first_kept_ <= sequence) {
    kept_bytes_ -= kept_.front().bytes;
    if (sent_ > 0) {
      --sent_;
    } else {
      unsent_bytes_ -= kept_.front().bytes;
    }
    kept_.pop_front();
    ++first_kept_;
  }
}

void EventBuffer::Acknowledge(int64_t sequence) {
  MutexLock lock(&mutex_);
  AcknowledgeLocked(sequence);
}

void EventBuffer::Rewind(int64_t acknowledged) {
  MutexLock lock(&mutex_);
  AcknowledgeLocked(acknowledged);
  sent_ = 0;
  unsent_bytes_ = kept_bytes_;
  finished_sent_ = false;
  paused_ = false;
  changed_.SignalAll();
}

}  // namespace trainyard
