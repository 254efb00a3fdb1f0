// What workers may and may not say.
#include "core/base/sha256.h"
#include "server/execution/small_models.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using testing::HasSubstr;
using v1::Attempt;
using v1::Job;

class JobSessionTest : public ManagerTest {
 protected:
  // The name of the code with which a Hello is refused.
  absl::StatusCode Refusal(Worker worker, const std::string& token) {
    return Hello(worker, token).status().code();
  }
};

TEST_F(JobSessionTest, TokenIsGoodOnce) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const std::string token = executor_.Find(AttemptOf("a"))->token;
  EXPECT_EQ(catalogue_.AttemptsOf(FullName("a"))[0].token_sha256, Sha256Hex(token));
  Worker worker = Connect("a");
  Worker thief{.attempt = AttemptOf("a"), .session_key = "another key"};
  EXPECT_EQ(Refusal(thief, token), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(catalogue_.AttemptsOf(FullName("a"))[0].token_sha256, "");
  Restart();
  EXPECT_EQ(Refusal(thief, token), absl::StatusCode::kUnauthenticated) << "durably";
}

// The connection may break after the token was shown and before the assignment has arrived.
TEST_F(JobSessionTest, TokenIsGoodAgainWithTheSameSessionKey) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const std::string token = executor_.Find(AttemptOf("a"))->token;
  Worker worker{.attempt = AttemptOf("a")};
  Worker thief{.attempt = AttemptOf("a"), .session_key = "another key"};
  ASSERT_TRUE(Hello(worker, token).ok());
  manager_->OnClosed(worker.session, false);
  EXPECT_EQ(Refusal(thief, token), absl::StatusCode::kUnauthenticated) << "before it is durable";
  Run();
  EXPECT_EQ(Refusal(thief, token), absl::StatusCode::kUnauthenticated);
  ASSERT_TRUE(Hello(worker, token).ok());
  EXPECT_TRUE(worker.link->closed() == std::nullopt);
  Run();
  ASSERT_TRUE(worker.link->assignment().has_value());
  Restart();
  EXPECT_EQ(Refusal(thief, token), absl::StatusCode::kUnauthenticated);
  ASSERT_TRUE(Hello(worker, token).ok()) << "and after a restart";
  Run();
  EXPECT_TRUE(worker.link->assignment().has_value());
  Succeed(worker);
  EXPECT_EQ(Get("a").attempts_size(), 1);
}

// The server may also die before the exchange is durable.
TEST_F(JobSessionTest, TokenIsGoodAfterAServerThatForgotTheExchange) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  const std::string token = executor_.Find(AttemptOf("a"))->token;
  Worker worker{.attempt = AttemptOf("a")};
  ASSERT_TRUE(Hello(worker, token).ok());
  Restart();
  ASSERT_TRUE(Hello(worker, token).ok());
  Run();
  EXPECT_TRUE(worker.link->assignment().has_value());
}

TEST_F(JobSessionTest, WrongCredentialsAreRefused) {
  Start();
  ASSERT_TRUE(Create(NewJob("a")).ok());
  Worker worker{.attempt = AttemptOf("a")};
  EXPECT_EQ(Refusal(worker, "wrong"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Refusal(worker, ""), absl::StatusCode::kUnauthenticated);
  worker.session_key = "";
  EXPECT_EQ(Refusal(worker, executor_.Find(worker.attempt)->token),
            absl::StatusCode::kUnauthenticated);
  worker.session_key = "key";
  worker.attempt = "no name";
  EXPECT_EQ(Refusal(worker, "x"), absl::StatusCode::kUnauthenticated);
  worker.attempt = AttemptOf("a", 2);
  EXPECT_EQ(Refusal(worker, "x"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StateOf("a"), Job::STATE_STARTING);
  Connect("a");
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
}

TEST_F(JobSessionTest, NewSessionReplacesTheOld) {
  Start();
  Worker worker = RunJob("a");
  Worker old = worker;
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  ASSERT_TRUE(old.link->closed().has_value());
  EXPECT_EQ(old.link->closed()->code(), absl::StatusCode::kAborted);
  EXPECT_EQ(SendMetrics(old, 1).code(), absl::StatusCode::kFailedPrecondition);
  manager_->OnClosed(old.session, false);
  EXPECT_TRUE(SendMetrics(worker, 1).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 1);
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
}

TEST_F(JobSessionTest, ResentEventsAreNotDoubled) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 10).ok());
  Run();
  manager_->OnClosed(worker.session, false);
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  EXPECT_EQ(worker.link->assignment()->acknowledged_sequence(), 10);
  // The worker did not hear of the acknowledgement of 6 to 10, and has five more.
  ASSERT_TRUE(manager_->OnEvents(worker.session, Metrics(6, 10)).ok());
  Run();
  EXPECT_EQ(worker.link->acknowledged(), 15);
  int metrics = 0;
  for (const auto& event : catalogue_.EventsOf(FullName("a"))) {
    if (!event.has_metrics()) continue;
    EXPECT_EQ(event.metrics().points(0).step(), ++metrics);
  }
  EXPECT_EQ(metrics, 15);
  History("a");
}

