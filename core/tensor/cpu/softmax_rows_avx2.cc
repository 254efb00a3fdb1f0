#include "core/tensor/cpu/softmax_row_functions.h"

namespace trainyard::softmax_rows {

Functions Avx2Functions() { return {avx2::Maximum, avx2::Exponentiate, avx2::Differentiate}; }

}  // namespace trainyard::softmax_rows
