// JobService over a real connection: every method and every error of its comments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/server/api/test_server.h"

namespace trainyard {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Stub = v1::JobService::Stub;

constexpr char kUuid[] = "0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d001";

class JobServiceTest : public ::testing::Test {
 protected:
  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job& job) {
    return Call(*jobs_, &Stub::CreateJob, request, job);
  }
  v1::Job MustCreate(const v1::CreateJobRequest& request) {
    v1::Job job;
    const grpc::Status status = Create(request, job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job;
  }
  grpc::Status Get(const std::string& name, v1::Job& job) {
    v1::GetJobRequest request;
    request.set_name(name);
    return Call(*jobs_, &Stub::GetJob, request, job);
  }
  v1::ListJobsRequest ListRequest(int page_size) {
    v1::ListJobsRequest request;
    request.set_parent("projects/default");
    request.set_page_size(page_size);
    return request;
  }
  grpc::Status Cancel(const std::string& name, const std::string& etag, v1::Job& job) {
    v1::CancelJobRequest request;
    request.set_name(name);
    request.set_etag(etag);
    return Call(*jobs_, &Stub::CancelJob, request, job);
  }
  grpc::Status Delete(const std::string& name, const std::string& etag = "") {
    v1::DeleteJobRequest request;
    request.set_name(name);
    request.set_etag(etag);
    google::protobuf::Empty empty;
    return Call(*jobs_, &Stub::DeleteJob, request, empty);
  }
  // A job that stays queued: the first one takes all slots.
  v1::Job MustQueue(const std::string& id) {
    if (!blocked_) MustCreate(DiagnosticRequest("blocker"));
    blocked_ = true;
    return MustCreate(DiagnosticRequest(id));
  }

  TestServer server_;
  std::unique_ptr<Stub> jobs_ = server_.jobs();
  bool blocked_ = false;
};

TEST_F(JobServiceTest, CreatesAQueuedJobWithDefaultsFilledIn) {
  const v1::Job job = MustCreate(DiagnosticRequest("first"));
  EXPECT_EQ(job.name(), "projects/default/jobs/first");
  EXPECT_EQ(job.state(), v1::Job::STATE_QUEUED);
  EXPECT_EQ(job.algorithm(), "diagnostic");
  EXPECT_EQ(job.max_attempts(), 3);
  EXPECT_EQ(job.spec().diagnostic().finale(), v1::DiagnosticSpec::FINALE_SUCCEED);
  EXPECT_EQ(job.cancel_grace_period().seconds(), 10);
  v1::Job read;
  ASSERT_TRUE(Get(job.name(), read).ok());
  EXPECT_EQ(read.create_time().seconds(), job.create_time().seconds());
}

TEST_F(JobServiceTest, MakesSortableIds) {
  v1::CreateJobRequest request = DiagnosticRequest("");
  const std::string first = MustCreate(request).name();
  const std::string second = MustCreate(request).name();
  EXPECT_THAT(first, MatchesRegex("projects/default/jobs/j[0-9a-z]+"));
  EXPECT_LT(first, second);
}

TEST_F(JobServiceTest, IgnoresOutputOnlyFields) {
  v1::CreateJobRequest request = DiagnosticRequest("outputs");
  request.mutable_job()->set_state(v1::Job::STATE_SUCCEEDED);
  request.mutable_job()->set_model("projects/default/models/stolen");
  const v1::Job job = MustCreate(request);
  EXPECT_EQ(job.state(), v1::Job::STATE_QUEUED);
  EXPECT_EQ(job.model(), "");
}

TEST_F(JobServiceTest, AnswersAllViolationsAtOnce) {
  v1::CreateJobRequest request = DiagnosticRequest("Not An Id");
  request.set_request_id("no-uuid");
  request.mutable_job()->set_priority(1000);
  request.mutable_job()->mutable_time_limit()->set_seconds(-5);
  (*request.mutable_job()->mutable_labels())[std::string(64, 'k')] = "v";
  request.mutable_job()->mutable_resources()->set_cpu_threads(3);
  request.mutable_job()->mutable_spec()->mutable_diagnostic()->set_steps(-1);
  request.mutable_job()->mutable_spec()->mutable_diagnostic()->set_finale(
      static_cast<v1::DiagnosticSpec::Finale>(99));
  v1::Job job;
  const grpc::Status status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status),
              UnorderedElementsAre("job_id", "request_id", "job.priority", "job.time_limit",
                                   absl::StrCat("job.labels[", std::string(64, 'k'), "]"),
                                   "job.resources.cpu_threads", "job.spec.diagnostic.steps",
                                   "job.spec.diagnostic.finale"));
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_REQUEST");
  EXPECT_EQ(ErrorInfoOf(status).domain(), "trainyard");
}

