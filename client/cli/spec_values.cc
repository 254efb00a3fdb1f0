#include "client/cli/spec_values.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/util/json_util.h"
#include "proto/schema/field_docs.h"

namespace trainyard::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::EnumValueDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

absl::Status NotA(std::string_view text, std::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", Printable(text), "\" is not ", View(expected)));
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  bool value = false;
  if (text.empty() || text == "on") return true;
  if (text == "off") return false;
  if (absl::SimpleAtob(View(text), &value)) return value;
  return NotA(text, "true or false");
}

// The value of a scalar field as text; `Store` puts it into a field, or adds it to a list.
struct Slot {
  Message& message;
  const FieldDescriptor& field;
  bool add;
};

absl::Status StoreInteger(const Slot& slot, std::string_view text) {
  int64_t value = 0;
  const bool narrow = slot.field.cpp_type() == FieldDescriptor::CPPTYPE_INT32;
  if (!absl::SimpleAtoi(View(text), &value)) return NotA(text, "a whole number of 64 bits");
  if (narrow && (value < std::numeric_limits<int32_t>::min() ||
                 value > std::numeric_limits<int32_t>::max())) {
    return NotA(text, "a whole number of 32 bits");
  }
  const auto* reflection = slot.message.GetReflection();
  if (narrow && slot.add) {
    reflection->AddInt32(&slot.message, &slot.field, static_cast<int32_t>(value));
  } else if (narrow) {
    reflection->SetInt32(&slot.message, &slot.field, static_cast<int32_t>(value));
  } else if (slot.add) {
    reflection->AddInt64(&slot.message, &slot.field, value);
  } else {
    reflection->SetInt64(&slot.message, &slot.field, value);
  }
  return absl::OkStatus();
}

absl::Status StoreReal(const Slot& slot, std::string_view text) {
  double value = 0;
  if (!absl::SimpleAtod(View(text), &value)) return NotA(text, "a number");
  const auto* reflection = slot.message.GetReflection();
  const bool narrow = slot.field.cpp_type() == FieldDescriptor::CPPTYPE_FLOAT;
  if (narrow && slot.add) {
    reflection->AddFloat(&slot.message, &slot.field, static_cast<float>(value));
  } else if (narrow) {
    reflection->SetFloat(&slot.message, &slot.field, static_cast<float>(value));
  } else if (slot.add) {
    reflection->AddDouble(&slot.message, &slot.field, value);
  } else {
    reflection->SetDouble(&slot.message, &slot.field, value);
  }
  return absl::OkStatus();
}

absl::Status StoreString(const Slot& slot, std::string_view text) {
  if (ValidUtf8(text) != text) return NotA(text, "valid UTF-8");
  const auto* reflection = slot.message.GetReflection();
  if (slot.add) {
    reflection->AddString(&slot.message, &slot.field, std::string(text));
  } else {
    reflection->SetString(&slot.message, &slot.field, std::string(text));
  }
  return absl::OkStatus();
}

// Messages: durations in words, all others as JSON.
absl::Status StoreMessage(const Slot& slot, std::string_view text) {
  const auto* reflection = slot.message.GetReflection();
  Message* target = slot.add ? reflection->AddMessage(&slot.message, &slot.field)
                             : reflection->MutableMessage(&slot.message, &slot.field);
  if (target->GetDescriptor() == google::protobuf::Duration::descriptor()) {
    CLIENT_ASSIGN_OR_RETURN(const google::protobuf::Duration duration, ParseDuration(text));
    target->CopyFrom(duration);
    return absl::OkStatus();
  }
  const std::unique_ptr<Message> parsed(target->New());
  const auto status = google::protobuf::util::JsonStringToMessage(std::string(text), parsed.get());
  if (!status.ok()) {
    return NotA(text, absl::StrCat(slot.field.message_type()->name(),
                                   " as JSON: ", std::string(status.message())));
  }
  target->MergeFrom(*parsed);
  return absl::OkStatus();
}

