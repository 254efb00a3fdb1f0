// Friedman's first function as data of the benchmarks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/trees/tree.h"

namespace trainyard {

// y = 10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4 + N(0, 1), x uniform and rounded to float.
struct Friedman1 {
  static constexpr size_t kRows = 100'000;
  static constexpr size_t kFeatures = 20;

  std::vector<std::vector<double>> x;
  std::vector<double> y;
  std::vector<int32_t> above;  // whether y is above 14.4, its median
  std::vector<FeatureColumn> columns;
  std::vector<int64_t> table_rows;
  std::vector<uint32_t> rows;

  // Made once.
  static const Friedman1& Get();

 private:
  Friedman1();
};

}  // namespace trainyard
