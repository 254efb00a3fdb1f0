#include "server/api/predict_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/api/file_chunks.h"

namespace trainyard {
namespace {

absl::Status MessageError(std::string_view field, std::string_view rule) {
  Violations violations;
  violations.Add(field, rule);
  return violations.ToStatus();
}

}  // namespace

PredictReactor::Reactor* PredictReactor::Start(WorkerPool& pool, CallRecord record,
                                               const PredictLimits& limits,
                                               std::shared_ptr<std::atomic<int64_t>> buffered_bytes,
                                               Prepare prepare) {
  auto reactor = std::make_shared<PredictReactor>(pool, record, limits, std::move(buffered_bytes),
                                                  std::move(prepare));
  reactor->self_ = reactor;
  reactor->StartRead(&reactor->request_);
  return reactor.get();
}

PredictReactor::PredictReactor(WorkerPool& pool, const CallRecord& record,
                               const PredictLimits& limits,
                               std::shared_ptr<std::atomic<int64_t>> buffered_bytes,
                               Prepare prepare)
    : pool_(pool),
      record_(record),
      limits_(limits),
      buffered_bytes_(std::move(buffered_bytes)),
      prepare_(std::move(prepare)) {}

PredictReactor::~PredictReactor() { *buffered_bytes_ -= static_cast<int64_t>(input_.size()); }

void PredictReactor::OnReadDone(bool ok) {
  if (cancelled()) return End(CallCancelledError());
  if (!ok) {
    if (!has_header_) {
      return End(MessageError("header", "must be given in the first message"));
    }
    return pool_.Submit([self = shared_from_this()] { self->Predict(); });
  }
  if (const absl::Status status = Take(); !status.ok()) return End(status);
  StartRead(&request_);
}

// Adds the message read to the input.
absl::Status PredictReactor::Take() {
  if (!has_header_) {
    if (!request_.has_header()) {
      return MessageError("header", "must be given in the first message");
    }
    header_ = std::move(*request_.mutable_header());
    has_header_ = true;
    return absl::OkStatus();
  }
  if (request_.message_case() != v1::PredictTableRequest::kData) {
    return MessageError("message", "only the first message may be other than data");
  }
  if (!header_.dataset().empty()) {
    return MessageError("data", "must not be given together with header.dataset");
  }
  const auto size = static_cast<int64_t>(request_.data().size());
  if (size > kMaxChunkBytes) {
    return MessageError("data", absl::StrCat("has ", size, " bytes; at most ", kMaxChunkBytes));
  }
  if (static_cast<int64_t>(input_.size()) + size > limits_.max_bytes) {
    return WithReason(
        absl::OutOfRangeError(absl::StrCat("the table has more than the ", limits_.max_bytes,
                                           " bytes that a prediction may have; upload it as a data "
                                           "set and name that in header.dataset")),
        "TABLE_TOO_LARGE", {{"max_predict_bytes", absl::StrCat(limits_.max_bytes)}});
  }
  if (*buffered_bytes_ + size > limits_.max_total_bytes) {
    return WithReason(absl::ResourceExhaustedError("too many predictions are being sent at once"),
                      "SERVER_OVERLOADED");
  }
  *buffered_bytes_ += size;
  input_ += request_.data();
  return absl::OkStatus();
}

void PredictReactor::Predict() {
  if (cancelled()) return End(CallCancelledError());
  if (prediction_ == nullptr) {
    auto prediction = prepare_(header_, input_);
    if (!prediction.ok()) return End(prediction.status());
    prediction_ = *std::move(prediction);
  }
  auto lines = prediction_->Next(static_cast<size_t>(kChunkBytes));
  if (!lines.ok() || lines->empty()) return End(lines.status());
  response_.set_data(*std::move(lines));
  response_.set_row_count(prediction_->rows_given());
  StartWrite(&response_);
}

void PredictReactor::OnWriteDone(bool ok) {
  if (!ok) return End(CallCancelledError());
  pool_.Submit([self = shared_from_this()] { self->Predict(); });
}

void PredictReactor::OnCancel() {
  MutexLock lock(&mutex_);
  cancelled_ = true;
}

bool PredictReactor::cancelled() {
  MutexLock lock(&mutex_);
  return cancelled_;
}

void PredictReactor::End(const absl::Status& status) { FinishCall(*this, record_, status); }

void PredictReactor::OnDone() { self_.reset(); }

}  // namespace trainyard
