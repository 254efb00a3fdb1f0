// The queue against a naive implementation of the same rules, under random loads.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/queue.h"

namespace trainyard {
namespace {

// Keeps lists and looks at every job in them. Usage is the closed integral over every run ever.
class NaiveQueue {
 public:
  explicit NaiveQueue(const SchedulingQueue::Options& options) : options_(options) {}

  void Add(const QueuedJob& job) {
    jobs_.push_back({job, next_++, job.not_before <= job.create_time});
  }
  void Remove(const std::string& name) {
    std::erase_if(jobs_, [&](const Item& item) { return item.job.name == name; });
  }
  void Release(const std::string& name, absl::Time now) {
    for (Run& run : runs_) {
      if (run.name == name && run.end == absl::InfiniteFuture()) run.end = now;
    }
  }
  std::string PickNext(absl::Time now) {
    for (Item& item : jobs_) item.eligible = item.eligible || item.job.not_before <= now;
    std::vector<Item*> order = Order(now);
    if (order.empty()) return "";
    if (!Fits(order[0]->job.slots, Free())) order[0]->turn = std::min(order[0]->turn, now);
    Item* reserved = nullptr;
    for (Item* item : order) {
      if (now - item->turn >= options_.reservation_after) {
        reserved = item;
        break;
      }
    }
    const bool anything_fits = std::any_of(
        order.begin(), order.end(), [&](Item* item) { return Fits(item->job.slots, Free()); });
    if (anything_fits && reserved != nullptr && reserved->runs_before < 0) {
      reserved->runs_before = static_cast<int>(runs_.size());
    }
    bool behind = false;
    for (Item* item : order) {
      const bool allowed = !behind || Fits(item->job.slots, Beside(*reserved));
      if (allowed && Fits(item->job.slots, Free())) {
        const std::string name = item->job.name;
        runs_.push_back({name, item->job.project, item->job.slots, now});
        Remove(name);
        return name;
      }
      behind = behind || item == reserved;
    }
    return "";
  }
  std::vector<std::string> Front(absl::Time now) {
    std::vector<std::string> names;
    for (const Item* item : Order(now)) names.push_back(item->job.name);
    return names;
  }
  Slots Free() const {
    Slots free = options_.capacity;
    for (const Run& run : runs_) {
      if (run.end == absl::InfiniteFuture()) Subtract(free, run.slots);
    }
    return free;
  }

 private:
  struct Item {
    QueuedJob job;
    int number;
    bool eligible;
    absl::Time turn = absl::InfiniteFuture();
    int runs_before = -1;
  };
  struct Run {
    std::string name;
    std::string project;
    Slots slots;
    absl::Time start;
    absl::Time end = absl::InfiniteFuture();
  };

  static bool Fits(const Slots& slots, const Slots& free) {
    return slots.cpu_threads <= free.cpu_threads && slots.gpus <= free.gpus &&
           slots.memory_bytes <= free.memory_bytes;
  }
  static void Subtract(Slots& from, const Slots& slots) {
    from.cpu_threads -= slots.cpu_threads;
    from.gpus -= slots.gpus;
    from.memory_bytes -= slots.memory_bytes;
  }
  Slots Beside(const Item& reserved) const {
    Slots left = options_.capacity;
    Subtract(left, reserved.job.slots);
    for (size_t i = static_cast<size_t>(reserved.runs_before); i < runs_.size(); ++i) {
      if (runs_[i].end == absl::InfiniteFuture()) Subtract(left, runs_[i].slots);
    }
    return {std::max(left.cpu_threads, 0), std::max(left.gpus, 0),
            std::max<int64_t>(left.memory_bytes, 0)};
  }
  double Share(const Slots& slots) const {
    return std::max({1.0 * slots.cpu_threads / options_.capacity.cpu_threads,
                     1.0 * slots.gpus / options_.capacity.gpus,
                     1.0 * static_cast<double>(slots.memory_bytes) /
                         static_cast<double>(options_.capacity.memory_bytes)});
  }
  // Integral of the weighted share from the start of each run to its end or now.
  double Usage(const std::string& project, absl::Time now) const {
    const double rate = std::log(2) / absl::ToDoubleSeconds(options_.usage_half_life);
    double usage = 0;
    for (const Run& run : runs_) {
      if (run.project != project) continue;
      const double since_start = absl::ToDoubleSeconds(now - run.start);
      const double since_end = absl::ToDoubleSeconds(now - std::min(run.end, now));
      usage +=
          Share(run.slots) / rate * (std::exp(-rate * since_end) - std::exp(-rate * since_start));
    }
    return usage;
  }
  double Rate(const std::string& project) const {
    double rate = 0;
    for (const Run& run : runs_) {
      if (run.project == project && run.end == absl::InfiniteFuture()) rate += Share(run.slots);
    }
    return rate;
  }
  std::vector<Item*> Order(absl::Time now) {
    std::map<std::string, std::pair<double, double>> usage;
    std::vector<Item*> order;
    for (Item& item : jobs_) {
      if (!item.eligible) continue;
      order.push_back(&item);
      usage[item.job.project] = {Usage(item.job.project, now), Rate(item.job.project)};
    }
    const auto key = [&](const Item* item) {
      const absl::Duration waited = std::max(now - item->job.create_time, absl::ZeroDuration());
      const auto steps =
          static_cast<int64_t>(std::floor(absl::FDivDuration(waited, options_.ageing_interval)));
      return std::make_tuple(-(item->job.priority + steps), usage[item->job.project],
                             item->job.create_time, item->number);
    };
    std::sort(order.begin(), order.end(),
              [&](const Item* a, const Item* b) { return key(a) < key(b); });
    return order;
  }

