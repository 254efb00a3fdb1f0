// The exponential function of many numbers.
#pragma once

#include <span>

namespace trainyard {

// Replaces each x by exp(x), within 2 units in the last place; x is first held within [-708, 709],
// so that results are normal numbers. Of basic operations that the compiler puts into vectors:
// about four times as fast as std::exp.
void ExpInPlace(std::span<double> values);

}  // namespace trainyard
