#include "core/algorithms/convex_relu/course.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace trainyard::convex_relu {
namespace {

TEST(CourseTest, PenaltiesAreEvenInTheirLogarithms) {
  const std::vector<double> lambdas = PenaltySequence(8, 1e-3, 4);
  ASSERT_EQ(lambdas.size(), 4u);
  EXPECT_NEAR(lambdas[0], 8, 1e-12);
  EXPECT_NEAR(lambdas[1], 0.8, 1e-12);
  EXPECT_NEAR(lambdas[3], 0.008, 1e-12);
  EXPECT_EQ(PenaltySequence(8, 1e-3, 1), std::vector<double>{8});
}

TEST(CourseTest, ErrorsHaveTheirMeanAndItsStandardError) {
  Course course;
  course.lambdas = {1, 0.5};
  course.fold_errors = {{1, 4}, {2, 4}, {3, 7}};
  const std::vector<FoldError> errors = FoldErrorsOf(course);
  EXPECT_NEAR(errors[0].mean, 2, 1e-12);
  EXPECT_NEAR(errors[0].standard_error, 1 / std::sqrt(3), 1e-12);
  EXPECT_NEAR(errors[1].mean, 5, 1e-12);
  EXPECT_NEAR(errors[1].standard_error, 1, 1e-12);
}

TEST(CourseTest, SelectsTheLargestPenaltyThatIsGoodEnough) {
  using v1::ConvexReluPath;
  const std::vector<FoldError> errors = {{9, 1}, {5.4, 1}, {5, 0.5}, {5, 0.5}, {6, 1}};
  EXPECT_EQ(SelectPenalty(ConvexReluPath::SELECTION_MINIMUM, errors), 2);
  EXPECT_EQ(SelectPenalty(ConvexReluPath::SELECTION_ONE_STANDARD_ERROR, errors), 1);
  EXPECT_EQ(SelectPenalty(ConvexReluPath::SELECTION_SMALLEST, errors), 4);
}

Course MakeCourse() {
  Course course;
  course.lambdas = {2, 1};
  course.largest_lambda = 2.5;
  course.leg = 1;
  course.next = 1;
  course.fold_errors = {{1, 2}};
  FitResult fit;
  fit.lambda = 2;
  fit.end = SolveEnd::kStalled;
  fit.objective = 7;
  fit.bound = 6;
  fit.iterations = 5;
  fit.norm_ratio = 3;
  fit.blocks.push_back({1, 4, -1, {1, 2, 3}});
  course.fits.push_back(fit);
  course.search.rounds = 2;
  course.search.added.push_back({{1, 2}, {3}});
  course.solver = "state";
  course.iterations = 9;
  course.seconds = 0.5;
  return course;
}

TEST(CourseTest, IsReadAsItWasWritten) {
  const std::string bytes = EncodeCourse(MakeCourse(), 42);
  const std::optional<Course> read = DecodeCourse(bytes, 42);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(EncodeCourse(*read, 42), bytes);
  EXPECT_EQ(read->fits[0].blocks[0].weights, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(read->fits[0].bound, 6);
  EXPECT_FALSE(read->fits[0].gated_objective.has_value());
  EXPECT_EQ(read->largest_lambda, 2.5);
}

TEST(CourseTest, OtherJobsAndDamagedBytesAreRefused) {
  const std::string bytes = EncodeCourse(MakeCourse(), 42);
  EXPECT_FALSE(DecodeCourse(bytes, 43).has_value());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x20);
    EXPECT_FALSE(DecodeCourse(damaged, 42).has_value()) << i;
    EXPECT_FALSE(DecodeCourse(std::string_view(bytes).substr(0, i), 42).has_value()) << i;
  }
}

}  // namespace
}  // namespace trainyard::convex_relu
