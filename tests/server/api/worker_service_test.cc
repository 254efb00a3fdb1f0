// WorkerService over the Unix socket: tokens, events, artifacts, and what workers get wrong.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

constexpr char kJob[] = "projects/default/jobs/busy";
constexpr char kAttempt[] = "projects/default/jobs/busy/attempts/1";

class WorkerServiceTest : public ::testing::Test {
 protected:
  WorkerServiceTest() {
    v1::Job job;
    const grpc::Status status =
        Call(*server_.jobs(), &v1::JobService::Stub::CreateJob, DiagnosticRequest("busy"), job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    token_ = server_.executor().WaitForLaunch(kAttempt).token;
  }
  v1::ArtifactHeader ModelFile(const std::string& path, int64_t size, const std::string& key) {
    v1::ArtifactHeader header;
    header.set_attempt(kAttempt);
    header.set_session_key(key);
    header.set_kind(v1::ArtifactHeader::KIND_MODEL_FILE);
    header.set_path(path);
    header.set_size_bytes(size);
    return header;
  }

  void WaitUntilRunning() {
    v1::GetJobRequest request;
    request.set_name(kJob);
    v1::Job job;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    do {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << job.DebugString();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      EXPECT_TRUE(Call(*server_.jobs(), &v1::JobService::Stub::GetJob, request, job).ok());
    } while (job.state() != v1::Job::STATE_RUNNING);
  }

  TestServer server_;
  std::string token_;
};

TEST_F(WorkerServiceTest, TokenGivesAnAssignmentOnce) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, token_);
  const v1::Assignment assignment = worker.Read().assignment();
  EXPECT_EQ(assignment.job(), kJob);
  EXPECT_EQ(assignment.spec().diagnostic().steps(), 1);
  WorkerPlayer thief(server_);
  thief.Hello(kAttempt, token_, "another key");
  EXPECT_EQ(thief.Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(WorkerServiceTest, ConnectionThatBreaksBeforeTheAssignmentCostsNothing) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, token_);
  // Dropped earlier, the connection might end before the server has read the token.
  WaitUntilRunning();
  worker.Drop();
  WorkerPlayer thief(server_);
  thief.Hello(kAttempt, token_, "another key");
  EXPECT_EQ(thief.Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  WorkerPlayer again(server_);
  again.Hello(kAttempt, token_);
  EXPECT_EQ(again.Read().assignment().job(), kJob);
}

TEST_F(WorkerServiceTest, WrongTokenIsRefused) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, "wrong");
  const grpc::Status status = worker.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_FALSE(ErrorInfoOf(status).reason().empty());
}

TEST_F(WorkerServiceTest, EventsAreAcknowledgedAndASessionGoesOnAfterTheConnection) {
  {
    WorkerPlayer worker(server_);
    worker.Hello(kAttempt, token_);
    EXPECT_TRUE(worker.Read().has_assignment());
    worker.SendEvents(1, {MetricEvent("loss", 1, 0.5), MetricEvent("loss", 2, 0.25)});
    worker.Drop();
  }
  WorkerPlayer again(server_);
  again.Hello(kAttempt, "");
  EXPECT_EQ(again.Read().assignment().acknowledged_sequence(), 2);
  again.SendEvents(2, {MetricEvent("loss", 2, 0.25), MetricEvent("loss", 3, 0.125)});
  v1::ListMetricsRequest request;
  request.set_name(kJob);
  v1::ListMetricsResponse response;
  ASSERT_TRUE(Call(*server_.jobs(), &v1::JobService::Stub::ListMetrics, request, response).ok());
  EXPECT_EQ(response.points_size(), 3) << "what was sent twice is stored once";
}

TEST_F(WorkerServiceTest, SessionMustBeginWithHello) {
  grpc::ClientContext context;
  const auto stub = server_.workers();
  const auto stream = stub->Session(&context);
  v1::WorkerMessage message;
  message.mutable_alive()->set_memory_bytes(1);
  stream->Write(message);
  v1::ServerMessage answer;
  EXPECT_FALSE(stream->Read(&answer));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "WORKER_PROTOCOL");
}

