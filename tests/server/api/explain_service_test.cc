// ModelService.Explain over a real connection, on a model that the real algorithm trained.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "tests/server/api/worker_player.h"

namespace trainyard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class ExplainServiceTest : public ::testing::Test {
 protected:
  grpc::Status Explain(const v1::ExplainHeader& header, const std::vector<std::string>& data,
                       std::vector<v1::ExplainResponse>& answer) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    const auto stream = models_->Explain(&context);
    v1::ExplainRequest message;
    *message.mutable_header() = header;
    stream->Write(message);
    for (const std::string& bytes : data) {
      message.set_data(bytes);
      if (!stream->Write(message)) break;
    }
    stream->WritesDone();
    v1::ExplainResponse response;
    answer.clear();
    while (stream->Read(&response)) answer.push_back(response);
    return stream->Finish();
  }
  static v1::ExplainHeader HeaderFor(const std::string& model) {
    v1::ExplainHeader header;
    header.set_name(model);
    return header;
  }

  // A model of the diagnostic algorithm, which learns nothing.
  std::string TrainProbe() {
    v1::Job job;
    EXPECT_TRUE(
        Call(*server_.jobs(), &v1::JobService::Stub::CreateJob, DiagnosticRequest("probe"), job)
            .ok());
    return TrainAsWorker(server_, job.name()).model();
  }

  TestServer server_;
  std::unique_ptr<v1::ModelService::Stub> models_ = server_.models();
};

TEST_F(ExplainServiceTest, ExplainsBytesAndDataSetsAlike) {
  const std::string name = TrainModel(server_, "first");
  const std::string table = SmallTable();
  std::vector<v1::ExplainResponse> from_bytes;
  const grpc::Status status =
      Explain(HeaderFor(name), {table.substr(0, 100), table.substr(100)}, from_bytes);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(from_bytes.size(), 2u);
  const v1::ExplanationInfo& info = from_bytes[0].info();
  EXPECT_THAT(info.features(), ElementsAre("x", "y", "constant"));
  EXPECT_THAT(info.outputs(), ElementsAre("high", "low"));
  EXPECT_EQ(info.row_count(), 60);
  const v1::ShapBlock& block = from_bytes[1].shap();
  ASSERT_EQ(block.values_size(), 60 * 2 * 3);
  for (int row = 0; row < 60; ++row) {
    // Probabilities of the classes sum to 1, so their explanations cancel.
    double sum = info.base_values(0) + info.base_values(1);
    for (int i = 0; i < 6; ++i) sum += block.values(row * 6 + i);
    EXPECT_NEAR(sum, 1, 1e-12);
    EXPECT_EQ(block.values(row * 6 + 2), 0);  // of the constant
  }
  v1::ExplainHeader header = HeaderFor(name);
  header.set_dataset("projects/default/datasets/table");
  std::vector<v1::ExplainResponse> from_dataset;
  ASSERT_TRUE(Explain(header, {}, from_dataset).ok());
  EXPECT_EQ(from_dataset[1].SerializeAsString(), from_bytes[1].SerializeAsString());

  header.mutable_shap()->set_method(v1::ShapOptions::METHOD_INTERVENTIONAL);
  header.mutable_shap()->set_background_dataset("projects/default/datasets/table");
  EXPECT_TRUE(Explain(header, {}, from_dataset).ok());
  header.mutable_importance()->set_kind(v1::ImportanceOptions::KIND_PERMUTATION);
  ASSERT_TRUE(Explain(header, {}, from_dataset).ok());
  EXPECT_EQ(from_dataset[1].importance().importances_size(), 3);
  header.mutable_dependence()->add_features("x");
  header.mutable_dependence()->add_features("y");
  header.mutable_dependence()->set_points(4);
  ASSERT_TRUE(Explain(header, {}, from_dataset).ok());
  EXPECT_EQ(from_dataset[1].dependence().means_size(), 4 * 4 * 2);
}

