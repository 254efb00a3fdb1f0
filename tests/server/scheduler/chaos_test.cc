// Thousands of random operations, crashes of workers and server included; seeded, repeatable.
#include <map>
#include <set>

#include "core/base/random.h"
#include "server/scheduler/job_state.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using v1::Attempt;
using v1::Job;

class ChaosTest : public ManagerTest, public testing::WithParamInterface<int> {
 protected:
  ChaosTest() : random_(static_cast<uint64_t>(GetParam())) {}

  int Below(size_t bound) { return static_cast<int>(random_.UniformInt(bound)); }

  void CreateSome() {
    const std::string id = absl::StrCat("j", ++job_count_);
    Job job = NewJob(id, 1 + Below(4));
    job.set_name(JobName{absl::StrCat("p", Below(3)), id}.ToString());
    job.set_priority(Below(3));
    job.set_max_attempts(1 + Below(3));
    if (Below(4) == 0) job.mutable_time_limit()->set_seconds(5 + Below(60));
    job.mutable_cancel_grace_period()->set_seconds(1 + Below(5));
    const std::string name = job.name();
    names_.push_back(*JobName::Parse(name));
    manager_->Create(job, Below(2) == 0 ? id : "", "h", [this, name](absl::StatusOr<Job> result) {
      if (result.ok()) accepted_.insert(name);
    });
  }

  // A worker of some process: connects if it has not, else does something that a worker does.
  void WorkerStep() {
    const std::vector<std::string> running = executor_.Running();
    if (running.empty()) return;
    const std::string attempt = running[Below(running.size())];
    if (!executor_.Runs(attempt)) return;
    Worker& worker = workers_[attempt];
    worker.attempt = attempt;
    const bool connected = worker.link != nullptr && !worker.link->closed().has_value();
    if (!connected) {
      worker.link = nullptr;
      const std::string token = executor_.Find(attempt)->token;
      const auto session = Hello(worker, token);
      // Refused for good: it exits.
      if (!session.ok() && !absl::IsUnavailable(session.status())) {
        executor_.Exit(attempt, {.exit_code = 3});
      }
      return;
    }
    const auto assignment = worker.link->assignment();
    if (!assignment.has_value()) return;
    if (worker.link->finish_acknowledged()) {
      executor_.Exit(attempt, {.exit_code = 0});
      return;
    }
    if (finished_.contains(attempt)) {
      SendFinished(worker);
      return;
    }
    switch (Below(12)) {
      case 0:
        executor_.Exit(attempt, {.signal = 11});
        if (Below(2) == 0) manager_->OnClosed(worker.session, false);
        break;
      case 1:
        manager_->OnClosed(worker.session, Below(10) == 0);
        worker.link = nullptr;
        break;
      case 2:
      case 3:
        finished_.insert(attempt);
        SendFinished(worker);
        break;
      case 4:
        manager_->OnAlive(worker.session, {});
        break;
      case 5:
        executor_.Exit(attempt, {.signal = 9, .out_of_memory = Below(4) == 0});
        break;
      default: {
        // Resends some, as after a lost connection, and sends some more.
        const int64_t acknowledged = worker.link->acknowledged();
        const int64_t first = std::max<int64_t>(1, acknowledged + 1 - Below(3));
        const int count = static_cast<int>(worker.sent + 1 + Below(5) - first);
        if (count > 0 && manager_->OnEvents(worker.session, Metrics(first, count)).ok()) {
          worker.sent = std::max(worker.sent, first + count - 1);
        }
      }
    }
  }

  void SendFinished(Worker& worker) {
    const int64_t missing = worker.link->acknowledged() + 1;
    if (missing <= worker.sent) {
      const int count = static_cast<int>(worker.sent - missing + 1);
      if (!manager_->OnEvents(worker.session, Metrics(missing, count)).ok()) return;
    }
    constexpr Attempt::EndCause kCauses[] = {
        Attempt::END_CAUSE_SUCCEEDED, Attempt::END_CAUSE_SUCCEEDED, Attempt::END_CAUSE_USER_ERROR,
        Attempt::END_CAUSE_CANCELLED, Attempt::END_CAUSE_WORKER_LOST};
    const Attempt::EndCause cause = kCauses[worker.attempt.size() % 5];
    if (cause == Attempt::END_CAUSE_SUCCEEDED) Upload(worker).IgnoreError();
    Finish(worker, cause).IgnoreError();
  }

  void Step() {
    const JobName name = names_.empty() ? Name("none") : names_[Below(names_.size())];
    switch (Below(24)) {
      case 0:
      case 1:
      case 2:
        CreateSome();
        break;
      case 3:
        manager_->Cancel(name, "", [](const absl::StatusOr<Job>&) {});
        break;
      case 4:
        if (Below(4) == 0) {
          manager_->Delete(name, "", [this, name](const absl::Status& status) {
            if (status.ok()) deleted_.insert(name.ToString());
          });
        }
        break;
      case 5:
        clock_.Advance(absl::Milliseconds(Below(3000)));
        break;
      case 6:
        if (Below(20) == 0) clock_.Advance(absl::Seconds(31));
        break;
      case 7:
        if (Below(6) == 0) catalogue_.FailNext(Below(4), absl::ResourceExhaustedError("full"));
        break;
      case 8:
        if (Below(40) == 0) {
          Crash();
          for (auto& [attempt, worker] : workers_) worker.link = nullptr;
          // Some workers die while the server is away.
          for (const std::string& attempt : executor_.Running()) {
            if (Below(3) == 0) executor_.Exit(attempt, {.signal = 9});
          }
          executor_.LoseServer();
          Start();
        }
        break;
      case 9:
        executor_.set_launch_error(Below(3) == 0 ? absl::ResourceExhaustedError("busy")
                                                 : absl::OkStatus());
        break;
      default:
        WorkerStep();
    }
    // The parts of the machine run in any order.
    for (int i = Below(4); i > 0; --i) {
      switch (Below(4)) {
        case 0:
          runtime_->RunPosted();
          break;
        case 1:
          catalogue_.Commit();
          break;
        case 2:
          executor_.DeliverExits();
          break;
        default:
          if (runtime_->wake_time() <= clock_.Monotonic()) runtime_->Tick();
      }
    }
  }

