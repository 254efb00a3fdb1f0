#include "tests/core/algorithms/quant_bnb/random_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/random.h"

namespace trainyard {
namespace {

// Greatest numbers of rows by depth, for which trying everything takes milliseconds.
constexpr int kMostRows[] = {0, 40, 40, 14};
// One in so many cases of depth 3 is larger.
constexpr uint64_t kLargeEvery = 64;
constexpr int kLargeRows = 24;

class CaseMaker {
 public:
  explicit CaseMaker(uint64_t seed) : rng_(seed, 17) {}

  RandomCase Make() {
    SetSpec();
    table_rows_ = 2 + Below(MostRows() - 1);
    const int features = 1 + Below(4);
    for (int f = 0; f < features; ++f) AddFeature();
    RepeatRows();
    SelectRows();
    AddTarget();
    AddWeights();
    AddViews();
    return std::move(case_);
  }

 private:
  int Below(int bound) { return static_cast<int>(rng_.UniformInt(static_cast<uint64_t>(bound))); }
  bool OneIn(int count) { return Below(count) == 0; }

  int MostRows() {
    const int depth = case_.spec.depth();
    return depth == 3 && rng_.UniformInt(kLargeEvery) == 0 ? kLargeRows : kMostRows[depth];
  }

  void SetSpec() {
    v1::QuantBnbSpec& spec = case_.spec;
    spec.set_depth(1 + Below(3));
    spec.set_min_samples_leaf(OneIn(2) ? 1 : 1 + Below(5));
    spec.set_split_penalty(0);
    spec.set_bound(v1::QuantBnbSpec::BOUND_POINTWISE);
    spec.set_missing_values(v1::QuantBnbSpec::MISSING_VALUES_LEARNED);
    spec.set_deterministic(true);
    spec.set_quantiles(2 + Below(4));
    v1::SearchLimits& limits = *spec.mutable_limits();
    limits.set_time_seconds(0);
    limits.set_evaluations(0);
    limits.set_absolute_gap(0);
    limits.set_relative_gap(0);
    v1::LookaheadOptions& lookahead = *spec.mutable_lookahead();
    lookahead.set_max_depth(0);
    lookahead.set_polish_levels(0);
  }

  void AddFeature() {
    const size_t rows = static_cast<size_t>(table_rows_);
    if (!case_.numbers.empty() && OneIn(10)) {  // equal to the one before
      case_.numbers.push_back(case_.numbers.back());
      case_.codes.push_back(case_.codes.back());
      case_.level_counts.push_back(case_.level_counts.back());
      return;
    }
    const bool some_missing = OneIn(4);
    std::vector<double> numbers;
    std::vector<int32_t> codes;
    int32_t levels = 0;
    if (OneIn(5)) {
      levels = 1 + Below(5);
      for (size_t row = 0; row < rows; ++row) {
        codes.push_back(some_missing && OneIn(4) ? -1 : Below(levels));
      }
    } else {
      const int distinct = OneIn(12) ? 1 : OneIn(2) ? 2 + Below(6) : 1000000;
      const double scale = OneIn(8) ? 1e-300 : 1.0;
      for (size_t row = 0; row < rows; ++row) {
        const double value = (Below(distinct) - distinct / 2) * scale;
        numbers.push_back(some_missing && OneIn(4) ? std::numeric_limits<double>::quiet_NaN()
                          : OneIn(10)              ? -0.0
                                                   : value);
      }
    }
    case_.numbers.push_back(std::move(numbers));
    case_.codes.push_back(std::move(codes));
    case_.level_counts.push_back(levels);
  }

  // Makes some rows copies of others.
  void RepeatRows() {
    if (!OneIn(3)) return;
    for (int copies = Below(table_rows_ / 2 + 1); copies > 0; --copies) {
      const size_t from = static_cast<size_t>(Below(table_rows_));
      const size_t to = static_cast<size_t>(Below(table_rows_));
      for (size_t f = 0; f < case_.numbers.size(); ++f) {
        if (case_.level_counts[f] > 0) {
          case_.codes[f][to] = case_.codes[f][from];
        } else {
          case_.numbers[f][to] = case_.numbers[f][from];
        }
      }
    }
  }

