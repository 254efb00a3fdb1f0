// The commands against a fake server.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "client/cpp/checksums.h"
#include "tests/client/cli/run_cli.h"
#include "tests/client/cpp/fake_server.h"

namespace trainyard::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CliCommandsTest : public ::testing::Test {
 protected:
  CliCommandsTest() : folder_(fs::path(::testing::TempDir()) / ("cmd" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
  }
  ~CliCommandsTest() override { fs::remove_all(folder_); }

  CliResult Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "--server=" + server_.address());
    return RunCli(arguments);
  }
  google::protobuf::Struct Json(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const CliResult result = Run(arguments);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return ParseJson(result.out);
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string Content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  FakeServer server_;
  fs::path folder_;
};

TEST_F(CliCommandsTest, UploadsWithReadOptions) {
  std::ofstream(Path("wine.csv")) << "a;b\n1;2\n";
  const auto document =
      Json({"datasets", "upload", Path("wine.csv"), "--id", "wine", "--kind", "table",
            "--delimiter", ";", "--header", "--column-type", "a=b=categorical", "--column-type",
            "b=date", "--missing", "-999", "--missing", ""});
  EXPECT_EQ(document.fields().at("name").string_value(), "projects/default/datasets/wine");
  const v1::UploadDatasetHeader& header = server_.state().upload_header;
  EXPECT_EQ(header.kind(), v1::Dataset::KIND_TABLE);
  EXPECT_EQ(header.table().delimiter(), ";");
  EXPECT_TRUE(header.table().header());
  EXPECT_EQ(header.table().column_types().at("a=b"), v1::COLUMN_TYPE_CATEGORICAL);
  EXPECT_EQ(header.table().column_types().at("b"), v1::COLUMN_TYPE_DATE);
  EXPECT_THAT(header.table().missing_values(), ElementsAre("-999", ""));
  ASSERT_EQ(Run({"datasets", "upload", Path("wine.csv"), "--id", "w", "--no-header"}).code, 0);
  EXPECT_TRUE(server_.state().upload_header.table().has_header());
  EXPECT_FALSE(server_.state().upload_header.table().header());
}

TEST_F(CliCommandsTest, TrainSendsWhatFlagsSay) {
  const auto document = Json({"train",
                              "hierarchical-shrinkage",
                              "--dataset",
                              "iris@2",
                              "--target",
                              "species",
                              "--set",
                              "cart.min_samples_leaf=3",
                              "--cart.max_depth",
                              "5",
                              "--lambda-grid",
                              "0,1,10",
                              "--priority",
                              "-5",
                              "--label",
                              "team=blue",
                              "--time-limit",
                              "10m",
                              "--memory",
                              "1G"});
  EXPECT_EQ(document.fields().at("name").string_value(), "projects/default/jobs/made-by-server");
  ASSERT_EQ(server_.state().create_requests.size(), 1u);
  const v1::CreateJobRequest& request = server_.state().create_requests[0];
  EXPECT_FALSE(request.request_id().empty());
  const auto& spec = request.job().spec().hierarchical_shrinkage();
  EXPECT_EQ(spec.input().dataset(), "projects/default/datasets/iris/versions/2");
  EXPECT_THAT(spec.input().target_columns(), ElementsAre("species"));
  EXPECT_EQ(spec.cart().min_samples_leaf(), 3);
  EXPECT_EQ(spec.cart().max_depth(), 5);
  EXPECT_THAT(spec.lambda_grid(), ElementsAre(0, 1, 10));
  EXPECT_EQ(request.job().priority(), -5);
  EXPECT_EQ(request.job().time_limit().seconds(), 600);
  EXPECT_EQ(request.job().resources().memory_bytes(), 1 << 30);
}

TEST_F(CliCommandsTest, TrainKnowsTheOtherSpellingOfAlgorithms) {
  EXPECT_EQ(Run({"train", "hierarchical_shrinkage", "--dataset", "d", "--folds", "4"}).code, 0);
  EXPECT_EQ(server_.state().create_requests[0].job().spec().hierarchical_shrinkage().folds(), 4);
}

