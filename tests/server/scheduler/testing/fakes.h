// Runtime, executor and links whose every step is up to the test.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "core/base/notification.h"
#include "server/execution/executor.h"
#include "server/scheduler/job_manager.h"
#include "server/scheduler/runtime.h"

namespace trainyard {

// Keeps work until RunPosted.
class ManualRuntime : public Runtime {
 public:
  void PostProcessWork(std::function<void()> work) override { Post(std::move(work)); }
  void PostDataWork(std::function<void()> work) override { Post(std::move(work)); }
  void Notify(std::function<void()> callback) override { Post(std::move(callback)); }
  void WakeAt(absl::Duration time) override {
    MutexLock lock(&mutex_);
    wake_time_ = std::min(wake_time_, time);
  }
  bool Wait(Notification& notification, absl::Duration) override {
    if (wait_hook_ != nullptr) wait_hook_();
    return notification.HasBeenNotified();
  }
  // What makes the thing come that is waited for.
  void set_wait_hook(std::function<void()> hook) { wait_hook_ = std::move(hook); }
  void Start(std::function<absl::Duration()> tick) override { tick_ = std::move(tick); }
  void Stop() override {
    while (RunPosted() > 0) {
    }
  }

  // Runs what is posted, in order. Returns the number of functions run.
  int RunPosted() {
    std::deque<std::function<void()>> posted;
    {
      MutexLock lock(&mutex_);
      posted.swap(posted_);
    }
    for (auto& function : posted) function();
    return static_cast<int>(posted.size());
  }
  absl::Duration wake_time() const {
    MutexLock lock(&mutex_);
    return wake_time_;
  }
  void Tick() {
    {
      MutexLock lock(&mutex_);
      wake_time_ = absl::InfiniteDuration();
    }
    WakeAt(tick_());
  }

 private:
  void Post(std::function<void()> function) {
    MutexLock lock(&mutex_);
    posted_.push_back(std::move(function));
  }

  mutable Mutex mutex_;
  std::deque<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  absl::Duration wake_time_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  std::function<absl::Duration()> tick_;
  std::function<void()> wait_hook_;
};

// Processes that exist as records only, and survive the job manager.
class FakeExecutor : public Executor {
 public:
  struct Process {
    std::string token;
    v1::ResourceRequest resources;
    std::vector<std::string> gpus;
    OnExit on_exit;
    bool terminated = false;
    bool killed = false;
    std::optional<WorkerExit> exit;  // delivered by DeliverExits
  };

  std::string_view name() const override { return "fake"; }
  absl::StatusOr<std::string> Launch(const WorkerLaunch& launch, OnExit on_exit) override {
    MutexLock lock(&mutex_);
    if (!launch_error_.ok()) return launch_error_;
    ++launches_;
    if (processes_.contains(launch.attempt)) ++double_launches_;
    processes_[launch.attempt] = {launch.token, launch.resources, launch.gpus, std::move(on_exit)};
    return "process of " + launch.attempt;
  }
  absl::Status Adopt(const std::string& attempt, const std::string& process,
                     OnExit on_exit) override {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    const bool known = process.empty() || process == "process of " + attempt;
    if (found == processes_.end() || !known) return absl::NotFoundError(attempt);
    found->second.on_exit = std::move(on_exit);
    return absl::OkStatus();
  }
  void Terminate(const std::string& attempt) override {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    if (found == processes_.end()) return;
    found->second.terminated = true;
    if (dies_of_sigterm_) SetExit(found->second, {.signal = 15});
  }
  void Kill(const std::string& attempt) override {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    if (found == processes_.end()) return;
    found->second.killed = true;
    SetExit(found->second, {.signal = 9});
  }
  int64_t ProcessId(const std::string&) const override { return 4711; }

