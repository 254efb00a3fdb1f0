#include "server/storage/check.h"

#include <fstream>

#include "core/base/sha256.h"
#include "gtest/gtest.h"
#include "server/storage/sqlite.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CheckTest : public testing::Test {
 protected:
  // A model with one file.
  std::string PutModel(std::string_view id, std::string_view bytes) {
    const std::string sha256 = store_.PutBlob(bytes);
    v1::Model model;
    model.set_name(ModelName{"p", std::string(id)}.ToString());
    model.add_files()->set_sha256(sha256);
    model.mutable_files(0)->set_size_bytes(static_cast<int64_t>(bytes.size()));
    EXPECT_THAT(store_.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
      return transaction.InsertModel(model);
    }),
                IsOk());
    return sha256;
  }
  std::vector<std::string> Problems() {
    const auto check = CheckStore(store_.catalogue(), store_.blobs());
    EXPECT_THAT(check.status(), IsOk());
    return check.ok() ? check->problems : std::vector<std::string>();
  }
  // Changes the file behind the catalogue's back.
  void Tamper(std::string_view sql) {
    store_.Close();
    const auto database =
        Database::Open(store_.catalogue_file(), Database::Mode::kReadWriteCreate).value();
    EXPECT_THAT(database->Execute(sql), IsOk());
  }

  TempStore store_;
};

TEST_F(CheckTest, ASoundStoreHasNoProblems) {
  PutModel("m", "12345");
  ASSERT_THAT(Insert(store_.catalogue(), MakeJob("j")), IsOk());
  ASSERT_THAT(Append(store_.catalogue(), Name("j"), {MakeLog(1), MakeLog(2)}), IsOk());
  const std::string orphan = store_.PutBlob("nobody's");
  const auto check = CheckStore(store_.catalogue(), store_.blobs());
  ASSERT_THAT(check.status(), IsOk());
  EXPECT_THAT(check->problems, IsEmpty());
  EXPECT_EQ(check->blobs_checked, 1);
  EXPECT_EQ(check->bytes_checked, 5);
  ASSERT_EQ(check->orphans.size(), 1u);
  EXPECT_EQ(check->orphans[0].sha256, orphan);
  EXPECT_EQ(CollectGarbage(store_.catalogue(), store_.blobs()).value(), 1);
  EXPECT_THAT(CheckStore(store_.catalogue(), store_.blobs())->orphans, IsEmpty());
}

TEST_F(CheckTest, NamesMissingShortAndDamagedBlobs) {
  const std::string missing = PutModel("missing", "1");
  const std::string shorter = PutModel("short", "22");
  const std::string damaged = PutModel("damaged", "333");
  std::filesystem::remove(store_.blobs().PathOf(missing).value());
  std::ofstream(store_.blobs().PathOf(shorter).value()) << "2";
  std::ofstream(store_.blobs().PathOf(damaged).value()) << "334";
  EXPECT_THAT(
      Problems(),
      testing::UnorderedElementsAre(
          absl::StrCat("projects/p/models/missing: its blob ", missing, " is missing"),
          absl::StrCat("projects/p/models/short: its blob ", shorter, " has 1 bytes instead of 2"),
          HasSubstr(absl::StrCat("projects/p/models/damaged: blob ", damaged, " is damaged"))));
}

TEST_F(CheckTest, NamesDamagedFilesInTheCatalogue) {
  v1::Model model;
  model.set_name("projects/p/models/m");
  ModelContents contents;
  for (const std::string path : {"sound", "hurt", "empty"}) {
    const std::string bytes = path == "empty" ? "" : "bytes of " + path;
    v1::ModelFile& file = *model.add_files();
    file.set_path(path);
    file.set_sha256(Sha256Hex(bytes));
    file.set_size_bytes(static_cast<int64_t>(bytes.size()));
    contents[path] = bytes;
  }
  ASSERT_THAT(store_.catalogue().WriteAndWait([&](CatalogueTransaction& transaction) {
    return transaction.InsertModel(model, contents);
  }),
              IsOk());
  EXPECT_EQ(store_.catalogue().GetModelContents({"p", "m"}).value(), contents);
  EXPECT_THAT(Problems(), IsEmpty());
  EXPECT_EQ(CheckStore(store_.catalogue(), store_.blobs())->blobs_checked, 0);
  Tamper("UPDATE model_files SET content = x'00' WHERE path = 'hurt'");
  store_.Reopen();
  EXPECT_THAT(Problems(),
              ElementsAre(HasSubstr("projects/p/models/m: its file 'hurt' is damaged")));
}

