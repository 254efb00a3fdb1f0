#include "tests/client/cpp/fake_server.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "client/cpp/checksums.h"
#include "google/rpc/status.pb.h"
#include "trainyard/v1/dataset_service.grpc.pb.h"
#include "trainyard/v1/job_service.grpc.pb.h"
#include "trainyard/v1/model_service.grpc.pb.h"
#include "trainyard/v1/server_service.grpc.pb.h"

namespace trainyard::testing {
namespace {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    auto* any = details.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(payload));
  });
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message()),
          details.SerializeAsString()};
}

grpc::Status NotFound(const std::string& name) {
  return {grpc::StatusCode::NOT_FOUND, absl::StrCat(name, " does not exist")};
}

// Counts the call; returns the scripted failure, or OK.
grpc::Status Enter(FakeState& state, const std::string& method)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(state.mutex) {
  ++state.calls[method];
  auto& failures = state.failures[method];
  if (failures.empty()) return grpc::Status::OK;
  const absl::Status status = failures.front();
  failures.pop_front();
  return ToGrpc(status);
}

void AwaitCancellation(const grpc::ServerContext& context, const std::atomic<bool>& stopping) {
  while (!context.IsCancelled() && !stopping) absl::SleepFor(absl::Milliseconds(2));
}

class FakeServerService final : public v1::ServerService::Service {
 public:
  explicit FakeServerService(FakeState& state) : state_(state) {}
  grpc::Status GetServerInfo(grpc::ServerContext*, const v1::GetServerInfoRequest*,
                             v1::ServerInfo* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "GetServerInfo");
    response->set_version(state_.version);
    response->add_algorithms("hierarchical_shrinkage");
    return status;
  }
  grpc::Status GetQueue(grpc::ServerContext*, const v1::GetQueueRequest*,
                        v1::Queue* response) override {
    const MutexLock lock(&state_.mutex);
    response->set_queued_count(3);
    return Enter(state_, "GetQueue");
  }

 private:
  FakeState& state_;
};

