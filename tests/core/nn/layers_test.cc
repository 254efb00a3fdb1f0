// Layers: shapes, names and starts of parameters; values by the operations they are made of.
#include <cmath>
#include <string>
#include <vector>

#include "core/nn/layers/convolution.h"
#include "core/nn/layers/embedding.h"
#include "core/nn/layers/feed_forward.h"
#include "core/nn/layers/initializers.h"
#include "core/nn/layers/linear.h"
#include "core/nn/layers/monarch_linear.h"
#include "core/nn/layers/multi_head_attention.h"
#include "core/nn/layers/norm.h"
#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/dropout.h"
#include "core/nn/ops/reductions.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/unary.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/nn/nn_test_support.h"

namespace trainyard::nn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> NamesOf(const ParameterSet& parameters) {
  std::vector<std::string> names;
  for (const auto& parameter : parameters.all()) {
    names.push_back(parameter->name() + " " + parameter->value().shape().ToString() +
                    (parameter->decays() ? " decays" : ""));
  }
  return names;
}

// Every parameter has a gradient, and it is that of central differences (float64).
void ExpectParameterGradients(ParameterSet& parameters, const std::function<Variable()>& loss) {
  parameters.ClearGradients();
  Backward(loss());
  const NoGradScope no_grad;
  for (const auto& parameter : parameters.all()) {
    SCOPED_TRACE(parameter->name());
    ASSERT_TRUE(parameter->grad().defined());
    const std::vector<double> gradient = Doubles(parameter->grad());
    double* const values = parameter->value().data<double>();
    for (size_t i = 0; i < gradient.size(); i += 3) {
      const double value = values[i];
      values[i] = value + 1e-5;
      const double above = loss().value().Item();
      values[i] = value - 1e-5;
      const double below = loss().value().Item();
      values[i] = value;
      EXPECT_NEAR(gradient[i], (above - below) / 2e-5, 1e-7);
    }
  }
}

TEST(ParameterSetTest, StartsDependOnNameAndSeedAlone) {
  ParameterSet first(TestDevice(), 3);
  ParameterSet second(TestDevice(), 3);
  ParameterSet other(TestDevice(), 4);
  const Initializer start = Initializer::Normal(1);
  first.Add("a", {4}, start, true);
  first.Add("b", {4}, start, true);
  second.Add("b", {4}, start, true);
  other.Add("b", {4}, start, true);
  EXPECT_EQ(Doubles(first.Find("b")->value()), Doubles(second.Find("b")->value()));
  EXPECT_NE(Doubles(first.Find("b")->value()), Doubles(first.Find("a")->value()));
  EXPECT_NE(Doubles(first.Find("b")->value()), Doubles(other.Find("b")->value()));
}

TEST(ParameterSetTest, NamesAreUniqueAndMayBeRemoved) {
  ParameterSet parameters(TestDevice(), 3);
  parameters.Add("a", {2, 3}, Initializer::Constant(0.5), true);
  parameters.Add("b", {2}, Initializer::Uniform(0.1), false);
  EXPECT_EQ(parameters.values(), 8);
  EXPECT_THAT(ErrorOf([&] { parameters.Add("a", {1}, Initializer::Constant(0), true); }),
              HasSubstr("the name a is taken"));
  const int64_t version = parameters.version();
  parameters.Remove("a");
  parameters.Remove("c");
  EXPECT_EQ(parameters.version(), version + 1);
  EXPECT_EQ(parameters.Find("a"), nullptr);
  EXPECT_EQ(parameters.values(), 2);
}

TEST(InitializerTest, DeviationsAreThoseOfTheFormulas) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const auto deviation = [&](const char* name, const Initializer& start) {
    const std::vector<double> values = Doubles(parameters.Add(name, {40000}, start, true).value());
    double sum = 0;
    for (const double value : values) sum += value * value;
    return std::sqrt(sum / static_cast<double>(values.size()));
  };
  EXPECT_NEAR(deviation("fan_in", FanIn(16)), 0.25, 0.01);
  EXPECT_NEAR(deviation("xavier_uniform", XavierUniform(20, 30)), 0.2, 0.01);
  EXPECT_NEAR(deviation("xavier_normal", XavierNormal(20, 30)), 0.2, 0.01);
  EXPECT_NEAR(deviation("he", HeNormal(8)), 0.5, 0.02);
  EXPECT_NEAR(deviation("torch", TorchUniform(12)), 1 / std::sqrt(12.0) / std::sqrt(3.0), 0.01);
}

