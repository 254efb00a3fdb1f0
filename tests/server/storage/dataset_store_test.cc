#include "server/storage/dataset_store.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "core/base/crc32c.h"
#include "core/base/sha256.h"
#include "core/base/testing/fake_clock.h"
#include "core/base/testing/faulty_file_system.h"
#include "gtest/gtest.h"
#include "server/storage/check.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::IsEmpty;

namespace fs = std::filesystem;

const DatasetName kName{"p", "d", 0};
constexpr char kCsv[] = "x,y\n1,a\n2,b\n3,a\n";

v1::UploadDatasetHeader HeaderFor(std::string_view bytes, std::string_view id = "d") {
  v1::UploadDatasetHeader header;
  header.set_parent("projects/p");
  header.set_dataset_id(std::string(id));
  header.set_size_bytes(static_cast<int64_t>(bytes.size()));
  header.set_sha256(Sha256Hex(bytes));
  header.set_file_name("data.csv");
  return header;
}

v1::FileChunk ChunkOf(std::string_view bytes, int64_t offset) {
  v1::FileChunk chunk;
  chunk.set_offset(offset);
  chunk.set_data(std::string(bytes));
  chunk.set_crc32c(Crc32c(bytes));
  return chunk;
}

class DatasetStoreTest : public testing::Test {
 protected:
  explicit DatasetStoreTest(Catalogue::Options options = {}) : store_(options, file_system_) {
    datasets_ = DatasetStore::Create(
        {.cache_folder = caches(), .max_dataset_bytes = int64_t{1} << 40}, store_.catalogue(),
        store_.blobs(),
        [this](const fs::path& file, const v1::TableReadOptions& read_options,
               const fs::path& cache) { return Ingest(file, read_options, cache); },
        clock_);
  }

  fs::path caches() const { return store_.folder() / "caches"; }

  // The real readers, in this process.
  absl::StatusOr<v1::TableSchema> Ingest(const fs::path& file,
                                         const v1::TableReadOptions& read_options,
                                         const fs::path& cache) {
    ++ingests_;
    const auto table = ReadTable(file, read_options, TableLimits{}, 1);
    if (!table.ok()) return table.status();
    const absl::Status written = WriteTableCache(**table, cache);
    if (!written.ok()) return written;
    return (*table)->schema();
  }

  absl::StatusOr<v1::Dataset> Upload(const v1::UploadDatasetHeader& header,
                                     std::string_view bytes) {
    auto upload = datasets_->Begin(header);
    if (!upload.ok()) return upload.status();
    for (size_t at = 0; at < bytes.size(); at += 5) {
      const absl::Status appended =
          (*upload)->Append(ChunkOf(bytes.substr(at, 5), static_cast<int64_t>(at)));
      if (!appended.ok()) return appended;
    }
    return (*upload)->Finish();
  }
  absl::StatusOr<v1::Dataset> Upload(std::string_view bytes, std::string_view id = "d") {
    return Upload(HeaderFor(bytes, id), bytes);
  }

  // Files of blobs, uploads in progress and caches.
  std::vector<std::string> Files() const {
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(store_.folder())) {
      const std::string name = fs::relative(entry.path(), store_.folder()).string();
      if (entry.is_regular_file() && name.rfind("catalogue.db", 0) != 0) files.push_back(name);
    }
    return files;
  }

  FaultyFileSystem file_system_;
  TempStore store_;
  FakeClock clock_;
  std::atomic<int> ingests_ = 0;
  std::unique_ptr<DatasetStore> datasets_;
};