  // --- For tests.
  // The process ends; the manager hears of it with DeliverExits.
  void Exit(const std::string& attempt, WorkerExit exit) {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    if (found != processes_.end()) SetExit(found->second, std::move(exit));
  }
  int DeliverExits() {
    std::vector<std::pair<OnExit, WorkerExit>> exits;
    {
      MutexLock lock(&mutex_);
      for (auto process = processes_.begin(); process != processes_.end();) {
        if (process->second.exit.has_value()) {
          exits.emplace_back(std::move(process->second.on_exit), *process->second.exit);
          process = processes_.erase(process);
        } else {
          ++process;
        }
      }
    }
    for (auto& [on_exit, exit] : exits) {
      if (on_exit != nullptr) on_exit(std::move(exit));
    }
    return static_cast<int>(exits.size());
  }
  // The server is gone: nobody hears of exits, and processes that ended are forgotten.
  void LoseServer() {
    MutexLock lock(&mutex_);
    std::erase_if(processes_, [](const auto& entry) { return entry.second.exit.has_value(); });
    for (auto& [attempt, process] : processes_) process.on_exit = nullptr;
  }
  bool Runs(const std::string& attempt) const {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    return found != processes_.end() && !found->second.exit.has_value();
  }
  // A copy; empty when there is no such process.
  std::optional<Process> Find(const std::string& attempt) const {
    MutexLock lock(&mutex_);
    auto found = processes_.find(attempt);
    if (found == processes_.end()) return std::nullopt;
    return found->second;
  }
  std::vector<std::string> Running() const {
    MutexLock lock(&mutex_);
    std::vector<std::string> names;
    for (const auto& [attempt, process] : processes_) names.push_back(attempt);
    return names;
  }
  void set_launch_error(absl::Status status) {
    MutexLock lock(&mutex_);
    launch_error_ = std::move(status);
  }
  void set_dies_of_sigterm(bool dies) {
    MutexLock lock(&mutex_);
    dies_of_sigterm_ = dies;
  }
  int launches() const {
    MutexLock lock(&mutex_);
    return launches_;
  }
  int double_launches() const {
    MutexLock lock(&mutex_);
    return double_launches_;
  }

 private:
  static void SetExit(Process& process, WorkerExit exit) {
    if (!process.exit.has_value()) process.exit = std::move(exit);
  }

  mutable Mutex mutex_;
  std::map<std::string, Process> processes_ ABSL_GUARDED_BY(mutex_);
  absl::Status launch_error_ ABSL_GUARDED_BY(mutex_);
  bool dies_of_sigterm_ ABSL_GUARDED_BY(mutex_) = true;
  int launches_ ABSL_GUARDED_BY(mutex_) = 0;
  int double_launches_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Keeps what the manager sends.
class FakeLink : public WorkerLink {
 public:
  void Send(v1::ServerMessage message) override {
    MutexLock lock(&mutex_);
    messages_.push_back(std::move(message));
  }
  void Close(absl::Status status) override {
    MutexLock lock(&mutex_);
    closed_ = std::move(status);
  }
  std::vector<v1::ServerMessage> messages() const {
    MutexLock lock(&mutex_);
    return messages_;
  }
  std::optional<absl::Status> closed() const {
    MutexLock lock(&mutex_);
    return closed_;
  }
  std::optional<v1::Assignment> assignment() const {
    for (const auto& message : messages()) {
      if (message.has_assignment()) return message.assignment();
    }
    return std::nullopt;
  }
  // The newest acknowledged worker sequence, also as an assignment says it.
  int64_t acknowledged() const {
    int64_t sequence = 0;
    for (const auto& message : messages()) {
      if (message.has_ack()) sequence = message.ack().sequence();
      if (message.has_assignment()) sequence = message.assignment().acknowledged_sequence();
    }
    return sequence;
  }
  bool finish_acknowledged() const {
    for (const auto& message : messages()) {
      if (message.has_finished_ack()) return true;
    }
    return false;
  }
  v1::Attempt::EndCause cancel_cause() const {
    for (const auto& message : messages()) {
      if (message.has_cancel()) return message.cancel().cause();
    }
    return v1::Attempt::END_CAUSE_UNSPECIFIED;
  }

 private:
  mutable Mutex mutex_;
  std::vector<v1::ServerMessage> messages_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
