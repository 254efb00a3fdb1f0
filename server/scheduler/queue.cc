#include "server/scheduler/queue.h"

#include <algorithm>
#include <limits>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/node_hash_map.h"
#include "server/scheduler/fair_share.h"
#include "server/scheduler/fifo_index.h"

namespace trainyard {
namespace {

// While a reservation keeps slots back, the order may change by ageing and by usage alone; this is
// how often it is looked at then.
constexpr absl::Duration kReorderInterval = absl::Seconds(1);

constexpr Slots kUnlimited = {std::numeric_limits<int32_t>::max(),
                              std::numeric_limits<int32_t>::max(),
                              std::numeric_limits<int64_t>::max()};

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

bool Fits(const Slots& slots, const Slots& limit) {
  return slots.cpu_threads <= limit.cpu_threads && slots.gpus <= limit.gpus &&
         slots.memory_bytes <= limit.memory_bytes;
}

void AddTo(Slots& sum, const Slots& slots) {
  sum.cpu_threads += slots.cpu_threads;
  sum.gpus += slots.gpus;
  sum.memory_bytes += slots.memory_bytes;
}

void SubtractFrom(Slots& sum, const Slots& slots) {
  sum.cpu_threads -= slots.cpu_threads;
  sum.gpus -= slots.gpus;
  sum.memory_bytes -= slots.memory_bytes;
}

Slots SmallerOf(const Slots& a, const Slots& b) {
  return {std::min(a.cpu_threads, b.cpu_threads), std::min(a.gpus, b.gpus),
          std::min(a.memory_bytes, b.memory_bytes)};
}

struct Project {
  std::string name;
  ProjectUsage usage;
  int64_t queued = 0;
  int64_t running = 0;
  // Usage at `cached_time`, so that one decision computes it once.
  mutable absl::Time cached_time = absl::InfinitePast();
  mutable double cached_usage = 0;
};

// Queued jobs of equal project, priority, CPU threads and GPUs.
struct Bucket {
  Project* project = nullptr;
  int32_t priority = 0;
  int32_t cpu_threads = 0;
  int32_t gpus = 0;
  FifoIndex jobs;
};

using BucketKey = std::tuple<Project*, int32_t, int32_t, int32_t>;

struct Item : FifoNode {
  QueuedJob job;
  Project* project = nullptr;
  Bucket* bucket = nullptr;                            // null during its back-off
  absl::Time turn_time = absl::InfiniteFuture();       // when it was first in the order, unfitting
  std::optional<uint64_t> started_before_reservation;  // number of starts when it got one
};

struct Running {
  Slots slots;
  Project* project = nullptr;
  uint64_t start_number = 0;
};

// Place in the order: the smaller rank starts first.
struct Rank {
  int64_t negative_priority = 0;  // effective priority, negated
  double usage = 0;
  double rate = 0;
  absl::Time create_time;
  uint64_t sequence = 0;

  auto Key() const { return std::tie(negative_priority, usage, rate, create_time, sequence); }
  bool operator<(const Rank& other) const { return Key() < other.Key(); }
};

class SchedulingQueueImpl : public SchedulingQueue {
 public:
  explicit SchedulingQueueImpl(const Options& options) : options_(options) {
    if (options_.ageing_interval <= absl::ZeroDuration()) {
      options_.ageing_interval = absl::InfiniteDuration();
    }
  }

  bool CouldEverFit(const Slots& slots) const override { return Fits(slots, options_.capacity); }
  void Add(QueuedJob job) override;
  bool Remove(std::string_view name) override;
  std::optional<QueuedJob> PickNext(absl::Time now) override;
  void AddRunning(QueuedJob job, absl::Time started) override;
  void Release(std::string_view name, absl::Time now) override;
  absl::Time NextChange(absl::Time now) const override;

  int64_t queued_count() const override { return static_cast<int64_t>(items_.size()); }
  int64_t running_count() const override { return static_cast<int64_t>(running_.size()); }
  Slots in_use() const override { return in_use_; }
  const Slots& capacity() const override { return options_.capacity; }
  int64_t Position(std::string_view name, absl::Time now) const override;
  std::vector<std::string> Front(int count, absl::Time now,
                                 std::string_view project) const override;
  std::optional<absl::Time> OldestCreateTime(std::string_view project) const override;
  Counts CountsOf(std::string_view project) const override;