TEST_F(JobServiceTest, RejectsARequestWithoutParentAndJob) {
  v1::Job job;
  const grpc::Status status = Create(v1::CreateJobRequest(), job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), UnorderedElementsAre("parent", "job"));
}

TEST_F(JobServiceTest, RejectsSpecsThatItDoesNotKnow) {
  v1::CreateJobRequest request = DiagnosticRequest("unknown");
  request.mutable_job()->mutable_spec()->clear_spec();
  // A member of the oneof that a newer client may know.
  auto& unknown = *v1::TrainingSpec::GetReflection()->MutableUnknownFields(
      request.mutable_job()->mutable_spec());
  unknown.AddLengthDelimited(77, "x");
  v1::Job job;
  const grpc::Status status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "UNSUPPORTED_SPEC");
  EXPECT_THAT(status.error_message(), HasSubstr("hierarchical_shrinkage"));
}

TEST_F(JobServiceTest, DiagnosticJobsNeedTheirSwitch) {
  TestServer::Options options;
  options.enable_diagnostics = false;
  TestServer server(options);
  v1::Job job;
  const grpc::Status status = Call(*server.jobs(), &Stub::CreateJob, DiagnosticRequest("d"), job);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "UNSUPPORTED_SPEC");
  EXPECT_THAT(status.error_message(), HasSubstr("--enable_diagnostics"));
}

TEST_F(JobServiceTest, ValidateOnlyCreatesNothing) {
  v1::CreateJobRequest request = DiagnosticRequest("probe");
  request.set_validate_only(true);
  const v1::Job job = MustCreate(request);
  EXPECT_EQ(job.max_attempts(), 3);
  v1::Job read;
  EXPECT_EQ(Get("projects/default/jobs/probe", read).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, RequestIdMakesCreateRepeatable) {
  v1::CreateJobRequest request = DiagnosticRequest("");
  request.set_request_id(kUuid);
  const std::string first = MustCreate(request).name();
  EXPECT_EQ(MustCreate(request).name(), first);
  request.mutable_job()->set_priority(1);
  v1::Job job;
  const grpc::Status status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "REQUEST_ID_REUSED");
}

TEST_F(JobServiceTest, RepeatAnswersTheJobAlsoWhenItsDataSetIsGone) {
  v1::Dataset dataset;
  ASSERT_TRUE(Upload(*server_.datasets(), "table", SmallTable(), dataset).ok());
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  request.set_request_id(kUuid);
  auto& spec = *request.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage();
  spec.mutable_input()->set_dataset(dataset.name());
  spec.mutable_input()->add_target_columns("target");
  MustQueue("other");
  const std::string name = MustCreate(request).name();
  v1::Job cancelled;
  ASSERT_TRUE(Cancel(name, "", cancelled).ok());
  v1::DeleteDatasetRequest remove;
  remove.set_name(dataset.name());
  google::protobuf::Empty empty;
  ASSERT_TRUE(
      Call(*server_.datasets(), &v1::DatasetService::Stub::DeleteDataset, remove, empty).ok());
  EXPECT_EQ(MustCreate(request).name(), name);
  request.clear_request_id();
  v1::Job job;
  EXPECT_EQ(Create(request, job).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, TakenIdIsAnError) {
  MustCreate(DiagnosticRequest("same"));
  v1::Job job;
  const grpc::Status status = Create(DiagnosticRequest("same"), job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "JOB_EXISTS");
}

TEST_F(JobServiceTest, MissingDataSetIsNotFound) {
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  auto& input =
      *request.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage()->mutable_input();
  input.set_dataset("projects/default/datasets/nothing");
  v1::Job job;
  grpc::Status status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "DATASET_NOT_FOUND");
  EXPECT_THAT(status.error_message(), HasSubstr("projects/default/datasets/nothing"));
  input.set_dataset("projects/other/datasets/theirs");
  status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), ElementsAre("job.spec.hierarchical_shrinkage.input.dataset"));
}

