#include "server/storage/dataset_header.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "proto/schema/field_rules.h"
#include "proto/schema/resource_names.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

constexpr size_t kMaxFileNameBytes = 255;
constexpr size_t kMaxDisplayNameBytes = 200;

bool IsSha256(const std::string& text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

void CheckTexts(const v1::UploadDatasetHeader& header, Violations& violations) {
  if (header.file_name().size() > kMaxFileNameBytes) {
    violations.Add("header.file_name", absl::StrCat("has ", header.file_name().size(),
                                                    " bytes; at most ", kMaxFileNameBytes));
  }
  if (header.file_name().find_first_of(std::string("/\\\0", 3)) != std::string::npos) {
    violations.Add("header.file_name",
                   absl::StrCat("is '", header.file_name(), "'; must be a name without folders"));
  }
  if (header.display_name().size() > kMaxDisplayNameBytes) {
    violations.Add("header.display_name", absl::StrCat("has ", header.display_name().size(),
                                                       " bytes; at most ", kMaxDisplayNameBytes));
  }
}

void CheckTableOptions(const v1::TableReadOptions& options, Violations& violations) {
  CheckFieldRules(options, "header.table", violations);
  constexpr std::string_view kDelimiters = ",;\t| ";
  const std::string& delimiter = options.delimiter();
  if (delimiter.size() == 1 && kDelimiters.find(delimiter[0]) == std::string_view::npos) {
    violations.Add("header.table.delimiter",
                   absl::StrCat("is '", delimiter, "'; must be one of , ; tab | space"));
  }
}

}  // namespace

absl::Status CheckUploadHeader(const v1::UploadDatasetHeader& header, int64_t max_bytes) {
  Violations violations;
  const auto check = [&](std::string_view field, const absl::Status& status) {
    if (!status.ok()) {
      violations.Add(field, std::string_view(status.message().data(), status.message().size()));
    }
  };
  check("header.parent", ProjectName::Parse(header.parent()).status());
  check("header.dataset_id", CheckResourceId(header.dataset_id()));
  if (!v1::Dataset::Kind_IsValid(header.kind())) {
    violations.Add("header.kind", absl::StrCat("is ", static_cast<int>(header.kind()),
                                               ", which is no kind of data set"));
  }
  if (header.size_bytes() < 1) {
    violations.Add("header.size_bytes",
                   absl::StrCat("is ", header.size_bytes(),
                                "; must be at least 1, an empty file holds no data"));
  }
  if (!IsSha256(header.sha256())) {
    violations.Add("header.sha256", absl::StrCat("is '", header.sha256().substr(0, 80),
                                                 "'; must be 64 lower-case hexadecimal digits"));
  }
  if (!header.upload_id().empty() && !IsUuid(header.upload_id())) {
    violations.Add("header.upload_id", absl::StrCat("is '", header.upload_id().substr(0, 80),
                                                    "'; must be a UUID or not given"));
  }
  CheckTexts(header, violations);
  CheckTableOptions(header.table(), violations);
  if (!violations.empty()) return violations.ToStatus();

  if (header.kind() != v1::Dataset::KIND_UNSPECIFIED && header.kind() != v1::Dataset::KIND_TABLE) {
    return absl::UnimplementedError(absl::StrCat("data sets of kind ",
                                                 v1::Dataset::Kind_Name(header.kind()),
                                                 " are not supported by this build"));
  }
  if (header.size_bytes() > max_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat("header.size_bytes is ", header.size_bytes(),
                                                     "; this server takes data sets of at most ",
                                                     max_bytes, " bytes"));
  }
  return absl::OkStatus();
}

}  // namespace trainyard