TEST_F(CliCommandsTest, ValidateOnlyMakesNoJob) {
  const CliResult result =
      Run({"train", "diagnostic", "--steps", "3", "--ignore-cancellation", "--validate-only"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "valid\n");
  EXPECT_TRUE(server_.state().create_requests[0].validate_only());
  EXPECT_TRUE(server_.state().jobs.empty());
}

TEST_F(CliCommandsTest, ListsThroughPages) {
  for (int i = 0; i < 25; ++i) {
    AddJob(server_.state(), "job-" + std::to_string(100 + i), v1::Job::STATE_SUCCEEDED, 1);
  }
  server_.state().list_page_limit = 10;
  const auto all = Json({"jobs", "list", "--all"});
  EXPECT_EQ(all.fields().at("jobs").list_value().values_size(), 25);
  EXPECT_EQ(all.fields().at("next_page_token").string_value(), "");
  const auto some = Json({"jobs", "list", "--limit", "12"});
  EXPECT_EQ(some.fields().at("jobs").list_value().values_size(), 12);
  const std::string token = some.fields().at("next_page_token").string_value();
  const auto rest = Json({"jobs", "list", "--page-token", token});
  EXPECT_EQ(rest.fields().at("jobs").list_value().values_size(), 13);
  EXPECT_THAT(Run({"jobs", "list", "--limit", "12"}).out, HasSubstr("there are more"));
}

TEST_F(CliCommandsTest, AnEmptyListIsAListInJson) {
  EXPECT_EQ(Json({"jobs", "list"}).fields().at("jobs").list_value().values_size(), 0);
  EXPECT_EQ(Run({"jobs", "list"}).out, "no jobs\n");
}

TEST_F(CliCommandsTest, ShowsCancelsAndDeletesJobs) {
  AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 5);
  EXPECT_EQ(Json({"jobs", "show", "j"}).fields().at("state").string_value(), "STATE_SUCCEEDED");
  const CliResult shown = Run({"jobs", "show", "projects/default/jobs/j"});
  EXPECT_THAT(shown.out, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(shown.out, HasSubstr("plain  shrunk"));
  EXPECT_EQ(shown.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(Json({"jobs", "cancel", "j"}).fields().at("state").string_value(), "STATE_CANCELLING");
  EXPECT_TRUE(Json({"jobs", "delete", "j"}).fields().empty());
  EXPECT_TRUE(server_.state().jobs.empty());
}

TEST_F(CliCommandsTest, QuietSaysNothing) {
  AddJob(server_.state(), "j", v1::Job::STATE_SUCCEEDED, 5);
  const CliResult result = Run({"--quiet", "jobs", "show", "j"});
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out + result.err, "");
}

TEST_F(CliCommandsTest, PlotsMetrics) {
  for (int step = 1; step <= 20; ++step) {
    v1::MetricPoint point;
    point.set_name("validation/loss");
    point.set_step(step);
    point.set_value(1.0 / step);
    server_.state().metrics.push_back(point);
  }
  EXPECT_EQ(Json({"jobs", "metrics", "j"}).fields().at("points").list_value().values_size(), 20);
  const CliResult result = Run({"jobs", "metrics", "j"});
  EXPECT_THAT(result.out, HasSubstr("validation/loss"));
  EXPECT_THAT(result.out, HasSubstr("│"));
}

TEST_F(CliCommandsTest, DownloadsModels) {
  FakeState& state = server_.state();
  state.model.set_name("projects/default/models/m");
  state.model_files = {{"manifest.json", "{}"}, {"sub/weights", "w"}};
  for (const FakeModelFile& file : state.model_files) {
    Sha256 sha256;
    sha256.Update(file.data);
    auto* entry = state.model.add_files();
    entry->set_path(file.path);
    entry->set_sha256(sha256.FinishHex());
  }
  const auto model = Json({"models", "download", "m", "--output", Path("m")});
  EXPECT_EQ(model.fields().at("name").string_value(), "projects/default/models/m");
  EXPECT_EQ(Content(Path("m/sub/weights")), "w");
  EXPECT_EQ(Run({"models", "download", "m", "--output", Path("m")}).code, 2);
  EXPECT_EQ(Run({"models", "download", "m", "--output", Path("m"), "--replace"}).code, 0);
}

TEST_F(CliCommandsTest, PrintsTrees) {
  EXPECT_EQ(Run({"models", "tree", "m"}).out, "FORMAT_TEXT of projects/default/models/m\n  0\n");
  EXPECT_EQ(Run({"models", "tree", "m", "--tree", "3", "--format", "dot"}).out,
            "FORMAT_DOT of \x1bprojects/default/models/m\n  3\n");
  EXPECT_EQ(Json({"models", "tree", "m", "--format", "json"}).fields().count("text"), 1u);
  const CliResult wrong = Run({"models", "tree", "m", "--format", "unspecified"});
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--format unspecified is not known"));
}

TEST_F(CliCommandsTest, PredictsToAFileAndToStandardOutput) {
  std::ofstream(Path("in.csv")) << "a\n1\n2\n";
  const auto document =
      Json({"models", "predict", "m", "--input", Path("in.csv"), "--output", Path("out.csv")});
  EXPECT_EQ(document.fields().at("row_count").string_value(), "3");
  EXPECT_EQ(Content(Path("out.csv")), "prediction\n1\n1\n1\n");
  EXPECT_EQ(Run({"models", "predict", "m", "-i", Path("in.csv")}).out, "prediction\n1\n1\n1\n");
}

TEST_F(CliCommandsTest, ExplainsToTheTerminalAndToFiles) {
  std::ofstream(Path("in.csv")) << "a,b\n1,2\n3,4\n";
  const auto result = Run({"models", "explain", "m", "--input", Path("in.csv"), "--output",
                           Path("shap.csv"), "--svg", Path("shap.svg"), "--of", "y"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.out.find("mean |SHAP value| of y, 2 rows, base 0.5"), std::string::npos);
  EXPECT_EQ(Content(Path("shap.csv")), "row,output,base,a,b\n0,y,0.5,1,2\n1,y,0.5,1,2\n");
  EXPECT_EQ(Content(Path("shap.svg")).substr(0, 5), "<?xml");
  const v1::ExplainHeader& header = server_.state().explain_headers.back();
  EXPECT_EQ(header.name(), "projects/default/models/m");
  EXPECT_TRUE(header.has_shap());
  EXPECT_EQ(header.outputs(0), "y");
  const auto document = Json({"models", "explain", "m", "--input", Path("in.csv"), "--method",
                              "interventional", "--background", "d"});
  EXPECT_EQ(document.fields().at("mean_absolute_shap").list_value().values_size(), 1);
  EXPECT_EQ(server_.state().explain_headers.back().shap().background_dataset(),
            "projects/default/datasets/d");
}

TEST_F(CliCommandsTest, ExplainRefusesOptionsOfOtherMethods) {
  const std::vector<std::string> start = {"models", "explain", "m", "--dataset", "d"};
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {"--method", "magic"},
           {"--repeats", "3"},
           {"--method", "dependence"},
           {"--method", "impurity", "--of", "y"},
           {"--method", "permutation", "--metric", "beauty"},
           {"--input", "x.csv"},
           {"--method", "dependence", "--feature", "a", "--feature", "b", "--svg", "x.svg"}}) {
    std::vector<std::string> arguments = start;
    arguments.insert(arguments.end(), wrong.begin(), wrong.end());
    EXPECT_EQ(Run(arguments).code, 2) << wrong[0] << " " << wrong[1];
  }
}

