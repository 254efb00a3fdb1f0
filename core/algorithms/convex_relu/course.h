// Which problems a job solves, how far it is, and what it found.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/algorithms/convex_relu/fit.h"
#include "core/algorithms/convex_relu/gate_rounds.h"
#include "trainyard/v1/convex_relu.pb.h"

namespace trainyard::convex_relu {

// A job solves every lambda on the training rows without each fold (the legs 0 to folds - 1), then
// on all of them (the last leg), always in descending order and each from the one before. Then
// patterns may be added to those of the lambda chosen (the leg folds + 1, `search`).
struct Course {
  std::vector<double> lambdas;  // descending
  std::optional<double> largest_lambda;
  int leg = 0;
  int next = 0;  // of `lambdas`, in this leg
  // [fold][lambda]: mean squared error or share of wrong classes of the rows left out, weighted.
  std::vector<std::vector<double>> fold_errors;
  std::vector<FitResult> fits;  // of the last leg
  GateRounds search;
  std::string solver;      // state of the fit under way, Fit::Save
  int64_t iterations = 0;  // of all legs, fits that are done
  double seconds = 0;      // likewise
};

// Numbers of a sequence of penalties: from `largest` to `smallest_ratio` of it, evenly in the
// logarithm.
std::vector<double> PenaltySequence(double largest, double smallest_ratio, int points);

// Mean over the folds and its standard error, for each lambda.
struct FoldError {
  double mean = 0;
  double standard_error = 0;
};
std::vector<FoldError> FoldErrorsOf(const Course& course);

// The lambda that `selection` takes by errors, one for each; MINIMUM without standard errors.
int SelectPenalty(v1::ConvexReluPath::Selection selection, const std::vector<FoldError>& errors);

// `fingerprint` identifies spec and rows.
std::string EncodeCourse(const Course& course, uint64_t fingerprint);
// nullopt when the bytes are damaged, of another version, or of another job.
std::optional<Course> DecodeCourse(std::string_view bytes, uint64_t fingerprint);

}  // namespace trainyard::convex_relu
