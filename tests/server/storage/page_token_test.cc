#include "server/storage/page_token.h"

#include "gtest/gtest.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

const PagePosition kPosition{-1234567890123, 42, std::string("text\0\xff", 6)};

TEST(PageTokensTest, ReadsWhatItMade) {
  const PageTokens tokens("a key");
  for (const PagePosition& position : {kPosition, PagePosition{}, PagePosition{1, -1, "x"}}) {
    const auto read = tokens.Read("q", tokens.Make("q", position));
    ASSERT_THAT(read.status(), IsOk());
    EXPECT_EQ(*read, position);
  }
}

TEST(PageTokensTest, RefusesEveryChangeOfOneByte) {
  const PageTokens tokens("a key");
  const std::string token = tokens.Make("q", kPosition);
  for (size_t i = 0; i < token.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string tampered = token;
      tampered[i] = static_cast<char>(value);
      if (tampered == token) continue;
      ASSERT_THAT(tokens.Read("q", tampered).status(), Violates("page_token", "is not a token"))
          << i << " " << value;
    }
  }
}

TEST(PageTokensTest, RefusesEveryTruncationAndExtension) {
  const PageTokens tokens("a key");
  const std::string token = tokens.Make("q", kPosition);
  for (size_t size = 0; size < token.size(); ++size) {
    EXPECT_THAT(tokens.Read("q", token.substr(0, size)).status(), Violates("page_token", ""));
  }
  for (const std::string more : {"A", "=", " ", "AAAA"}) {
    EXPECT_THAT(tokens.Read("q", token + more).status(), Violates("page_token", ""));
  }
  EXPECT_THAT(tokens.Read("q", std::string(1 << 20, 'A')).status(), Violates("page_token", ""));
}

TEST(PageTokensTest, RefusesTokensOfOtherQueriesAndStores) {
  const PageTokens tokens("a key");
  const std::string token = tokens.Make("q", kPosition);
  EXPECT_THAT(tokens.Read("r", token).status(), Violates("page_token", ""));
  EXPECT_THAT(PageTokens("another key").Read("q", token).status(), Violates("page_token", ""));
}

TEST(PageTokensTest, QueriesOfOtherPartsDiffer) {
  EXPECT_NE(PageQuery({"a", "bc"}), PageQuery({"ab", "c"}));
  EXPECT_NE(PageQuery({"a", ""}), PageQuery({"a"}));
  EXPECT_NE(PageQuery({"1:a"}), PageQuery({"a"}));
}

}  // namespace
}  // namespace trainyard
