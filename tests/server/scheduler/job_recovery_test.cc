// A server that dies in every state of a job and comes back.
#include "proto/schema/violations.h"
#include "server/scheduler/attempt_end.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using v1::Attempt;
using v1::Job;

class JobRecoveryTest : public ManagerTest {};

TEST_F(JobRecoveryTest, QueuedJobsKeepTheirOrder) {
  Start();
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  for (const char* id : {"b", "c", "d"}) {
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(Create(NewJob(id, 4)).ok());
  }
  Restart();
  EXPECT_THAT(manager_->QueueState("").next_jobs(),
              ElementsAre(FullName("b"), FullName("c"), FullName("d")));
  EXPECT_EQ(manager_->QueueState("").running_count(), 1);
  EXPECT_EQ(Get("c").queue_position(), 1);
}

TEST_F(JobRecoveryTest, CreationThatWasNotCommittedLeavesNoTrace) {
  Start();
  auto answer = BeginCreate(NewJob("a"), "request");
  Restart();
  EXPECT_FALSE(answer->arrived());
  EXPECT_FALSE(manager_->Get(Name("a")).ok());
  EXPECT_TRUE(Create(NewJob("a"), "request").ok());
}

TEST_F(JobRecoveryTest, StartStoredButNotLaunched) {
  Start();
  BeginCreate(NewJob("a"));
  catalogue_.Commit();
  catalogue_.Commit();  // STARTING; the launch was posted and is lost
  Restart();
  const Job job = Get("a");
  EXPECT_EQ(job.state(), Job::STATE_STARTING);
  ASSERT_EQ(job.attempts_size(), 2);
  EXPECT_EQ(job.attempts(0).end_cause(), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(ReasonOf(job.attempts(0).error()), kServerRestarted);
  EXPECT_EQ(executor_.launches(), 1);
  Succeed(Connect("a", 2));
}

TEST_F(JobRecoveryTest, LaunchedButProcessNotStoredNeverTrainsTwice) {
  Start();
  BeginCreate(NewJob("a"));
  catalogue_.Commit();
  catalogue_.Commit();
  runtime_->RunPosted();  // launched; what finds the process again is not stored
  Restart();
  Succeed(Connect("a"));
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_EQ(Get("a").attempts_size(), 1);
  EXPECT_EQ(executor_.launches(), 1);
}

// The training begins before it is stored that the worker has the job.
TEST_F(JobRecoveryTest, WorkerThatTrainsAndIsForgottenGoesOn) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const std::string token = executor_.Find(AttemptOf("a"))->token;
  Worker worker{.attempt = AttemptOf("a")};
  ASSERT_TRUE(Hello(worker, token).ok());
  runtime_->RunPosted();
  ASSERT_TRUE(worker.link->assignment().has_value());
  ASSERT_TRUE(SendMetrics(worker, 5).ok());
  runtime_->RunPosted();
  EXPECT_EQ(worker.link->acknowledged(), 0);
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING) << "what is not stored is not shown";
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  EXPECT_EQ(Hello(worker, "").status().code(), absl::StatusCode::kUnauthenticated);
  ASSERT_TRUE(Hello(worker, token).ok());
  Run();
  EXPECT_EQ(worker.link->assignment()->acknowledged_sequence(), 0);
  ASSERT_TRUE(manager_->OnEvents(worker.session, Metrics(1, 5)).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 5);
  Succeed(worker);
  EXPECT_EQ(Get("a").attempts_size(), 1);
  EXPECT_EQ(executor_.launches(), 1);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_SUCCEEDED));
}

TEST_F(JobRecoveryTest, LaunchedWorkerThatDiedBeforeItWasStoredIsReplaced) {
  Start();
  BeginCreate(NewJob("a"));
  catalogue_.Commit();
  catalogue_.Commit();
  runtime_->RunPosted();
  executor_.Exit(AttemptOf("a"), {.signal = 9});
  Restart();
  EXPECT_EQ(Get("a").attempts(0).error().message(),
            "server was restarted while the worker was being started");
  Succeed(Connect("a", 2));
}

TEST_F(JobRecoveryTest, StartedWorkerThatHasNotReportedGoesOn) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  EXPECT_EQ(manager_->QueueState("").in_use().cpu_threads(), 1);
  Succeed(Connect("a"));
  EXPECT_EQ(Get("a").attempts_size(), 1);
}

TEST_F(JobRecoveryTest, RunningWorkerReconnectsAndResends) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 5).ok());
  Run();
  ASSERT_TRUE(SendMetrics(worker, 5).ok());  // lost with the server
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  EXPECT_DOUBLE_EQ(Get("a").latest_metrics().at("loss"), 5) << "replayed from the events";
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  EXPECT_EQ(worker.link->assignment()->acknowledged_sequence(), 5);
  ASSERT_TRUE(manager_->OnEvents(worker.session, Metrics(6, 5)).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 10);
  Succeed(worker);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_SUCCEEDED));
  EXPECT_EQ(executor_.launches(), 1);
}