absl::Status Store(const Slot& slot, std::string_view text) {
  const auto* reflection = slot.message.GetReflection();
  switch (slot.field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL: {
      CLIENT_ASSIGN_OR_RETURN(const bool value, ParseBool(text));
      slot.add ? reflection->AddBool(&slot.message, &slot.field, value)
               : reflection->SetBool(&slot.message, &slot.field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return StoreInteger(slot, text);
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return StoreReal(slot, text);
    case FieldDescriptor::CPPTYPE_STRING:
      return StoreString(slot, text);
    case FieldDescriptor::CPPTYPE_ENUM: {
      CLIENT_ASSIGN_OR_RETURN(const int value, ParseEnum(*slot.field.enum_type(), text));
      slot.add ? reflection->AddEnumValue(&slot.message, &slot.field, value)
               : reflection->SetEnumValue(&slot.message, &slot.field, value);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return StoreMessage(slot, text);
    default:
      return absl::UnimplementedError(
          absl::StrCat("fields of type ", slot.field.type_name(), " cannot be set from text"));
  }
}

// Puts one entry into a map, replacing the one with the same key.
absl::Status StoreEntry(Message& message, const FieldDescriptor& field, std::string_view key,
                        std::string_view value) {
  const Descriptor& entry_type = *field.message_type();
  const auto* reflection = message.GetReflection();
  const std::unique_ptr<Message> entry(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(&entry_type)->New());
  CLIENT_RETURN_IF_ERROR(Store({*entry, *entry_type.map_key(), false}, key));
  CLIENT_RETURN_IF_ERROR(Store({*entry, *entry_type.map_value(), false}, value));
  const std::string wanted = entry->GetReflection()->GetString(*entry, entry_type.map_key());
  for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
    Message* old = reflection->MutableRepeatedMessage(&message, &field, i);
    if (old->GetReflection()->GetString(*old, entry_type.map_key()) != wanted) continue;
    old->CopyFrom(*entry);
    return absl::OkStatus();
  }
  reflection->AddMessage(&message, &field)->CopyFrom(*entry);
  return absl::OkStatus();
}

absl::Status StoreAll(Message& message, const FieldDescriptor& field, std::string_view text,
                      bool keep) {
  if (!field.is_repeated()) return Store({message, field, false}, text);
  std::vector<std::string> elements;
  const bool object = !field.is_map() && field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
                      absl::StartsWith(View(text), "{");
  if (object) {
    elements.emplace_back(text);
  } else {
    CLIENT_ASSIGN_OR_RETURN(elements, SplitList(text));
  }
  if (!keep) message.GetReflection()->ClearField(&message, &field);
  for (const std::string& element : elements) {
    if (!field.is_map()) {
      CLIENT_RETURN_IF_ERROR(Store({message, field, true}, element));
      continue;
    }
    const size_t equals = element.find('=');
    if (equals == std::string::npos) return NotA(element, "key=value");
    CLIENT_RETURN_IF_ERROR(
        StoreEntry(message, field, element.substr(0, equals), element.substr(equals + 1)));
  }
  return absl::OkStatus();
}

const FieldDescriptor* FindField(const Descriptor& message, std::string_view name) {
  const std::string folded = absl::StrReplaceAll(View(name), {{"-", "_"}});
  const FieldDescriptor* field = message.FindFieldByName(folded);
  return field != nullptr ? field : message.FindFieldByCamelcaseName(folded);
}

absl::Status Change(Message& root, std::string_view path, std::string_view text, bool keep) {
  Message* message = &root;
  std::string_view rest = path;
  while (true) {
    const size_t dot = rest.find('.');
    const std::string_view name = rest.substr(0, dot);
    const FieldDescriptor* field = FindField(*message->GetDescriptor(), name);
    if (field == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", Printable(name), "\" is not a field of ", message->GetDescriptor()->name(),
          DidYouMean(path, FieldPaths(*root.GetDescriptor()))));
    }
    if (dot == rest.npos) return StoreAll(*message, *field, text, keep);
    rest.remove_prefix(dot + 1);
    if (field->is_map()) return StoreEntry(*message, *field, rest, text);
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated()) {
      return absl::InvalidArgumentError(absl::StrCat("\"", field->name(), "\" has no fields, so \"",
                                                     Printable(rest), "\" is not one"));
    }
    message = message->GetReflection()->MutableMessage(message, field);
  }
}

}  // namespace

