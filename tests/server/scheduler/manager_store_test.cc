// The job manager with its own threads, the real clock and the real catalogue.
#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/scheduler/job_manager.h"
#include "server/scheduler/job_state.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/scheduler/testing/auto_workers.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using v1::Job;

class ManagerStoreTest : public testing::Test {
 protected:
  ManagerStoreTest() { options_.capacity = {4, 0, int64_t{1} << 30}; }
  ~ManagerStoreTest() override { Stop(); }

  void Start() {
    JobManager::Dependencies dependencies;
    dependencies.catalogue = &store_.catalogue();
    dependencies.blobs = &store_.blobs();
    dependencies.executor = &workers_;
    dependencies.clock = &Clock::Real();
    auto manager = JobManager::Start(options_, dependencies);
    ASSERT_TRUE(manager.ok()) << manager.status();
    manager_ = *std::move(manager);
    workers_.SetManager(manager_.get());
  }
  void Stop() {
    workers_.SetManager(nullptr);
    workers_.Sync();
    if (manager_ != nullptr) manager_->Shutdown();
    manager_ = nullptr;
  }
  static Job NewJob(int number) {
    Job job;
    job.set_name(absl::StrCat("projects/p/jobs/j", number));
    job.mutable_spec()->mutable_diagnostic()->set_steps(1);
    job.mutable_resources()->set_cpu_threads(1);
    return job;
  }
  static JobName NameOf(int number) { return {"p", absl::StrCat("j", number)}; }
  void CreateAll(int begin, int end) {
    BlockingCounter created(end - begin);
    for (int i = begin; i < end; ++i) {
      manager_->Create(NewJob(i), "", "", [&](const absl::StatusOr<Job>& job) {
        EXPECT_TRUE(job.ok()) << job.status();
        created.DecrementCount();
      });
    }
    created.Wait();
  }
  // Follows a job to its end; returns the states it went through.
  std::vector<Job::State> Follow(int number) {
    std::vector<Job::State> states;
    auto reader = manager_->Watch(NameOf(number), 1);
    EXPECT_TRUE(reader.ok()) << reader.status();
    int64_t sequence = 0;
    while (reader.ok()) {
      BlockingCounter ready(1);
      (*reader)->NotifyWhenReady([&] { ready.DecrementCount(); });
      ready.Wait();
      const auto batch = (*reader)->Next(1 << 20);
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok()) break;
      v1::WatchJobResponse response;
      if (batch->response != nullptr) response.ParseFromString(*batch->response);
      for (const auto& event : response.events()) {
        EXPECT_EQ(event.sequence(), ++sequence);
        if (event.has_state_change()) states.push_back(event.state_change().to());
      }
      if (batch->last) break;
    }
    return states;
  }

  TempStore store_;
  AutoWorkers workers_{20};
  JobManager::Options options_;
  std::unique_ptr<JobManager> manager_;
};

TEST_F(ManagerStoreTest, ManyJobsRunToTheirEnds) {
  Start();
  CreateAll(0, 60);
  for (int i = 0; i < 60; ++i) {
    EXPECT_THAT(Follow(i), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                       Job::STATE_SUCCEEDED));
    EXPECT_TRUE(store_.catalogue().GetModel({"p", absl::StrCat("j", i)}).ok());
  }
  EXPECT_EQ(workers_.launches(), 60);
  JobQuery query;
  query.project = "p";
  query.filter = "state = SUCCEEDED";
  query.page_size = 100;
  EXPECT_EQ(manager_->List(query)->jobs.size(), 60u);
}

TEST_F(ManagerStoreTest, NothingIsLostOverRestartsUnderLoad) {
  Start();
  for (int round = 0; round < 4; ++round) {
    CreateAll(round * 25, round * 25 + 25);
    Stop();
    store_.Reopen();
    Start();
  }
  for (int i = 0; i < 100; ++i) {
    const std::vector<Job::State> states = Follow(i);
    ASSERT_FALSE(states.empty());
    EXPECT_EQ(states.back(), Job::STATE_SUCCEEDED) << i;
    // Each worker event is stored once within its attempt.
    int metrics = 0;
    int attempt = 0;
    const auto events = store_.catalogue().ReadEvents(NameOf(i), 1, 10'000, 1 << 24);
    for (const auto& event : *events) {
      if (event.attempt() != attempt) metrics = 0;
      attempt = event.attempt();
      if (event.has_metrics()) {
        EXPECT_EQ(event.metrics().points(0).step(), ++metrics);
      }
    }
    EXPECT_EQ(metrics, 20) << i;
  }
}

TEST_F(ManagerStoreTest, ManyCallersAtOnce) {
  Start();
  std::vector<std::thread> threads;
  std::atomic<int> ended = 0;
  constexpr int kThreads = 6;
  constexpr int kJobs = 15;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kJobs; ++i) {
        const int number = t * 1000 + i;
        CreateAll(number, number + 1);
        if (i % 3 == 0) {
          BlockingCounter cancelled(1);
          manager_->Cancel(NameOf(number), "",
                           [&](const absl::StatusOr<Job>&) { cancelled.DecrementCount(); });
          cancelled.Wait();
        }
        EXPECT_TRUE(manager_->Get(NameOf(number)).ok());
        manager_->QueueState("");
        const std::vector<Job::State> states = Follow(number);
        if (!states.empty() && IsEndState(states.back())) ++ended;
        BlockingCounter deleted(1);
        manager_->Delete(NameOf(number), "", [&](const absl::Status& status) {
          EXPECT_TRUE(status.ok()) << status;
          deleted.DecrementCount();
        });
        deleted.Wait();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, kThreads * kJobs);
  JobQuery query;
  query.project = "p";
  EXPECT_TRUE(manager_->List(query)->jobs.empty());
}

}  // namespace
}  // namespace trainyard
