// Workers in a thread: they take the job, send events and a model, finish and exit.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "server/execution/executor.h"
#include "server/scheduler/job_manager.h"

namespace trainyard {

// Executor and workers in one. The workers survive the job manager: they reconnect to the next one
// and send again what was not acknowledged, as real ones do. Thread-safe.
class AutoWorkers : public Executor {
 public:
  explicit AutoWorkers(int events_per_job) : events_per_job_(events_per_job) {
    thread_ = std::thread([this] { Loop(); });
  }
  ~AutoWorkers() override {
    Post(nullptr);
    thread_.join();
  }

  // The manager that workers talk to from now on; null while the server is away.
  void SetManager(JobManager* manager) {
    Post([this, manager] {
      manager_ = manager;
      if (manager == nullptr) return;
      for (auto& [attempt, worker] : workers_) worker.session = 0;
      for (auto& [attempt, worker] : workers_) Open(attempt, worker);
    });
  }
  // Returns when everything posted before is done.
  void Sync() {
    Mutex mutex;
    bool done = false;
    Post([&] {
      MutexLock lock(&mutex);
      done = true;
    });
    MutexLock lock(&mutex);
    mutex.Await([&] { return done; });
  }
  int launches() const {
    MutexLock lock(&mutex_);
    return launches_;
  }

  std::string_view name() const override { return "auto"; }
  absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit on_exit) override {
    {
      MutexLock lock(&mutex_);
      ++launches_;
    }
    Post([this, launch, on_exit = std::move(on_exit)]() mutable {
      Worker& worker = workers_[launch.attempt];
      worker.token = launch.token;
      worker.on_exit = std::move(on_exit);
      Open(launch.attempt, worker);
    });
    return launch.attempt;
  }
  absl::Status Adopt(const std::string& attempt, const std::string&, OnExit on_exit) override {
    absl::Status status;
    Mutex mutex;
    bool done = false;
    Post([&] {
      auto found = workers_.find(attempt);
      MutexLock lock(&mutex);
      if (found == workers_.end()) {
        status = absl::NotFoundError(attempt);
      } else {
        found->second.on_exit = std::move(on_exit);
      }
      done = true;
    });
    MutexLock lock(&mutex);
    mutex.Await([&] { return done; });
    return status;
  }
  void Terminate(const std::string& attempt) override { Kill(attempt); }
  void Kill(const std::string& attempt) override {
    Post([this, attempt] { Exit(attempt, {.signal = 9}); });
  }
  int64_t ProcessId(const std::string&) const override { return 1; }

 private:
  class Link : public WorkerLink {
   public:
    Link(AutoWorkers* owner, std::string attempt) : owner_(owner), attempt_(std::move(attempt)) {}
    void Send(v1::ServerMessage message) override {
      owner_->Post([owner = owner_, attempt = attempt_, message = std::move(message)] {
        owner->Receive(attempt, message);
      });
    }
    void Close(absl::Status) override {}

   private:
    AutoWorkers* owner_;
    std::string attempt_;
  };
  struct Worker {
    std::string token;
    std::string session_key = "key";
    int64_t session = 0;
    OnExit on_exit;
  };

  void Post(std::function<void()> function) {
    MutexLock lock(&mutex_);
    queue_.push_back(std::move(function));
  }

  void Loop() {
    while (true) {
      std::function<void()> function;
      {
        MutexLock lock(&mutex_);
        mutex_.Await([this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return !queue_.empty(); });
        function = std::move(queue_.front());
        queue_.pop_front();
      }
      if (function == nullptr) return;
      function();
    }
  }

  void Open(const std::string& attempt, Worker& worker) {
    if (manager_ == nullptr) return;
    v1::Hello hello;
    hello.set_attempt(attempt);
    hello.set_token(worker.token);
    hello.set_session_key(worker.session_key);
    const auto session = manager_->OpenSession(hello, std::make_shared<Link>(this, attempt));
    if (session.ok()) {
      worker.session = *session;
    } else if (!absl::IsUnavailable(session.status())) {
      Post([this, attempt] { Exit(attempt, {.exit_code = 3}); });
    }
  }

  void Receive(const std::string& attempt, const v1::ServerMessage& message) {
    auto found = workers_.find(attempt);
    if (found == workers_.end() || manager_ == nullptr) return;
    Worker& worker = found->second;
    if (message.has_cancel()) Exit(attempt, {.signal = 15});
    if (message.has_finished_ack()) Exit(attempt, {.exit_code = 0});
    if (!message.has_assignment()) return;
    v1::WorkerEvents events;
    events.set_first_sequence(message.assignment().acknowledged_sequence() + 1);
    for (int64_t i = events.first_sequence(); i <= events_per_job_; ++i) {
      auto* point = events.add_events()->mutable_metrics()->add_points();
      point->set_name("loss");
      point->set_step(i);
    }
    if (events.events_size() > 0) {
      manager_->OnEvents(worker.session, std::move(events)).IgnoreError();
    }
    v1::ArtifactHeader header;
    header.set_attempt(attempt);
    header.set_session_key(worker.session_key);
    header.set_kind(v1::ArtifactHeader::KIND_MODEL_FILE);
    header.set_path("model.bin");
    manager_->AddArtifact(header, {std::string(64, 'a'), 16}, nullptr).IgnoreError();
    v1::Finished finished;
    finished.set_end_cause(v1::Attempt::END_CAUSE_SUCCEEDED);
    finished.set_last_sequence(events_per_job_);
    finished.mutable_manifest()->set_algorithm("diagnostic");
    finished.mutable_report()->set_wall_seconds(0.1);
    manager_->OnFinished(worker.session, std::move(finished)).IgnoreError();
  }

  void Exit(const std::string& attempt, WorkerExit exit) {
    auto found = workers_.find(attempt);
    if (found == workers_.end()) return;
    Worker worker = std::move(found->second);
    workers_.erase(found);
    if (manager_ != nullptr && worker.session != 0) manager_->OnClosed(worker.session, false);
    if (worker.on_exit != nullptr) worker.on_exit(std::move(exit));
  }

  const int events_per_job_;
  mutable Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  int launches_ ABSL_GUARDED_BY(mutex_) = 0;
  // Of the thread.
  JobManager* manager_ = nullptr;
  std::map<std::string, Worker> workers_;
  std::thread thread_;
};

}  // namespace trainyard
