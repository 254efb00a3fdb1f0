// Data sets, models and what refers to blobs.
#include "gtest/gtest.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::Dataset MakeDataset(std::string_view id, int64_t version, std::string_view sha256) {
  v1::Dataset dataset;
  dataset.set_name(DatasetName{"p", std::string(id), 0}.ToString());
  dataset.set_kind(v1::Dataset::KIND_TABLE);
  dataset.set_version_count(version);
  dataset.mutable_latest_version()->set_name(DatasetName{"p", std::string(id), version}.ToString());
  dataset.mutable_latest_version()->set_sha256(std::string(sha256));
  dataset.mutable_latest_version()->set_size_bytes(10 * version);
  dataset.mutable_latest_version()->mutable_table()->set_row_count(version);
  return dataset;
}

v1::Model MakeModel(std::string_view id, int64_t seconds, std::string_view sha256) {
  v1::Model model;
  model.set_name(ModelName{"p", std::string(id)}.ToString());
  model.mutable_create_time()->set_seconds(seconds);
  v1::ModelFile& file = *model.add_files();
  file.set_path("model.pb");
  file.set_sha256(std::string(sha256));
  file.set_size_bytes(5);
  model.mutable_manifest()->set_format_version(1);
  model.mutable_report()->set_wall_seconds(2);
  return model;
}

class CatalogueDataTest : public testing::Test {
 protected:
  Catalogue& catalogue() { return store_.catalogue(); }
  absl::Status Put(const v1::Dataset& dataset) {
    return catalogue().WriteAndWait(
        [&](CatalogueTransaction& transaction) { return transaction.PutDatasetVersion(dataset); });
  }
  absl::Status DeleteDataset(std::string_view id) {
    return catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
      return transaction.DeleteDataset({"p", std::string(id), 0});
    });
  }
  absl::Status Put(const v1::Model& model) {
    return catalogue().WriteAndWait(
        [&](CatalogueTransaction& transaction) { return transaction.InsertModel(model); });
  }

  TempStore store_;
};

