// The fast paths against what they stand in for: strtod, and maps and sets of the standard library.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/random.h"
#include "core/data/csv_records.h"
#include "core/data/distinct_counter.h"
#include "core/data/short_number.h"
#include "core/data/short_text_codes.h"

namespace trainyard {
namespace {

// What lies behind the field must not matter.
std::string Padded(const std::string& field, char end, Rng& rng) {
  std::string text = field + end;
  for (int i = 0; i < 16; ++i) text += "0123456789.,\n-x\xff"[rng.UniformInt(16)];
  return text;
}

TEST(ShortNumberTest, EqualsStrtodOnShortDecimals) {
  Rng rng(1);
  const ShortNumberReader reader(',', '\n');
  for (int i = 0; i < 200'000; ++i) {
    std::string field = rng.UniformInt(3) == 0 ? "-" : "";
    const uint64_t digits = 1 + rng.UniformInt(8);
    const uint64_t point = rng.UniformInt(2 * digits);
    for (uint64_t d = 0; d < digits; ++d) {
      if (d == point && digits < 8) field += '.';
      field += static_cast<char>('0' + rng.UniformInt(10));
    }
    const std::string text = Padded(field, ",\n\r"[rng.UniformInt(3)], rng);
    double value = 0;
    const char* const end = reader.Read(text.data(), value);
    ASSERT_EQ(end, text.data() + field.size()) << text;
    const double expected = std::strtod(field.c_str(), nullptr);
    ASSERT_EQ(value, expected) << field;
    ASSERT_EQ(std::signbit(value), std::signbit(expected)) << field;
  }
}

TEST(ShortNumberTest, LeavesEverythingElseToOthers) {
  Rng rng(2);
  const ShortNumberReader reader(';', '\n');
  for (const std::string field :
       {"",          "-",          ".",   "-.",   "1.2.3", "+1",   "1e5",
        "123456789", "1234567.89", " 1",  "1 ",   "--1",   "1-",   "0x1",
        "nan",       "1:2",        "1/2", "12,5", "\"1\"", "\xb1", "1\xc2\xb2"}) {
    for (int i = 0; i < 20; ++i) {
      double value = 0;
      const std::string text = Padded(field, ';', rng);
      EXPECT_EQ(reader.Read(text.data(), value), nullptr) << text;
    }
  }
}

TEST(ShortNumberTest, CarriageReturnEndsAFieldOnlyBeforeLineFeeds) {
  double value = 0;
  EXPECT_NE(ShortNumberReader(',', '\n').Read("12\r\n3456789012345", value), nullptr);
  EXPECT_EQ(value, 12);
  EXPECT_NE(ShortNumberReader(',', '\r').Read("12\r3456789012345", value), nullptr);
  EXPECT_EQ(ShortNumberReader(',', '\r').Read("12\n34567,9012345", value), nullptr);
}

TEST(ShortTextCodesTest, EqualsAMap) {
  Rng rng(3);
  ShortTextCodes codes;
  std::map<std::string, int32_t> expected;
  for (int i = 0; i < 50'000; ++i) {
    std::string text;
    const uint64_t length = 1 + rng.UniformInt(15);
    for (uint64_t k = 0; k < length; ++k) text += "ab"[rng.UniformInt(2)];
    const std::string padded = text + "zzzzzzzzzzzzzzzz";
    const ShortText key = ShortText::Load(padded.data(), text.size());
    const auto known = expected.find(text);
    ASSERT_EQ(codes.Find(key), known == expected.end() ? ShortTextCodes::kUnknown : known->second);
    if (known != expected.end()) continue;
    codes.Add(key, i);
    expected[text] = i;
  }
}

TEST(ShortTextCodesTest, LengthTellsTextsApart) {
  const char text[17] = "ab\0\0cdefghijklmn";
  EXPECT_NE(ShortText::Load(text, 2), ShortText::Load(text, 3));
  EXPECT_EQ(ShortText::Load(text, 2), ShortText::Load("abxxxxxxxxxxxxxx", 2));
}

TEST(DistinctCounterTest, EqualsASetUpToItsBound) {
  Rng rng(4);
  for (const uint64_t range : {1, 10, 1000, 5000, 100'000}) {
    DistinctCounter counter(4000);
    std::set<double> expected;
    for (int block = 0; block < 100; ++block) {
      std::vector<double> values;
      for (uint64_t i = rng.UniformInt(200); i > 0; --i) {
        const double value = static_cast<double>(rng.UniformInt(range)) / 8 - 1;
        values.push_back(rng.UniformInt(10) == 0 ? std::nan("") : value);
        if (!std::isnan(values.back())) expected.insert(value);
      }
      counter.Add(values);
      ASSERT_EQ(counter.count(), std::min<int64_t>(4001, static_cast<int64_t>(expected.size())));
    }
  }
}

TEST(DistinctCounterTest, BothZerosAreOne) {
  DistinctCounter counter(10);
  counter.Add(std::vector<double>{0.0, -0.0});
  EXPECT_EQ(counter.count(), 1);
}

TEST(CountByteTest, EqualsCounting) {
  Rng rng(5);
  for (const size_t size : {0, 1, 31, 32, 33, 8160, 8161, 20'000}) {
    std::string text(size, 'x');
    for (char& c : text) c = "x\n"[rng.UniformInt(2)];
    EXPECT_EQ(CountByte(text, '\n'), std::count(text.begin(), text.end(), '\n'));
  }
  EXPECT_EQ(CountByte(std::string(100'000, '\n'), '\n'), 100'000);
}

}  // namespace
}  // namespace trainyard