TEST(LinearTest, HasAWeightAndABias) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const Linear map(parameters, "map", 3, 2, {{.activation = Activation::kTanh}});
  EXPECT_THAT(NamesOf(parameters), ElementsAre("map.weight [3, 2] decays", "map.bias [2]"));
  const Variable x = RandomTensor({4, 3}, 1);
  ExpectParameterGradients(parameters, [&] { return Mean(Square(map(x))); });
}

TEST(EmbeddingTest, TablesDoNotDecay) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const Embedding embedding(parameters, "tokens", 5, 3, Initializer::Normal(1), 2);
  EXPECT_THAT(NamesOf(parameters), ElementsAre("tokens.weight [5, 3]"));
  const Variable rows = embedding(IntTensor({2}, {4, -1}));
  EXPECT_EQ(rows.shape(), (Shape{2, 3}));
  EXPECT_THAT(Doubles(Slice(rows, 0, 1, 1).value()), testing::Each(0));
}

TEST(NormTest, BeginsAsThePlainNorm) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const Norm layer(parameters, "layer", NormKind::kLayer, 4);
  const Norm scale(parameters, "scale", NormKind::kScale, 4);
  EXPECT_THAT(NamesOf(parameters),
              ElementsAre("layer.gain [4]", "layer.bias [4]", "scale.gain [1]"));
  const Variable x = RandomTensor({3, 4}, 1);
  for (const double mean : Doubles(Mean(layer(x), {1}).value())) EXPECT_NEAR(mean, 0, 1e-12);
  for (const double square : Doubles(Mean(Square(scale(x)), {1}).value())) {
    EXPECT_NEAR(square, 1, 1e-3);
  }
}

TEST(MultiHeadAttentionTest, OneProductOrFourMapsGiveTheSame) {
  ParameterSet fused_set(TestDevice(), 3, DType::kFloat64);
  ParameterSet apart_set(TestDevice(), 4, DType::kFloat64);
  MultiHeadAttentionOptions options{.heads = 2, .causal = true, .rotary = true};
  const MultiHeadAttention fused(fused_set, "a", 8, options);
  options.maps = DenseMaps();
  const MultiHeadAttention apart(apart_set, "a", 8, options);
  EXPECT_THAT(NamesOf(fused_set), ElementsAre("a.qkv.weight [8, 24] decays", "a.qkv.bias [24]",
                                              "a.out.weight [8, 8] decays", "a.out.bias [8]"));
  const char* const parts[] = {"q", "k", "v"};
  for (const char* kind : {"weight", "bias"}) {
    const Tensor whole = fused_set.Find(std::string("a.qkv.") + kind)->value();
    for (int i = 0; i < 3; ++i) {
      apart_set.Find(std::string("a.") + parts[i] + "." + kind)
          ->value()
          .CopyFrom(whole.Slice(-1, 8 * i, 8));
    }
    apart_set.Find(std::string("a.out.") + kind)
        ->value()
        .CopyFrom(fused_set.Find(std::string("a.out.") + kind)->value());
  }
  const Variable x = RandomTensor({2, 5, 8}, 1);
  const std::vector<double> y = Doubles(fused(x).value());
  const std::vector<double> z = Doubles(apart(x).value());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], z[i], 1e-12);
  ExpectParameterGradients(fused_set, [&] { return Mean(Square(fused(x))); });
}

TEST(MultiHeadAttentionTest, HeadsDivideTheWidth) {
  ParameterSet parameters(TestDevice(), 3);
  EXPECT_THAT(ErrorOf([&] { MultiHeadAttention(parameters, "a", 8, {.heads = 3}); }),
              HasSubstr("3 heads do not divide a width of 8"));
}

TEST(FeedForwardTest, PlainAndGatedGradients) {
  for (const bool gated : {false, true}) {
    ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
    const FeedForward layer(parameters, "f", 4, 6, {.gated = gated});
    EXPECT_EQ(parameters.Find("f.in.weight")->value().size(1), gated ? 12 : 6);
    const Variable x = RandomTensor({3, 4}, 1);
    ExpectParameterGradients(parameters, [&] { return Mean(Square(layer(x, nullptr))); });
  }
}

TEST(MlpTest, DropsHiddenUnitsInTrainingOnly) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const std::vector<int64_t> widths = {4, 8, 8, 2};
  const Mlp mlp(parameters, "mlp", widths, {.dropout = 0.5});
  EXPECT_EQ(parameters.all().size(), 6);
  const Variable x = RandomTensor({3, 4}, 1);
  RandomSource random(1);
  EXPECT_EQ(Doubles(mlp(x, nullptr).value()), Doubles(mlp(x, nullptr).value()));
  EXPECT_NE(Doubles(mlp(x, &random).value()), Doubles(mlp(x, &random).value()));
  EXPECT_EQ(random.next_stream(), 4);
  ExpectParameterGradients(parameters, [&] { return Mean(Square(mlp(x, nullptr))); });
  const std::vector<int64_t> one = {4};
  EXPECT_THAT(ErrorOf([&] { Mlp(parameters, "x", one); }), HasSubstr("mlp: 1 widths"));
}

