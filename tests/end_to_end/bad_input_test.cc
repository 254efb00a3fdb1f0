// What users get wrong, through the command line: a clear error each, and a server that goes on.
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/end_to_end/harness.h"
#include "trainyard/v1/dataset_service.pb.h"

namespace trainyard::e2e {
namespace {

using ::testing::HasSubstr;

class BadInputTest : public ::testing::Test {
 protected:
  // The server must still work, without anything left of the rejected request.
  ~BadInputTest() override {
    if (!service_.Running()) ADD_FAILURE() << "the server died\n" << service_.ServerLog();
    service_.SubmitDiagnostic({"steps=1"}, {"--job-id", "still-alive", "--wait"});
  }

  // Runs a command that must be rejected by the server (or as usage) with a text in its error
  // document.
  void ExpectRejected(const std::vector<std::string>& arguments, const std::string& text,
                      int exit_code = 3) {
    std::vector<std::string> with_json = {"--json"};
    with_json.insert(with_json.end(), arguments.begin(), arguments.end());
    const CommandResult result = service_.Run(with_json);
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr(text));
    google::protobuf::Struct document;
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(result.err, &document).ok())
        << "not one JSON document: " << result.err;
  }

  void ExpectUploadRejected(const std::string& bytes, const std::string& text) {
    const auto file = service_.folder() / "bad.csv";
    WriteText(file, bytes);
    ExpectRejected({"datasets", "upload", file.string(), "--id", "bad"}, text);
    EXPECT_EQ(service_.Run({"datasets", "show", "bad"}).exit_code, 3) << "something stayed";
  }

  void UploadTable(const std::string& bytes) {
    const auto file = service_.folder() / "table.csv";
    WriteText(file, bytes);
    v1::Dataset dataset;
    service_.RunJson({"datasets", "upload", file.string(), "--id", "table"}, dataset);
  }

  Service service_;
};

TEST_F(BadInputTest, EmptyFile) { ExpectUploadRejected("", "empty"); }

TEST_F(BadInputTest, RowTooShort) { ExpectUploadRejected("a,b,c\n1,2,3\n4,5\n", "line 3"); }

TEST_F(BadInputTest, QuoteNeverClosed) { ExpectUploadRejected("a,b\n1,2\n\"3,4\n5,6\n", "line 3"); }

TEST_F(BadInputTest, NulByte) { ExpectUploadRejected(std::string("a,b\n1,\0002\n", 9), "line 2"); }

TEST_F(BadInputTest, MillionColumns) {
  std::string line = "x";
  for (int i = 1; i < 1'000'000; ++i) line += ",x";
  ExpectUploadRejected(line + "\n", "columns");
}

TEST_F(BadInputTest, TargetAbsentConstantOrMissing) {
  std::string table = "x,constant,empty,y\n";
  for (int i = 0; i < 20; ++i) absl::StrAppend(&table, i, ",1,,", i * 0.5, "\n");
  UploadTable(table);
  const auto train = [&](const std::string& target, const std::string& text) {
    ExpectRejected({"train", "hierarchical-shrinkage", "--dataset", "table", "--target", target},
                   text);
  };
  train("z", "z");
  train("constant", "constant");
  train("empty", "missing");
}

TEST_F(BadInputTest, SpecFieldsOutOfRangeAreNamedAllAtOnce) {
  UploadTable("x,y\n1,2\n2,3\n3,5\n4,1\n");
  const std::vector<std::string> arguments = {"train",     "hierarchical-shrinkage",
                                              "--dataset", "table",
                                              "--target",  "y",
                                              "--set",     "folds=1",
                                              "--set",     "cart.min_samples_leaf=0",
                                              "--set",     "lambda=-1"};
  ExpectRejected(arguments, "folds");
  ExpectRejected(arguments, "cart.min_samples_leaf");
  ExpectRejected(arguments, "lambda");
}

TEST_F(BadInputTest, UnknownFieldsAndEnumValuesAreUsageErrors) {
  ExpectRejected({"train", "diagnostic", "--set", "stepz=3"}, "steps", 2);
  ExpectRejected({"train", "diagnostic", "--set", "finale=FINALE_NONE"}, "user_error", 2);
  ExpectRejected({"train", "no-such-algorithm"}, "no-such-algorithm", 2);
}

TEST_F(BadInputTest, TwoSpecsAtOnce) {
  const auto file = service_.folder() / "two.json";
  WriteText(file, R"({"hierarchical_shrinkage": {"folds": 3}, "diagnostic": {"steps": 1}})");
  ExpectRejected({"train", "diagnostic", "--spec", file.string()}, "hierarchical_shrinkage", 2);
}

TEST_F(BadInputTest, UnknownAndForeignNames) {
  ExpectRejected({"jobs", "show", "nothing"}, "projects/default/jobs/nothing");
  ExpectRejected({"jobs", "cancel", "nothing"}, "projects/default/jobs/nothing");
  ExpectRejected({"jobs", "show", "projects/other/jobs/x"}, "projects/other/jobs/x");
  ExpectRejected({"train", "hierarchical-shrinkage", "--dataset", "nothing"},
                 "projects/default/datasets/nothing");
  ExpectRejected({"models", "show", "nothing"}, "projects/default/models/nothing");
}

TEST_F(BadInputTest, NoServer) {
  ChildProcess command({Program("trainyard"), "--server=127.0.0.1:1", "jobs", "list"},
                       service_.folder() / "alone.out", service_.folder() / "alone.err");
  EXPECT_EQ(command.Wait(absl::Seconds(60)), 6) << ReadText(service_.folder() / "alone.err");
}

}  // namespace
}  // namespace trainyard::e2e
