#include "server/storage/job_filter.h"

#include <random>

#include "gtest/gtest.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::VariantWith;

std::string ConditionOf(std::string_view filter) {
  const absl::StatusOr<JobFilter> parsed = ParseJobFilter(filter);
  return parsed.ok() ? parsed->condition : std::string(parsed.status().message());
}

TEST(JobFilterTest, EmptyFilterHoldsForAll) {
  EXPECT_EQ(ConditionOf(""), "TRUE");
  EXPECT_EQ(ConditionOf(" \t\n "), "TRUE");
}

TEST(JobFilterTest, TranslatesTheExampleOfTheApi) {
  const auto filter = ParseJobFilter(
      "state = RUNNING AND algorithm = hierarchical_shrinkage AND labels.team = \"blue\"");
  ASSERT_THAT(filter.status(), IsOk());
  EXPECT_EQ(filter->condition,
            "jobs.state = ? AND jobs.algorithm = ? AND EXISTS (SELECT 1 FROM job_labels WHERE "
            "job_labels.job = jobs.job AND job_labels.key = ? AND job_labels.value = ?)");
  EXPECT_THAT(filter->values,
              ElementsAre(VariantWith<int64_t>(int64_t{v1::Job::STATE_RUNNING}),
                          VariantWith<std::string>("hierarchical_shrinkage"),
                          VariantWith<std::string>("team"), VariantWith<std::string>("blue")));
}

TEST(JobFilterTest, TakesEveryOperator) {
  for (const std::string op : {"=", "!=", "<", "<=", ">", ">="}) {
    EXPECT_EQ(ConditionOf("priority" + op + "-3"), "jobs.priority " + op + " ?");
    EXPECT_EQ(ConditionOf("display_name " + op + " x"), "jobs.display_name " + op + " ?");
  }
}

TEST(JobFilterTest, ReadsTimesToTheNanosecond) {
  const auto filter = ParseJobFilter("create_time >= \"1970-01-01T00:00:01.000000005Z\"");
  ASSERT_THAT(filter.status(), IsOk());
  EXPECT_THAT(filter->values, ElementsAre(VariantWith<int64_t>(1'000'000'005)));
  EXPECT_THAT(ParseJobFilter("create_time < 2026-01-31T12:00:00+01:00").status(), IsOk());
}

TEST(JobFilterTest, QuotedTextKeepsEscapesAndOtherQuotes) {
  const auto filter = ParseJobFilter(R"(display_name = "a\"b\\c'd" AND labels."k y" != 'x"y')");
  ASSERT_THAT(filter.status(), IsOk());
  EXPECT_THAT(filter->values,
              ElementsAre(VariantWith<std::string>("a\"b\\c'd"), VariantWith<std::string>("k y"),
                          VariantWith<std::string>("x\"y")));
}

TEST(JobFilterTest, StatesMayCarryTheirPrefix) {
  EXPECT_EQ(ConditionOf("state != STATE_FAILED"), "jobs.state != ?");
}

struct BadFilter {
  std::string text;
  std::string place;
  std::string rule;
};
class BadJobFilterTest : public testing::TestWithParam<BadFilter> {};

TEST_P(BadJobFilterTest, NamesPlaceAndRule) {
  const absl::Status status = ParseJobFilter(GetParam().text).status();
  EXPECT_THAT(status, Violates("filter", GetParam().rule));
  EXPECT_THAT(std::string(status.message()), HasSubstr("at byte " + GetParam().place + ":"));
}

INSTANTIATE_TEST_SUITE_P(
    All, BadJobFilterTest,
    testing::Values(BadFilter{"state", "6", "expected =, !=, <, <=, > or >= after 'state'"},
                    BadFilter{"state =", "8", "expected a value after ="},
                    BadFilter{"= RUNNING", "1", "expected a field"},
                    BadFilter{"state = ASLEEP", "9", "'ASLEEP' is no state"},
                    BadFilter{"state = STATE_UNSPECIFIED", "9", "is no state"},
                    BadFilter{"state < RUNNING", "7", "states have no order"},
                    BadFilter{"priority = high", "12", "'high' is no whole number"},
                    BadFilter{"priority = 1.5", "12", "is no whole number"},
                    BadFilter{"priority = 99999999999999999999", "12", "is no whole number"},
                    BadFilter{"create_time > yesterday", "15", "is no time"},
                    BadFilter{"create_time > infinite-future", "15", "is no time"},
                    BadFilter{"colour = red", "1", "'colour' is no field"},
                    BadFilter{"labels. = x", "1", "'labels.' is no field"},
                    BadFilter{"priority = 1 OR priority = 2", "14", "expected AND or the end"},
                    BadFilter{"priority = 1 priority = 2", "14", "expected AND or the end"},
                    BadFilter{"priority = 1 AND", "17", "expected a field"},
                    BadFilter{"(priority = 1)", "1", "without parentheses"},
                    BadFilter{"priority ! 1", "10", "'!' must be followed by '='"},
                    BadFilter{"display_name = \"abc", "16", "never closed"},
                    BadFilter{"display_name = \"abc\\", "16", "never closed"},
                    BadFilter{"display_name = \xff", "16", "unexpected '\\xff'"},
                    BadFilter{"algorithm = a; DROP TABLE jobs", "14", "unexpected ';'"},
                    BadFilter{std::string("algorithm = \0", 13), "13", "unexpected '\\x00'"},
                    BadFilter{std::string(5000, 'a'), "4097", "at most 4096"}));

TEST(JobFilterTest, CountsConditions) {
  std::string filter = "priority = 1";
  for (int i = 1; i < 32; ++i) filter += " AND priority = 1";
  EXPECT_THAT(ParseJobFilter(filter).status(), IsOk());
  EXPECT_THAT(ParseJobFilter(filter + " AND priority = 1").status(),
              Violates("filter", "more than 32 conditions"));
}

TEST(JobFilterTest, NoTextOfTheUserReachesTheSql) {
  const auto filter = ParseJobFilter("labels.\"x' OR 1=1 --\" = \"'; DROP TABLE jobs; --\"");
  ASSERT_THAT(filter.status(), IsOk());
  EXPECT_EQ(filter->condition.find("DROP"), std::string::npos);
  EXPECT_EQ(filter->condition.find("1=1"), std::string::npos);
}

TEST(JobFilterTest, RandomTextsAreAnsweredNotFatal) {
  std::mt19937 random(7);
  const std::string_view pieces[] = {"state",   "priority", "labels.", "=",   "!=",         "<",
                                     "\"",      "'",        "\\",      "AND", "(",          "\n",
                                     "RUNNING", "1",        "\x80",    "-",   "create_time"};
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (unsigned i = random() % 8; i > 0; --i) {
      text += pieces[random() % std::size(pieces)];
      if (random() % 2 == 0) text += ' ';
    }
    const auto filter = ParseJobFilter(text);
    if (filter.ok()) {
      ++accepted;
    } else {
      EXPECT_EQ(ViolationsOf(filter.status()).size(), 1u) << text;
    }
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace trainyard
