// GPUs: which attempt has which.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/scheduler/testing/manager_fixture.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using v1::Job;

class JobGpuTest : public ManagerTest {
 protected:
  JobGpuTest() {
    options_.capacity.gpus = 2;
    options_.gpus = {{"cuda:0", "GPU-a"}, {"cuda:1", "GPU-b"}};
  }
  static Job GpuJob(const std::string& id, int gpus) {
    Job job = NewJob(id);
    job.mutable_resources()->set_gpus(gpus);
    return job;
  }
  std::vector<std::string> GpusOf(const std::string& id) {
    const auto process = executor_.Find(AttemptOf(id));
    EXPECT_TRUE(process.has_value()) << id << " was not launched";
    return process.has_value() ? process->gpus : std::vector<std::string>();
  }
};

TEST_F(JobGpuTest, AWorkerSeesItsGpusAndNoOthers) {
  Start();
  ASSERT_TRUE(Create(GpuJob("one", 1)).ok());
  ASSERT_TRUE(Create(GpuJob("two", 1)).ok());
  ASSERT_TRUE(Create(GpuJob("none", 0)).ok());
  Run();
  EXPECT_THAT(GpusOf("one"), ElementsAre("GPU-a"));
  EXPECT_THAT(GpusOf("two"), ElementsAre("GPU-b"));
  EXPECT_THAT(GpusOf("none"), IsEmpty());
  EXPECT_THAT(Get("two").attempts(0).gpus(), ElementsAre("cuda:1"));
}

TEST_F(JobGpuTest, WaitsForGpusThatAreTaken) {
  Start();
  ASSERT_TRUE(Create(GpuJob("first", 2)).ok());
  ASSERT_TRUE(Create(GpuJob("second", 1)).ok());
  Run();
  EXPECT_EQ(Get("second").state(), Job::STATE_QUEUED);
  executor_.Exit(AttemptOf("first"), {});
  Run();
  EXPECT_THAT(GpusOf("second"), ElementsAre("GPU-a"));
}

TEST_F(JobGpuTest, AnAdoptedWorkerKeepsItsGpus) {
  Start();
  ASSERT_TRUE(Create(GpuJob("first", 1)).ok());
  ASSERT_TRUE(Create(GpuJob("old", 1)).ok());
  Run();
  executor_.Exit(AttemptOf("first"), {});
  Run();
  Restart();
  ASSERT_TRUE(Create(GpuJob("new", 1)).ok());
  Run();
  EXPECT_THAT(GpusOf("new"), ElementsAre("GPU-a"));
}

}  // namespace
}  // namespace trainyard
