#include "core/model_io/onnx_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/model_io/dense_encoding_onnx.h"
#include "onnx/onnx.pb.h"
#include "tests/core/model_io/onnx_checker.h"

namespace trainyard {
namespace {

using testing::ElementsAre;

onnx::ModelProto Parse(const std::string& bytes) {
  onnx::ModelProto model;
  EXPECT_TRUE(model.ParseFromString(bytes));
  return model;
}

void BuildSmall(OnnxModel& model) {
  const OnnxValue x = model.AddInput("y", OnnxType::kFloat, 2, "two numbers");
  const std::vector<double> weights = {1, 2, 0.1, -4};
  const OnnxValue product = model.AddNode("MatMul", {x, model.AddFloats(weights, {2, 2})});
  const OnnxValue summed = model.AddNode(
      "ReduceMax", {product}, {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{1}}});
  model.AddOutput("y", summed, OnnxType::kFloat, 1);
  model.AddMetadata("what", "a test");
}

TEST(OnnxWriterTest, WritesModelsThatOnnxAccepts) {
  OnnxModel model("small", {"y"});
  BuildSmall(model);
  const auto bytes = model.Serialize();
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  if (HaveOnnxChecker()) {
    EXPECT_TRUE(OnnxAccepts(*bytes));
    EXPECT_FALSE(OnnxAccepts(bytes->substr(1)));
  }
  const onnx::ModelProto parsed = Parse(*bytes);
  EXPECT_EQ(parsed.ir_version(), 8);
  ASSERT_EQ(parsed.opset_import_size(), 2);
  EXPECT_EQ(parsed.opset_import(1).domain(), "ai.onnx.ml");
  EXPECT_EQ(parsed.metadata_props(0).value(), "a test");
  // The name of an output is not to be had.
  EXPECT_EQ(parsed.graph().input(0).name(), "y_2");
  EXPECT_EQ(parsed.graph().input(0).doc_string(), "two numbers");
  EXPECT_EQ(parsed.graph().output(0).name(), "y");
  const std::string& raw = parsed.graph().initializer(0).raw_data();
  ASSERT_EQ(raw.size(), 16u);
  float third = 0;
  std::memcpy(&third, raw.data() + 8, sizeof(third));
  EXPECT_EQ(third, 0.1f);
}

TEST(OnnxWriterTest, NodesThatReadNothingKnownAreNotAccepted) {
  if (!HaveOnnxChecker()) GTEST_SKIP();
  OnnxModel model("wrong", {"y"});
  model.AddOutput("y", model.AddNode("Relu", {"nothing"}), OnnxType::kFloat, 1);
  EXPECT_FALSE(OnnxAccepts(*model.Serialize()));
}

TEST(OnnxWriterTest, TheSameCallsGiveTheSameBytes) {
  OnnxModel one("small", {"y"});
  OnnxModel two("small", {"y"});
  BuildSmall(one);
  BuildSmall(two);
  EXPECT_EQ(*one.Serialize(), *two.Serialize());
}

TEST(OnnxWriterTest, RefusesNumbersBeyondFloat) {
  for (const double number : {1e39, -1e39, HUGE_VAL, std::nan("")}) {
    OnnxModel model("large", {"y"});
    model.AddFloats(std::vector<double>{1, number}, {2});
    EXPECT_EQ(model.Serialize().status().code(), absl::StatusCode::kFailedPrecondition);
  }
}

// Arithmetic of the graph is compared with the encoder's in tests/peers/test_network_onnx.py.
TEST(DenseEncodingOnnxTest, HasAnInputForNumbersAndOnePerCategory) {
  v1::DenseEncoding encoding;
  const auto add = [&encoding](const char* name, v1::ColumnType type) {
    v1::DenseEncoding::Column& column = *encoding.add_columns();
    column.set_name(name);
    column.set_type(type);
    return &column;
  };
  add("age", v1::COLUMN_TYPE_NUMERIC)->set_value(true);
  v1::DenseEncoding::Column& colour = *add("features", v1::COLUMN_TYPE_CATEGORICAL);
  colour.add_levels("red");
  colour.add_levels("blue");
  v1::DenseEncoding::Column& day = *add("day", v1::COLUMN_TYPE_DATE);
  day.set_value(true);
  day.set_missing_indicator(true);
  day.set_mean(1.5e9 + 1);
  for (const double scale : {0.5, 1.0, 2.0, 4.0, 8.0}) {
    encoding.add_offset(3);
    encoding.add_scale(scale);
  }
  const DenseEncoder encoder = *DenseEncoder::FromProto(encoding);
  OnnxModel model("encoding", {"rows"});
  const OnnxRows rows = AddDenseEncoding(encoder, model);
  model.AddOutput("rows", rows.value, OnnxType::kFloat, encoder.width());
  const auto bytes = model.Serialize();
  ASSERT_TRUE(bytes.ok());
  if (HaveOnnxChecker()) {
    EXPECT_TRUE(OnnxAccepts(*bytes));
  }
  // (what was subtracted - offset) / scale
  EXPECT_THAT(rows.shift, ElementsAre(-6, -3, -1.5, (1.5e9 - 3) / 4, -3 / 8.0));
  const onnx::ModelProto parsed = Parse(*bytes);
  ASSERT_EQ(parsed.graph().input_size(), 2);
  EXPECT_EQ(parsed.graph().input(0).name(), "features");
  EXPECT_EQ(parsed.graph().input(1).name(), "features_2");
  EXPECT_EQ(parsed.metadata_props(0).value(), R"(["age", "day"])");
  EXPECT_EQ(parsed.metadata_props(1).value(), R"(["features"])");
}

}  // namespace
}  // namespace trainyard