  void CheckInvariants() {
    const v1::Queue queue = manager_->QueueState("");
    ASSERT_LE(queue.in_use().cpu_threads(), options_.capacity.cpu_threads) << "oversubscribed";
    ASSERT_EQ(executor_.double_launches(), 0);
    // At most one process of a job may train: one that holds an assignment that was not ended.
    std::map<std::string, int> training;
    for (const std::string& attempt : executor_.Running()) {
      if (!executor_.Runs(attempt)) continue;
      const auto worker = workers_.find(attempt);
      if (worker == workers_.end() || worker->second.link == nullptr) continue;
      if (worker->second.link->closed().has_value() || finished_.contains(attempt)) continue;
      if (!worker->second.link->assignment().has_value()) continue;
      ASSERT_EQ(++training[AttemptName::Parse(attempt)->job.ToString()], 1) << attempt;
    }
    for (const auto& [name, job] : catalogue_.Jobs()) {
      int live = 0;
      for (const AttemptRecord& attempt : catalogue_.AttemptsOf(name))
        live += attempt.ended ? 0 : 1;
      ASSERT_LE(live, 1) << name;
      ASSERT_EQ(live == 1, IsActiveState(job.state())) << name;
      CheckEvents(name, job);
    }
  }

  bool Ended() {
    for (const auto& [name, job] : catalogue_.Jobs()) {
      if (!IsEndState(job.state())) return false;
    }
    return executor_.Running().empty();
  }

  void CheckEvents(const std::string& name, const Job& job) {
    int64_t sequence = 0;
    Job::State state = Job::STATE_UNSPECIFIED;
    std::map<int, int64_t> newest_step;  // by attempt
    for (const v1::JobEvent& event : catalogue_.EventsOf(name)) {
      ASSERT_EQ(event.sequence(), ++sequence) << name;
      ASSERT_FALSE(IsEndState(state)) << name << ": something follows the end";
      if (event.has_metrics()) {
        // Worker events are numbered from 1: none is lost, none doubled.
        ASSERT_EQ(event.metrics().points(0).step(), ++newest_step[event.attempt()]) << name;
      }
      if (!event.has_state_change()) continue;
      ASSERT_EQ(event.state_change().from(), state) << name;
      state = event.state_change().to();
      ASSERT_TRUE(IsLegalTransition(event.state_change().from(), state)) << name;
    }
    ASSERT_EQ(state, job.state()) << name;
  }

  Rng random_;
  int job_count_ = 0;
  std::vector<JobName> names_;
  std::set<std::string> accepted_;
  std::set<std::string> deleted_;
  std::set<std::string> finished_;
  std::map<std::string, Worker> workers_;
};

TEST_P(ChaosTest, KeepsItsPromises) {
  Start();
  for (int step = 0; step < 5000; ++step) {
    Step();
    if (step % 200 == 0) {
      CheckInvariants();
      if (HasFatalFailure()) FAIL() << "at step " << step;
    }
  }
  // Peace: everything comes to an end.
  catalogue_.FailNext(0, absl::OkStatus());
  executor_.set_launch_error(absl::OkStatus());
  for (int round = 0; round < 4000 && (round % 20 != 0 || !Ended()); ++round) {
    for (int i = 0; i < 4; ++i) {
      Run();
      WorkerStep();
    }
    Advance(absl::Milliseconds(500));
  }
  Advance(absl::Minutes(10));
  CheckInvariants();
  EXPECT_TRUE(Ended());
  EXPECT_EQ(manager_->QueueState("").in_use().cpu_threads(), 0);
  EXPECT_TRUE(executor_.Running().empty());
  const std::map<std::string, Job> jobs = catalogue_.Jobs();
  for (const std::string& name : accepted_) {
    EXPECT_TRUE(jobs.contains(name) || deleted_.contains(name)) << name << " was lost";
  }
  EXPECT_GT(accepted_.size(), 250u);
  std::map<Job::State, int> ends;
  for (const auto& [name, job] : jobs) {
    ++ends[job.state()];
    EXPECT_EQ(job.state() == Job::STATE_SUCCEEDED, catalogue_.Models().contains(job.model()));
    EXPECT_EQ(manager_->Get(*JobName::Parse(name))->SerializeAsString(), job.SerializeAsString());
  }
  EXPECT_GT(ends[Job::STATE_SUCCEEDED], 10);
  EXPECT_GT(ends[Job::STATE_FAILED], 10);
  EXPECT_GT(ends[Job::STATE_CANCELLED], 10);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChaosTest, testing::Range(1, 7));

}  // namespace
}  // namespace trainyard
