#include "core/model_io/json_scanner.h"

#include <gtest/gtest.h>

namespace trainyard {
namespace {

std::string Text(std::string_view json) {
  JsonScanner scanner(json);
  std::string text;
  return scanner.TakeString(text) && scanner.AtEnd() ? text : "refused";
}

TEST(JsonScannerTest, ResolvesEscapes) {
  EXPECT_EQ(Text(R"( "a\"\\\/\b\f\n\r\tz" )"), "a\"\\/\b\f\n\r\tz");
  EXPECT_EQ(Text(R"("\u0041\u00e4\u20AC\ud83d\ude00")"), "A\u00e4\u20AC\U0001F600");
}

TEST(JsonScannerTest, RefusesWhatIsNoString) {
  for (const char* json :
       {"", "a", "\"", "\"a", "'a'", R"("\x")", R"("\u12g4")", R"("\u12)", R"("\ud83d")",
        R"("\ud83dx")", R"("\ude00")", R"("\ud83d\u0041")", "\"\n\"", R"("a" b)"}) {
    EXPECT_EQ(Text(json), "refused") << json;
  }
}

TEST(JsonScannerTest, ReadsWholeNumbers) {
  int64_t number = 0;
  EXPECT_TRUE(JsonScanner("9223372036854775807").TakeWhole(number));
  EXPECT_EQ(number, 9223372036854775807);
  EXPECT_TRUE(JsonScanner(" 0,").TakeWhole(number));
  EXPECT_EQ(number, 0);
  for (const char* json : {"", "-1", "01", "1.0", "1e3", "9223372036854775808", "x", "+1"}) {
    EXPECT_FALSE(JsonScanner(json).TakeWhole(number)) << json;
  }
}

TEST(JsonScannerTest, WritesWhatItReads) {
  std::string text = "\"\\/\u00e4\U0001F600";
  for (char c = 1; c < 0x20; ++c) text += c;
  text += '\0';
  EXPECT_EQ(Text(JsonString(text)), text);
  EXPECT_EQ(JsonString("a\n\x01"), R"("a\n\u0001")");
}

}  // namespace
}  // namespace trainyard
