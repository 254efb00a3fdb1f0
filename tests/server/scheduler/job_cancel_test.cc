// Cancellation in every state, and deletion.
#include "proto/schema/violations.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using v1::Attempt;
using v1::Job;

class JobCancelTest : public ManagerTest {};

TEST_F(JobCancelTest, QueuedJobIsCancelledAtOnce) {
  Start();
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  const auto job = Cancel("b");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->state(), Job::STATE_CANCELLED);
  EXPECT_EQ(job->end_cause(), Attempt::END_CAUSE_CANCELLED);
  EXPECT_TRUE(job->has_end_time());
  EXPECT_EQ(manager_->QueueState("").queued_count(), 0);
  EXPECT_THAT(History("b"), ElementsAre(Job::STATE_QUEUED, Job::STATE_CANCELLED));
}

TEST_F(JobCancelTest, BeforeTheStartIsStoredNothingIsLaunched) {
  Start();
  auto created = BeginCreate(NewJob("a"));
  catalogue_.Commit();  // the creation; the start is waiting
  const auto job = Cancel("a");
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  EXPECT_EQ(executor_.launches(), 0);
  EXPECT_EQ(manager_->QueueState("").in_use().cpu_threads(), 0);
}

TEST_F(JobCancelTest, StartingWorkerIsTerminatedAtOnce) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const auto job = Cancel("a");
  ASSERT_TRUE(job.ok());
  EXPECT_EQ(job->state(), Job::STATE_CANCELLING);
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED) << "no time passed";
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_CANCELLED);
}

TEST_F(JobCancelTest, StartingWorkerThatIgnoresSigtermIsKilledAfterTheGracePeriod) {
  Start();
  executor_.set_dies_of_sigterm(false);
  ASSERT_TRUE(Create(NewJob("a")).ok());
  ASSERT_TRUE(Cancel("a").ok());
  Advance(absl::Seconds(9));
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLING);
  Advance(absl::Seconds(1));
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  EXPECT_FALSE(executor_.Runs(AttemptOf("a")));
}

TEST_F(JobCancelTest, WorkerThatConnectsMeanwhileLearnsFromTheAssignment) {
  Start();
  executor_.set_dies_of_sigterm(false);
  ASSERT_TRUE(Create(NewJob("a")).ok());
  ASSERT_TRUE(Cancel("a").ok());
  Worker worker = Connect("a");
  ASSERT_TRUE(worker.link->assignment().has_value());
  EXPECT_TRUE(worker.link->assignment()->cancelled());
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLING);
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_CANCELLED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
}

TEST_F(JobCancelTest, RunningWorkerIsAskedThenTerminatedThenKilled) {
  Start();
  executor_.set_dies_of_sigterm(false);
  Job job = NewJob("a");
  job.mutable_cancel_grace_period()->set_seconds(3);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  const auto cancelled = Cancel("a");
  ASSERT_TRUE(cancelled.ok());
  EXPECT_EQ(cancelled->state(), Job::STATE_CANCELLING);
  EXPECT_EQ(worker.link->cancel_cause(), Attempt::END_CAUSE_CANCELLED);
  EXPECT_FALSE(executor_.Find(worker.attempt)->terminated);
  Advance(absl::Seconds(3));
  EXPECT_TRUE(executor_.Find(worker.attempt)->terminated);
  Advance(absl::Milliseconds(2900));
  EXPECT_TRUE(executor_.Runs(worker.attempt));
  Advance(absl::Milliseconds(100));
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_CANCELLING, Job::STATE_CANCELLED));
}

TEST_F(JobCancelTest, WorkerWithoutConnectionIsTerminatedAtOnce) {
  Start();
  Worker worker = RunJob("a");
  manager_->OnClosed(worker.session, false);
  ASSERT_TRUE(Cancel("a").ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
}

TEST_F(JobCancelTest, LosingTheConnectionWhileAskedTerminates) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLING);
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
}

TEST_F(JobCancelTest, WorkerThatHadJustFinishedSucceeds) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Cancel("a").ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_CANCELLING, Job::STATE_SUCCEEDED));
}

TEST_F(JobCancelTest, CrashDuringCancellationIsNotRetried) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  executor_.Exit(worker.attempt, {.signal = 11});
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
}

TEST_F(JobCancelTest, UserErrorDuringCancellationFails) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_USER_ERROR, "bad target").ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
}

TEST_F(JobCancelTest, DuringTheBackOff) {
  Start();
  Worker worker = RunJob("a");
  executor_.Exit(worker.attempt, {.exit_code = 1});
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
  ASSERT_TRUE(Cancel("a").ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  Advance(absl::Minutes(1));
  EXPECT_EQ(executor_.launches(), 1);
}

TEST_F(JobCancelTest, AgainChangesNothing) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  const auto again = Cancel("a");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->state(), Job::STATE_CANCELLING);
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_CANCELLED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  const auto once_more = Cancel("a");
  ASSERT_TRUE(once_more.ok());
  EXPECT_EQ(once_more->state(), Job::STATE_CANCELLED);
}

TEST_F(JobCancelTest, EndedJobRefuses) {
  Start();
  Succeed(RunJob("a"));
  const auto job = Cancel("a");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(job.status()), "JOB_ENDED");
  EXPECT_EQ(Cancel("unknown").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(JobCancelTest, ChangedEtagIsAborted) {
  Start();
  const auto created = Create(NewJob("a"));
  ASSERT_TRUE(created.ok());
  EXPECT_EQ(Cancel("a", created->etag()).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  EXPECT_TRUE(Cancel("a", Get("a").etag()).ok());
}

TEST_F(JobCancelTest, CancelOverridesATimeLimitUnderWay) {
  Start();
  Job job = NewJob("a");
  job.mutable_time_limit()->set_seconds(5);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  Advance(absl::Seconds(6));
  EXPECT_EQ(worker.link->cancel_cause(), Attempt::END_CAUSE_TIME_LIMIT);
  ASSERT_TRUE(Cancel("a").ok());
  Advance(absl::Seconds(10));
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED) << "SIGTERM came when it was due anyway";
}

TEST_F(JobCancelTest, DeleteNeedsAnEndedJob) {
  Start();
  Worker worker = RunJob("a");
  EXPECT_EQ(Delete("a").code(), absl::StatusCode::kFailedPrecondition);
  Succeed(worker);
  EXPECT_EQ(Delete("a", "other").code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(Delete("a", Get("a").etag()).ok());
  EXPECT_EQ(manager_->Get(Name("a")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete("a").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(manager_->Watch(Name("a"), 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(catalogue_.Models().empty()) << "the model stays";
}

TEST_F(JobCancelTest, DeleteWaitsForTheProcessToGo) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  Run();
  Answer<absl::Status> answer;
  manager_->Delete(Name("a"), "", [&](absl::Status status) { answer.value = status; });
  Run();
  EXPECT_FALSE(answer.arrived());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  ASSERT_TRUE(answer.arrived());
  EXPECT_TRUE(answer.value->ok()) << *answer.value;
  EXPECT_TRUE(Create(NewJob("a")).ok()) << "the name is free again";
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
}

}  // namespace
}  // namespace trainyard
