// Parsing of what the kernel writes, and the small files of attempts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/cord.h"
#include "server/execution/local/control_group.h"
#include "server/execution/local/ingest_protocol.h"
#include "server/execution/local/process_info.h"
#include "server/execution/local/process_record.h"
#include "server/execution/local/small_files.h"
#include "server/execution/status_proto.h"

namespace trainyard {
namespace {

TEST(ProcessStatTest, ReadsAroundANameWithParenthesesAndSpaces) {
  const auto stat = ParseProcessStat(
      "4242 (a ) S 9 (x) T 17 4242 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654321 1000 2");
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->pid, 4242);
  EXPECT_EQ(stat->state, 'T');
  EXPECT_EQ(stat->parent, 17);
  EXPECT_EQ(stat->session, 77);
  EXPECT_EQ(stat->start_time, 987654321u);
}

TEST(ProcessStatTest, RefusesTextThatIsNone) {
  EXPECT_FALSE(ParseProcessStat("").has_value());
  EXPECT_FALSE(ParseProcessStat("12 (a) S 1 2").has_value());
  EXPECT_FALSE(ParseProcessStat("x (a) S 1 2 3").has_value());
}

TEST(ProcessStatTest, FindsItself) {
  const auto stat = ReadProcessStat(getpid());
  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->parent, getppid());
  EXPECT_EQ(stat->session, getsid(0));
  EXPECT_FALSE(stat->dead());
  EXPECT_GT(UnreclaimableBytes(getpid()), 0);
  EXPECT_GE(PeakResidentBytes(getpid()), UnreclaimableBytes(getpid()));
}

TEST(ControlGroupMountsTest, PureVersion2) {
  const auto mounts = FindControlGroupMounts(
      "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
      "0::/system.slice/trainyard.service\n");
  EXPECT_EQ(mounts.unified, "/sys/fs/cgroup/system.slice/trainyard.service");
  EXPECT_TRUE(mounts.memory_v1.empty());
}

TEST(ControlGroupMountsTest, Hybrid) {
  const auto mounts = FindControlGroupMounts(
      "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
      "36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
      "5:devices:/\n4:memory:/a/b\n0::/\n");
  EXPECT_EQ(mounts.unified, "/sys/fs/cgroup/unified/");
  EXPECT_EQ(mounts.memory_v1, "/sys/fs/cgroup/memory/a/b");
}

TEST(ControlGroupMountsTest, ContainerWithAPartOfTheHierarchyAndEscapes) {
  const auto mounts = FindControlGroupMounts(
      "35 31 0:32 /docker/1f /sys/fs/my\\040cgroup rw - cgroup cgroup rw,memory,cpu\n",
      "4:cpu,memory:/docker/1f/job\n");
  EXPECT_EQ(mounts.memory_v1, "/sys/fs/my cgroup/job");
  EXPECT_TRUE(mounts.unified.empty());
}

TEST(ControlGroupMountsTest, NothingMounted) {
  const auto mounts = FindControlGroupMounts("22 1 8:1 / / rw - ext4 /dev/sda1 rw\nrubbish\n",
                                             "4:memory:/a\n0::/\n");
  EXPECT_TRUE(mounts.unified.empty());
  EXPECT_TRUE(mounts.memory_v1.empty());
}

TEST(ControlGroupTest, NothingIsDetectedWhereNothingCanBeEntered) {
  const auto factory = ControlGroupFactory::Detect(
      {.name = "trainyard-test"}, {.unified = ::testing::TempDir(), .memory_v1 = "/nonexistent"},
      [](const auto&) { return false; });
  EXPECT_FALSE(factory.available());
  EXPECT_FALSE(factory.limits_memory());
  EXPECT_EQ(factory.Describe(), "none");
}

TEST(ProcessRecordTest, SurvivesItsText) {
  LocalProcessRecord record;
  record.boot_id = "334a-02";
  record.pid = 77;
  record.start_time = 123456789012;
  record.memory_limit_bytes = int64_t{3} << 40;
  record.group = ControlGroup("/a b/c;d=\\e\n", "/m");
  const auto parsed = LocalProcessRecord::Parse(record.ToString());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->boot_id, record.boot_id);
  EXPECT_EQ(parsed->pid, 77);
  EXPECT_EQ(parsed->start_time, record.start_time);
  EXPECT_EQ(parsed->memory_limit_bytes, record.memory_limit_bytes);
  EXPECT_EQ(parsed->group.unified(), record.group.unified());
  EXPECT_EQ(parsed->group.memory_v1(), record.group.memory_v1());
}

