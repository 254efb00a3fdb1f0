#include "core/algorithms/convex_relu/network_model.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "core/algorithms/convex_relu/network_files.h"
#include "core/base/file_system.h"
#include "google/protobuf/stubs/logging.h"
#include "tests/core/algorithms/convex_relu/random_network_models.h"
#include "tests/core/model_io/onnx_checker.h"

namespace trainyard::convex_relu {
namespace {

using Model = v1::DenseNetworkModel;
using testing::DoubleEq;
using testing::ElementsAre;

Model WithClasses(Model::Loss loss, int classes) {
  Model model;
  model.set_loss(loss);
  model.add_targets("y");
  for (int k = 0; k < classes; ++k) model.add_classes(std::string(1, static_cast<char>('a' + k)));
  return model;
}

double Sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

TEST(NetworkModelTest, CountsOutputs) {
  EXPECT_EQ(OutputCount(WithClasses(Model::LOSS_SQUARED, 0)), 1);
  EXPECT_EQ(OutputCount(WithClasses(Model::LOSS_SQUARED, 2)), 1);
  EXPECT_EQ(OutputCount(WithClasses(Model::LOSS_LOGISTIC, 2)), 1);
  EXPECT_EQ(OutputCount(WithClasses(Model::LOSS_SOFTMAX, 2)), 2);
  EXPECT_EQ(OutputCount(WithClasses(Model::LOSS_LOGISTIC, 3)), 3);
  EXPECT_EQ(PredictionCount(WithClasses(Model::LOSS_LOGISTIC, 2)), 2);
}

TEST(NetworkModelTest, TwoClassesOfOneOutput) {
  EXPECT_THAT(PredictionsOf(WithClasses(Model::LOSS_SQUARED, 2), std::vector<double>{-1, 0.5, 3}),
              ElementsAre(1, 0, 0.25, 0.75, -1, 2));
  EXPECT_THAT(
      PredictionsOf(WithClasses(Model::LOSS_LOGISTIC, 2), std::vector<double>{0.7, -800, 800}),
      ElementsAre(DoubleEq(Sigmoid(-0.7)), DoubleEq(Sigmoid(0.7)), 1, 0, 0, 1));
}

TEST(NetworkModelTest, SeveralClasses) {
  const std::vector<double> z = {1, -2, 0.5};
  EXPECT_EQ(PredictionsOf(WithClasses(Model::LOSS_SQUARED, 3), z), z);
  const double exps = std::exp(1) + std::exp(-2) + std::exp(0.5);
  EXPECT_THAT(PredictionsOf(WithClasses(Model::LOSS_SOFTMAX, 3), z),
              ElementsAre(DoubleEq(std::exp(1) / exps), DoubleEq(std::exp(-2) / exps),
                          DoubleEq(std::exp(0.5) / exps)));
  const double sigmoids = Sigmoid(1) + Sigmoid(-2) + Sigmoid(0.5);
  EXPECT_THAT(PredictionsOf(WithClasses(Model::LOSS_LOGISTIC, 3), z),
              ElementsAre(DoubleEq(Sigmoid(1) / sigmoids), DoubleEq(Sigmoid(-2) / sigmoids),
                          DoubleEq(Sigmoid(0.5) / sigmoids)));
  // All sigmoids are 0 in double.
  EXPECT_THAT(
      PredictionsOf(WithClasses(Model::LOSS_LOGISTIC, 3), std::vector<double>{-1000, -1000, -2000}),
      ElementsAre(0.5, 0.5, 0));
}

TEST(NetworkModelTest, RefusesDescriptionsThatDoNotFit) {
  const auto refused = [](const auto& change) {
    Model description = Describe(Model::LOSS_LOGISTIC, {"no", "yes"});
    TwoLayerNetwork network = RandomNetwork(5, 1, false, 3);
    change(description, network);
    return MakeNetworkModel(std::move(description), std::move(network)).status().code() ==
           absl::StatusCode::kDataLoss;
  };
  using N = TwoLayerNetwork;
  EXPECT_FALSE(refused([](Model&, N&) {}));
  EXPECT_TRUE(refused([](Model& m, N&) { m.clear_loss(); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.set_loss(static_cast<Model::Loss>(9)); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.clear_classes(); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.set_classes(0, "yes"); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.add_targets("z"); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.clear_encoding(); }));
  EXPECT_TRUE(refused([](Model& m, N&) { m.add_classes("maybe"); }));
  EXPECT_TRUE(refused([](Model&, N& n) { n = RandomNetwork(4, 1, false, 3); }));
  EXPECT_TRUE(refused([](Model&, N& n) { n.output_bias[0] = NAN; }));
  EXPECT_TRUE(refused([](Model& m, N&) {
    m.clear_classes();
    m.set_loss(Model::LOSS_SQUARED);
    m.clear_targets();
  }));
}

class NetworkFilesTest : public testing::Test {
 protected:
  NetworkFilesTest() { std::filesystem::create_directory(folder_); }
  ~NetworkFilesTest() override { std::filesystem::remove_all(folder_); }

