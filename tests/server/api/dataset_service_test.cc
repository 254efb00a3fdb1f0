// DatasetService over a real connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "tests/server/api/test_server.h"

namespace trainyard {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;
using Stub = v1::DatasetService::Stub;

class DatasetServiceTest : public ::testing::Test {
 protected:
  // Sends these messages and nothing else.
  grpc::Status Send(const std::vector<v1::UploadDatasetRequest>& messages) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::Dataset dataset;
    const auto writer = datasets_->UploadDataset(&context, &dataset);
    for (const auto& message : messages) {
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return writer->Finish();
  }
  static v1::UploadDatasetRequest Header(const v1::UploadDatasetHeader& header) {
    v1::UploadDatasetRequest message;
    *message.mutable_header() = header;
    return message;
  }
  static v1::UploadDatasetRequest Chunk(const v1::FileChunk& chunk) {
    v1::UploadDatasetRequest message;
    *message.mutable_chunk() = chunk;
    return message;
  }
  v1::Dataset MustUpload(std::string_view id, std::string_view bytes) {
    v1::Dataset dataset;
    const grpc::Status status = Upload(*datasets_, id, bytes, dataset);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return dataset;
  }
  void ExpectNothingStored(const std::string& id) {
    v1::GetDatasetRequest request;
    request.set_name("projects/default/datasets/" + id);
    v1::Dataset dataset;
    EXPECT_EQ(Call(*datasets_, &Stub::GetDataset, request, dataset).error_code(),
              grpc::StatusCode::NOT_FOUND);
    // What a call leaves on the disk is removed after its answer.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (server_.CountStrayFiles() > 0 && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(server_.CountStrayFiles(), 0);
  }
  grpc::Status Download(const v1::DownloadDatasetRequest& request, std::string& bytes,
                        v1::FileChunk& first) {
    grpc::ClientContext context;
    const auto reader = datasets_->DownloadDataset(&context, request);
    v1::FileChunk chunk;
    bool is_first = true;
    while (reader->Read(&chunk)) {
      if (is_first) first = chunk;
      is_first = false;
      EXPECT_EQ(chunk.offset(), request.offset() + static_cast<int64_t>(bytes.size()));
      EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
      EXPECT_LE(chunk.data().size(), 1u << 20);
      bytes += chunk.data();
    }
    return reader->Finish();
  }

  // The upload once it has `bytes` and, when its call has ended, the server knows that.
  v1::DatasetUpload WaitForUpload(const std::string& id, size_t bytes) {
    v1::GetUploadRequest request;
    request.set_parent("projects/default");
    request.set_upload_id(id);
    v1::DatasetUpload upload;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      const grpc::Status status = Call(*datasets_, &Stub::GetUpload, request, upload);
      if (status.ok() && upload.committed_size_bytes() == static_cast<int64_t>(bytes)) break;
      std::this_thread::yield();
    }
    return upload;
  }

  TestServer server_;
  std::unique_ptr<Stub> datasets_ = server_.datasets();
};

TEST_F(DatasetServiceTest, StoresATableAndItsVersions) {
  const std::string table = SmallTable();
  const v1::Dataset first = MustUpload("table", table);
  EXPECT_EQ(first.name(), "projects/default/datasets/table");
  EXPECT_EQ(first.latest_version().table().row_count(), 60);
  EXPECT_EQ(first.latest_version().sha256(), Sha256Hex(table));
  EXPECT_EQ(MustUpload("table", table).version_count(), 1) << "equal bytes store nothing";
  EXPECT_EQ(MustUpload("table", SmallTable(61)).version_count(), 2);
  v1::GetDatasetRequest request;
  request.set_name("projects/default/datasets/table/versions/1");
  v1::Dataset dataset;
  ASSERT_TRUE(Call(*datasets_, &Stub::GetDataset, request, dataset).ok());
  EXPECT_EQ(dataset.latest_version().name(), request.name());
  EXPECT_EQ(dataset.latest_version().table().row_count(), 60);
}

