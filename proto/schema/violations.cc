#include "proto/schema/violations.h"

#include <algorithm>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/time_util.h"
#include "google/rpc/error_details.pb.h"

namespace trainyard {
namespace {

constexpr size_t kMaxFieldBytes = 200;
constexpr size_t kMaxDescriptionBytes = 300;
constexpr int kMaxInMessage = 3;

// Number of bytes of the UTF-8 sequence that begins at `text[i]`, 0 if there is none.
size_t SequenceLength(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned char lead = byte(i);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  const unsigned char second = byte(i + 1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F)) return 0;
  if ((lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F)) return 0;
  return length;
}

// `text` as valid UTF-8 of at most `limit` bytes: what does not decode becomes `?`, what is cut
// `…`.
std::string CleanText(std::string_view text, size_t limit) {
  constexpr std::string_view kEllipsis = "…";
  std::string clean;
  for (size_t i = 0; i < text.size();) {
    const size_t length = SequenceLength(text, i);
    const size_t step = std::max<size_t>(length, 1);
    const bool fits_whole = clean.size() + (text.size() - i) <= limit;
    if (!fits_whole && clean.size() + step + kEllipsis.size() > limit) {
      clean.append(kEllipsis);
      break;
    }
    if (length == 0) {
      clean.push_back('?');
    } else {
      clean.append(text.substr(i, length));
    }
    i += step;
  }
  return clean;
}

absl::string_view Url(std::string_view url) { return {url.data(), url.size()}; }

template <typename Message>
bool ParsePayload(const absl::Status& status, std::string_view url, Message& message) {
  const auto payload = status.GetPayload(Url(url));
  return payload.has_value() && message.ParseFromString(std::string(*payload));
}

}  // namespace

void Violations::Add(std::string_view field, std::string_view description) {
  ++count_;
  if (static_cast<int>(kept_.size()) >= kMaxKept) return;
  kept_.push_back({CleanText(field, kMaxFieldBytes), CleanText(description, kMaxDescriptionBytes)});
}

absl::Status Violations::ToStatus() const {
  if (empty()) return absl::OkStatus();
  std::string message;
  const int shown = std::min(kMaxInMessage, static_cast<int>(kept_.size()));
  for (int i = 0; i < shown; ++i) {
    absl::StrAppend(&message, i == 0 ? "" : "; ", kept_[i].field, ": ", kept_[i].description);
  }
  if (count_ > kMaxInMessage) {
    absl::StrAppend(&message, "; and ", count_ - kMaxInMessage, " more");
  }
  google::rpc::BadRequest details;
  size_t bytes = 0;
  for (const FieldViolation& violation : kept_) {
    // Details above 6 KiB would be lost on the way to the client.
    bytes += violation.field.size() + violation.description.size() + 8;
    if (bytes > 4096) break;
    auto* added = details.add_field_violations();
    added->set_field(violation.field);
    added->set_description(violation.description);
  }
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(Url(kBadRequestPayload), absl::Cord(details.SerializeAsString()));
  return status;
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  google::rpc::BadRequest details;
  std::vector<FieldViolation> violations;
  if (!ParsePayload(status, kBadRequestPayload, details)) return violations;
  for (const auto& violation : details.field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

absl::Status WithReason(absl::Status status, std::string_view reason,
                        const std::vector<std::pair<std::string, std::string>>& metadata) {
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("trainyard");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = CleanText(value, 300);
  status.SetPayload(Url(kErrorInfoPayload), absl::Cord(info.SerializeAsString()));
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  return ParsePayload(status, kErrorInfoPayload, info) ? info.reason() : "";
}

absl::Status WithRetryDelay(absl::Status status, double seconds) {
  google::rpc::RetryInfo info;
  *info.mutable_retry_delay() = google::protobuf::util::TimeUtil::MillisecondsToDuration(
      static_cast<int64_t>(seconds * 1000));
  status.SetPayload(Url(kRetryInfoPayload), absl::Cord(info.SerializeAsString()));
  return status;
}

}  // namespace trainyard