TEST_F(JobRecoveryTest, WorkerThatDiedMeanwhileIsReplacedWithoutCounting) {
  Start();
  Job job = NewJob("a");
  job.set_max_attempts(1);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  executor_.Exit(worker.attempt, {.signal = 9});
  Restart();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(Get("a").attempts(0).error().message(), "server was restarted and the worker was gone");
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING) << "at once, and although max_attempts is 1";
  Succeed(Connect("a", 2));
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
}

TEST_F(JobRecoveryTest, LossesByRestartAreForgivenUpToABound) {
  Start();
  Job job = NewJob("a");
  job.set_max_attempts(1);
  ASSERT_TRUE(Create(job).ok());
  int attempts = 0;
  while (StateOf("a") != Job::STATE_FAILED && ++attempts < 50) {
    Connect("a", attempts);
    executor_.Exit(AttemptOf("a", attempts), {.signal = 9});
    Restart();
  }
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(attempts, kMaxForgivenAttempts + 1);
}

TEST_F(JobRecoveryTest, AdoptedWorkerThatDoesNotReturnIsKilled) {
  Start();
  Worker worker = RunJob("a");
  Restart();
  Advance(absl::Seconds(29));
  EXPECT_TRUE(executor_.Runs(worker.attempt));
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  Advance(absl::Seconds(1));
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
}

TEST_F(JobRecoveryTest, CancellationContinues) {
  Start();
  executor_.set_dies_of_sigterm(false);
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLING);
  EXPECT_TRUE(executor_.Find(worker.attempt)->terminated);
  Advance(absl::Seconds(10));
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  EXPECT_FALSE(executor_.Runs(worker.attempt));
}

TEST_F(JobRecoveryTest, CancelledJobWhoseWorkerIsGoneEnds) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Cancel("a").ok());
  executor_.Exit(worker.attempt, {.signal = 15});
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_CANCELLED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_CANCELLED);
}

TEST_F(JobRecoveryTest, BackOffIsKept) {
  Start();
  Worker worker = RunJob("a");
  executor_.Exit(worker.attempt, {.exit_code = 1});
  manager_->OnClosed(worker.session, false);
  Run();
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
  Advance(absl::Milliseconds(1010));
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
}

TEST_F(JobRecoveryTest, FinishThatWasNotStoredIsSentAgain) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_DIVERGED).ok());
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_DIVERGED).ok());
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
}

TEST_F(JobRecoveryTest, ModelUploadedInPartBeforeARestartIsNotTaken) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker, "weights").ok());
  Restart();
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(Upload(worker, "tree").ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_TRUE(catalogue_.Models().empty());
  Succeed(Connect("a", 2));
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
}

TEST_F(JobRecoveryTest, FilesLostWithTheServerCostTheAttemptOnly) {
  Start();
  Job job = NewJob("a");
  job.set_max_attempts(1);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  ASSERT_TRUE(Upload(worker).ok());
  Restart();
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_SERVER_FAULT);
  Succeed(Connect("a", 2));
}

// They come again with the end, so that nothing is lost.
TEST_F(JobRecoveryTest, SmallFilesSurviveTheServer) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(FinishWith(worker, {{"tree", "abc"}}).ok());
  Restart();
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(FinishWith(worker, {{"tree", "abc"}}).ok());
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_EQ(Get("a").attempts_size(), 1);
  EXPECT_EQ(catalogue_.Contents().begin()->second, (ModelContents{{"tree", "abc"}}));
}

TEST_F(JobRecoveryTest, TimeLimitCountsFromTheStartOfTheWorker) {
  Start();
  Job job = NewJob("a");
  job.mutable_time_limit()->set_seconds(60);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  clock_.Advance(absl::Seconds(50));
  Restart();
  ASSERT_TRUE(Hello(worker, "").ok());
  Advance(absl::Seconds(11));
  EXPECT_EQ(worker.link->cancel_cause(), Attempt::END_CAUSE_TIME_LIMIT);
}

TEST_F(JobRecoveryTest, JobThatNoLongerFitsFails) {
  Start();
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  options_.capacity.cpu_threads = 2;
  Restart();
  EXPECT_EQ(StateOf("b"), Job::STATE_FAILED);
  EXPECT_EQ(Get("b").end_cause(), Attempt::END_CAUSE_SERVER_FAULT);
  EXPECT_THAT(Get("b").error().message(), HasSubstr("the server has 2"));
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING) << "its worker lives";
}

TEST_F(JobRecoveryTest, GracefulShutdownLeavesWorkersRunning) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 2).ok());
  Run();
  manager_->Shutdown();
  ASSERT_TRUE(worker.link->closed().has_value());
  EXPECT_EQ(worker.link->closed()->code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(SendMetrics(worker, 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(executor_.Runs(worker.attempt));
  Restart();
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  Succeed(worker);
}

}  // namespace
}  // namespace trainyard