TEST_F(DatasetServiceTest, UploadAcceptsAnyChunking) {
  const std::string table = SmallTable(5000);
  v1::Dataset dataset;
  ASSERT_TRUE(Upload(*datasets_, "small-chunks", table, dataset, 777).ok());
  EXPECT_EQ(dataset.latest_version().size_bytes(), static_cast<int64_t>(table.size()));
}

TEST_F(DatasetServiceTest, UploadMustBeginWithAHeader) {
  EXPECT_THAT(FieldsOf(Send({Chunk(ChunkOf("a", 0))})), ElementsAre("header"));
  EXPECT_THAT(FieldsOf(Send({})), ElementsAre("header"));
  const auto header = Header(HeaderOf("twice", "a,b\n1,2\n"));
  EXPECT_THAT(FieldsOf(Send({header, header})), ElementsAre("message"));
  ExpectNothingStored("twice");
}

TEST_F(DatasetServiceTest, UploadNamesEveryWrongHeaderField) {
  v1::UploadDatasetHeader header = HeaderOf("x", "a\n1\n");
  header.set_parent("project");
  header.set_dataset_id("Bad Id");
  header.set_sha256("12");
  header.set_size_bytes(-1);
  const grpc::Status status = Send({Header(header)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), UnorderedElementsAre("header.parent", "header.dataset_id",
                                                     "header.sha256", "header.size_bytes"));
}

TEST_F(DatasetServiceTest, UploadRejectsDamagedChunks) {
  const std::string table = SmallTable();
  v1::FileChunk damaged = ChunkOf(table, 0);
  damaged.set_crc32c(damaged.crc32c() ^ 1);
  EXPECT_EQ(Send({Header(HeaderOf("bad", table)), Chunk(damaged)}).error_code(),
            grpc::StatusCode::DATA_LOSS);
  ExpectNothingStored("bad");
  v1::UploadDatasetHeader header = HeaderOf("bad", table);
  header.set_sha256(Sha256Hex("something else"));
  EXPECT_EQ(Send({Header(header), Chunk(ChunkOf(table, 0))}).error_code(),
            grpc::StatusCode::DATA_LOSS);
  ExpectNothingStored("bad");
}

TEST_F(DatasetServiceTest, UploadRejectsOtherSizesThanDeclared) {
  const std::string table = SmallTable();
  const auto header = Header(HeaderOf("bad", table));
  EXPECT_EQ(Send({header, Chunk(ChunkOf(table.substr(0, 50), 0))}).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Send({header, Chunk(ChunkOf(table + "1,2,low,1,\n", 0))}).error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Send({header, Chunk(ChunkOf(table, 10))}).error_code(), grpc::StatusCode::OUT_OF_RANGE);
  ExpectNothingStored("bad");
}

TEST_F(DatasetServiceTest, UploadRejectsLargeChunks) {
  const std::string bytes((1 << 20) + 1, 'x');
  const grpc::Status status = Send({Header(HeaderOf("bad", bytes)), Chunk(ChunkOf(bytes, 0))});
  EXPECT_THAT(FieldsOf(status), ElementsAre("chunk.data"));
  ExpectNothingStored("bad");
}

TEST_F(DatasetServiceTest, TenGigabytesDeclaredAreRefusedWhereTheLimitIsLess) {
  TestServer::Options options;
  options.max_dataset_bytes = int64_t{1} << 30;
  TestServer server(options);
  const auto datasets = server.datasets();
  v1::UploadDatasetHeader header = HeaderOf("huge", "a\n1\n");
  header.set_size_bytes(int64_t{10} << 30);
  grpc::ClientContext context;
  v1::Dataset dataset;
  const auto writer = datasets->UploadDataset(&context, &dataset);
  writer->Write(Header(header));
  const grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("10737418240"));
  EXPECT_EQ(server.CountStrayFiles(), 0);
}