TEST_F(JobSessionTest, WhollyResentEventsAreAcknowledgedAgain) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 3).ok());
  Run();
  ASSERT_TRUE(Hello(worker, "").ok());
  Run();
  const size_t before = worker.link->messages().size();
  ASSERT_TRUE(manager_->OnEvents(worker.session, Metrics(1, 3)).ok());
  Run();
  ASSERT_EQ(worker.link->messages().size(), before + 1);
  EXPECT_EQ(worker.link->acknowledged(), 3);
}

TEST_F(JobSessionTest, GapEndsTheAttempt) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(SendMetrics(worker, 3).ok());
  const absl::Status status = manager_->OnEvents(worker.session, Metrics(5, 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected 4"));
  Run();
  EXPECT_FALSE(executor_.Runs(worker.attempt));
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_DOUBLE_EQ(Get("a").latest_metrics().at("loss"), 3) << "what came before is kept";
}

TEST_F(JobSessionTest, ForbiddenEventsEndTheAttempt) {
  Start();
  int number = 0;
  for (const bool state_change : {true, false}) {
    const std::string id = absl::StrCat("j", ++number);
    Worker worker = RunJob(id);
    v1::WorkerEvents events;
    events.set_first_sequence(1);
    if (state_change) {
      events.add_events()->mutable_state_change()->set_to(Job::STATE_SUCCEEDED);
    } else {
      events.add_events()->mutable_metrics()->add_points()->set_name("Not A Name");
    }
    EXPECT_EQ(manager_->OnEvents(worker.session, events).code(),
              absl::StatusCode::kInvalidArgument);
    Run();
    EXPECT_EQ(CauseOf(id), Attempt::END_CAUSE_WORKER_LOST);
  }
}

TEST_F(JobSessionTest, GarbageEndsTheAttempt) {
  Start();
  Worker worker = RunJob("a");
  manager_->OnClosed(worker.session, true);
  Run();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(Get("a").attempts(0).error().message(), HasSubstr("protocol"));
}

TEST_F(JobSessionTest, FinishAfterMissingEventsEndsTheAttempt) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  worker.sent = 4;  // which never arrived
  EXPECT_EQ(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).code(),
            absl::StatusCode::kInvalidArgument);
  Run();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
}

TEST_F(JobSessionTest, ImpossibleCauseEndsTheAttempt) {
  Start();
  Worker worker = RunJob("a");
  EXPECT_EQ(Finish(worker, Attempt::END_CAUSE_PREEMPTED).code(),
            absl::StatusCode::kInvalidArgument);
  Run();
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
}

TEST_F(JobSessionTest, FinishedWorkerThatReturnsIsRefused) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker).ok());
  ASSERT_TRUE(Finish(worker, Attempt::END_CAUSE_SUCCEEDED).ok());
  manager_->OnClosed(worker.session, false);
  Run();
  EXPECT_EQ(Refusal(worker, ""), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StateOf("a"), Job::STATE_SUCCEEDED);
}

TEST_F(JobSessionTest, LostConnectionHasTimeToReturn) {
  Start();
  Worker worker = RunJob("a");
  manager_->OnClosed(worker.session, false);
  Advance(absl::Seconds(29));
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  ASSERT_TRUE(Hello(worker, "").ok());
  Advance(absl::Seconds(29));
  EXPECT_EQ(StateOf("a"), Job::STATE_RUNNING);
  manager_->OnClosed(worker.session, false);
  Advance(absl::Seconds(30));
  EXPECT_EQ(CauseOf("a"), Attempt::END_CAUSE_WORKER_LOST);
  EXPECT_THAT(Get("a").attempts(0).error().message(), HasSubstr("did not return within 30s"));
}

TEST_F(JobSessionTest, HelloBeforeTheLaunchReturnsWaitsForTheProcess) {
  Start();
  BeginCreate(NewJob("a"));
  catalogue_.Commit();
  catalogue_.Commit();  // STARTING
  // The launch is posted; a fast worker connects before its result is taken over.
  runtime_->RunPosted();
  Worker worker{.attempt = AttemptOf("a")};
  ASSERT_TRUE(executor_.Find(worker.attempt).has_value());
  ASSERT_TRUE(Hello(worker, executor_.Find(worker.attempt)->token).ok());
  Run();
  ASSERT_TRUE(worker.link->assignment().has_value());
  EXPECT_FALSE(catalogue_.AttemptsOf(FullName("a"))[0].process.empty());
}

