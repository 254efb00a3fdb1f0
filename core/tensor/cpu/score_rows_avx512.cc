#include "core/tensor/cpu/score_row_functions.h"

namespace trainyard::score_rows {

Functions Avx512Functions() {
  return {avx512::Maximum, avx512::Exponentiate, avx512::Differentiate, avx512::SquareRectified,
          avx512::DifferentiateSquare};
}

}  // namespace trainyard::score_rows
