#include "server/scheduler/gpu_pool.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class GpuPoolTest : public testing::Test {
 protected:
  GpuPool pool_{{{"cuda:0", "GPU-a"}, {"cuda:1", "GPU-b"}, {"cuda:2", "GPU-c"}}};
};

TEST_F(GpuPoolTest, GivesEachGpuToOneJob) {
  EXPECT_THAT(pool_.Take("x", 2), ElementsAre("cuda:0", "cuda:1"));
  EXPECT_THAT(pool_.Take("y", 1), ElementsAre("cuda:2"));
  EXPECT_THAT(pool_.DriverNames("x"), ElementsAre("GPU-a", "GPU-b"));
  EXPECT_THAT(pool_.DriverNames("y"), ElementsAre("GPU-c"));
}

TEST_F(GpuPoolTest, AJobWithoutGpusHasNone) {
  EXPECT_THAT(pool_.Take("x", 0), IsEmpty());
  EXPECT_THAT(pool_.DriverNames("x"), IsEmpty());
}

TEST_F(GpuPoolTest, ReleasedGpusAreGivenAgain) {
  pool_.Take("x", 1);
  pool_.Take("y", 2);
  pool_.Release("x");
  EXPECT_THAT(pool_.DriverNames("x"), IsEmpty());
  EXPECT_THAT(pool_.Take("z", 1), ElementsAre("cuda:0"));
}

TEST_F(GpuPoolTest, AdoptedJobsKeepTheirs) {
  pool_.TakeThese("old", {"cuda:1", "cuda:7"});
  EXPECT_THAT(pool_.DriverNames("old"), ElementsAre("GPU-b"));
  EXPECT_THAT(pool_.Take("new", 3), ElementsAre("cuda:0", "cuda:2"));
}

}  // namespace
}  // namespace trainyard