TEST_F(DatasetStoreTest, AnUploadBecomesAVersionWithASchema) {
  v1::UploadDatasetHeader header = HeaderFor(kCsv);
  header.set_display_name("for people");
  const auto dataset = Upload(header, kCsv);
  ASSERT_THAT(dataset.status(), IsOk());
  EXPECT_EQ(dataset->name(), "projects/p/datasets/d");
  EXPECT_EQ(dataset->kind(), v1::Dataset::KIND_TABLE);
  EXPECT_EQ(dataset->display_name(), "for people");
  EXPECT_EQ(dataset->version_count(), 1);
  EXPECT_EQ(dataset->create_time().seconds(), 1'600'000'000);
  EXPECT_NE(dataset->etag(), "");
  const v1::DatasetVersion& version = dataset->latest_version();
  EXPECT_EQ(version.name(), "projects/p/datasets/d/versions/1");
  EXPECT_EQ(version.size_bytes(), static_cast<int64_t>(std::string_view(kCsv).size()));
  EXPECT_EQ(version.sha256(), Sha256Hex(kCsv));
  EXPECT_EQ(version.file_name(), "data.csv");
  EXPECT_EQ(version.table().row_count(), 3);
  EXPECT_THAT(datasets_->Get(kName).value(), EqualsProto(*dataset));
  EXPECT_THAT(datasets_->GetVersion({"p", "d", 1}).value(), EqualsProto(version));

  const auto table = datasets_->OpenTable(kName);
  ASSERT_THAT(table.status(), IsOk());
  EXPECT_EQ((*table)->TextAt(2, 0), "3");
  const auto assigned = datasets_->AssignTable(kName);
  ASSERT_THAT(assigned.status(), IsOk());
  EXPECT_EQ(assigned->name(), version.name());
  EXPECT_TRUE(fs::path(assigned->path()).is_absolute());
  EXPECT_THAT(OpenTableCache(assigned->path(), true).status(), IsOk());
  EXPECT_THAT(assigned->schema(), EqualsProto(version.table()));
  const auto file = datasets_->OpenFile({"p", "d", 1});
  ASSERT_THAT(file.status(), IsOk());
  EXPECT_EQ(ReadFile(file->path).value(), kCsv);
  EXPECT_EQ(ingests_, 1);
  EXPECT_EQ(Files().size(), 2u) << "one blob, one cache";
}

TEST_F(DatasetStoreTest, NamesEveryViolationOfTheHeader) {
  v1::UploadDatasetHeader header;
  header.set_parent("p");
  header.set_dataset_id("Not An Id");
  header.set_kind(static_cast<v1::Dataset::Kind>(77));
  header.set_size_bytes(0);
  header.set_sha256(std::string(64, 'A'));
  header.set_file_name("../x.csv");
  header.set_display_name(std::string(201, 'x'));
  header.mutable_table()->set_delimiter("x");
  const absl::Status status = datasets_->Begin(header).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : ViolationsOf(status)) fields.push_back(violation.field);
  EXPECT_THAT(fields, testing::ElementsAre("header.parent", "header.dataset_id", "header.kind",
                                           "header.size_bytes", "header.sha256", "header.file_name",
                                           "header.display_name", "header.table.delimiter"));
  header = HeaderFor(kCsv);
  header.mutable_table()->set_delimiter("ab");
  EXPECT_THAT(datasets_->Begin(header).status(), Violates("header.table.delimiter", ""));
}

TEST_F(DatasetStoreTest, OtherKindsAreNamedAsUnsupported) {
  for (const auto kind :
       {v1::Dataset::KIND_TEXT, v1::Dataset::KIND_SERIES, v1::Dataset::KIND_IMAGES}) {
    v1::UploadDatasetHeader header = HeaderFor(kCsv);
    header.set_kind(kind);
    EXPECT_THAT(datasets_->Begin(header).status(),
                FailsWith(absl::StatusCode::kUnimplemented, v1::Dataset::Kind_Name(kind)));
  }
}

TEST_F(DatasetStoreTest, ADatasetKeepsItsKind) {
  v1::Dataset text;
  text.set_name("projects/p/datasets/d");
  text.set_kind(v1::Dataset::KIND_TEXT);
  text.set_version_count(1);
  ASSERT_THAT(store_.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
    return transaction.PutDatasetVersion(text);
  }),
              IsOk());
  EXPECT_THAT(Upload(kCsv).status(),
              FailsWith(absl::StatusCode::kFailedPrecondition, "is of kind KIND_TEXT"));
}