// Bytes that are no message: the stream ends, the attempt is lost, the server goes on.
TEST_F(WorkerServiceTest, GarbageEndsTheSessionAndTheAttempt) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, token_);
  EXPECT_TRUE(worker.Read().has_assignment());
  const std::string key = "key";
  grpc::GenericStub stub(
      grpc::CreateChannel(server_.worker_address(), grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto stream = stub.PrepareCall(&context, "/trainyard.v1.WorkerService/Session", &queue);
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  stream->StartCall(nullptr);
  ASSERT_TRUE(wait());
  const auto write = [&](const std::string& bytes) {
    const grpc::Slice slice(bytes);
    stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    return wait();
  };
  v1::WorkerMessage hello;
  hello.mutable_hello()->set_attempt(kAttempt);
  hello.mutable_hello()->set_session_key(key);
  ASSERT_TRUE(write(hello.SerializeAsString()));
  ASSERT_TRUE(write("\xff\xff\xff this is no message"));
  // A message that is not read, such as an assignment that came before the garbage arrived, would
  // hold the status back.
  grpc::ByteBuffer answer;
  do stream->Read(&answer, nullptr);
  while (wait());
  grpc::Status status;
  stream->Finish(&status, nullptr);
  wait();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("no WorkerMessage"));
  // The manager kills the worker and tries again.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  v1::Job job;
  do {
    job = server_.manager().Get(*JobName::Parse(kJob)).value();
  } while (job.attempts(0).end_cause() != v1::Attempt::END_CAUSE_WORKER_LOST &&
           std::chrono::steady_clock::now() < deadline);
  EXPECT_EQ(job.attempts(0).end_cause(), v1::Attempt::END_CAUSE_WORKER_LOST);
}

TEST_F(WorkerServiceTest, ArtifactsNeedTheSessionKeyAndTheirDeclaredSize) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, token_);
  EXPECT_TRUE(worker.Read().has_assignment());
  const std::string key = "key";
  v1::UploadArtifactResponse response;
  EXPECT_EQ(worker.UploadArtifact(ModelFile("a.bin", 3, "wrong"), "abc", response).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  grpc::Status status = worker.UploadArtifact(ModelFile("a.bin", 4, key), "abc", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "the file ended after 3 bytes; header.size_bytes is 4");
  status = worker.UploadArtifact(ModelFile("a.bin", 2, key), "abc", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "chunk.data ends at byte 3; header.size_bytes is 2");
  status = worker.UploadArtifact(ModelFile("a.bin", -1, key), "", response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(status.error_message(), "header.size_bytes is -1; must be at least 0");
  status = worker.UploadArtifact(ModelFile("a.bin", 3, key), "abc", response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.file().size_bytes(), 3);
  EXPECT_TRUE(worker.UploadArtifact(ModelFile("empty", 0, key), "", response).ok());
}

TEST_F(WorkerServiceTest, CancellationReachesTheWorker) {
  WorkerPlayer worker(server_);
  worker.Hello(kAttempt, token_);
  worker.Read();
  v1::CancelJobRequest request;
  request.set_name(kJob);
  v1::Job job;
  ASSERT_TRUE(Call(*server_.jobs(), &v1::JobService::Stub::CancelJob, request, job).ok());
  EXPECT_EQ(job.state(), v1::Job::STATE_CANCELLING);
  EXPECT_EQ(worker.ReadUntil(v1::ServerMessage::kCancel).cancel().cause(),
            v1::Attempt::END_CAUSE_CANCELLED);
}

TEST_F(WorkerServiceTest, UsersCannotReachIt) {
  const auto stub = v1::WorkerService::NewStub(server_.channel());
  grpc::ClientContext context;
  const auto stream = stub->Session(&context);
  v1::ServerMessage message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace trainyard
