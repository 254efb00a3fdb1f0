#include "client/cli/json.h"

#include <gtest/gtest.h>

#include <string>

#include "client/cli/errors.h"
#include "client/cpp/files.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/job_service.pb.h"

namespace trainyard::cli {
namespace {

TEST(JsonTest, KeepsProtoNamesZerosAndEmptyLists) {
  v1::ListJobsResponse response;
  EXPECT_NE(ToJson(response).find("\"jobs\": []"), std::string::npos);
  v1::Job job;
  job.mutable_report()->mutable_hierarchical_shrinkage();
  const std::string json = ToJson(job, true);
  EXPECT_NE(json.find("\"lambda\":0"), std::string::npos) << json;
  EXPECT_NE(json.find("\"display_name\":\"\""), std::string::npos);
  EXPECT_EQ(json.find('\n'), json.size() - 1);
}

TEST(JsonTest, PrintsErrorsWithDetailsItDoesNotKnow) {
  v1::Job job;
  auto* unknown = job.mutable_error()->add_details();
  unknown->set_type_url("type.googleapis.com/google.rpc.Help");
  unknown->set_value("x");
  auto* broken = job.add_attempts()->mutable_error()->add_details();
  broken->set_type_url(std::string(kErrorInfoPayload));
  broken->set_value("\xff\xff\xff");
  job.mutable_error()->set_message("kept");
  EXPECT_NE(ToJson(job).find("kept"), std::string::npos);
}

TEST(JsonTest, QuotesEveryByte) {
  std::string text;
  for (int c = 0; c < 256; ++c) text += static_cast<char>(c);
  google::protobuf::Value value;
  const auto status = google::protobuf::util::JsonStringToMessage(JsonQuote(text), &value);
  ASSERT_TRUE(status.ok()) << JsonQuote(text);
  EXPECT_EQ(value.string_value().substr(0, 128), text.substr(0, 128));
}

TEST(ErrorJsonTest, HasEveryField) {
  Violations violations;
  violations.Add("a.b", "is \"bad\"");
  google::protobuf::Struct document;
  const std::string json = ErrorToJson(WithReason(violations.ToStatus(), "BAD"));
  ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(json, &document).ok()) << json;
  const auto& error = document.fields().at("error").struct_value().fields();
  EXPECT_EQ(error.at("code").string_value(), "INVALID_ARGUMENT");
  EXPECT_EQ(error.at("reason").string_value(), "BAD");
  EXPECT_FALSE(error.at("message").string_value().empty());
  const auto& violation = error.at("violations").list_value().values(0).struct_value().fields();
  EXPECT_EQ(violation.at("field").string_value(), "a.b");
  EXPECT_EQ(violation.at("description").string_value(), "is \"bad\"");
}

TEST(ExitCodeTest, FollowsTheContract) {
  EXPECT_EQ(ExitCodeOf(absl::OkStatus()), 0);
  EXPECT_EQ(ExitCodeOf(UsageError("x")), 2);
  EXPECT_EQ(ExitCodeOf(LocalFileError("open", "x", ENOENT)), 2);
  EXPECT_EQ(ExitCodeOf(absl::NotFoundError("x")), 3);
  EXPECT_EQ(ExitCodeOf(absl::InvalidArgumentError("x")), 3);
  EXPECT_EQ(ExitCodeOf(v1::Job::STATE_FAILED), 4);
  EXPECT_EQ(ExitCodeOf(v1::Job::STATE_CANCELLED), 5);
  EXPECT_EQ(ExitCodeOf(v1::Job::STATE_SUCCEEDED), 0);
  EXPECT_EQ(ExitCodeOf(absl::UnavailableError("x")), 6);
  EXPECT_EQ(ExitCodeOf(absl::DeadlineExceededError("x")), 6);
}

TEST(ErrorTextTest, NamesTheFlagOfASpecField) {
  Violations violations;
  violations.Add("job.spec.hierarchical_shrinkage.cart.max_depth", "-1 is less than 0");
  EXPECT_EQ(ErrorToText(violations.ToStatus(), Terminal()),
            "error: the server rejected the request\n"
            "  job.spec.hierarchical_shrinkage.cart.max_depth (--cart.max-depth): -1 is less than "
            "0\n");
}

}  // namespace
}  // namespace trainyard::cli
