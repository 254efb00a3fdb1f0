#include "server/storage/blob_store.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "core/base/sha256.h"
#include "core/base/testing/faulty_file_system.h"
#include "gtest/gtest.h"
#include "server/storage/check.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

std::vector<std::string> FilesUnder(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

bool All(std::string_view) { return true; }
bool None(std::string_view) { return false; }

class BlobStoreTest : public testing::Test {
 protected:
  std::unique_ptr<BlobStore> Open() {
    return BlobStore::Open(folder_.path(), FileSystem::Real()).value();
  }
  // Keeps the writer, and with it the hold, in `writer`.
  static BlobInfo Put(BlobStore& store, std::string_view bytes,
                      std::unique_ptr<BlobWriter>* keep = nullptr) {
    std::unique_ptr<BlobWriter> writer = store.Create(static_cast<int64_t>(bytes.size())).value();
    EXPECT_THAT(writer->Append(bytes.substr(0, bytes.size() / 2)), IsOk());
    EXPECT_THAT(writer->Append(bytes.substr(bytes.size() / 2)), IsOk());
    const BlobInfo info = writer->Commit().value();
    if (keep != nullptr) *keep = std::move(writer);
    return info;
  }

  TempFolder folder_;
};

TEST_F(BlobStoreTest, StoresBytesUnderTheirHash) {
  const auto store = Open();
  const BlobInfo info = Put(*store, "some bytes");
  EXPECT_EQ(info.sha256, Sha256Hex("some bytes"));
  EXPECT_EQ(info.size_bytes, 10);
  const fs::path path = store->PathOf(info.sha256).value();
  EXPECT_EQ(path, folder_.path() / "blobs" / info.sha256.substr(0, 2) / info.sha256);
  EXPECT_EQ(ReadFile(path).value(), "some bytes");
  EXPECT_THAT(store->Verify(info.sha256), IsOk());
  EXPECT_THAT(FilesUnder(folder_.path() / "tmp"), IsEmpty());
}

TEST_F(BlobStoreTest, EqualBytesAreKeptOnce) {
  const auto store = Open();
  const BlobInfo first = Put(*store, "same");
  EXPECT_EQ(Put(*store, "same").sha256, first.sha256);
  EXPECT_EQ(FilesUnder(folder_.path()).size(), 1u);
  const BlobInfo empty = Put(*store, "");
  EXPECT_EQ(empty.size_bytes, 0);
  std::vector<std::string> hashes;
  const std::vector<BlobInfo> blobs = store->List().value();
  for (const BlobInfo& blob : blobs) hashes.push_back(blob.sha256);
  EXPECT_THAT(hashes, testing::UnorderedElementsAre(first.sha256, empty.sha256));
}

TEST_F(BlobStoreTest, AnUncommittedBlobLeavesNothing) {
  const auto store = Open();
  {
    const auto writer = store->Create(100).value();
    EXPECT_THAT(writer->Append("half"), IsOk());
    EXPECT_EQ(writer->Sha256(), Sha256Hex("half"));
    EXPECT_EQ(writer->size_bytes(), 4);
    EXPECT_THAT(writer->Flush(), IsOk());
    EXPECT_EQ(ReadFile(writer->temporary_file()).value(), "half");
    EXPECT_THAT(*store->List(), IsEmpty());
  }
  EXPECT_THAT(FilesUnder(folder_.path()), IsEmpty());
}

TEST_F(BlobStoreTest, AWriterIsUsedOnce) {
  const auto store = Open();
  const auto writer = store->Create(0).value();
  EXPECT_THAT(writer->Commit().status(), IsOk());
  EXPECT_THAT(writer->Append("x"), FailsWith(absl::StatusCode::kFailedPrecondition, "committed"));
  EXPECT_THAT(writer->Commit().status(),
              FailsWith(absl::StatusCode::kFailedPrecondition, "committed"));
}

TEST_F(BlobStoreTest, OpeningRemovesTemporaryFilesOnly) {
  const BlobInfo info = Put(*Open(), "kept");
  std::ofstream(folder_.path() / "tmp" / "left") << "over";
  const auto store = Open();
  EXPECT_THAT(FilesUnder(folder_.path() / "tmp"), IsEmpty());
  EXPECT_THAT(store->Verify(info.sha256), IsOk());
}

TEST_F(BlobStoreTest, NamesWhatIsMissingOrDamaged) {
  const auto store = Open();
  const std::string absent = Sha256Hex("absent");
  EXPECT_THAT(store->PathOf(absent).status(), FailsWith(absl::StatusCode::kNotFound, absent));
  EXPECT_THAT(store->Verify(absent), FailsWith(absl::StatusCode::kNotFound, absent));
  for (const std::string& hostile :
       {std::string(), std::string("../../etc/passwd"), std::string("AB"), std::string(64, 'G')}) {
    EXPECT_THAT(store->PathOf(hostile).status(), FailsWith(absl::StatusCode::kNotFound, "blob"));
  }
  const BlobInfo info = Put(*store, "some bytes");
  std::ofstream(store->PathOf(info.sha256).value()) << "some byteS";
  EXPECT_THAT(store->Verify(info.sha256),
              FailsWith(absl::StatusCode::kDataLoss, Sha256Hex("some byteS")));
  Put(*store, "some bytes");
  EXPECT_THAT(store->Verify(info.sha256), IsOk()) << "storing the bytes again repairs them";
}

TEST_F(BlobStoreTest, CollectsWhatNobodyNeeds) {
  const auto store = Open();
  const BlobInfo kept = Put(*store, "kept");
  Put(*store, "not kept");
  EXPECT_EQ(store->Collect(All).value(), 0);
  EXPECT_EQ(store->Collect([&](std::string_view sha256) { return sha256 == kept.sha256; }).value(),
            1);
  EXPECT_EQ(store->List()->size(), 1u);
}

TEST_F(BlobStoreTest, HeldBlobsStay) {
  const auto store = Open();
  std::unique_ptr<BlobWriter> writer;
  const BlobInfo info = Put(*store, "bytes", &writer);
  EXPECT_EQ(store->Collect(None).value(), 0) << "the writer holds what it made";
  std::shared_ptr<void> first = store->Hold(info.sha256);
  std::shared_ptr<void> second = store->Hold(info.sha256);
  writer = nullptr;
  first = nullptr;
  EXPECT_EQ(store->Collect(None).value(), 0);
  second = nullptr;
  EXPECT_EQ(store->Collect(None).value(), 1);
  EXPECT_THAT(*store->List(), IsEmpty());
}

TEST_F(BlobStoreTest, ABlobTouchedDuringACollectionStays) {
  const auto store = Open();
  const BlobInfo info = Put(*store, "bytes");
  // Held and released again after the references were read: the reader may have missed its new one.
  const auto referenced = [&](std::string_view sha256) {
    store->Hold(sha256).reset();
    return false;
  };
  EXPECT_EQ(store->Collect(referenced).value(), 0);
  EXPECT_THAT(store->Verify(info.sha256), IsOk());
  EXPECT_EQ(store->Collect(None).value(), 1);
}

TEST_F(BlobStoreTest, HoldsMayOutliveTheStore) {
  auto store = Open();
  const std::shared_ptr<void> hold = store->Hold(Put(*store, "bytes").sha256);
  store = nullptr;
}

TEST_F(BlobStoreTest, AFullDiskIsKnownBeforeTheTransfer) {
  const auto store = Open();
  const absl::Status status = store->Create(int64_t{1} << 55).status();
  EXPECT_THAT(status, FailsWith(absl::StatusCode::kResourceExhausted, ""));
  EXPECT_THAT(FilesUnder(folder_.path()), IsEmpty());
}

TEST_F(BlobStoreTest, AFailureAtAnyOperationLeavesNoTornBlob) {
  FaultyFileSystem file_system;
  const auto store = BlobStore::Open(folder_.path(), file_system).value();
  const absl::Status full = absl::ResourceExhaustedError("no space left");
  for (const bool and_all_later : {false, true}) {
    bool succeeded = false;
    for (int64_t n = 0; !succeeded; ++n) {
      ASSERT_LT(n, 50);
      const std::string bytes = absl::StrCat("the bytes of round ", n, and_all_later);
      file_system.FailAt(n, full, and_all_later);
      const absl::Status status = [&] {
        auto writer = store->Create(100);
        if (!writer.ok()) return writer.status();
        // After a failure a writer stays failed: a caller that goes on makes nothing visible.
        (*writer)->Append(bytes.substr(0, 5)).IgnoreError();
        (*writer)->Append(bytes.substr(5)).IgnoreError();
        return (*writer)->Commit().status();
      }();
      succeeded = status.ok();
      EXPECT_TRUE(succeeded || status.code() == full.code()) << status;
      file_system.FailNever();
      EXPECT_THAT(FilesUnder(folder_.path() / "tmp"), IsEmpty());
      const std::vector<BlobInfo> blobs = store->List().value();
      for (const BlobInfo& blob : blobs) {
        EXPECT_THAT(store->Verify(blob.sha256), IsOk()) << "torn at operation " << n;
      }
      EXPECT_EQ(store->Verify(Sha256Hex(bytes)).ok(),
                succeeded || store->PathOf(Sha256Hex(bytes)).ok());
    }
  }
}

TEST_F(BlobStoreTest, ThreadsStoreAndCollectAtOnce) {
  TempStore store;
  std::atomic<bool> stop = false;
  std::thread collector([&] {
    while (!stop) EXPECT_THAT(CollectGarbage(store.catalogue(), store.blobs()).status(), IsOk());
  });
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        // Every content comes from two threads, so that blobs are found, kept and made again.
        std::unique_ptr<BlobWriter> writer;
        const BlobInfo blob = Put(store.blobs(), absl::StrCat("content ", i, " ", t / 2), &writer);
        v1::Model model;
        model.set_name(absl::StrCat("projects/p/models/m", t, "-", i));
        model.add_files()->set_sha256(blob.sha256);
        model.mutable_files(0)->set_size_bytes(blob.size_bytes);
        EXPECT_THAT(store.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
          return transaction.InsertModel(model);
        }),
                    IsOk());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  stop = true;
  collector.join();
  const auto check = CheckStore(store.catalogue(), store.blobs());
  ASSERT_THAT(check.status(), IsOk());
  EXPECT_THAT(check->problems, IsEmpty());
  EXPECT_EQ(check->blobs_checked, 50);
}

}  // namespace
}  // namespace trainyard
