#include "client/cli/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace trainyard::cli {
namespace {

TEST(TextTest, MeasuresColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3);
  EXPECT_EQ(DisplayWidth("é█…"), 3);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1);
  EXPECT_EQ(DisplayWidth("日本"), 4);
  EXPECT_EQ(DisplayWidth("\x1b[31mred\x1b[0m"), 3);
  EXPECT_EQ(DisplayWidth("\xff\xfe"), 2);
}

TEST(TextTest, TakesAwayWhatCouldSteerATerminal) {
  EXPECT_EQ(Printable("a\x1b[2Jb\x1b[31mc"), "abc");
  EXPECT_EQ(Printable("a\rb\nc\td"), "abc d");
  EXPECT_EQ(Printable("\x1b]0;title\x07x"), "]0;titlex");
  EXPECT_EQ(Printable("bad\xff\xc0\xaf"), "bad???");
  EXPECT_EQ(Printable("\u202Eevil"), "evil");
  EXPECT_EQ(Printable("ünï 日本"), "ünï 日本");
}

TEST(TextTest, CutsAndPads) {
  EXPECT_EQ(Fit("abcdef", 4), "abc…");
  EXPECT_EQ(Fit("abcd", 4), "abcd");
  EXPECT_EQ(Fit("日本語", 4), "日…");
  EXPECT_EQ(Pad("ab", 4), "ab  ");
  EXPECT_EQ(Pad("ab", 4, true), "  ab");
  EXPECT_EQ(Pad("abcde", 4), "abcde");
  EXPECT_EQ(Wrap("one two three", 7), (std::vector<std::string>{"one two", "three"}));
}

TEST(TextTest, WritesQuantitiesShort) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(1048575), "1.0 MiB");
  EXPECT_EQ(HumanBytes(3LL << 30), "3.0 GiB");
  EXPECT_EQ(HumanDuration(0), "0 s");
  EXPECT_EQ(HumanDuration(8.01e-6), "8.01 µs");
  EXPECT_EQ(HumanDuration(0.0123), "12.3 ms");
  EXPECT_EQ(HumanDuration(0.351), "0.35 s");
  EXPECT_EQ(HumanDuration(12.4), "12 s");
  EXPECT_EQ(HumanDuration(59.7), "1 min 00 s");
  EXPECT_EQ(HumanDuration(245), "4 min 05 s");
  EXPECT_EQ(HumanDuration(7620), "2 h 07 min");
  EXPECT_EQ(HumanDuration(3 * 86400 + 4 * 3600), "3 d 04 h");
  EXPECT_EQ(HumanDuration(std::numeric_limits<double>::infinity()), "?");
  EXPECT_EQ(HumanNumber(0.93333), "0.9333");
  EXPECT_EQ(HumanNumber(150), "150");
  EXPECT_EQ(HumanNumber(1.2e-7), "1.2e-07");
  EXPECT_EQ(HumanNumber(std::nan("")), "nan");
}

TEST(TextTest, ShortensTimes) {
  google::protobuf::Timestamp time;
  const auto at = [&](const char* text) {
    absl::Time parsed;
    EXPECT_TRUE(absl::ParseTime(absl::RFC3339_full, text, &parsed, nullptr));
    time.set_seconds(absl::ToUnixSeconds(parsed));
    return parsed;
  };
  const absl::TimeZone utc = absl::UTCTimeZone();
  const absl::Time now = at("2025-11-23T18:00:00Z");
  EXPECT_EQ(HumanTime({}, now, utc), "");
  at("2025-11-23T14:05:12Z");
  EXPECT_EQ(HumanTime(time, now, utc), "14:05:12");
  at("2025-11-02T14:05:12Z");
  EXPECT_EQ(HumanTime(time, now, utc), "Nov  2 14:05");
  at("2024-11-23T14:05:12Z");
  EXPECT_EQ(HumanTime(time, now, utc), "2024-11-23");
}

TEST(TextTest, ReadsDurations) {
  const auto seconds = [](const char* text) {
    const auto duration = ParseDuration(text);
    return duration.ok() ? Seconds(*duration) : -1;
  };
  EXPECT_EQ(seconds("90"), 90);
  EXPECT_EQ(seconds("90s"), 90);
  EXPECT_EQ(seconds("10m"), 600);
  EXPECT_EQ(seconds("1h30m"), 5400);
  EXPECT_EQ(seconds("500ms"), 0.5);
  for (const char* bad : {"", "abc", "10x", "-5s", "-1", "inf", "nan", "1e300"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(TextTest, ReadsBytes) {
  EXPECT_EQ(*ParseBytes("4096"), 4096);
  EXPECT_EQ(*ParseBytes("512M"), 512LL << 20);
  EXPECT_EQ(*ParseBytes("4GiB"), 4LL << 30);
  EXPECT_EQ(*ParseBytes("1.5 gb"), 3LL << 29);
  for (const char* bad : {"", "G", "-1", "1X", "1.2.3", "99999999999T"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(TextTest, FindsNearNames) {
  const std::vector<std::string> names = {"cart.max_depth", "cart.max_leaf_nodes", "folds", "seed"};
  EXPECT_EQ(NearestNames("max_dept", names), (std::vector<std::string>{"cart.max_depth"}));
  EXPECT_EQ(NearestNames("--fodls", {"--folds"}), (std::vector<std::string>{"--folds"}));
  EXPECT_EQ(NearestNames("max-depth", names).front(), "cart.max_depth");
  EXPECT_TRUE(NearestNames("zzzzzz", names).empty());
  EXPECT_EQ(DidYouMean("sed", names), "; did you mean seed?");
  EXPECT_EQ(DidYouMean("zzzzzz", names), "");
}

}  // namespace
}  // namespace trainyard::cli