  SchedulingQueue::Options options_;
  int next_ = 0;
  std::vector<Item> jobs_;
  std::vector<Run> runs_;
};

class QueuePropertyTest : public testing::TestWithParam<int> {};

TEST_P(QueuePropertyTest, AgreesWithTheNaiveQueue) {
  Rng random(static_cast<uint64_t>(GetParam()));
  const auto below = [&](uint64_t bound) { return static_cast<int>(random.UniformInt(bound)); };
  SchedulingQueue::Options options;
  options.capacity = {16, 4, 1000};
  options.ageing_interval = absl::Seconds(20);
  options.usage_half_life = absl::Seconds(60);
  options.reservation_after = absl::Seconds(GetParam() % 2 == 0 ? 5 : 15);
  auto queue = SchedulingQueue::Create(options);
  NaiveQueue naive(options);

  absl::Time now = absl::FromUnixSeconds(1'600'000'000);
  std::vector<std::string> queued;
  std::vector<std::string> running;
  int reservations_seen = 0;
  for (int step = 0; step < 1500; ++step) {
    now += absl::Microseconds(1 + below(600'000));
    const int action = below(10);
    if (action < 4) {
      QueuedJob job;
      job.name = absl::StrCat("j", step);
      job.project = absl::StrCat("p", below(4));
      job.priority = below(3);
      job.create_time = now - absl::Microseconds(below(30'000'000));
      if (below(5) == 0) job.not_before = now + absl::Microseconds(below(10'000'000));
      const bool large = below(8) == 0;
      job.slots = {1 + below(large ? 16 : 4), below(large ? 5 : 2), below(large ? 1001 : 300)};
      queue->Add(job);
      naive.Add(job);
      queued.push_back(job.name);
    } else if (action == 4 && !queued.empty()) {
      const auto victim = queued.begin() + below(queued.size());
      EXPECT_TRUE(queue->Remove(*victim));
      naive.Remove(*victim);
      queued.erase(victim);
    } else if (action < 8 && !running.empty()) {
      const auto ended = running.begin() + below(running.size());
      queue->Release(*ended, now);
      naive.Release(*ended, now);
      running.erase(ended);
    }
    while (true) {
      now += absl::Microseconds(1 + below(1000));  // no two projects start at the same instant
      const auto picked = queue->PickNext(now);
      const std::string expected = naive.PickNext(now);
      ASSERT_EQ(picked.has_value() ? picked->name : "", expected) << "step " << step;
      if (!picked.has_value()) break;
      std::erase(queued, picked->name);
      running.push_back(picked->name);
    }
    if (queue->NextChange(now) == now + absl::Seconds(1)) ++reservations_seen;
    const std::vector<std::string> order = naive.Front(now);
    ASSERT_EQ(queue->Front(static_cast<int>(order.size()) + 1, now), order) << "step " << step;
    for (size_t i = 0; i < order.size(); i += 1 + order.size() / 8) {
      ASSERT_EQ(queue->Position(order[i], now), static_cast<int64_t>(i)) << "step " << step;
    }
    Slots in_use = options.capacity;
    const Slots free = naive.Free();
    in_use = {in_use.cpu_threads - free.cpu_threads, in_use.gpus - free.gpus,
              in_use.memory_bytes - free.memory_bytes};
    ASSERT_EQ(queue->in_use(), in_use);
    ASSERT_TRUE(queue->CouldEverFit(queue->in_use())) << "oversubscribed";
    ASSERT_EQ(queue->queued_count(), static_cast<int64_t>(queued.size()));
  }
  EXPECT_GT(reservations_seen, 0) << "the load never made a reservation";
}

INSTANTIATE_TEST_SUITE_P(Seeds, QueuePropertyTest, testing::Range(1, 13));

}  // namespace
}  // namespace trainyard
