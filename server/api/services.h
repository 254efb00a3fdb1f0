// The API's services and what they stand on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/api/job_id.h"
#include "server/api/spec_resolution.h"
#include "server/api/worker_pool.h"
#include "server/scheduler/job_manager.h"
#include "server/storage/blob_store.h"
#include "server/storage/catalogue.h"
#include "server/storage/dataset_store.h"
#include "server/storage/model_store.h"
#include "server/telemetry/rpc_metrics.h"
#include "trainyard/v1/server_service.pb.h"

namespace grpc {
class Service;
}

namespace trainyard {

// Everything must outlive the services.
struct ServiceContext {
  JobManager* jobs = nullptr;
  Catalogue* catalogue = nullptr;
  BlobStore* blobs = nullptr;
  DatasetStore* datasets = nullptr;
  ModelStore* models = nullptr;
  Clock* clock = nullptr;
  RpcMetrics* metrics = nullptr;
  WorkerPool* pool = nullptr;       // short blocking work: catalogue reads, chunks of transfers
  WorkerPool* slow_pool = nullptr;  // long work: ending an upload, opening tables, predictions
  JobIdSource* job_ids = nullptr;
  SpecEnvironment spec;  // `get_dataset_version` is set to `datasets`
  v1::ServerInfo info;   // as GetServerInfo answers it
  absl::Duration heartbeat_interval = absl::Seconds(15);  // of a watch without events
  int predict_threads = 1;
  // Called after something was deleted, so that blobs may be collected.
  std::function<void()> on_deleted = [] {};
};

std::unique_ptr<grpc::Service> MakeJobService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeDatasetService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeModelService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeServerService(const ServiceContext& context);
std::unique_ptr<grpc::Service> MakeWorkerService(const ServiceContext& context);

}  // namespace trainyard