TEST_F(JobServiceTest, SpecIsCheckedAgainstTheTable) {
  v1::Dataset dataset;
  ASSERT_TRUE(Upload(*server_.datasets(), "table", SmallTable(), dataset).ok());
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  auto& spec = *request.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage();
  spec.mutable_input()->set_dataset(dataset.name());
  for (const auto& [column, text] : {std::pair<std::string, std::string>{"nothing", "nothing"},
                                     {"constant", "constant"},
                                     {"empty", "missing"}}) {
    spec.mutable_input()->clear_target_columns();
    spec.mutable_input()->add_target_columns(column);
    v1::Job job;
    const grpc::Status status = Create(request, job);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << column;
    EXPECT_THAT(status.error_message(), HasSubstr(text));
    EXPECT_THAT(status.error_message(), HasSubstr("target_columns"));
  }
  spec.mutable_input()->set_target_columns(0, "target");
  const v1::Job job = MustCreate(request);
  EXPECT_EQ(job.spec().hierarchical_shrinkage().input().dataset(),
            "projects/default/datasets/table/versions/1");
  EXPECT_EQ(job.spec().hierarchical_shrinkage().task(),
            v1::HierarchicalShrinkageSpec::TASK_CLASSIFICATION);
}

TEST_F(JobServiceTest, MemoryEstimateIsCheckedAgainstTheLimit) {
  v1::Dataset dataset;
  ASSERT_TRUE(Upload(*server_.datasets(), "table", SmallTable(2000), dataset).ok());
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  auto& spec = *request.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage();
  spec.mutable_input()->set_dataset(dataset.name());
  spec.mutable_input()->add_target_columns("target");
  request.mutable_job()->mutable_resources()->set_memory_bytes(1024);
  v1::Job job;
  const grpc::Status status = Create(request, job);
  EXPECT_THAT(FieldsOf(status), ElementsAre("job.resources.memory_bytes"));
}

