// The ordinary life of a job, and every cause that ends an attempt.
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using v1::Attempt;
using v1::Job;

class JobLifeTest : public ManagerTest {};

TEST_F(JobLifeTest, FromQueueToModel) {
  Start();
  const absl::StatusOr<Job> created = Create(NewJob("a"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->state(), Job::STATE_QUEUED);
  EXPECT_EQ(created->newest_sequence(), 1);
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  Worker worker = Connect("a");
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  const auto assignment = worker.link->assignment();
  ASSERT_TRUE(assignment.has_value());
  EXPECT_EQ(assignment->job(), FullName("a"));
  EXPECT_EQ(assignment->attempt(), 1);
  EXPECT_EQ(assignment->spec().diagnostic().steps(), 3);
  EXPECT_FALSE(assignment->cancelled());
  ASSERT_TRUE(SendMetrics(worker, 5).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 5);
  EXPECT_DOUBLE_EQ(Get("a").latest_metrics().at("loss"), 5);
  Succeed(worker);
  const Job job = Get("a");
  EXPECT_EQ(job.state(), Job::STATE_SUCCEEDED);
  EXPECT_EQ(job.end_cause(), Attempt::END_CAUSE_SUCCEEDED);
  EXPECT_EQ(job.model(), "projects/p/models/a");
  EXPECT_DOUBLE_EQ(job.report().wall_seconds(), 1.5);
  EXPECT_EQ(job.attempts(0).exit_code(), 0);
  EXPECT_TRUE(job.has_end_time());
  EXPECT_FALSE(job.has_error());
  EXPECT_EQ(catalogue_.Models().at("projects/p/models/a").files(0).path(), "model.bin");
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_SUCCEEDED));
  EXPECT_EQ(manager_->QueueState("").in_use().cpu_threads(), 0);
  // Nothing of it is left to do, and what is stored is what is shown.
  EXPECT_EQ(catalogue_.Jobs().at(FullName("a")).SerializeAsString(), job.SerializeAsString());
}

TEST_F(JobLifeTest, FewCommitsPerJob) {
  Start();
  Worker worker = RunJob("a");
  Succeed(worker);
  // Create, STARTING, process, RUNNING, begin of the upload, end, exit.
  EXPECT_LE(catalogue_.committed_units(), 7);
}

TEST_F(JobLifeTest, NothingIsShownBeforeItIsDurable) {
  Start();
  auto answer = BeginCreate(NewJob("a"));
  runtime_->RunPosted();
  EXPECT_FALSE(answer->arrived());
  EXPECT_FALSE(manager_->Get(Name("a")).ok());
  catalogue_.Commit();
  runtime_->RunPosted();
  ASSERT_TRUE(answer->arrived());
  // The start is decided but not stored: nothing runs and nobody sees it.
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
  EXPECT_EQ(executor_.launches(), 0);
  Run();
  Worker worker = Connect("a");
  ASSERT_TRUE(SendMetrics(worker, 1).ok());
  runtime_->RunPosted();
  EXPECT_EQ(worker.link->acknowledged(), 0);
  EXPECT_EQ(Get("a").latest_metrics_size(), 0);
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 1);
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  runtime_->RunPosted();
  EXPECT_FALSE(worker.link->finish_acknowledged());
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  Run();
  EXPECT_TRUE(worker.link->finish_acknowledged());
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
}

TEST_F(JobLifeTest, SlotsStayTakenUntilTheProcessIsGone) {
  Start();
  options_.capacity.cpu_threads = 4;
  ASSERT_TRUE(Create(NewJob("a", 4)).ok());
  ASSERT_TRUE(Create(NewJob("b", 4)).ok());
  Worker worker = Connect("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_EQ(StateOf("b"), Job::STATE_QUEUED);
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("b"), Job::STATE_STARTING);
}

TEST_F(JobLifeTest, FinishedWorkerThatStaysIsTerminatedThenKilled) {
  Start();
  executor_.set_dies_of_sigterm(false);
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  Advance(absl::Seconds(6));
  EXPECT_TRUE(executor_.Find(worker.attempt)->terminated);
  Advance(absl::Seconds(11));
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_EQ(manager_->QueueState("").running_count(), 0);
}

TEST_F(JobLifeTest, UserErrorFailsAtOnce) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_USER_ERROR, "target is constant").ok());
  executor_.Exit(worker.attempt, {.exit_code = 0, .stderr_tail = "oops\n"});
  Run();
  const Job job = Get("a");
  EXPECT_EQ(job.state(), Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), Attempt::END_CAUSE_USER_ERROR);
  EXPECT_EQ(job.error().message(), "target is constant");
  EXPECT_EQ(job.error().code(), 3);
  EXPECT_EQ(job.attempts_size(), 1);
}

TEST_F(JobLifeTest, DivergenceFailsAtOnce) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_DIVERGED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_DIVERGED);
  EXPECT_NE(Get("a").error().code(), 0);
}

