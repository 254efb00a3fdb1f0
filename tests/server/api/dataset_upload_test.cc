// DatasetService.UploadDataset over a real connection.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/sha256.h"
#include "tests/server/api/dataset_fixture.h"

namespace trainyard {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class DatasetUploadTest : public DatasetFixture {
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
};

TEST_F(DatasetUploadTest, StoresATableAndItsVersions) {
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

TEST_F(DatasetUploadTest, AcceptsAnyChunking) {
  const std::string table = SmallTable(5000);
  v1::Dataset dataset;
  ASSERT_TRUE(Upload(*datasets_, "small-chunks", table, dataset, 777).ok());
  EXPECT_EQ(dataset.latest_version().size_bytes(), static_cast<int64_t>(table.size()));
}

TEST_F(DatasetUploadTest, MustBeginWithAHeader) {
  EXPECT_THAT(FieldsOf(Send({Chunk(ChunkOf("a", 0))})), ElementsAre("header"));
  EXPECT_THAT(FieldsOf(Send({})), ElementsAre("header"));
  const auto header = Header(HeaderOf("twice", "a,b\n1,2\n"));
  EXPECT_THAT(FieldsOf(Send({header, header})), ElementsAre("message"));
  ExpectNothingStored("twice");
}

TEST_F(DatasetUploadTest, NamesEveryWrongHeaderField) {
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

TEST_F(DatasetUploadTest, RejectsDamagedChunks) {
  const std::string table = SmallTable();
  v1::FileChunk damaged = ChunkOf(table, 0);
  const uint32_t right = damaged.crc32c();
  damaged.set_crc32c(right ^ 1);
  grpc::Status status = Send({Header(HeaderOf("bad", table)), Chunk(damaged)});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(),
            absl::StrFormat("chunk.crc32c is %08x; must be %08x, the CRC-32C of the data at byte 0",
                            right ^ 1, right));
  ExpectNothingStored("bad");
  v1::UploadDatasetHeader header = HeaderOf("bad", table);
  header.set_sha256(Sha256Hex("something else"));
  status = Send({Header(header), Chunk(ChunkOf(table, 0))});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(status.error_message(),
            absl::StrCat("header.sha256 is ", Sha256Hex("something else"), "; must be ",
                         Sha256Hex(table), ", the SHA-256 of the bytes received"));
  ExpectNothingStored("bad");
}

TEST_F(DatasetUploadTest, RejectsOtherSizesThanDeclared) {
  const std::string table = SmallTable();
  const auto header = Header(HeaderOf("bad", table));
  struct Case {
    v1::FileChunk chunk;
    std::string message;
  };
  const std::string longer = table + "1,2,low,1,\n";
  for (const Case& c :
       {Case{ChunkOf(table.substr(0, 50), 0),
             absl::StrCat("the file ended after 50 bytes; header.size_bytes is ", table.size())},
        Case{ChunkOf(longer, 0), absl::StrCat("chunk.data ends at byte ", longer.size(),
                                              "; header.size_bytes is ", table.size())},
        Case{ChunkOf(table, 10), "chunk.offset is 10; must be 0, where the chunk before ended"}}) {
    const grpc::Status status = Send({header, Chunk(c.chunk)});
    EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
    EXPECT_EQ(status.error_message(), c.message);
  }
  ExpectNothingStored("bad");
}

TEST_F(DatasetUploadTest, RejectsLargeChunks) {
  const std::string bytes((1 << 20) + 1, 'x');
  const grpc::Status status = Send({Header(HeaderOf("bad", bytes)), Chunk(ChunkOf(bytes, 0))});
  EXPECT_THAT(FieldsOf(status), ElementsAre("chunk.data"));
  EXPECT_EQ(BadRequestOf(status).field_violations(0).description(),
            "has 1048577 bytes; at most 1048576");
  ExpectNothingStored("bad");
}

TEST_F(DatasetUploadTest, TenGigabytesDeclaredAreRefusedWhereTheLimitIsLess) {
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
  EXPECT_EQ(status.error_message(),
            "header.size_bytes is 10737418240; this server takes data sets of at most 1073741824 "
            "bytes");
  EXPECT_EQ(server.CountStrayFiles(), 0);
}

TEST_F(DatasetUploadTest, CutInTheMiddleLeavesNoTrace) {
  const std::string table = SmallTable(20'000);
  {
    grpc::ClientContext context;
    v1::Dataset dataset;
    const auto writer = datasets_->UploadDataset(&context, &dataset);
    ASSERT_TRUE(writer->Write(Header(HeaderOf("cut", table))));
    ASSERT_TRUE(writer->Write(Chunk(ChunkOf(table.substr(0, 100'000), 0))));
    while (server_.CountStrayFiles() == 0) std::this_thread::yield();  // the server is at work
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  ExpectNothingStored("cut");
  MustUpload("cut", table);
}

TEST_F(DatasetUploadTest, WrongTableNamesLineAndColumn) {
  const grpc::Status status = [&] {
    v1::Dataset dataset;
    return Upload(*datasets_, "bad", "a,b,c\n1,2,3\n4,5\n", dataset);
  }();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), Contains(HasSubstr("line 3")));
  ExpectNothingStored("bad");
}

TEST_F(DatasetUploadTest, GoesOnAfterACut) {
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
  const grpc::Status taken = Send({Header(other)});
  EXPECT_EQ(taken.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(taken.error_message(),
              HasSubstr(absl::StrCat("header.upload_id is '", header.upload_id())));
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

TEST_F(DatasetUploadTest, UploadIdsAreUuids) {
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
