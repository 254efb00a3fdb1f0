#include "core/algorithms/convex_relu/course.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/base/byte_stream.h"

namespace trainyard::convex_relu {
namespace {

constexpr uint32_t kVersion = 3;

}  // namespace

std::vector<double> PenaltySequence(double largest, double smallest_ratio, int points) {
  std::vector<double> lambdas;
  for (int i = 0; i < points; ++i) {
    const double share = points > 1 ? static_cast<double>(i) / (points - 1) : 0;
    lambdas.push_back(largest * std::pow(smallest_ratio, share));
  }
  return lambdas;
}

std::vector<FoldError> FoldErrorsOf(const Course& course) {
  std::vector<FoldError> errors(course.lambdas.size());
  const double folds = static_cast<double>(course.fold_errors.size());
  for (size_t i = 0; i < errors.size(); ++i) {
    for (const std::vector<double>& fold : course.fold_errors) errors[i].mean += fold[i] / folds;
    double squares = 0;
    for (const std::vector<double>& fold : course.fold_errors) {
      squares += (fold[i] - errors[i].mean) * (fold[i] - errors[i].mean);
    }
    errors[i].standard_error = std::sqrt(squares / (folds - 1) / folds);
  }
  return errors;
}

int SelectPenalty(v1::ConvexReluPath::Selection selection, const std::vector<FoldError>& errors) {
  const int last = static_cast<int>(errors.size()) - 1;
  if (selection == v1::ConvexReluPath::SELECTION_SMALLEST) return last;
  // The first of equals is the largest penalty.
  const auto least =
      std::min_element(errors.begin(), errors.end(),
                       [](const FoldError& a, const FoldError& b) { return a.mean < b.mean; });
  if (selection == v1::ConvexReluPath::SELECTION_MINIMUM) {
    return static_cast<int>(least - errors.begin());
  }
  const double allowed = least->mean + least->standard_error;
  return static_cast<int>(
      std::find_if(errors.begin(), errors.end(),
                   [&](const FoldError& error) { return error.mean <= allowed; }) -
      errors.begin());
}

std::string EncodeCourse(const Course& course, uint64_t fingerprint) {
  ByteWriter writer;
  writer.Put(kVersion);
  writer.Put(fingerprint);
  writer.PutList(course.lambdas);
  writer.Put(course.largest_lambda.value_or(-1));
  writer.Put(static_cast<int32_t>(course.leg));
  writer.Put(static_cast<int32_t>(course.next));
  writer.Put(static_cast<uint64_t>(course.fold_errors.size()));
  for (const std::vector<double>& errors : course.fold_errors) writer.PutList(errors);
  writer.Put(static_cast<uint64_t>(course.fits.size()));
  for (const FitResult& fit : course.fits) PutFit(fit, writer);
  PutRounds(course.search, writer);
  writer.PutText(course.solver);
  writer.Put(course.iterations);
  writer.Put(course.seconds);
  return std::move(writer).Seal();
}

std::optional<Course> DecodeCourse(std::string_view bytes, uint64_t fingerprint) {
  ByteReader reader = ByteReader::Unseal(bytes);
  if (reader.Take<uint32_t>() != kVersion || reader.Take<uint64_t>() != fingerprint) {
    return std::nullopt;
  }
  Course course;
  course.lambdas = reader.TakeList<double>();
  const double largest = reader.Take<double>();
  if (largest >= 0) course.largest_lambda = largest;
  course.leg = reader.Take<int32_t>();
  course.next = reader.Take<int32_t>();
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    course.fold_errors.push_back(reader.TakeList<double>());
  }
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    course.fits.push_back(TakeFit(reader));
  }
  course.search = TakeRounds(reader);
  course.solver = std::string(reader.TakeText());
  course.iterations = reader.Take<int64_t>();
  course.seconds = reader.Take<double>();
  if (!reader.done()) return std::nullopt;
  return course;
}

}  // namespace trainyard::convex_relu
