// Optimal trees of small public tables: the numbers of errors that other exact solvers find
// (pycontree 1.0.8 and pytrees-rs 2.0.0, which agree), and squared errors found by trying every
// split of the root.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/data/table.h"
#include "gtest/gtest.h"
#include "proto/schema/field_rules.h"
#include "tests/paths.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;

constexpr Spec::Bound kBounds[] = {Spec::BOUND_POINTWISE, Spec::BOUND_W0, Spec::BOUND_W1,
                                   Spec::BOUND_W2};

// A table whose last column is the target.
struct RealTable {
  explicit RealTable(const std::string& name)
      : table(ReadTable(std::filesystem::path(kTestData) / "hs" / (name + ".csv"), {}, {}, 1)
                  .value()) {
    const int last = table->column_count() - 1;
    for (int c = 0; c < last; ++c) {
      features.push_back(FeatureColumn::Numeric(table->numbers(c)));
    }
    target = table->numbers(last);
    rows.resize(target.size());
    std::iota(rows.begin(), rows.end(), int64_t{0});
    classes.assign(target.begin(), target.end());
  }

  OptimalTreeInput ClassInput() const {
    OptimalTreeInput input;
    input.features = features;
    input.rows = rows;
    input.classes = classes;
    input.outputs = *std::max_element(classes.begin(), classes.end()) + 1;
    return input;
  }
  OptimalTreeInput ValueInput() const {
    OptimalTreeInput input;
    input.features = features;
    input.rows = rows;
    input.values = target;
    return input;
  }

  std::shared_ptr<const Table> table;
  std::vector<FeatureColumn> features;
  std::vector<int64_t> rows;
  std::span<const double> target;
  std::vector<int32_t> classes;
};

OptimalTree Find(const OptimalTreeInput& input, Spec::Bound bound, int depth) {
  Spec spec;
  FillDefaults(spec);
  spec.set_bound(bound);
  spec.set_depth(depth);
  ThreadPool pool(2);
  return FindOptimalTree(input, spec, nullptr, pool, SearchHooks()).value();
}

struct KnownErrors {
  const char* table;
  int errors[3];  // of one, two and three levels
};

class RealTablesTest : public testing::TestWithParam<KnownErrors> {};

TEST_P(RealTablesTest, MakesAsFewErrorsAsOtherExactSolvers) {
  const RealTable table(GetParam().table);
  for (int depth = 1; depth <= 3; ++depth) {
    for (const Spec::Bound bound : kBounds) {
      if (depth == 3 && (bound == Spec::BOUND_W1 || bound == Spec::BOUND_W2)) continue;  // slow
      const OptimalTree found = Find(table.ClassInput(), bound, depth);
      EXPECT_EQ(found.status, v1::QuantBnbReport::STATUS_OPTIMAL);
      EXPECT_EQ(found.progress.incumbent, GetParam().errors[depth - 1])
          << depth << " levels, " << Spec::Bound_Name(bound);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tables, RealTablesTest,
                         testing::Values(KnownErrors{"breast_cancer_recurrence", {73, 62, 55}},
                                         KnownErrors{"diabetes_pima", {192, 171, 151}},
                                         KnownErrors{"haberman", {74, 67, 58}},
                                         KnownErrors{"heart", {64, 54, 35}},
                                         KnownErrors{"iris", {50, 6, 1}},
                                         KnownErrors{"wine", {54, 6, 0}}),
                         [](const testing::TestParamInfo<KnownErrors>& known) {
                           return std::string(known.param.table);
                         });

// The least squared error of one split at most of these rows, by sorting them anew.
double BestStump(const RealTable& table, const std::vector<int64_t>& rows) {
  double sum = 0;
  double squares = 0;
  for (const int64_t row : rows) {
    const double value = table.target[static_cast<size_t>(row)];
    sum += value;
    squares += value * value;
  }
  const double count = static_cast<double>(rows.size());
  double gain = sum * sum / count;
  for (const FeatureColumn& feature : table.features) {
    std::vector<std::pair<double, double>> pairs;
    for (const int64_t row : rows) {
      pairs.emplace_back(feature.numbers[static_cast<size_t>(row)],
                         table.target[static_cast<size_t>(row)]);
    }
    std::sort(pairs.begin(), pairs.end());
    double left = 0;
    for (size_t i = 0; i + 1 < pairs.size(); ++i) {
      left += pairs[i].second;
      if (pairs[i].first == pairs[i + 1].first) continue;
      const double n = static_cast<double>(i + 1);
      gain = std::max(gain, left * left / n + (sum - left) * (sum - left) / (count - n));
    }
  }
  return squares - gain;
}

TEST(RealRegressionTest, RegressionIsOptimalOverAllRootSplits) {
  const RealTable table("diabetes_progression");
  double expected = std::numeric_limits<double>::infinity();
  for (const FeatureColumn& feature : table.features) {
    std::vector<double> values(feature.numbers.begin(), feature.numbers.end());
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    values.pop_back();
    for (const double value : values) {
      std::vector<int64_t> sides[2];
      for (const int64_t row : table.rows) {
        sides[feature.numbers[static_cast<size_t>(row)] <= value ? 0 : 1].push_back(row);
      }
      expected = std::min(expected, BestStump(table, sides[0]) + BestStump(table, sides[1]));
    }
  }
  for (const Spec::Bound bound : kBounds) {
    const OptimalTree found = Find(table.ValueInput(), bound, 2);
    EXPECT_NEAR(found.progress.incumbent, expected, 1e-9 * expected) << Spec::Bound_Name(bound);
  }
}

TEST(RealRegressionTest, RegressionOfThreeLevelsIsTheSameByEveryBound) {
  const RealTable table("diabetes_progression");
  const double expected = Find(table.ValueInput(), Spec::BOUND_POINTWISE, 3).progress.incumbent;
  EXPECT_NEAR(Find(table.ValueInput(), Spec::BOUND_W0, 3).progress.incumbent, expected,
              1e-9 * expected);
}

}  // namespace
}  // namespace trainyard
