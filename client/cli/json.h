// JSON as the program prints it.
#pragma once

#include <string>
#include <string_view>

#include "google/protobuf/message.h"

namespace trainyard::cli {

// The message as proto JSON with the field names of the API, fields without presence always there
// (so that a script finds a zero or an empty list where it looks for one), and a line feed at the
// end. `compact` puts it on one line. Error details of types unknown to this program are left out.
std::string ToJson(const google::protobuf::Message& message, bool compact = false);

// `text` as a JSON string. Bytes that are not UTF-8 become `?`.
std::string JsonQuote(std::string_view text);

}  // namespace trainyard::cli
