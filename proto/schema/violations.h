// All that is wrong with a request, gathered so that one answer names everything.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace trainyard {

// One wrong field: its path from the request's root, and the value found with the rule it breaks.
struct FieldViolation {
  std::string field;
  std::string description;

  friend bool operator==(const FieldViolation&, const FieldViolation&) = default;
};

// Gathers violations. Not thread-safe.
class Violations {
 public:
  // Violations beyond this number are counted but not kept, so that the error details stay small.
  static constexpr int kMaxKept = 25;

  // `field` and `description` are cut to 200 and 300 bytes; bytes that are not UTF-8 are replaced.
  void Add(std::string_view field, std::string_view description);

  bool empty() const { return count_ == 0; }
  int count() const { return count_; }
  const std::vector<FieldViolation>& kept() const { return kept_; }

  // OK when empty, else INVALID_ARGUMENT whose message names the first violations and whose payload
  // (see BadRequestOf) holds all that were kept.
  absl::Status ToStatus() const;

 private:
  std::vector<FieldViolation> kept_;
  int count_ = 0;
};

// The violations attached to `status` by Violations::ToStatus, empty if there are none.
std::vector<FieldViolation> ViolationsOf(const absl::Status& status);

// Payload URLs under which absl::Status carries typed details: `type.googleapis.com/` + full name.
inline constexpr std::string_view kBadRequestPayload = "type.googleapis.com/google.rpc.BadRequest";
inline constexpr std::string_view kErrorInfoPayload = "type.googleapis.com/google.rpc.ErrorInfo";
inline constexpr std::string_view kRetryInfoPayload = "type.googleapis.com/google.rpc.RetryInfo";

// Attaches a google.rpc.ErrorInfo of domain `trainyard` to a status that is not OK; returns it.
// `metadata` holds key, value pairs.
absl::Status WithReason(absl::Status status, std::string_view reason,
                        const std::vector<std::pair<std::string, std::string>>& metadata = {});

// The reason attached by WithReason, empty if there is none.
std::string ReasonOf(const absl::Status& status);

// Attaches a google.rpc.RetryInfo: the caller may repeat the call after `seconds`.
absl::Status WithRetryDelay(absl::Status status, double seconds);

}  // namespace trainyard
