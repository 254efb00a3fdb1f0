#include "server/execution/status_proto.h"

#include <string>

#include "absl/strings/cord.h"
#include "server/execution/local/small_files.h"

namespace trainyard {

google::rpc::Status StatusToMessage(const absl::Status& status) {
  google::rpc::Status message;
  message.set_code(static_cast<int>(status.code()));
  const absl::string_view text = status.message();
  message.set_message(ToValidUtf8({text.data(), text.size()}));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    auto& detail = *message.add_details();
    detail.set_type_url(std::string(url));
    detail.set_value(std::string(payload));
  });
  return message;
}

absl::Status StatusFromMessage(const google::rpc::Status& message) {
  constexpr int kLastCode = static_cast<int>(absl::StatusCode::kUnauthenticated);
  const bool known = message.code() >= 0 && message.code() <= kLastCode;
  absl::Status status(
      known ? static_cast<absl::StatusCode>(message.code()) : absl::StatusCode::kUnknown,
      message.message());
  for (const auto& detail : message.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

}  // namespace trainyard
