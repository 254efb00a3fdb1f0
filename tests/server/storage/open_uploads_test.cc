// Uploads that go on after a cut.
#include "server/storage/open_uploads.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "core/base/testing/fake_clock.h"
#include "gtest/gtest.h"
#include "server/storage/dataset_store.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

namespace fs = std::filesystem;

constexpr char kCsv[] = "x,y\n1,a\n2,b\n3,a\n";

v1::FileChunk ChunkOf(std::string_view bytes, int64_t offset) {
  v1::FileChunk chunk;
  chunk.set_offset(offset);
  chunk.set_data(std::string(bytes));
  chunk.set_crc32c(Crc32c(bytes));
  return chunk;
}

constexpr char kUploadId[] = "0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d001";

class OpenUploadsTest : public testing::Test {
 protected:
  OpenUploadsTest() {
    datasets_ = DatasetStore::Create({.cache_folder = store_.folder() / "caches"},
                                     store_.catalogue(), store_.blobs(), Ingest, clock_);
  }
  static absl::StatusOr<v1::TableSchema> Ingest(const fs::path&, const v1::TableReadOptions&,
                                                const fs::path& cache) {
    std::ofstream(cache) << "cache";
    return v1::TableSchema();
  }
  static v1::UploadDatasetHeader Resumable(std::string_view id = "d") {
    v1::UploadDatasetHeader header;
    header.set_parent("projects/p");
    header.set_dataset_id(std::string(id));
    header.set_size_bytes(sizeof(kCsv) - 1);
    header.set_sha256(Sha256Hex(kCsv));
    header.set_upload_id(kUploadId);
    return header;
  }
  absl::StatusOr<v1::DatasetUpload> Get() { return datasets_->GetUpload({"p"}, kUploadId); }
  // Sends the first bytes, then the connection is lost.
  void SendSome(int64_t count) {
    auto upload = datasets_->Begin(Resumable());
    ASSERT_THAT(upload.status(), IsOk());
    ASSERT_THAT((*upload)->Append(ChunkOf(std::string_view(kCsv).substr(0, count), 0)), IsOk());
  }

  TempStore store_;
  FakeClock clock_;
  std::unique_ptr<DatasetStore> datasets_;
};

TEST_F(OpenUploadsTest, GoOnWhereTheyWere) {
  EXPECT_THAT(Get().status(), FailsWith(absl::StatusCode::kNotFound, "upload"));
  SendSome(5);
  EXPECT_EQ(Get()->committed_size_bytes(), 5);
  EXPECT_TRUE(Get()->has_expire_time());
  auto upload = datasets_->Begin(Resumable());
  ASSERT_THAT(upload.status(), IsOk());
  EXPECT_EQ((*upload)->committed_bytes(), 5);
  EXPECT_FALSE(Get()->has_expire_time());
  // Too few bytes may be a connection that was cut: nothing is lost.
  EXPECT_THAT((*upload)->Finish().status(),
              FailsWith(absl::StatusCode::kOutOfRange, "after 5 bytes; header.size_bytes is"));
  ASSERT_THAT((*upload)->Append(ChunkOf(std::string_view(kCsv).substr(5), 5)), IsOk());
  const auto dataset = (*upload)->Finish();
  ASSERT_THAT(dataset.status(), IsOk());
  EXPECT_EQ(dataset->latest_version().sha256(), Sha256Hex(kCsv));
  upload->reset();
  EXPECT_THAT(Get().status(), FailsWith(absl::StatusCode::kNotFound, "upload"));
}

TEST_F(OpenUploadsTest, ALaterCallTakesOver) {
  auto first = datasets_->Begin(Resumable());
  ASSERT_THAT((*first)->Append(ChunkOf("x,y", 0)), IsOk());
  auto second = datasets_->Begin(Resumable());
  ASSERT_THAT(second.status(), IsOk());
  EXPECT_THAT((*first)->Append(ChunkOf("\n", 3)), FailsWith(absl::StatusCode::kAborted, kUploadId));
  first->reset();
  EXPECT_FALSE(Get()->has_expire_time()) << "the second call has it";
  EXPECT_EQ((*second)->committed_bytes(), 3);
  ASSERT_THAT((*second)->Append(ChunkOf(std::string_view(kCsv).substr(3), 3)), IsOk());
  EXPECT_THAT((*second)->Finish().status(), IsOk());
}

TEST_F(OpenUploadsTest, AnotherHeaderIsRefused) {
  SendSome(5);
  EXPECT_THAT(datasets_->Begin(Resumable("other")).status(),
              FailsWith(absl::StatusCode::kAlreadyExists, "another header"));
  EXPECT_EQ(Get()->committed_size_bytes(), 5);
}

TEST_F(OpenUploadsTest, DamagedDataEndIt) {
  auto upload = datasets_->Begin(Resumable());
  v1::FileChunk damaged = ChunkOf("x,y", 0);
  damaged.set_crc32c(damaged.crc32c() ^ 1);
  EXPECT_THAT((*upload)->Append(damaged),
              FailsWith(absl::StatusCode::kDataLoss, "chunk.crc32c is "));
  upload->reset();
  EXPECT_THAT(Get().status(), FailsWith(absl::StatusCode::kNotFound, "upload"));
}

TEST_F(OpenUploadsTest, AreDroppedAfterATime) {
  SendSome(5);
  EXPECT_EQ(fs::is_empty(store_.folder() / "tmp"), false);
  clock_.Advance(absl::Minutes(59));
  EXPECT_THAT(Get().status(), IsOk());
  clock_.Advance(absl::Minutes(1));
  datasets_->DropStaleUploads();
  EXPECT_THAT(Get().status(), FailsWith(absl::StatusCode::kNotFound, "upload"));
  EXPECT_TRUE(fs::is_empty(store_.folder() / "tmp")) << "its bytes are gone";
}

TEST_F(OpenUploadsTest, TheOldestGiveWay) {
  for (int i = 0; i < 20; ++i) {
    v1::UploadDatasetHeader header = Resumable();
    header.set_upload_id(absl::StrCat("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d0", 10 + i));
    ASSERT_THAT((*datasets_->Begin(header))->Append(ChunkOf("x,y", 0)), IsOk());
    clock_.Advance(absl::Seconds(1));
  }
  int kept = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string id = absl::StrCat("0b7e9f5e-1c0f-4e8e-9a53-4f60f6a3d0", 10 + i);
    const bool found = datasets_->GetUpload({"p"}, id).ok();
    EXPECT_EQ(found, i >= 4) << i;
    kept += found ? 1 : 0;
  }
  EXPECT_EQ(kept, 16);
}

}  // namespace
}  // namespace trainyard
