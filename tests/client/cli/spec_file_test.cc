#include "client/cli/spec_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace trainyard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kAlgorithm[] = "hierarchical_shrinkage";

v1::Job Read(const std::string& text) {
  v1::Job job;
  const absl::Status status = MergeSpecText(text, kAlgorithm, job);
  EXPECT_TRUE(status.ok()) << status << "\n" << text;
  return job;
}

std::string ErrorOf(const std::string& text) {
  v1::Job job;
  const absl::Status status = MergeSpecText(text, kAlgorithm, job);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status << "\n" << text;
  EXPECT_FALSE(job.has_spec());
  return std::string(status.message());
}

TEST(SpecFileTest, ReadsTheSpecAlone) {
  for (const char* text : {R"({"folds": 5, "cart": {"max_depth": 3}, "scheme": "SCHEME_CONSTANT"})",
                           R"( {"folds": 5, "cart": {"maxDepth": 3}, "scheme": 3})",
                           "# comment\nfolds: 5\ncart { max_depth: 3 }\nscheme: SCHEME_CONSTANT\n",
                           "folds: 5, cart: <max_depth: 3>; scheme: 3"}) {
    const v1::HierarchicalShrinkageSpec spec = Read(text).spec().hierarchical_shrinkage();
    EXPECT_EQ(spec.folds(), 5);
    EXPECT_EQ(spec.cart().max_depth(), 3);
    EXPECT_EQ(spec.scheme(), v1::HierarchicalShrinkageSpec::SCHEME_CONSTANT);
  }
}

TEST(SpecFileTest, ReadsATrainingSpec) {
  EXPECT_EQ(
      Read(R"({"hierarchical_shrinkage": {"folds": 5}})").spec().hierarchical_shrinkage().folds(),
      5);
  EXPECT_EQ(
      Read(R"({"hierarchicalShrinkage": {"folds": 5}})").spec().hierarchical_shrinkage().folds(),
      5);
  EXPECT_EQ(Read("hierarchical_shrinkage { folds: 5 }").spec().hierarchical_shrinkage().folds(), 5);
}

TEST(SpecFileTest, ReadsAJobWithoutWhatTheServerWrote) {
  const v1::Job job = Read(R"({"name": "projects/p/jobs/old", "state": "STATE_FAILED",
      "priority": 7, "labels": {"team": "blue"}, "error": {"code": 3},
      "spec": {"hierarchical_shrinkage": {"folds": 5, "input": {"target_columns": ["a", "b"]}}}})");
  EXPECT_EQ(job.priority(), 7);
  EXPECT_EQ(job.labels().at("team"), "blue");
  EXPECT_EQ(job.spec().hierarchical_shrinkage().folds(), 5);
  EXPECT_EQ(job.name(), "");
  EXPECT_EQ(job.state(), v1::Job::STATE_UNSPECIFIED);
  EXPECT_FALSE(job.has_error());
  const v1::Job text = Read("priority: 7 spec { hierarchical_shrinkage { folds: 5 } }");
  EXPECT_EQ(text.priority(), 7);
  EXPECT_EQ(text.spec().hierarchical_shrinkage().folds(), 5);
}

TEST(SpecFileTest, AnEmptyDocumentIsAnEmptySpec) {
  EXPECT_TRUE(Read("{}").spec().has_hierarchical_shrinkage());
  EXPECT_TRUE(Read("").spec().has_hierarchical_shrinkage());
}

TEST(SpecFileTest, TextsThatAreNoUtf8AreNamed) {
  EXPECT_THAT(ErrorOf("folds: 2 input { dataset: \"\xff\" }"),
              AllOf(HasSubstr("input.dataset"), HasSubstr("valid UTF-8")));
  EXPECT_THAT(ErrorOf("input { feature_columns: \"a\" feature_columns: \"\\303\" }"),
              AllOf(HasSubstr("input.feature_columns[1]"), HasSubstr("valid UTF-8")));
  EXPECT_EQ(Read("input { dataset: \"d\303\251j\303\240\" }")
                .spec()
                .hierarchical_shrinkage()
                .input()
                .dataset(),
            "d\303\251j\303\240");
}

TEST(SpecFileTest, TwoSpecsAtOnceAreNamed) {
  for (const char* text : {R"({"hierarchical_shrinkage": {}, "diagnostic": {}})",
                           R"({"spec": {"hierarchical_shrinkage": {}, "diagnostic": {}}})",
                           "hierarchical_shrinkage {} diagnostic {}",
                           "spec { hierarchical_shrinkage {} diagnostic {} }"}) {
    EXPECT_THAT(ErrorOf(text),
                AllOf(HasSubstr("2 specs"), HasSubstr("diagnostic and hierarchical_shrinkage")));
  }
}

TEST(SpecFileTest, AnotherAlgorithmIsNamed) {
  for (const char* text : {R"({"diagnostic": {}})", R"({"spec": {"diagnostic": {}}})",
                           "diagnostic { steps: 3 }", "spec { diagnostic {} }"}) {
    EXPECT_THAT(ErrorOf(text),
                AllOf(HasSubstr("spec of diagnostic"), HasSubstr("hierarchical_shrinkage")));
  }
}

TEST(SpecFileTest, UnknownFieldsAreNamedWithTheNearest) {
  EXPECT_EQ(ErrorOf(R"({"fodls": 5})"),
            "\"fodls\" is not a field of HierarchicalShrinkageSpec; did you mean folds?");
  EXPECT_EQ(ErrorOf("cart { max_dept: 5 }"),
            "\"max_dept\" is not a field of CartOptions; did you mean max_depth?");
  EXPECT_THAT(ErrorOf(R"({"spec": {"hierarchical_shrinkage": {"fodls": 5}}})"),
              HasSubstr("did you mean folds?"));
  EXPECT_THAT(ErrorOf(R"({"spec": {}, "prioriti": 5})"), HasSubstr("did you mean priority?"));
}

TEST(SpecFileTest, BrokenDocumentsAreErrors) {
  EXPECT_FALSE(ErrorOf("{").empty());
  EXPECT_FALSE(ErrorOf("[1]").empty());
  EXPECT_FALSE(ErrorOf(R"({"folds": "many"})").empty());
  EXPECT_FALSE(ErrorOf(R"({"scheme": "SCHEME_NONE"})").empty());
  EXPECT_THAT(ErrorOf("folds 5"), HasSubstr("1:7"));
  EXPECT_THAT(ErrorOf("cart {\n max_depth: 5"), HasSubstr("expected }"));
  EXPECT_THAT(ErrorOf("folds: 5 }"), HasSubstr("1:10"));
  EXPECT_FALSE(ErrorOf("folds: many").empty());
  EXPECT_FALSE(ErrorOf(std::string(1000, '{')).empty());
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "cart {";
  EXPECT_FALSE(ErrorOf(deep).empty());
  EXPECT_FALSE(ErrorOf("\xff\xfe").empty());
}

TEST(SpecFileTest, FilesAreNamedInErrors) {
  v1::Job job;
  const absl::Status status = MergeSpecFile("/does/not/exist.json", kAlgorithm, job);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/does/not/exist.json"));
}

}  // namespace
}  // namespace trainyard::cli
