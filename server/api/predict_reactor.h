// The server side of one PredictTable call.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "core/base/mutex.h"
#include "server/api/call.h"
#include "server/api/prediction.h"
#include "trainyard/v1/model_service.pb.h"

namespace trainyard {

// Bounds on what predictions buffer.
struct PredictLimits {
  int64_t max_bytes = 0;        // of one table
  int64_t max_total_bytes = 0;  // of all calls together
};

// Reads the input whole, then sends predictions block by block, one write outstanding. A cancelled
// call stops between two blocks. Owns itself.
class PredictReactor final
    : public grpc::ServerBidiReactor<v1::PredictTableRequest, v1::PredictTableResponse>,
      public std::enable_shared_from_this<PredictReactor> {
 public:
  using Reactor = grpc::ServerBidiReactor<v1::PredictTableRequest, v1::PredictTableResponse>;
  // Loads the model and the table of a call; may block. `input` holds the bytes that were sent.
  using Prepare = std::function<absl::StatusOr<std::unique_ptr<TablePrediction>>(
      const v1::PredictTableHeader& header, const std::string& input)>;

  // `buffered_bytes` counts what all calls buffer.
  static Reactor* Start(WorkerPool& pool, CallRecord record, const PredictLimits& limits,
                        std::shared_ptr<std::atomic<int64_t>> buffered_bytes, Prepare prepare);

  PredictReactor(WorkerPool& pool, const CallRecord& record, const PredictLimits& limits,
                 std::shared_ptr<std::atomic<int64_t>> buffered_bytes, Prepare prepare);
  ~PredictReactor() override;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  absl::Status Take();
  void Predict();
  void End(const absl::Status& status);
  bool cancelled();

  WorkerPool& pool_;
  const CallRecord record_;
  const PredictLimits limits_;
  const std::shared_ptr<std::atomic<int64_t>> buffered_bytes_;
  const Prepare prepare_;
  std::shared_ptr<PredictReactor> self_;

  // Used by one step at a time: reading, then predicting and writing.
  v1::PredictTableRequest request_;
  v1::PredictTableResponse response_;
  bool has_header_ = false;
  v1::PredictTableHeader header_;
  std::string input_;
  std::unique_ptr<TablePrediction> prediction_;

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace trainyard
