// Patterns against signs taken row by row, and their number against counts from geometry.
#include "core/algorithms/convex_relu/gates.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/core/algorithms/convex_relu/random_products.h"

namespace trainyard::convex_relu {
namespace {

GatePatterns Find(const PaddedMatrix<double>& data, const GateSource& source,
                  const GateOptions& options = {}, int threads = 2) {
  ThreadPool pool(threads);
  return FindPatterns(data, source, options, pool, nullptr).value();
}

std::unique_ptr<GateSource> Gaussian(int features, int64_t count, uint64_t seed = 1) {
  return GaussianGates({.features = features, .count = count, .seed = seed}).value();
}

std::string PatternOf(const PaddedMatrix<double>& data, const double* gate) {
  std::string pattern;
  for (int64_t row = 0; row < data.rows(); ++row) {
    double value = 0;
    for (int i = 0; i < data.columns(); ++i) value = std::fma(data.row(row)[i], gate[i], value);
    pattern += value > 0 ? '1' : '0';
  }
  return pattern;
}

std::string PatternOf(const GatePatterns& found, int64_t p) {
  std::string pattern;
  for (int64_t row = 0; row < found.patterns.rows(); ++row) {
    pattern += found.patterns.Active(row, p) ? '1' : '0';
  }
  return pattern;
}

TEST(GatesTest, KeepsTheFirstGateOfEachPattern) {
  Rng rng(1);
  for (const auto& [rows, columns] : {std::pair{5, 2}, {20, 3}, {70, 2}, {130, 20}, {1, 1}}) {
    const PaddedMatrix<double> data = RandomMatrix<double>(rows, columns, rng);
    const auto source = Gaussian(columns, 400);
    std::set<std::string> seen = {std::string(static_cast<size_t>(rows), '0')};
    std::vector<int64_t> positions;
    std::vector<std::vector<double>> gates;
    for (int64_t i = 0; i < 400; ++i) {
      std::vector<double> gate(static_cast<size_t>(columns));
      source->Sample(i, gate);
      if (!seen.insert(PatternOf(data, gate.data())).second) continue;
      positions.push_back(i);
      gates.push_back(gate);
    }
    const GatePatterns found = Find(data, *source);
    EXPECT_EQ(found.sampled, 400);
    ASSERT_EQ(found.positions, positions);
    ASSERT_EQ(found.count(), static_cast<int64_t>(positions.size()));
    ASSERT_EQ(found.gates.rows(), found.count());
    for (int64_t p = 0; p < found.count(); ++p) {
      const std::vector<double>& gate = gates[static_cast<size_t>(p)];
      EXPECT_TRUE(std::equal(gate.begin(), gate.end(), found.gates.row(p)));
      EXPECT_EQ(PatternOf(found, p), PatternOf(data, gate.data()));
    }
  }
}

TEST(GatesTest, NumberOfPatternsStaysBelowItsBound) {
  // 2 sum_{k < r} C(n - 1, k), with r = 3 although there are 4 columns.
  Rng rng(2);
  PaddedMatrix<double> data = RandomMatrix<double>(9, 4, rng);
  for (int64_t row = 0; row < 9; ++row) data.row(row)[3] = data.row(row)[0] - data.row(row)[1];
  const GatePatterns found = Find(data, *Gaussian(4, 20000));
  EXPECT_LE(found.count(), 2 * (1 + 8 + 28) - 1);  // the pattern of zeros is left out
  EXPECT_GT(found.count(), 60);
}

// In the plane the half-circle of a gate meets the rows in the order of their angles: as many
// patterns as there are arcs between the 2 n directions at right angles to the rows.
TEST(GatesTest, FindsAllPatternsOfThePlane) {
  Rng rng(3);
  const int n = 12;
  const PaddedMatrix<double> data = RandomMatrix<double>(n, 2, rng);
  std::vector<double> ends;
  for (int64_t row = 0; row < n; ++row) {
    const double angle = std::atan2(data.row(row)[1], data.row(row)[0]);
    for (const double turn : {0.5, 1.5}) {
      ends.push_back(
          std::fmod(angle + turn * std::numbers::pi + 4 * std::numbers::pi, 2 * std::numbers::pi));
    }
  }
  std::sort(ends.begin(), ends.end());
  std::set<std::string> expected;
  for (size_t i = 0; i < ends.size(); ++i) {
    const double next = i + 1 < ends.size() ? ends[i + 1] : ends[0] + 2 * std::numbers::pi;
    const double angle = (ends[i] + next) / 2;
    const double gate[] = {std::cos(angle), std::sin(angle)};
    expected.insert(PatternOf(data, gate));
  }
  expected.erase(std::string(static_cast<size_t>(n), '0'));
  const GatePatterns found = Find(data, *Gaussian(2, 20000));
  std::set<std::string> reached;
  for (int64_t p = 0; p < found.count(); ++p) reached.insert(PatternOf(found, p));
  EXPECT_EQ(reached, expected);
}

TEST(GatesTest, AnOrderOfGatesOnlyChangesTheOrderOfPatterns) {
  Rng rng(4);
  const PaddedMatrix<double> data = RandomMatrix<double>(30, 2, rng);
  PaddedMatrix<double> gates = RandomMatrix<double>(300, 2, rng);
  PaddedMatrix<double> reversed(300, 2);
  for (int64_t i = 0; i < 300; ++i) std::copy_n(gates.row(299 - i), 2, reversed.row(i));
  const GatePatterns a = Find(data, *GivenGates(std::move(gates)));
  const GatePatterns b = Find(data, *GivenGates(std::move(reversed)));
  std::set<std::string> of_a;
  std::set<std::string> of_b;
  for (int64_t p = 0; p < a.count(); ++p) of_a.insert(PatternOf(a, p));
  for (int64_t p = 0; p < b.count(); ++p) of_b.insert(PatternOf(b, p));
  EXPECT_EQ(of_a, of_b);
  EXPECT_EQ(static_cast<int64_t>(of_a.size()), a.count());
  EXPECT_EQ(a.count(), b.count());
}

TEST(GatesTest, ZerosAreNotActive) {
  PaddedMatrix<double> data(3, 2);
  data.row(0)[0] = 1;
  data.row(1)[1] = 1;
  PaddedMatrix<double> gates(4, 2);
  gates.row(1)[0] = -1;    // all zeros
  gates.row(2)[1] = 1;     // row 1
  gates.row(3)[0] = -0.5;  // the same as the next but for row 1
  gates.row(3)[1] = 2;     // row 1 again
  const GatePatterns found = Find(data, *GivenGates(std::move(gates)));
  ASSERT_EQ(found.count(), 1);
  EXPECT_EQ(found.positions, std::vector<int64_t>{2});
  EXPECT_EQ(PatternOf(found, 0), "010");
}

TEST(GatesTest, BiasMakesTheShareOfRowsActive) {
  Rng rng(6);
  PaddedMatrix<double> data = RandomMatrix<double>(203, 6, rng);
  for (int64_t row = 0; row < data.rows(); ++row) data.row(row)[5] = 1 / std::sqrt(203.0);
  for (const auto& [share, active] :
       {std::pair{0.25, 51}, {0.5, 102}, {1e-9, 1}, {1 - 1e-9, 202}}) {
    const GatePatterns found = Find(data, *Gaussian(5, 150), {.active_proportion = share});
    ASSERT_GT(found.count(), 5);
    for (int64_t p = 0; p < found.count(); ++p) {
      EXPECT_EQ(found.patterns.ActiveRows(p), active);
      EXPECT_EQ(PatternOf(found, p), PatternOf(data, found.gates.row(p)));
    }
  }
}

TEST(GatesTest, ResultsAreTheSameForAnyThreadsAndInstructions) {
  Rng rng(7);
  PaddedMatrix<double> data = RandomMatrix<double>(517, 37, rng);
  for (int64_t row = 0; row < data.rows(); ++row) data.row(row)[36] = 0.1;
  for (const GateOptions& options : {GateOptions{}, GateOptions{.active_proportion = 0.3}}) {
    GateOptions avx2 = options;
    avx2.instruction_set = InstructionSet::kAvx2;
    const auto source = FeatureSparseGates({.features = 36, .count = 300, .seed = 5}, 2).value();
    const GatePatterns reference = Find(data, *source, avx2, 1);
    for (const int threads : {1, 2, 5}) {
      const GatePatterns found = Find(data, *source, options, threads);
      ASSERT_EQ(found.positions, reference.positions);
      for (int64_t p = 0; p < found.count(); ++p) {
        EXPECT_TRUE(
            std::equal(found.gates.row(p), found.gates.row(p) + 37, reference.gates.row(p)));
        ASSERT_EQ(PatternOf(found, p), PatternOf(reference, p));
      }
    }
  }
}

TEST(GatesTest, RefusesAProportionWithoutABias) {
  Rng rng(8);
  const PaddedMatrix<double> data = RandomMatrix<double>(10, 3, rng);
  ThreadPool pool(1);
  const auto source = Gaussian(2, 10);
  for (const double share : {0.0, 1.0, -1.0, 0.5}) {
    const auto found = FindPatterns(data, *source, {.active_proportion = share}, pool, nullptr);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << share;
  }
}

TEST(GatesTest, EndsWithTheStatusOfItsCheck) {
  Rng rng(9);
  const PaddedMatrix<double> data = RandomMatrix<double>(10, 3, rng);
  ThreadPool pool(1);
  int calls = 0;
  const auto found = FindPatterns(data, *Gaussian(3, 1000), {}, pool, [&calls] {
    return ++calls < 3 ? absl::OkStatus() : absl::CancelledError("enough");
  });
  EXPECT_EQ(found.status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace trainyard::convex_relu
