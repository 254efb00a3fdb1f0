#include "server/storage/schema.h"

#include <fstream>

#include "gtest/gtest.h"
#include "server/storage/testing/temp_store.h"
#include "tests/server/storage/storage_test_util.h"

namespace trainyard {
namespace {

class SchemaTest : public testing::Test {
 protected:
  std::filesystem::path file() const { return folder_.path() / "catalogue.db"; }
  std::unique_ptr<Database> OpenDatabase() {
    return Database::Open(file(), Database::Mode::kReadWriteCreate).value();
  }
  absl::Status OpenCatalogue() { return Catalogue::Open({.file = file()}).status(); }
  // The schema as text, to compare.
  std::string SchemaText() {
    const auto database = OpenDatabase();
    Statement statement =
        database
            ->Prepare(
                "SELECT ifnull(group_concat(type || name || ifnull(sql, ''), ';'), '') "
                "FROM (SELECT * FROM sqlite_schema ORDER BY name)")
            .value();
    EXPECT_TRUE(statement.Step().value());
    return std::string(statement.Text(0));
  }

  TempFolder folder_;
};

TEST_F(SchemaTest, MigratesFromEveryEarlierVersionToTheSameSchema) {
  ASSERT_THAT(OpenCatalogue(), IsOk());
  const std::string expected = SchemaText();
  for (int version = 0; version <= NewestSchemaVersion(); ++version) {
    std::filesystem::remove(file());
    {
      const auto database = OpenDatabase();
      ASSERT_THAT(MigrateSchema(*database, version), IsOk());
      EXPECT_EQ(ReadSchemaVersion(*database).value(), version);
    }
    ASSERT_THAT(OpenCatalogue(), IsOk()) << version;
    EXPECT_EQ(SchemaText(), expected) << version;
    EXPECT_EQ(ReadSchemaVersion(*OpenDatabase()).value(), NewestSchemaVersion());
  }
}

TEST_F(SchemaTest, JobsOfTheFirstVersionSurvive) {
  {
    const auto database = OpenDatabase();
    ASSERT_THAT(MigrateSchema(*database, 1), IsOk());
    v1::Job definition;
    definition.set_name("projects/p/jobs/j");
    const std::string bytes = definition.SerializeAsString();
    ASSERT_THAT(database->Execute("INSERT INTO jobs VALUES (1, 'p', 'j', 1, 'diagnostic', 0, 5, 5, "
                                  "'', NULL, NULL, x'')"),
                IsOk());
    Statement insert = database->Prepare("INSERT INTO job_definitions VALUES (1, ?)").value();
    ASSERT_THAT(insert.BindBlob(bytes).Run(), IsOk());
  }
  const auto catalogue = Catalogue::Open({.file = file()});
  ASSERT_THAT(catalogue.status(), IsOk());
  EXPECT_EQ((*catalogue)->GetJob(Name("j"))->name(), "projects/p/jobs/j");
}

// All files of models were blobs before version 4.
TEST_F(SchemaTest, ModelsOfTheThirdVersionSurvive) {
  {
    const auto database = OpenDatabase();
    ASSERT_THAT(MigrateSchema(*database, 3), IsOk());
    ASSERT_THAT(database->Execute("INSERT INTO models VALUES (7, 'p', 'm', 5, x'', x''); "
                                  "INSERT INTO model_files VALUES (7, 'tree.bin', 'ab', 12)"),
                IsOk());
  }
  const auto catalogue = Catalogue::Open({.file = file()});
  ASSERT_THAT(catalogue.status(), IsOk());
  EXPECT_THAT((*catalogue)->GetModelContents({"p", "m"}).value(), ::testing::IsEmpty());
  const auto references = (*catalogue)->BlobReferences().value();
  ASSERT_EQ(references.size(), 1u);
  EXPECT_EQ(references[0].sha256, "ab");
  EXPECT_EQ(references[0].size_bytes, 12);
}

TEST_F(SchemaTest, RefusesNewerFilesUnchanged) {
  ASSERT_THAT(OpenCatalogue(), IsOk());
  ASSERT_THAT(
      OpenDatabase()->Execute(absl::StrCat("PRAGMA user_version = ", NewestSchemaVersion() + 1)),
      IsOk());
  EXPECT_THAT(OpenCatalogue(),
              FailsWith(absl::StatusCode::kFailedPrecondition, "start a newer build"));
  EXPECT_EQ(OpenDatabase()->QueryInt("SELECT user_version FROM pragma_user_version").value(),
            NewestSchemaVersion() + 1);
}

TEST_F(SchemaTest, RefusesOtherDatabasesUnchanged) {
  ASSERT_THAT(OpenDatabase()->Execute("CREATE TABLE foreign_table (x)"), IsOk());
  EXPECT_THAT(OpenCatalogue(), FailsWith(absl::StatusCode::kDataLoss, "no catalogue"));
  EXPECT_EQ(OpenDatabase()->QueryInt("SELECT count(*) FROM sqlite_schema").value(), 1);
}

TEST_F(SchemaTest, RefusesFilesThatAreNoDatabase) {
  std::ofstream(file()) << std::string(10'000, 'x');
  EXPECT_THAT(OpenCatalogue(), FailsWith(absl::StatusCode::kDataLoss, "not a database"));
}

TEST_F(SchemaTest, NamesAFolderThatIsMissing) {
  EXPECT_THAT(Catalogue::Open({.file = folder_.path() / "no" / "catalogue.db"}).status(),
              FailsWith(absl::StatusCode::kUnavailable, "no/catalogue.db"));
}

TEST_F(SchemaTest, AFailedMigrationChangesNothing) {
  ASSERT_THAT(MigrateSchema(*OpenDatabase(), 1), IsOk());
  // The table is in the way of the second migration's.
  ASSERT_THAT(OpenDatabase()->Execute("CREATE TABLE metric_points (x)"), IsOk());
  const std::string before = SchemaText();
  EXPECT_THAT(OpenCatalogue(),
              FailsWith(absl::StatusCode::kInternal, "migrating the schema from version 1"));
  EXPECT_EQ(SchemaText(), before);
  EXPECT_EQ(ReadSchemaVersion(*OpenDatabase()).value(), 1);
}

}  // namespace
}  // namespace trainyard
