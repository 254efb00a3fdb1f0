#include "client/cli/json.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text.h"
#include "google/protobuf/any.pb.h"
#include "google/protobuf/util/json_util.h"
#include "google/rpc/status.pb.h"

namespace trainyard::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsKnown(const google::protobuf::Any& any) {
  const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return false;
  const std::unique_ptr<Message> value(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
  return value->ParseFromString(any.value());
}

// Removes what JSON has no form for from every google.rpc.Status within `message`.
void DropUnknownDetails(Message& message) {
  if (auto* status = dynamic_cast<google::rpc::Status*>(&message)) {
    auto* details = status->mutable_details();
    for (int i = details->size() - 1; i >= 0; --i) {
      if (!IsKnown(details->Get(i))) details->DeleteSubrange(i, 1);
    }
    return;
  }
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      DropUnknownDetails(*reflection->MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection->FieldSize(message, field); ++i) {
      DropUnknownDetails(*reflection->MutableRepeatedMessage(&message, field, i));
    }
  }
}

}  // namespace

std::string ToJson(const Message& message, bool compact) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = !compact;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  if (!google::protobuf::util::MessageToJsonString(message, &json, options).ok()) {
    const std::unique_ptr<Message> copy(message.New());
    copy->CopyFrom(message);
    DropUnknownDetails(*copy);
    json.clear();
    const auto status = google::protobuf::util::MessageToJsonString(*copy, &json, options);
    if (!status.ok()) json = "{}";
  }
  if (json.empty() || json.back() != '\n') json += '\n';
  return json;
}

std::string JsonQuote(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : ValidUtf8(text)) {
    switch (c) {
      case '"':
        quoted += "\\\"";
        break;
      case '\\':
        quoted += "\\\\";
        break;
      case '\n':
        quoted += "\\n";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
        } else {
          quoted += c;
        }
    }
  }
  return quoted + "\"";
}

}  // namespace trainyard::cli