 private:
  Slots Free() const;
  Project* ProjectOf(std::string_view name);
  void DropIdleProjects(absl::Time now);
  void InsertIntoBucket(Item* item);
  void EraseFromBucket(Item* item);
  // Moves jobs whose back-off is over into the order.
  void EndBackOffs(absl::Time now);
  // Takes the item out of every index.
  std::unique_ptr<Item> Extract(Item* item);
  void StartRunning(const QueuedJob& job, Project* project, absl::Time started);

  int64_t WholeIntervals(absl::Time create_time, absl::Time now) const;
  double UsageOf(const Project& project, absl::Time now) const;
  Rank RankOf(const Bucket& bucket, const FifoNode& node, absl::Time now) const;
  // First in the order among those that fit into `limit`; null when there is none.
  Item* FirstWithin(const Slots& limit, absl::Time now) const;
  // The job that holds the reservation; null when there is none.
  Item* Reserved(absl::Time now) const;
  // What a job behind `reserved` may take at most.
  Slots LeftBeside(const Item& reserved) const;
  int64_t CountAhead(const Bucket& bucket, const Item& item, const Rank& rank,
                     absl::Time now) const;

  Options options_;
  Slots in_use_;
  uint64_t sequence_ = 0;
  uint64_t start_count_ = 0;
  size_t project_sweep_size_ = 64;
  absl::node_hash_map<std::string, Project> projects_;
  absl::flat_hash_map<BucketKey, std::unique_ptr<Bucket>> buckets_;
  absl::flat_hash_map<absl::string_view, std::unique_ptr<Item>> items_;  // keys lie in the items
  std::set<std::pair<absl::Time, Item*>> back_offs_;
  absl::flat_hash_set<Item*> passed_;  // whose turn came without slots for them
  absl::flat_hash_map<std::string, Running> running_;
};

Slots SchedulingQueueImpl::Free() const {
  Slots free = options_.capacity;
  SubtractFrom(free, in_use_);
  return free;
}

Project* SchedulingQueueImpl::ProjectOf(std::string_view name) {
  Project& project = projects_[View(name)];
  if (project.name.empty()) project.name = std::string(name);
  return &project;
}

void SchedulingQueueImpl::DropIdleProjects(absl::Time now) {
  if (projects_.size() < project_sweep_size_) return;
  absl::erase_if(projects_, [&](const auto& entry) {
    const Project& project = entry.second;
    return project.queued == 0 && project.running == 0 && UsageOf(project, now) < 1e-6;
  });
  project_sweep_size_ = std::max<size_t>(64, 2 * projects_.size());
}

void SchedulingQueueImpl::InsertIntoBucket(Item* item) {
  const Slots& slots = item->job.slots;
  const BucketKey key(item->project, item->job.priority, slots.cpu_threads, slots.gpus);
  std::unique_ptr<Bucket>& bucket = buckets_[key];
  if (bucket == nullptr) {
    bucket = std::make_unique<Bucket>();
    bucket->project = item->project;
    bucket->priority = item->job.priority;
    bucket->cpu_threads = slots.cpu_threads;
    bucket->gpus = slots.gpus;
  }
  item->bucket = bucket.get();
  bucket->jobs.Insert(item);
}

void SchedulingQueueImpl::EraseFromBucket(Item* item) {
  Bucket* bucket = std::exchange(item->bucket, nullptr);
  bucket->jobs.Erase(item);
  if (bucket->jobs.empty()) {
    buckets_.erase(BucketKey(bucket->project, bucket->priority, bucket->cpu_threads, bucket->gpus));
  }
}

void SchedulingQueueImpl::Add(QueuedJob job) {
  if (items_.contains(job.name) || running_.contains(job.name)) return;
  auto item = std::make_unique<Item>();
  item->create_time = job.create_time;
  item->sequence = ++sequence_;
  item->memory_bytes = job.slots.memory_bytes;
  item->job = std::move(job);
  item->project = ProjectOf(item->job.project);
  ++item->project->queued;
  Item* added = item.get();
  items_.try_emplace(added->job.name, std::move(item));
  if (added->job.not_before > added->create_time) {
    back_offs_.insert({added->job.not_before, added});
  } else {
    InsertIntoBucket(added);
  }
}

void SchedulingQueueImpl::EndBackOffs(absl::Time now) {
  while (!back_offs_.empty() && back_offs_.begin()->first <= now) {
    Item* item = back_offs_.begin()->second;
    back_offs_.erase(back_offs_.begin());
    InsertIntoBucket(item);
  }
}

std::unique_ptr<Item> SchedulingQueueImpl::Extract(Item* item) {
  if (item->bucket != nullptr) {
    EraseFromBucket(item);
  } else {
    back_offs_.erase({item->job.not_before, item});
  }
  passed_.erase(item);
  --item->project->queued;
  auto node = items_.extract(item->job.name);
  return std::move(node.mapped());
}

bool SchedulingQueueImpl::Remove(std::string_view name) {
  auto found = items_.find(View(name));
  if (found == items_.end()) return false;
  Extract(found->second.get());
  return true;
}

int64_t SchedulingQueueImpl::WholeIntervals(absl::Time create_time, absl::Time now) const {
  if (now <= create_time) return 0;
  absl::Duration remainder;
  return absl::IDivDuration(now - create_time, options_.ageing_interval, &remainder);
}

double SchedulingQueueImpl::UsageOf(const Project& project, absl::Time now) const {
  if (project.cached_time != now) {
    project.cached_usage = project.usage.At(now, options_.usage_half_life);
    project.cached_time = now;
  }
  return project.cached_usage;
}

Rank SchedulingQueueImpl::RankOf(const Bucket& bucket, const FifoNode& node, absl::Time now) const {
  return {-(bucket.priority + WholeIntervals(node.create_time, now)), UsageOf(*bucket.project, now),
          bucket.project->usage.rate(), node.create_time, node.sequence};
}

Item* SchedulingQueueImpl::FirstWithin(const Slots& limit, absl::Time now) const {
  FifoNode* first = nullptr;
  Rank first_rank;
  for (const auto& [key, bucket] : buckets_) {
    if (bucket->cpu_threads > limit.cpu_threads || bucket->gpus > limit.gpus) continue;
    FifoNode* node = bucket->jobs.OldestWithin(limit.memory_bytes);
    if (node == nullptr) continue;
    Rank rank = RankOf(*bucket, *node, now);
    if (first == nullptr || rank < first_rank) {
      first = node;
      first_rank = rank;
    }
  }
  return static_cast<Item*>(first);
}

Item* SchedulingQueueImpl::Reserved(absl::Time now) const {
  Item* reserved = nullptr;
  for (Item* item : passed_) {
    if (now - item->turn_time < options_.reservation_after) continue;
    if (reserved == nullptr ||
        RankOf(*item->bucket, *item, now) < RankOf(*reserved->bucket, *reserved, now)) {
      reserved = item;
    }
  }
  return reserved;
}

Slots SchedulingQueueImpl::LeftBeside(const Item& reserved) const {
  Slots left = options_.capacity;
  SubtractFrom(left, reserved.job.slots);
  const uint64_t before = reserved.started_before_reservation.value_or(start_count_);
  for (const auto& [name, running] : running_) {
    if (running.start_number > before) SubtractFrom(left, running.slots);
  }
  // A job that does not need a kind of slots at all is not held back by it.
  return {std::max(left.cpu_threads, 0), std::max(left.gpus, 0),
          std::max<int64_t>(left.memory_bytes, 0)};
}

std::optional<QueuedJob> SchedulingQueueImpl::PickNext(absl::Time now) {
  EndBackOffs(now);
  Item* front = FirstWithin(kUnlimited, now);
  if (front == nullptr) return std::nullopt;
  const Slots free = Free();
  Item* chosen = front;
  if (!Fits(front->job.slots, free)) {
    if (passed_.insert(front).second) front->turn_time = now;
    chosen = FirstWithin(free, now);
    if (chosen == nullptr) return std::nullopt;
  }
  if (Item* reserved = Reserved(now); reserved != nullptr) {
    if (!reserved->started_before_reservation.has_value()) {
      reserved->started_before_reservation = start_count_;
    }
    if (RankOf(*reserved->bucket, *reserved, now) < RankOf(*chosen->bucket, *chosen, now)) {
      chosen = FirstWithin(SmallerOf(free, LeftBeside(*reserved)), now);
      if (chosen == nullptr) return std::nullopt;
    }
  }
  std::unique_ptr<Item> item = Extract(chosen);
  StartRunning(item->job, item->project, now);
  return std::move(item->job);
}

void SchedulingQueueImpl::StartRunning(const QueuedJob& job, Project* project, absl::Time started) {
  AddTo(in_use_, job.slots);
  ++project->running;
  project->usage.Start(DominantShare(job.slots, options_.capacity), started,
                       options_.usage_half_life);
  project->cached_time = absl::InfinitePast();
  running_[job.name] = {job.slots, project, ++start_count_};
}

void SchedulingQueueImpl::AddRunning(QueuedJob job, absl::Time started) {
  if (running_.contains(job.name)) return;
  StartRunning(job, ProjectOf(job.project), started);
}

void SchedulingQueueImpl::Release(std::string_view name, absl::Time now) {
  auto found = running_.find(View(name));
  if (found == running_.end()) return;
  const Running& running = found->second;
  SubtractFrom(in_use_, running.slots);
  --running.project->running;
  running.project->usage.Stop(DominantShare(running.slots, options_.capacity), now,
                              options_.usage_half_life);
  running.project->cached_time = absl::InfinitePast();
  running_.erase(found);
  DropIdleProjects(now);
}

absl::Time SchedulingQueueImpl::NextChange(absl::Time now) const {
  absl::Time next = absl::InfiniteFuture();
  if (!back_offs_.empty()) next = std::max(now, back_offs_.begin()->first);
  if (Reserved(now) != nullptr && FirstWithin(Free(), now) != nullptr) {
    next = std::min(next, now + kReorderInterval);
  }
  return next;
}

int64_t SchedulingQueueImpl::CountAhead(const Bucket& bucket, const Item& item, const Rank& rank,
                                        absl::Time now) const {
  // Jobs of the bucket with an effective priority of at least `level` are its oldest ones.
  const auto count_at_least = [&](int64_t level) {
    const int64_t intervals = level - bucket.priority;
    if (intervals <= 0) return bucket.jobs.size();
    return bucket.jobs.CountBefore(now - intervals * options_.ageing_interval,
                                   std::numeric_limits<uint64_t>::max());
  };
  const int64_t level = -rank.negative_priority;
  const int64_t above = count_at_least(level + 1);
  const auto share = std::make_pair(UsageOf(*bucket.project, now), bucket.project->usage.rate());
  const auto own_share = std::make_pair(rank.usage, rank.rate);
  if (share > own_share) return above;
  const int64_t at_least = count_at_least(level);
  if (share < own_share) return at_least;
  const int64_t older = bucket.jobs.CountBefore(item.create_time, item.sequence);
  return std::max(above, std::min(older, at_least));
}

int64_t SchedulingQueueImpl::Position(std::string_view name, absl::Time now) const {
  auto found = items_.find(View(name));
  if (found == items_.end()) return -1;
  const Item& item = *found->second;
  Bucket place;  // also of a job in its back-off: where it would stand now
  place.project = item.project;
  place.priority = item.job.priority;
  const Rank rank = RankOf(place, item, now);
  int64_t ahead = 0;
  for (const auto& [key, bucket] : buckets_) ahead += CountAhead(*bucket, item, rank, now);
  return ahead;
}

std::vector<std::string> SchedulingQueueImpl::Front(int count, absl::Time now,
                                                    std::string_view project) const {
  struct Cursor {
    const Bucket* bucket;
    int64_t next;
    FifoNode* node;
  };
  std::vector<Cursor> cursors;
  for (const auto& [key, bucket] : buckets_) {
    if (!project.empty() && bucket->project->name != project) continue;
    cursors.push_back({bucket.get(), 0, bucket->jobs.At(0)});
  }
  std::vector<std::string> names;
  while (static_cast<int>(names.size()) < count && !cursors.empty()) {
    const auto first =
        std::min_element(cursors.begin(), cursors.end(), [&](const Cursor& a, const Cursor& b) {
          return RankOf(*a.bucket, *a.node, now) < RankOf(*b.bucket, *b.node, now);
        });
    names.push_back(static_cast<const Item*>(first->node)->job.name);
    first->node = first->bucket->jobs.At(++first->next);
    if (first->node == nullptr) cursors.erase(first);
  }
  return names;
}

std::optional<absl::Time> SchedulingQueueImpl::OldestCreateTime(std::string_view project) const {
  std::optional<absl::Time> oldest;
  const auto consider = [&](const Project& of, absl::Time time) {
    if (!project.empty() && of.name != project) return;
    if (!oldest.has_value() || time < *oldest) oldest = time;
  };
  for (const auto& [key, bucket] : buckets_) {
    consider(*bucket->project, bucket->jobs.At(0)->create_time);
  }
  for (const auto& [time, item] : back_offs_) consider(*item->project, item->create_time);
  return oldest;
}

SchedulingQueue::Counts SchedulingQueueImpl::CountsOf(std::string_view project) const {
  if (project.empty()) return {queued_count(), running_count()};
  auto found = projects_.find(View(project));
  if (found == projects_.end()) return {};
  return {found->second.queued, found->second.running};
}

}  // namespace

std::unique_ptr<SchedulingQueue> SchedulingQueue::Create(const Options& options) {
  return std::make_unique<SchedulingQueueImpl>(options);
}

}  // namespace trainyard
