#include "proto/schema/reference.h"
#include "tests/paths.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace trainyard {
namespace {

const std::string kPage = std::string(kTestData) + "/../../docs/reference.md";

// With TRAINYARD_UPDATE=1 in the environment, writes the page instead of comparing it.
TEST(ReferenceTest, PageInDocsIsWhatTheApiDefinitionSays) {
  const std::string page = RenderSpecReference();
  if (std::getenv("TRAINYARD_UPDATE") != nullptr) std::ofstream(kPage) << page;
  std::ostringstream stored;
  stored << std::ifstream(kPage).rdbuf();
  EXPECT_EQ(stored.str(), page)
      << "run this test with TRAINYARD_UPDATE=1 to write docs/reference.md";
}

}  // namespace
}  // namespace trainyard
