// The embedded catalogue: everything the server must remember, in one SQLite file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "proto/schema/resource_names.h"
#include "trainyard/v1/dataset.pb.h"
#include "trainyard/v1/job.pb.h"
#include "trainyard/v1/model.pb.h"

namespace trainyard {

// What only the server knows of an attempt; survives a restart.
struct AttemptRecord {
  AttemptName name;
  std::string token_sha256;        // of the one-time token; empty once it was used
  std::string session_key_sha256;  // empty until the worker's first Hello
  int64_t worker_sequence = 0;     // newest worker event stored
  std::string executor;            // which executor runs it
  std::string process;             // opaque: how that executor finds the process again
  bool ended = false;
};

// The answer to a CreateJob that carried a request id.
struct RequestRecord {
  JobName job;
  std::string content_sha256;
};

// A page of jobs to list. `filter`, `order_by` and `page_token` as in ListJobsRequest.
struct JobQuery {
  std::string project;
  std::string filter;
  std::string order_by;
  std::string page_token;
  int32_t page_size = 50;
};
struct JobPage {
  std::vector<v1::Job> jobs;  // without reports
  std::string next_page_token;
};

// A page of metric points to list.
struct MetricQuery {
  JobName job;
  std::vector<std::string> metrics;
  int32_t max_points = 0;
  int32_t page_size = 10'000;
  std::string page_token;
};
struct MetricPage {
  std::vector<v1::MetricPoint> points;
  std::string next_page_token;
};

// Bytes of files of a model, by path.
using ModelContents = std::map<std::string, std::string>;

// The writes of one unit of work. Only valid inside the function given to Catalogue::Write; all its
// changes are committed together or not at all. Every method may also answer INTERNAL (the database
// failed) or RESOURCE_EXHAUSTED (the disk is full).
class CatalogueTransaction {
 public:
  virtual ~CatalogueTransaction() = default;

  // ALREADY_EXISTS when the name is taken.
  virtual absl::Status InsertJob(const v1::Job& job) = 0;
  // Replaces the stored job. NOT_FOUND when there is none.
  virtual absl::Status UpdateJob(const v1::Job& job) = 0;
  // Removes the job, its attempts, events, metrics and request ids. NOT_FOUND when there is none.
  virtual absl::Status DeleteJob(const JobName& name) = 0;
  virtual absl::StatusOr<v1::Job> GetJob(const JobName& name) = 0;

  // Stores events whose sequence numbers follow the job's newest stored one without gaps
  // (FAILED_PRECONDITION otherwise); metric points in them become rows of the metrics history.
  virtual absl::Status AppendEvents(const JobName& job, std::span<const v1::JobEvent> events) = 0;

  // Inserts or replaces.
  virtual absl::Status PutAttempt(const AttemptRecord& attempt) = 0;

  virtual absl::StatusOr<std::optional<RequestRecord>> FindRequest(std::string_view project,
                                                                   std::string_view request_id) = 0;
  virtual absl::Status PutRequest(std::string_view project, std::string_view request_id,
                                  const RequestRecord& record) = 0;

  // Remembers the newest checkpoint of a job; replaces the one before.
  virtual absl::Status PutCheckpoint(const JobName& job, int64_t step, std::string_view blob_sha256,
                                     int64_t size_bytes) = 0;

  // Stores a version; its number must be the newest's plus one (1 creates the data set). `dataset`
  // holds the data set's state with that version. ABORTED when the number is taken.
  virtual absl::Status PutDatasetVersion(const v1::Dataset& dataset) = 0;
  virtual absl::StatusOr<v1::Dataset> GetDataset(const DatasetName& name) = 0;
  // NOT_FOUND when there is none; FAILED_PRECONDITION when a job that has not ended names it.
  virtual absl::Status DeleteDataset(const DatasetName& name) = 0;

