#include "server/main/server_process.h"

#include <prometheus/registry.h>

#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "core/algorithms/registry.h"
#include "core/base/status.h"
#include "google/protobuf/util/time_util.h"
#include "proto/schema/field_rules.h"
#include "server/api/api_server.h"
#include "server/execution/local/device_probe.h"
#include "server/execution/local/ingest_runner.h"
#include "server/execution/local/local_executor.h"
#include "server/main/blob_collector.h"
#include "server/main/data_folder.h"
#include "server/main/machine.h"
#include "server/storage/check.h"
#include "server/telemetry/job_metrics.h"
#include "server/telemetry/log.h"
#include "server/telemetry/metrics_endpoint.h"

namespace trainyard {
namespace {

constexpr int64_t kMaxWaitingCalls = 10'000;
constexpr std::string_view kDiagnostic = "diagnostic";

absl::Duration OrInfinite(double seconds) {
  return seconds == 0 ? absl::InfiniteDuration() : absl::Seconds(seconds);
}

// The processors that jobs may run on. Without an answer of the worker, the CPU alone.
std::vector<v1::Device> FindDevices(const std::filesystem::path& worker_binary,
                                    const Machine& machine) {
  auto devices = ProbeDevices(worker_binary);
  if (devices.ok() && !devices->empty()) return *std::move(devices);
  LogWarning("cannot ask the worker for devices; jobs run on the CPU alone",
             {{"error", std::string(devices.status().message())}});
  v1::Device cpu;
  cpu.set_id("cpu");
  cpu.set_kind(v1::Device::KIND_CPU);
  cpu.set_model(machine.cpu_model);
  cpu.set_memory_bytes(machine.memory_bytes);
  return {cpu};
}

bool IsUsableGpu(const v1::Device& device) {
  return device.kind() == v1::Device::KIND_CUDA && device.unavailable_reason().empty();
}

Slots CapacityOf(const Settings& settings, const Machine& machine,
                 const std::vector<v1::Device>& devices) {
  Slots slots;
  slots.gpus = static_cast<int32_t>(std::ranges::count_if(devices, IsUsableGpu));
  slots.cpu_threads =
      settings.cpu_slots > 0 ? static_cast<int32_t>(settings.cpu_slots) : machine.cpu_threads;
  slots.memory_bytes =
      settings.memory_limit > 0 ? settings.memory_limit : machine.memory_bytes / 10 * 9;
  return slots;
}

// The tables that a spec names, ready for a worker.
absl::StatusOr<std::vector<v1::AssignedTable>> AssignTables(DatasetStore& datasets,
                                                            const v1::TrainingSpec& spec) {
  v1::TrainingSpec visited = spec;
  std::vector<v1::AssignedTable> tables;
  absl::Status status;
  VisitResourceNames(visited, "dataset", [&](const std::string&, std::string& name) {
    for (const v1::AssignedTable& table : tables) {
      if (table.name() == name) return;
    }
    if (!status.ok()) return;
    const auto parsed = DatasetName::Parse(name);
    auto table = parsed.ok() ? datasets.AssignTable(*parsed)
                             : absl::StatusOr<v1::AssignedTable>(parsed.status());
    status = AddContext(table.status(), name);
    if (table.ok()) tables.push_back(*std::move(table));
  });
  if (!status.ok()) return status;
  return tables;
}

// The models that a spec names, ready for a worker.
absl::StatusOr<JobManager::AssignedModels> AssignModels(ModelStore& models,
                                                        const v1::TrainingSpec& spec) {
  v1::TrainingSpec visited = spec;
  JobManager::AssignedModels assigned;
  absl::Status status;
  VisitResourceNames(visited, "model", [&](const std::string&, std::string& name) {
    if (!status.ok()) return;
    const auto parsed = ModelName::Parse(name);
    const auto held =
        parsed.ok() ? models.Open(*parsed) : absl::StatusOr<ModelStore::HeldModel>(parsed.status());
    status = AddContext(held.status(), name);
    if (!held.ok()) return;
    v1::AssignedModel& model = assigned.models.emplace_back();
    model.set_name(name);
    *model.mutable_manifest() = held->model.manifest();
    for (int i = 0; i < held->model.files_size(); ++i) {
      (*model.mutable_files())[held->model.files(i).path()] =
          held->paths[static_cast<size_t>(i)].string();
    }
    assigned.holds.push_back(held->hold);
  });
  if (!status.ok()) return status;
  return assigned;
}

class Server final : public ServerProcess {
 public:
  explicit Server(const Settings& settings)
      : settings_(settings), folder_{settings.data_dir}, machine_(ProbeMachine()) {}
  ~Server() override { Shutdown(); }