class FakeJobService final : public v1::JobService::Service {
 public:
  FakeJobService(FakeState& state, const std::atomic<bool>& stopping)
      : state_(state), stopping_(stopping) {}

  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request,
                         v1::Job* response) override {
    const MutexLock lock(&state_.mutex);
    state_.create_requests.push_back(*request);
    const grpc::Status status = Enter(state_, "CreateJob");
    if (!status.ok()) return status;
    const std::string id = request->job_id().empty() ? "made-by-server" : request->job_id();
    const std::string name = absl::StrCat(request->parent(), "/jobs/", id);
    // A job prepared by the test keeps its events and its end.
    v1::Job& job = request->validate_only() ? *response : state_.jobs[name];
    const v1::Job prepared = job;
    job = request->job();
    job.MergeFrom(prepared);
    job.set_name(name);
    if (job.state() == v1::Job::STATE_UNSPECIFIED) job.set_state(v1::Job::STATE_QUEUED);
    *response = job;
    return grpc::Status::OK;
  }

  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "GetJob");
    if (!status.ok()) return status;
    const auto job = state_.jobs.find(request->name());
    if (job == state_.jobs.end()) return NotFound(request->name());
    *response = job->second;
    return grpc::Status::OK;
  }

  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "ListJobs");
    if (!status.ok()) return status;
    const int size = std::min(request->page_size(), state_.list_page_limit);
    int skip = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    int index = 0;
    for (const auto& [name, job] : state_.jobs) {
      if (index++ < skip) continue;
      if (response->jobs_size() == size) {
        response->set_next_page_token(absl::StrCat(skip + size));
        break;
      }
      *response->add_jobs() = job;
    }
    return grpc::Status::OK;
  }

  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "CancelJob");
    if (!status.ok()) return status;
    const auto job = state_.jobs.find(request->name());
    if (job == state_.jobs.end()) return NotFound(request->name());
    job->second.set_state(v1::Job::STATE_CANCELLING);
    *response = job->second;
    return grpc::Status::OK;
  }

  grpc::Status DeleteJob(grpc::ServerContext*, const v1::DeleteJobRequest* request,
                         google::protobuf::Empty*) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "DeleteJob");
    if (!status.ok()) return status;
    return state_.jobs.erase(request->name()) == 1 ? grpc::Status::OK : NotFound(request->name());
  }

  grpc::Status ListMetrics(grpc::ServerContext*, const v1::ListMetricsRequest*,
                           v1::ListMetricsResponse* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "ListMetrics");
    for (const v1::MetricPoint& point : state_.metrics) *response->add_points() = point;
    return status;
  }

  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::WatchJobResponse>* writer) override {
    std::vector<v1::JobEvent> events;
    WatchCut cut{1 << 30, WatchCut::kSilence};
    size_t per_batch = 1;
    {
      const MutexLock lock(&state_.mutex);
      const grpc::Status status = Enter(state_, "WatchJob");
      if (!status.ok()) return status;
      if (state_.events.count(request->name()) == 0) return NotFound(request->name());
      events = state_.events[request->name()];
      per_batch = static_cast<size_t>(state_.events_per_batch);
      state_.watch_starts.push_back(request->from_sequence());
      if (!state_.watch_cuts.empty()) {
        cut = state_.watch_cuts.front();
        state_.watch_cuts.pop_front();
      }
    }
    return SendEvents(*context, request->from_sequence(), events, cut, per_batch, *writer);
  }

 private:
  grpc::Status SendEvents(grpc::ServerContext& context, int64_t from,
                          const std::vector<v1::JobEvent>& events, const WatchCut& cut,
                          size_t per_batch, grpc::ServerWriter<v1::WatchJobResponse>& writer) {
    v1::WatchJobResponse batch;
    int sent = 0;
    bool ended = false;
    for (size_t i = static_cast<size_t>(std::max<int64_t>(from, 1)) - 1; i < events.size(); ++i) {
      if (sent++ == cut.after_events) {
        if (cut.kind != WatchCut::kGap) {
          if (cut.kind == WatchCut::kRepeat && i > 0) *batch.add_events() = events[i - 1];
          writer.Write(batch);
          return Cut(context, cut);
        }
        continue;
      }
      *batch.add_events() = events[i];
      const auto to = events[i].state_change().to();
      ended = to == v1::Job::STATE_SUCCEEDED || to == v1::Job::STATE_FAILED ||
              to == v1::Job::STATE_CANCELLED;
      if (static_cast<size_t>(batch.events_size()) >= per_batch || ended) {
        writer.Write(batch);
        batch.Clear();
      }
    }
    // A job that ended before the first event wanted has nothing to send.
    if (ended || from > static_cast<int64_t>(events.size())) return grpc::Status::OK;
    writer.Write(batch);
    AwaitCancellation(context, stopping_);
    return {grpc::StatusCode::UNAVAILABLE, "the server goes down"};
  }

  grpc::Status Cut(grpc::ServerContext& context, const WatchCut& cut) {
    switch (cut.kind) {
      case WatchCut::kOk:
        return grpc::Status::OK;
      case WatchCut::kCancelled:
        return {grpc::StatusCode::CANCELLED, "cut"};
      case WatchCut::kSilence:
        AwaitCancellation(context, stopping_);
        return {grpc::StatusCode::UNAVAILABLE, "the server goes down"};
      default:
        return {grpc::StatusCode::UNAVAILABLE, "cut"};
    }
  }

  FakeState& state_;
  const std::atomic<bool>& stopping_;
};