  // `contents` holds those of the model's files that the catalogue keeps itself; the others are
  // blobs. ALREADY_EXISTS when the name is taken.
  virtual absl::Status InsertModel(const v1::Model& model, const ModelContents& contents) = 0;
  absl::Status InsertModel(const v1::Model& model) { return InsertModel(model, {}); }
  virtual absl::Status DeleteModel(const ModelName& name) = 0;
};

// The catalogue. Thread-safe. One writer thread commits the units of work that wait, together, with
// one fsync (group commit); readers see committed states only and never wait for the writer.
class Catalogue {
 public:
  struct Options {
    std::filesystem::path file;
    Clock* clock = &Clock::Real();
    int max_group_size = 512;  // units of work committed together
    int64_t max_pages = 0;     // of the database, for tests of a full disk; 0: no limit
  };
  using Work = std::function<absl::Status(CatalogueTransaction&)>;
  using Done = std::function<void(absl::Status)>;

  // Opens or creates the file and migrates it to the newest schema. FAILED_PRECONDITION when the
  // file was written by a newer version; DATA_LOSS when it is no catalogue or fails its quick
  // check.
  static absl::StatusOr<std::unique_ptr<Catalogue>> Open(const Options& options);
  virtual ~Catalogue() = default;

  // Runs `work` on the writer thread, in the order of the calls. `done` runs once on the writer
  // thread, when the changes are durable, or with the error that `work` or the commit answered
  // (nothing of that unit is kept then). `done` must not block.
  virtual void Write(Work work, Done done) = 0;
  // The same; waits for the result. Not to be called from `done`.
  absl::Status WriteAndWait(Work work);

  // Reads. NOT_FOUND when there is none.
  virtual absl::StatusOr<v1::Job> GetJob(const JobName& name) = 0;
  // INVALID_ARGUMENT with violations for `filter`, `order_by`, `page_token`.
  virtual absl::StatusOr<JobPage> ListJobs(const JobQuery& query) = 0;
  // Every job that has not ended, oldest first, with its attempts that have not ended: none of a job
  // that is queued.
  virtual absl::Status ForEachUnfinishedJob(
      const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit) = 0;
  // Events from `from_sequence` on: at most `max_events`, and at most `max_bytes` of them, but one.
  virtual absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const JobName& job,
                                                               int64_t from_sequence,
                                                               int max_events,
                                                               int64_t max_bytes) = 0;
  virtual absl::StatusOr<MetricPage> ListMetrics(const MetricQuery& query) = 0;
  // Checkpoint blob of a job, or nullopt.
  virtual absl::StatusOr<std::optional<std::string>> CheckpointOf(const JobName& job) = 0;

  virtual absl::StatusOr<v1::Dataset> GetDataset(const DatasetName& name) = 0;
  virtual absl::StatusOr<v1::DatasetVersion> GetDatasetVersion(const DatasetName& name) = 0;
  virtual absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(std::string_view project,
                                                                std::string_view after_id,
                                                                int limit) = 0;
  virtual absl::StatusOr<v1::Model> GetModel(const ModelName& name) = 0;
  // Those of the model's files that the catalogue keeps itself; the others are blobs.
  virtual absl::StatusOr<ModelContents> GetModelContents(const ModelName& name) = 0;
  // Newest first. `page_token` as in ListModelsRequest.
  struct ModelPage {
    std::vector<v1::Model> models;  // without manifest and report
    std::string next_page_token;
  };
  virtual absl::StatusOr<ModelPage> ListModels(std::string_view project,
                                               std::string_view page_token, int page_size) = 0;

  // SHA-256 and size of every blob that something refers to, each once.
  struct BlobReference {
    std::string sha256;
    int64_t size_bytes = 0;
    std::string referrer;  // name of one resource that refers to it
  };
  virtual absl::StatusOr<std::vector<BlobReference>> BlobReferences() = 0;

  // SQLite's integrity check; the problems found, empty when sound.
  virtual absl::StatusOr<std::vector<std::string>> IntegrityProblems() = 0;
};

}  // namespace trainyard
