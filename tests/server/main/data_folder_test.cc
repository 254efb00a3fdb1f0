// The lock of a store and the socket of its workers.
#include "server/main/data_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "server/main/machine.h"
#include "server/storage/testing/temp_store.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

TEST(DataFolderTest, TwoServersNeverShareAStore) {
  TempFolder folder;
  const DataFolder data{folder.path() / "new" / "store"};
  auto first = DataFolderLock::Take(data);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = DataFolderLock::Take(data);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  first->reset();
  EXPECT_TRUE(DataFolderLock::Take(data).ok());
}

TEST(DataFolderTest, SocketPathFitsAlsoForALongFolder) {
  TempFolder folder;
  const auto near = WorkerSocket({folder.path()});
  ASSERT_TRUE(near.ok()) << near.status();
  EXPECT_EQ(near->parent_path(), std::filesystem::canonical(folder.path()));
  const std::filesystem::path deep = folder.path() / std::string(60, 'a') / std::string(60, 'b');
  std::filesystem::create_directories(deep);
  const auto far = WorkerSocket({deep});
  ASSERT_TRUE(far.ok()) << far.status();
  EXPECT_LT(far->native().size(), sizeof(sockaddr_un::sun_path));
  EXPECT_EQ(*WorkerSocket({deep}), *far) << "the next run of the store uses the same";
  struct stat found {};
  ASSERT_EQ(stat(far->parent_path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
}

TEST(MachineTest, HasACpuAndMemory) {
  const Machine machine = ProbeMachine();
  EXPECT_GE(machine.cpu_threads, 1);
  EXPECT_GT(machine.memory_bytes, 1 << 20);
}

}  // namespace
}  // namespace trainyard