// Sends one file in chunks from `offset`.
template <typename Writer>
grpc::Status SendFile(FakeState& state, const std::string& path, const std::string& data,
                      int64_t offset, Writer& writer) {
  constexpr int64_t kChunk = 1000;
  DownloadFault fault;
  {
    const MutexLock lock(&state.mutex);
    fault = state.download_fault;
  }
  const auto size = static_cast<int64_t>(data.size());
  const int64_t end = fault.short_file ? size - 1 : size;
  Sha256 sha256;
  sha256.Update(data);
  bool first = true;
  do {
    if (fault.unavailable_after_bytes >= 0 && offset >= fault.unavailable_after_bytes) {
      const MutexLock lock(&state.mutex);
      state.download_fault.unavailable_after_bytes = -1;
      return {grpc::StatusCode::UNAVAILABLE, "cut"};
    }
    v1::FileChunk chunk;
    chunk.set_offset(offset);
    chunk.set_data(data.substr(static_cast<size_t>(offset),
                               static_cast<size_t>(std::min(kChunk, end - offset))));
    chunk.set_crc32c(Crc32c(chunk.data()) + (fault.wrong_crc ? 1 : 0));
    if (first) {
      chunk.set_path(path);
      chunk.set_total_size_bytes(size);
      chunk.set_sha256(fault.wrong_sha256 ? std::string(64, '0') : sha256.FinishHex());
    }
    first = false;
    offset += static_cast<int64_t>(chunk.data().size());
    if (!writer.Write(chunk)) return {grpc::StatusCode::CANCELLED, "the client left"};
  } while (offset < end);
  return grpc::Status::OK;
}

class FakeDatasetService final : public v1::DatasetService::Service {
 public:
  explicit FakeDatasetService(FakeState& state) : state_(state) {}

  grpc::Status UploadDataset(grpc::ServerContext*,
                             grpc::ServerReader<v1::UploadDatasetRequest>* reader,
                             v1::Dataset* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "UploadDataset");
    if (!status.ok()) return status;
    v1::UploadDatasetRequest request;
    while (reader->Read(&request)) {
      if (request.has_header()) {
        const bool goes_on = state_.keeps_uploads &&
                             request.header().upload_id() == state_.upload_header.upload_id();
        if (!goes_on) state_.upload_chunks.clear();
        state_.upload_header = request.header();
      }
      if (!request.has_chunk()) continue;
      state_.upload_chunks.push_back(request.chunk());
      if (state_.upload_cut_after_chunks == 0) continue;
      if (--state_.upload_cut_after_chunks == 0) {
        return grpc::Status(grpc::StatusCode::UNAVAILABLE, "cut");
      }
    }
    const v1::UploadDatasetHeader& header = state_.upload_header;
    response->set_name(absl::StrCat(header.parent(), "/datasets/", header.dataset_id()));
    response->set_kind(header.kind());
    response->mutable_latest_version()->set_size_bytes(header.size_bytes());
    state_.datasets[response->name()] = *response;
    return grpc::Status::OK;
  }

  grpc::Status GetUpload(grpc::ServerContext*, const v1::GetUploadRequest* request,
                         v1::DatasetUpload* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "GetUpload");
    if (!status.ok()) return status;
    if (!state_.keeps_uploads || request->upload_id() != state_.upload_header.upload_id()) {
      return NotFound(request->upload_id());
    }
    int64_t committed = 0;
    for (const v1::FileChunk& chunk : state_.upload_chunks) {
      committed += static_cast<int64_t>(chunk.data().size());
    }
    response->set_committed_size_bytes(committed);
    return grpc::Status::OK;
  }

  grpc::Status GetDataset(grpc::ServerContext*, const v1::GetDatasetRequest* request,
                          v1::Dataset* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "GetDataset");
    if (!status.ok()) return status;
    const auto found = state_.datasets.find(request->name());
    if (found == state_.datasets.end()) return NotFound(request->name());
    *response = found->second;
    return grpc::Status::OK;
  }

  grpc::Status ListDatasets(grpc::ServerContext*, const v1::ListDatasetsRequest*,
                            v1::ListDatasetsResponse* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "ListDatasets");
    for (const auto& [name, dataset] : state_.datasets) *response->add_datasets() = dataset;
    return status;
  }

  grpc::Status DownloadDataset(grpc::ServerContext*, const v1::DownloadDatasetRequest* request,
                               grpc::ServerWriter<v1::FileChunk>* writer) override {
    std::string data;
    {
      const MutexLock lock(&state_.mutex);
      const grpc::Status status = Enter(state_, "DownloadDataset");
      if (!status.ok()) return status;
      state_.download_offsets.push_back(request->offset());
      data = state_.dataset_bytes;
    }
    return SendFile(state_, "", data, request->offset(), *writer);
  }

 private:
  FakeState& state_;
};