TEST_F(JobSessionTest, ArtifactsNeedTheSessionKeyAndAGoodPath) {
  Start();
  Worker worker = RunJob("a");
  EXPECT_TRUE(manager_->AuthoriseArtifact(Header(worker, "a/b.bin")).ok());
  for (const char* path : {"", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "."}) {
    EXPECT_EQ(manager_->AuthoriseArtifact(Header(worker, path)).code(),
              absl::StatusCode::kInvalidArgument)
        << path;
  }
  v1::ArtifactHeader header = Header(worker, "x");
  header.set_session_key("wrong");
  EXPECT_EQ(manager_->AuthoriseArtifact(header).code(), absl::StatusCode::kUnauthenticated);
  header = Header(worker, "x");
  header.set_attempt(AttemptOf("a", 7));
  EXPECT_EQ(manager_->AuthoriseArtifact(header).code(), absl::StatusCode::kFailedPrecondition);
  Succeed(worker);
  EXPECT_EQ(manager_->AuthoriseArtifact(Header(worker, "x")).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(JobSessionTest, FileUploadedTwiceIsOneFile) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker, "w").ok());
  ASSERT_TRUE(Upload(worker, "w").ok());
  Succeed(worker);
  EXPECT_EQ(catalogue_.Models().begin()->second.files_size(), 2);  // w and model.bin
  EXPECT_EQ(catalogue_.Models().begin()->second.size_bytes(), 32);
}

TEST_F(JobSessionTest, SmallFilesAreStoredWithTheEnd) {
  Start();
  Worker worker = RunJob("a");
  ASSERT_TRUE(Upload(worker, "weights").ok());
  ASSERT_TRUE(FinishWith(worker, {{"empty", ""}, {"trees/a", "abc"}}).ok());
  Run();
  EXPECT_TRUE(worker.link->finish_acknowledged());
  const v1::Model model = catalogue_.Models().at("projects/p/models/a");
  ASSERT_EQ(model.files_size(), 3);
  EXPECT_EQ(model.files(0).path(), "empty");
  EXPECT_EQ(model.files(1).path(), "trees/a");
  EXPECT_EQ(model.files(1).sha256(), Sha256Hex("abc"));
  EXPECT_EQ(model.files(1).size_bytes(), 3);
  EXPECT_EQ(model.files(2).path(), "weights");
  EXPECT_EQ(model.size_bytes(), 19);
  EXPECT_EQ(catalogue_.Contents().at("projects/p/models/a"),
            (ModelContents{{"empty", ""}, {"trees/a", "abc"}}));
}

TEST_F(JobSessionTest, ImpossibleSmallFilesEndTheAttempt) {
  Start();
  const std::string half(kMaxSmallFileBytes / 2, 'x');
  int number = 0;
  for (const ModelContents& files :
       {ModelContents{{"../x", "y"}}, {{"a", half}, {"b", half}, {"c", "!"}}}) {
    const std::string id = absl::StrCat("j", ++number);
    EXPECT_EQ(FinishWith(RunJob(id), files).code(), absl::StatusCode::kInvalidArgument);
    Run();
    EXPECT_EQ(CauseOf(id), Attempt::END_CAUSE_WORKER_LOST);
  }
  v1::Finished finished;
  finished.set_end_cause(Attempt::END_CAUSE_DIVERGED);
  finished.add_small_files()->set_path("a");
  EXPECT_EQ(manager_->OnFinished(RunJob("failed").session, finished).code(),
            absl::StatusCode::kInvalidArgument);
  finished.set_end_cause(Attempt::END_CAUSE_SUCCEEDED);
  finished.add_small_files()->set_path("a");
  EXPECT_THAT(manager_->OnFinished(RunJob("twice").session, finished).ToString(),
              HasSubstr("the file a twice"));
  EXPECT_TRUE(catalogue_.Models().empty());
}

TEST_F(JobSessionTest, CheckpointIsAnsweredWhenItIsStored) {
  Start();
  Worker worker = RunJob("a");
  v1::ArtifactHeader header = Header(worker, "");
  header.set_kind(v1::ArtifactHeader::KIND_CHECKPOINT);
  header.set_step(7);
  runtime_->set_wait_hook(nullptr);
  EXPECT_EQ(manager_->AddArtifact(header, {std::string(64, 'b'), 99}, nullptr).code(),
            absl::StatusCode::kUnavailable)
      << "not before";
  runtime_->set_wait_hook([this] { Run(); });
  const absl::Status status = manager_->AddArtifact(header, {std::string(64, 'c'), 99}, nullptr);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(catalogue_.CheckpointOf(Name("a"))->value(), std::string(64, 'c'));
  const v1::JobEvent event = catalogue_.EventsOf(FullName("a")).back();
  EXPECT_EQ(event.checkpoint().step(), 7);
  EXPECT_EQ(event.checkpoint().size_bytes(), 99);
  EXPECT_EQ(event.attempt(), 1);
}

TEST_F(JobSessionTest, LongLogLinesAreCutAtACharacter) {
  Start();
  Worker worker = RunJob("a");
  v1::WorkerEvents events;
  events.set_first_sequence(1);
  std::string text(16383, 'x');
  text += "é and more";
  events.add_events()->mutable_log()->set_text(text);
  ASSERT_TRUE(manager_->OnEvents(worker.session, events).ok());
  Run();
  EXPECT_EQ(catalogue_.EventsOf(FullName("a")).back().log().text(), std::string(16383, 'x'));
}

}  // namespace
}  // namespace trainyard