  // The training rows: all of the table's, or some in another order.
  void SelectRows() {
    case_.rows.resize(static_cast<size_t>(table_rows_));
    std::iota(case_.rows.begin(), case_.rows.end(), int64_t{0});
    if (!OneIn(3)) return;
    rng_.Shuffle(std::span<int64_t>(case_.rows));
    case_.rows.resize(static_cast<size_t>(1 + Below(table_rows_)));
  }

  void AddTarget() {
    if (OneIn(2)) {
      AddClasses();
    } else {
      AddValues();
    }
    if (OneIn(3)) AddPenalty();
  }

  void AddClasses() {
    case_.spec.set_task(v1::QuantBnbSpec::TASK_CLASSIFICATION);
    case_.outputs = 2 + Below(OneIn(2) ? 1 : 4);
    for (size_t i = 0; i < case_.rows.size(); ++i) case_.classes.push_back(Below(case_.outputs));
    if (!OneIn(4)) return;
    const bool whole = OneIn(2);
    for (int actual = 0; actual < case_.outputs; ++actual) {
      for (int predicted = 0; predicted < case_.outputs; ++predicted) {
        const double cost = whole ? Below(4) : 3 * rng_.NextDouble();
        case_.costs.push_back(actual == predicted ? 0 : cost);
      }
    }
  }

  void AddValues() {
    case_.spec.set_task(v1::QuantBnbSpec::TASK_REGRESSION);
    case_.outputs = 1 + (OneIn(2) ? 0 : Below(3));
    const double shift = OneIn(3) ? 1e6 : 0.0;
    const bool ties = OneIn(3);
    const int count = static_cast<int>(case_.rows.size()) * case_.outputs;
    for (int i = 0; i < count; ++i) {
      case_.values.push_back(shift + (ties ? Below(4) : rng_.NextGaussian()));
    }
  }

  void AddPenalty() {
    const double scale = OneIn(3) ? 5.0 : 1.0;
    case_.spec.set_split_penalty(OneIn(2) ? 1 + Below(2) : scale * rng_.NextDouble());
  }

  void AddWeights() {
    if (!OneIn(2)) return;
    const bool whole = OneIn(2);
    for (size_t i = 0; i < case_.rows.size(); ++i) {
      const double weight = whole ? 1 + Below(4) : 0.01 + rng_.NextDouble();
      case_.weights.push_back(OneIn(6) ? 0 : weight);
    }
    if (std::all_of(case_.weights.begin(), case_.weights.end(), [](double w) { return w == 0; })) {
      case_.weights[0] = 1;
    }
  }

  void AddViews() {
    for (size_t f = 0; f < case_.level_counts.size(); ++f) {
      case_.features.push_back(
          case_.level_counts[f] > 0
              ? FeatureColumn::Categorical(case_.codes[f], case_.level_counts[f])
              : FeatureColumn::Numeric(case_.numbers[f]));
    }
  }

  Rng rng_;
  int table_rows_ = 0;
  RandomCase case_;
};

}  // namespace

OptimalTreeInput RandomCase::input() const {
  OptimalTreeInput input;
  input.features = features;
  input.rows = rows;
  input.classes = classes;
  input.values = values;
  input.outputs = outputs;
  input.weights = weights;
  input.costs = costs;
  return input;
}

std::string RandomCase::Description() const {
  return absl::StrCat("rows ", rows.size(), ", features ", features.size(), ", outputs ", outputs,
                      classes.empty() ? ", regression" : ", classification",
                      weights.empty() ? "" : ", weighted", costs.empty() ? "" : ", costs", "\n",
                      spec.DebugString());
}

RandomCase MakeRandomCase(uint64_t seed) { return CaseMaker(seed).Make(); }

}  // namespace trainyard
