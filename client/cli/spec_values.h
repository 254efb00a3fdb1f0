// Fields of a spec message set from text, as `--set` and the generated flags do.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"

namespace trainyard::cli {

// Sets the field at the dotted `path` of `message`, `-` and `_` being the same in names. A list is
// given as `a,b` or `[a, b]` (an element with a comma in double quotes), a map as `key=value,…` or
// one entry as `field.key`, an enum by its full name, its short one (`gini` for CRITERION_GINI) or
// its number, a duration as `10m`, a message as a JSON object that is merged in. What the field
// held before is replaced. INVALID_ARGUMENT names the path, the text and what was expected; for a
// wrong name, the nearest ones.
absl::Status SetField(google::protobuf::Message& message, std::string_view path,
                      std::string_view text);

// As SetField with `text` split at its first `=`: `cart.max_depth=5`.
absl::Status SetAssignment(google::protobuf::Message& message, std::string_view assignment);

// Adds to a list or map what SetField would put there instead.
absl::Status AddToField(google::protobuf::Message& message, std::string_view path,
                        std::string_view text);

// Short name of an enum value: in lower case, without what all values of the enum begin with.
std::string ShortEnumName(const google::protobuf::EnumValueDescriptor& value);

// The value of `type` called `text`: by full name, short name or number, in any case.
absl::StatusOr<int> ParseEnum(const google::protobuf::EnumDescriptor& type, std::string_view text);

// Splits at commas outside of double quotes; a doubled quote inside quotes is one. Blanks around
// unquoted elements and brackets around the whole are dropped.
absl::StatusOr<std::vector<std::string>> SplitList(std::string_view text);

// Paths of all fields that SetField can reach.
std::vector<std::string> FieldPaths(const google::protobuf::Descriptor& message);

}  // namespace trainyard::cli
