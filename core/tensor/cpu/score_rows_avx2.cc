#include "core/tensor/cpu/score_row_functions.h"

namespace trainyard::score_rows {

Functions Avx2Functions() {
  return {avx2::Maximum, avx2::Exponentiate, avx2::Differentiate, avx2::SquareRectified,
          avx2::DifferentiateSquare};
}

}  // namespace trainyard::score_rows
