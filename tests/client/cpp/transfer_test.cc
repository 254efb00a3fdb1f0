// Uploads, downloads and predictions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "client/cpp/checksums.h"
#include "client/cpp/client.h"
#include "client/cpp/files.h"
#include "proto/schema/violations.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard {
namespace {

using ::testing::HasSubstr;

namespace fs = std::filesystem;

constexpr char kDataset[] = "projects/default/datasets/d";
constexpr char kModel[] = "projects/default/models/m";

std::string HexSha256(const std::string& data) {
  Sha256 sha256;
  sha256.Update(data);
  return sha256.FinishHex();
}

class TransferTest : public ::testing::Test {
 protected:
  TransferTest()
      : folder_(fs::path(::testing::TempDir()) / ("transfer" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    ClientOptions options;
    options.retry.initial_backoff = absl::Milliseconds(1);
    client_ = *Client::Connect(server_.address(), options);
    for (int i = 0; data_.size() < 1300000; ++i) data_ += std::to_string(i * 7919) + "\n";
  }
  ~TransferTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // Nothing but `expected` lies in the folder: no temporary file stayed.
  void ExpectOnly(const std::vector<std::string>& expected) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    EXPECT_EQ(names, expected);
  }
  void ServeModel(const std::vector<testing::FakeModelFile>& files) {
    testing::FakeState& state = server_.state();
    state.model.set_name(kModel);
    state.model_files = files;
    for (const auto& file : files) {
      auto* entry = state.model.add_files();
      entry->set_path(file.path);
      entry->set_sha256(HexSha256(file.data));
      state.model.set_size_bytes(state.model.size_bytes() + static_cast<int64_t>(file.data.size()));
    }
  }

