#include "proto/schema/field_rules.h"

#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "google/protobuf/descriptor.h"
#include "trainyard/v1/field_rules.pb.h"

namespace trainyard {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

const v1::FieldRule& RuleOf(const FieldDescriptor& field) {
  return field.options().GetExtension(v1::rule);
}

std::string Join(std::string_view path, std::string_view name) {
  const absl::string_view path_view(path.data(), path.size());
  const absl::string_view name_view(name.data(), name.size());
  return path.empty() ? std::string(name) : absl::StrCat(path_view, ".", name_view);
}

bool IsNumber(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return true;
    default:
      return false;
  }
}

std::string NumberText(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

// For example `must be >= 0 and < 1 rows`.
std::string RangeText(const v1::FieldRule& rule) {
  std::string text = "must be";
  if (rule.has_minimum()) {
    absl::StrAppend(&text, rule.exclusive_minimum() ? " > " : " >= ", NumberText(rule.minimum()));
  }
  if (rule.has_maximum()) {
    absl::StrAppend(&text, rule.has_minimum() ? " and" : "",
                    rule.exclusive_maximum() ? " < " : " <= ", NumberText(rule.maximum()));
  }
  if (!rule.unit().empty()) absl::StrAppend(&text, " ", rule.unit());
  return text;
}

void CheckNumber(double value, const v1::FieldRule& rule, const std::string& path,
                 Violations& violations) {
  if (!std::isfinite(value)) {
    violations.Add(path, absl::StrCat("is ", value, "; must be a finite number"));
    return;
  }
  const bool too_small = rule.has_minimum() && (rule.exclusive_minimum() ? value <= rule.minimum()
                                                                         : value < rule.minimum());
  const bool too_large = rule.has_maximum() && (rule.exclusive_maximum() ? value >= rule.maximum()
                                                                         : value > rule.maximum());
  if (too_small || too_large) {
    violations.Add(path, absl::StrCat("is ", NumberText(value), "; ", RangeText(rule)));
  }
}

void CheckEnum(int number, const EnumDescriptor& type, const std::string& path,
               Violations& violations) {
  if (type.FindValueByNumber(number) != nullptr) return;
  std::string names;
  for (int i = 0; i < type.value_count(); ++i) {
    if (type.value(i)->number() != 0)
      absl::StrAppend(&names, names.empty() ? "" : ", ", type.value(i)->name());
  }
  violations.Add(path, absl::StrCat("is ", number, ", an unknown value; must be one of ", names));
}

void CheckString(const std::string& value, const v1::FieldRule& rule, const std::string& path,
                 Violations& violations) {
  if (rule.max_bytes() > 0 && value.size() > static_cast<size_t>(rule.max_bytes())) {
    violations.Add(path, absl::StrCat("is ", value.size(), " bytes long; must be at most ",
                                      rule.max_bytes(), " bytes"));
  }
}

double NumberAt(const Message& message, const FieldDescriptor& field, int index) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? reflection.GetRepeatedInt32(message, &field, index)
                      : reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(repeated ? reflection.GetRepeatedInt64(message, &field, index)
                                          : reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return repeated ? reflection.GetRepeatedFloat(message, &field, index)
                      : reflection.GetFloat(message, &field);
    default:
      return repeated ? reflection.GetRepeatedDouble(message, &field, index)
                      : reflection.GetDouble(message, &field);
  }
}

// Checks one value: of a singular field, or element `index` of a repeated one.
void CheckValue(const Message& message, const FieldDescriptor& field, int index,
                const std::string& path, Violations& violations) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  if (IsNumber(field)) {
    CheckNumber(NumberAt(message, field, index), RuleOf(field), path, violations);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const int number = repeated ? reflection.GetRepeatedEnumValue(message, &field, index)
                                : reflection.GetEnumValue(message, &field);
    CheckEnum(number, *field.enum_type(), path, violations);
  } else if (field.type() == FieldDescriptor::TYPE_STRING) {
    const std::string value = repeated ? reflection.GetRepeatedString(message, &field, index)
                                       : reflection.GetString(message, &field);
    CheckString(value, RuleOf(field), path, violations);
  } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    const Message& nested = repeated ? reflection.GetRepeatedMessage(message, &field, index)
                                     : reflection.GetMessage(message, &field);
    CheckFieldRules(nested, path, violations);
  }
}

void CheckRepeated(const Message& message, const FieldDescriptor& field, const std::string& path,
                   Violations& violations) {
  const int size = message.GetReflection()->FieldSize(message, &field);
  const v1::FieldRule& rule = RuleOf(field);
  if (rule.required() && size == 0) violations.Add(path, "is empty; at least one is required");
  if (size > 0 && size < rule.min_items()) {
    violations.Add(path,
                   absl::StrCat("has ", size, " elements; must have at least ", rule.min_items()));
  }
  if (rule.max_items() > 0 && size > rule.max_items()) {
    violations.Add(path,
                   absl::StrCat("has ", size, " elements; must have at most ", rule.max_items()));
    return;
  }
  for (int i = 0; i < size; ++i) {
    CheckValue(message, field, i, absl::StrCat(path, "[", i, "]"), violations);
  }
}

// Whether a singular field counts as given.
bool IsGiven(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  if (field.has_presence()) return reflection.HasField(message, &field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    return reflection.GetEnumValue(message, &field) != 0;
  }
  return reflection.HasField(message, &field);
}

bool DefaultIsFilledWithin(const Descriptor& message, int depth);

