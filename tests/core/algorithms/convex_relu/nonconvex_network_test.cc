// The reference is the definition of the network, written as loops in double, and its finite
// differences.
#include "core/algorithms/convex_relu/nonconvex_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <tuple>
#include <vector>

#include "core/algorithms/convex_relu/gate_mask.h"
#include "core/base/thread_pool.h"
#include "tests/core/algorithms/convex_relu/network_test_support.h"

namespace trainyard::convex_relu {
namespace {

const WorkCheck kNoCheck = [] { return absl::OkStatus(); };

double Dot(const float* a, const double* b, int size) {
  return std::inner_product(a, a + size, b, 0.0);
}

bool IsOpen(const NetworkCase& c, int64_t row, int64_t gate) {
  double product = 0;
  for (int k = 0; k < c.features.columns(); ++k) {
    product += double{c.features.row(row)[k]} * double{c.gates.row(gate)[k]};
  }
  return product > 0;
}

std::vector<double> PlainPredictions(const NetworkCase& c, bool gated,
                                     const NetworkWeights<double>& weights, int64_t row) {
  std::vector<double> z(static_cast<size_t>(c.data.outputs), 0.0);
  for (int64_t neuron = 0; neuron < weights.first.rows(); ++neuron) {
    const double product =
        Dot(c.features.row(row), weights.first.row(neuron), c.features.columns());
    const bool open = gated ? IsOpen(c, row, neuron) : product > 0;
    if (!open) continue;
    for (int output = 0; output < c.data.outputs; ++output) {
      z[static_cast<size_t>(output)] += product * weights.second.row(output)[neuron];
    }
  }
  return z;
}

double PlainLoss(const NetworkCase& c, bool gated, const NetworkWeights<double>& weights) {
  const int64_t n = c.features.rows();
  double total = 0;
  for (int64_t row = 0; row < n; ++row) {
    const std::vector<double> z = PlainPredictions(c, gated, weights, row);
    double loss = 0;
    double exponentials = 0;
    for (int output = 0; output < c.data.outputs; ++output) {
      const double value = z[static_cast<size_t>(output)];
      const double y = c.targets[static_cast<size_t>(output * n + row)];
      if (c.data.loss == NetworkLoss::kSquared) loss += (value - y) * (value - y) / 2;
      if (c.data.loss == NetworkLoss::kLogistic) loss += std::log(1 + std::exp(-y * value));
      if (c.data.loss == NetworkLoss::kSoftmax) {
        loss -= y * value;
        exponentials += std::exp(value);
      }
    }
    if (c.data.loss == NetworkLoss::kSoftmax) {
      loss += std::log(exponentials);
    } else {
      loss /= c.data.outputs;
    }
    total += loss * (c.row_weights.empty() ? 1 : c.row_weights[static_cast<size_t>(row)]);
  }
  return total / static_cast<double>(n);
}

std::vector<int64_t> AllRows(const NetworkCase& c) {
  std::vector<int64_t> rows(static_cast<size_t>(c.features.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

using GradientCase = std::tuple<NetworkLoss, /*gated=*/bool, /*weighted=*/bool>;

class NetworkGradientTest : public testing::TestWithParam<GradientCase> {};

TEST_P(NetworkGradientTest, EqualsFiniteDifferencesOfTheDefinition) {
  const auto [loss, gated, weighted] = GetParam();
  const int64_t neurons = 13;
  const NetworkCase c =
      RandomCase(loss, /*rows=*/31, /*features=*/5, /*outputs=*/3, neurons, weighted, /*seed=*/7);
  ThreadPool pool(2);
  const GateMask mask = *GateMask::Make(c.features, c.gates, kNoCheck, pool);
  NetworkWeights<double> weights(neurons, 5, 3);
  Rng random(8);
  FillGaussian(weights.first, 0.5, random);
  FillGaussian(weights.second, 0.5, random);
  NetworkWeights<double> gradient(neurons, 5, 3);
  NetworkPass<double> pass(DataOf(c), gated ? &mask : nullptr, neurons);
  const std::vector<int64_t> rows = AllRows(c);
  const double value = *pass.LossAndGradient(weights, rows, gradient, kNoCheck);
  EXPECT_NEAR(value, PlainLoss(c, gated, weights), 1e-12 * value);
  EXPECT_NEAR(*pass.Loss(weights, rows, kNoCheck), value, 1e-14 * value);

  const auto check = [&](double& weight, double derivative) {
    const double width = 1e-5;
    const double kept = weight;
    weight = kept + width;
    const double above = PlainLoss(c, gated, weights);
    weight = kept - width;
    const double below = PlainLoss(c, gated, weights);
    weight = kept;
    EXPECT_NEAR(derivative, (above - below) / (2 * width), 1e-8);
  };
  for (int64_t neuron = 0; neuron < neurons; ++neuron) {
    for (int k = 0; k < 5; ++k) check(weights.first.row(neuron)[k], gradient.first.row(neuron)[k]);
    for (int output = 0; output < 3; ++output) {
      check(weights.second.row(output)[neuron], gradient.second.row(output)[neuron]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Losses, NetworkGradientTest,
                         testing::Combine(testing::Values(NetworkLoss::kSquared,
                                                          NetworkLoss::kLogistic,
                                                          NetworkLoss::kSoftmax),
                                          testing::Bool(), testing::Bool()));

// So many features that rows and neurons are worked on in several pieces.
TEST(NetworkPassTest, PiecesAddUp) {
  for (const bool gated : {false, true}) {
    const int64_t neurons = 9;
    const int features = 150000;
    const NetworkCase c = RandomCase(NetworkLoss::kSquared, /*rows=*/30, features, /*outputs=*/2,
                                     neurons, /*weighted=*/true, /*seed=*/3);
    ThreadPool pool(2);
    const GateMask mask = *GateMask::Make(c.features, c.gates, kNoCheck, pool);
    NetworkWeights<double> weights(neurons, features, 2);
    Rng random(4);
    FillGaussian(weights.first, 0.003, random);
    FillGaussian(weights.second, 0.5, random);
    NetworkWeights<double> gradient(neurons, features, 2);
    NetworkPass<double> pass(DataOf(c), gated ? &mask : nullptr, neurons);
    const double value = *pass.LossAndGradient(weights, AllRows(c), gradient, kNoCheck);
    EXPECT_NEAR(value, PlainLoss(c, gated, weights), 1e-11 * value);

    // The derivative along a random direction.
    NetworkWeights<double> direction(neurons, features, 2);
    FillGaussian(direction.first, 0.003, random);
    FillGaussian(direction.second, 1, random);
    double expected = 0;
    const double width = 1e-6;
    double slope = 0;
    for (const double sign : {1.0, -1.0}) {
      NetworkWeights<double> moved(neurons, features, 2);
      const auto move = [&](PaddedMatrix<double>& to, const PaddedMatrix<double>& from,
                            const PaddedMatrix<double>& along) {
        for (int64_t i = 0; i < to.rows() * to.stride(); ++i) {
          to.data()[i] = from.data()[i] + sign * width * along.data()[i];
        }
      };
      move(moved.first, weights.first, direction.first);
      move(moved.second, weights.second, direction.second);
      expected += sign * PlainLoss(c, gated, moved) / (2 * width);
    }
    for (int64_t i = 0; i < gradient.first.rows() * gradient.first.stride(); ++i) {
      slope += gradient.first.data()[i] * direction.first.data()[i];
    }
    for (int64_t i = 0; i < gradient.second.rows() * gradient.second.stride(); ++i) {
      slope += gradient.second.data()[i] * direction.second.data()[i];
    }
    EXPECT_NEAR(slope, expected, 1e-5 * std::abs(expected));
  }
}

TEST(NetworkPassTest, FloatFollowsDouble) {
  const NetworkCase c = RandomCase(NetworkLoss::kSoftmax, 300, 17, 4, 40, false, 5);
  NetworkWeights<float> weights(40, 17, 4);
  NetworkWeights<double> exact(40, 17, 4);
  Rng random(6);
  FillGaussian(weights.first, 0.3, random);
  FillGaussian(weights.second, 0.3, random);
  std::copy_n(weights.first.data(), 40 * weights.first.stride(), exact.first.data());
  std::copy_n(weights.second.data(), 4 * weights.second.stride(), exact.second.data());
  NetworkPass<float> pass(DataOf(c), nullptr, 40);
  NetworkPass<double> exact_pass(DataOf(c), nullptr, 40);
  const double loss = *exact_pass.Loss(exact, AllRows(c), kNoCheck);
  EXPECT_NEAR(*pass.Loss(weights, AllRows(c), kNoCheck), loss, 1e-6 * loss);
}

TEST(NetworkPassTest, AWeightIsANumberOfCopies) {
  NetworkCase c = RandomCase(NetworkLoss::kLogistic, 6, 4, 1, 5, false, 9);
  c.row_weights = {2, 0, 1, 3, 0, 0};
  const std::vector<int64_t> copies = {0, 0, 2, 3, 3, 3};
  NetworkWeights<double> weights(5, 4, 1);
  Rng random(10);
  FillGaussian(weights.first, 1, random);
  FillGaussian(weights.second, 1, random);
  NetworkPass<double> weighted(DataOf(c), nullptr, 5);
  const double value = *weighted.Loss(weights, AllRows(c), kNoCheck);
  c.row_weights.clear();
  NetworkPass<double> repeated(DataOf(c), nullptr, 5);
  EXPECT_NEAR(*repeated.Loss(weights, copies, kNoCheck), value, 1e-14);
}

TEST(GateMaskTest, IsOpenWhereTheProductIsAboveZero) {
  NetworkCase c = RandomCase(NetworkLoss::kSquared, 130, 6, 1, 515, false, 11);
  std::fill_n(c.features.row(3), 6, 0.0F);  // all products 0: closed
  ThreadPool pool(3);
  const GateMask mask = *GateMask::Make(c.features, c.gates, kNoCheck, pool);
  for (int64_t row = 0; row < 130; ++row) {
    for (int64_t gate = 0; gate < 515; ++gate) {
      EXPECT_EQ((mask.row(row)[gate / 8] >> (gate % 8) & 1) == 1, IsOpen(c, row, gate));
    }
  }
}

TEST(GateMaskTest, EndsWithTheChecksError) {
  const NetworkCase c = RandomCase(NetworkLoss::kSquared, 130, 6, 1, 515, false, 11);
  ThreadPool pool(2);
  const auto mask = GateMask::Make(
      c.features, c.gates, [] { return absl::CancelledError("enough"); }, pool);
  EXPECT_EQ(mask.status(), absl::CancelledError("enough"));
}

TEST(NetworkDataTest, RejectsShapesThatDoNotFit) {
  const NetworkCase c = RandomCase(NetworkLoss::kSquared, 5, 3, 2, 1, false, 1);
  NetworkData data = DataOf(c);
  EXPECT_TRUE(CheckNetworkData(data).ok());
  data.outputs = 3;
  EXPECT_EQ(CheckNetworkData(data).code(), absl::StatusCode::kInvalidArgument);
  data = DataOf(c);
  const std::vector<float> weights(4, 1.0F);
  data.row_weights = weights;
  EXPECT_THAT(CheckNetworkData(data).message(), testing::HasSubstr("row_weights"));
  data.features = nullptr;
  EXPECT_THAT(CheckNetworkData(data).message(), testing::HasSubstr("features"));
}

}  // namespace
}  // namespace trainyard::convex_relu
