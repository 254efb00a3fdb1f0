#include "core/trees/boosting/vector_exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace trainyard {
namespace {

// The reference is std::exp in long double.
TEST(VectorExpTest, IsWithinTwoUnitsInTheLastPlace) {
  std::vector<double> x;
  for (int i = -70800; i <= 70900; ++i) x.push_back(i * 0.01 + i * 1e-7);
  for (int i = -1000; i <= 1000; ++i) x.push_back(i * 1e-6);
  std::vector<double> values = x;
  ExpInPlace(values);
  for (size_t i = 0; i < x.size(); ++i) {
    if (std::abs(x[i]) > 708) continue;
    const double exact = static_cast<double>(std::exp(static_cast<long double>(x[i])));
    EXPECT_NEAR(values[i] / exact, 1, 4.5e-16) << x[i];
  }
}

TEST(VectorExpTest, ExtremesStayNormal) {
  const double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> values = {-infinity, -1e300, 1e300, infinity, 0};
  ExpInPlace(values);
  EXPECT_GT(values[0], 0);
  EXPECT_LT(values[0], 1e-300);
  EXPECT_EQ(values[0], values[1]);
  EXPECT_TRUE(std::isfinite(values[3]));
  EXPECT_GT(values[3], 1e300);
  EXPECT_EQ(values[2], values[3]);
  EXPECT_EQ(values[4], 1);
}

}  // namespace
}  // namespace trainyard