bool DefaultIsFilledFor(const FieldDescriptor& field, int depth) {
  if (!RuleOf(field).default_value().empty()) return true;
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated() &&
         field.containing_oneof() == nullptr &&
         DefaultIsFilledWithin(*field.message_type(), depth + 1);
}

// Whether FillDefaults would set anything in an empty message of this type.
bool DefaultIsFilledWithin(const Descriptor& message, int depth) {
  constexpr int kMaxDepth = 8;  // types that contain themselves
  if (depth > kMaxDepth) return false;
  for (int i = 0; i < message.field_count(); ++i) {
    if (DefaultIsFilledFor(*message.field(i), depth)) return true;
  }
  return false;
}

void SetFromText(Message& message, const FieldDescriptor& field, const std::string& text) {
  const Reflection& reflection = *message.GetReflection();
  const bool repeated = field.is_repeated();
  int64_t integer = 0;
  double real = 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (!absl::SimpleAtoi(text, &integer)) return;
      repeated ? reflection.AddInt32(&message, &field, static_cast<int32_t>(integer))
               : reflection.SetInt32(&message, &field, static_cast<int32_t>(integer));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      if (!absl::SimpleAtoi(text, &integer)) return;
      repeated ? reflection.AddInt64(&message, &field, integer)
               : reflection.SetInt64(&message, &field, integer);
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!absl::SimpleAtod(text, &real)) return;
      repeated ? reflection.AddDouble(&message, &field, real)
               : reflection.SetDouble(&message, &field, real);
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      repeated ? reflection.AddBool(&message, &field, text == "true")
               : reflection.SetBool(&message, &field, text == "true");
      return;
    case FieldDescriptor::CPPTYPE_ENUM: {
      const auto* value = field.enum_type()->FindValueByName(text);
      if (value == nullptr) return;
      repeated ? reflection.AddEnum(&message, &field, value)
               : reflection.SetEnum(&message, &field, value);
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING:
      repeated ? reflection.AddString(&message, &field, text)
               : reflection.SetString(&message, &field, text);
      return;
    default:
      return;
  }
}

void FillDefault(Message& message, const FieldDescriptor& field) {
  const std::string& text = RuleOf(field).default_value();
  if (text.empty()) return;
  if (!field.is_repeated()) {
    if (!IsGiven(message, field)) SetFromText(message, field, text);
    return;
  }
  if (message.GetReflection()->FieldSize(message, &field) > 0) return;
  for (const absl::string_view element : absl::StrSplit(text, ',')) {
    SetFromText(message, field, std::string(absl::StripAsciiWhitespace(element)));
  }
}

// Calls `visit(nested)` for every message that stands in a field of `message`, one level down.
template <typename Visit>
void ForEachNested(Message& message, const Visit& visit) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_map()) continue;
    if (!field->is_repeated()) {
      visit(*field, -1, *reflection.MutableMessage(&message, field));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      visit(*field, i, *reflection.MutableRepeatedMessage(&message, field, i));
    }
  }
}

void VisitAt(Message& message, std::string_view path, std::string_view resource,
             const std::function<void(const std::string&, std::string&)>& visit) {
  const Reflection& reflection = *message.GetReflection();
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (RuleOf(field).resource() != resource || field.type() != FieldDescriptor::TYPE_STRING)
      continue;
    if (field.is_repeated()) {
      for (int k = 0; k < reflection.FieldSize(message, &field); ++k) {
        std::string value = reflection.GetRepeatedString(message, &field, k);
        visit(absl::StrCat(Join(path, field.name()), "[", k, "]"), value);
        reflection.SetRepeatedString(&message, &field, k, value);
      }
    } else if (std::string value = reflection.GetString(message, &field); !value.empty()) {
      visit(Join(path, field.name()), value);
      reflection.SetString(&message, &field, value);
    }
  }
  ForEachNested(message, [&](const FieldDescriptor& field, int index, Message& nested) {
    std::string nested_path = Join(path, field.name());
    if (index >= 0) absl::StrAppend(&nested_path, "[", index, "]");
    VisitAt(nested, nested_path, resource, visit);
  });
}

}  // namespace

void CheckFieldRules(const Message& message, std::string_view path, Violations& violations) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const v1::FieldRule& rule = RuleOf(field);
    if (rule.output_only()) continue;
    const std::string field_path = Join(path, field.name());
    if (field.is_repeated()) {
      CheckRepeated(message, field, field_path, violations);
    } else if (IsGiven(message, field)) {
      CheckValue(message, field, 0, field_path, violations);
    } else if (rule.required()) {
      violations.Add(field_path, "is not given; it is required");
    }
  }
}

void FillDefaults(Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  const Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    FillDefault(message, field);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field.is_map()) continue;
    const bool absent = !field.is_repeated() && !reflection.HasField(message, &field);
    if (absent && DefaultIsFilledFor(field, 0)) reflection.MutableMessage(&message, &field);
  }
  ForEachNested(message,
                [](const FieldDescriptor&, int, Message& nested) { FillDefaults(nested); });
}

void ClearOutputOnly(Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  for (int i = 0; i < type.field_count(); ++i) {
    if (RuleOf(*type.field(i)).output_only()) {
      message.GetReflection()->ClearField(&message, type.field(i));
    }
  }
  ForEachNested(message,
                [](const FieldDescriptor&, int, Message& nested) { ClearOutputOnly(nested); });
}

void VisitResourceNames(
    Message& message, std::string_view resource,
    const std::function<void(const std::string& path, std::string& value)>& visit) {
  VisitAt(message, "", resource, visit);
}

}  // namespace trainyard
