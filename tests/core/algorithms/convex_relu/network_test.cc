#include "core/algorithms/convex_relu/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/random.h"

namespace trainyard::convex_relu {
namespace {

constexpr size_t kRows = 300;
constexpr size_t kInputs = 5;

// A convex solution on raw rows of 5 numbers and a bias, as section 3 of the method scales them.
class NetworkTest : public testing::Test {
 protected:
  NetworkTest() : raw_(kRows * kInputs), norms_(kInputs + 1) {
    Rng rng(7);
    for (size_t i = 0; i < kRows; ++i) {
      for (size_t j = 0; j < kInputs; ++j) {
        // The last column is zero in these rows.
        const double scale = j + 1 == kInputs ? 0 : std::pow(10.0, static_cast<double>(j) - 1);
        raw_[i * kInputs + j] = (rng.NextGaussian() + 0.3) * scale;
        norms_[j] += raw_[i * kInputs + j] * raw_[i * kInputs + j];
      }
      norms_[kInputs] += 1;
    }
    for (double& norm : norms_) norm = std::sqrt(norm);
    const auto draw = [&rng](double scale) {
      std::vector<double> numbers(kInputs + 1);
      for (double& x : numbers) x = rng.NextGaussian() * scale;
      return numbers;
    };
    for (size_t b = 0; b < 40; ++b) {
      weights_.push_back(draw(b % 5 == 0 ? 0 : std::pow(4.0, rng.NextGaussian())));
      gates_.push_back(draw(1));
      blocks_.push_back({static_cast<int>(b % 3), b % 2 == 0 ? 1.0 : -1.0, {}, {}});
    }
    for (size_t b = 0; b < blocks_.size(); ++b) {
      blocks_[b].weights = weights_[b];
      blocks_[b].gate = gates_[b];
    }
  }

  SolutionSpace Space() const { return {norms_, true, offset_, scale_}; }

  double Scaled(size_t row, size_t column) const {
    const double raw = column == kInputs ? 1.0 : raw_[row * kInputs + column];
    return norms_[column] > 0 ? raw / norms_[column] : 0.0;
  }

  double Product(size_t row, std::span<const double> vector) const {
    double sum = 0;
    for (size_t j = 0; j <= kInputs; ++j) sum += Scaled(row, j) * vector[j];
    return sum;
  }

  // offset + scale * sum_i sign_i D_i X u_i (gated) or sign_i (X u_i)_+, in the scaled space.
  double Direct(size_t row, int output, bool gated) const {
    double sum = 0;
    for (const SolutionBlock& block : blocks_) {
      if (block.output != output) continue;
      const double value = Product(row, block.weights);
      const bool active = gated ? Product(row, block.gate) > 0 : value > 0;
      sum += active ? block.sign * value : 0.0;
    }
    return offset_[static_cast<size_t>(output)] + scale_[static_cast<size_t>(output)] * sum;
  }

  std::vector<double> raw_;
  std::vector<double> norms_;
  std::vector<std::vector<double>> weights_;
  std::vector<std::vector<double>> gates_;
  std::vector<SolutionBlock> blocks_;
  const std::vector<double> offset_ = {3, -100, 0};
  const std::vector<double> scale_ = {1, 20, 0.01};
};

TEST_F(NetworkTest, PredictsOnRawRowsWhatTheBlocksPredict) {
  for (const bool gated : {false, true}) {
    const auto network = NetworkFromBlocks(blocks_, Space(), 3, gated);
    ASSERT_TRUE(network.ok()) << network.status();
    EXPECT_EQ(network->neurons(), 32);
    std::vector<double> outputs(kRows * 3);
    ThreadPool pool(2);
    Forward(*network, raw_.data(), kRows, kInputs, outputs.data(), pool);
    for (size_t row = 0; row < kRows; ++row) {
      for (int o = 0; o < 3; ++o) {
        const double direct = Direct(row, o, gated);
        EXPECT_NEAR(outputs[row * 3 + static_cast<size_t>(o)], direct,
                    1e-11 * (1 + std::abs(direct)));
      }
    }
  }
}

// lambda ||u|| = lambda/2 (|w|^2 + |output weight|^2), in the scaled space.
TEST_F(NetworkTest, WeightDecayEqualsTheGroupNorm) {
  const SolutionSpace space = {norms_, true, {}, {}};
  const auto network = NetworkFromBlocks(blocks_, space, 3, true);
  ASSERT_TRUE(network.ok());
  double decay = 0;
  for (size_t i = 0; i < static_cast<size_t>(network->neurons()); ++i) {
    decay += network->output_weights[i] * network->output_weights[i];
    decay += std::pow(network->hidden_bias[i] * norms_[kInputs], 2);
    for (size_t j = 0; j < kInputs; ++j) {
      decay += std::pow(network->hidden_weights[i * kInputs + j] * norms_[j], 2);
    }
  }
  // Weights of the column of zeros have no part in the network.
  double expected = 0;
  for (const auto& weights : weights_) {
    double squares = 0;
    double used = 0;
    for (size_t j = 0; j <= kInputs; ++j) {
      squares += weights[j] * weights[j];
      used += norms_[j] > 0 ? weights[j] * weights[j] : 0.0;
    }
    const double norm = std::sqrt(squares);
    if (norm > 0) expected += norm + used / norm;
  }
  EXPECT_NEAR(decay, expected, 1e-12 * expected);
}

TEST_F(NetworkTest, DropsBlocksBySmallNorm) {
  // The entries sum to zero, the norm is not.
  weights_[1] = {1, -1, 2, -2, 0, 0};
  blocks_[1].weights = weights_[1];
  const auto network = NetworkFromBlocks({blocks_.data() + 1, 1}, Space(), 3, false, 3.1);
  EXPECT_EQ(network->neurons(), 1);
  EXPECT_EQ(NetworkFromBlocks({blocks_.data() + 1, 1}, Space(), 3, false, 3.2)->neurons(), 0);
}

TEST_F(NetworkTest, WithoutNeuronsOnlyTheOffsetIsLeft) {
  const auto network = NetworkFromBlocks({}, Space(), 3, true);
  ASSERT_TRUE(network.ok());
  std::vector<double> outputs(kRows * 3);
  ThreadPool pool(1);
  Forward(*network, raw_.data(), kRows, kInputs, outputs.data(), pool);
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], offset_[i % 3]);
}

