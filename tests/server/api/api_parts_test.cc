// The parts of the API that need no connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/notification.h"
#include "core/base/testing/fake_clock.h"
#include "google/rpc/error_details.pb.h"
#include "proto/schema/resource_names.h"
#include "proto/schema/violations.h"
#include "server/api/answer_size.h"
#include "server/api/file_chunks.h"
#include "server/api/job_id.h"
#include "server/api/prediction.h"
#include "server/api/request_checks.h"
#include "server/api/spec_resolution.h"
#include "server/api/status_translation.h"
#include "server/api/worker_pool.h"
#include "server/storage/testing/temp_store.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

TEST(StatusTranslationTest, EveryErrorHasAReason) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "text");
    const grpc::Status sent = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(sent.error_code()), code);
    EXPECT_EQ(sent.error_message(), "text");
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(sent.error_details()));
    EXPECT_EQ(details.code(), code);
    google::rpc::ErrorInfo info;
    ASSERT_TRUE(details.details(0).UnpackTo(&info));
    EXPECT_FALSE(info.reason().empty());
    EXPECT_EQ(info.domain(), "trainyard");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(StatusTranslationTest, KeepsGivenDetails) {
  absl::Status status = WithReason(absl::UnavailableError("x"), "MINE", {{"key", "value"}});
  status = WithRetryDelay(status, 2.5);
  const google::rpc::Status details = ToStatusDetails(status);
  ASSERT_EQ(details.details_size(), 2);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "MINE");
  EXPECT_EQ(info.metadata().at("key"), "value");
  google::rpc::RetryInfo retry;
  ASSERT_TRUE(details.details(1).UnpackTo(&retry));
  EXPECT_EQ(retry.retry_delay().seconds(), 2);
  EXPECT_EQ(retry.retry_delay().nanos(), 500'000'000);
}

