#include "core/nn/layers/embedding.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/ops/embedding.h"

namespace trainyard::nn {

// Tables are not decayed: rows that a batch does not use would shrink without a reason.
Embedding::Embedding(ParameterSet& parameters, std::string_view name, int64_t count, int64_t width,
                     const Initializer& start, double scale)
    : table_(parameters.Add(absl::StrCat(std::string(name), ".weight"), {count, width}, start,
                            /*decays=*/false)),
      scale_(scale) {}

Variable Embedding::operator()(const Tensor& indices) const {
  return Embed(table_, indices, scale_);
}

}  // namespace trainyard::nn
