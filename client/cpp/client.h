// The C++ client of a Trainyard server.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/retry.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/job_service.pb.h"
#include "trainyard/v1/model_service.pb.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard {

struct ClientOptions {
  // Time that a unary call may take, its repetitions included.
  absl::Duration call_timeout = absl::Seconds(10);
  // How calls are repeated that answer UNAVAILABLE and may safely be made twice.
  RetryOptions retry;
  // A watch that hears nothing for so long, not even a heartbeat, takes its connection for dead.
  absl::Duration watch_silence = absl::Seconds(45);
  // A watch gives up when so long nothing arrives over any number of connections.
  absl::Duration watch_give_up = absl::Minutes(5);
  // Pings on a silent connection: how often, and how long to wait for the answer.
  absl::Duration keepalive_time = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // Whether Connect compares versions with the server; this makes the first call.
  bool check_version = true;
  // Is called with texts for people, such as that the server has another minor version.
  std::function<void(const std::string&)> on_warning;
};

// Bytes done and bytes in all; 0 in all means unknown. Called from a thread of the call.
using ProgressCallback = std::function<void(int64_t done, int64_t total)>;

struct WatchOptions {
  // First event wanted; 0 and 1 mean from the beginning.
  int64_t from_sequence = 1;
  // Is called with each event exactly once, in order. An error ends the watch.
  std::function<absl::Status(const v1::JobEvent&)> on_event;
  // Is called when the connection was lost, before another is made after `wait`.
  std::function<void(const absl::Status& why, absl::Duration wait)> on_reconnect;
  // Ends the watch.
  std::stop_token stop;
};

// A connection to one server. Thread-safe. Every call returns the server's status with its typed
// details as payloads (see ViolationsOf and ReasonOf in proto/schema/violations.h), UNAVAILABLE
// when the server cannot be reached, and DEADLINE_EXCEEDED when it does not answer in time.
class Client {
 public:
  // `target` is `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; INVALID_ARGUMENT for anything else.
  // FAILED_PRECONDITION with reason VERSION_MISMATCH when the server has another major version.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(std::string_view target,
                                                         ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  absl::StatusOr<v1::ServerInfo> GetServerInfo();
  absl::StatusOr<v1::ListAlgorithmsResponse> ListAlgorithms();
  absl::StatusOr<v1::Algorithm> GetAlgorithm(std::string_view algorithm);
  absl::StatusOr<v1::Queue> GetQueue(std::string_view parent);

  // Makes up `request_id` when it is empty, so that repeating the call is safe.
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request);
  absl::StatusOr<v1::Job> GetJob(std::string_view name);
  absl::StatusOr<v1::ListJobsResponse> ListJobs(const v1::ListJobsRequest& request);
  absl::StatusOr<v1::Job> CancelJob(const v1::CancelJobRequest& request);
  absl::Status DeleteJob(const v1::DeleteJobRequest& request);
  absl::StatusOr<v1::ListMetricsResponse> ListMetrics(const v1::ListMetricsRequest& request);

  // Follows a job through lost connections and server restarts until the event that ends it;
  // returns the end state. CANCELLED when `stop` was requested, UNAVAILABLE when the server stayed
  // away for `watch_give_up`; other errors as the server sends them.
  absl::StatusOr<v1::Job::State> WatchJob(std::string_view name, const WatchOptions& options);

  // Sends the file at `path` in chunks with their CRC-32C after a pass that computes its SHA-256.
  // `header` needs parent and dataset_id; size, checksum, file name and upload id are filled in
  // here. An upload whose connection breaks goes on where the server says that it was.
  absl::StatusOr<v1::Dataset> UploadDataset(const std::string& path, v1::UploadDatasetHeader header,
                                            const ProgressCallback& progress = {});
  absl::StatusOr<v1::Dataset> GetDataset(std::string_view name);
  absl::StatusOr<v1::ListDatasetsResponse> ListDatasets(const v1::ListDatasetsRequest& request);
  absl::StatusOr<v1::PreviewDatasetResponse> PreviewDataset(
      const v1::PreviewDatasetRequest& request);
  absl::Status DeleteDataset(const v1::DeleteDatasetRequest& request);
  // Writes the data set's file to `path`, which appears once its checksums hold; continues where a
  // lost connection broke off. DATA_LOSS when a checksum differs. Returns the size in bytes.
  absl::StatusOr<int64_t> DownloadDataset(std::string_view name, const std::string& path,
                                          const ProgressCallback& progress = {});

  absl::StatusOr<v1::Model> GetModel(std::string_view name);
  absl::StatusOr<v1::ListModelsResponse> ListModels(const v1::ListModelsRequest& request);
  absl::Status DeleteModel(const v1::DeleteModelRequest& request);
  absl::StatusOr<v1::PrintTreeResponse> PrintTree(const v1::PrintTreeRequest& request);
  // Writes the model's files into the new folder `folder`, which appears once all are complete and
  // their checksums hold. ALREADY_EXISTS when it is there, not empty, and `replace` is false;
  // INVALID_ARGUMENT when a file name would leave the folder.
  absl::StatusOr<v1::Model> DownloadModel(std::string_view name, const std::string& folder,
                                          bool replace = false,
                                          const ProgressCallback& progress = {});

  // Applies a model. With an empty `input_path` to `header.dataset`, else to the file there.
  // `output` receives the CSV answer in pieces; an error that it returns ends the call. Not
  // repeated when the connection breaks. Returns the number of rows.
  absl::StatusOr<int64_t> Predict(const v1::PredictTableHeader& header,
                                  const std::string& input_path,
                                  const std::function<absl::Status(std::string_view)>& output,
                                  const ProgressCallback& progress = {});

  // Explains a model on the table at `input_path`, or with an empty path on `header.dataset`.
  // `output` receives the messages of the answer in order; an error that it returns ends the call.
  // Not repeated when the connection breaks.
  absl::Status Explain(const v1::ExplainHeader& header, const std::string& input_path,
                       const std::function<absl::Status(const v1::ExplainResponse&)>& output,
                       const ProgressCallback& progress = {});

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

// A random version 4 UUID in its usual text form.
std::string MakeUuid();

}  // namespace trainyard
