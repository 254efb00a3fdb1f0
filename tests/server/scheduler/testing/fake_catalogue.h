// A catalogue in memory whose commits happen when the test says so.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "server/storage/catalogue.h"

namespace trainyard {

// Thread-safe. Holds what the job manager uses; the rest answers UNIMPLEMENTED. Keeps the promises
// of catalogue.h: units in order, all or nothing, event sequences without gaps, `done` after the
// commit and never from Write.
class FakeCatalogue : public Catalogue {
 public:
  // Commits the units that wait (not those that their callbacks add). Returns their number.
  int Commit();
  // What a crash does: units that were not committed are lost.
  void LosePending();
  int pending() const;
  int64_t committed_units() const;
  // The next `count` units fail with this status.
  void FailNext(int count, absl::Status status);

  // --- For checks.
  std::vector<v1::JobEvent> EventsOf(const std::string& job) const;
  std::vector<AttemptRecord> AttemptsOf(const std::string& job) const;
  std::map<std::string, v1::Job> Jobs() const;
  std::map<std::string, v1::Model> Models() const;
  std::map<std::string, ModelContents> Contents() const;  // by model
  void AddModel(const v1::Model& model);

  void Write(Work work, Done done) override;
  absl::StatusOr<v1::Job> GetJob(const JobName& name) override;
  absl::StatusOr<JobPage> ListJobs(const JobQuery& query) override;
  absl::Status ForEachUnfinishedJob(
      const std::function<void(v1::Job job, std::vector<AttemptRecord> attempts)>& visit) override;
  absl::StatusOr<std::vector<v1::JobEvent>> ReadEvents(const JobName& job, int64_t from_sequence,
                                                       int max_events, int64_t max_bytes) override;
  absl::StatusOr<MetricPage> ListMetrics(const MetricQuery&) override { return Absent(); }
  absl::StatusOr<std::optional<std::string>> CheckpointOf(const JobName& job) override;
  absl::StatusOr<v1::Dataset> GetDataset(const DatasetName&) override { return Absent(); }
  absl::StatusOr<v1::DatasetVersion> GetDatasetVersion(const DatasetName&) override {
    return Absent();
  }
  absl::StatusOr<std::vector<v1::Dataset>> ListDatasets(std::string_view, std::string_view,
                                                        int) override {
    return Absent();
  }
  absl::StatusOr<v1::Model> GetModel(const ModelName&) override { return Absent(); }
  absl::StatusOr<ModelContents> GetModelContents(const ModelName&) override { return Absent(); }
  absl::StatusOr<ModelPage> ListModels(std::string_view, std::string_view, int) override {
    return Absent();
  }
  absl::StatusOr<std::vector<BlobReference>> BlobReferences() override { return Absent(); }
  absl::StatusOr<std::vector<std::string>> IntegrityProblems() override { return Absent(); }

 private:
  friend class FakeTransaction;
  static absl::Status Absent() { return absl::UnimplementedError("not in this fake"); }

  struct State {
    std::map<std::string, v1::Job> jobs;
    std::map<std::string, std::vector<v1::JobEvent>> events;
    std::map<std::string, std::map<int, AttemptRecord>> attempts;
    std::map<std::pair<std::string, std::string>, RequestRecord> requests;
    std::map<std::string, std::string> checkpoints;
    std::map<std::string, v1::Model> models;
    std::map<std::string, ModelContents> contents;
  };
  struct Unit {
    Work work;
    Done done;
  };

  mutable Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_);
  std::deque<Unit> pending_ ABSL_GUARDED_BY(mutex_);
  int64_t committed_ ABSL_GUARDED_BY(mutex_) = 0;
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace trainyard
