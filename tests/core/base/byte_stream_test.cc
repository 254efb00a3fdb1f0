#include "core/base/byte_stream.h"

#include <cmath>
#include <utility>

#include "gtest/gtest.h"

namespace trainyard {
namespace {

std::string Sample() {
  ByteWriter writer;
  writer.Put(uint64_t{7});
  writer.PutText("a text");
  writer.PutList<double>({0.5, -0.0, HUGE_VAL});
  writer.Put(-2.5);
  return std::move(writer).Seal();
}

TEST(ByteStreamTest, ComesBackAsItWas) {
  const std::string bytes = Sample();
  ByteReader reader = ByteReader::Unseal(bytes);
  EXPECT_EQ(reader.Take<uint64_t>(), 7u);
  EXPECT_EQ(reader.TakeText(), "a text");
  const std::vector<double> list = reader.TakeList<double>();
  ASSERT_EQ(list.size(), 3u);
  EXPECT_EQ(list[0], 0.5);
  EXPECT_TRUE(std::signbit(list[1]));
  EXPECT_EQ(list[2], HUGE_VAL);
  EXPECT_FALSE(reader.done());
  EXPECT_EQ(reader.Take<double>(), -2.5);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.Take<uint64_t>(), 0u);
  EXPECT_FALSE(reader.ok());
}

TEST(ByteStreamTest, DamageIsSeenAtOnce) {
  const std::string bytes = Sample();
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    EXPECT_FALSE(ByteReader::Unseal(damaged).ok());
    EXPECT_FALSE(ByteReader::Unseal(std::string_view(bytes).substr(0, i)).ok());
  }
}

TEST(ByteStreamTest, LengthsBeyondTheEndAreRefusedWithoutMemory) {
  ByteWriter writer;
  writer.Put(~uint64_t{0});
  ByteReader lists(writer.bytes());
  EXPECT_TRUE(lists.TakeList<double>().empty());
  EXPECT_FALSE(lists.ok());
  ByteReader texts(writer.bytes());
  EXPECT_EQ(texts.TakeText(), "");
  EXPECT_FALSE(texts.ok());
}

}  // namespace
}  // namespace trainyard
