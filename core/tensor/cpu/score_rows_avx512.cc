#include "core/tensor/cpu/score_row_functions.h"

namespace trainyard {

ScoreRowFunctions Avx512ScoreRows() { return lanes_avx512::AllScoreRows(); }

}  // namespace trainyard