TEST_F(DatasetStoreTest, SizesBeyondTheLimitOrTheDiskAreRefusedAtOnce) {
  v1::UploadDatasetHeader header = HeaderFor(kCsv);
  header.set_size_bytes((int64_t{1} << 40) + 1);
  EXPECT_THAT(datasets_->Begin(header).status(),
              FailsWith(absl::StatusCode::kResourceExhausted, "at most 1099511627776 bytes"));
  file_system_.FailAt(0, absl::ResourceExhaustedError("no space left"));
  EXPECT_THAT(datasets_->Begin(HeaderFor(kCsv)).status(),
              FailsWith(absl::StatusCode::kResourceExhausted, "no space left"));
}

TEST_F(DatasetStoreTest, ChunksAreChecked) {
  struct Case {
    v1::FileChunk chunk;
    absl::StatusCode code;
    std::string text;
  };
  v1::FileChunk wrong_crc = ChunkOf("x,", 0);
  wrong_crc.set_crc32c(7);
  for (const Case& c :
       {Case{ChunkOf("x", 1), absl::StatusCode::kOutOfRange, "chunk.offset is 1; must be 0"},
        Case{ChunkOf("x", -1), absl::StatusCode::kOutOfRange, "chunk.offset is -1; must be 0"},
        Case{ChunkOf(std::string(17, 'x'), 0), absl::StatusCode::kOutOfRange,
             "chunk.data ends at byte 17; header.size_bytes is 16"},
        Case{wrong_crc, absl::StatusCode::kDataLoss,
             absl::StrCat("chunk.crc32c is 00000007; must be ",
                          absl::Hex(Crc32c("x,"), absl::kZeroPad8))}}) {
    const auto upload = datasets_->Begin(HeaderFor(kCsv)).value();
    EXPECT_THAT(upload->Append(c.chunk), FailsWith(c.code, c.text));
    EXPECT_THAT(upload->Append(ChunkOf("x", 0)), FailsWith(c.code, c.text)) << "stays broken";
    EXPECT_THAT(upload->Finish().status(), FailsWith(c.code, c.text));
  }
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(DatasetStoreTest, FinishVerifiesSizeAndHash) {
  const auto upload = datasets_->Begin(HeaderFor(kCsv)).value();
  EXPECT_THAT(upload->Append(ChunkOf("x", 0)), IsOk());
  EXPECT_THAT(upload->Finish().status(), FailsWith(absl::StatusCode::kOutOfRange,
                                                   "ended after 1 bytes; header.size_bytes is 16"));
  EXPECT_THAT(upload->Finish().status(),
              FailsWith(absl::StatusCode::kFailedPrecondition, "finished"));
  v1::UploadDatasetHeader header = HeaderFor(kCsv);
  header.set_sha256(Sha256Hex("other"));
  const absl::Status status = Upload(header, kCsv).status();
  EXPECT_THAT(status, FailsWith(absl::StatusCode::kDataLoss,
                                absl::StrCat("header.sha256 is ", Sha256Hex("other"), "; must be ",
                                             Sha256Hex(kCsv))));
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_EQ(ingests_, 0);
}

TEST_F(DatasetStoreTest, AFileThatIsNoTableLeavesNoTrace) {
  const std::string broken = "a,b\n1,2\n3\n";
  const absl::Status status = Upload(broken).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(ViolationsOf(status), testing::Not(IsEmpty()));
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_THAT(datasets_->Get(kName).status(), FailsWith(absl::StatusCode::kNotFound, ""));
}

TEST_F(DatasetStoreTest, AnUploadCutAtAnyChunkLeavesNoTrace) {
  const std::string_view csv = kCsv;
  for (size_t cut = 0; cut <= csv.size(); ++cut) {
    {
      const auto upload = datasets_->Begin(HeaderFor(csv)).value();
      for (size_t at = 0; at < cut; ++at) {
        ASSERT_THAT(upload->Append(ChunkOf(csv.substr(at, 1), static_cast<int64_t>(at))), IsOk());
      }
    }
    ASSERT_THAT(Files(), IsEmpty()) << cut;
  }
  EXPECT_THAT(datasets_->Get(kName).status(), FailsWith(absl::StatusCode::kNotFound, ""));
}

TEST_F(DatasetStoreTest, EqualBytesAndOptionsAnswerTheNewestVersion) {
  const v1::Dataset first = Upload(kCsv).value();
  EXPECT_THAT(Upload(kCsv).value(), EqualsProto(first));
  EXPECT_EQ(ingests_, 1);
  v1::UploadDatasetHeader with_options = HeaderFor(kCsv);
  with_options.mutable_table()->set_header(true);
  const v1::Dataset second = Upload(with_options, kCsv).value();
  EXPECT_EQ(second.version_count(), 2);
  EXPECT_EQ(Upload(with_options, kCsv)->version_count(), 2);
  // Only the newest version counts.
  const v1::Dataset third = Upload(kCsv).value();
  EXPECT_EQ(third.version_count(), 3);
  EXPECT_NE(third.etag(), first.etag());
  EXPECT_EQ(third.latest_version().sha256(), first.latest_version().sha256());
  EXPECT_EQ(store_.blobs().List()->size(), 1u);
}

TEST_F(DatasetStoreTest, ConcurrentUploadsOfOneIdBecomeVersionsInSomeOrder) {
  constexpr int kThreads = 8;
  std::vector<std::thread> threads;
  std::atomic<int64_t> sum = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto dataset = Upload(absl::StrCat("x\n", t, "\n"));
      EXPECT_THAT(dataset.status(), IsOk());
      if (dataset.ok()) sum += dataset->version_count();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sum, kThreads * (kThreads + 1) / 2);
  EXPECT_EQ(datasets_->Get(kName)->version_count(), kThreads);
  for (int64_t version = 1; version <= kThreads; ++version) {
    EXPECT_THAT(datasets_->OpenTable({"p", "d", version}).status(), IsOk());
  }
  EXPECT_THAT(CheckStore(store_.catalogue(), store_.blobs())->problems, IsEmpty());
}