class FakeModelService final : public v1::ModelService::Service {
 public:
  explicit FakeModelService(FakeState& state) : state_(state) {}

  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                        v1::Model* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "GetModel");
    if (!status.ok()) return status;
    if (request->name() != state_.model.name()) return NotFound(request->name());
    *response = state_.model;
    return grpc::Status::OK;
  }

  grpc::Status DownloadModel(grpc::ServerContext*, const v1::DownloadModelRequest*,
                             grpc::ServerWriter<v1::FileChunk>* writer) override {
    std::vector<FakeModelFile> files;
    {
      const MutexLock lock(&state_.mutex);
      const grpc::Status status = Enter(state_, "DownloadModel");
      if (!status.ok()) return status;
      files = state_.model_files;
    }
    for (const FakeModelFile& file : files) {
      const grpc::Status status = SendFile(state_, file.path, file.data, 0, *writer);
      if (!status.ok()) return status;
    }
    return grpc::Status::OK;
  }

  // Says what it was asked for.
  grpc::Status PrintTree(grpc::ServerContext*, const v1::PrintTreeRequest* request,
                         v1::PrintTreeResponse* response) override {
    const MutexLock lock(&state_.mutex);
    const grpc::Status status = Enter(state_, "PrintTree");
    if (!status.ok()) return status;
    response->set_text(v1::PrintTreeRequest::Format_Name(request->format()) + " of \x1b" +
                       request->name() + "\n  " + std::to_string(request->tree()) + "\n");
    return grpc::Status::OK;
  }

  // Answers each line feed with one row.
  grpc::Status PredictTable(grpc::ServerContext*,
                            grpc::ServerReaderWriter<v1::PredictTableResponse,
                                                     v1::PredictTableRequest>* stream) override {
    v1::PredictTableRequest request;
    v1::PredictTableResponse response;
    response.set_data("prediction\n");
    stream->Write(response);
    int64_t rows = 0;
    while (stream->Read(&request)) {
      if (request.has_header()) {
        const MutexLock lock(&state_.mutex);
        state_.predict_headers.push_back(request.header());
        const grpc::Status status = Enter(state_, "PredictTable");
        if (!status.ok()) return status;
        continue;
      }
      const auto lines = std::count(request.data().begin(), request.data().end(), '\n');
      rows += lines;
      response.set_row_count(rows);
      response.clear_data();
      for (int64_t i = 0; i < lines; ++i) response.mutable_data()->append("1\n");
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

  // Answers SHAP values 1 and 2 of the features a and b for each line feed but the first.
  grpc::Status Explain(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::ExplainResponse, v1::ExplainRequest>* stream) override {
    v1::ExplainRequest request;
    int64_t lines = 0;
    while (stream->Read(&request)) {
      if (request.has_header()) {
        const MutexLock lock(&state_.mutex);
        state_.explain_headers.push_back(request.header());
        const grpc::Status status = Enter(state_, "Explain");
        if (!status.ok()) return status;
      }
      lines += std::count(request.data().begin(), request.data().end(), '\n');
    }
    v1::ExplainResponse response;
    v1::ExplanationInfo& info = *response.mutable_info();
    for (const char* feature : {"a", "b"}) {
      info.add_features(feature);
      info.add_categorical(false);
    }
    info.add_outputs("y");
    info.add_base_values(0.5);
    info.set_row_count(lines - 1);
    stream->Write(response);
    v1::ShapBlock& block = *response.mutable_shap();
    block.set_row_count(lines - 1);
    for (int64_t i = 0; i + 1 < lines; ++i) {
      for (const double value : {1.0, 2.0}) {
        block.add_values(value);
        block.add_feature_values(value);
      }
    }
    stream->Write(response);
    return grpc::Status::OK;
  }

 private:
  FakeState& state_;
};

}  // namespace

