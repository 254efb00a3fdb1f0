#include "server/storage/model_store.h"

#include <atomic>
#include <barrier>
#include <fstream>
#include <thread>

#include "core/base/sha256.h"
#include "gtest/gtest.h"
#include "server/storage/check.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace fs = std::filesystem;

// Predicts the content of the model's file, read anew each time.
class FilePredictor final : public Predictor {
 public:
  explicit FilePredictor(fs::path file) : file_(std::move(file)) {}
  absl::StatusOr<Predictions> Predict(const Table&, int) const override {
    return absl::UnimplementedError("not needed");
  }
  std::string Content() const { return ReadFile(file_).value(); }

 private:
  const fs::path file_;
};

class FileAlgorithm final : public Algorithm {
 public:
  std::string_view name() const override { return "file"; }
  std::string_view title() const override { return ""; }
  std::string_view citation() const override { return ""; }
  void Resolve(const TableSchemas&, std::string_view, v1::TrainingSpec&,
               Violations&) const override {}
  int64_t EstimateMemory(const v1::TrainingSpec&, const TableSchemas&) const override { return 0; }
  absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec&, const Tables&,
                                       TrainingContext&) const override {
    return absl::UnimplementedError("not needed");
  }
  absl::StatusOr<std::unique_ptr<Predictor>> LoadPredictor(const v1::ModelManifest& manifest,
                                                           const fs::path& folder) const override {
    ++loads;
    if (manifest.format_version() != 1) return absl::DataLossError("unknown format");
    return std::make_unique<FilePredictor>(folder / "sub" / "model.txt");
  }
  mutable std::atomic<int> loads = 0;
};

class ModelStoreTest : public testing::Test {
 protected:
  ModelStoreTest() { Open({}); }

  void Open(ModelStore::Options options) {
    options.scratch_folder = store_.folder() / "scratch";
    options.find_algorithm = [this](std::string_view name) {
      return name == algorithm_.name() ? &algorithm_ : nullptr;
    };
    models_ = ModelStore::Create(options, store_.catalogue(), store_.blobs()).value();
  }

  v1::Model Put(
      std::string_view id, std::string_view content,
      const std::function<void(v1::Model&)>& change = [](v1::Model&) {}) {
    v1::Model model;
    model.set_name(ModelName{"p", std::string(id)}.ToString());
    model.set_algorithm("file");
    model.set_etag("e1");
    model.set_size_bytes(100);
    v1::ModelFile& file = *model.add_files();
    file.set_path("sub/model.txt");
    file.set_sha256(store_.PutBlob(content));
    file.set_size_bytes(static_cast<int64_t>(content.size()));
    model.mutable_manifest()->set_format_version(1);
    change(model);
    EXPECT_THAT(store_.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
      return transaction.InsertModel(model);
    }),
                IsOk());
    return model;
  }
  // A model whose file the catalogue keeps.
  void PutSmall(std::string_view id, const std::string& content, const std::string& sha256) {
    v1::Model model;
    model.set_name(ModelName{"p", std::string(id)}.ToString());
    model.set_algorithm("file");
    v1::ModelFile& file = *model.add_files();
    file.set_path("sub/model.txt");
    file.set_sha256(sha256);
    file.set_size_bytes(static_cast<int64_t>(content.size()));
    model.mutable_manifest()->set_format_version(1);
    EXPECT_THAT(store_.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
      return transaction.InsertModel(model, {{"sub/model.txt", content}});
    }),
                IsOk());
  }
  std::string ContentOf(std::string_view id) {
    const auto predictor = models_->LoadPredictor({"p", std::string(id)});
    if (!predictor.ok()) return predictor.status().ToString();
    return static_cast<const FilePredictor&>(**predictor).Content();
  }
  size_t ScratchFolders() const {
    size_t count = 0;
    for (const auto& entry : fs::directory_iterator(store_.folder() / "scratch")) {
      count += entry.is_directory();
    }
    return count;
  }

  TempStore store_;
  FileAlgorithm algorithm_;
  std::unique_ptr<ModelStore> models_;
};

