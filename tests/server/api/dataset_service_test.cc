// DatasetService over a real connection: what is stored is read, listed and deleted.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "tests/server/api/dataset_fixture.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

using DatasetServiceTest = DatasetFixture;

TEST_F(DatasetServiceTest, DownloadsWhatWasUploaded) {
  const std::string table = SmallTable(100'000);
  const v1::Dataset dataset = MustUpload("table", table);
  v1::DownloadDatasetRequest request;
  request.set_name(dataset.name());
  std::string bytes;
  v1::FileChunk first;
  ASSERT_TRUE(Download(request, bytes, first).ok());
  EXPECT_TRUE(bytes == table);
  EXPECT_EQ(first.total_size_bytes(), static_cast<int64_t>(table.size()));
  EXPECT_EQ(first.sha256(), Sha256Hex(table));
  request.set_offset(1000);
  request.set_limit(10);
  bytes.clear();
  ASSERT_TRUE(Download(request, bytes, first).ok());
  EXPECT_EQ(bytes, table.substr(1000, 10));
  request.set_offset(static_cast<int64_t>(table.size()));
  bytes.clear();
  ASSERT_TRUE(Download(request, bytes, first).ok()) << "the end is a place to resume from";
  EXPECT_EQ(bytes, "");
  request.set_offset(static_cast<int64_t>(table.size()) + 1);
  const grpc::Status beyond = Download(request, bytes, first);
  EXPECT_EQ(beyond.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(beyond.error_message(),
            absl::StrCat("offset is ", table.size() + 1, "; must be from 0 to ", table.size(),
                         ", the bytes of the file"));
  request.set_offset(0);
  request.set_limit(-1);
  const grpc::Status negative = Download(request, bytes, first);
  EXPECT_EQ(negative.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(negative.error_message(), "limit is -1; must be at least 0");
  request.set_name("projects/default/datasets/nothing");
  EXPECT_EQ(Download(request, bytes, first).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(DatasetServiceTest, PreviewsRows) {
  MustUpload("table", "a,b\n1,x\n2.5,\n3,\"y,z\"\n");
  v1::PreviewDatasetRequest request;
  request.set_name("projects/default/datasets/table");
  request.set_first_row(1);
  v1::PreviewDatasetResponse response;
  ASSERT_TRUE(Call(*datasets_, &Stub::PreviewDataset, request, response).ok());
  ASSERT_EQ(response.rows_size(), 2);
  EXPECT_THAT(response.rows(0).values(), ElementsAre("2.5", ""));
  EXPECT_THAT(response.rows(1).values(), ElementsAre("3", "y,z"));
  EXPECT_EQ(response.schema().columns(1).name(), "b");
  request.set_first_row(100);
  ASSERT_TRUE(Call(*datasets_, &Stub::PreviewDataset, request, response).ok());
  EXPECT_EQ(response.rows_size(), 0);
  request.set_first_row(-1);
  request.set_row_count(1001);
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::PreviewDataset, request, response)),
              UnorderedElementsAre("first_row", "row_count"));
}

TEST_F(DatasetServiceTest, ListsInPagesById) {
  for (const char* id : {"c", "a", "b"}) MustUpload(id, SmallTable());
  v1::ListDatasetsRequest request;
  request.set_parent("projects/default");
  request.set_page_size(2);
  v1::ListDatasetsResponse response;
  ASSERT_TRUE(Call(*datasets_, &Stub::ListDatasets, request, response).ok());
  ASSERT_EQ(response.datasets_size(), 2);
  EXPECT_EQ(response.datasets(0).name(), "projects/default/datasets/a");
  const std::string token = response.next_page_token();
  request.set_page_token(token);
  ASSERT_TRUE(Call(*datasets_, &Stub::ListDatasets, request, response).ok());
  ASSERT_EQ(response.datasets_size(), 1);
  EXPECT_EQ(response.datasets(0).name(), "projects/default/datasets/c");
  EXPECT_EQ(response.next_page_token(), "");
  request.set_page_token(token + "!");
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::ListDatasets, request, response)),
              ElementsAre("page_token"));
  request.set_page_token(token);
  request.set_parent("projects/other");
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::ListDatasets, request, response)),
              ElementsAre("page_token"));
  request.set_page_size(-3);
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::ListDatasets, request, response)),
              UnorderedElementsAre("page_size", "page_token"));
}

