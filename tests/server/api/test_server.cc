#include "tests/server/api/test_server.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/algorithms/registry.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

absl::StatusOr<v1::TableSchema> IngestHere(const std::filesystem::path& file,
                                           const v1::TableReadOptions& options,
                                           const std::filesystem::path& cache) {
  auto table = ReadTable(file, options, TableLimits(), 1);
  if (!table.ok()) return table.status();
  if (absl::Status status = WriteTableCache(**table, cache); !status.ok()) return status;
  return (*table)->schema();
}

absl::StatusOr<std::vector<v1::AssignedTable>> Assign(DatasetStore& datasets,
                                                      v1::TrainingSpec spec) {
  std::vector<v1::AssignedTable> tables;
  VisitResourceNames(spec, "dataset", [&](const std::string&, std::string& name) {
    tables.push_back(datasets.AssignTable(*DatasetName::Parse(name)).value());
  });
  return tables;
}

}  // namespace

absl::StatusOr<std::string> PlayedExecutor::Launch(const WorkerLaunch& launch, OnExit on_exit) {
  const std::lock_guard lock(mutex_);
  launches_[launch.attempt] = launch;
  exits_[launch.attempt] = std::move(on_exit);
  launched_.notify_all();
  return "played";
}

absl::Status PlayedExecutor::Adopt(const std::string& attempt, const std::string&, OnExit) {
  return absl::NotFoundError(attempt);
}

void PlayedExecutor::Terminate(const std::string& attempt) { End(attempt, {.signal = 15}); }
void PlayedExecutor::Kill(const std::string& attempt) { End(attempt, {.signal = 9}); }
void PlayedExecutor::Exit(const std::string& attempt, int exit_code) {
  End(attempt, {.exit_code = exit_code});
}

void PlayedExecutor::End(const std::string& attempt, WorkerExit exit) {
  const std::lock_guard lock(mutex_);
  const auto found = exits_.find(attempt);
  if (found == exits_.end()) return;
  threads_.Submit([on_exit = std::move(found->second), exit = std::move(exit)] { on_exit(exit); });
  exits_.erase(found);
}

WorkerLaunch PlayedExecutor::WaitForLaunch(const std::string& attempt) {
  std::unique_lock lock(mutex_);
  const bool there = launched_.wait_for(lock, std::chrono::seconds(20),
                                        [&] { return launches_.contains(attempt); });
  EXPECT_TRUE(there) << attempt << " was not launched";
  return launches_[attempt];
}

TestServer::TestServer(const Options& options) {
  DatasetStore::Options datasets;
  datasets.cache_folder = store_.folder() / "cache";
  datasets.max_dataset_bytes = options.max_dataset_bytes;
  datasets_ = DatasetStore::Create(datasets, store_.catalogue(), store_.blobs(),
                                   options.ingest ? options.ingest : IngestHere, Clock::Real());
  ModelStore::Options models;
  models.scratch_folder = store_.folder() / "models";
  models.find_algorithm = FindAlgorithm;
  models_ = ModelStore::Create(models, store_.catalogue(), store_.blobs()).value();
  JobManager::Options jobs;
  jobs.capacity = options.capacity;
  jobs.worker_address = worker_address();
  jobs.max_queued_jobs = options.max_queued_jobs;
  JobManager::Dependencies parts;
  parts.catalogue = &store_.catalogue();
  parts.blobs = &store_.blobs();
  parts.executor = &executor_;
  parts.clock = &Clock::Real();
  parts.assign_tables = [this](const v1::TrainingSpec& spec) { return Assign(*datasets_, spec); };
  jobs_ = JobManager::Start(jobs, parts).value();

  ServiceContext context;
  context.jobs = jobs_.get();
  context.catalogue = &store_.catalogue();
  context.blobs = &store_.blobs();
  context.datasets = datasets_.get();
  context.models = models_.get();
  context.clock = &Clock::Real();
  context.metrics = &metrics_;
  context.pool = &pool_;
  context.slow_pool = &slow_pool_;
  context.job_ids = &job_ids_;
  context.heartbeat_interval = options.heartbeat_interval;
  context.spec.capacity = options.capacity;
  context.spec.enable_diagnostics = options.enable_diagnostics;
  context.spec.algorithm_names = "diagnostic, hierarchical_shrinkage";
  context.spec.find_algorithm = FindAlgorithm;
  context.spec.get_dataset_version = [this](const DatasetName& name) {
    return datasets_->GetVersion(name);
  };
  context.info.set_version("1.2.3");
  for (const Algorithm* algorithm : AllAlgorithms()) {
    context.info.add_algorithms(std::string(algorithm->name()));
  }
  context.info.mutable_limits()->set_max_predict_bytes(options.max_predict_bytes);
  ApiServer::Options api;
  api.worker_socket = store_.folder() / "workers.sock";
  api_ = ApiServer::Start(api, context).value();
  channel_ = grpc::CreateChannel(address(), grpc::InsecureChannelCredentials());
}

