// The scans of every kind and instruction set against stumps found row by row: each threshold's two
// sides are made nodes of their own, and their best split by a feature is looked for without
// vectors.
#include "core/algorithms/quant_bnb/scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/algorithms/quant_bnb/stump.h"
#include "core/algorithms/quant_bnb/stump_scanner.h"
#include "core/base/random.h"
#include "gtest/gtest.h"

namespace trainyard::quant_bnb {
namespace {

enum class Weights { kOne, kWhole, kLarge, kReal };

struct Shape {
  const char* name;
  int outputs;
  bool regression = false;
  bool costs = false;
  Weights weights = Weights::kOne;
  int min_samples_leaf = 1;
};

// Features with and without ties; the target goes with the first one.
class ScanCase {
 public:
  ScanCase(const Shape& shape, int rows) : shape_(shape), rng_(77, static_cast<uint64_t>(rows)) {
    for (const int distinct : {rows * 8, 40, 3}) AddFeature(rows, distinct);
    for (int row = 0; row < rows; ++row) AddRow(row);
    for (const std::vector<double>& column : numbers_) {
      input_.features.push_back(FeatureColumn::Numeric(column));
    }
    AddCosts();
    spec_.set_min_samples_leaf(shape.min_samples_leaf);
    spec_.set_split_penalty(shape.regression ? 0.25 : 1);
    ThreadPool pool(1);
    problem_.emplace(SearchProblem::Build(input(), spec_, pool, nullptr).value());
    node_.AssignRoot(*problem_);
  }

  const SearchNode& node() const { return node_; }

 private:
  struct Storage {
    std::vector<FeatureColumn> features;
    std::vector<int64_t> rows;
    std::vector<int32_t> classes;
    std::vector<double> values;
    std::vector<double> weights;
    std::vector<double> costs;
  };

  OptimalTreeInput input() const {
    OptimalTreeInput input;
    input.features = input_.features;
    input.rows = input_.rows;
    input.classes = input_.classes;
    input.values = input_.values;
    input.weights = input_.weights;
    input.costs = input_.costs;
    input.outputs = shape_.outputs;
    return input;
  }

  void AddFeature(int rows, int distinct) {
    std::vector<double> column;
    for (int row = 0; row < rows; ++row) {
      column.push_back(static_cast<double>(rng_.UniformInt(static_cast<uint64_t>(distinct))));
    }
    numbers_.push_back(std::move(column));
  }

  void AddRow(int row) {
    input_.rows.push_back(row);
    const double x = numbers_[1][static_cast<size_t>(row)] / 40;
    if (shape_.regression) {
      for (int o = 0; o < shape_.outputs; ++o) {
        input_.values.push_back(1e6 + o * x + rng_.NextGaussian());
      }
    } else {
      const int own = static_cast<int>(x * shape_.outputs);
      const int any = static_cast<int>(rng_.UniformInt(static_cast<uint64_t>(shape_.outputs)));
      input_.classes.push_back(rng_.NextDouble() < 0.5 ? own : any);
    }
    switch (shape_.weights) {
      case Weights::kOne:
        break;
      case Weights::kWhole:
        input_.weights.push_back(1 + static_cast<double>(rng_.UniformInt(5)));
        break;
      case Weights::kLarge:
        input_.weights.push_back(1000 + static_cast<double>(rng_.UniformInt(500)));
        break;
      case Weights::kReal:
        input_.weights.push_back(0.01 + rng_.NextDouble());
        break;
    }
  }

  void AddCosts() {
    if (!shape_.costs) return;
    for (int actual = 0; actual < shape_.outputs; ++actual) {
      for (int predicted = 0; predicted < shape_.outputs; ++predicted) {
        input_.costs.push_back(actual == predicted ? 0 : 0.5 + rng_.NextDouble());
      }
    }
  }