  absl::Status Run(const std::filesystem::path& worker_binary) {
    TY_ASSIGN_OR_RETURN(lock_, DataFolderLock::Take(folder_));
    TY_ASSIGN_OR_RETURN(const std::filesystem::path socket, WorkerSocket(folder_));
    devices_ = FindDevices(worker_binary, machine_);
    capacity_ = CapacityOf(settings_, machine_, devices_);
    TY_RETURN_IF_ERROR(OpenStore(worker_binary));
    TY_RETURN_IF_ERROR(StartJobs(worker_binary, absl::StrCat("unix:", socket.string())));
    collector_ = std::make_unique<BlobCollector>(*catalogue_, *blobs_, *datasets_);
    if (!settings_.metrics_listen.empty()) {
      TY_ASSIGN_OR_RETURN(metrics_endpoint_,
                          MetricsEndpoint::Start(settings_.metrics_listen, registry_, [this] {
                            job_metrics_.SetQueue(jobs_->QueueState(""));
                          }));
      metrics_address_ = metrics_endpoint_->address();
    }
    ApiServer::Options options;
    options.listen = settings_.listen;
    options.worker_socket = socket.string();
    options.max_concurrent_streams = static_cast<int>(settings_.max_concurrent_streams);
    options.memory_quota_bytes = settings_.rpc_memory_quota;
    TY_ASSIGN_OR_RETURN(api_, ApiServer::Start(options, MakeContext()));
    return absl::OkStatus();
  }

  const std::string& api_address() const override { return api_->address(); }
  const std::string& metrics_address() const override { return metrics_address_; }

  void Shutdown() override {
    if (std::exchange(shut_down_, true)) return;
    if (api_ != nullptr) api_->SetServing(false);
    if (jobs_ != nullptr) jobs_->Shutdown();
    // Reading a table may take longer than the grace time; the caller uploads it again.
    if (ingest_ != nullptr) ingest_->Stop();
    if (api_ != nullptr) api_->Shutdown(absl::Seconds(settings_.shutdown_grace_seconds));
    metrics_endpoint_.reset();
    collector_.reset();
  }

 private:
  absl::Status OpenStore(const std::filesystem::path& worker_binary) {
    Catalogue::Options catalogue;
    catalogue.file = folder_.catalogue();
    TY_ASSIGN_OR_RETURN(catalogue_, Catalogue::Open(catalogue));
    TY_ASSIGN_OR_RETURN(blobs_, BlobStore::Open(folder_.blobs(), FileSystem::Real()));
    DatasetStore::Options datasets;
    datasets.cache_folder = folder_.cache();
    datasets.max_dataset_bytes = settings_.max_dataset_bytes;
    IngestRunner::Options ingest;
    ingest.worker_binary = worker_binary;
    ingest.threads = machine_.cpu_threads;
    ingest_ = std::make_unique<IngestRunner>(ingest);
    datasets_ = DatasetStore::Create(
        datasets, *catalogue_, *blobs_,
        [this](const std::filesystem::path& file, const v1::TableReadOptions& read,
               const std::filesystem::path& cache) { return ingest_->Ingest(file, read, cache); },
        Clock::Real());
    ModelStore::Options models;
    models.scratch_folder = folder_.models();
    models.find_algorithm = FindAlgorithm;
    TY_ASSIGN_OR_RETURN(models_, ModelStore::Create(models, *catalogue_, *blobs_));
    return absl::OkStatus();
  }

