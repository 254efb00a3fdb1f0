#include "proto/schema/field_docs.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "trainyard/v1/field_rules.pb.h"

extern "C" const char kTrainyardDescriptorSetBegin[];
extern "C" const char kTrainyardDescriptorSetEnd[];

namespace trainyard {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::SourceLocation;

std::string OneParagraph(const std::string& comment) {
  std::vector<std::string> words =
      absl::StrSplit(comment, absl::ByAnyChar(" \n\t"), absl::SkipEmpty());
  return absl::StrJoin(words, " ");
}

// The API as parsed from the embedded descriptors, which keep the comments that generated code
// lacks.
const DescriptorPool& DocumentedPool() {
  static const DescriptorPool* const kPool = [] {
    auto* pool = new DescriptorPool();
    for (const auto& file : ApiDescriptors().file()) pool->BuildFile(file);
    return pool;
  }();
  return *kPool;
}

template <typename Entity>
std::string CommentIn(const Entity* entity) {
  SourceLocation location;
  if (entity == nullptr || !entity->GetSourceLocation(&location)) return "";
  return OneParagraph(location.leading_comments);
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_map()) return "map";
  const std::string element = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
                                  ? field.message_type()->name()
                                  : std::string(field.type_name());
  return field.is_repeated() ? absl::StrCat("repeated ", element) : element;
}

FieldDoc Describe(const FieldDescriptor& field, const std::string& path) {
  const v1::FieldRule& rule = field.options().GetExtension(v1::rule);
  FieldDoc doc;
  doc.path = path;
  doc.type = TypeName(field);
  doc.description = CommentOf(field.full_name());
  doc.default_value = rule.default_value();
  if (rule.has_minimum()) doc.minimum = rule.minimum();
  if (rule.has_maximum()) doc.maximum = rule.maximum();
  doc.unit = rule.unit();
  doc.required = rule.required();
  doc.descriptor = &field;
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    for (int i = 0; i < field.enum_type()->value_count(); ++i) {
      if (field.enum_type()->value(i)->number() != 0) {
        doc.enum_values.push_back(field.enum_type()->value(i)->name());
      }
    }
  }
  return doc;
}

// Messages that are flattened into their fields: our own, singular ones. Well-known types are
// values.
bool IsFlattened(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field.is_repeated() &&
         field.message_type()->file()->package() == "trainyard.v1";
}

void DescribeInto(const Descriptor& message, const std::string& prefix, int depth,
                  std::vector<FieldDoc>& docs) {
  constexpr int kMaxDepth = 8;
  if (depth > kMaxDepth) return;
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    if (field.options().GetExtension(v1::rule).output_only()) continue;
    const std::string path =
        prefix.empty() ? field.name() : absl::StrCat(prefix, ".", field.name());
    if (IsFlattened(field)) {
      DescribeInto(*field.message_type(), path, depth + 1, docs);
    } else {
      docs.push_back(Describe(field, path));
    }
  }
}

}  // namespace

const google::protobuf::FileDescriptorSet& ApiDescriptors() {
  static const auto* const kSet = [] {
    auto* set = new google::protobuf::FileDescriptorSet();
    const auto size = kTrainyardDescriptorSetEnd - kTrainyardDescriptorSetBegin;
    set->ParseFromArray(kTrainyardDescriptorSetBegin, static_cast<int>(size));
    return set;
  }();
  return *kSet;
}

std::string CommentOf(std::string_view full_name) {
  const std::string name(full_name);
  const DescriptorPool& pool = DocumentedPool();
  if (const auto* field = pool.FindFieldByName(name)) return CommentIn(field);
  if (const auto* message = pool.FindMessageTypeByName(name)) return CommentIn(message);
  if (const auto* type = pool.FindEnumTypeByName(name)) return CommentIn(type);
  if (const auto* value = pool.FindEnumValueByName(name)) return CommentIn(value);
  if (const auto* service = pool.FindServiceByName(name)) return CommentIn(service);
  if (const auto* method = pool.FindMethodByName(name)) return CommentIn(method);
  if (const auto* oneof = pool.FindOneofByName(name)) return CommentIn(oneof);
  return "";
}

std::vector<FieldDoc> DescribeFields(const Descriptor& message) {
  std::vector<FieldDoc> docs;
  DescribeInto(message, "", 0, docs);
  return docs;
}

}  // namespace trainyard