TEST_F(CatalogueDataTest, KeepsEveryVersionOfADataset) {
  const v1::Dataset first = MakeDataset("d", 1, "aa");
  const v1::Dataset second = MakeDataset("d", 2, "bb");
  ASSERT_THAT(Put(first), IsOk());
  EXPECT_THAT(*catalogue().GetDataset({"p", "d", 0}), EqualsProto(first));
  ASSERT_THAT(Put(second), IsOk());
  EXPECT_THAT(*catalogue().GetDataset({"p", "d", 0}), EqualsProto(second));
  EXPECT_THAT(*catalogue().GetDatasetVersion({"p", "d", 0}), EqualsProto(second.latest_version()));
  EXPECT_THAT(*catalogue().GetDatasetVersion({"p", "d", 1}), EqualsProto(first.latest_version()));
  EXPECT_THAT(catalogue().GetDatasetVersion({"p", "d", 3}).status(),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/datasets/d/versions/3"));
  EXPECT_THAT(catalogue().GetDataset({"p", "e", 0}).status(),
              FailsWith(absl::StatusCode::kNotFound, "data set 'projects/p/datasets/e'"));
}

TEST_F(CatalogueDataTest, VersionNumbersFollowEachOther) {
  EXPECT_THAT(Put(MakeDataset("d", 2, "aa")), FailsWith(absl::StatusCode::kAborted, "version 2"));
  ASSERT_THAT(Put(MakeDataset("d", 1, "aa")), IsOk());
  EXPECT_THAT(Put(MakeDataset("d", 1, "bb")),
              FailsWith(absl::StatusCode::kAborted, "the newest is 1"));
  EXPECT_THAT(Put(MakeDataset("d", 3, "bb")), FailsWith(absl::StatusCode::kAborted, "version 3"));
}

TEST_F(CatalogueDataTest, ListsDatasetsById) {
  for (const std::string id : {"c", "a", "b"}) ASSERT_THAT(Put(MakeDataset(id, 1, id)), IsOk());
  EXPECT_THAT(NamesOf(*catalogue().ListDatasets("p", "", 10)), ElementsAre("a", "b", "c"));
  EXPECT_THAT(NamesOf(*catalogue().ListDatasets("p", "", 2)), ElementsAre("a", "b"));
  EXPECT_THAT(NamesOf(*catalogue().ListDatasets("p", "a", 2)), ElementsAre("b", "c"));
  EXPECT_THAT(*catalogue().ListDatasets("q", "", 10), IsEmpty());
}

TEST_F(CatalogueDataTest, ADatasetInUseStays) {
  ASSERT_THAT(Put(MakeDataset("d", 1, "aa")), IsOk());
  v1::Job job = MakeJob("j");
  job.mutable_spec()->mutable_hierarchical_shrinkage()->mutable_input()->set_dataset(
      "projects/p/datasets/d/versions/1");
  ASSERT_THAT(Insert(catalogue(), job), IsOk());
  EXPECT_THAT(DeleteDataset("d"),
              FailsWith(absl::StatusCode::kFailedPrecondition, "used by 'projects/p/jobs/j'"));
  job.set_state(v1::Job::STATE_SUCCEEDED);
  ASSERT_THAT(catalogue().WriteAndWait(
                  [&](CatalogueTransaction& transaction) { return transaction.UpdateJob(job); }),
              IsOk());
  EXPECT_THAT(DeleteDataset("d"), IsOk());
  EXPECT_THAT(DeleteDataset("d"), FailsWith(absl::StatusCode::kNotFound, "datasets/d"));
  EXPECT_THAT(catalogue().GetDatasetVersion({"p", "d", 1}).status(),
              FailsWith(absl::StatusCode::kNotFound, ""));
  EXPECT_THAT(Put(MakeDataset("d", 1, "aa")), IsOk()) << "the name is free again";
}

TEST_F(CatalogueDataTest, KeepsModels) {
  const v1::Model model = MakeModel("m", 10, "aa");
  ASSERT_THAT(Put(model), IsOk());
  EXPECT_THAT(*catalogue().GetModel({"p", "m"}), EqualsProto(model));
  EXPECT_THAT(Put(model), FailsWith(absl::StatusCode::kAlreadyExists, "projects/p/models/m"));
  v1::Model twice = MakeModel("n", 10, "aa");
  *twice.add_files() = twice.files(0);
  EXPECT_THAT(Put(twice), FailsWith(absl::StatusCode::kInvalidArgument, "two files 'model.pb'"));
  const auto remove = [&](CatalogueTransaction& transaction) {
    return transaction.DeleteModel({"p", "m"});
  };
  EXPECT_THAT(catalogue().WriteAndWait(remove), IsOk());
  EXPECT_THAT(catalogue().WriteAndWait(remove),
              FailsWith(absl::StatusCode::kNotFound, "projects/p/models/m"));
  EXPECT_THAT(catalogue().GetModel({"p", "m"}).status(),
              FailsWith(absl::StatusCode::kNotFound, "model 'projects/p/models/m'"));
}

TEST_F(CatalogueDataTest, ListsModelsNewestFirstWithoutDetails) {
  for (int i = 0; i < 7; ++i) {
    ASSERT_THAT(Put(MakeModel(absl::StrCat("m", i), i / 2, "aa")), IsOk());
  }
  std::vector<std::string> seen;
  std::string token;
  do {
    const auto page = catalogue().ListModels("p", token, 3);
    ASSERT_THAT(page.status(), IsOk());
    for (const v1::Model& model : page->models) {
      EXPECT_FALSE(model.has_manifest() || model.has_report());
      EXPECT_EQ(model.files_size(), 1);
    }
    for (const std::string& name : NamesOf(page->models)) seen.push_back(name);
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_THAT(seen, ElementsAre("m6", "m5", "m4", "m3", "m2", "m1", "m0"));
  EXPECT_THAT(catalogue().ListModels("p", "", -1).status(), Violates("page_size", "negative"));
  EXPECT_THAT(catalogue().ListModels("p", "x", 0).status(), Violates("page_token", "not a token"));
}

TEST_F(CatalogueDataTest, NamesEveryReferenceOnce) {
  ASSERT_THAT(Put(MakeDataset("d", 1, "aa")), IsOk());
  ASSERT_THAT(Put(MakeDataset("d", 2, "bb")), IsOk());
  ASSERT_THAT(Put(MakeDataset("e", 1, "aa")), IsOk());
  ASSERT_THAT(Put(MakeModel("m", 1, "cc")), IsOk());
  ASSERT_THAT(Insert(catalogue(), MakeJob("j")), IsOk());
  ASSERT_THAT(catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
    return transaction.PutCheckpoint(Name("j"), 1, "dd", 77);
  }),
              IsOk());
  std::vector<std::string> references;
  const auto found = catalogue().BlobReferences();
  ASSERT_THAT(found.status(), IsOk());
  for (const Catalogue::BlobReference& reference : *found) {
    references.push_back(
        absl::StrCat(reference.sha256, " ", reference.size_bytes, " ", reference.referrer));
  }
  EXPECT_THAT(references, ElementsAre("aa 10 projects/p/datasets/d/versions/1",
                                      "bb 20 projects/p/datasets/d/versions/2",
                                      "cc 5 projects/p/models/m", "dd 77 projects/p/jobs/j"));
}

}  // namespace
}  // namespace trainyard