TEST_F(ModelStoreTest, AnswersWhatTheCatalogueHolds) {
  const v1::Model model = Put("m", "content");
  EXPECT_THAT(models_->Get({"p", "m"}).value(), EqualsProto(model));
  EXPECT_THAT(NamesOf(models_->List("p", "", 0)->models), ElementsAre("m"));
  EXPECT_THAT(models_->Get({"p", "n"}).status(),
              FailsWith(absl::StatusCode::kNotFound, "models/n"));
}

// A file that the catalogue keeps is used like any other.
TEST_F(ModelStoreTest, FilesInTheCatalogueAreOpenedAndLoaded) {
  PutSmall("m", "in the catalogue", Sha256Hex("in the catalogue"));
  EXPECT_THAT(store_.blobs().List().value(), IsEmpty());
  {
    const auto held = models_->Open({"p", "m"});
    ASSERT_THAT(held.status(), IsOk());
    EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 0) << "it is held";
    EXPECT_EQ(ReadFile(held->paths.at(0)).value(), "in the catalogue");
  }
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 1);
  EXPECT_EQ(ContentOf("m"), "in the catalogue") << "again";
  ASSERT_THAT(models_->Delete({"p", "m"}, ""), IsOk());
  EXPECT_THAT(models_->Open({"p", "m"}).status(), FailsWith(absl::StatusCode::kNotFound, "m"));
}

TEST_F(ModelStoreTest, DamagedFileInTheCatalogueIsRefused) {
  PutSmall("m", "damaged", Sha256Hex("sound"));
  EXPECT_THAT(models_->Open({"p", "m"}).status(),
              FailsWith(absl::StatusCode::kDataLoss, "projects/p/models/m: file 'sub/model.txt'"));
  EXPECT_THAT(store_.blobs().List().value(), IsEmpty());
}

TEST_F(ModelStoreTest, OpenedFilesStayWhileTheyAreHeld) {
  Put("m", "content");
  auto held = models_->Open({"p", "m"});
  ASSERT_THAT(held.status(), IsOk());
  ASSERT_THAT(models_->Delete({"p", "m"}, ""), IsOk());
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 0);
  EXPECT_EQ(ReadFile(held->paths.at(0)).value(), "content");
  held->hold = nullptr;
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 1);
  EXPECT_THAT(models_->Open({"p", "m"}).status(),
              FailsWith(absl::StatusCode::kNotFound, "models/m"));
}

TEST_F(ModelStoreTest, DeleteComparesTheEtag) {
  Put("m", "content");
  EXPECT_THAT(models_->Delete({"p", "m"}, "e2"),
              FailsWith(absl::StatusCode::kAborted, "etag is 'e2', that of 'projects/p/models/m'"));
  EXPECT_THAT(models_->Delete({"p", "m"}, "e1"), IsOk());
  EXPECT_THAT(models_->Delete({"p", "m"}, "e1"), FailsWith(absl::StatusCode::kNotFound, ""));
}

TEST_F(ModelStoreTest, LoadsOnceAndKeeps) {
  Put("m", "content");
  EXPECT_EQ(ContentOf("m"), "content");
  EXPECT_EQ(ContentOf("m"), "content");
  EXPECT_EQ(algorithm_.loads, 1);
}