TEST(DropoutTest, KeepsTheMeanAndDropsTheShare) {
  RandomSource random(1);
  const Tensor ones = Tensor::Full(TestDevice(), {20000}, 1, DType::kFloat64);
  const Variable x = Variable::Leaf(ones);
  const Variable y = Dropout(x, 0.25, &random);
  const std::vector<double> values = Doubles(y.value());
  const auto zeros = std::ranges::count(values, 0.0);
  EXPECT_NEAR(static_cast<double>(zeros) / 20000, 0.25, 0.015);
  EXPECT_NEAR(Mean(y).value().Item(), 1, 0.02);
  Backward(y, ones);
  EXPECT_EQ(Doubles(x.grad()), values);
  EXPECT_FALSE(Dropout(Variable(ones), 0, &random).requires_grad());
  EXPECT_THAT(ErrorOf([&] { Dropout(x, 1, &random); }), HasSubstr("the rate 1 is not in [0, 1)"));
}

TEST(Convolution1dTest, CausalOnesDoNotSeeTheFuture) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const Convolution1d layer(parameters, "c", 2, 3, 3, Padding::kCausal);
  const Tensor x = RandomTensor({1, 6, 2}, 1);
  const std::vector<double> before = Doubles(layer(x).value());
  x.Slice(1, 4, 2).Fill(7);
  const std::vector<double> after = Doubles(layer(x).value());
  for (size_t i = 0; i < 4 * 3; ++i) EXPECT_EQ(before[i], after[i]);
  EXPECT_NE(before[4 * 3], after[4 * 3]);
  ExpectParameterGradients(parameters, [&] { return Mean(Square(layer(x))); });
}

TEST(MonarchLinearTest, SizesFollowTheRules) {
  const MonarchSizes square = MonarchSizes::OfBlocks(1024, 1024, 4);
  EXPECT_EQ(square.parameters(), 1024 * 1024 / 2);
  const MonarchSizes wide = MonarchSizes::OfBlocks(1024, 4096, 4);
  EXPECT_EQ(wide.parameters(), 4 * 256 * (256 + 1024));
  const MonarchSizes rank = MonarchSizes::OfRank(64, 64, 8, 8, 1);
  EXPECT_EQ(rank.first_out, 8);
  EXPECT_EQ(rank.parameters(), 2 * 64 * 8);
  EXPECT_THAT(ErrorOf([] { MonarchSizes::OfBlocks(784, 10, 4); }),
              HasSubstr("4 blocks for 784 inputs and 10 outputs leave blocks"));
  EXPECT_EQ(MonarchSizes::OfBlocks(784, 10, 4, /*pad_middle=*/true).first_out, 4);
}

TEST(MonarchLinearTest, MatchedStartsVaryAsDenseOnes) {
  ParameterSet parameters(TestDevice(), 3);
  const Linear dense(parameters, "dense", 256, 256, {{.bias = false}});
  const MonarchSizes sizes = MonarchSizes::OfBlocks(256, 256, 4);
  const MonarchLinear matched(parameters, "matched", 256, sizes, {{.bias = false}, true});
  const MonarchLinear published(parameters, "published", 256, sizes, {{.bias = false}, false});
  const Variable x = RandomTensor({512, 256}, 1, DType::kFloat32);
  const auto deviation = [&](const LinearMap& map) {
    return std::sqrt(Mean(Square(map(x))).value().Item());
  };
  EXPECT_NEAR(deviation(dense), 0.577, 0.02);
  EXPECT_NEAR(deviation(matched), 0.577, 0.02);
  EXPECT_NEAR(deviation(published), 0.334, 0.02);
}

TEST(MonarchLinearTest, Gradients) {
  ParameterSet parameters(TestDevice(), 3, DType::kFloat64);
  const MonarchLinear map(parameters, "m", 5, MonarchSizes::OfBlocks(6, 5, 2),
                          {{.activation = Activation::kSilu}});
  const Variable x = RandomTensor({3, 6}, 1);
  ExpectParameterGradients(parameters, [&] { return Mean(Square(map(x))); });
}

}  // namespace
}  // namespace trainyard::nn
