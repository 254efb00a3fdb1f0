// Tables are read by a process of its own: the real worker binary, and one that misbehaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "core/data/table.h"
#include "proto/schema/violations.h"
#include "server/execution/local/device_probe.h"
#include "server/execution/local/ingest_runner.h"
#include "tests/paths.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

class IngestTest : public ::testing::Test {
 protected:
  IngestTest() {
    std::string name = "/tmp/trainyard-ingest-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~IngestTest() override { std::filesystem::remove_all(folder_); }

  absl::StatusOr<v1::TableSchema> Ingest(const std::string& text,
                                         const v1::TableReadOptions& options = {}) {
    std::ofstream(folder_ / "file", std::ios::binary) << text;
    IngestRunner runner(options_);
    return runner.Ingest(folder_ / "file", options, folder_ / "cache");
  }
  // A script in place of the worker binary.
  void UseScript(const std::string& text) {
    options_.worker_binary = folder_ / "script";
    std::ofstream(options_.worker_binary) << "#!/bin/sh\n" << text << "\n";
    std::filesystem::permissions(options_.worker_binary, std::filesystem::perms::owner_all);
  }

  std::filesystem::path folder_;
  IngestRunner::Options options_{.worker_binary = std::string(kProgramFolder) + "/trainyard-worker"};
};

TEST_F(IngestTest, ReadsATableAndWritesItsCache) {
  v1::TableReadOptions options;
  (*options.mutable_column_types())["b"] = v1::COLUMN_TYPE_CATEGORICAL;
  const auto schema = Ingest("a,b\n1,2\n3,4\n", options);
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_EQ(schema->row_count(), 2);
  ASSERT_EQ(schema->columns_size(), 2);
  EXPECT_EQ(schema->columns(1).type(), v1::COLUMN_TYPE_CATEGORICAL);
  const auto table = OpenTableCache(folder_ / "cache", /*verify=*/true);
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ((*table)->numbers(0)[1], 3);
}

TEST_F(IngestTest, HostileFilesAreNamedErrors) {
  const std::vector<std::string> files = {"",
                                          "a,b\n1\n",
                                          "a,b\n1,\"x\n",
                                          std::string("a,b\n1,\0\n", 8),
                                          std::string("\x1F\x8B\x08\x00garbage", 11),
                                          "\x93NUMPY\x01\x00\xFF\xFF{"};
  for (const std::string& text : files) {
    const auto schema = Ingest(text);
    EXPECT_EQ(schema.status().code(), absl::StatusCode::kInvalidArgument)
        << schema.status() << " for " << text;
    EXPECT_FALSE(std::filesystem::exists(folder_ / "cache"));
  }
  const auto schema = Ingest("a,b\n1,2\n3\n");
  ASSERT_FALSE(ViolationsOf(schema.status()).empty()) << schema.status();
  EXPECT_THAT(ViolationsOf(schema.status())[0].field, HasSubstr("line 3"));
}

TEST_F(IngestTest, FileThatIsNotThere) {
  IngestRunner runner(options_);
  EXPECT_EQ(runner.Ingest(folder_ / "none", {}, folder_ / "cache").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(IngestTest, TooLittleMemoryIsAClearError) {
#ifdef TRAINYARD_SANITIZED
  GTEST_SKIP() << "memory is not limited under sanitizers";
#endif
  options_.memory_bytes = 32 << 20;
  std::string text = "a,b,c,d\n";
  for (int i = 0; i < 1'000'000; ++i) text += "1.5,2.5,3.5,4.5\n";
  const auto schema = Ingest(text);
  EXPECT_EQ(schema.status().code(), absl::StatusCode::kResourceExhausted) << schema.status();
  EXPECT_THAT(std::string(schema.status().message()), HasSubstr("memory"));
}

TEST_F(IngestTest, CrashNamesTheSignalAndTheLastWords) {
  UseScript("echo assertion failed >&2; kill -SEGV $$");
  const auto schema = Ingest("a\n1\n");
  EXPECT_EQ(schema.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(schema.status().message()), HasSubstr("signal 11"));
  EXPECT_THAT(std::string(schema.status().message()), HasSubstr("assertion failed"));
}

TEST_F(IngestTest, EndlessReadingIsEnded) {
  UseScript("exec sleep 1000");
  options_.time_limit = absl::Milliseconds(100);
  const auto schema = Ingest("a\n1\n");
  EXPECT_EQ(schema.status().code(), absl::StatusCode::kResourceExhausted) << schema.status();
  EXPECT_THAT(std::string(schema.status().message()), HasSubstr("100ms"));
}

TEST_F(IngestTest, AnswerThatIsNoneIsAnError) {
  UseScript("echo rubbish >&4");
  EXPECT_EQ(Ingest("a\n1\n").status().code(), absl::StatusCode::kInternal);
  UseScript("exit 3");
  EXPECT_THAT(std::string(Ingest("a\n1\n").status().message()), HasSubstr("exit code 3"));
}

TEST_F(IngestTest, StopEndsWhatRuns) {
  UseScript("touch " + (folder_ / "started").string() + "; exec sleep 1000");
  IngestRunner runner(options_);
  std::thread stopper([&] {
    while (!std::filesystem::exists(folder_ / "started")) std::this_thread::yield();
    runner.Stop();
  });
  EXPECT_EQ(runner.Ingest(folder_ / "file", {}, folder_ / "cache").status().code(),
            absl::StatusCode::kUnavailable);
  stopper.join();
  EXPECT_EQ(runner.Ingest(folder_ / "file", {}, folder_ / "cache").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(IngestTest, ProbeTellsOfTheCpu) {
  const auto devices = ProbeDevices(options_.worker_binary);
  ASSERT_TRUE(devices.ok()) << devices.status();
  ASSERT_GE(devices->size(), 1u);
  EXPECT_EQ(devices->at(0).kind(), v1::Device::KIND_CPU);
  EXPECT_GE(devices->at(0).slot_count(), 1);
  UseScript("kill -ABRT $$");
  EXPECT_EQ(ProbeDevices(options_.worker_binary).status().code(), absl::StatusCode::kInternal);
}

}  // namespace
}  // namespace trainyard