  void Write(const char* file, const std::string& bytes) {
    // Truncating a file that exists would wait for the disk.
    std::filesystem::remove(folder_ / file);
    std::ofstream(folder_ / file, std::ios::binary) << bytes;
  }

  const std::filesystem::path folder_ = std::filesystem::path(testing::TempDir()) /
                                        ("network_files_test_" + std::to_string(getpid()));
};

TEST_F(NetworkFilesTest, GivesBackWhatWasWritten) {
  for (const bool gated : {false, true}) {
    for (const int64_t neurons : {0, 12}) {
      const NetworkModel model = MakeModel(Model::LOSS_SOFTMAX, {"a", "b", "c"}, gated, neurons);
      const auto written = WriteNetworkModel(model, folder_, {});
      ASSERT_TRUE(written.ok()) << written.status();
      EXPECT_EQ(*written, "");
      const auto read = ReadNetworkModel(folder_);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_EQ(read->network, model.network);
      EXPECT_EQ(read->description.SerializeAsString(), model.description.SerializeAsString());
      if (HaveOnnxChecker()) {
        EXPECT_TRUE(OnnxAccepts(*ReadFile(folder_ / kNetworkOnnxFile)));
      }
    }
  }
}

TEST_F(NetworkFilesTest, EveryTruncationIsDataLoss) {
  ASSERT_TRUE(
      WriteNetworkModel(MakeModel(Model::LOSS_LOGISTIC, {"a", "b"}, true, 2), folder_, {}).ok());
  for (const char* file : {kNetworkDescriptionFile, kNetworkWeightsFile}) {
    const std::string whole = *ReadFile(folder_ / file);
    for (size_t size = 0; size < whole.size(); ++size) {
      Write(file, whole.substr(0, size));
      EXPECT_EQ(ReadNetworkModel(folder_).status().code(), absl::StatusCode::kDataLoss)
          << file << " cut to " << size;
    }
    std::filesystem::remove(folder_ / file);
    EXPECT_EQ(ReadNetworkModel(folder_).status().code(), absl::StatusCode::kDataLoss) << file;
    Write(file, whole);
  }
  EXPECT_TRUE(ReadNetworkModel(folder_).ok());
}

// Any model that is read is one that predictions can be made from.
TEST_F(NetworkFilesTest, EveryChangedByteIsDataLossOrAnotherModel) {
  const google::protobuf::LogSilencer no_words_on_utf8;
  ASSERT_TRUE(
      WriteNetworkModel(MakeModel(Model::LOSS_LOGISTIC, {"a", "b"}, true, 2), folder_, {}).ok());
  for (const char* file : {kNetworkDescriptionFile, kNetworkWeightsFile}) {
    const std::string whole = *ReadFile(folder_ / file);
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const char change : {'\x01', '\x10', '\x80'}) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ change);
        Write(file, bytes);
        const auto model = ReadNetworkModel(folder_);
        if (model.ok()) {
          EXPECT_TRUE(CheckNetwork(model->network).ok());
        } else {
          EXPECT_EQ(model.status().code(), absl::StatusCode::kDataLoss) << model.status();
        }
      }
    }
    Write(file, whole);
  }
}

TEST_F(NetworkFilesTest, OnnxIsLeftOutWhereFloatDoesNotHoldTheWeights) {
  NetworkModel model = MakeModel(Model::LOSS_SQUARED, {});
  model.network.hidden_weights[3] = 1e200;
  const auto written = WriteNetworkModel(model, folder_, {});
  ASSERT_TRUE(written.ok());
  EXPECT_THAT(*written, testing::HasSubstr("beyond the range of float"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / kNetworkOnnxFile));
  EXPECT_EQ(ReadNetworkModel(folder_)->network, model.network);
}

}  // namespace
}  // namespace trainyard::convex_relu
