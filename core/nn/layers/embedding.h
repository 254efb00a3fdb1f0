// Tables of vectors.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/nn/parameter.h"
#include "core/nn/variable.h"

namespace trainyard::nn {

// A vector of `width` numbers for each of `count` indices: NAME.weight [count, width].
class Embedding {
 public:
  Embedding(ParameterSet& parameters, std::string_view name, int64_t count, int64_t width,
            const Initializer& start = Initializer::Normal(1), double scale = 1);

  // int32 [...] to [..., width], times the scale; -1 gives zeros.
  Variable operator()(const Tensor& indices) const;
  // For outputs that are tied to it.
  const Parameter& table() const { return table_; }

 private:
  const Parameter& table_;
  const double scale_;
};

}  // namespace trainyard::nn