struct FakeServer::Services {
  explicit Services(FakeState& state)
      : server(state), jobs(state, stopping), datasets(state), models(state) {}
  std::atomic<bool> stopping = false;
  FakeServerService server;
  FakeJobService jobs;
  FakeDatasetService datasets;
  FakeModelService models;
  std::unique_ptr<grpc::Server> grpc_server;
};

FakeServer::FakeServer() : state_(std::make_unique<FakeState>()) { Start(); }
FakeServer::~FakeServer() { Stop(); }

void FakeServer::Start() {
  services_ = std::make_unique<Services>(*state_);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(&services_->server);
  builder.RegisterService(&services_->jobs);
  builder.RegisterService(&services_->datasets);
  builder.RegisterService(&services_->models);
  services_->grpc_server = builder.BuildAndStart();
}

void FakeServer::Stop() {
  if (services_ == nullptr) return;
  services_->stopping = true;
  services_->grpc_server->Shutdown(std::chrono::system_clock::now());
  services_->grpc_server->Wait();
  services_.reset();
}

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

bool FakeServer::AwaitCalls(const std::string& method, int count) {
  const MutexLock lock(&state_->mutex);
  const auto reached = [&] { return state_->calls[method] >= count; };
  return state_->mutex.AwaitWithTimeout(reached, absl::Seconds(10));
}

void AddJob(FakeState& state, const std::string& id, v1::Job::State end, int steps) {
  const std::string name = absl::StrCat("projects/default/jobs/", id);
  std::vector<v1::JobEvent>& events = state.events[name];
  const auto add = [&](auto fill) {
    v1::JobEvent event;
    event.set_sequence(static_cast<int64_t>(events.size()) + 1);
    event.mutable_time()->set_seconds(1700000000 + static_cast<int64_t>(events.size()));
    fill(event);
    events.push_back(event);
  };
  const auto change = [&](v1::Job::State to) {
    add([&](v1::JobEvent& event) { event.mutable_state_change()->set_to(to); });
  };
  change(v1::Job::STATE_QUEUED);
  change(v1::Job::STATE_RUNNING);
  for (int step = 1; step <= steps; ++step) {
    add([&](v1::JobEvent& event) {
      auto* point = event.mutable_metrics()->add_points();
      point->set_name("validation/loss");
      point->set_step(step);
      point->set_value(1.0 / step);
    });
  }
  if (end != v1::Job::STATE_RUNNING) change(end);
  v1::Job& job = state.jobs[name];
  job.set_name(name);
  job.set_state(end);
  job.set_algorithm("hierarchical_shrinkage");
  job.set_newest_sequence(static_cast<int64_t>(events.size()));
  if (end == v1::Job::STATE_FAILED) {
    job.mutable_error()->set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
    job.mutable_error()->set_message("the target is constant");
    job.set_end_cause(v1::Attempt::END_CAUSE_USER_ERROR);
  }
  if (end == v1::Job::STATE_SUCCEEDED) {
    auto& report = *job.mutable_report();
    (*report.mutable_train_metrics())["accuracy"] = 1;
    (*report.mutable_test_metrics())["accuracy"] = 0.9;
    auto& own = *report.mutable_hierarchical_shrinkage();
    (*own.mutable_metrics_plain())["accuracy"] = 0.875;
    (*own.mutable_metrics_shrunk())["accuracy"] = 0.9;
    own.set_leaf_count(7);
    job.set_model(absl::StrCat("projects/default/models/", id));
  }
}

}  // namespace trainyard::testing