TEST_F(DatasetStoreTest, ConcurrentUploadsOfEqualBytesBecomeOneVersion) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] { EXPECT_EQ(Upload(kCsv)->version_count(), 1); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Files().size(), 2u);
}

TEST_F(DatasetStoreTest, ALostOrDamagedCacheIsMadeAgain) {
  ASSERT_THAT(Upload(kCsv).status(), IsOk());
  const std::string cache = datasets_->AssignTable(kName)->path();
  fs::remove_all(caches());
  EXPECT_EQ((*datasets_->OpenTable(kName))->row_count(), 3);
  EXPECT_EQ(ingests_, 2);
  std::ofstream(cache) << "no cache";
  EXPECT_EQ(datasets_->AssignTable(kName)->path(), cache);
  EXPECT_THAT(OpenTableCache(cache, true).status(), IsOk());
  EXPECT_EQ(ingests_, 3);
}

TEST_F(DatasetStoreTest, ManyReadersOfALostCacheMakeItOnce) {
  ASSERT_THAT(Upload(kCsv).status(), IsOk());
  fs::remove_all(caches());
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] { EXPECT_THAT(datasets_->OpenTable(kName).status(), IsOk()); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ingests_, 2);
}

TEST_F(DatasetStoreTest, ALostFileIsDataLoss) {
  ASSERT_THAT(Upload(kCsv).status(), IsOk());
  fs::remove(datasets_->OpenFile(kName)->path);
  EXPECT_THAT(datasets_->OpenFile(kName).status(),
              FailsWith(absl::StatusCode::kDataLoss, "projects/p/datasets/d/versions/1"));
  EXPECT_THAT(datasets_->OpenTable({"p", "e", 0}).status(),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/datasets/e"));
}

TEST_F(DatasetStoreTest, DeletingRemovesCachesButNotThoseInUse) {
  ASSERT_THAT(Upload(kCsv).status(), IsOk());
  ASSERT_THAT(Upload("x\n1\n").status(), IsOk());
  ASSERT_THAT(Upload(kCsv, "twin").status(), IsOk());
  EXPECT_THAT(datasets_->Delete(kName, "other"), FailsWith(absl::StatusCode::kAborted, "'other'"));
  const auto held = datasets_->OpenFile(kName);
  ASSERT_THAT(datasets_->Delete(kName, datasets_->Get(kName)->etag()), IsOk());
  EXPECT_THAT(datasets_->Delete(kName, ""), FailsWith(absl::StatusCode::kNotFound, "datasets/d"));
  EXPECT_EQ(ingests_, 3);
  EXPECT_THAT(datasets_->OpenTable({"p", "twin", 0}).status(), IsOk());
  EXPECT_EQ(ingests_, 3) << "the twin's cache is still there";
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 0) << "being downloaded";
  EXPECT_EQ(ReadFile(held->path).value(), "x\n1\n");
}

