#include "client/cpp/files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "proto/schema/violations.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

class FilesTest : public ::testing::Test {
 protected:
  FilesTest() : folder_(fs::path(::testing::TempDir()) / ("files" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~FilesTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  size_t EntryCount() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  fs::path folder_;
};

TEST_F(FilesTest, RefusesPathsThatLeaveTheFolder) {
  for (const std::string path :
       {"", "/etc/passwd", "../x", "a/../../x", "a/..", ".", "a//b", "a/", "a\\b", "./a"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckRelativePath(path))) << path;
  }
  EXPECT_FALSE(CheckRelativePath(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(CheckRelativePath(std::string(256, 'a')).ok());
  for (const std::string path : {"manifest.json", "a/b/c.bin", "..a", "a..b/c"}) {
    EXPECT_TRUE(CheckRelativePath(path).ok()) << path;
  }
}

TEST_F(FilesTest, FileAppearsOnlyAtCommit) {
  {
    auto file = AtomicFile::Create(Path("out"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Write("lost").ok());
  }
  EXPECT_EQ(EntryCount(), 0u);
  auto file = AtomicFile::Create(Path("out"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Write("first").ok());
  ASSERT_TRUE((*file)->Truncate().ok());
  ASSERT_TRUE((*file)->Write("kept").ok());
  EXPECT_FALSE(fs::exists(Path("out")));
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(Content(Path("out")), "kept");
  EXPECT_EQ(EntryCount(), 1u);
}

TEST_F(FilesTest, FolderAppearsOnlyAtCommitAndReplacesOnlyWhenTold) {
  const auto make = [&](bool replace, const std::string& text) -> absl::Status {
    auto folder = AtomicFolder::Create(Path("model"), replace);
    if (!folder.ok()) return folder.status();
    auto file = (*folder)->CreateFile("deep/down/file");
    if (!file.ok()) return file.status();
    EXPECT_TRUE((*file)->Write(text).ok());
    EXPECT_TRUE((*file)->Commit().ok());
    return (*folder)->Commit();
  };
  ASSERT_TRUE(make(false, "one").ok());
  EXPECT_EQ(Content(Path("model/deep/down/file")), "one");
  const absl::Status again = make(false, "two");
  EXPECT_TRUE(absl::IsAlreadyExists(again));
  EXPECT_EQ(ReasonOf(again), kLocalFileReason);
  ASSERT_TRUE(make(true, "two").ok());
  EXPECT_EQ(Content(Path("model/deep/down/file")), "two");
  EXPECT_EQ(EntryCount(), 1u);
}

TEST_F(FilesTest, AbandonedFolderLeavesNothing) {
  {
    auto folder = AtomicFolder::Create(Path("model"), false);
    ASSERT_TRUE(folder.ok());
    EXPECT_TRUE(absl::IsInvalidArgument((*folder)->CreateFile("../escape").status()));
    auto file = (*folder)->CreateFile("a");
    ASSERT_TRUE((*file)->Commit().ok());
  }
  EXPECT_EQ(EntryCount(), 0u);
}

TEST_F(FilesTest, OpensRegularFilesOnly) {
  EXPECT_TRUE(absl::IsNotFound(InputFile::Open(Path("absent")).status()));
  EXPECT_EQ(ReasonOf(InputFile::Open(folder_.string()).status()), kLocalFileReason);
  std::ofstream(Path("in")) << "0123456789";
  const auto file = InputFile::Open(Path("in"));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->size(), 10);
  std::string buffer(20, ' ');
  ASSERT_TRUE(file->Read(4, buffer).ok());
  EXPECT_EQ(buffer, "456789");
}

}  // namespace
}  // namespace trainyard