  const Shape shape_;
  Rng rng_;
  std::vector<std::vector<double>> numbers_;
  Storage input_;
  v1::QuantBnbSpec spec_;
  std::optional<SearchProblem> problem_;
  SearchNode node_;
};

// Up to `most` places of a feature where the order can be cut, evenly spread.
std::vector<int> Places(const SearchNode& node, int feature, size_t most) {
  std::vector<int> all;
  for (int place = 0; place + 1 < node.row_count(); ++place) {
    if ((node.order(feature)[static_cast<size_t>(place)] & kLastOfValue) != 0) {
      all.push_back(place);
    }
  }
  std::vector<int> chosen;
  const size_t count = std::min(most, all.size());
  for (size_t i = 0; i < count; ++i) chosen.push_back(all[i * all.size() / count]);
  return chosen;
}

// The best stump by a feature of the whole problem, which may be constant in the node.
double StumpLoss(const SearchNode& node, int feature, int64_t min_samples) {
  for (int f = 0; f < node.feature_count(); ++f) {
    if (node.features()[static_cast<size_t>(f)] == feature) {
      return BestStumpOf(node, f, min_samples).loss;
    }
  }
  return node.sample_count() >= min_samples ? node.leaf_loss()
                                            : std::numeric_limits<double>::infinity();
}

void ExpectClose(double value, double expected, double scale, const std::string& where) {
  if (std::isinf(expected)) {
    EXPECT_EQ(value, expected) << where;
  } else {
    EXPECT_NEAR(value, expected, 1e-10 * scale) << where;
  }
}

class ScanTest : public testing::TestWithParam<Shape> {
 protected:
  static void Check(const SearchNode& node, const ScanFunctions& functions,
                    const std::string& name) {
    StumpScanner scanner(functions);
    scanner.Assign(node);
    std::vector<std::vector<int>> places;
    std::vector<ThresholdGroup> groups;
    for (int g = 0; g < scanner.max_groups(); ++g) {
      places.push_back(Places(node, g, static_cast<size_t>(kLanes - 3 * g)));
    }
    for (int g = 0; g < scanner.max_groups(); ++g) {
      groups.push_back({g, places[static_cast<size_t>(g)]});
    }
    scanner.Prepare(groups);
    AlignedBytes scratch;
    for (int child = 0; child < node.feature_count(); ++child) {
      SideLosses losses[kMaxGroups];
      scanner.ScanFeature(child, scratch, losses);
      for (size_t g = 0; g < groups.size(); ++g) {
        CheckGroup(node, groups[g], child, losses[g], absl::StrCat(name, " child ", child));
      }
    }
  }

 private:
  static void CheckGroup(const SearchNode& node, const ThresholdGroup& group, int child,
                         const SideLosses& losses, const std::string& name) {
    const int64_t least = node.problem().min_samples_leaf();
    const int feature = node.features()[static_cast<size_t>(child)];
    for (size_t lane = 0; lane < group.places.size(); ++lane) {
      SearchNode sides[2];
      SearchNode::Split(node, group.feature, group.places[lane] + 1, sides[0], sides[1]);
      for (int side = 0; side < 2; ++side) {
        const std::string where = absl::StrCat(name, " lane ", lane, " side ", side);
        ExpectClose(losses.relaxed[side][lane], StumpLoss(sides[side], feature, 1),
                    node.leaf_loss(), where);
        ExpectClose(losses.constrained[side][lane], StumpLoss(sides[side], feature, least),
                    node.leaf_loss(), where);
      }
    }
  }
};

TEST_P(ScanTest, FindsWhatTheSearchRowByRowFinds) {
  for (const int rows : {2, 17, 300}) {
    const ScanCase data(GetParam(), rows);
    if (data.node().feature_count() < kMaxGroups) continue;
    Check(data.node(), Avx2Scans(), absl::StrCat("AVX2, ", rows, " rows,"));
    Check(data.node(), FastestScans(), absl::StrCat("fastest, ", rows, " rows,"));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ScanTest,
    testing::Values(
        Shape{"TwoClasses", 2}, Shape{"TwoClassesWhole", 2, false, false, Weights::kWhole},
        Shape{"TwoClassesLarge", 2, false, false, Weights::kLarge},
        Shape{"TwoClassesReal", 2, false, false, Weights::kReal},
        Shape{"TwoClassesCosts", 2, false, true, Weights::kOne},
        Shape{"TwoClassesLeaf", 2, false, false, Weights::kOne, 4},
        Shape{"TwoClassesLargeLeaf", 2, false, false, Weights::kLarge, 4},
        Shape{"TwoClassesCostsLeaf", 2, false, true, Weights::kReal, 4}, Shape{"FiveClasses", 5},
        Shape{"FiveClassesWhole", 5, false, false, Weights::kWhole},
        Shape{"FiveClassesLarge", 5, false, false, Weights::kLarge},
        Shape{"FiveClassesReal", 5, false, false, Weights::kReal},
        Shape{"FiveClassesLeaf", 5, false, false, Weights::kOne, 4},
        Shape{"FiveClassesLargeLeaf", 5, false, false, Weights::kLarge, 4},
        Shape{"FiveClassesRealLeaf", 5, false, false, Weights::kReal, 4},
        Shape{"FiveClassesCosts", 5, false, true, Weights::kWhole},
        Shape{"FiveClassesCostsLeaf", 5, false, true, Weights::kReal, 4},
        Shape{"OneTarget", 1, true}, Shape{"OneTargetReal", 1, true, false, Weights::kReal},
        Shape{"OneTargetLeaf", 1, true, false, Weights::kReal, 4}, Shape{"TwoTargets", 2, true},
        Shape{"ThreeTargetsLeaf", 3, true, false, Weights::kOne, 4},
        Shape{"FiveTargets", 5, true, false, Weights::kReal},
        Shape{"FiveTargetsLeaf", 5, true, false, Weights::kReal, 4}),
    [](const testing::TestParamInfo<Shape>& shape) { return std::string(shape.param.name); });

}  // namespace
}  // namespace trainyard::quant_bnb