TEST_F(DatasetStoreTest, AFailureAtAnyFileOperationLeavesNoTrace) {
  const absl::Status full = absl::ResourceExhaustedError("no space left");
  bool succeeded = false;
  for (int64_t n = 0; !succeeded; ++n) {
    ASSERT_LT(n, 50);
    file_system_.FailAt(n, full);
    const absl::Status status = Upload(kCsv).status();
    file_system_.FailNever();
    succeeded = status.ok();
    if (succeeded) break;
    EXPECT_THAT(status, FailsWith(full.code(), "no space left"));
    EXPECT_THAT(datasets_->Get(kName).status(), FailsWith(absl::StatusCode::kNotFound, ""));
    const std::vector<BlobInfo> blobs = store_.blobs().List().value();
    for (const BlobInfo& blob : blobs) {
      EXPECT_THAT(store_.blobs().Verify(blob.sha256), IsOk()) << n;
    }
    CollectGarbage(store_.catalogue(), store_.blobs()).IgnoreError();
    EXPECT_THAT(Files(), IsEmpty()) << n;
  }
  EXPECT_THAT(datasets_->OpenTable(kName).status(), IsOk());
}

TEST_F(DatasetStoreTest, LargeUploadsDoNotGrowTheMemory) {
#ifdef TRAINYARD_SANITIZED
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  const auto resident_bytes = [] {
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4096;
  };
  constexpr int64_t kPiece = 1 << 20;
  constexpr int64_t kPieces = 128;
  const std::string piece(kPiece, 'x');
  Sha256 hash;
  for (int64_t i = 0; i < kPieces; ++i) hash.Update(piece);
  v1::UploadDatasetHeader header = HeaderFor(kCsv);
  header.set_size_bytes(kPiece * kPieces);
  header.set_sha256(hash.HexDigest());
  const int64_t before = resident_bytes();
  const auto upload = datasets_->Begin(header).value();
  for (int64_t i = 0; i < kPieces; ++i) {
    ASSERT_THAT(upload->Append(ChunkOf(piece, i * kPiece)), IsOk());
  }
  EXPECT_LT(resident_bytes() - before, 32 << 20);
}

class FullCatalogueTest : public DatasetStoreTest {
 protected:
  FullCatalogueTest() : DatasetStoreTest({.max_pages = 80}) {}
};

TEST_F(FullCatalogueTest, AFullCatalogueLeavesNoBlob) {
  // Schemas of many columns fill the catalogue quickly.
  std::string names = "c0";
  std::string values = "0";
  for (int column = 1; column < 300; ++column) {
    absl::StrAppend(&names, ",c", column);
    absl::StrAppend(&values, ",", column);
  }
  absl::Status status;
  int stored = 0;
  for (; status.ok() && stored < 1000; ++stored) {
    status =
        Upload(absl::StrCat(names, "\n", values, stored, "\n"), absl::StrCat("d", stored)).status();
  }
  EXPECT_THAT(status, FailsWith(absl::StatusCode::kResourceExhausted, "full"));
  --stored;
  ASSERT_GT(stored, 0);
  EXPECT_EQ(store_.blobs().List()->size(), static_cast<size_t>(stored));
  EXPECT_THAT(CheckStore(store_.catalogue(), store_.blobs())->orphans, IsEmpty());
  EXPECT_THAT(datasets_->OpenTable({"p", "d0", 0}).status(), IsOk());
}

}  // namespace
}  // namespace trainyard