  testing::FakeServer server_;
  fs::path folder_;
  std::unique_ptr<Client> client_;
  std::string data_;
};

v1::UploadDatasetHeader Header() {
  v1::UploadDatasetHeader header;
  header.set_parent("projects/default");
  header.set_dataset_id("d");
  return header;
}

TEST_F(TransferTest, UploadSendsEveryByteWithItsChecksums) {
  std::ofstream(Path("in.csv")) << data_;
  std::vector<int64_t> progress;
  const auto dataset =
      client_->UploadDataset(Path("in.csv"), Header(), [&](int64_t done, int64_t total) {
        progress.push_back(done);
        EXPECT_EQ(total, static_cast<int64_t>(data_.size()));
      });
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const testing::FakeState& state = server_.state();
  EXPECT_EQ(state.upload_header.size_bytes(), static_cast<int64_t>(data_.size()));
  EXPECT_EQ(state.upload_header.sha256(), HexSha256(data_));
  EXPECT_EQ(state.upload_header.file_name(), "in.csv");
  std::string received;
  for (const v1::FileChunk& chunk : state.upload_chunks) {
    EXPECT_EQ(chunk.offset(), static_cast<int64_t>(received.size()));
    EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
    EXPECT_LE(chunk.data().size(), 512u << 10);
    received += chunk.data();
  }
  EXPECT_EQ(received, data_);
  EXPECT_EQ(state.upload_chunks.size(), 3u);
  EXPECT_EQ(progress.back(), static_cast<int64_t>(data_.size()));
}

TEST_F(TransferTest, UploadIsRepeatedWholeAfterALostConnection) {
  std::ofstream(Path("in.csv")) << data_;
  server_.state().failures["UploadDataset"] = {absl::UnavailableError("cut")};
  ASSERT_TRUE(client_->UploadDataset(Path("in.csv"), Header()).ok());
  EXPECT_EQ(server_.state().calls["UploadDataset"], 2);
  EXPECT_EQ(server_.state().upload_chunks.size(), 3u);
}

TEST_F(TransferTest, UploadGoesOnWhereItWasCutOff) {
  std::ofstream(Path("in.csv")) << data_;
  server_.state().keeps_uploads = true;
  server_.state().upload_cut_after_chunks = 2;
  const auto dataset = client_->UploadDataset(Path("in.csv"), Header());
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  const testing::FakeState& state = server_.state();
  EXPECT_EQ(server_.state().calls["UploadDataset"], 2);
  std::string received;
  for (const v1::FileChunk& chunk : state.upload_chunks) {
    EXPECT_EQ(chunk.offset(), static_cast<int64_t>(received.size())) << "sent twice or left out";
    received += chunk.data();
  }
  EXPECT_EQ(received, data_);
  EXPECT_EQ(state.upload_header.upload_id().size(), 36u);
}

TEST_F(TransferTest, UploadBeginsAnewWhereTheServerHasForgottenIt) {
  std::ofstream(Path("in.csv")) << data_;
  server_.state().upload_cut_after_chunks = 2;
  ASSERT_TRUE(client_->UploadDataset(Path("in.csv"), Header()).ok());
  EXPECT_EQ(server_.state().upload_chunks.size(), 3u);
  EXPECT_EQ(server_.state().upload_chunks.front().offset(), 0);
}

TEST_F(TransferTest, UploadPassesRefusalsOnAndNamesLocalErrors) {
  std::ofstream(Path("in.csv")) << data_;
  Violations violations;
  violations.Add("dataset_id", "taken");
  server_.state().failures["UploadDataset"] = {violations.ToStatus()};
  EXPECT_EQ(ViolationsOf(client_->UploadDataset(Path("in.csv"), Header()).status()).size(), 1u);
  const auto absent = client_->UploadDataset(Path("absent"), Header());
  EXPECT_EQ(ReasonOf(absent.status()), kLocalFileReason);
}

TEST_F(TransferTest, UploadOfAnEmptyFileHasNoChunks) {
  std::ofstream(Path("empty")) << "";
  ASSERT_TRUE(client_->UploadDataset(Path("empty"), Header()).ok());
  EXPECT_TRUE(server_.state().upload_chunks.empty());
  EXPECT_EQ(server_.state().upload_header.size_bytes(), 0);
}

TEST_F(TransferTest, DownloadContinuesAfterALostConnection) {
  server_.state().dataset_bytes = data_;
  server_.state().download_fault.unavailable_after_bytes = 500000;
  const auto size = client_->DownloadDataset(kDataset, Path("out.csv"));
  ASSERT_TRUE(size.ok()) << size.status();
  EXPECT_EQ(Content(Path("out.csv")), data_);
  EXPECT_EQ(server_.state().download_offsets, (std::vector<int64_t>{0, 500000}));
  ExpectOnly({"out.csv"});
}

TEST_F(TransferTest, SpoiltDownloadsLeaveNothing) {
  server_.state().dataset_bytes = data_;
  const uint32_t crc = Crc32c(data_.substr(0, 1000));
  const auto hex = [](uint32_t value) { return absl::StrCat(absl::Hex(value, absl::kZeroPad8)); };
  const std::vector<std::pair<testing::DownloadFault, std::string>> cases = {
      {{.wrong_crc = true},
       absl::StrCat("the chunk at byte 0 has the CRC-32C ", hex(crc), "; the server sent ",
                    hex(crc + 1))},
      {{.wrong_sha256 = true},
       absl::StrCat("the file has the SHA-256 ", HexSha256(data_), "; the server sent ",
                    std::string(64, '0'))},
      {{.short_file = true}, absl::StrCat(data_.size() - 1, " bytes arrived of ", data_.size())}};
  for (const auto& [fault, message] : cases) {
    server_.state().download_fault = fault;
    const auto size = client_->DownloadDataset(kDataset, Path("out.csv"));
    EXPECT_TRUE(absl::IsDataLoss(size.status())) << size.status();
    EXPECT_THAT(std::string(size.status().message()), HasSubstr(message));
    ExpectOnly({});
  }
}

TEST_F(TransferTest, DownloadsAnEmptyFile) {
  ASSERT_TRUE(client_->DownloadDataset(kDataset, Path("out.csv")).ok());
  EXPECT_EQ(Content(Path("out.csv")), "");
  ExpectOnly({"out.csv"});
}

TEST_F(TransferTest, DownloadsAllFilesOfAModel) {
  ServeModel({{"manifest.json", "{}"}, {"weights/deep.bin", data_}, {"empty", ""}});
  int64_t done = 0;
  const auto model =
      client_->DownloadModel(kModel, Path("m"), false, [&](int64_t now, int64_t) { done = now; });
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(Content(Path("m/weights/deep.bin")), data_);
  EXPECT_EQ(Content(Path("m/manifest.json")), "{}");
  EXPECT_TRUE(fs::exists(Path("m/empty")));
  EXPECT_EQ(done, static_cast<int64_t>(data_.size()) + 2);
  ExpectOnly({"m"});
}

TEST_F(TransferTest, ModelDownloadStartsAgainAfterALostConnection) {
  ServeModel({{"a", data_}, {"b", "x"}});
  server_.state().download_fault.unavailable_after_bytes = 700000;
  ASSERT_TRUE(client_->DownloadModel(kModel, Path("m")).ok());
  EXPECT_EQ(Content(Path("m/a")), data_);
}

TEST_F(TransferTest, RefusesModelFilesOutsideTheFolder) {
  for (const char* path : {"../evil", "/tmp/evil", "a/../../evil", "a/./b", "..", "a\\b"}) {
    server_.state().model.Clear();
    ServeModel({{"good", "x"}, {path, "evil"}});
    const auto model = client_->DownloadModel(kModel, Path("m"));
    EXPECT_TRUE(absl::IsInvalidArgument(model.status())) << path << " " << model.status();
    EXPECT_THAT(std::string(model.status().message()),
                HasSubstr(absl::StrCat("the file name \"", absl::CHexEscape(path),
                                       "\" is refused: it must be a relative path")));
    ExpectOnly({});
  }
}

TEST_F(TransferTest, NoticesMissingDoubledAndChangedModelFiles) {
  ServeModel({{"a", "x"}, {"b", "y"}});
  const auto expect_loss = [&](std::vector<testing::FakeModelFile> files,
                               const std::string& message) {
    server_.state().model_files = std::move(files);
    const absl::Status status = client_->DownloadModel(kModel, Path("m")).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    ExpectOnly({});
  };
  expect_loss({{"a", "x"}}, absl::StrCat("b of ", kModel, " did not arrive"));
  expect_loss({{"a", "x"}, {"b", "other"}}, absl::StrCat("b of ", kModel, " is another file"));
  expect_loss({{"a", "x"}, {"a", "x"}, {"b", "y"}}, "a arrived twice");
}

TEST_F(TransferTest, PredictsFromAFile) {
  std::ofstream(Path("in.csv")) << data_;
  const auto lines = std::count(data_.begin(), data_.end(), '\n');
  v1::PredictTableHeader header;
  header.set_name(kModel);
  std::string output;
  const auto rows = client_->Predict(header, Path("in.csv"), [&](std::string_view piece) {
    output += piece;
    return absl::OkStatus();
  });
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, lines);
  EXPECT_EQ(std::count(output.begin(), output.end(), '\n'), lines + 1);
  EXPECT_EQ(server_.state().predict_headers[0].name(), kModel);
}

TEST_F(TransferTest, PredictPassesErrorsOfBothSidesOn) {
  std::ofstream(Path("in.csv")) << data_;
  v1::PredictTableHeader header;
  const auto ignore = [](std::string_view) { return absl::OkStatus(); };
  server_.state().failures["PredictTable"] = {absl::InvalidArgumentError("column x is absent")};
  EXPECT_TRUE(absl::IsInvalidArgument(client_->Predict(header, Path("in.csv"), ignore).status()));
  const auto full = [](std::string_view) { return absl::ResourceExhaustedError("full"); };
  EXPECT_TRUE(absl::IsResourceExhausted(client_->Predict(header, Path("in.csv"), full).status()));
}

}  // namespace
}  // namespace trainyard
