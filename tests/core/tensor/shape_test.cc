#include "core/tensor/shape.h"

#include <gtest/gtest.h>

#include <functional>

#include "core/tensor/tensor_error.h"

namespace trainyard {
namespace {

std::string ErrorOf(const std::function<void()>& function) {
  try {
    function();
  } catch (const TensorError& error) {
    EXPECT_EQ(error.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(error.status().message(), error.what());
    return error.what();
  }
  return "no error";
}

TEST(ShapeTest, CountsElements) {
  EXPECT_EQ(Shape().elements(), 1);
  EXPECT_EQ(Shape({2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape({2, 0, 4}).elements(), 0);
}

TEST(ShapeTest, NegativeAxesCountFromTheEnd) {
  const Shape shape = {2, 3, 4};
  EXPECT_EQ(shape[-1], 4);
  EXPECT_EQ(shape.dim(-3), 2);
  EXPECT_EQ(shape.AxisOf(-2), 1);
}

TEST(ShapeTest, ChangesOneDimension) {
  const Shape shape = {2, 3};
  EXPECT_EQ(shape.WithDim(-1, 7), Shape({2, 7}));
  EXPECT_EQ(shape.WithoutDim(0), Shape({3}));
  EXPECT_EQ(shape.WithInserted(0, 5), Shape({5, 2, 3}));
  EXPECT_EQ(shape.WithInserted(2, 5), Shape({2, 3, 5}));
  EXPECT_EQ(shape.WithAppended(9), Shape({2, 3, 9}));
  EXPECT_EQ(Shape().WithAppended(9), Shape({9}));
}

TEST(ShapeTest, EqualMeansSameRankAndSizes) {
  EXPECT_FALSE(Shape({2, 3}) == Shape({2, 3, 1}));
  EXPECT_FALSE(Shape({2, 3}) == Shape({3, 2}));
  // Sizes of dropped dimensions do not matter.
  EXPECT_EQ(Shape({2, 3, 4}).WithoutDim(2), Shape({2, 3}));
}

TEST(ShapeTest, BroadcastsByTheRuleOfNumPy) {
  EXPECT_EQ(BroadcastShapes("add", {2, 3}, {3}), Shape({2, 3}));
  EXPECT_EQ(BroadcastShapes("add", {5, 1, 3}, {4, 1}), Shape({5, 4, 3}));
  EXPECT_EQ(BroadcastShapes("add", {}, {4, 1}), Shape({4, 1}));
  EXPECT_EQ(BroadcastShapes("add", {0, 1}, {1, 3}), Shape({0, 3}));
}

TEST(ShapeTest, ErrorsSayWhatIsWrong) {
  EXPECT_EQ(ErrorOf([] { return Shape({2, 3}).dim(2); }), "shape: no dimension 2 in [2, 3]");
  EXPECT_EQ(ErrorOf([] { return Shape({2, 3}).dim(-3); }), "shape: no dimension -3 in [2, 3]");
  EXPECT_EQ(ErrorOf([] { Shape({2, -3}); }), "shape: a dimension of -3; none may be negative");
  EXPECT_EQ(ErrorOf([] {
              Shape({1, 1, 1, 1, 1, 1, 1});
            }),
            "shape: 7 dimensions; at most 6 are possible");
  EXPECT_EQ(ErrorOf([] {
              Shape({1, 1, 1, 1, 1, 1}).WithAppended(1);
            }),
            "shape: [1, 1, 1, 1, 1, 1] cannot have a further dimension");
  EXPECT_EQ(ErrorOf([] {
              BroadcastShapes("add", {2, 3}, {4});
            }),
            "add: shapes [2, 3] and [4] do not fit each other");
}

}  // namespace
}  // namespace trainyard
