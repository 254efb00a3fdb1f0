// Progress of a growing tree or forest.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>

namespace trainyard {

// Adds up work that is done and reports its share, rising, about a hundred times. Thread-safe.
class GrowthProgress {
 public:
  // `report` may be empty; it must outlive this.
  GrowthProgress(const std::function<void(double fraction)>& report, int64_t total)
      : report_(report), total_(total) {}

  void Add(int64_t done) {
    if (!report_) return;
    const int64_t before = done_.fetch_add(done);
    if (before * 100 / total_ == (before + done) * 100 / total_) return;
    const std::lock_guard lock(mutex_);
    const double fraction = static_cast<double>(before + done) / static_cast<double>(total_);
    if (fraction <= reported_) return;
    reported_ = fraction;
    report_(fraction);
  }

 private:
  const std::function<void(double fraction)>& report_;
  const int64_t total_;
  std::atomic<int64_t> done_{0};
  std::mutex mutex_;
  double reported_ = 0;  // guarded by mutex_
};

}  // namespace trainyard