TEST_F(ExplainServiceTest, NamesEveryFieldThatIsWrong) {
  const std::string name = TrainModel(server_, "first");
  std::vector<v1::ExplainResponse> answer;
  v1::ExplainHeader header = HeaderFor("");
  header.set_dataset("projects/other");
  header.set_row_limit(-1);
  header.mutable_shap()->set_background_rows(0);
  EXPECT_THAT(FieldsOf(Explain(header, {}, answer)),
              UnorderedElementsAre("header.name", "header.dataset", "header.row_limit",
                                   "header.shap.background_rows"));
  header = HeaderFor(name);
  header.add_outputs("medium");
  const grpc::Status status = Explain(header, {SmallTable()}, answer);
  EXPECT_THAT(FieldsOf(status), ElementsAre("header.outputs[0]"));
  EXPECT_THAT(BadRequestOf(status).field_violations(0).description(), HasSubstr("medium"));
  EXPECT_THAT(FieldsOf(Explain(HeaderFor(name), {"x,z\n1,2\n"}, answer)),
              UnorderedElementsAre("y", "constant"));
  header = HeaderFor(name);
  header.set_dataset("projects/default/datasets/table");
  EXPECT_THAT(FieldsOf(Explain(header, {"x\n1\n"}, answer)), ElementsAre("data"));
  header.set_dataset("projects/other/datasets/table");
  EXPECT_THAT(FieldsOf(Explain(header, {}, answer)), ElementsAre("header.dataset"));
  header.set_dataset("projects/default/datasets/nothing");
  EXPECT_EQ(Explain(header, {}, answer).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Explain(HeaderFor("projects/default/models/nothing"), {"x\n1\n"}, answer).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(ExplainServiceTest, SaysThatOtherModelsCannotBeExplained) {
  const std::string name = TrainProbe();
  std::vector<v1::ExplainResponse> answer;
  const grpc::Status status = Explain(HeaderFor(name), {SmallTable()}, answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  EXPECT_EQ(ErrorInfoOf(status).reason(), "MODEL_NOT_EXPLAINABLE");
}

TEST_F(ExplainServiceTest, PrintsTrees) {
  v1::PrintTreeRequest request;
  request.set_name(TrainModel(server_, "first"));
  v1::PrintTreeResponse tree;
  const auto print = [&] {
    return Call(*models_, &v1::ModelService::Stub::PrintTree, request, tree);
  };
  ASSERT_TRUE(print().ok());
  EXPECT_THAT(tree.text(), ::testing::StartsWith("all rows: N "));
  EXPECT_THAT(tree.text(), HasSubstr("high: "));
  EXPECT_EQ(tree.tree_count(), 1);
  EXPECT_EQ(std::count(tree.text().begin(), tree.text().end(), '\n'), tree.node_count());
  request.set_format(v1::PrintTreeRequest::FORMAT_DOT);
  ASSERT_TRUE(print().ok());
  EXPECT_THAT(tree.text(), ::testing::StartsWith("digraph tree {"));
  request.set_format(v1::PrintTreeRequest::FORMAT_JSON);
  ASSERT_TRUE(print().ok());
  EXPECT_THAT(tree.text(), HasSubstr("\"feature\": \"x\""));

  request.set_tree(1);
  EXPECT_THAT(FieldsOf(print()), ElementsAre("tree"));
  EXPECT_THAT(BadRequestOf(print()).field_violations(0).description(),
              HasSubstr("the model has 1 trees"));
  request.set_tree(-1);
  EXPECT_THAT(FieldsOf(print()), ElementsAre("tree"));
  request.set_name("projects/default/models/nothing");
  request.set_tree(0);
  EXPECT_EQ(print().error_code(), grpc::StatusCode::NOT_FOUND);
  request.set_name(TrainProbe());
  const grpc::Status status = print();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
  EXPECT_EQ(ErrorInfoOf(status).reason(), "MODEL_HAS_NO_TREES");
}

TEST_F(ExplainServiceTest, CancelledExplanationsLeaveTheServerServing) {
  const std::string name = TrainModel(server_, "first");
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    const auto stream = models_->Explain(&context);
    v1::ExplainRequest message;
    *message.mutable_header() = HeaderFor(name);
    stream->Write(message);
    if (i % 2 == 0) {
      message.set_data(SmallTable());
      stream->Write(message);
    }
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  std::vector<v1::ExplainResponse> answer;
  EXPECT_TRUE(Explain(HeaderFor(name), {SmallTable()}, answer).ok());
}

}  // namespace
}  // namespace trainyard
