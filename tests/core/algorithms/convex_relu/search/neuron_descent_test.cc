// The descent, against the network's objective by a plain forward pass.
#include "core/algorithms/convex_relu/neuron_descent.h"

#include <gtest/gtest.h>

#include "core/algorithms/convex_relu/bit_matrix.h"
#include "tests/core/algorithms/convex_relu/search/search_problem.h"

namespace trainyard::convex_relu {
namespace {

struct DescentProblem {
  explicit DescentProblem(LossKind kind, int row_count = 80, int features = 5)
      : base(row_count, features, 11) {
    targets.loss = kind;
    targets.rows = row_count;
    for (const double slope : base.slopes) {
      targets.values.push_back(kind == LossKind::kLogistic ? (slope > 0 ? 1 : -1) : slope);
    }
  }

  std::vector<Neuron> RandomNeurons(int count, double length) const {
    std::mt19937_64 random(3);
    std::normal_distribution<double> normal;
    std::vector<Neuron> neurons;
    for (int i = 0; i < count; ++i) {
      const Eigen::VectorXd u =
          length * Eigen::VectorXd::NullaryExpr(base.x.cols(), [&] { return normal(random); });
      Neuron neuron{0, i % 2 == 0 ? 1 : -1, {u.begin(), u.end()}, {}};
      neuron.pattern.resize(static_cast<size_t>(BitBlocks(base.x.rows())));
      const Eigen::VectorXd products = base.x * u;
      for (int j = 0; j < products.size(); ++j) {
        if (products[j] > 0) neuron.pattern[static_cast<size_t>(j / 64)] |= uint64_t{1} << (j % 64);
      }
      neurons.push_back(std::move(neuron));
    }
    return neurons;
  }

  double Objective(const std::vector<Neuron>& neurons) const {
    Eigen::VectorXd z = Eigen::VectorXd::Zero(base.x.rows());
    double norms = 0;
    for (const Neuron& neuron : neurons) {
      const Eigen::VectorXd u = base.Head(neuron.weights);
      z += neuron.sign * (base.x * u).cwiseMax(0);
      norms += u.norm();
    }
    return RowLoss(targets).Value(z.data()) + lambda * norms;
  }

  NeuronDescentEnd Descend(int64_t sweeps, std::vector<Neuron>& neurons, int threads = 2) const {
    ThreadPool pool(threads);
    NeuronDescentOptions options;
    options.lambda = lambda;
    options.max_sweeps = sweeps;
    options.least_fall = 0;
    const RowLoss loss(targets);
    return DescendNeurons(base.rows, loss, options, neurons, pool, {}).value();
  }

  SearchProblem base;
  Targets targets;
  double lambda = 1e-3;
};

class NeuronDescentTest : public testing::TestWithParam<LossKind> {};

TEST_P(NeuronDescentTest, LowersTheNetworksOwnObjective) {
  const DescentProblem problem(GetParam());
  std::vector<Neuron> neurons = problem.RandomNeurons(20, 0.1);
  const double first = problem.Objective(neurons);
  double before = first;
  for (int i = 0; i < 5; ++i) {
    const NeuronDescentEnd end = problem.Descend(20, neurons);
    EXPECT_NEAR(end.objective_before, before, 1e-12);
    EXPECT_NEAR(end.objective, problem.Objective(neurons), 1e-12);
    EXPECT_LE(end.objective, before);
    before = end.objective;
    for (const Neuron& neuron : neurons) {  // in the cones of the patterns they have
      std::vector<double> padded(static_cast<size_t>(problem.base.rows.stride()));
      std::copy(neuron.weights.begin(), neuron.weights.end(), padded.begin());
      EXPECT_GE(problem.base.rows.LeastSlack(neuron.pattern.data(), padded.data()), -1e-12);
    }
  }
  EXPECT_LT(before, 0.7 * first);
}

TEST_P(NeuronDescentTest, EndsWhereNoNeuronCanMove) {
  const DescentProblem problem(GetParam(), 30, 3);
  std::vector<Neuron> neurons = problem.RandomNeurons(6, 0.3);
  problem.Descend(20000, neurons);
  const double objective = problem.Objective(neurons);
  std::mt19937_64 random(5);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 2000; ++i) {
    std::vector<Neuron> moved = neurons;
    for (double& weight : moved[static_cast<size_t>(i) % moved.size()].weights) {
      weight += 1e-4 * normal(random);
    }
    EXPECT_GE(problem.Objective(moved), objective - 1e-10);
  }
}

TEST_P(NeuronDescentTest, NeuronsOfZerosJoinWhereTheyHelp) {
  const DescentProblem problem(GetParam());
  std::vector<Neuron> neurons = problem.RandomNeurons(10, 0.1);
  for (Neuron& neuron : neurons) std::fill(neuron.weights.begin(), neuron.weights.end(), 0.0);
  const NeuronDescentEnd end = problem.Descend(50, neurons);
  EXPECT_LT(end.objective, 0.95 * end.objective_before);
  EXPECT_GT(neurons.size(), 0u);
  DescentProblem strong(GetParam());
  strong.lambda = 10;
  const double before = strong.Objective(neurons);
  EXPECT_NEAR(strong.Descend(50, neurons).objective_before, before, 1e-12 * before);
  EXPECT_TRUE(neurons.empty());
}

TEST_P(NeuronDescentTest, TheSameForEveryNumberOfThreads) {
  const DescentProblem problem(GetParam(), 3000, 4);  // more rows than a part of products
  std::vector<Neuron> one = problem.RandomNeurons(6, 0.1);
  std::vector<Neuron> three = one;
  EXPECT_EQ(problem.Descend(15, one, 1).slopes, problem.Descend(15, three, 3).slopes);
  ASSERT_EQ(one.size(), three.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].weights, three[i].weights);
}

INSTANTIATE_TEST_SUITE_P(Losses, NeuronDescentTest,
                         testing::Values(LossKind::kSquared, LossKind::kLogistic));

}  // namespace
}  // namespace trainyard::convex_relu
