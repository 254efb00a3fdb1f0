// ServerService, health and reflection over a real connection.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include "grpcpp/impl/codegen/proto_utils.h"
#include "tests/server/api/test_server.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Stub = v1::ServerService::Stub;

class ServerServiceTest : public ::testing::Test {
 protected:
  // Calls a method whose messages this build has no code for: one request, the first answer.
  grpc::Status CallRaw(const std::string& method, const std::string& request, std::string& answer) {
    grpc::GenericStub stub(server_.channel());
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    const auto stream = stub.PrepareCall(&context, method, &queue);
    const auto wait = [&] {
      void* tag = nullptr;
      bool ok = false;
      queue.Next(&tag, &ok);
      return ok;
    };
    stream->StartCall(nullptr);
    wait();
    const grpc::Slice slice(request);
    stream->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    wait();
    stream->WritesDone(nullptr);
    wait();
    grpc::ByteBuffer bytes;
    stream->Read(&bytes, nullptr);
    if (wait()) {
      std::vector<grpc::Slice> slices;
      bytes.Dump(&slices);
      for (const grpc::Slice& part : slices) {
        answer.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
    }
    grpc::Status status;
    stream->Finish(&status, nullptr);
    wait();
    return status;
  }

  TestServer server_;
  std::unique_ptr<Stub> stub_ = server_.server();
};

TEST_F(ServerServiceTest, TellsItsVersionAndLimits) {
  v1::ServerInfo info;
  ASSERT_TRUE(Call(*stub_, &Stub::GetServerInfo, v1::GetServerInfoRequest(), info).ok());
  EXPECT_EQ(info.version(), "1.2.3");
  EXPECT_EQ(info.limits().max_predict_bytes(), 1 << 20);
}

TEST_F(ServerServiceTest, DescribesEveryFieldOfAnAlgorithm) {
  v1::ListAlgorithmsResponse list;
  ASSERT_TRUE(Call(*stub_, &Stub::ListAlgorithms, v1::ListAlgorithmsRequest(), list).ok());
  ASSERT_GE(list.algorithms_size(), 2);
  EXPECT_EQ(list.algorithms(0).fields_size(), 0);
  v1::GetAlgorithmRequest request;
  request.set_algorithm("hierarchical_shrinkage");
  v1::Algorithm algorithm;
  ASSERT_TRUE(Call(*stub_, &Stub::GetAlgorithm, request, algorithm).ok());
  EXPECT_FALSE(algorithm.title().empty());
  EXPECT_EQ(algorithm.defaults().hierarchical_shrinkage().folds(), 3);
  bool found = false;
  for (const v1::SpecField& field : algorithm.fields()) {
    EXPECT_FALSE(field.description().empty()) << field.path();
    if (field.path() != "cart.min_samples_leaf") continue;
    found = true;
    EXPECT_EQ(field.default_value(), "1");
    EXPECT_EQ(field.minimum(), 1);
    EXPECT_EQ(field.unit(), "rows");
  }
  EXPECT_TRUE(found);
  request.set_algorithm("alchemy");
  const grpc::Status status = Call(*stub_, &Stub::GetAlgorithm, request, algorithm);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "ALGORITHM_NOT_FOUND");
}

TEST_F(ServerServiceTest, ShowsTheQueue) {
  v1::Job job;
  for (const char* id : {"a", "b"}) {
    ASSERT_TRUE(
        Call(*server_.jobs(), &v1::JobService::Stub::CreateJob, DiagnosticRequest(id), job).ok());
  }
  server_.executor().WaitForLaunch("projects/default/jobs/a/attempts/1");
  v1::GetQueueRequest request;
  v1::Queue queue;
  ASSERT_TRUE(Call(*stub_, &Stub::GetQueue, request, queue).ok());
  EXPECT_EQ(queue.queued_count(), 1);
  EXPECT_EQ(queue.running_count(), 1);
  EXPECT_EQ(queue.capacity().cpu_threads(), 2);
  EXPECT_EQ(queue.in_use().cpu_threads(), 2);
  EXPECT_THAT(queue.next_jobs(), ElementsAre("projects/default/jobs/b"));
  request.set_parent("projects/empty");
  ASSERT_TRUE(Call(*stub_, &Stub::GetQueue, request, queue).ok());
  EXPECT_EQ(queue.queued_count(), 0);
  request.set_parent("nonsense");
  EXPECT_EQ(FieldsOf(Call(*stub_, &Stub::GetQueue, request, queue)),
            std::vector<std::string>{"parent"});
}

// grpc.health.v1.HealthCheckResponse: field 1 is the status, 1 serving, 2 not serving.
TEST_F(ServerServiceTest, HealthFollowsTheServer) {
  std::string answer;
  ASSERT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "", answer).ok());
  EXPECT_EQ(answer, std::string("\x08\x01"));
  server_.api().SetServing(false);
  answer.clear();
  ASSERT_TRUE(CallRaw("/grpc.health.v1.Health/Check", "", answer).ok());
  EXPECT_EQ(answer, std::string("\x08\x02"));
}

// grpc.reflection.v1alpha.ServerReflectionRequest: field 7 asks for the list of services.
TEST_F(ServerServiceTest, ReflectionListsTheServicesOfUsers) {
  std::string answer;
  ASSERT_TRUE(CallRaw("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                      std::string("\x3a\x01*"), answer)
                  .ok());
  for (const char* service : {"JobService", "DatasetService", "ModelService", "ServerService"}) {
    EXPECT_THAT(answer, HasSubstr(std::string("trainyard.v1.") + service));
  }
  EXPECT_THAT(answer, Not(HasSubstr("WorkerService")));
}

TEST_F(ServerServiceTest, PortInUseIsAnError) {
  ApiServer::Options options;
  options.listen = server_.address();
  prometheus::Registry registry;
  RpcMetrics metrics(registry);
  ServiceContext context;
  context.metrics = &metrics;
  const auto second = ApiServer::Start(options, context);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr(server_.address()));
}

}  // namespace
}  // namespace trainyard