  absl::Status StartJobs(const std::filesystem::path& worker_binary,
                         const std::string& worker_address) {
    LocalExecutor::Options executor;
    executor.worker_binary = worker_binary;
    executor.work_folder = folder_.workers();
    TY_ASSIGN_OR_RETURN(executor_, LocalExecutor::Create(executor));
    LogInfo("workers run on this machine", {{"confinement", executor_->DescribeConfinement()}});
    JobManager::Options options;
    options.capacity = capacity_;
    for (const v1::Device& device : devices_) {
      if (IsUsableGpu(device)) options.gpus.push_back({device.id(), device.driver_name()});
    }
    options.worker_address = worker_address;
    options.max_queued_jobs = settings_.max_queued_jobs;
    options.default_memory_bytes = settings_.default_job_memory;
    options.default_time_limit = OrInfinite(settings_.default_time_limit);
    options.cancel_grace_period = absl::Seconds(settings_.cancel_grace_seconds);
    options.start_timeout = absl::Seconds(settings_.worker_start_seconds);
    options.silence_timeout = absl::Seconds(settings_.worker_silence_seconds);
    options.reconnect_timeout = absl::Seconds(settings_.worker_reconnect_seconds);
    options.retry_backoff = absl::Seconds(settings_.retry_backoff_seconds);
    JobManager::Dependencies parts;
    parts.catalogue = catalogue_.get();
    parts.blobs = blobs_.get();
    parts.executor = executor_.get();
    parts.clock = &Clock::Real();
    parts.assign_tables = [this](const v1::TrainingSpec& spec) {
      return AssignTables(*datasets_, spec);
    };
    parts.assign_models = [this](const v1::TrainingSpec& spec) {
      return AssignModels(*models_, spec);
    };
    parts.observer = &job_metrics_;
    TY_ASSIGN_OR_RETURN(jobs_, JobManager::Start(options, parts));
    return absl::OkStatus();
  }

  ServiceContext MakeContext() {
    ServiceContext context;
    context.jobs = jobs_.get();
    context.catalogue = catalogue_.get();
    context.blobs = blobs_.get();
    context.datasets = datasets_.get();
    context.models = models_.get();
    context.clock = &Clock::Real();
    context.metrics = &rpc_metrics_;
    pool_ = std::make_unique<WorkerPool>(static_cast<int>(settings_.io_threads), kMaxWaitingCalls);
    slow_pool_ =
        std::make_unique<WorkerPool>(static_cast<int>(settings_.slow_threads), kMaxWaitingCalls);
    context.pool = pool_.get();
    context.slow_pool = slow_pool_.get();
    context.job_ids = &job_ids_;
    context.spec = MakeSpecEnvironment();
    context.info = MakeInfo();
    context.predict_threads = machine_.cpu_threads;
    context.on_deleted = [this] { collector_->RunSoon(); };
    return context;
  }

  std::vector<std::string> OfferedAlgorithms() const {
    std::vector<std::string> names;
    for (const Algorithm* algorithm : AllAlgorithms()) {
      if (algorithm->name() == kDiagnostic && !settings_.enable_diagnostics) continue;
      names.emplace_back(algorithm->name());
    }
    return names;
  }

  SpecEnvironment MakeSpecEnvironment() {
    SpecEnvironment environment;
    environment.capacity = capacity_;
    environment.default_memory_bytes = settings_.default_job_memory;
    environment.default_time_limit = OrInfinite(settings_.default_time_limit);
    environment.cancel_grace_period = absl::Seconds(settings_.cancel_grace_seconds);
    environment.enable_diagnostics = settings_.enable_diagnostics;
    environment.algorithm_names = absl::StrJoin(OfferedAlgorithms(), ", ");
    environment.find_algorithm = FindAlgorithm;
    environment.get_dataset_version = [this](const DatasetName& name) {
      return datasets_->GetVersion(name);
    };
    environment.get_model = [this](const ModelName& name) { return models_->Get(name); };
    return environment;
  }

