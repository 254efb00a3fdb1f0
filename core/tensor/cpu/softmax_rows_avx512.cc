#include "core/tensor/cpu/softmax_row_functions.h"

namespace trainyard::softmax_rows {

Functions Avx512Functions() {
  return {avx512::Maximum, avx512::Exponentiate, avx512::Differentiate};
}

}  // namespace trainyard::softmax_rows
