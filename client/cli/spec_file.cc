#include "client/cli/spec_file.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/errors.h"
#include "client/cli/spec_keys.h"
#include "client/cli/text.h"
#include "client/cpp/files.h"
#include "client/cpp/status_macros.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "proto/schema/field_rules.h"

namespace trainyard::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Keys = std::vector<DocumentKey>;

constexpr int64_t kMaxSpecBytes = 4 << 20;

class FirstTextError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (text.empty()) text = absl::StrCat(line + 1, ":", column + 1, ": ", message);
  }
  std::string text;
};

const FieldDescriptor* FindField(const Descriptor& message, const std::string& name) {
  const FieldDescriptor* field = message.FindFieldByName(name);
  return field != nullptr ? field : message.FindFieldByCamelcaseName(name);
}

const FieldDescriptor* AlgorithmField(const std::string& name) {
  const FieldDescriptor* field = FindField(*v1::TrainingSpec::descriptor(), name);
  return field != nullptr && field->containing_oneof() != nullptr ? field : nullptr;
}

absl::Status CheckNames(const Descriptor& message, const Keys& keys) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(message.field_count()));
  for (int i = 0; i < message.field_count(); ++i) names.push_back(message.field(i)->name());
  for (const DocumentKey& key : keys) {
    const FieldDescriptor* field = FindField(message, key.name);
    if (field == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("\"", Printable(key.name),
                                                     "\" is not a field of ", message.name(),
                                                     DidYouMean(key.name, names)));
    }
    const bool ours = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_map() &&
                      field->message_type()->file()->package() == "trainyard.v1";
    if (ours) CLIENT_RETURN_IF_ERROR(CheckNames(*field->message_type(), key.children));
  }
  return absl::OkStatus();
}

// That the members of a TrainingSpec which a document sets are `algorithm` alone.
absl::Status CheckAlgorithm(const Keys& keys, std::string_view algorithm) {
  std::vector<std::string> named;
  for (const DocumentKey& key : keys) {
    if (const FieldDescriptor* field = AlgorithmField(key.name)) named.push_back(field->name());
  }
  std::sort(named.begin(), named.end());
  if (named.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("holds ", named.size(), " specs, ",
                                                   absl::StrJoin(named, " and "),
                                                   "; exactly one is allowed"));
  }
  if (named.size() == 1 && named[0] != algorithm) {
    return absl::InvalidArgumentError(absl::StrCat(
        "holds a spec of ", named[0], ", but the algorithm to train is ", std::string(algorithm)));
  }
  return absl::OkStatus();
}

// That every text in a message is one: text format lets any bytes into a string. `path` ends before
// the names of the message's fields.
absl::Status CheckTexts(const Message& message, const std::string& path) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const bool repeated = field->is_repeated();
    const int count = repeated ? reflection.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string name = path + field->name() + (repeated ? absl::StrCat("[", i, "]") : "");
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        const Message& child = repeated ? reflection.GetRepeatedMessage(message, field, i)
                                        : reflection.GetMessage(message, field);
        CLIENT_RETURN_IF_ERROR(CheckTexts(child, name + "."));
      }
      if (field->type() != FieldDescriptor::TYPE_STRING) continue;
      const std::string text = repeated ? reflection.GetRepeatedString(message, field, i)
                                        : reflection.GetString(message, field);
      if (ValidUtf8(text) == text) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is \"", Printable(text), "\", which is not valid UTF-8"));
    }
  }
  return absl::OkStatus();
}

absl::Status Parse(std::string_view text, bool json, Message& message) {
  if (json) {
    const auto status = google::protobuf::util::JsonStringToMessage(std::string(text), &message);
    return status.ok() ? absl::OkStatus()
                       : absl::InvalidArgumentError(std::string(status.message()));
  }
  FirstTextError errors;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  if (!parser.ParseFromString(std::string(text), &message)) {
    return absl::InvalidArgumentError(errors.text);
  }
  return CheckTexts(message, "");
}