TEST_F(DatasetServiceTest, DeleteIsRefusedWhileAJobUsesTheData) {
  const v1::Dataset dataset = MustUpload("table", SmallTable());
  v1::CreateJobRequest create;
  create.set_parent("projects/default");
  create.set_job_id("user");
  auto& input =
      *create.mutable_job()->mutable_spec()->mutable_hierarchical_shrinkage()->mutable_input();
  input.set_dataset(dataset.name());
  input.add_target_columns("target");
  v1::Job job;
  ASSERT_TRUE(Call(*server_.jobs(), &v1::JobService::Stub::CreateJob, create, job).ok());
  v1::DeleteDatasetRequest request;
  request.set_name(dataset.name());
  google::protobuf::Empty empty;
  EXPECT_EQ(Call(*datasets_, &Stub::DeleteDataset, request, empty).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  MustUpload("free", SmallTable());
  request.set_name("projects/default/datasets/free");
  request.set_etag("stale");
  EXPECT_EQ(Call(*datasets_, &Stub::DeleteDataset, request, empty).error_code(),
            grpc::StatusCode::ABORTED);
  request.clear_etag();
  EXPECT_TRUE(Call(*datasets_, &Stub::DeleteDataset, request, empty).ok());
  EXPECT_EQ(Call(*datasets_, &Stub::DeleteDataset, request, empty).error_code(),
            grpc::StatusCode::NOT_FOUND);
  request.set_name("projects/default/datasets/free/versions/1");
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::DeleteDataset, request, empty)),
              ElementsAre("name"));
}

// Answers about a table whose schema alone is larger than a message may be.
TEST_F(DatasetServiceTest, AnswersAboutWideTablesStaySendable) {
  constexpr int kColumns = 3000;
  std::string text;
  for (int i = 0; i < kColumns; ++i) absl::StrAppend(&text, i == 0 ? "" : ",", "column", i);
  text += "\n";
  for (int row = 0; row < 6; ++row) {
    for (int i = 0; i < kColumns; ++i) {
      absl::StrAppend(&text, i == 0 ? "" : ",", "r", row, "c", i, std::string(300, 'x'));
    }
    text += "\n";
  }
  ASSERT_GT(text.size(), size_t{5} << 20);
  const v1::Dataset uploaded = MustUpload("wide", text);
  const v1::TableSchema& schema = uploaded.latest_version().table();
  EXPECT_EQ(schema.columns_size(), kColumns);
  EXPECT_GT(schema.omitted_level_count(), 0);
  EXPECT_EQ(schema.omitted_column_count(), 0);
  EXPECT_LT(uploaded.ByteSizeLong(), size_t{2} << 20);

  v1::GetDatasetRequest get;
  get.set_name(uploaded.name());
  v1::Dataset dataset;
  ASSERT_TRUE(Call(*datasets_, &Stub::GetDataset, get, dataset).ok());
  MustUpload("wide2", text);
  MustUpload("wide3", text);
  v1::ListDatasetsRequest list;
  list.set_parent("projects/default");
  std::vector<std::string> names;
  do {
    v1::ListDatasetsResponse page;
    const grpc::Status status = Call(*datasets_, &Stub::ListDatasets, list, page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_GT(page.datasets_size(), 0);
    for (const v1::Dataset& one : page.datasets()) names.push_back(one.name());
    list.set_page_token(page.next_page_token());
  } while (!list.page_token().empty());
  EXPECT_EQ(names.size(), 3u);

  v1::PreviewDatasetRequest preview;
  preview.set_name(uploaded.name());
  v1::PreviewDatasetResponse rows;
  const grpc::Status status = Call(*datasets_, &Stub::PreviewDataset, preview, rows);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_LT(rows.ByteSizeLong(), size_t{4} << 20);
  ASSERT_GT(rows.rows_size(), 0);
  EXPECT_EQ(rows.rows(0).values_size(), kColumns);
  EXPECT_THAT(rows.rows(0).values(7), HasSubstr("r0c7x"));
}

TEST_F(DatasetServiceTest, PreviewCutsLongValuesAndSaysWhich) {
  // 1024 is in the middle of a two-byte character of the second value.
  std::string accents = "a";
  for (int i = 0; i < 600; ++i) accents += "\u00e9";
  MustUpload("long", absl::StrCat("short,accents,long\nx,", accents, ",", std::string(5000, 'y'),
                                  "\nz,w,v\n"));
  v1::PreviewDatasetRequest request;
  request.set_name("projects/default/datasets/long");
  v1::PreviewDatasetResponse response;
  ASSERT_TRUE(Call(*datasets_, &Stub::PreviewDataset, request, response).ok());
  ASSERT_EQ(response.rows_size(), 2);
  EXPECT_THAT(response.rows(0).cut_values(), ElementsAre(1, 2));
  EXPECT_EQ(response.rows(0).values(0), "x");
  EXPECT_EQ(response.rows(0).values(1), accents.substr(0, 1023));
  EXPECT_EQ(response.rows(0).values(2), std::string(1024, 'y'));
  EXPECT_THAT(response.rows(1).cut_values(), ElementsAre());
}

}  // namespace
}  // namespace trainyard
