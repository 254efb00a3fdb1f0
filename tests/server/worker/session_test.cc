#include "server/worker/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/server/worker/fakes.h"

namespace trainyard {
namespace {

class SessionTest : public ::testing::Test {
 protected:
  ~SessionTest() override {
    if (thread_.joinable()) thread_.join();
  }

  void Start() {
    session_ = std::make_unique<Session>(
        options_,
        Session::Handlers{.on_assignment = [this](v1::Assignment) { ++assignments_; },
                          .on_cancel = [this] { ++cancels_; }},
        connection_, events_);
    thread_ = std::thread([this] { end_ = session_->Run(); });
  }
  Session::End Join() {
    thread_.join();
    return end_;
  }
  static v1::ServerMessage AssignmentMessage(int64_t acknowledged, bool cancelled = false) {
    v1::ServerMessage message;
    message.mutable_assignment()->set_acknowledged_sequence(acknowledged);
    message.mutable_assignment()->set_cancelled(cancelled);
    return message;
  }
  static v1::ServerMessage FinishedAck() {
    v1::ServerMessage message;
    message.mutable_finished_ack();
    return message;
  }
  void Log(const std::string& text) {
    v1::JobEvent event;
    event.mutable_log()->set_text(text);
    events_.Add(event);
  }

  Session::Options options_{.attempt = "projects/p/jobs/j/attempts/1",
                            .token = "token",
                            .session_key = "key",
                            .version = "1.2.3",
                            .first_pause = absl::Milliseconds(1),
                            .longest_pause = absl::Milliseconds(2)};
  FakeConnection connection_;
  EventBuffer events_{EventBuffer::Options{}};
  std::unique_ptr<Session> session_;
  std::thread thread_;
  Session::End end_ = Session::End::kServerGone;
  std::atomic<int> assignments_ = 0;
  std::atomic<int> cancels_ = 0;
};

TEST_F(SessionTest, RunsFromHelloToFinishedAck) {
  Start();
  const auto stream = connection_.NextStream();
  const v1::Hello hello = stream->Receive().hello();
  EXPECT_EQ(hello.attempt(), options_.attempt);
  EXPECT_EQ(hello.token(), "token");
  EXPECT_EQ(hello.session_key(), "key");
  EXPECT_EQ(hello.version(), "1.2.3");
  EXPECT_EQ(hello.pid(), getpid());
  stream->Send(AssignmentMessage(0));
  Log("hello");
  EXPECT_EQ(stream->Receive().events().events(0).log().text(), "hello");
  events_.Finish(v1::Finished());
  EXPECT_EQ(stream->Receive().finished().last_sequence(), 1);
  stream->Send(FinishedAck());
  EXPECT_EQ(Join(), Session::End::kFinished);
  EXPECT_EQ(assignments_, 1);
  EXPECT_EQ(cancels_, 0);
}

TEST_F(SessionTest, ShowsTheTokenUntilItHasAnAssignment) {
  Start();
  const auto first = connection_.NextStream();
  EXPECT_EQ(first->Receive().hello().token(), "token");
  first->End(absl::UnavailableError("the connection broke"));
  const auto second = connection_.NextStream();
  const v1::Hello hello = second->Receive().hello();
  EXPECT_EQ(hello.token(), "token");
  EXPECT_EQ(hello.session_key(), "key");
  second->Send(AssignmentMessage(0));
  events_.Finish(v1::Finished());
  EXPECT_TRUE(second->Receive().has_finished());
  second->Send(FinishedAck());
  EXPECT_EQ(Join(), Session::End::kFinished);
  EXPECT_EQ(assignments_, 1);
}

TEST_F(SessionTest, ReconnectsWithTheKeyAndSendsAgain) {
  Start();
  const auto first = connection_.NextStream();
  first->Receive();
  first->Send(AssignmentMessage(0));
  Log("one");
  EXPECT_EQ(first->Receive().events().first_sequence(), 1);
  first->End(absl::UnavailableError("server restarts"));
  Log("two");

  const auto second = connection_.NextStream();
  const v1::Hello hello = second->Receive().hello();
  EXPECT_EQ(hello.session_key(), "key");
  EXPECT_EQ(hello.token(), "token") << "the server may have forgotten the first Hello";
  second->Send(AssignmentMessage(0));
  std::vector<std::string> texts;
  while (texts.size() < 2) {
    const v1::WorkerEvents events = second->Receive().events();
    ASSERT_EQ(events.first_sequence(), static_cast<int64_t>(texts.size()) + 1);
    for (const auto& event : events.events()) texts.push_back(event.log().text());
  }
  EXPECT_THAT(texts, ::testing::ElementsAre("one", "two"));
  events_.Finish(v1::Finished());
  EXPECT_TRUE(second->Receive().has_finished());
  second->Send(FinishedAck());
  EXPECT_EQ(Join(), Session::End::kFinished);
  EXPECT_EQ(assignments_, 1) << "the training was started twice";
}

TEST_F(SessionTest, FinishedIsSentAgainAfterALostConnection) {
  Start();
  const auto first = connection_.NextStream();
  first->Receive();
  first->Send(AssignmentMessage(0));
  events_.Finish(v1::Finished());
  EXPECT_TRUE(first->Receive().has_finished());
  first->End(absl::OkStatus());  // no end without FinishedAck
  const auto second = connection_.NextStream();
  second->Receive();
  second->Send(AssignmentMessage(0));
  EXPECT_TRUE(second->Receive().has_finished());
  second->Send(FinishedAck());
  EXPECT_EQ(Join(), Session::End::kFinished);
}

TEST_F(SessionTest, RefusalIsFinal) {
  connection_.Refuse(absl::UnauthenticatedError("token used twice"));
  Start();
  EXPECT_EQ(Join(), Session::End::kRefused);
  EXPECT_EQ(connection_.opened(), 1);
  EXPECT_EQ(session_->last_status().message(), "token used twice");
}

TEST_F(SessionTest, GivesUpWhenTheServerIsGone) {
  options_.give_up_after = absl::Milliseconds(20);
  connection_.Refuse(absl::UnavailableError("connection refused"));
  Start();
  EXPECT_EQ(Join(), Session::End::kServerGone);
  EXPECT_GT(connection_.opened(), 1);
}

TEST_F(SessionTest, PassesCancellationOn) {
  Start();
  const auto stream = connection_.NextStream();
  stream->Receive();
  stream->Send(AssignmentMessage(0, /*cancelled=*/true));
  v1::ServerMessage cancel;
  cancel.mutable_cancel();
  stream->Send(cancel);
  stream->Send(FinishedAck());
  Join();
  EXPECT_EQ(cancels_, 2);
}

TEST_F(SessionTest, TellsThatItLives) {
  options_.alive_interval = absl::Milliseconds(1);
  Start();
  const auto stream = connection_.NextStream();
  stream->Receive();
  // Also before the assignment, which may take long.
  const v1::WorkerMessage message = stream->Receive(/*with_alive=*/true);
  EXPECT_GT(message.alive().memory_bytes(), 1 << 20);
  EXPECT_GT(message.alive().cpu_seconds(), 0);
  stream->Send(AssignmentMessage(0));
  stream->Send(FinishedAck());
  EXPECT_EQ(Join(), Session::End::kFinished);
}

TEST_F(SessionTest, WritesGarbageWhenToldSo) {
  Start();
  const auto stream = connection_.NextStream();
  stream->Receive();
  stream->Send(AssignmentMessage(0));
  session_->WriteGarbage();
  EXPECT_TRUE(stream->garbage_seen());
  stream->End(absl::InvalidArgumentError("no message"));
  EXPECT_EQ(Join(), Session::End::kRefused);
}

}  // namespace
}  // namespace trainyard
