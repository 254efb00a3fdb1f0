// Accepting jobs: defaults, idempotency, limits.
#include <barrier>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "proto/schema/violations.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using v1::Job;

class JobCreateTest : public ManagerTest {};

TEST_F(JobCreateTest, FillsInTheServersDefaults) {
  options_.default_memory_bytes = 1 << 20;
  options_.default_time_limit = absl::Hours(2);
  Start();
  Job job = NewJob("a", 0);
  job.clear_algorithm();
  const auto created = Create(job);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->resources().cpu_threads(), 4) << "every CPU slot";
  EXPECT_EQ(created->resources().memory_bytes(), 1 << 20);
  EXPECT_EQ(created->time_limit().seconds(), 7200);
  EXPECT_EQ(created->cancel_grace_period().seconds(), 10);
  EXPECT_EQ(created->max_attempts(), 3);
  EXPECT_EQ(created->algorithm(), "diagnostic");
  EXPECT_FALSE(created->etag().empty());
  EXPECT_TRUE(created->has_create_time());
}

TEST_F(JobCreateTest, RepeatedRequestGivesTheSameJob) {
  Start();
  const auto first = Create(NewJob("a"), "request", "hash");
  const auto second = Create(NewJob("other-id"), "request", "hash");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->name(), first->name());
  EXPECT_EQ(catalogue_.Jobs().size(), 1u);
}

TEST_F(JobCreateTest, RepeatedRequestIsKnownAfterARestart) {
  Start();
  ASSERT_TRUE(Create(NewJob("a"), "request", "hash").ok());
  Restart();
  EXPECT_EQ(Create(NewJob("b"), "request", "hash")->name(), FullName("a"));
}

TEST_F(JobCreateTest, RequestIdOfOtherContentIsRefused) {
  Start();
  ASSERT_TRUE(Create(NewJob("a"), "request", "hash").ok());
  const auto other = Create(NewJob("b"), "request", "another hash");
  EXPECT_EQ(other.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(other.status()), "REQUEST_ID_REUSED");
}

TEST_F(JobCreateTest, TakenNameIsRefused) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const auto again = Create(NewJob("a"));
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReasonOf(again.status()), "JOB_EXISTS");
}

TEST_F(JobCreateTest, ThirtyTwoThreadsWithOneRequestIdMakeOneJob) {
  Start();
  constexpr int kThreads = 32;
  std::vector<std::shared_ptr<Answer<absl::StatusOr<Job>>>> answers(kThreads);
  std::barrier ready(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      ready.arrive_and_wait();
      answers[i] = BeginCreate(NewJob(absl::StrCat("j", i)), "request", "hash");
    });
  }
  for (std::thread& thread : threads) thread.join();
  Run();
  const std::string name = (*answers[0]->value)->name();
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->arrived());
    ASSERT_TRUE(answer->value->ok()) << answer->value->status();
    EXPECT_EQ((*answer->value)->name(), name);
  }
  EXPECT_EQ(catalogue_.Jobs().size(), 1u);
}

TEST_F(JobCreateTest, WhatCouldNeverFitNamesEveryField) {
  Start();
  Job job = NewJob("a", 5);
  job.mutable_resources()->set_gpus(1);
  job.mutable_resources()->set_memory_bytes(int64_t{9} << 30);
  const auto created = Create(job);
  EXPECT_EQ(created.status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<FieldViolation> violations = ViolationsOf(created.status());
  ASSERT_EQ(violations.size(), 3u);
  EXPECT_EQ(violations[0].field, "job.resources.cpu_threads");
  EXPECT_EQ(violations[0].description, "5 CPU threads asked for; the server has 4");
  EXPECT_EQ(violations[1].field, "job.resources.gpus");
  EXPECT_EQ(violations[2].field, "job.resources.memory_bytes");
  EXPECT_TRUE(catalogue_.Jobs().empty());
}

TEST_F(JobCreateTest, FullQueueAnswersWithARetryDelay) {
  options_.max_queued_jobs = 2;
  Start();
  ASSERT_TRUE(Create(NewJob("runs", 4)).ok());
  ASSERT_TRUE(Create(NewJob("a", 4), "request").ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  const auto refused = Create(NewJob("c", 4));
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status()), "QUEUE_FULL");
  EXPECT_TRUE(refused.status()
                  .GetPayload({kRetryInfoPayload.data(), kRetryInfoPayload.size()})
                  .has_value());
  EXPECT_EQ(Create(NewJob("d", 4), "new request").status().code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Create(NewJob("e", 4), "request")->name(), FullName("a")) << "a repetition is none";
  ASSERT_TRUE(Cancel("b").ok());
  EXPECT_TRUE(Create(NewJob("c", 4)).ok());
}

TEST_F(JobCreateTest, FullDiskIsAnAnswer) {
  Start();
  catalogue_.FailNext(1, absl::ResourceExhaustedError("disk full"));
  EXPECT_EQ(Create(NewJob("a")).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(manager_->Get(Name("a")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Create(NewJob("a")).ok());
}

TEST_F(JobCreateTest, ShutdownRefusesWithAnswer) {
  Start();
  manager_->Shutdown();
  const auto created = Create(NewJob("a"));
  EXPECT_EQ(created.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Cancel("a").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Delete("a").code(), absl::StatusCode::kUnavailable);
}

TEST_F(JobCreateTest, TenThousandJobsQueue) {
  Start();
  std::vector<std::shared_ptr<Answer<absl::StatusOr<Job>>>> answers;
  for (int i = 0; i < 10'000; ++i) {
    answers.push_back(BeginCreate(NewJob(absl::StrCat("j", i), 4)));
  }
  Run();
  for (const auto& answer : answers) ASSERT_TRUE(answer->value->ok());
  const v1::Queue queue = manager_->QueueState("p");
  EXPECT_EQ(queue.queued_count(), 9'999);
  EXPECT_EQ(queue.running_count(), 1);
  EXPECT_EQ(queue.next_jobs_size(), 20);
  EXPECT_EQ(queue.capacity().cpu_threads(), 4);
  EXPECT_EQ(manager_->QueueState("other").queued_count(), 0);
  EXPECT_EQ(Get("j5000").queue_position(), 4'999);
}

}  // namespace
}  // namespace trainyard
