#include "proto/schema/field_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <limits>

#include "trainyard/v1/job.pb.h"

namespace trainyard {
namespace {

using ::google::protobuf::util::MessageDifferencer;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

v1::Job ValidJob() {
  v1::Job job;
  job.mutable_spec()->mutable_hierarchical_shrinkage()->mutable_input()->set_dataset(
      "projects/p/datasets/d");
  return job;
}

std::vector<FieldViolation> Check(const v1::Job& job) {
  Violations violations;
  CheckFieldRules(job, "job", violations);
  return violations.kept();
}

auto Violation(const std::string& field, const std::string& text) {
  return AllOf(Field(&FieldViolation::field, field),
               Field(&FieldViolation::description, HasSubstr(text)));
}

TEST(FieldRulesTest, AcceptsAValidJob) { EXPECT_THAT(Check(ValidJob()), IsEmpty()); }

TEST(FieldRulesTest, NamesEveryViolationWithValueAndRule) {
  v1::Job job = ValidJob();
  job.set_priority(101);
  auto& spec = *job.mutable_spec()->mutable_hierarchical_shrinkage();
  spec.set_folds(1);
  spec.set_lambda(std::numeric_limits<double>::quiet_NaN());
  spec.mutable_cart()->set_min_samples_split(1);
  spec.mutable_input()->mutable_split()->set_test_fraction(1);
  spec.mutable_input()->clear_dataset();
  EXPECT_THAT(
      Check(job),
      ::testing::UnorderedElementsAre(
          Violation("job.priority", "is 101; must be >= -100 and <= 100"),
          Violation("job.spec.hierarchical_shrinkage.folds", "is 1; must be >= 2"),
          Violation("job.spec.hierarchical_shrinkage.lambda", "must be a finite number"),
          Violation("job.spec.hierarchical_shrinkage.cart.min_samples_split", "is 1; must be >= 2"),
          Violation("job.spec.hierarchical_shrinkage.input.split.test_fraction",
                    "is 1; must be >= 0 and < 1"),
          Violation("job.spec.hierarchical_shrinkage.input.dataset", "required")));
}

TEST(FieldRulesTest, ChecksElementsOfRepeatedFields) {
  v1::Job job = ValidJob();
  auto& spec = *job.mutable_spec()->mutable_hierarchical_shrinkage();
  spec.add_lambda_grid(1);
  spec.add_lambda_grid(-2);
  EXPECT_THAT(Check(job), ElementsAre(Violation("job.spec.hierarchical_shrinkage.lambda_grid[1]",
                                                "is -2; must be >= 0")));
  for (int i = 0; i < 2000; ++i) spec.add_lambda_grid(-1);
  EXPECT_THAT(Check(job), ElementsAre(Violation("job.spec.hierarchical_shrinkage.lambda_grid",
                                                "must have at most 1000")));
}

TEST(FieldRulesTest, RejectsUnknownEnumValuesAndListsTheKnown) {
  v1::Job job = ValidJob();
  job.mutable_spec()->mutable_hierarchical_shrinkage()->set_scheme(
      static_cast<v1::HierarchicalShrinkageSpec::Scheme>(77));
  EXPECT_THAT(Check(job), ElementsAre(Violation("job.spec.hierarchical_shrinkage.scheme",
                                                "is 77, an unknown value; must be one of "
                                                "SCHEME_HIERARCHICAL, SCHEME_LEAF_BASED")));
}

TEST(FieldRulesTest, ChecksLengthsOfStrings) {
  v1::Job job = ValidJob();
  job.set_display_name(std::string(201, 'x'));
  EXPECT_THAT(Check(job), Contains(Violation("job.display_name", "201 bytes long")));
}

TEST(FieldRulesTest, FillsDefaultsAndKeepsWhatIsGiven) {
  v1::Job job = ValidJob();
  auto& spec = *job.mutable_spec()->mutable_hierarchical_shrinkage();
  spec.set_folds(7);
  spec.mutable_input()->mutable_split()->set_test_fraction(0);
  FillDefaults(job);
  EXPECT_EQ(spec.folds(), 7);
  EXPECT_EQ(spec.input().split().test_fraction(), 0);
  EXPECT_EQ(spec.scheme(), v1::HierarchicalShrinkageSpec::SCHEME_HIERARCHICAL);
  EXPECT_THAT(spec.lambda_grid(), ElementsAre(0, 0.1, 1, 10, 25, 50, 100, 200, 500));
  EXPECT_EQ(spec.cart().min_samples_split(), 2);
  EXPECT_FALSE(spec.has_lambda());
  EXPECT_EQ(job.max_attempts(), 3);
  const v1::Job once = job;
  FillDefaults(job);
  EXPECT_TRUE(MessageDifferencer::Equals(once, job)) << "filling twice must change nothing";
}

TEST(FieldRulesTest, DoesNotChooseAMemberOfAOneof) {
  v1::TrainingSpec spec;
  FillDefaults(spec);
  EXPECT_EQ(spec.spec_case(), v1::TrainingSpec::SPEC_NOT_SET);
}

TEST(FieldRulesTest, DefaultsObeyTheirOwnRules) {
  const auto* descriptor = v1::TrainingSpec::descriptor();
  for (int i = 0; i < descriptor->field_count(); ++i) {
    v1::TrainingSpec spec;
    spec.GetReflection()->MutableMessage(&spec, descriptor->field(i));
    FillDefaults(spec);
    Violations violations;
    CheckFieldRules(spec, "", violations);
    for (const FieldViolation& violation : violations.kept()) {
      EXPECT_THAT(violation.description, HasSubstr("required")) << violation.field;
    }
  }
}

TEST(FieldRulesTest, ClearsWhatOnlyTheServerWrites) {
  v1::Job job = ValidJob();
  job.set_state(v1::Job::STATE_SUCCEEDED);
  job.set_display_name("kept");
  job.mutable_report()->set_wall_seconds(1);
  ClearOutputOnly(job);
  EXPECT_EQ(job.state(), v1::Job::STATE_UNSPECIFIED);
  EXPECT_FALSE(job.has_report());
  EXPECT_EQ(job.display_name(), "kept");
  EXPECT_TRUE(job.spec().has_hierarchical_shrinkage());
}

TEST(FieldRulesTest, VisitsAndRewritesResourceNames) {
  v1::Job job = ValidJob();
  std::vector<std::string> paths;
  VisitResourceNames(*job.mutable_spec(), "dataset",
                     [&](const std::string& path, std::string& value) {
                       paths.push_back(path);
                       value += "/versions/4";
                     });
  EXPECT_THAT(paths, ElementsAre("hierarchical_shrinkage.input.dataset"));
  EXPECT_EQ(job.spec().hierarchical_shrinkage().input().dataset(),
            "projects/p/datasets/d/versions/4");
  VisitResourceNames(*job.mutable_spec(), "model",
                     [&](const std::string&, std::string&) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace trainyard