TEST_F(DatasetServiceTest, UploadCutInTheMiddleLeavesNoTrace) {
  const std::string table = SmallTable(20'000);
  {
    grpc::ClientContext context;
    v1::Dataset dataset;
    const auto writer = datasets_->UploadDataset(&context, &dataset);
    ASSERT_TRUE(writer->Write(Header(HeaderOf("cut", table))));
    ASSERT_TRUE(writer->Write(Chunk(ChunkOf(table.substr(0, 100'000), 0))));
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ExpectNothingStored("cut");
  MustUpload("cut", table);
}

TEST_F(DatasetServiceTest, WrongTableNamesLineAndColumn) {
  const grpc::Status status = [&] {
    v1::Dataset dataset;
    return Upload(*datasets_, "bad", "a,b,c\n1,2,3\n4,5\n", dataset);
  }();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), Contains(HasSubstr("line 3")));
  ExpectNothingStored("bad");
}

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
  EXPECT_EQ(Download(request, bytes, first).error_code(), grpc::StatusCode::OUT_OF_RANGE);
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

TEST_F(DatasetServiceTest, UploadGoesOnAfterACut) {
  const std::string table = SmallTable(20'000);
  const size_t half = table.size() / 2;
  v1::UploadDatasetHeader header = HeaderOf("resumed", table);
  header.set_upload_id("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d001");
  {
    grpc::ClientContext context;
    v1::Dataset dataset;
    const auto writer = datasets_->UploadDataset(&context, &dataset);
    ASSERT_TRUE(writer->Write(Header(header)));
    ASSERT_TRUE(writer->Write(Chunk(ChunkOf(table.substr(0, half), 0))));
    const v1::DatasetUpload sent = WaitForUpload(header.upload_id(), half);
    EXPECT_FALSE(sent.has_expire_time());
    EXPECT_EQ(sent.size_bytes(), static_cast<int64_t>(table.size()));
    context.TryCancel();
    writer->Finish();
  }
  EXPECT_EQ(WaitForUpload(header.upload_id(), half).committed_size_bytes(),
            static_cast<int64_t>(half));
  v1::UploadDatasetHeader other = header;
  other.set_dataset_id("other");
  EXPECT_EQ(Send({Header(other)}).error_code(), grpc::StatusCode::ALREADY_EXISTS);
  const auto rest = Chunk(ChunkOf(table.substr(half), static_cast<int64_t>(half)));
  const grpc::Status status = Send({Header(header), rest});
  ASSERT_TRUE(status.ok()) << status.error_message();
  v1::GetUploadRequest get;
  get.set_parent("projects/default");
  get.set_upload_id(header.upload_id());
  v1::DatasetUpload upload;
  EXPECT_EQ(Call(*datasets_, &Stub::GetUpload, get, upload).error_code(),
            grpc::StatusCode::NOT_FOUND)
      << "it has ended";
  v1::DownloadDatasetRequest download;
  download.set_name("projects/default/datasets/resumed");
  std::string bytes;
  v1::FileChunk first;
  ASSERT_TRUE(Download(download, bytes, first).ok());
  EXPECT_EQ(bytes, table);
}

TEST_F(DatasetServiceTest, UploadIdsAreUuids) {
  v1::UploadDatasetHeader header = HeaderOf("x", "a\n1\n");
  header.set_upload_id("mine");
  EXPECT_THAT(FieldsOf(Send({Header(header)})), ElementsAre("header.upload_id"));
  v1::GetUploadRequest get;
  get.set_upload_id("mine");
  v1::DatasetUpload upload;
  EXPECT_THAT(FieldsOf(Call(*datasets_, &Stub::GetUpload, get, upload)),
              UnorderedElementsAre("parent", "upload_id"));
}

}  // namespace
}  // namespace trainyard