absl::Status SetField(Message& message, std::string_view path, std::string_view text) {
  absl::Status status = Change(message, path, text, false);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(Printable(path), ": ", status.message()));
}

absl::Status AddToField(Message& message, std::string_view path, std::string_view text) {
  absl::Status status = Change(message, path, text, true);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(Printable(path), ": ", status.message()));
}

absl::Status SetAssignment(Message& message, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0) {
    return NotA(assignment, "of the form field=value");
  }
  return SetField(message, assignment.substr(0, equals), assignment.substr(equals + 1));
}

std::string ShortEnumName(const EnumValueDescriptor& value) {
  std::string prefix = value.type()->value(0)->name();
  const size_t end = prefix.rfind("UNSPECIFIED");
  const bool prefixed =
      end != std::string::npos && end > 0 && absl::StartsWith(value.name(), prefix.substr(0, end));
  return absl::AsciiStrToLower(prefixed ? value.name().substr(end) : value.name());
}

absl::StatusOr<int> ParseEnum(const EnumDescriptor& type, std::string_view text) {
  const std::string wanted = absl::AsciiStrToLower(absl::StrReplaceAll(View(text), {{"-", "_"}}));
  std::vector<std::string> names;
  for (int i = 0; i < type.value_count(); ++i) {
    const EnumValueDescriptor& value = *type.value(i);
    const std::string short_name = ShortEnumName(value);
    if (wanted == short_name || wanted == absl::AsciiStrToLower(value.name())) {
      return value.number();
    }
    if (value.number() != 0) names.push_back(short_name);
  }
  int number = 0;
  if (absl::SimpleAtoi(View(text), &number)) return number;
  return NotA(text, absl::StrCat("one of ", absl::StrJoin(names, ", "), DidYouMean(wanted, names)));
}

absl::StatusOr<std::vector<std::string>> SplitList(std::string_view text) {
  absl::string_view view = absl::StripAsciiWhitespace(View(text));
  if (view.size() >= 2 && view.front() == '[' && view.back() == ']') {
    view = view.substr(1, view.size() - 2);
  }
  std::vector<std::string> elements;
  if (absl::StripAsciiWhitespace(view).empty()) return elements;
  std::string element;
  bool quoted = false;      // inside quotes
  bool was_quoted = false;  // the element had quotes
  const auto end_element = [&] {
    if (!was_quoted) element = std::string(absl::StripAsciiWhitespace(element));
    elements.push_back(std::exchange(element, std::string()));
    was_quoted = false;
  };
  for (size_t i = 0; i < view.size(); ++i) {
    const char c = view[i];
    if (quoted && c == '"' && i + 1 < view.size() && view[i + 1] == '"') {
      element += '"';
      ++i;
    } else if (c == '"' && (quoted || absl::StripAsciiWhitespace(element).empty())) {
      if (!quoted) element.clear();
      quoted = !quoted;
      was_quoted = true;
    } else if (c == ',' && !quoted) {
      end_element();
    } else if (!(was_quoted && !quoted && c == ' ')) {
      element += c;
    }
  }
  if (quoted) return NotA(text, "a list: a double quote is not closed");
  end_element();
  return elements;
}

std::vector<std::string> FieldPaths(const Descriptor& message) {
  std::vector<std::string> paths;
  for (const FieldDoc& doc : DescribeFields(message)) paths.push_back(doc.path);
  return paths;
}

}  // namespace trainyard::cli
