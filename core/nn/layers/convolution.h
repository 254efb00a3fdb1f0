// Convolution along sequences.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/nn/parameter.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

enum class Padding : uint8_t {
  kSame,    // (width - 1) / 2 zeros before the sequence, the rest behind
  kCausal,  // all of them before: y[t] depends on x up to t
};

// [batch, length, in] to [batch, length, out]: NAME.weight [width, in, out] and NAME.bias [out],
// uniform in +-1 / sqrt(width * in) at first.
class Convolution1d {
 public:
  Convolution1d(ParameterSet& parameters, std::string_view name, int64_t in, int64_t out,
                int64_t width, Padding padding = Padding::kSame, bool bias = true);

  Variable operator()(const Variable& x) const;

 private:
  const int64_t pad_left_;
  const Parameter& weight_;
  const Parameter* const bias_;
};

}  // namespace trainyard::nn