  v1::ServerInfo MakeInfo() const {
    v1::ServerInfo info;
    info.set_version(TRAINYARD_VERSION);
    info.set_revision(TRAINYARD_REVISION);
    *info.mutable_start_time() = google::protobuf::util::TimeUtil::NanosecondsToTimestamp(
        absl::ToUnixNanos(Clock::Real().Now()));
    for (const std::string& name : OfferedAlgorithms()) info.add_algorithms(name);
    info.mutable_limits()->set_max_message_bytes(kMaxMessageBytes);
    info.mutable_limits()->set_max_dataset_bytes(settings_.max_dataset_bytes);
    info.mutable_limits()->set_max_queued_jobs(settings_.max_queued_jobs);
    info.mutable_limits()->set_max_predict_bytes(settings_.max_predict_bytes);
    for (const v1::Device& device : devices_) {
      v1::Device& shown = *info.add_devices();
      shown = device;
      if (device.kind() == v1::Device::KIND_CPU) shown.set_slot_count(capacity_.cpu_threads);
    }
    return info;
  }

  const Settings settings_;
  const DataFolder folder_;
  const Machine machine_;
  std::vector<v1::Device> devices_;
  Slots capacity_;
  // In the order in which they stand on each other.
  std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  RpcMetrics rpc_metrics_{*registry_};
  JobMetrics job_metrics_{*registry_};
  JobIdSource job_ids_{Clock::Real()};
  std::unique_ptr<DataFolderLock> lock_;
  std::unique_ptr<Catalogue> catalogue_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<IngestRunner> ingest_;
  std::unique_ptr<DatasetStore> datasets_;
  std::unique_ptr<ModelStore> models_;
  std::unique_ptr<LocalExecutor> executor_;
  std::unique_ptr<JobManager> jobs_;
  std::unique_ptr<BlobCollector> collector_;
  std::unique_ptr<MetricsEndpoint> metrics_endpoint_;
  std::unique_ptr<ApiServer> api_;
  // Their threads use all of the above: they end first.
  std::unique_ptr<WorkerPool> pool_;
  std::unique_ptr<WorkerPool> slow_pool_;
  std::string metrics_address_;
  bool shut_down_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const Settings& settings, const std::filesystem::path& worker_binary) {
  auto server = std::make_unique<Server>(settings);
  TY_RETURN_IF_ERROR(server->Run(worker_binary));
  return server;
}

absl::Status CheckStoreAndReport(const Settings& settings) {
  const DataFolder folder{settings.data_dir};
  std::error_code error;
  if (!std::filesystem::exists(folder.catalogue(), error)) {
    return absl::NotFoundError(absl::StrCat("there is no store in ", folder.root.string()));
  }
  TY_ASSIGN_OR_RETURN(const auto lock, DataFolderLock::Take(folder));
  Catalogue::Options options;
  options.file = folder.catalogue();
  TY_ASSIGN_OR_RETURN(const auto catalogue, Catalogue::Open(options));
  TY_ASSIGN_OR_RETURN(const auto blobs, BlobStore::Open(folder.blobs(), FileSystem::Real()));
  TY_ASSIGN_OR_RETURN(const StoreCheck check, CheckStore(*catalogue, *blobs));
  for (const std::string& problem : check.problems) std::cout << "problem: " << problem << "\n";
  std::cout << check.blobs_checked << " blobs with " << check.bytes_checked << " bytes checked, "
            << check.orphans.size() << " unused, " << check.problems.size() << " problems"
            << std::endl;
  if (check.problems.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("the store has ", check.problems.size(), " problems"));
}

}  // namespace trainyard
