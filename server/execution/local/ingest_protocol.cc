#include "server/execution/local/ingest_protocol.h"

#include <climits>

#include "absl/strings/str_cat.h"
#include "google/rpc/status.pb.h"
#include "server/execution/status_proto.h"

namespace trainyard {
namespace {

// First byte of a result.
constexpr char kSchemaTag = 'S';
constexpr char kErrorTag = 'E';

}  // namespace

std::string EncodeIngestResult(const absl::StatusOr<v1::TableSchema>& result) {
  if (result.ok()) return absl::StrCat(std::string(1, kSchemaTag), result->SerializeAsString());
  return absl::StrCat(std::string(1, kErrorTag),
                      StatusToMessage(result.status()).SerializeAsString());
}

absl::StatusOr<v1::TableSchema> DecodeIngestResult(std::string_view bytes) {
  if (!bytes.empty() && bytes.size() < INT_MAX) {
    const int size = static_cast<int>(bytes.size()) - 1;
    v1::TableSchema schema;
    if (bytes[0] == kSchemaTag && schema.ParseFromArray(bytes.data() + 1, size)) return schema;
    google::rpc::Status error;
    if (bytes[0] == kErrorTag && error.ParseFromArray(bytes.data() + 1, size)) {
      const absl::Status status = StatusFromMessage(error);
      if (!status.ok()) return status;
    }
  }
  return absl::InternalError("reading the table ended without a result that can be understood");
}

}  // namespace trainyard
