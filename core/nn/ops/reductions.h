// Sums, means and maxima along dimensions.
#pragma once

#include <initializer_list>
#include <span>

#include "core/nn/variable.h"

namespace trainyard::nn {

// Whether dimensions that were reduced stay, with size 1.
enum class KeepDims : bool { kNo, kYes };

// Over `axes`, each named once; negative ones count from the end.
Variable Sum(const Variable& x, std::span<const int> axes, KeepDims keep = KeepDims::kNo);
Variable Mean(const Variable& x, std::span<const int> axes, KeepDims keep = KeepDims::kNo);
// Elements that tie for the largest share its gradient in equal parts.
Variable Max(const Variable& x, std::span<const int> axes, KeepDims keep = KeepDims::kNo);

inline Variable Sum(const Variable& x, std::initializer_list<int> axes,
                    KeepDims keep = KeepDims::kNo) {
  return Sum(x, std::span<const int>(axes.begin(), axes.size()), keep);
}
inline Variable Mean(const Variable& x, std::initializer_list<int> axes,
                     KeepDims keep = KeepDims::kNo) {
  return Mean(x, std::span<const int>(axes.begin(), axes.size()), keep);
}
inline Variable Max(const Variable& x, std::initializer_list<int> axes,
                    KeepDims keep = KeepDims::kNo) {
  return Max(x, std::span<const int>(axes.begin(), axes.size()), keep);
}

// Over all dimensions: scalars.
Variable Sum(const Variable& x);
Variable Mean(const Variable& x);

}  // namespace trainyard::nn