TEST_F(NetworkTest, BitsDoNotDependOnThreads) {
  std::vector<SolutionBlock> many;
  for (int copy = 0; copy < 20; ++copy) many.insert(many.end(), blocks_.begin(), blocks_.end());
  const auto network = NetworkFromBlocks(many, Space(), 3, true);
  std::vector<double> one(kRows * 3);
  std::vector<double> three(kRows * 3);
  ThreadPool alone(1);
  ThreadPool several(3);
  Forward(*network, raw_.data(), kRows, kInputs, one.data(), alone);
  Forward(*network, raw_.data(), kRows, kInputs, three.data(), several);
  EXPECT_EQ(one, three);
}

TEST_F(NetworkTest, RefusesBlocksThatDoNotFit) {
  const auto refused = [&](const auto& change) {
    std::vector<SolutionBlock> blocks = blocks_;
    SolutionSpace space = Space();
    change(blocks.back(), space);
    return NetworkFromBlocks(blocks, space, 3, true).status().code() ==
           absl::StatusCode::kInvalidArgument;
  };
  const std::vector<double> bad(6, std::numeric_limits<double>::quiet_NaN());
  const std::vector<double> negative(6, -1.0);
  EXPECT_FALSE(refused([](SolutionBlock&, SolutionSpace&) {}));
  EXPECT_TRUE(refused([](SolutionBlock& b, SolutionSpace&) { b.output = 3; }));
  EXPECT_TRUE(refused([](SolutionBlock& b, SolutionSpace&) { b.output = -1; }));
  EXPECT_TRUE(refused([](SolutionBlock& b, SolutionSpace&) { b.sign = 0; }));
  EXPECT_TRUE(refused([](SolutionBlock& b, SolutionSpace&) { b.weights = b.weights.first(5); }));
  EXPECT_TRUE(refused([](SolutionBlock& b, SolutionSpace&) { b.gate = {}; }));
  EXPECT_TRUE(refused([&](SolutionBlock& b, SolutionSpace&) { b.weights = bad; }));
  EXPECT_TRUE(refused([&](SolutionBlock& b, SolutionSpace&) { b.gate = bad; }));
  EXPECT_TRUE(refused([&](SolutionBlock&, SolutionSpace& s) { s.column_norms = negative; }));
  EXPECT_TRUE(refused([&](SolutionBlock&, SolutionSpace& s) { s.output_scale = bad; }));
  EXPECT_TRUE(refused([&](SolutionBlock&, SolutionSpace& s) { s.output_scale = negative; }));
  EXPECT_TRUE(refused([&](SolutionBlock&, SolutionSpace& s) { s.output_offset = s.column_norms; }));
}

TEST_F(NetworkTest, ChecksNetworksFromFiles) {
  const TwoLayerNetwork good = *NetworkFromBlocks(blocks_, Space(), 3, true);
  const auto damaged = [&good](const auto& change) {
    TwoLayerNetwork network = good;
    change(network);
    return CheckNetwork(network).code() == absl::StatusCode::kDataLoss;
  };
  using N = TwoLayerNetwork;
  EXPECT_FALSE(damaged([](N&) {}));
  EXPECT_TRUE(damaged([](N& n) { n.inputs = 4; }));
  EXPECT_TRUE(damaged([](N& n) { n.inputs = -5; }));
  EXPECT_TRUE(damaged([](N& n) { n.outputs = 4; }));
  EXPECT_TRUE(damaged([](N& n) { n.gated = false; }));
  EXPECT_TRUE(damaged([](N& n) { n.gates.pop_back(); }));
  EXPECT_TRUE(damaged([](N& n) { n.hidden_bias.pop_back(); }));
  EXPECT_TRUE(damaged([](N& n) { n.neuron_outputs.back() = 3; }));
  EXPECT_TRUE(damaged([](N& n) { n.neuron_outputs.front() = 1; }));
  EXPECT_TRUE(damaged([](N& n) { n.output_bias[1] = NAN; }));
}

}  // namespace
}  // namespace trainyard::convex_relu
