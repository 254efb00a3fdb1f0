#include "client/cpp/checksums.h"

#include <gtest/gtest.h>

#include <string>

namespace trainyard {
namespace {

// Vectors of RFC 3720, section B.4.
TEST(Crc32cTest, AgreesWithRfc3720) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending += c;
  EXPECT_EQ(Crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
}

TEST(Crc32cTest, ContinuesAtEverySplit) {
  const std::string data = "The quick brown fox jumps over the lazy dog";
  for (size_t split = 0; split <= data.size(); ++split) {
    EXPECT_EQ(Crc32c(data.substr(split), Crc32c(data.substr(0, split))), Crc32c(data));
  }
}

// Vectors of FIPS 180-4's examples.
TEST(Sha256Test, AgreesWithFipsExamplesAndStartsAnew) {
  Sha256 sha256;
  sha256.Update("a");
  sha256.Update("bc");
  EXPECT_EQ(sha256.FinishHex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256.FinishHex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace trainyard