enum class Kind { kAlgorithmSpec, kTrainingSpec, kJob };

Kind KindOf(const Keys& keys, const Descriptor& spec) {
  const auto any = [&](const auto& test) { return std::any_of(keys.begin(), keys.end(), test); };
  if (!any([&](const DocumentKey& key) { return FindField(spec, key.name) == nullptr; })) {
    return Kind::kAlgorithmSpec;
  }
  if (any([](const DocumentKey& key) { return AlgorithmField(key.name) != nullptr; })) {
    return Kind::kTrainingSpec;
  }
  const bool has_spec = any([](const DocumentKey& key) { return key.name == "spec"; });
  const bool foreign = any([](const DocumentKey& key) {
    return FindField(*v1::Job::descriptor(), key.name) == nullptr;
  });
  return has_spec || !foreign ? Kind::kJob : Kind::kAlgorithmSpec;
}

absl::Status MergeJob(std::string_view text, bool json, const Keys& keys,
                      std::string_view algorithm, v1::Job& job) {
  CLIENT_RETURN_IF_ERROR(CheckNames(*v1::Job::descriptor(), keys));
  Keys specs;
  for (const DocumentKey& key : keys) {
    if (key.name == "spec") specs.insert(specs.end(), key.children.begin(), key.children.end());
  }
  CLIENT_RETURN_IF_ERROR(CheckAlgorithm(specs, algorithm));
  v1::Job parsed;
  CLIENT_RETURN_IF_ERROR(Parse(text, json, parsed));
  ClearOutputOnly(parsed);
  job.MergeFrom(parsed);
  return absl::OkStatus();
}

}  // namespace

absl::Status MergeSpecText(std::string_view text, std::string_view algorithm, v1::Job& job) {
  const FieldDescriptor* member = AlgorithmField(std::string(algorithm));
  if (member == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no algorithm ", std::string(algorithm)));
  }
  const absl::string_view trimmed =
      absl::StripLeadingAsciiWhitespace(absl::string_view(text.data(), text.size()));
  const bool json = absl::StartsWith(trimmed, "{");
  CLIENT_ASSIGN_OR_RETURN(const Keys keys, json ? JsonKeys(text) : TextFormatKeys(text));
  const Kind kind = KindOf(keys, *member->message_type());
  if (kind == Kind::kJob) return MergeJob(text, json, keys, algorithm, job);
  v1::TrainingSpec spec;
  if (kind == Kind::kTrainingSpec) {
    CLIENT_RETURN_IF_ERROR(CheckAlgorithm(keys, algorithm));
    CLIENT_RETURN_IF_ERROR(CheckNames(*v1::TrainingSpec::descriptor(), keys));
    CLIENT_RETURN_IF_ERROR(Parse(text, json, spec));
  } else {
    CLIENT_RETURN_IF_ERROR(CheckNames(*member->message_type(), keys));
    CLIENT_RETURN_IF_ERROR(Parse(text, json, *spec.GetReflection()->MutableMessage(&spec, member)));
  }
  job.mutable_spec()->MergeFrom(spec);
  return absl::OkStatus();
}

absl::Status MergeSpecFile(const std::string& path, std::string_view algorithm, v1::Job& job) {
  CLIENT_ASSIGN_OR_RETURN(const InputFile file, InputFile::Open(path));
  if (file.size() > kMaxSpecBytes) {
    return UsageError(absl::StrCat(path, ": a spec may have at most ", HumanBytes(kMaxSpecBytes),
                                   "; this file has ", HumanBytes(file.size())));
  }
  std::string text(static_cast<size_t>(file.size()), '\0');
  CLIENT_RETURN_IF_ERROR(file.Read(0, text));
  return AsUsageError(MergeSpecText(text, algorithm, job), path);
}

}  // namespace trainyard::cli
