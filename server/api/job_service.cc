// JobService.
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "proto/schema/resource_names.h"
#include "server/api/call.h"
#include "server/api/request_checks.h"
#include "server/api/services.h"
#include "server/api/watch_reactor.h"
#include "server/telemetry/log.h"
#include "trainyard/v1/job_service.grpc.pb.h"

namespace trainyard {
namespace {

using Stub = v1::JobService::Service;
// Every method by callback; WatchJob with messages that are serialised already.
using Base = v1::JobService::WithCallbackMethod_CreateJob<v1::JobService::WithCallbackMethod_GetJob<
    v1::JobService::WithCallbackMethod_ListJobs<v1::JobService::WithCallbackMethod_CancelJob<
        v1::JobService::WithCallbackMethod_DeleteJob<v1::JobService::WithCallbackMethod_ListMetrics<
            v1::JobService::WithRawCallbackMethod_WatchJob<Stub>>>>>>>;

constexpr PageBounds kMetricPages{10'000, 100'000};

class JobService final : public Base {
 public:
  explicit JobService(const ServiceContext& context)
      : context_(context),
        create_(Unary("CreateJob")),
        get_(Unary("GetJob")),
        list_(Unary("ListJobs")),
        cancel_(Unary("CancelJob")),
        delete_(Unary("DeleteJob")),
        list_metrics_(Unary("ListMetrics")),
        watch_(context.metrics->Method("JobService/WatchJob", RpcMetrics::Kind::kStream)) {}

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context,
                                      const v1::DeleteJobRequest* request,
                                      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* ListMetrics(grpc::CallbackServerContext* context,
                                        const v1::ListMetricsRequest* request,
                                        v1::ListMetricsResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchJob(grpc::CallbackServerContext* context,
                                                       const grpc::ByteBuffer* request) override;

 private:
  RpcStats* Unary(const char* method) const {
    return context_.metrics->Method(absl::StrCat("JobService/", method), RpcMetrics::Kind::kUnary);
  }
  void Create(const v1::CreateJobRequest& request, JobManager::JobDone done) const;
  void AnswerRepeat(const v1::CreateJobRequest& request, absl::Status problem,
                    JobManager::JobDone done) const;
  absl::StatusOr<v1::ListJobsResponse> List(const v1::ListJobsRequest& request) const;
  absl::StatusOr<v1::ListMetricsResponse> Metrics(const v1::ListMetricsRequest& request) const;

  const ServiceContext context_;
  RpcStats* const create_;
  RpcStats* const get_;
  RpcStats* const list_;
  RpcStats* const cancel_;
  RpcStats* const delete_;
  RpcStats* const list_metrics_;
  RpcStats* const watch_;
};

grpc::ServerUnaryReactor* JobService::CreateJob(grpc::CallbackServerContext* context,
                                                const v1::CreateJobRequest* request,
                                                v1::Job* response) {
  const CallRecord record(create_);
  auto* reactor = context->DefaultReactor();
  // Resolving reads the catalogue; the answer comes from the catalogue's writer.
  const bool taken = context_.pool->TrySubmit([this, request, response, reactor, record] {
    Create(*request, [response, reactor, record](absl::StatusOr<v1::Job> job) {
      FinishCall(*reactor, record, std::move(job), response);
    });
  });
  if (!taken) FinishCall(*reactor, record, OverloadedError());
  return reactor;
}

void JobService::Create(const v1::CreateJobRequest& request, JobManager::JobDone done) const {
  absl::StatusOr<ResolvedJob> resolved = ResolveJob(request, context_.spec);
  if (!resolved.ok()) return AnswerRepeat(request, resolved.status(), std::move(done));
  v1::Job& job = resolved->job;
  if (request.validate_only()) return done(std::move(job));
  if (job.name().empty()) {
    job.set_name(JobName{resolved->project, context_.job_ids->Next()}.ToString());
  }
  const std::string algorithm = job.algorithm();
  context_.jobs->Create(
      std::move(job), request.request_id(), std::move(resolved->content_sha256),
      [done = std::move(done), algorithm,
       request_id = request.request_id()](absl::StatusOr<v1::Job> created) {
        if (created.ok()) {
          LogInfo("job accepted",
                  {{"job", created->name()}, {"algorithm", algorithm}, {"request_id", request_id}});
        }
        done(std::move(created));
      });
}

// A request that made a job once answers that job also when it could not make one now, for example
// because its data set is gone.
void JobService::AnswerRepeat(const v1::CreateJobRequest& request, absl::Status problem,
                              JobManager::JobDone done) const {
  const auto project = ProjectName::Parse(request.parent());
  if (!project.ok() || !IsUuid(request.request_id()) || request.validate_only()) {
    return done(std::move(problem));
  }
  auto found = std::make_shared<std::optional<RequestRecord>>();
  const auto find = [found, project = project->project,
                     id = request.request_id()](CatalogueTransaction& transaction) {
    auto record = transaction.FindRequest(project, id);
    if (record.ok()) *found = *std::move(record);
    return absl::OkStatus();
  };
  context_.catalogue->Write(
      find, [this, found, done = std::move(done), problem = std::move(problem),
             hash = ContentHash(request)](const absl::Status&) {
        const bool repeat = found->has_value() && (*found)->content_sha256 == hash;
        if (!repeat) return done(problem);
        context_.pool->Submit([this, found, done] { done(context_.jobs->Get((*found)->job)); });
      });
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context,
                                             const v1::GetJobRequest* request, v1::Job* response) {
  const CallRecord record(get_);
  const auto name = RequireName<JobName>(request->name());
  return AnswerNow(context, record,
                   name.ok() ? context_.jobs->Get(*name) : absl::StatusOr<v1::Job>(name.status()),
                   response);
}

grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context,
                                               const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return AnswerFrom(*context_.pool, context, CallRecord(list_), response,
                    [this, request] { return List(*request); });
}

absl::StatusOr<v1::ListJobsResponse> JobService::List(const v1::ListJobsRequest& request) const {
  Violations violations;
  JobQuery query;
  query.project = ParseName<ProjectName>("parent", request.parent(), violations).project;
  query.page_size = PageSize(request.page_size(), PageBounds(), violations);
  if (!violations.empty()) return violations.ToStatus();
  query.filter = request.filter();
  query.order_by = request.order_by();
  query.page_token = request.page_token();
  return ListWithinLimit<v1::ListJobsResponse>(
      query.page_size, [&](int32_t size) -> absl::StatusOr<v1::ListJobsResponse> {
        query.page_size = size;
        TY_ASSIGN_OR_RETURN(JobPage page, context_.jobs->List(query));
        v1::ListJobsResponse response;
        for (v1::Job& job : page.jobs) *response.add_jobs() = std::move(job);
        response.set_next_page_token(page.next_page_token);
        return response;
      });
}

grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request,
                                                v1::Job* response) {
  const CallRecord record(cancel_);
  const auto name = RequireName<JobName>(request->name());
  if (!name.ok()) {
    return AnswerNow(context, record, absl::StatusOr<v1::Job>(name.status()), response);
  }
  auto* reactor = context->DefaultReactor();
  context_.jobs->Cancel(*name, request->etag(),
                        [reactor, record, response](absl::StatusOr<v1::Job> job) {
                          if (job.ok()) LogInfo("job cancelled by a user", {{"job", job->name()}});
                          FinishCall(*reactor, record, std::move(job), response);
                        });
  return reactor;
}

grpc::ServerUnaryReactor* JobService::DeleteJob(grpc::CallbackServerContext* context,
                                                const v1::DeleteJobRequest* request,
                                                google::protobuf::Empty* response) {
  const CallRecord record(delete_);
  const auto name = RequireName<JobName>(request->name());
  if (!name.ok()) {
    return AnswerNow(context, record, absl::StatusOr<google::protobuf::Empty>(name.status()),
                     response);
  }
  auto* reactor = context->DefaultReactor();
  context_.jobs->Delete(*name, request->etag(),
                        [this, reactor, record, job = request->name()](const absl::Status& status) {
                          if (status.ok()) {
                            LogInfo("job deleted", {{"job", job}});
                            context_.on_deleted();
                          }
                          FinishCall(*reactor, record, status);
                        });
  return reactor;
}

grpc::ServerUnaryReactor* JobService::ListMetrics(grpc::CallbackServerContext* context,
                                                  const v1::ListMetricsRequest* request,
                                                  v1::ListMetricsResponse* response) {
  return AnswerFrom(*context_.pool, context, CallRecord(list_metrics_), response,
                    [this, request] { return Metrics(*request); });
}

absl::StatusOr<v1::ListMetricsResponse> JobService::Metrics(
    const v1::ListMetricsRequest& request) const {
  Violations violations;
  MetricQuery query;
  query.job = ParseName<JobName>("name", request.name(), violations);
  query.page_size = PageSize(request.page_size(), kMetricPages, violations);
  if (request.max_points() < 0) {
    violations.Add("max_points", absl::StrCat(request.max_points(), " is negative; 0 means all"));
  }
  if (!violations.empty()) return violations.ToStatus();
  query.metrics.assign(request.metrics().begin(), request.metrics().end());
  query.max_points = request.max_points();
  query.page_token = request.page_token();
  return ListWithinLimit<v1::ListMetricsResponse>(
      query.page_size, [&](int32_t size) -> absl::StatusOr<v1::ListMetricsResponse> {
        query.page_size = size;
        TY_ASSIGN_OR_RETURN(MetricPage page, context_.catalogue->ListMetrics(query));
        v1::ListMetricsResponse response;
        for (v1::MetricPoint& point : page.points) *response.add_points() = std::move(point);
        response.set_next_page_token(page.next_page_token);
        return response;
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* JobService::WatchJob(grpc::CallbackServerContext*,
                                                                 const grpc::ByteBuffer* request) {
  using Failed = FailedStream<grpc::ServerWriteReactor<grpc::ByteBuffer>>;
  const CallRecord record(watch_);
  v1::WatchJobRequest message;
  grpc::ByteBuffer bytes = *request;
  const grpc::Status parsed =
      grpc::SerializationTraits<v1::WatchJobRequest>::Deserialize(&bytes, &message);
  if (!parsed.ok()) {
    return new Failed(record, absl::InvalidArgumentError("the request is no WatchJobRequest"));
  }
  Violations violations;
  const JobName name = ParseName<JobName>("name", message.name(), violations);
  if (message.from_sequence() < 0) {
    violations.Add("from_sequence",
                   absl::StrCat(message.from_sequence(), " is negative; events begin with 1"));
  }
  if (!violations.empty()) return new Failed(record, violations.ToStatus());
  auto reader = context_.jobs->Watch(name, message.from_sequence());
  if (!reader.ok()) return new Failed(record, reader.status());
  return WatchReactor::Start(*context_.pool, record, context_.heartbeat_interval,
                             *std::move(reader));
}

}  // namespace

std::unique_ptr<grpc::Service> MakeJobService(const ServiceContext& context) {
  return std::make_unique<JobService>(context);
}

}  // namespace trainyard