TEST_F(ModelStoreTest, ManyAskingAtOnceLoadOnce) {
  Put("m", "content");
  constexpr int kThreads = 8;
  std::barrier barrier(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      barrier.arrive_and_wait();
      EXPECT_EQ(ContentOf("m"), "content");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(algorithm_.loads, 1);
}

TEST_F(ModelStoreTest, TheLeastRecentlyUsedGoesFirst) {
  Open({.max_loaded_models = 2});
  for (const std::string id : {"a", "b", "c"}) Put(id, "content of " + id);
  ContentOf("a");
  ContentOf("b");
  ContentOf("a");
  EXPECT_EQ(ContentOf("c"), "content of c");  // drops b
  EXPECT_EQ(ScratchFolders(), 2u);
  EXPECT_EQ(algorithm_.loads, 3);
  ContentOf("a");
  EXPECT_EQ(algorithm_.loads, 3);
  ContentOf("b");
  EXPECT_EQ(algorithm_.loads, 4);
}

TEST_F(ModelStoreTest, BytesAreBoundedToo) {
  Open({.max_loaded_bytes = 250});
  for (const std::string id : {"a", "b", "c"}) {
    Put(id, id);
    ContentOf(id);
  }
  EXPECT_EQ(ScratchFolders(), 2u);  // 100 bytes each
}

TEST_F(ModelStoreTest, APredictorLivesAsLongAsItIsUsed) {
  Open({.max_loaded_models = 0});
  Put("m", "content");
  auto predictor = models_->LoadPredictor({"p", "m"});
  ASSERT_THAT(predictor.status(), IsOk());
  ASSERT_THAT(models_->Delete({"p", "m"}, ""), IsOk());
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 0);
  EXPECT_EQ(static_cast<const FilePredictor&>(**predictor).Content(), "content");
  predictor->reset();
  EXPECT_EQ(ScratchFolders(), 0u);
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 1);
}

TEST_F(ModelStoreTest, ANameUsedAgainIsAnotherModel) {
  Put("m", "first");
  EXPECT_EQ(ContentOf("m"), "first");
  ASSERT_THAT(models_->Delete({"p", "m"}, ""), IsOk());
  EXPECT_EQ(ScratchFolders(), 0u);
  Put("m", "second");
  EXPECT_EQ(ContentOf("m"), "second");
}

TEST_F(ModelStoreTest, NamesWhatCannotBeLoaded) {
  Put("unknown", "x", [](v1::Model& model) { model.set_algorithm("future"); });
  EXPECT_THAT(models_->LoadPredictor({"p", "unknown"}).status(),
              FailsWith(absl::StatusCode::kUnimplemented, "trained by 'future'"));
  Put("damaged", "x", [](v1::Model& model) { model.mutable_manifest()->set_format_version(9); });
  EXPECT_THAT(models_->LoadPredictor({"p", "damaged"}).status(),
              FailsWith(absl::StatusCode::kDataLoss, "projects/p/models/damaged"));
  const v1::Model lost = Put("lost", "lost content");
  fs::remove(store_.blobs().PathOf(lost.files(0).sha256()).value());
  EXPECT_THAT(
      models_->LoadPredictor({"p", "lost"}).status(),
      FailsWith(absl::StatusCode::kDataLoss, "file 'sub/model.txt' of 'projects/p/models/lost'"));
  EXPECT_THAT(models_->LoadPredictor({"p", "none"}).status(),
              FailsWith(absl::StatusCode::kNotFound, "models/none"));
  EXPECT_EQ(ScratchFolders(), 0u);
}

TEST_F(ModelStoreTest, PathsOutsideOfTheFolderAreRefused) {
  int number = 0;
  for (const std::string path : {"../x", "/etc/x", "a/../../x", "", "a/", "."}) {
    const std::string id = absl::StrCat("m", number++);
    Put(id, "x", [&](v1::Model& model) { model.mutable_files(0)->set_path(path); });
    EXPECT_THAT(models_->LoadPredictor({"p", id}).status(),
                FailsWith(absl::StatusCode::kDataLoss, "outside of its folder"))
        << path;
  }
  EXPECT_FALSE(fs::exists(store_.folder() / "scratch" / "x"));
}

TEST_F(ModelStoreTest, CreatingEmptiesTheScratchFolder) {
  fs::create_directories(store_.folder() / "scratch" / "left" / "over");
  Open({});
  EXPECT_TRUE(fs::is_empty(store_.folder() / "scratch"));
}

}  // namespace
}  // namespace trainyard