TEST(ProcessRecordTest, RefusesTextThatIsNone) {
  for (const char* text :
       {"", "pid=1", "pid=x;start=1", "pid=1;start=2;other=3", "pid=-1;start=2"}) {
    EXPECT_EQ(LocalProcessRecord::Parse(text).status().code(), absl::StatusCode::kInvalidArgument)
        << text;
  }
}

TEST(ProcessRecordTest, KnowsTheLivingFromTheDead) {
  LocalProcessRecord record;
  record.boot_id = BootId();
  record.pid = getpid();
  record.start_time = ReadProcessStat(getpid())->start_time;
  EXPECT_TRUE(record.Alive());
  record.start_time += 1;
  EXPECT_FALSE(record.Alive()) << "another start time is another process";
  record.start_time -= 1;
  record.boot_id = "another";
  EXPECT_FALSE(record.Alive()) << "another boot is another process";
}

TEST(SmallFilesTest, Utf8IsMadeValid) {
  EXPECT_EQ(ToValidUtf8("caf\xC3\xA9 \xF0\x9F\x9A\x82"), "caf\xC3\xA9 \xF0\x9F\x9A\x82");
  EXPECT_EQ(ToValidUtf8("a\xFFz"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(ToValidUtf8(std::string_view("a\0z", 3)), "a\xEF\xBF\xBDz");
  EXPECT_EQ(ToValidUtf8("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "overlong";
  EXPECT_EQ(ToValidUtf8("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD") << "surrogate";
  EXPECT_EQ(ToValidUtf8("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD") << "cut";
}

class TailTest : public ::testing::Test {
 protected:
  TailTest() : file_(::testing::TempDir() + "/tail") {}
  void Write(const std::string& text) { std::ofstream(file_, std::ios::binary) << text; }
  const std::filesystem::path file_;
};

TEST_F(TailTest, NeverCutsACharacterNorExceedsTheLimit) {
  Write("abc\xC3\xA9xyz");
  EXPECT_EQ(ReadTail(file_, 100), "abc\xC3\xA9xyz");
  EXPECT_EQ(ReadTail(file_, 5), "\xC3\xA9xyz");
  EXPECT_EQ(ReadTail(file_, 4), "xyz");
  Write(std::string(10, '\xFF'));
  EXPECT_EQ(ReadTail(file_, 7), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(ReadTail("/nonexistent", 7), "");
}

TEST_F(TailTest, FreeingTheHeadKeepsTheTail) {
  Write(std::string(300'000, 'a') + std::string(100'000, 'b'));
  FreeHead(file_, 1 << 20, 50'000);
  EXPECT_EQ(ReadTail(file_, 400'000)[0], 'a') << "freed below the limit";
  FreeHead(file_, 1 << 17, 50'000);
  struct stat info = {};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1 << 17);
  EXPECT_EQ(ReadTail(file_, 50'000), std::string(50'000, 'b'));
}

TEST(StatusMessageTest, KeepsCodeTextAndPayloads) {
  absl::Status status = absl::InvalidArgumentError("field x: \xFF");
  status.SetPayload("type.googleapis.com/a.B", absl::Cord("bytes"));
  const absl::Status again = StatusFromMessage(StatusToMessage(status));
  EXPECT_EQ(again.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(again.message(), "field x: \xEF\xBF\xBD");
  EXPECT_EQ(again.GetPayload("type.googleapis.com/a.B"), absl::Cord("bytes"));
  google::rpc::Status unknown;
  unknown.set_code(4711);
  EXPECT_EQ(StatusFromMessage(unknown).code(), absl::StatusCode::kUnknown);
}

TEST(IngestProtocolTest, CarriesSchemasAndErrors) {
  v1::TableSchema schema;
  schema.set_row_count(7);
  auto result = DecodeIngestResult(EncodeIngestResult(schema));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->row_count(), 7);
  result = DecodeIngestResult(EncodeIngestResult(absl::NotFoundError("no file")));
  EXPECT_EQ(result.status(), absl::NotFoundError("no file"));
  for (const char* bytes : {"", "X", "S\xFF\xFF", "E", "Eabc"}) {
    EXPECT_EQ(DecodeIngestResult(bytes).status().code(), absl::StatusCode::kInternal) << bytes;
  }
}

}  // namespace
}  // namespace trainyard
