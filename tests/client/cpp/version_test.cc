#include "client/cpp/version.h"

#include <gtest/gtest.h>

#include "proto/schema/violations.h"

namespace trainyard {
namespace {

TEST(VersionTest, AcceptsEqualMajorAndMinor) {
  const auto warning = CheckServerVersion("1.2.3", "1.2.99-dev");
  ASSERT_TRUE(warning.ok());
  EXPECT_EQ(*warning, "");
}

TEST(VersionTest, WarnsOfAnotherMinorVersion) {
  const auto warning = CheckServerVersion("1.2.3", "1.3.0");
  ASSERT_TRUE(warning.ok());
  EXPECT_NE(warning->find("1.2.3"), std::string::npos);
  EXPECT_NE(warning->find("1.3.0"), std::string::npos);
}

TEST(VersionTest, RefusesAnotherMajorVersionAndNonsense) {
  for (const char* server : {"2.2.3", "0.2.3", "", "x.y", "1", "one.two.three"}) {
    const auto result = CheckServerVersion("1.2.3", server);
    EXPECT_TRUE(absl::IsFailedPrecondition(result.status())) << server;
    EXPECT_EQ(ReasonOf(result.status()), "VERSION_MISMATCH");
  }
}

TEST(VersionTest, KnowsItself) {
  EXPECT_TRUE(CheckServerVersion(ClientVersion(), ClientVersion()).ok());
}

}  // namespace
}  // namespace trainyard
