// The server side of calls that take a table and answer in pieces: PredictTable and Explain.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/api/call.h"
#include "server/api/file_chunks.h"
#include "server/api/stream_reactor.h"

namespace trainyard {

// Bounds on what such calls buffer.
struct TableCallLimits {
  int64_t max_bytes = 0;        // of one table
  int64_t max_total_bytes = 0;  // of all calls together
};

// Whether the caller has gone away; may outlive the call.
using CancelFlag = std::shared_ptr<std::atomic<bool>>;

// Reads the input whole (a message with a header, then messages with data), then sends what the
// source makes, one write outstanding. A cancelled call stops between two messages, or sooner where
// the source asks the flag. Owns itself. `Request` has the fields `header`, of type `Header` with a
// field `dataset`, and `data` in its oneof `message`.
template <class Request, class Header, class Response>
class TableReactor final
    : public grpc::ServerBidiReactor<Request, Response>,
      public std::enable_shared_from_this<TableReactor<Request, Header, Response>> {
 public:
  using Reactor = grpc::ServerBidiReactor<Request, Response>;
  // Loads model and table of a call; may block. `input` holds the bytes that were sent.
  using Prepare = std::function<absl::StatusOr<std::unique_ptr<MessageSource<Response>>>(
      const Header& header, const std::string& input, const CancelFlag& cancelled)>;

  // `buffered_bytes` counts what all calls buffer.
  static Reactor* Start(WorkerPool& pool, CallRecord record, const TableCallLimits& limits,
                        std::shared_ptr<std::atomic<int64_t>> buffered_bytes, Prepare prepare) {
    auto reactor = std::make_shared<TableReactor>(pool, record, limits, std::move(buffered_bytes),
                                                  std::move(prepare));
    reactor->self_ = reactor;
    reactor->StartRead(&reactor->request_);
    return reactor.get();
  }

  TableReactor(WorkerPool& pool, const CallRecord& record, const TableCallLimits& limits,
               std::shared_ptr<std::atomic<int64_t>> buffered_bytes, Prepare prepare)
      : pool_(pool),
        record_(record),
        limits_(limits),
        buffered_bytes_(std::move(buffered_bytes)),
        prepare_(std::move(prepare)) {}
  ~TableReactor() override { *buffered_bytes_ -= static_cast<int64_t>(input_.size()); }

  void OnReadDone(bool ok) override {
    if (*cancelled_) return End(CallCancelledError());
    if (!ok) {
      if (!has_header_) {
        return End(MessageError("header", "must be given in the first message"));
      }
      return pool_.Submit([self = this->shared_from_this()] { self->Step(); });
    }
    if (const absl::Status status = Take(); !status.ok()) return End(status);
    this->StartRead(&request_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(CallCancelledError());
    pool_.Submit([self = this->shared_from_this()] { self->Step(); });
  }

  void OnCancel() override { *cancelled_ = true; }
  void OnDone() override { self_.reset(); }

 private:
  static absl::Status MessageError(std::string_view field, std::string_view rule) {
    Violations violations;
    violations.Add(field, rule);
    return violations.ToStatus();
  }

  // Adds the message read to the input.
  absl::Status Take() {
    if (!has_header_) {
      if (!request_.has_header()) {
        return MessageError("header", "must be given in the first message");
      }
      header_ = std::move(*request_.mutable_header());
      has_header_ = true;
      return absl::OkStatus();
    }
    if (request_.message_case() != Request::kData) {
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
          absl::OutOfRangeError(absl::StrCat(
              "the table has more than the ", limits_.max_bytes,
              " bytes that may be sent with a call; upload it as a data set and name that in "
              "header.dataset")),
          "TABLE_TOO_LARGE", {{"max_predict_bytes", absl::StrCat(limits_.max_bytes)}});
    }
    if (*buffered_bytes_ + size > limits_.max_total_bytes) {
      return WithReason(absl::ResourceExhaustedError("too many tables are being sent at once"),
                        "SERVER_OVERLOADED");
    }
    *buffered_bytes_ += size;
    input_ += request_.data();
    return absl::OkStatus();
  }

  void Step() {
    if (*cancelled_) return End(CallCancelledError());
    if (source_ == nullptr) {
      auto source = prepare_(header_, input_, cancelled_);
      if (!source.ok()) return End(source.status());
      source_ = *std::move(source);
    }
    response_.Clear();
    const absl::StatusOr<bool> more = source_->Next(response_);
    if (!more.ok() || !*more) return End(more.status());
    this->StartWrite(&response_);
  }

  void End(const absl::Status& status) {
    source_.reset();
    FinishCall(*this, record_, status);
  }

  WorkerPool& pool_;
  const CallRecord record_;
  const TableCallLimits limits_;
  const std::shared_ptr<std::atomic<int64_t>> buffered_bytes_;
  const Prepare prepare_;
  const CancelFlag cancelled_ = std::make_shared<std::atomic<bool>>(false);
  std::shared_ptr<TableReactor> self_;

  // Used by one step at a time: reading, then making and writing.
  Request request_;
  Response response_;
  bool has_header_ = false;
  Header header_;
  std::string input_;
  std::unique_ptr<MessageSource<Response>> source_;
};

}  // namespace trainyard
