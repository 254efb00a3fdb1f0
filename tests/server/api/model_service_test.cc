// ModelService over a real connection, on models that the real algorithm trained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;
using Stub = v1::ModelService::Stub;

class ModelServiceTest : public ::testing::Test {
 protected:
  grpc::Status Predict(const v1::PredictTableHeader& header, const std::vector<std::string>& data,
                       std::string& output) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const auto stream = models_->PredictTable(&context);
    v1::PredictTableRequest message;
    *message.mutable_header() = header;
    stream->Write(message);
    for (const std::string& bytes : data) {
      message.set_data(bytes);
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
    v1::PredictTableResponse response;
    while (stream->Read(&response)) {
      output += response.data();
      rows_ = response.row_count();
    }
    return stream->Finish();
  }
  static v1::PredictTableHeader HeaderFor(const std::string& model) {
    v1::PredictTableHeader header;
    header.set_name(model);
    return header;
  }

  TestServer server_;
  std::unique_ptr<Stub> models_ = server_.models();
  int64_t rows_ = 0;
};

TEST_F(ModelServiceTest, ReadsListsDownloadsAndDeletes) {
  const std::string name = TrainModel(server_, "first");
  v1::GetModelRequest get;
  get.set_name(name);
  v1::Model model;
  ASSERT_TRUE(Call(*models_, &Stub::GetModel, get, model).ok());
  EXPECT_EQ(model.algorithm(), "hierarchical_shrinkage");
  ASSERT_GT(model.files_size(), 0);

  v1::ListModelsRequest list;
  list.set_parent("projects/default");
  v1::ListModelsResponse page;
  ASSERT_TRUE(Call(*models_, &Stub::ListModels, list, page).ok());
  EXPECT_THAT(page.models(), SizeIs(1));
  EXPECT_FALSE(page.models(0).has_report());

  grpc::ClientContext context;
  v1::DownloadModelRequest download;
  download.set_name(name);
  const auto reader = models_->DownloadModel(&context, download);
  std::map<std::string, std::string> files;
  v1::FileChunk chunk;
  std::string path;
  while (reader->Read(&chunk)) {
    if (!chunk.path().empty()) path = chunk.path();
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
    files[path] += chunk.data();
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_EQ(static_cast<int>(files.size()), model.files_size());
  for (const v1::ModelFile& file : model.files()) {
    EXPECT_EQ(Sha256Hex(files[file.path()]), file.sha256()) << file.path();
  }

  v1::DeleteModelRequest remove;
  remove.set_name(name);
  remove.set_etag("stale");
  google::protobuf::Empty empty;
  EXPECT_EQ(Call(*models_, &Stub::DeleteModel, remove, empty).error_code(),
            grpc::StatusCode::ABORTED);
  remove.clear_etag();
  EXPECT_TRUE(Call(*models_, &Stub::DeleteModel, remove, empty).ok());
  EXPECT_EQ(Call(*models_, &Stub::GetModel, get, model).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ModelServiceTest, PredictsBytesAndDataSetsAlike) {
  const std::string name = TrainModel(server_, "first");
  const std::string table = SmallTable();
  std::string from_bytes;
  const grpc::Status status =
      Predict(HeaderFor(name), {table.substr(0, 100), table.substr(100)}, from_bytes);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(rows_, 60);
  EXPECT_THAT(from_bytes, StartsWith("prediction,probability_high,probability_low\n"));
  EXPECT_THAT(std::vector<std::string>(absl::StrSplit(from_bytes, '\n')), SizeIs(62));
  v1::PredictTableHeader header = HeaderFor(name);
  header.set_dataset("projects/default/datasets/table");
  std::string from_dataset;
  ASSERT_TRUE(Predict(header, {}, from_dataset).ok());
  EXPECT_EQ(from_dataset, from_bytes);
}

TEST_F(ModelServiceTest, PredictNamesMissingColumns) {
  const std::string name = TrainModel(server_, "first");
  std::string output;
  const grpc::Status status = Predict(HeaderFor(name), {"x,z\n1,2\n"}, output);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(status), UnorderedElementsAre("y", "constant"));
}

// A categorical feature whose levels look like numbers: `code` is one in training because of "x".
TEST_F(ModelServiceTest, PredictReadsColumnsWithTheTypesOfTraining) {
  std::string table = "code,target\n";
  for (int i = 0; i < 60; ++i) {
    const char* const codes[] = {"1", "2", "x"};
    absl::StrAppend(&table, codes[i % 3], ",", i % 3 == 1 ? "yes" : "no", "\n");
  }
  const std::string name = TrainModel(server_, "codes", table);
  std::string output;
  const grpc::Status status = Predict(HeaderFor(name), {"code\n2\n1\n"}, output);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::vector<std::string> lines = absl::StrSplit(output, '\n');
  EXPECT_THAT(lines[1], StartsWith("true,"));
  EXPECT_THAT(lines[2], StartsWith("false,"));
  v1::PredictTableHeader header = HeaderFor(name);
  (*header.mutable_table()->mutable_column_types())["absent"] = v1::COLUMN_TYPE_DATE;
  EXPECT_THAT(FieldsOf(Predict(header, {"code\n2\n"}, output)),
              ElementsAre("header.table.column_types.absent"));
}

TEST_F(ModelServiceTest, PredictRefusesWhatItCannotRead) {
  const std::string name = TrainModel(server_, "first");
  std::string output;
  const grpc::Status ragged = Predict(HeaderFor(name), {"x,y\n1,2\n3\n"}, output);
  EXPECT_EQ(ragged.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(FieldsOf(ragged), ElementsAre("line 3, column 1"));
  EXPECT_EQ(Predict(HeaderFor("projects/default/models/nothing"), {"x\n1\n"}, output).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(FieldsOf(Predict(HeaderFor(""), {"x\n1\n"}, output)), ElementsAre("header.name"));
  v1::PredictTableHeader both = HeaderFor(name);
  both.set_dataset("projects/default/datasets/table");
  EXPECT_THAT(FieldsOf(Predict(both, {"x\n1\n"}, output)), ElementsAre("data"));
  both.set_dataset("projects/other/datasets/table");
  EXPECT_THAT(FieldsOf(Predict(both, {}, output)), ElementsAre("header.dataset"));
  const std::string large(1 << 20, '1');
  const grpc::Status status = Predict(HeaderFor(name), {large, large}, output);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "TABLE_TOO_LARGE");
  EXPECT_THAT(status.error_message(), HasSubstr("more than the 1048576 bytes"));
}

TEST_F(ModelServiceTest, PredictMustBeginWithAHeader) {
  grpc::ClientContext context;
  const auto stream = models_->PredictTable(&context);
  v1::PredictTableRequest message;
  message.set_data("x\n1\n");
  stream->Write(message);
  v1::PredictTableResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(FieldsOf(stream->Finish()), ElementsAre("header"));
}

TEST_F(ModelServiceTest, CancelledPredictionsLeaveTheServerServing) {
  const std::string name = TrainModel(server_, "first");
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    const auto stream = models_->PredictTable(&context);
    v1::PredictTableRequest message;
    *message.mutable_header() = HeaderFor(name);
    stream->Write(message);
    if (i % 2 == 0) {
      message.set_data("x,y,constant\n1,2,1\n");
      stream->Write(message);
    }
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  std::string output;
  EXPECT_TRUE(Predict(HeaderFor(name), {"x,y,constant\n1,2,1\n"}, output).ok());
}

TEST_F(ModelServiceTest, UnknownNamesAndPages) {
  v1::ListModelsRequest list;
  list.set_parent("nonsense");
  list.set_page_size(-1);
  v1::ListModelsResponse page;
  EXPECT_THAT(FieldsOf(Call(*models_, &Stub::ListModels, list, page)),
              UnorderedElementsAre("parent", "page_size"));
  list.set_parent("projects/default");
  list.set_page_size(0);
  list.set_page_token("tampered");
  EXPECT_THAT(FieldsOf(Call(*models_, &Stub::ListModels, list, page)), ElementsAre("page_token"));
  grpc::ClientContext context;
  v1::DownloadModelRequest download;
  download.set_name("projects/default/models/nothing");
  v1::FileChunk chunk;
  const auto reader = models_->DownloadModel(&context, download);
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

}  // namespace
}  // namespace trainyard
