#include "proto/schema/violations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/rpc/error_details.pb.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

TEST(ViolationsTest, EmptyIsOk) { EXPECT_TRUE(Violations().ToStatus().ok()); }

TEST(ViolationsTest, StatusCarriesEveryViolationInOrder) {
  Violations violations;
  violations.Add("job.priority", "is 101; must be <= 100");
  violations.Add("job.spec", "is not given");
  const absl::Status status = violations.ToStatus();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("job.priority: is 101"));
  EXPECT_EQ(ViolationsOf(status), violations.kept());
}

TEST(ViolationsTest, DetailsStaySmallHoweverManyThereAre) {
  Violations violations;
  for (int i = 0; i < 10'000; ++i) violations.Add(std::string(5000, 'f'), std::string(5000, 'd'));
  EXPECT_EQ(violations.count(), 10'000);
  const absl::Status status = violations.ToStatus();
  const auto payload =
      status.GetPayload(absl::string_view(kBadRequestPayload.data(), kBadRequestPayload.size()));
  ASSERT_TRUE(payload.has_value());
  EXPECT_LT(payload->size(), 6 * 1024);
  EXPECT_THAT(std::string(status.message()), HasSubstr("and 9997 more"));
}

TEST(ViolationsTest, ReplacesBytesThatAreNotUtf8) {
  Violations violations;
  violations.Add("field", "has \xff\xc0\x80 and \xe2\x82\xac and \xed\xa0\x80");
  EXPECT_EQ(violations.kept()[0].description, "has ??? and \xe2\x82\xac and ???");
}

TEST(ViolationsTest, CutsLongTextsBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\xe2\x82\xac";
  Violations violations;
  violations.Add("field", text);
  const std::string& cut = violations.kept()[0].description;
  EXPECT_LE(cut.size(), 300u);
  google::rpc::BadRequest request;  // proto3 strings refuse text that is not UTF-8
  request.add_field_violations()->set_description(cut);
  google::rpc::BadRequest copy;
  EXPECT_TRUE(copy.ParseFromString(request.SerializeAsString()));
}

TEST(ViolationsTest, ReasonsSurvive) {
  const absl::Status status =
      WithReason(absl::AlreadyExistsError("no"), "JOB_EXISTS", {{"name", "projects/p/jobs/j"}});
  EXPECT_EQ(ReasonOf(status), "JOB_EXISTS");
  EXPECT_EQ(ReasonOf(absl::AlreadyExistsError("no")), "");
}

TEST(ViolationsTest, RetryDelayIsInMilliseconds) {
  const absl::Status status = WithRetryDelay(absl::UnavailableError("later"), 1.25);
  const auto payload =
      status.GetPayload(absl::string_view(kRetryInfoPayload.data(), kRetryInfoPayload.size()));
  google::rpc::RetryInfo info;
  ASSERT_TRUE(payload.has_value() && info.ParseFromString(std::string(*payload)));
  EXPECT_EQ(info.retry_delay().seconds(), 1);
  EXPECT_EQ(info.retry_delay().nanos(), 250'000'000);
}

}  // namespace
}  // namespace trainyard
