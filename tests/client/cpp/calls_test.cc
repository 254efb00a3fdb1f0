// Unary calls: deadlines, repetition, error details, versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/cpp/client.h"
#include "core/base/mutex.h"
#include "proto/schema/violations.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

ClientOptions Quick() {
  ClientOptions options;
  options.retry.initial_backoff = absl::Milliseconds(1);
  options.retry.max_backoff = absl::Milliseconds(5);
  return options;
}

class CallsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Client> Connect(ClientOptions options = Quick()) {
    auto client = Client::Connect(server_.address(), std::move(options));
    EXPECT_TRUE(client.ok()) << client.status();
    return client.ok() ? *std::move(client) : nullptr;
  }
  void FailNext(const std::string& method, std::vector<absl::Status> statuses) {
    const MutexLock lock(&server_.state().mutex);
    server_.state().failures[method] = {statuses.begin(), statuses.end()};
  }
  int Calls(const std::string& method) {
    const MutexLock lock(&server_.state().mutex);
    return server_.state().calls[method];
  }

  testing::FakeServer server_;
};

TEST_F(CallsTest, RefusesAddressesThatAreNone) {
  for (const char* target : {"", "host", "host:", ":7700", "host:0", "host:70000", "host:abc",
                             "http://host:7700", "a:b:7700", "unix:"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Client::Connect(target).status())) << target;
  }
  ClientOptions options;
  options.check_version = false;
  for (const char* target : {"localhost:7700", "[::1]:7700", "unix:/run/trainyard.sock"}) {
    EXPECT_TRUE(Client::Connect(target, options).ok()) << target;
  }
}

TEST_F(CallsTest, ReadsAreRepeatedAfterUnavailable) {
  testing::AddJob(server_.state(), "a", v1::Job::STATE_SUCCEEDED, 1);
  const auto client = Connect();
  FailNext("GetJob", {absl::UnavailableError("x"), absl::UnavailableError("x")});
  EXPECT_TRUE(client->GetJob("projects/default/jobs/a").ok());
  EXPECT_EQ(Calls("GetJob"), 3);
}

TEST_F(CallsTest, DeletesAreNotRepeated) {
  testing::AddJob(server_.state(), "a", v1::Job::STATE_SUCCEEDED, 1);
  const auto client = Connect();
  FailNext("DeleteJob", {absl::UnavailableError("x")});
  v1::DeleteJobRequest request;
  request.set_name("projects/default/jobs/a");
  EXPECT_TRUE(absl::IsUnavailable(client->DeleteJob(request)));
  EXPECT_EQ(Calls("DeleteJob"), 1);
}

TEST_F(CallsTest, CreateCarriesOneRequestIdThroughItsRepetitions) {
  const auto client = Connect();
  FailNext("CreateJob", {absl::UnavailableError("x"), absl::UnavailableError("x")});
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  ASSERT_TRUE(client->CreateJob(request).ok());
  ASSERT_TRUE(client->CreateJob(request).ok());
  const auto& seen = server_.state().create_requests;
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_THAT(seen[0].request_id(),
              MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(seen[1].request_id(), seen[0].request_id());
  EXPECT_EQ(seen[2].request_id(), seen[0].request_id());
  EXPECT_NE(seen[3].request_id(), seen[0].request_id());
}

TEST_F(CallsTest, ErrorDetailsArrive) {
  Violations violations;
  violations.Add("job.spec.hierarchical_shrinkage.folds", "1 is less than 2");
  FailNext("CreateJob", {WithReason(violations.ToStatus(), "BAD_SPEC")});
  const auto job = Connect()->CreateJob({});
  EXPECT_TRUE(absl::IsInvalidArgument(job.status()));
  EXPECT_EQ(ReasonOf(job.status()), "BAD_SPEC");
  EXPECT_THAT(
      ViolationsOf(job.status()),
      ElementsAre(FieldViolation{"job.spec.hierarchical_shrinkage.folds", "1 is less than 2"}));
}

TEST_F(CallsTest, SaysWhenNobodyListens) {
  const std::string address = server_.address();
  server_.Stop();
  EXPECT_TRUE(absl::IsUnavailable(Client::Connect(address, Quick()).status()));
}

TEST_F(CallsTest, WarnsOfAnotherMinorVersionAndRefusesAnotherMajorOne) {
  ClientOptions options = Quick();
  std::vector<std::string> warnings;
  options.on_warning = [&](const std::string& text) { warnings.push_back(text); };
  Connect(options);
  EXPECT_TRUE(warnings.empty());
  server_.state().version = "0.99.0";
  Connect(options);
  EXPECT_THAT(warnings, ElementsAre(HasSubstr("0.99.0")));
  server_.state().version = "1.0.0";
  const auto refused = Client::Connect(server_.address(), options);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()));
  EXPECT_EQ(ReasonOf(refused.status()), "VERSION_MISMATCH");
}

}  // namespace
}  // namespace trainyard