TEST(StatusTranslationTest, DetailsStaySmall) {
  Violations violations;
  for (int i = 0; i < 100; ++i) violations.Add(std::string(300, 'f'), std::string(500, 'd'));
  const absl::Status large =
      WithReason(violations.ToStatus(), "LARGE", {{"a", std::string(300, 'm')}});
  const google::rpc::Status details = ToStatusDetails(large);
  EXPECT_LE(details.ByteSizeLong(), kMaxStatusDetailBytes);
  google::rpc::BadRequest kept;
  bool found = false;
  for (const auto& detail : details.details()) found = found || detail.UnpackTo(&kept);
  EXPECT_TRUE(found);
  EXPECT_GT(kept.field_violations_size(), 0);
  EXPECT_LE(ToStatusDetails(absl::InternalError(std::string(100'000, 'x'))).ByteSizeLong(),
            kMaxStatusDetailBytes);
}

TEST(RequestChecksTest, PageSizes) {
  Violations violations;
  EXPECT_EQ(PageSize(0, PageBounds(), violations), 50);
  EXPECT_EQ(PageSize(7, PageBounds(), violations), 7);
  EXPECT_EQ(PageSize(1001, PageBounds(), violations), 1000);
  EXPECT_TRUE(violations.empty());
  PageSize(-1, PageBounds(), violations);
  EXPECT_EQ(violations.kept()[0].field, "page_size");
}

TEST(RequestChecksTest, ListsStaySendable) {
  std::vector<int32_t> sizes;
  const auto response = ListWithinLimit<v1::ListJobsResponse>(
      1000, [&](int32_t size) -> absl::StatusOr<v1::ListJobsResponse> {
        sizes.push_back(size);
        v1::ListJobsResponse page;
        for (int32_t i = 0; i < size; ++i)
          page.add_jobs()->set_display_name(std::string(10'000, 'x'));
        return page;
      });
  EXPECT_EQ(sizes, (std::vector<int32_t>{1000, 500, 250}));
  EXPECT_LE(response->ByteSizeLong(), kMaxListBytes);
}

TEST(AnswerSizeTest, SchemasLoseLevelsBeforeColumns) {
  v1::TableSchema schema;
  for (int i = 0; i < 100; ++i) {
    v1::ColumnSchema& column = *schema.add_columns();
    column.set_name(absl::StrCat("column", i));
    for (int k = 0; k < i; ++k) column.add_levels(std::string(50, 'x'));
  }
  v1::TableSchema small = schema;
  FitSchema(small, schema.ByteSizeLong());
  EXPECT_EQ(small.SerializeAsString(), schema.SerializeAsString());
  FitSchema(small, 50'000);
  EXPECT_LE(small.ByteSizeLong(), 50'100u);
  EXPECT_EQ(small.columns_size(), 100);
  int64_t left = 0;
  for (const v1::ColumnSchema& column : small.columns()) left += column.levels_size();
  EXPECT_EQ(small.omitted_level_count() + left, 100 * 99 / 2);
  EXPECT_EQ(small.columns(10).levels_size(), 10) << "those with the most go first";
  FitSchema(small, 500);
  EXPECT_LE(small.ByteSizeLong(), 520u);
  EXPECT_EQ(small.omitted_column_count() + small.columns_size(), 100);
  EXPECT_GT(small.columns_size(), 10);
}

TEST(AnswerSizeTest, TextsAreCutBetweenCharacters) {
  std::string text = "ab\u20acd";  // the third character has three bytes
  EXPECT_FALSE(CutText(text, 6));
  EXPECT_TRUE(CutText(text, 4));
  EXPECT_EQ(text, "ab");
  std::string binary(10, '\x80');
  EXPECT_TRUE(CutText(binary, 5));
  EXPECT_GE(binary.size(), 2u) << "what is no UTF-8 is cut somewhere";
}

TEST(RequestChecksTest, Uuids) {
  EXPECT_TRUE(IsUuid("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d001"));
  EXPECT_FALSE(IsUuid("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d00"));
  EXPECT_FALSE(IsUuid("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d0011"));
  EXPECT_FALSE(IsUuid("0b7e9f5e+1c0f-4e8e-9a53-4f60f6a3d001"));
  EXPECT_FALSE(IsUuid("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d00g"));
}

TEST(JobIdTest, IdsAreValidUniqueAndSorted) {
  FakeClock clock;
  JobIdSource source(clock, 1);
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    if (i % 100 == 0) clock.Advance(absl::Milliseconds(1));
    if (i == 500) clock.JumpTo(clock.Now() - absl::Hours(1));
    const std::string id = source.Next();
    EXPECT_TRUE(CheckResourceId(id).ok()) << id;
    EXPECT_LT(last, id);
    last = id;
  }
}

TEST(WorkerPoolTest, RunsEverythingAndRefusesWhenFull) {
  std::atomic<int> done = 0;
  Notification release;
  {
    WorkerPool pool(1, 2);
    Notification started;
    EXPECT_TRUE(pool.TrySubmit([&] {
      started.Notify();
      release.WaitForNotification();
      ++done;
    }));
    started.WaitForNotification();
    EXPECT_TRUE(pool.TrySubmit([&] { ++done; }));
    EXPECT_TRUE(pool.TrySubmit([&] { ++done; }));
    EXPECT_FALSE(pool.TrySubmit([&] { ++done; }));
    pool.Submit([&] { ++done; });
    EXPECT_EQ(pool.waiting(), 3);
    release.Notify();
  }
  EXPECT_EQ(done, 4);
}

TEST(FileChunkerTest, CutsARangeIntoCheckedChunks) {
  TempFolder folder;
  const auto file = folder.path() / "file";
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes += std::to_string(i);
  std::ofstream(file, std::ios::binary) << bytes;
  const auto size = static_cast<int64_t>(bytes.size());
  auto chunker = FileChunker::Open(file, "model/file", "digest", size, 5, size);
  ASSERT_TRUE(chunker.ok()) << chunker.status();
  std::string read;
  v1::FileChunk chunk;
  int chunks = 0;
  while (*chunker->Next(chunk)) {
    EXPECT_EQ(chunk.path(), chunks == 0 ? "model/file" : "");
    EXPECT_EQ(chunk.offset(), 5 + static_cast<int64_t>(read.size()));
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
    read += chunk.data();
    ++chunks;
  }
  EXPECT_EQ(read, bytes.substr(5));
  EXPECT_GT(chunks, 2);
  EXPECT_TRUE(absl::IsDataLoss(FileChunker::Open(file, "", "", size + 1, 0, 0).status()));
  EXPECT_TRUE(absl::IsOutOfRange(FileChunker::Open(file, "", "", size, -1, 0).status()));
  EXPECT_TRUE(absl::IsOutOfRange(FileChunker::Open(file, "", "", size, 0, -1).status()));
}

TEST(FileChunkerTest, AnEmptyFileIsOneChunk) {
  TempFolder folder;
  const auto file = folder.path() / "empty";
  std::ofstream(file).flush();
  auto chunker = FileChunker::Open(file, "empty", "digest", 0, 0, 0);
  ASSERT_TRUE(chunker.ok());
  v1::FileChunk chunk;
  EXPECT_TRUE(*chunker->Next(chunk));
  EXPECT_EQ(chunk.path(), "empty");
  EXPECT_EQ(chunk.data(), "");
  EXPECT_FALSE(*chunker->Next(chunk));
}

// Predicts twice the value of column 0.
class Doubler final : public Predictor {
 public:
  absl::StatusOr<Predictions> Predict(const Table& table, int) const override {
    Predictions predictions;
    predictions.columns.resize(1);
    predictions.columns[0].name = "prediction";
    for (const double value : table.numbers(0)) {
      predictions.columns[0].numbers.push_back(2 * value);
    }
    blocks_ = blocks_ + 1;
    return predictions;
  }
  mutable std::atomic<int> blocks_ = 0;
};

TEST(TablePredictionTest, GivesAllRowsInBlocks) {
  TableColumn column;
  column.name = "x";
  for (int i = 0; i < 25; ++i) column.numbers.push_back(i);
  const auto table = MakeTable({column}).value();
  const auto model = std::make_shared<Doubler>();
  TablePrediction prediction(model, table, 1, 10);
  std::string all;
  while (true) {
    const std::string lines = prediction.Next(20).value();
    if (lines.empty()) break;
    all += lines;
  }
  std::string expected = "prediction\n";
  for (int i = 0; i < 25; ++i) absl::StrAppend(&expected, 2 * i, "\n");
  EXPECT_EQ(all, expected);
  EXPECT_EQ(prediction.rows_given(), 25);
  EXPECT_EQ(model->blocks_, 3);
}

// Tells how many columns of the table look as if they had no values.
class EmptyColumnCounter final : public Predictor {
 public:
  absl::StatusOr<Predictions> Predict(const Table& table, int) const override {
    Predictions predictions;
    double empty = 0;
    for (const v1::ColumnSchema& column : table.schema().columns()) {
      empty += column.missing_count() >= table.row_count() ? 1 : 0;
    }
    const auto rows = static_cast<size_t>(table.row_count());
    predictions.columns.push_back({"prediction", std::vector<double>(rows, empty), {}});
    return predictions;
  }
};

// Once a column with as many missing values as a block has rows counted as empty in that block.
TEST(TablePredictionTest, ColumnsWithManyMissingValuesAreNotEmptyInABlock) {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  TableColumn some;
  some.name = "some";
  some.numbers = {missing, missing, missing, 1, 2};
  TableColumn none;
  none.name = "none";
  none.numbers.assign(5, missing);
  TablePrediction prediction(std::make_shared<EmptyColumnCounter>(),
                             MakeTable({some, none}).value(), 1, 2);
  std::string all;
  while (true) {
    const std::string lines = prediction.Next(100).value();
    if (lines.empty()) break;
    all += lines;
  }
  EXPECT_EQ(all, "prediction\n1\n1\n1\n1\n1\n");
}

// Answers one text that is longer than a message may be.
class LongWinded final : public Predictor {
 public:
  absl::StatusOr<Predictions> Predict(const Table& table, int) const override {
    Predictions predictions;
    predictions.columns.push_back({"prediction", {}, {}});
    const auto rows = static_cast<size_t>(table.row_count());
    predictions.columns[0].texts.assign(rows, std::string(1000, 'w'));
    return predictions;
  }
};

TEST(TablePredictionTest, NoPieceIsLargerThanAskedFor) {
  TableColumn column;
  column.name = "x";
  column.numbers = {1, 2, 3};
  TablePrediction prediction(std::make_shared<LongWinded>(), MakeTable({column}).value(), 1, 2);
  std::string all;
  while (true) {
    const std::string piece = prediction.Next(400).value();
    if (piece.empty()) break;
    EXPECT_LE(piece.size(), 400u);
    EXPECT_EQ(prediction.rows_given(), std::count(all.begin(), all.end(), '\n') +
                                           std::count(piece.begin(), piece.end(), '\n') - 1);
    all += piece;
  }
  const std::string line = std::string(1000, 'w') + "\n";
  EXPECT_EQ(all, absl::StrCat("prediction\n", line, line, line));
}

TEST(PredictionCsvTest, QuotesAndRoundTrips) {
  EXPECT_EQ(CsvField("plain"), "plain");
  EXPECT_EQ(CsvField("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvField("say \"no\""), "\"say \"\"no\"\"\"");
  EXPECT_EQ(CsvField("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(CsvField(" padded"), "\" padded\"");
  Predictions predictions;
  predictions.columns.resize(2);
  const double third = 1.0 / 3;
  predictions.columns[0].numbers = {0.1, third, std::nan(""), 1e300};
  predictions.columns[1].texts = {"x", "y,z", "", "w"};
  std::string text;
  for (int row = 0; row < 4; ++row) AppendCsvRow(predictions, row, text);
  EXPECT_EQ(text, absl::StrCat("0.1,x\n0.3333333333333333,\"y,z\"\n,\n1e+300,w\n"));
  EXPECT_EQ(std::stod("0.3333333333333333"), third);
}

TEST(ContentHashTest, DependsOnContentAlone) {
  v1::CreateJobRequest request;
  request.set_parent("projects/p");
  for (int i = 0; i < 20; ++i) {
    (*request.mutable_job()->mutable_labels())[absl::StrCat("k", i)] = "v";
  }
  const std::string hash = ContentHash(request);
  v1::CreateJobRequest same;
  same.set_parent("projects/p");
  same.set_request_id("other");
  same.set_validate_only(true);
  for (int i = 19; i >= 0; --i) (*same.mutable_job()->mutable_labels())[absl::StrCat("k", i)] = "v";
  EXPECT_EQ(ContentHash(same), hash);
  same.mutable_job()->set_priority(1);
  EXPECT_NE(ContentHash(same), hash);
}

}  // namespace
}  // namespace trainyard