TEST_F(JobLifeTest, OutOfMemoryFailsAtOnce) {
  Start();
  Worker worker = RunJob("a");
  executor_.Exit(worker.attempt, {.signal = 9, .out_of_memory = true, .peak_memory_bytes = 123});
  manager_->OnClosed(worker.session, false);
  Run();
  const Job job = Get("a");
  EXPECT_EQ(job.state(), Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), Attempt::END_CAUSE_OUT_OF_MEMORY);
  EXPECT_EQ(job.attempts(0).peak_memory_bytes(), 123);
  EXPECT_THAT(job.error().message(), HasSubstr("memory limit"));
}

TEST_F(JobLifeTest, CrashNamesSignalPhaseAndStep) {
  Start();
  Job job = NewJob("a");
  job.set_max_attempts(1);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  ASSERT_TRUE(SendProgress(worker, "cross-validation", 2, 3).ok());
  executor_.Exit(worker.attempt, {.signal = 11, .stderr_tail = "boom"});
  manager_->OnClosed(worker.session, false);
  Run();
  job = Get("a");
  EXPECT_EQ(job.state(), Job::STATE_FAILED);
  EXPECT_EQ(job.end_cause(), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(job.error().message(),
            "worker died of signal 11 (SIGSEGV) in phase \"cross-validation\" at step 2 of 3");
  EXPECT_EQ(job.attempts(0).exit_signal(), 11);
  EXPECT_EQ(job.attempts(0).stderr_tail(), "boom");
  EXPECT_FALSE(job.attempts(0).has_exit_code());
}

TEST_F(JobLifeTest, ExitWithoutFinishIsRetriedWithGrowingPauses) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  for (int attempt = 1; attempt <= 3; ++attempt) {
    Worker worker = Connect("a", attempt);
    executor_.Exit(worker.attempt, {.exit_code = 7});
    manager_->OnClosed(worker.session, false);
    Run();
    EXPECT_EQ(CauseOf("a", attempt), Attempt::END_CAUSE_WORKER_LOST);
    EXPECT_THAT(Get("a").attempts(attempt - 1).error().message(), HasSubstr("code 7"));
    if (attempt == 3) break;
    EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
    const absl::Duration pause = absl::Seconds(attempt == 1 ? 1 : 2);
    Advance(pause - absl::Milliseconds(10));
    EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
    Advance(absl::Milliseconds(20));
    EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  }
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_FAILED));
}

TEST_F(JobLifeTest, EventsSentBeforeADeathAreKept) {
  Start();
  Worker worker = RunJob("a");
  executor_.Exit(worker.attempt, {.signal = 6});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING) << "the connection is still being read";
  ASSERT_TRUE(SendMetrics(worker, 3).ok());
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
  EXPECT_DOUBLE_EQ(Get("a").latest_metrics().at("loss"), 3);
}

TEST_F(JobLifeTest, ADeathIsDecidedEvenIfTheConnectionNeverCloses) {
  Start();
  Worker worker = RunJob("a");
  executor_.Exit(worker.attempt, {.signal = 6});
  Run();
  Advance(absl::Milliseconds(1001));
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
}

TEST_F(JobLifeTest, WorkerThatExitsBeforeTheAcknowledgementHasStillSucceeded) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  executor_.DeliverExits();
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_EQ(Get("a").attempts(0).exit_code(), 0);
}

TEST_F(JobLifeTest, TransientLaunchFailureIsAServerFaultAndTriedAgain) {
  Start();
  executor_.set_launch_error(absl::ResourceExhaustedError("no process can be started"));
  ASSERT_TRUE(Create(NewJob("a")).ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_QUEUED);
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_SERVER_FAULT);
  EXPECT_EQ(manager_->QueueState("").in_use().cpu_threads(), 0);
  executor_.set_launch_error(absl::OkStatus());
  Advance(absl::Seconds(2));
  Succeed(Connect("a", 2));
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
}

TEST_F(JobLifeTest, PermanentLaunchFailureFailsAtOnce) {
  Start();
  executor_.set_launch_error(absl::NotFoundError("no worker program"));
  ASSERT_TRUE(Create(NewJob("a")).ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_SERVER_FAULT);
  EXPECT_THAT(Get("a").error().message(), HasSubstr("no worker program"));
}

TEST_F(JobLifeTest, UnavailableTablesAreAServerFault) {
  Start();
  tables_ = absl::DataLossError("the cache is damaged");
  Job job = NewJob("a");
  job.set_max_attempts(1);
  ASSERT_TRUE(Create(job).ok());
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_SERVER_FAULT);
  EXPECT_THAT(Get("a").error().message(), HasSubstr("the cache is damaged"));
  EXPECT_TRUE(executor_.Running().empty());
}