TEST_F(JobServiceTest, UnknownForeignAndMalformedNames) {
  v1::Job job;
  EXPECT_EQ(Get("projects/default/jobs/nothing", job).error_code(), grpc::StatusCode::NOT_FOUND);
  const grpc::Status foreign = Get("projects/other/jobs/x", job);
  EXPECT_EQ(foreign.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(foreign.error_message(), HasSubstr("projects/other/jobs/x"));
  EXPECT_FALSE(ErrorInfoOf(foreign).reason().empty());
  for (const std::string name : {"", "jobs/x", "projects/default/jobs/UP", "projects/a/jobs/b/c"}) {
    EXPECT_EQ(FieldsOf(Get(name, job)), std::vector<std::string>{"name"}) << name;
    EXPECT_EQ(FieldsOf(Cancel(name, "", job)), std::vector<std::string>{"name"}) << name;
    EXPECT_EQ(FieldsOf(Delete(name)), std::vector<std::string>{"name"}) << name;
  }
}

TEST_F(JobServiceTest, ListsInPages) {
  for (int i = 0; i < 5; ++i) MustCreate(DiagnosticRequest(absl::StrCat("job-", i)));
  v1::ListJobsRequest request = ListRequest(2);
  std::set<std::string> seen;
  int pages = 0;
  do {
    v1::ListJobsResponse response;
    const grpc::Status status = Call(*jobs_, &Stub::ListJobs, request, response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    for (const v1::Job& job : response.jobs()) seen.insert(job.name());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(seen, SizeIs(5));
  EXPECT_EQ(pages, 3);
}

TEST_F(JobServiceTest, ListRejectsWhatItCannotRead) {
  for (int i = 0; i < 3; ++i) MustCreate(DiagnosticRequest(absl::StrCat("job-", i)));
  v1::ListJobsResponse response;
  v1::ListJobsRequest request = ListRequest(-1);
  EXPECT_THAT(FieldsOf(Call(*jobs_, &Stub::ListJobs, request, response)), ElementsAre("page_size"));
  request = ListRequest(1);
  request.set_filter("state ~ RUNNING");
  EXPECT_THAT(FieldsOf(Call(*jobs_, &Stub::ListJobs, request, response)), ElementsAre("filter"));
  request = ListRequest(1);
  request.set_order_by("colour");
  EXPECT_THAT(FieldsOf(Call(*jobs_, &Stub::ListJobs, request, response)), ElementsAre("order_by"));
  request = ListRequest(1);
  ASSERT_TRUE(Call(*jobs_, &Stub::ListJobs, request, response).ok());
  std::string token = response.next_page_token();
  ASSERT_FALSE(token.empty());
  request.set_page_token(token);
  request.set_filter("priority = 1");
  EXPECT_THAT(FieldsOf(Call(*jobs_, &Stub::ListJobs, request, response)),
              ElementsAre("page_token"));
  request.clear_filter();
  token[token.size() / 2] = token[token.size() / 2] == 'A' ? 'B' : 'A';
  request.set_page_token(token);
  const grpc::Status tampered = Call(*jobs_, &Stub::ListJobs, request, response);
  EXPECT_EQ(tampered.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(tampered), ElementsAre("page_token"));
}

TEST_F(JobServiceTest, CancelsAndDeletes) {
  const v1::Job job = MustQueue("victim");
  EXPECT_EQ(Delete(job.name()).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  v1::Job cancelled;
  EXPECT_EQ(Cancel(job.name(), "stale", cancelled).error_code(), grpc::StatusCode::ABORTED);
  ASSERT_TRUE(Cancel(job.name(), job.etag(), cancelled).ok());
  EXPECT_EQ(cancelled.state(), v1::Job::STATE_CANCELLED);
  EXPECT_TRUE(Cancel(job.name(), "", cancelled).ok()) << "cancelling twice changes nothing";
  EXPECT_EQ(Delete(job.name(), "stale").error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(Delete(job.name()).ok());
  EXPECT_EQ(Get(job.name(), cancelled).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Delete(job.name()).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobServiceTest, FullQueueIsRefusedWithARetryDelay) {
  TestServer::Options options;
  options.max_queued_jobs = 1;
  TestServer server(options);
  const auto jobs = server.jobs();
  v1::Job job;
  ASSERT_TRUE(Call(*jobs, &Stub::CreateJob, DiagnosticRequest("running"), job).ok());
  server.executor().WaitForLaunch("projects/default/jobs/running/attempts/1");
  ASSERT_TRUE(Call(*jobs, &Stub::CreateJob, DiagnosticRequest("waiting"), job).ok());
  const grpc::Status status = Call(*jobs, &Stub::CreateJob, DiagnosticRequest("refused"), job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "QUEUE_FULL");
  EXPECT_THAT(status.error_message(), HasSubstr("the queue is full: 1 jobs are waiting"));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo retry;
  bool found = false;
  for (const auto& detail : details.details()) found = found || detail.UnpackTo(&retry);
  EXPECT_TRUE(found);
  EXPECT_GT(retry.retry_delay().seconds(), 0);
}

TEST_F(JobServiceTest, TakesTenThousandQueuedJobs) {
  constexpr int kJobs = 10'000;
  MustQueue("first");
  std::vector<std::thread> clients;
  std::atomic<int> next = 0;
  std::atomic<int> failed = 0;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&] {
      for (int i = next++; i < kJobs; i = next++) {
        v1::Job job;
        if (!Create(DiagnosticRequest(absl::StrCat("many-", i)), job).ok()) ++failed;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  v1::Queue queue;
  ASSERT_TRUE(
      Call(*server_.server(), &v1::ServerService::Stub::GetQueue, v1::GetQueueRequest(), queue)
          .ok());
  EXPECT_EQ(queue.queued_count(), kJobs + 1);
  v1::Job last;
  ASSERT_TRUE(Get("projects/default/jobs/many-9999", last).ok());
  EXPECT_EQ(last.state(), v1::Job::STATE_QUEUED);
}

TEST_F(JobServiceTest, MessageAboveTheLimitIsRefused) {
  v1::CreateJobRequest request = DiagnosticRequest("large");
  request.mutable_job()->set_display_name(std::string(kMaxMessageBytes + 1, 'x'));
  v1::Job job;
  const grpc::Status status = Create(request, job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  // gRPC refuses it before any field is read.
  EXPECT_THAT(status.error_message(),
              HasSubstr(absl::StrFormat("larger than max (%d vs. %d)", request.ByteSizeLong(),
                                        kMaxMessageBytes)));
  MustCreate(DiagnosticRequest("still-serving"));
}

TEST_F(JobServiceTest, MetricsChecksItsRequest) {
  v1::ListMetricsRequest request;
  request.set_name("projects/default/jobs/nothing");
  v1::ListMetricsResponse response;
  EXPECT_EQ(Call(*jobs_, &Stub::ListMetrics, request, response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.set_page_size(-1);
  request.set_max_points(-1);
  EXPECT_THAT(FieldsOf(Call(*jobs_, &Stub::ListMetrics, request, response)),
              UnorderedElementsAre("page_size", "max_points"));
}

}  // namespace
}  // namespace trainyard
