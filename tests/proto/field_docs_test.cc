#include "proto/schema/field_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "trainyard/v1/training_spec.pb.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const FieldDoc* Find(const std::vector<FieldDoc>& docs, const std::string& path) {
  const auto found =
      std::find_if(docs.begin(), docs.end(), [&](const FieldDoc& doc) { return doc.path == path; });
  return found == docs.end() ? nullptr : &*found;
}

TEST(FieldDocsTest, DescribesNestedFieldsByDottedPath) {
  const auto docs = DescribeFields(*v1::HierarchicalShrinkageSpec::descriptor());
  const FieldDoc* folds = Find(docs, "folds");
  ASSERT_NE(folds, nullptr);
  EXPECT_EQ(folds->type, "int32");
  EXPECT_EQ(folds->default_value, "3");
  EXPECT_EQ(folds->minimum, 2);
  EXPECT_EQ(folds->maximum, 100);
  EXPECT_THAT(folds->description, HasSubstr("Number of cross-validation folds"));
  const FieldDoc* test_fraction = Find(docs, "input.split.test_fraction");
  ASSERT_NE(test_fraction, nullptr);
  EXPECT_EQ(test_fraction->type, "double");
  const FieldDoc* grid = Find(docs, "lambda_grid");
  ASSERT_NE(grid, nullptr);
  EXPECT_EQ(grid->type, "repeated double");
  const FieldDoc* scheme = Find(docs, "scheme");
  ASSERT_NE(scheme, nullptr);
  EXPECT_THAT(scheme->enum_values,
              ElementsAre("SCHEME_HIERARCHICAL", "SCHEME_LEAF_BASED", "SCHEME_CONSTANT"));
  EXPECT_TRUE(Find(docs, "input.dataset")->required);
}

TEST(FieldDocsTest, EveryFieldOfEverySpecSaysWhatItIs) {
  const auto* spec = v1::TrainingSpec::descriptor();
  for (int i = 0; i < spec->field_count(); ++i) {
    for (const FieldDoc& doc : DescribeFields(*spec->field(i)->message_type())) {
      EXPECT_GT(doc.description.size(), 10u) << spec->field(i)->name() << "." << doc.path;
      EXPECT_EQ(doc.description.back(), '.') << spec->field(i)->name() << "." << doc.path;
    }
  }
}

TEST(FieldDocsTest, FindsCommentsOfEveryKindOfThing) {
  EXPECT_THAT(CommentOf("trainyard.v1.Job"), HasSubstr("One training job."));
  EXPECT_THAT(CommentOf("trainyard.v1.Job.state"), HasSubstr("Where the job stands."));
  EXPECT_THAT(CommentOf("trainyard.v1.Job.STATE_QUEUED"), HasSubstr("Waits for its turn"));
  EXPECT_THAT(CommentOf("trainyard.v1.JobService"), HasSubstr("Submits training jobs"));
  EXPECT_THAT(CommentOf("trainyard.v1.JobService.CreateJob"), HasSubstr("Queues a job."));
  EXPECT_EQ(CommentOf("trainyard.v1.Nothing"), "");
}

}  // namespace
}  // namespace trainyard
