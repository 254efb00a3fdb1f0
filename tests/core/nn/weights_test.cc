// Weights in files and checkpoints: what is read is what was written.
#include "core/nn/state/weights.h"

#include <filesystem>
#include <string>
#include <vector>

#include "core/nn/layers/feed_forward.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::HasSubstr;

const auto kGoOn = [] { return absl::OkStatus(); };

std::filesystem::path FileOf(const char* name) {
  return std::filesystem::path(testing::TempDir()) / name;
}

void AddParameters(ParameterSet& parameters) {
  parameters.Add("net.0.weight", {3, 4}, Initializer::Normal(1), true);
  parameters.Add("net.0.bias", {4}, Initializer::Normal(1), false);
}

TEST(WeightsTest, AFileGivesTheSameValuesBack) {
  for (const DType type : {DType::kFloat32, DType::kFloat64}) {
    ParameterSet written(TestDevice(), 1, type);
    ParameterSet read(TestDevice(), 2, type);
    AddParameters(written);
    AddParameters(read);
    ASSERT_TRUE(WriteWeights(written, FileOf("same.safetensors"), {{"model", "test"}}, kGoOn).ok());
    const auto file = SafetensorsFile::Open(FileOf("same.safetensors"));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->metadata().at("model"), "test");
    ASSERT_TRUE(ReadWeights(*file, read).ok());
    for (const auto& parameter : written.all()) {
      EXPECT_EQ(Doubles(read.Find(parameter->name())->value()), Doubles(parameter->value()));
    }
  }
}

TEST(WeightsTest, TypesAreConverted) {
  ParameterSet written(TestDevice(), 1, DType::kFloat32);
  ParameterSet read(TestDevice(), 2, DType::kFloat64);
  AddParameters(written);
  AddParameters(read);
  ASSERT_TRUE(WriteWeights(written, FileOf("types.safetensors"), {}, kGoOn).ok());
  const auto file = SafetensorsFile::Open(FileOf("types.safetensors"));
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE(ReadWeights(*file, read).ok());
  EXPECT_EQ(Doubles(read.Find("net.0.bias")->value()),
            Doubles(written.Find("net.0.bias")->value()));
}

TEST(WeightsTest, RefusesAFileOfAnotherModel) {
  ParameterSet written(TestDevice(), 1);
  AddParameters(written);
  ASSERT_TRUE(WriteWeights(written, FileOf("other.safetensors"), {}, kGoOn).ok());
  const auto file = SafetensorsFile::Open(FileOf("other.safetensors"));
  ASSERT_TRUE(file.ok());
  ParameterSet more(TestDevice(), 2);
  AddParameters(more);
  more.Add("head", {1}, Initializer::Constant(0), false);
  EXPECT_THAT(std::string(ReadWeights(*file, more).message()), HasSubstr("no tensor head"));
  ParameterSet fewer(TestDevice(), 2);
  fewer.Add("net.0.bias", {4}, Initializer::Constant(0), false);
  EXPECT_THAT(std::string(ReadWeights(*file, fewer).message()),
              HasSubstr("the model has no parameter net.0.weight"));
  EXPECT_THAT(Doubles(fewer.Find("net.0.bias")->value()), testing::Each(0));
  ParameterSet wider(TestDevice(), 2);
  wider.Add("net.0.weight", {3, 5}, Initializer::Normal(1), true);
  wider.Add("net.0.bias", {4}, Initializer::Normal(1), false);
  EXPECT_THAT(std::string(ReadWeights(*file, wider).message()),
              HasSubstr("net.0.weight is of shape [3, 4]; the model has [3, 5]"));
}

TEST(WeightsTest, CheckpointsKnowTheirParameters) {
  ParameterSet written(TestDevice(), 1);
  ParameterSet read(TestDevice(), 2);
  AddParameters(written);
  AddParameters(read);
  ByteWriter writer;
  PutWeights(writer, written);
  ByteReader reader(writer.bytes());
  ASSERT_TRUE(TakeWeights(reader, read).ok());
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(Doubles(read.Find("net.0.weight")->value()),
            Doubles(written.Find("net.0.weight")->value()));
  read.Remove("net.0.bias");
  ByteReader again(writer.bytes());
  EXPECT_THAT(std::string(TakeWeights(again, read).message()),
              HasSubstr("2 parameters; the model has 1"));
  ByteReader cut(std::string_view(writer.bytes()).substr(0, 40));
  EXPECT_FALSE(TakeWeights(cut, written).ok());
}

}  // namespace
}  // namespace trainyard::nn
