#include "proto/schema/resource_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace trainyard {
namespace {

using ::testing::HasSubstr;

TEST(ResourceNamesTest, NamesRoundTrip) {
  EXPECT_EQ(ProjectName::Parse("projects/p")->ToString(), "projects/p");
  EXPECT_EQ(JobName::Parse("projects/p/jobs/j-1")->ToString(), "projects/p/jobs/j-1");
  EXPECT_EQ(AttemptName::Parse("projects/p/jobs/j/attempts/12")->ToString(),
            "projects/p/jobs/j/attempts/12");
  EXPECT_EQ(DatasetName::Parse("projects/p/datasets/d")->ToString(), "projects/p/datasets/d");
  EXPECT_EQ(DatasetName::Parse("projects/p/datasets/d/versions/3")->version, 3);
  EXPECT_EQ(DatasetName::Parse("projects/p/datasets/d/versions/3")->ToString(),
            "projects/p/datasets/d/versions/3");
  EXPECT_EQ(ModelName::Parse("projects/p/models/m")->ToString(), "projects/p/models/m");
}

TEST(ResourceNamesTest, IdsFollowTheRule) {
  for (const char* id : {"a", "a1", "a-1", "wine-quality-2"})
    EXPECT_TRUE(CheckResourceId(id).ok()) << id;
  EXPECT_TRUE(CheckResourceId(std::string(63, 'a')).ok());
  for (const char* id : {"", "1a", "-a", "a-", "A", "a_b", "a/b", "a b", "ä", ".."}) {
    EXPECT_FALSE(CheckResourceId(id).ok()) << id;
  }
  EXPECT_FALSE(CheckResourceId(std::string(64, 'a')).ok());
}

TEST(ResourceNamesTest, RejectsOtherForms) {
  for (const char* name :
       {"", "projects", "projects/", "projects/p/", "project/p", "projects/P", "/projects/p"}) {
    EXPECT_FALSE(ProjectName::Parse(name).ok()) << name;
  }
  for (const char* name :
       {"projects/p/jobs", "projects/p/jobs/", "projects/p/models/j",
        "projects/p/jobs/j/attempts/1", "projects/../jobs/j", "projects/p/jobs/j\n"}) {
    EXPECT_FALSE(JobName::Parse(name).ok()) << name;
  }
  for (const char* number : {"0", "01", "-1", "+1", "1x", "1 ", "1\n", " 1", "", "99999999999",
                             "99999999999999999999"}) {
    EXPECT_FALSE(AttemptName::Parse(std::string("projects/p/jobs/j/attempts/") + number).ok())
        << number;
  }
}

TEST(ResourceNamesTest, ErrorsQuoteValueAndForm) {
  const auto name = JobName::Parse(std::string("projects/p/jobs/J\0x", 19));
  ASSERT_FALSE(name.ok());
  EXPECT_EQ(name.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(name.status().message()), HasSubstr("projects/{project}/jobs/{job}"));
  EXPECT_THAT(std::string(name.status().message()), HasSubstr("\\x00"));
  EXPECT_LT(JobName::Parse(std::string(100'000, 'x')).status().message().size(), 500u);
}

}  // namespace
}  // namespace trainyard
