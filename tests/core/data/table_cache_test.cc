#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "core/base/file_system.h"
#include "core/base/random.h"
#include "core/base/testing/faulty_file_system.h"
#include "core/data/table.h"

namespace trainyard {
namespace {

class TableCacheTest : public ::testing::Test {
 protected:
  TableCacheTest() {
    std::string pattern = ::testing::TempDir() + "/cache-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    file_ = folder_ / "table";
    table_ = *ParseTable(
        "n,t,flag,date\n1,red,yes,2013-06-01\n,green,no,\n3,,yes,2013-06-02\n-4.5,red,,2013-06-"
        "03\n",
        {}, TableLimits(), 1);
  }
  ~TableCacheTest() override { std::filesystem::remove_all(folder_); }

  void Overwrite(const std::string& bytes) { std::ofstream(file_, std::ios::binary) << bytes; }

  std::filesystem::path folder_;
  std::filesystem::path file_;
  std::shared_ptr<const Table> table_;
};

TEST_F(TableCacheTest, OpensEqualToWhatWasWritten) {
  ASSERT_TRUE(WriteTableCache(*table_, file_).ok());
  const auto opened = OpenTableCache(file_, true);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals((*opened)->schema(), table_->schema()));
  for (int c = 0; c < table_->column_count(); ++c) {
    for (int64_t r = 0; r < table_->row_count(); ++r) {
      EXPECT_EQ((*opened)->TextAt(r, c), table_->TextAt(r, c));
    }
  }
}

TEST_F(TableCacheTest, LeavesNothingBesideTheFile) {
  ASSERT_TRUE(WriteTableCache(*table_, file_).ok());
  EXPECT_THAT(*FileSystem::Real().List(folder_), ::testing::SizeIs(1));
  EXPECT_FALSE(WriteTableCache(*table_, folder_ / "absent" / "table").ok());
}

// Whichever operation fails, the old cache or the new one is there, and nothing else.
TEST_F(TableCacheTest, WritingIsAtomicUnderEveryFault) {
  FaultyFileSystem files;
  ASSERT_TRUE(WriteTableCache(*table_, file_, files).ok());
  const int64_t operations = files.operation_count();
  ASSERT_GE(operations, 5);
  for (int64_t n = 0; n < operations; ++n) {
    files.FailAt(n, absl::ResourceExhaustedError("disk full"));
    EXPECT_EQ(WriteTableCache(*table_, file_, files).code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(*FileSystem::Real().List(folder_), ::testing::SizeIs(1)) << "operation " << n;
    EXPECT_TRUE(OpenTableCache(file_, true).ok());
  }
}

TEST_F(TableCacheTest, EveryTruncationIsDataLoss) {
  ASSERT_TRUE(WriteTableCache(*table_, file_).ok());
  const std::string whole = *ReadFile(file_);
  for (size_t size = 0; size < whole.size(); ++size) {
    Overwrite(whole.substr(0, size));
    EXPECT_EQ(OpenTableCache(file_).status().code(), absl::StatusCode::kDataLoss) << size;
  }
}

TEST_F(TableCacheTest, EveryFlippedByteIsFoundByVerification) {
  ASSERT_TRUE(WriteTableCache(*table_, file_).ok());
  const std::string whole = *ReadFile(file_);
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    Overwrite(damaged);
    const auto opened = OpenTableCache(file_, true);
    // Padding between columns belongs to no checksum; what was opened all the same must be equal.
    if (!opened.ok()) {
      EXPECT_EQ(opened.status().code(), absl::StatusCode::kDataLoss);
      continue;
    }
    for (int c = 0; c < table_->column_count(); ++c) {
      for (int64_t r = 0; r < table_->row_count(); ++r) {
        ASSERT_EQ((*opened)->TextAt(r, c), table_->TextAt(r, c)) << "byte " << at;
      }
    }
  }
}

TEST_F(TableCacheTest, AnyBytesAreSafe) {
  ASSERT_TRUE(WriteTableCache(*table_, file_).ok());
  const std::string whole = *ReadFile(file_);
  Rng rng(3);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = whole;
    for (int k = 0; k < 4; ++k)
      damaged[rng.UniformInt(damaged.size())] = static_cast<char>(rng.NextUint64());
    Overwrite(damaged);
    const auto opened = OpenTableCache(file_);
    if (!opened.ok()) continue;
    for (int c = 0; c < (*opened)->column_count(); ++c) {
      for (int64_t r = 0; r < (*opened)->row_count(); ++r) (*opened)->TextAt(r, c);
    }
  }
}

TEST(MakeTableTest, RefusesColumnsThatDoNotFit) {
  const auto column = [](const std::string& name, std::vector<double> numbers) {
    TableColumn made;
    made.name = name;
    made.numbers = std::move(numbers);
    return made;
  };
  EXPECT_FALSE(MakeTable({}).ok());
  EXPECT_FALSE(MakeTable({column("a", {1, 2}), column("b", {1})}).ok());
  EXPECT_FALSE(MakeTable({column("a", {1}), column("a", {1})}).ok());
  const auto table = MakeTable({column("a", {1, 2}), column("b", {3, 4})});
  ASSERT_TRUE(table.ok());
  EXPECT_EQ((*table)->FindColumn("b"), 1);
  EXPECT_EQ((*table)->FindColumn("c"), std::nullopt);
}

}  // namespace
}  // namespace trainyard
