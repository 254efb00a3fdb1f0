#include "core/base/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

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

// Sizes around the pieces and blocks in which large files are written past the cache.
TEST_F(FileSystemTest, LargeFilesHoldWhatWasAppended) {
  constexpr int64_t kReserved = 9 << 20;
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{4095}, size_t{1} << 20, (size_t{1} << 20) + 1,
        (size_t{4} << 20) - 4096 + 17, size_t{9} << 20, (size_t{9} << 20) + 12345}) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 2654435761u >> 13);
    auto file = FileSystem::Real().Create(folder_ / "a", kReserved);
    ASSERT_TRUE(file.ok()) << file.status();
    for (size_t at = 0, step = 1; at < size; at += step, step = step * 3 + 1) {
      ASSERT_TRUE((*file)->Append(std::string_view(text).substr(at, step)).ok());
    }
    ASSERT_TRUE((*file)->Sync().ok());
    EXPECT_TRUE(*ReadFile(folder_ / "a") == text) << size;
    ASSERT_TRUE((*file)->Append("more").ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Close().ok());
    EXPECT_TRUE(*ReadFile(folder_ / "a") == text + "more") << size;
    ASSERT_TRUE(FileSystem::Real().Remove(folder_ / "a").ok());
  }
}

TEST_F(FileSystemTest, LargeFileGivenUpLeavesNoThread) {
  auto file = FileSystem::Real().Create(folder_ / "a", 64 << 20);
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(std::string(5 << 20, 'x')).ok());
  file->reset();
  EXPECT_EQ(*FileSystem::Real().SizeOf(folder_ / "a"), 64 << 20);
}

// The size limit of the process stands for a full disk: an error in the background is answered.
TEST_F(FileSystemTest, LargeFileReportsWhatFailedInTheBackground) {
  auto file = FileSystem::Real().Create(folder_ / "a", 16 << 20);
  ASSERT_TRUE(file.ok());
  struct rlimit before {};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const struct rlimit low { 2 << 20, before.rlim_max };
  signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  absl::Status status;
  for (int i = 0; i < 12 && status.ok(); ++i) status = (*file)->Append(std::string(1 << 20, 'x'));
  if (status.ok()) status = (*file)->Sync();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ((*file)->Sync().code(), absl::StatusCode::kResourceExhausted) << "for good";
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
