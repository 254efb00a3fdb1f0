// The rules that the API definition keeps, checked over its descriptors: the STANDARD rules of buf
// (without those on names of requests and responses), and a comment on everything.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/descriptor.h"
#include "proto/schema/field_docs.h"

namespace trainyard {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::EnumDescriptor;
using google::protobuf::FileDescriptor;

constexpr char kPackage[] = "trainyard.v1";

// `HTTPServerState` as `HTTP_SERVER_STATE`.
std::string UpperSnake(const std::string& camel) {
  std::string snake;
  for (size_t i = 0; i < camel.size(); ++i) {
    const bool upper = absl::ascii_isupper(static_cast<unsigned char>(camel[i]));
    const bool after_lower =
        i > 0 && !absl::ascii_isupper(static_cast<unsigned char>(camel[i - 1]));
    if (upper && after_lower) snake += '_';
    snake += absl::ascii_toupper(static_cast<unsigned char>(camel[i]));
  }
  return snake;
}

bool IsLowerSnake(const std::string& name) {
  if (name.empty() || !absl::ascii_islower(static_cast<unsigned char>(name[0]))) return false;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_islower(byte) && !absl::ascii_isdigit(byte) && c != '_') return false;
  }
  return !absl::StrContains(name, "__") && name.back() != '_';
}

bool IsCamel(const std::string& name) {
  return absl::ascii_isupper(static_cast<unsigned char>(name[0])) && !absl::StrContains(name, "_");
}

void ExpectComment(const std::string& full_name) {
  EXPECT_FALSE(CommentOf(full_name).empty()) << full_name << " has no comment";
}

void CheckEnum(const EnumDescriptor& type) {
  ExpectComment(type.full_name());
  EXPECT_TRUE(IsCamel(type.name())) << type.full_name();
  const std::string prefix = UpperSnake(type.name()) + "_";
  EXPECT_EQ(type.FindValueByNumber(0)->name(), prefix + "UNSPECIFIED") << type.full_name();
  for (int i = 0; i < type.value_count(); ++i) {
    EXPECT_TRUE(absl::StartsWith(type.value(i)->name(), prefix)) << type.value(i)->full_name();
    // Values are siblings of their type for protobuf, children of it for CommentOf.
    const std::string name = absl::StrCat(type.full_name(), ".", type.value(i)->name());
    EXPECT_FALSE(CommentOf(name).empty() && CommentOf(type.value(i)->full_name()).empty())
        << name << " has no comment";
  }
  EXPECT_FALSE(type.options().allow_alias()) << type.full_name();
}

void CheckMessage(const Descriptor& type) {
  if (type.options().map_entry()) return;
  ExpectComment(type.full_name());
  EXPECT_TRUE(IsCamel(type.name())) << type.full_name();
  for (int i = 0; i < type.field_count(); ++i) {
    const auto& field = *type.field(i);
    ExpectComment(field.full_name());
    EXPECT_TRUE(IsLowerSnake(field.name())) << field.full_name();
    EXPECT_FALSE(field.is_required()) << field.full_name();
    const auto kind = field.type();
    EXPECT_NE(kind, google::protobuf::FieldDescriptor::TYPE_UINT32) << field.full_name();
    EXPECT_NE(kind, google::protobuf::FieldDescriptor::TYPE_UINT64) << field.full_name();
  }
  for (int i = 0; i < type.real_oneof_decl_count(); ++i) {
    EXPECT_TRUE(IsLowerSnake(type.oneof_decl(i)->name())) << type.oneof_decl(i)->full_name();
  }
  for (int i = 0; i < type.nested_type_count(); ++i) CheckMessage(*type.nested_type(i));
  for (int i = 0; i < type.enum_type_count(); ++i) CheckEnum(*type.enum_type(i));
}

void CheckFile(const FileDescriptor& file) {
  EXPECT_EQ(file.package(), kPackage) << file.name();
  EXPECT_TRUE(absl::StartsWith(file.name(), "trainyard/v1/")) << file.name();
  EXPECT_EQ(file.syntax(), FileDescriptor::SYNTAX_PROTO3) << file.name();
  EXPECT_LE(file.service_count(), 1) << file.name();
  EXPECT_EQ(file.public_dependency_count(), 0) << file.name();
  EXPECT_EQ(file.weak_dependency_count(), 0) << file.name();
  for (int i = 0; i < file.message_type_count(); ++i) CheckMessage(*file.message_type(i));
  for (int i = 0; i < file.enum_type_count(); ++i) CheckEnum(*file.enum_type(i));
  for (int i = 0; i < file.service_count(); ++i) {
    const auto& service = *file.service(i);
    ExpectComment(service.full_name());
    EXPECT_TRUE(absl::EndsWith(service.name(), "Service")) << service.full_name();
    EXPECT_TRUE(absl::EndsWith(file.name(), "_service.proto")) << file.name();
    for (int m = 0; m < service.method_count(); ++m) {
      ExpectComment(service.method(m)->full_name());
      EXPECT_TRUE(IsCamel(service.method(m)->name())) << service.method(m)->full_name();
    }
  }
}

TEST(ApiRulesTest, EveryFileKeepsThem) {
  DescriptorPool pool;
  int files = 0;
  for (const auto& proto : ApiDescriptors().file()) {
    const FileDescriptor* file = pool.BuildFile(proto);
    ASSERT_NE(file, nullptr) << proto.name();
    if (file->package() != kPackage) continue;
    CheckFile(*file);
    ++files;
  }
  EXPECT_GE(files, 13);
}

}  // namespace
}  // namespace trainyard
