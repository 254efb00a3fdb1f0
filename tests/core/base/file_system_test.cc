#include "core/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "core/base/testing/faulty_file_system.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FileSystemTest : public ::testing::Test {
 protected:
  FileSystemTest() {
    std::string pattern = ::testing::TempDir() + "/files-XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~FileSystemTest() override { std::filesystem::remove_all(folder_); }

  std::vector<std::filesystem::path> Entries() { return *FileSystem::Real().List(folder_); }

  std::filesystem::path folder_;
};

TEST_F(FileSystemTest, WritesWhatWasAppended) {
  auto file = FileSystem::Real().Create(folder_ / "a", 0);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("one ").ok());
  ASSERT_TRUE((*file)->Append("two").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ(*ReadFile(folder_ / "a"), "one two");
}

TEST_F(FileSystemTest, ReservationDoesNotChangeTheSize) {
  auto file = FileSystem::Real().Create(folder_ / "a", 1 << 20);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append("short").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ(*FileSystem::Real().SizeOf(folder_ / "a"), 5);
}

TEST_F(FileSystemTest, ReservingMoreThanTheDiskHasIsResourceExhaustedAndLeavesNothing) {
  const auto file = FileSystem::Real().Create(folder_ / "a", int64_t{1} << 55);
  EXPECT_EQ(file.status().code(), absl::StatusCode::kResourceExhausted) << file.status();
  EXPECT_THAT(Entries(), IsEmpty());
}

TEST_F(FileSystemTest, ErrorsNameOperationAndPath) {
  ASSERT_TRUE(WriteFileAtomically(FileSystem::Real(), folder_ / "a", "x").ok());
  const auto twice = FileSystem::Real().Create(folder_ / "a", 0);
  EXPECT_EQ(twice.status().code(), absl::StatusCode::kAlreadyExists);
  const auto absent = ReadFile(folder_ / "absent");
  EXPECT_EQ(absent.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr("opening"));
  EXPECT_THAT(std::string(absent.status().message()), HasSubstr((folder_ / "absent").string()));
  EXPECT_EQ(FileSystem::Real().Remove(folder_ / "absent").code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(FileSystem::Real().List(folder_ / "absent").ok());
}

TEST_F(FileSystemTest, AtomicWriteReplacesTheWholeFile) {
  ASSERT_TRUE(
      WriteFileAtomically(FileSystem::Real(), folder_ / "a", std::string(100'000, 'x')).ok());
  ASSERT_TRUE(WriteFileAtomically(FileSystem::Real(), folder_ / "a", "new").ok());
  EXPECT_EQ(*ReadFile(folder_ / "a"), "new");
  EXPECT_THAT(Entries(), SizeIs(1));
}

// Whichever operation fails, the file holds the old or the new text and nothing else is left.
TEST_F(FileSystemTest, AtomicWriteIsAtomicUnderEveryFault) {
  FaultyFileSystem files;
  ASSERT_TRUE(WriteFileAtomically(files, folder_ / "a", "old").ok());
  const int64_t operations = files.operation_count();
  ASSERT_GE(operations, 5);
  for (int64_t n = 0; n < operations; ++n) {
    ASSERT_TRUE(WriteFileAtomically(FileSystem::Real(), folder_ / "a", "old").ok());
    files.FailAt(n, absl::ResourceExhaustedError("disk full"));
    EXPECT_EQ(WriteFileAtomically(files, folder_ / "a", "new").code(),
              absl::StatusCode::kResourceExhausted);
    const std::string text = *ReadFile(folder_ / "a");
    EXPECT_TRUE(text == "old" || text == "new") << text;
    EXPECT_THAT(Entries(), SizeIs(1)) << "after a fault in operation " << n;
  }
}

}  // namespace
}  // namespace trainyard
