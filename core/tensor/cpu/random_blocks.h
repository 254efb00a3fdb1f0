// Random words in bulk, for the instruction set of this machine.
#pragma once

#include <cstdint>

namespace trainyard {

// words[4 i + k] = word k of block first + i of the stream (core/tensor/kernels/philox.h), for i in
// [0, blocks).
using PhiloxWords = void (*)(uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks,
                             uint32_t* words);

PhiloxWords BestPhiloxWords();

PhiloxWords Avx2PhiloxWords();
PhiloxWords Avx512PhiloxWords();

}  // namespace trainyard
