#include "server/scheduler/job_manager.h"

#include <memory>
#include <utility>

#include "core/base/mutex.h"
#include "core/base/status.h"
#include "server/scheduler/job_manager_impl.h"

namespace trainyard {
namespace {

JobObserver* NoObserver() {
  static JobObserver observer;
  return &observer;
}

SchedulingQueue::Options QueueOptions(const JobManager::Options& options) {
  SchedulingQueue::Options queue = options.queue;
  queue.capacity = options.capacity;
  return queue;
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobManager>> JobManager::Start(const Options& options,
                                                              const Dependencies& dependencies) {
  auto manager = std::make_unique<JobManagerImpl>(options, dependencies,
                                                  MakeThreadedRuntime(dependencies.clock));
  TY_RETURN_IF_ERROR(manager->Recover());
  return manager;
}

JobManagerImpl::JobManagerImpl(const Options& options, const Dependencies& dependencies,
                               std::unique_ptr<Runtime> runtime)
    : options_(options),
      catalogue_(dependencies.catalogue),
      blobs_(dependencies.blobs),
      executor_(dependencies.executor),
      clock_(dependencies.clock),
      assign_tables_(dependencies.assign_tables),
      assign_models_(dependencies.assign_models),
      observer_(dependencies.observer != nullptr ? dependencies.observer : NoObserver()),
      runtime_(std::move(runtime)),
      gate_(std::make_shared<Gate>()),
      log_notifier_(std::make_shared<LogNotifier>()),
      logs_(std::make_shared<EventLogs>(EventLogs::Options{}, catalogue_,
                                        [notifier = log_notifier_](std::function<void()> callback) {
                                          MutexLock lock(&notifier->mutex);
                                          if (notifier->runtime != nullptr)
                                            notifier->runtime->Notify(std::move(callback));
                                        })),
      queue_(SchedulingQueue::Create(QueueOptions(options))),
      gpus_(options.gpus) {
  MutexLock lock(&log_notifier_->mutex);
  log_notifier_->runtime = runtime_.get();
}

JobManagerImpl::~JobManagerImpl() {
  logs_->CloseAll(absl::UnavailableError("the server is going down"));
  {
    MutexLock lock(&gate_->mutex);
    gate_->open = false;
    gate_->mutex.Await(
        [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(gate_->mutex) { return gate_->running == 0; });
  }
  {
    MutexLock lock(&log_notifier_->mutex);
    log_notifier_->runtime = nullptr;
  }
  runtime_->Stop();
}

void JobManagerImpl::Shutdown() {
  const absl::Status reason = absl::UnavailableError("the server is going down");
  {
    MutexLock lock(&mutex_);
    shutting_down_ = true;
    for (auto& [key, record] : records_) {
      if (record->live != nullptr && record->live->attempt != nullptr) {
        CloseSession(*record->live->attempt, reason);
      }
    }
  }
  logs_->CloseAll(reason);
  {
    MutexLock lock(&mutex_);
    const auto idle = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return under_way_ == 0; };
    mutex_.Await(idle);
    stopped_ = true;
  }
  runtime_->Stop();
}

absl::Duration JobManagerImpl::RunTimers() {
  MutexLock lock(&mutex_);
  if (shutting_down_) return absl::InfiniteDuration();
  const absl::Duration now = Now();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    JobRecord& record = *timers_.begin()->second;
    timers_.erase(timers_.begin());
    record.timer = absl::InfiniteDuration();
    if (record.live != nullptr) CheckDeadlines(record, now);
    Settle(record);
  }
  if (queue_timer_ <= now) Schedule();
  return timers_.empty() ? queue_timer_ : std::min(queue_timer_, timers_.begin()->first);
}

}  // namespace trainyard
