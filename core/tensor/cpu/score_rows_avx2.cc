#include "core/tensor/cpu/score_row_functions.h"

namespace trainyard {

ScoreRowFunctions Avx2ScoreRows() { return lanes_avx2::AllScoreRows(); }

}  // namespace trainyard