TEST_F(CliCommandsTest, DownloadsDatasets) {
  server_.state().dataset_bytes = "a,b\n1,2\n";
  server_.state().datasets["projects/default/datasets/d"].set_name("projects/default/datasets/d");
  EXPECT_EQ(Run({"datasets", "download", "d", "-o", Path("d.csv")}).code, 0);
  EXPECT_EQ(Content(Path("d.csv")), "a,b\n1,2\n");
}

TEST_F(CliCommandsTest, AsksTheServer) {
  EXPECT_EQ(Json({"server", "info"}).fields().at("version").string_value(), "0.1.0");
  EXPECT_EQ(Json({"server", "queue"}).fields().at("queued_count").string_value(), "3");
  EXPECT_THAT(Run({"server", "info"}).out, HasSubstr("hierarchical_shrinkage"));
}

TEST_F(CliCommandsTest, WarnsOfAnotherMinorVersionOnStandardError) {
  server_.state().version = "0.9.0";
  const CliResult result = Run({"jobs", "list"});
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.err, HasSubstr("0.9.0"));
  EXPECT_EQ(Run({"--json", "jobs", "list"}).err, "");
}

TEST_F(CliCommandsTest, ReadsTheServerFromTheEnvironment) {
  EXPECT_EQ(RunCli({"server", "info"}, {"TRAINYARD_SERVER=" + server_.address()}).code, 0);
}

TEST_F(CliCommandsTest, EveryHelpHasExamples) {
  for (const std::vector<std::string>& command :
       std::vector<std::vector<std::string>>{{},
                                             {"datasets"},
                                             {"datasets", "upload"},
                                             {"datasets", "list"},
                                             {"datasets", "show"},
                                             {"datasets", "preview"},
                                             {"datasets", "download"},
                                             {"datasets", "delete"},
                                             {"train"},
                                             {"train", "hierarchical-shrinkage"},
                                             {"train", "diagnostic"},
                                             {"jobs"},
                                             {"jobs", "list"},
                                             {"jobs", "show"},
                                             {"jobs", "watch"},
                                             {"jobs", "cancel"},
                                             {"jobs", "delete"},
                                             {"jobs", "metrics"},
                                             {"models"},
                                             {"models", "list"},
                                             {"models", "show"},
                                             {"models", "download"},
                                             {"models", "tree"},
                                             {"models", "predict"},
                                             {"models", "delete"},
                                             {"server"},
                                             {"server", "info"},
                                             {"server", "algorithms"},
                                             {"server", "queue"},
                                             {"completion"}}) {
    std::vector<std::string> words = command;
    words.push_back("--help");
    const CliResult result = RunCli(words);
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out, HasSubstr("Examples:\n  "));
    std::string usage = "Usage: trainyard";
    for (const std::string& word : command) usage += " " + word;
    EXPECT_THAT(result.out, HasSubstr(usage));
  }
}

TEST_F(CliCommandsTest, CompletesIdsByAskingTheServer) {
  AddJob(server_.state(), "alpha", v1::Job::STATE_SUCCEEDED, 1);
  AddJob(server_.state(), "beta", v1::Job::STATE_SUCCEEDED, 1);
  const std::string line = "trainyard --server=" + server_.address() + " jobs show a";
  EXPECT_EQ(RunCli({"__complete", line}).out, "alpha\n");
  EXPECT_EQ(RunCli({"__complete", "trainyard --server=127.0.0.1:1 jobs show a"}).out, "");
  EXPECT_THAT(RunCli({"completion", "bash"}).out, HasSubstr("complete -F _trainyard trainyard"));
}

}  // namespace
}  // namespace trainyard::testing
