// Specs read from files.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainyard/v1/job.pb.h"

namespace trainyard::cli {

// Merges the document `text` into `job`. It is JSON when it begins with `{`, else protobuf text
// format, and holds the spec message of `algorithm`, a TrainingSpec, or a whole Job (whose
// output-only fields are ignored): whichever its field names belong to, in this order.
// INVALID_ARGUMENT for documents that do not parse, for unknown fields (with the nearest names),
// for more than one spec, and for the spec of another algorithm, naming both.
absl::Status MergeSpecText(std::string_view text, std::string_view algorithm, v1::Job& job);

// As MergeSpecText with the content of a file; errors name it.
absl::Status MergeSpecFile(const std::string& path, std::string_view algorithm, v1::Job& job);

}  // namespace trainyard::cli
