// A Trainyard server for tests of the client: keeps everything in memory, fails as told.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "trainyard/v1/dataset_service.pb.h"
#include "trainyard/v1/job_service.pb.h"
#include "trainyard/v1/model_service.pb.h"
#include "trainyard/v1/server_service.pb.h"

namespace trainyard::testing {

// How one stream of WatchJob ends before the job does.
struct WatchCut {
  enum Kind {
    kUnavailable,  // ends with UNAVAILABLE
    kOk,           // ends with OK although the job goes on
    kCancelled,    // ends with CANCELLED, as a server that is shut down hard
    kSilence,      // stays open and says nothing
    kRepeat,       // sends the last event again, then UNAVAILABLE
    kGap,          // leaves one event out and goes on
  };
  int after_events = 0;
  Kind kind = kUnavailable;
};

// One file of a model, as sent; the fields say what the first chunk claims.
struct FakeModelFile {
  std::string path;
  std::string data;
};

// How downloads are spoilt.
struct DownloadFault {
  bool wrong_crc = false;
  bool wrong_sha256 = false;
  bool short_file = false;
  int64_t unavailable_after_bytes = -1;  // once
};

// What the server holds and saw. Guarded by `mutex` while the server runs.
struct FakeState {
  absl::Mutex mutex;
  std::string version = "0.1.0";
  // Answers to the next calls of a method, by its name, before it works.
  std::map<std::string, std::deque<absl::Status>> failures;
  std::map<std::string, int> calls;
  std::vector<v1::CreateJobRequest> create_requests;
  std::map<std::string, v1::Job> jobs;
  std::map<std::string, std::vector<v1::JobEvent>> events;
  std::deque<WatchCut> watch_cuts;
  std::vector<int64_t> watch_starts;
  int events_per_batch = 3;
  std::vector<v1::MetricPoint> metrics;
  std::map<std::string, v1::Dataset> datasets;
  v1::UploadDatasetHeader upload_header;
  std::vector<v1::FileChunk> upload_chunks;
  std::string dataset_bytes;
  v1::Model model;
  std::vector<FakeModelFile> model_files;
  DownloadFault download_fault;
  std::vector<int64_t> download_offsets;
  std::vector<v1::PredictTableHeader> predict_headers;
  std::vector<v1::ExplainHeader> explain_headers;
  int list_page_limit = 1000;
};

// Serves a FakeState on a loopback port.
class FakeServer {
 public:
  FakeServer();
  ~FakeServer();

  // Stops at once, cutting every stream; starts again on the same port.
  void Stop();
  void Start();

  std::string address() const;
  FakeState& state() { return *state_; }

  // Waits until `method` was called `count` times; false after ten seconds.
  bool AwaitCalls(const std::string& method, int count);

 private:
  struct Services;
  std::unique_ptr<FakeState> state_;
  std::unique_ptr<Services> services_;
  int port_ = 0;
};

// Adds a job with `steps` metric points to the state and the events of its life up to `end`; for
// STATE_RUNNING it has not ended.
void AddJob(FakeState& state, const std::string& id, v1::Job::State end, int steps);

}  // namespace trainyard::testing
