// What a pointwise search leaves for a later attempt.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/algorithms/quant_bnb/threshold_frontier.h"

namespace trainyard::quant_bnb {

// The root thresholds that were evaluated for trees of some depth.
struct PointwiseState {
  CourseState course;
  // Depth of the trees that are being searched for; up to spec.depth().
  int depth = 0;
  // Lower bound of the loss of trees of one level less, and the best of their roots.
  double whole = 0;
  int whole_feature = -1;
  int whole_place = 0;
  // Thresholds in the order of their evaluation.
  struct Record {
    int feature = 0;
    int place = 0;
    Evaluation evaluation;
  };
  std::vector<Record> records;
};

// `fingerprint` as in BeginState.
std::string EncodeState(const PointwiseState& state, uint64_t fingerprint);
// Nothing where the bytes are damaged, or of another problem or other options.
std::optional<PointwiseState> DecodePointwiseState(const SearchProblem& problem,
                                                   uint64_t fingerprint, std::string_view bytes);

}  // namespace trainyard::quant_bnb