TEST_F(CheckTest, NamesGapsAndDamageInEvents) {
  for (const std::string id : {"a", "b", "c"}) {
    ASSERT_THAT(Insert(store_.catalogue(), MakeJob(id)), IsOk());
    for (int sequence = 1; sequence <= 4; ++sequence) {
      ASSERT_THAT(Append(store_.catalogue(), Name(id), {MakeLog(sequence)}), IsOk());
    }
  }
  const std::string key = "(SELECT job << 35 FROM jobs WHERE id = ";
  Tamper(absl::StrCat("DELETE FROM event_segments WHERE key IN (", key, "'a') | 2, ", key,
                      "'a') | 3); DELETE FROM event_segments WHERE key = ", key,
                      "'b') | 1; UPDATE event_segments SET events = x'0aff' WHERE key = ", key,
                      "'c') | 2; INSERT INTO event_segments VALUES ((99 << 35) | 1, 1, x'')"));
  store_.Reopen();
  EXPECT_THAT(Problems(), ElementsAre("projects/p/jobs/a: events 2 to 3 are missing",
                                      "projects/p/jobs/b: events 1 to 1 are missing",
                                      "projects/p/jobs/c: events 2 to 2 are damaged",
                                      HasSubstr("events of a job that does not exist, row 99")));
  EXPECT_THAT(store_.catalogue().ReadEvents(Name("c"), 1, 10, 1000).status(),
              FailsWith(absl::StatusCode::kDataLoss, "events from 2 on"));
}

TEST_F(CheckTest, NamesRecordsThatCannotBeRead) {
  ASSERT_THAT(Insert(store_.catalogue(), MakeJob("j")), IsOk());
  ASSERT_THAT(Insert(store_.catalogue(), MakeJob("k")), IsOk());
  PutModel("m", "1");
  Tamper(
      "UPDATE jobs SET status = x'ff' WHERE id = 'j'; "
      "DELETE FROM job_definitions WHERE job = (SELECT job FROM jobs WHERE id = 'k'); "
      "UPDATE models SET details = x'ff'; "
      "INSERT INTO datasets VALUES (1, 'p', 'd', 2, x'');"
      "PRAGMA foreign_keys = OFF; INSERT INTO checkpoints VALUES (77, 1, 'aa', 1);");
  store_.Reopen();
  const std::vector<std::string> problems = Problems();
  EXPECT_THAT(problems, testing::IsSupersetOf({std::string("projects/p/jobs/j: its record cannot "
                                                           "be read"),
                                               std::string("projects/p/jobs/k: has no definition"),
                                               std::string("projects/p/models/m: its record cannot "
                                                           "be read"),
                                               std::string("projects/p/datasets/d: has not all of "
                                                           "its 2 versions")}));
  EXPECT_THAT(problems,
              testing::Contains(HasSubstr("checkpoints, row 77: refers to a row of jobs")));
  EXPECT_THAT(store_.catalogue().GetJob(Name("j")).status(),
              FailsWith(absl::StatusCode::kDataLoss, "cannot be read"));
}

TEST_F(CheckTest, NamesADamagedPage) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_THAT(Insert(store_.catalogue(), MakeJob(absl::StrCat("j", i))), IsOk());
  }
  store_.Close();
  int64_t page = 0;
  {
    const auto database =
        Database::Open(store_.catalogue_file(), Database::Mode::kReadOnly).value();
    page = database->QueryInt("SELECT rootpage FROM sqlite_schema WHERE name = 'job_definitions'")
               .value();
  }
  {
    std::fstream file(store_.catalogue_file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp((page - 1) * 4096);
    file.write(std::string(200, '\x5a').data(), 200);
  }
  store_.Reopen();
  const std::vector<std::string> problems = Problems();
  ASSERT_THAT(problems, testing::Not(IsEmpty()));
  EXPECT_THAT(problems, testing::Contains(HasSubstr("catalogue")));
}

}  // namespace
}  // namespace trainyard
