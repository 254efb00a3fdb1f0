#include "server/api/status_translation.h"

#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

constexpr size_t kMaxMessageBytes = 1024;
constexpr double kDefaultRetrySeconds = 1;

absl::string_view Url(std::string_view url) { return {url.data(), url.size()}; }

// Reason of an error for which nobody gave one.
std::string_view DefaultReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kCancelled:
      return "CALL_CANCELLED";
    case absl::StatusCode::kInvalidArgument:
      return "INVALID_REQUEST";
    case absl::StatusCode::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case absl::StatusCode::kNotFound:
      return "RESOURCE_NOT_FOUND";
    case absl::StatusCode::kAlreadyExists:
      return "RESOURCE_EXISTS";
    case absl::StatusCode::kPermissionDenied:
      return "PERMISSION_DENIED";
    case absl::StatusCode::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case absl::StatusCode::kFailedPrecondition:
      return "WRONG_STATE";
    case absl::StatusCode::kAborted:
      return "CONCURRENT_CHANGE";
    case absl::StatusCode::kOutOfRange:
      return "OUT_OF_RANGE";
    case absl::StatusCode::kUnimplemented:
      return "NOT_SUPPORTED";
    case absl::StatusCode::kUnavailable:
      return "SERVER_UNAVAILABLE";
    case absl::StatusCode::kDataLoss:
      return "DATA_DAMAGED";
    case absl::StatusCode::kUnauthenticated:
      return "UNAUTHENTICATED";
    default:
      return "SERVER_FAULT";
  }
}

// `text` cut to `limit` bytes at the end of a UTF-8 sequence.
std::string Cut(absl::string_view text, size_t limit) {
  if (text.size() <= limit) return std::string(text);
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "…";
}

absl::Status WithDefaults(absl::Status status) {
  if (ReasonOf(status).empty()) status = WithReason(status, DefaultReason(status.code()));
  const bool repeatable = absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
  if (repeatable && !status.GetPayload(Url(kRetryInfoPayload)).has_value()) {
    status = WithRetryDelay(status, kDefaultRetrySeconds);
  }
  return status;
}

void AddDetail(const absl::Status& status, std::string_view url, google::rpc::Status& result) {
  const auto payload = status.GetPayload(Url(url));
  if (!payload.has_value()) return;
  auto* detail = result.add_details();
  detail->set_type_url(std::string(url));
  detail->set_value(std::string(*payload));
}

// Drops violations from the end until the whole fits.
void FitBadRequest(const absl::Status& status, google::rpc::Status& result) {
  const auto payload = status.GetPayload(Url(kBadRequestPayload));
  google::rpc::BadRequest violations;
  if (!payload.has_value() || !violations.ParseFromString(std::string(*payload))) return;
  auto* detail = result.add_details();
  detail->set_type_url(std::string(kBadRequestPayload));
  detail->set_value(violations.SerializeAsString());
  while (result.ByteSizeLong() > kMaxStatusDetailBytes && violations.field_violations_size() > 0) {
    violations.mutable_field_violations()->RemoveLast();
    detail->set_value(violations.SerializeAsString());
  }
}

void AddOtherDetails(const absl::Status& status, google::rpc::Status& result) {
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (url == Url(kErrorInfoPayload) || url == Url(kRetryInfoPayload) ||
        url == Url(kBadRequestPayload)) {
      return;
    }
    if (result.ByteSizeLong() + url.size() + payload.size() + 16 > kMaxStatusDetailBytes) return;
    auto* detail = result.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
  });
}

}  // namespace

google::rpc::Status ToStatusDetails(const absl::Status& status) {
  absl::Status full = WithDefaults(status);
  google::rpc::Status result;
  result.set_code(static_cast<int>(full.code()));
  result.set_message(Cut(full.message(), kMaxMessageBytes));
  AddDetail(full, kErrorInfoPayload, result);
  if (result.ByteSizeLong() > kMaxStatusDetailBytes) {
    // Only metadata can be that large; the reason alone is short.
    const std::string reason = ReasonOf(full);
    full = WithReason(full, reason);
    result.clear_details();
    AddDetail(full, kErrorInfoPayload, result);
  }
  AddDetail(full, kRetryInfoPayload, result);
  FitBadRequest(full, result);
  AddOtherDetails(full, result);
  return result;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToStatusDetails(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.raw_code()), details.message(),
                      details.SerializeAsString());
}

}  // namespace trainyard