TEST_F(JobLifeTest, TimeLimitStopsPolitelyFirst) {
  Start();
  Job job = NewJob("a");
  job.mutable_time_limit()->set_seconds(20);
  ASSERT_TRUE(Create(job).ok());
  Worker worker = Connect("a");
  for (int i = 0; i < 21; ++i) {
    manager_->OnAlive(worker.session, {});
    Advance(absl::Seconds(1));
  }
  EXPECT_EQ(worker.link->cancel_cause(), Attempt::END_CAUSE_TIME_LIMIT);
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_CANCELLED).ok());
  executor_.Exit(worker.attempt, {.exit_code = 0});
  Run();
  EXPECT_EQ(StateOf("a"), Job::STATE_FAILED);
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_TIME_LIMIT);
  EXPECT_THAT(Get("a").error().message(), HasSubstr("20s"));
}

TEST_F(JobLifeTest, TimeLimitKillsInTheEnd) {
  Start();
  executor_.set_dies_of_sigterm(false);
  options_.default_time_limit = absl::Seconds(5);
  Restart();
  Worker worker = RunJob("a");
  Advance(absl::Seconds(5) + absl::Seconds(21));
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_EQ(Get("a").end_cause(), Attempt::END_CAUSE_TIME_LIMIT);
}

TEST_F(JobLifeTest, SilentWorkerIsKilled) {
  Start();
  Worker worker = RunJob("a");
  Advance(absl::Seconds(29));
  manager_->OnAlive(worker.session, {});
  Advance(absl::Seconds(29));
  EXPECT_TRUE(executor_.Runs(worker.attempt));
  Advance(absl::Seconds(1));
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_TRUE(worker.link->closed().has_value());
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_EQ(Get("a").attempts(0).error().message(), "worker sent nothing for 30s");
}

TEST_F(JobLifeTest, WorkerThatNeverReportsIsKilled) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  Advance(absl::Seconds(30));
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(Get("a").attempts(0).error().message(), HasSubstr("did not report within 30s"));
  EXPECT_FALSE(executor_.Runs(AttemptOf("a")));
}

TEST_F(JobLifeTest, ModelNameOfAnEarlierJobIsNotTaken) {
  v1::Model model;
  model.set_name("projects/p/models/a");
  catalogue_.AddModel(model);
  Start();
  Succeed(RunJob("a"));
  EXPECT_EQ(Get("a").model(), "projects/p/models/a-2");
  EXPECT_EQ(catalogue_.Models().at("projects/p/models/a-2").job(), FullName("a"));
}

TEST_F(JobLifeTest, SuccessWithoutFilesBreaksTheProtocol) {
  Start();
  Worker worker = RunJob("a");
  const absl::Status status = Finish(worker, Attempt::END_CAUSE_SUCCEEDED);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  Run();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_TRUE(catalogue_.Models().empty());
}

TEST_F(JobLifeTest, FullDiskDelaysButLosesNothing) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  catalogue_.FailNext(5, absl::ResourceExhaustedError("disk full"));
  ASSERT_TRUE(SendMetrics(worker, 2).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 0);
  ASSERT_TRUE(SendMetrics(worker, 2).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  Run();
  EXPECT_FALSE(worker.link->finish_acknowledged());
  Advance(absl::Seconds(5));
  EXPECT_TRUE(worker.link->finish_acknowledged());
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
  EXPECT_THAT(History("a"), ElementsAre(Job::STATE_QUEUED, Job::STATE_STARTING, Job::STATE_RUNNING,
                                        Job::STATE_SUCCEEDED));
}

TEST_F(JobLifeTest, LatestMetricsAreCapped) {
  Start();
  Worker worker = RunJob("a");
  v1::WorkerEvents events;
  events.set_first_sequence(1);
  for (int i = 0; i < 150; ++i) {
    auto* point = events.add_events()->mutable_metrics()->add_points();
    point->set_name(absl::StrCat("m", i));
  }
  ASSERT_TRUE(manager_->OnEvents(worker.session, events).ok());
  Run();
  EXPECT_EQ(Get("a").latest_metrics_size(), 100);
}

TEST_F(JobLifeTest, RowIsWrittenAtMostOnceASecondForProgress) {
  Start();
  Worker worker = RunJob("a");
  for (int i = 1; i <= 20; ++i) {
    ASSERT_TRUE(SendProgress(worker, "x", i, 100).ok());
    Advance(absl::Milliseconds(10));
    EXPECT_EQ(Get("a").progress().step(), i) << "memory is always fresh";
  }
  EXPECT_LT(catalogue_.Jobs().at(FullName("a")).progress().step(), 20);
  Advance(absl::Seconds(1));
  ASSERT_TRUE(SendProgress(worker, "x", 21, 100).ok());
  Run();
  EXPECT_EQ(catalogue_.Jobs().at(FullName("a")).progress().step(), 21);
}

}  // namespace
}  // namespace trainyard
