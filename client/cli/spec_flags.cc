#include "client/cli/spec_flags.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/errors.h"
#include "client/cli/spec_values.h"
#include "client/cli/text.h"
#include "client/cpp/status_macros.h"

namespace trainyard::cli {
namespace {

using google::protobuf::FieldDescriptor;

constexpr char kFlagGroup[] = "Options of the algorithm";

bool IsBool(const FieldDoc& field) {
  return field.descriptor->cpp_type() == FieldDescriptor::CPPTYPE_BOOL &&
         !field.descriptor->is_repeated();
}

std::vector<std::string> ShortValues(const FieldDoc& field) {
  std::vector<std::string> names;
  for (const std::string& name : field.enum_values) {
    names.push_back(ShortEnumName(*field.descriptor->enum_type()->FindValueByName(name)));
  }
  return names;
}

std::string TypeName(const FieldDoc& field) {
  if (field.descriptor->is_map()) return "KEY=VALUE,...";
  std::string name;
  switch (field.descriptor->cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      name = "BOOL";
      break;
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      name = "INT";
      break;
    case FieldDescriptor::CPPTYPE_FLOAT:
    case FieldDescriptor::CPPTYPE_DOUBLE:
      name = "NUMBER";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      name = "NAME";
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:
      name = field.descriptor->message_type()->name() == "Duration" ? "DURATION" : "JSON";
      break;
    default:
      name = "TEXT";
  }
  return field.descriptor->is_repeated() ? absl::StrCat(name, ",...") : name;
}

std::string RangeText(const FieldDoc& field) {
  if (field.minimum.has_value() && field.maximum.has_value()) {
    return absl::StrCat(HumanNumber(*field.minimum), " to ", HumanNumber(*field.maximum));
  }
  if (field.minimum.has_value()) return absl::StrCat("at least ", HumanNumber(*field.minimum));
  if (field.maximum.has_value()) return absl::StrCat("at most ", HumanNumber(*field.maximum));
  return "";
}

std::string DefaultText(const FieldDoc& field) {
  if (field.enum_values.empty() || field.default_value.empty()) return field.default_value;
  const auto* value = field.descriptor->enum_type()->FindValueByName(field.default_value);
  return value == nullptr ? field.default_value : ShortEnumName(*value);
}

}  // namespace

std::string FlagHelp(const FieldDoc& field) {
  std::string help = field.description;
  std::vector<std::string> notes;
  if (field.required) notes.push_back("required");
  if (!field.enum_values.empty()) {
    notes.push_back(absl::StrCat("one of ", absl::StrJoin(ShortValues(field), ", ")));
  }
  if (const std::string range = RangeText(field); !range.empty()) notes.push_back(range);
  if (!field.unit.empty()) notes.push_back(absl::StrCat("in ", field.unit));
  if (!field.default_value.empty()) {
    notes.push_back(absl::StrCat("default ", DefaultText(field)));
  }
  if (notes.empty()) return help;
  return absl::StrCat(help, " [", absl::StrJoin(notes, "; "), "]");
}

std::vector<SpecFlag> AddSpecFlags(CLI::App& command, const google::protobuf::Descriptor& spec) {
  std::set<std::string> taken;
  for (const CLI::App* level = &command; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      taken.insert(option->get_lnames().begin(), option->get_lnames().end());
    }
  }
  std::vector<SpecFlag> flags;
  for (FieldDoc& field : DescribeFields(spec)) {
    std::string name = absl::StrReplaceAll(field.path, {{"_", "-"}});
    if (taken.count(name) != 0) name = absl::StrCat("spec.", name);
    CLI::Option* option = command.add_option(
        "--" + name, [](const CLI::results_t&) { return true; }, FlagHelp(field));
    option->type_name(TypeName(field))->group(kFlagGroup);
    if (IsBool(field)) option->expected(0, 1);
    if (field.descriptor->is_repeated())
      option->expected(CLI::detail::expected_max_vector_size)->allow_extra_args(false);
    flags.push_back({std::move(field), option});
  }
  return flags;
}

absl::Status ApplySpecFlags(const std::vector<SpecFlag>& flags, google::protobuf::Message& spec) {
  for (const SpecFlag& flag : flags) {
    if (flag.option->count() == 0) continue;
    bool first = true;
    for (const std::string& text : flag.option->results()) {
      const absl::Status status = first || !flag.field.descriptor->is_repeated()
                                      ? SetField(spec, flag.field.path, text)
                                      : AddToField(spec, flag.field.path, text);
      CLIENT_RETURN_IF_ERROR(AsUsageError(status, flag.option->get_name()));
      first = false;
    }
  }
  return absl::OkStatus();
}

}  // namespace trainyard::cli
