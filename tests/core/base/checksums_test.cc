// SHA-256 against the examples of FIPS 180-4; CRC-32C against RFC 3720 and a bitwise
// implementation.
#include <gtest/gtest.h>

#include <string>

#include "core/base/crc32c.h"
#include "core/base/random.h"
#include "core/base/secret.h"
#include "core/base/sha256.h"

namespace trainyard {
namespace {

uint32_t BitwiseCrc32c(std::string_view bytes) {
  uint32_t crc = 0xFFFFFFFF;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
  }
  return ~crc;
}

std::string RandomBytes(size_t size, uint64_t seed) {
  Rng rng(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) byte = static_cast<char>(rng.NextUint64());
  return bytes;
}

TEST(Sha256Test, PublishedExamples) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(Sha256Test, PiecesGiveTheHashOfTheWhole) {
  const std::string bytes = RandomBytes(10'000, 1);
  Sha256 hash;
  for (size_t at = 0; at < bytes.size(); at += 777) {
    hash.Update(std::string_view(bytes).substr(at, 777));
    EXPECT_EQ(hash.HexDigest(), Sha256Hex(bytes.substr(0, at + 777)));
  }
}

TEST(Crc32cTest, PublishedExamples) {
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62A8AB43u);
}

TEST(Crc32cTest, EqualsTheBitwiseDefinitionAtEveryLengthAndAlignment) {
  const std::string bytes = RandomBytes(20'000, 2);
  for (const size_t length : {1, 7, 8, 9, 63, 1024, 3071, 3072, 3073, 6144, 9999, 16'384}) {
    for (size_t offset = 0; offset < 9; ++offset) {
      const std::string_view part = std::string_view(bytes).substr(offset, length);
      ASSERT_EQ(Crc32c(part), BitwiseCrc32c(part)) << length << " at " << offset;
    }
  }
}

TEST(Crc32cTest, ExtendsOverPieces) {
  const std::string bytes = RandomBytes(50'000, 3);
  uint32_t crc = 0;
  for (size_t at = 0; at < bytes.size(); at += 7919) {
    crc = ExtendCrc32c(crc, std::string_view(bytes).substr(at, 7919));
  }
  EXPECT_EQ(crc, Crc32c(bytes));
}

TEST(SecretTest, TokensAreLongAndDiffer) {
  const std::string token = RandomHexToken(32);
  EXPECT_EQ(token.size(), 64u);
  EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(token, RandomHexToken(32));
}

TEST(SecretTest, ComparesWhole) {
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "ab"));
}

}  // namespace
}  // namespace trainyard
