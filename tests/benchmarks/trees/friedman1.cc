#include "tests/benchmarks/trees/friedman1.h"

#include <cmath>
#include <numbers>
#include <numeric>
#include <random>

namespace trainyard {

Friedman1::Friedman1()
    : x(kFeatures, std::vector<double>(kRows)), y(kRows), table_rows(kRows), rows(kRows) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  std::normal_distribution<double> noise(0, 1);
  for (size_t i = 0; i < kRows; ++i) {
    for (size_t f = 0; f < kFeatures; ++f) x[f][i] = static_cast<double>(uniform(random));
    y[i] = 10 * std::sin(std::numbers::pi * x[0][i] * x[1][i]) +
           20 * (x[2][i] - 0.5) * (x[2][i] - 0.5) + 10 * x[3][i] + 5 * x[4][i] + noise(random);
  }
  for (const double value : y) above.push_back(value > 14.4 ? 1 : 0);
  for (const std::vector<double>& column : x) columns.push_back(FeatureColumn::Numeric(column));
  std::iota(table_rows.begin(), table_rows.end(), int64_t{0});
  std::iota(rows.begin(), rows.end(), uint32_t{0});
}

const Friedman1& Friedman1::Get() {
  static const auto* const data = new Friedman1();
  return *data;
}

}  // namespace trainyard