TestServer::~TestServer() {
  api_->SetServing(false);
  jobs_->Shutdown();
  api_->Shutdown(absl::Seconds(5));
}

std::string TestServer::worker_address() const {
  return absl::StrCat("unix:", (store_.folder() / "workers.sock").string());
}

std::unique_ptr<v1::WorkerService::Stub> TestServer::workers() {
  return v1::WorkerService::NewStub(
      grpc::CreateChannel(worker_address(), grpc::InsecureChannelCredentials()));
}

int TestServer::CountStrayFiles() {
  int files = 0;
  for (const char* folder : {"blobs", "cache", "tmp"}) {
    std::error_code ignored;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(store_.folder() / folder, ignored)) {
      files += entry.is_regular_file() ? 1 : 0;
    }
  }
  return files;
}

namespace {

template <class Detail>
Detail DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  Detail detail;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  for (const auto& any : details.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return Detail();
}

}  // namespace

google::rpc::BadRequest BadRequestOf(const grpc::Status& status) {
  return DetailOf<google::rpc::BadRequest>(status);
}

google::rpc::ErrorInfo ErrorInfoOf(const grpc::Status& status) {
  return DetailOf<google::rpc::ErrorInfo>(status);
}

std::vector<std::string> FieldsOf(const grpc::Status& status) {
  std::vector<std::string> fields;
  const google::rpc::BadRequest details = BadRequestOf(status);
  for (const auto& violation : details.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

v1::CreateJobRequest DiagnosticRequest(std::string_view id) {
  v1::CreateJobRequest request;
  request.set_parent("projects/default");
  request.set_job_id(std::string(id));
  request.mutable_job()->mutable_resources()->set_cpu_threads(2);
  request.mutable_job()->mutable_spec()->mutable_diagnostic()->set_steps(1);
  return request;
}

v1::UploadDatasetHeader HeaderOf(std::string_view id, std::string_view bytes) {
  v1::UploadDatasetHeader header;
  header.set_parent("projects/default");
  header.set_dataset_id(std::string(id));
  header.set_size_bytes(static_cast<int64_t>(bytes.size()));
  header.set_sha256(Sha256Hex(bytes));
  header.set_file_name("table.csv");
  return header;
}

v1::FileChunk ChunkOf(std::string_view bytes, int64_t offset) {
  v1::FileChunk chunk;
  chunk.set_offset(offset);
  chunk.set_data(std::string(bytes));
  chunk.set_crc32c(Crc32c(bytes));
  return chunk;
}

grpc::Status Upload(v1::DatasetService::Stub& stub, std::string_view id, std::string_view bytes,
                    v1::Dataset& dataset, size_t chunk_bytes) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto writer = stub.UploadDataset(&context, &dataset);
  v1::UploadDatasetRequest message;
  *message.mutable_header() = HeaderOf(id, bytes);
  bool sent = writer->Write(message);
  for (size_t offset = 0; sent && offset < bytes.size(); offset += chunk_bytes) {
    *message.mutable_chunk() =
        ChunkOf(bytes.substr(offset, chunk_bytes), static_cast<int64_t>(offset));
    sent = writer->Write(message);
  }
  writer->WritesDone();
  return writer->Finish();
}

std::string SmallTable(int rows) {
  std::mt19937 random(7);
  std::string table = "x,y,target,constant,empty\n";
  for (int row = 0; row < rows; ++row) {
    const int x = static_cast<int>(random() % 100);
    const int y = static_cast<int>(random() % 100);
    absl::StrAppend(&table, x, ",", y, ",", x + y > 100 ? "high" : "low", ",1,\n");
  }
  return table;
}

}  // namespace trainyard
