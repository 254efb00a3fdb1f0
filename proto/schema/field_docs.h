// What the API definition says about its messages, for help texts, references and tests.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/descriptor.pb.h"

namespace trainyard {

// One field of a message, nested messages flattened into dotted paths.
struct FieldDoc {
  std::string path;  // from the message, for example `cart.max_depth`
  std::string
      type;  // `bool`, `int32`, `int64`, `double`, `string`, `enum`, `map`; `repeated ` before it
  std::string description;    // the comment, in one paragraph
  std::string default_value;  // empty for none
  std::optional<double> minimum;
  std::optional<double> maximum;
  std::string unit;
  std::vector<std::string> enum_values;  // full names, `…_UNSPECIFIED` left out
  bool required = false;
  const google::protobuf::FieldDescriptor* descriptor = nullptr;
};

// The fields of `message` in the order of their numbers, depth first. Output-only fields are left
// out.
std::vector<FieldDoc> DescribeFields(const google::protobuf::Descriptor& message);

// The comment in front of a message, field, enum, enum value, service or method of the API, by its
// full name (`trainyard.v1.Job.state`); lines joined by spaces. Empty when there is none.
std::string CommentOf(std::string_view full_name);

// The file descriptors of the whole API with source information, as compiled in.
const google::protobuf::FileDescriptorSet& ApiDescriptors();

}  // namespace trainyard
