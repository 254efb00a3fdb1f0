// Dates are checked against `date -u +%s`, numbers against strtod.
#include "core/data/value_parsing.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "core/base/random.h"

namespace trainyard {
namespace {

TEST(ValueParsingTest, NumbersEqualStrtod) {
  for (const char* text :
       {"0", "-0", "1", "+2.5", "-1e-300", "1E+5", ".5", "5.", "123456789012345678901", "0.1",
        "2.2250738585072014e-308", " 3 ", "\t4"}) {
    ASSERT_TRUE(ParseNumber(text)) << text;
    EXPECT_EQ(*ParseNumber(text), std::strtod(text, nullptr)) << text;
  }
}

TEST(ValueParsingTest, RejectsWhatIsNoFiniteNumber) {
  for (const char* text : {"", " ", "x", "1x", "1 2", "inf", "-Infinity", "nan", "1e999", "0x10",
                           "1,5", "+-1", "--1", "1e", "."}) {
    EXPECT_FALSE(ParseNumber(text)) << text;
  }
}

TEST(ValueParsingTest, NumbersRoundTripThroughText) {
  Rng rng(5);
  for (int i = 0; i < 100'000; ++i) {
    const double value =
        std::ldexp(rng.NextDouble() - 0.5, static_cast<int>(rng.UniformInt(200)) - 100);
    ASSERT_EQ(*ParseNumber(FormatNumber(value)), value);
  }
  EXPECT_EQ(FormatNumber(3), "3");
  EXPECT_EQ(FormatNumber(-0.25), "-0.25");
  EXPECT_EQ(FormatNumber(1e300), "1e+300");
}

TEST(ValueParsingTest, Dates) {
  EXPECT_EQ(*ParseDate("1970-01-01"), 0);
  EXPECT_EQ(*ParseDate("2013-06-01"), 1370044800);
  EXPECT_EQ(*ParseDate("2013-06-01 12:30"), 1370089800);
  EXPECT_EQ(*ParseDate("2013-06-01T12:30:15.25Z"), 1370089815.25);
  EXPECT_EQ(*ParseDate("2013-06-01T12:30:00+02:00"), 1370082600);
  EXPECT_EQ(*ParseDate("2013-06-01T12:30:00-0530"), 1370109600);
  EXPECT_EQ(*ParseDate("1969-12-31T23:59:59Z"), -1);
  EXPECT_EQ(*ParseDate("2012-02-29"), 1330473600);
  for (const char* text :
       {"2013-02-29", "2013-13-01", "2013-6-1", "13-06-01", "2013-06-01T25:00", "2013-06-01X",
        "2013-06-01T12", "2013-06-01T12:30:15.Z", "2013-06-01T12:30+5", "20130601", ""}) {
    EXPECT_FALSE(ParseDate(text)) << text;
  }
}

TEST(ValueParsingTest, DatesRoundTripThroughText) {
  EXPECT_EQ(FormatDate(0), "1970-01-01");
  EXPECT_EQ(FormatDate(1370089815.25), "2013-06-01T12:30:15.25Z");
  EXPECT_EQ(FormatDate(-1), "1969-12-31T23:59:59Z");
  Rng rng(6);
  for (int i = 0; i < 10'000; ++i) {
    const double seconds = static_cast<double>(rng.UniformInt(8'000'000'000)) - 4e9;
    ASSERT_EQ(*ParseDate(FormatDate(seconds)), seconds) << FormatDate(seconds);
  }
}

TEST(ValueParsingTest, FractionsOfSecondsRoundTrip) {
  EXPECT_EQ(FormatDate(1370089815.123), "2013-06-01T12:30:15.123Z");
  EXPECT_EQ(FormatDate(-0.5), "1969-12-31T23:59:59.5Z");
  EXPECT_EQ(FormatDate(1370089815.9999998), "2013-06-01T12:30:15.9999998Z");
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    const double seconds = (rng.NextDouble() - 0.5) * 8e9;
    if (std::abs(seconds) < 1e8) continue;  // finer than the nanoseconds that are written
    ASSERT_EQ(*ParseDate(FormatDate(seconds)), seconds) << FormatDate(seconds);
  }
  EXPECT_EQ(*ParseDate("1970-01-01T00:00:00.1"), 0.1);
  EXPECT_EQ(*ParseDate("1970-01-01T00:00:00.12345678901234567890"), 0.123456789012345);
  EXPECT_EQ(FormatDate(1e300), FormatNumber(1e300));  // no year
}

TEST(ValueParsingTest, BooleanDigits) {
  EXPECT_TRUE(*ParseBooleanOrDigit("1"));
  EXPECT_FALSE(*ParseBooleanOrDigit(" 0 "));
  EXPECT_TRUE(*ParseBooleanOrDigit("yes"));
  EXPECT_FALSE(ParseBooleanOrDigit("2"));
}

TEST(ValueParsingTest, Booleans) {
  EXPECT_TRUE(ParseBoolean("TRUE")->first);
  EXPECT_FALSE(ParseBoolean(" no ")->first);
  EXPECT_EQ(ParseBoolean("Y")->second, BooleanWords::kNY);
  for (const char* text : {"", "0", "1", "yeah", "tru", "falsee"})
    EXPECT_FALSE(ParseBoolean(text)) << text;
}

TEST(ValueParsingTest, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_FALSE(FindInvalidUtf8("ascii, \xc3\xa4, \xe2\x82\xac, \xf0\x9f\x9a\x82"));
  EXPECT_EQ(FindInvalidUtf8("ab\xff"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xc0\xaf"), 0u);          // overlong
  EXPECT_EQ(FindInvalidUtf8("a\xed\xa0\x80"), 1u);     // surrogate
  EXPECT_EQ(FindInvalidUtf8("a\xe2\x82"), 1u);         // cut off
  EXPECT_EQ(FindInvalidUtf8("\xf4\x90\x80\x80"), 0u);  // beyond U+10FFFF
}

}  // namespace
}  // namespace trainyard
