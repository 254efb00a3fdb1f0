// The field names of a document, before it is known what it holds.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace trainyard::cli {

// A field of a document and the fields within it; several for each element of a list.
struct DocumentKey {
  std::string name;
  std::vector<DocumentKey> children;
};

// The names in a JSON object. INVALID_ARGUMENT when it is none.
absl::StatusOr<std::vector<DocumentKey>> JsonKeys(std::string_view text);

// The names in a document in protobuf text format. INVALID_ARGUMENT with line and column where its
// structure is broken; values are not looked at.
absl::StatusOr<std::vector<DocumentKey>> TextFormatKeys(std::string_view text);

}  // namespace trainyard::cli
