#include "core/nn/layers/feed_forward.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/ops/dropout.h"
#include "core/nn/ops/shapes.h"
#include "core/nn/ops/unary.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {

FeedForward::FeedForward(ParameterSet& parameters, std::string_view name, int64_t width,
                         int64_t hidden, const FeedForwardOptions& options)
    : options_(options), hidden_(hidden) {
  const LinearMapFactory maps = options.maps ? options.maps : DenseMaps();
  const auto map = [&](const char* part, int64_t in, int64_t out, Activation activation) {
    return maps(parameters, absl::StrCat(std::string(name), ".", part), in, out,
                {.bias = options.bias, .activation = activation});
  };
  if (options.gated && options.maps) {
    gate_ = map("gate", width, hidden, Activation::kNone);
    in_ = map("in", width, hidden, Activation::kNone);
  } else if (options.gated) {
    in_ = map("in", width, 2 * hidden, Activation::kNone);
  } else {
    in_ = map("in", width, hidden, options.activation);
  }
  out_ = map("out", hidden, width, Activation::kNone);
}

Variable FeedForward::Hidden(const Variable& x) const {
  if (!options_.gated) return (*in_)(x);
  if (gate_ != nullptr) return Gate(options_.activation, (*gate_)(x), (*in_)(x));
  const std::vector<Variable> halves = Split((*in_)(x), -1, {hidden_, hidden_});
  return Gate(options_.activation, halves[0], halves[1]);
}

Variable FeedForward::operator()(const Variable& x, RandomSource* random) const {
  return (*out_)(Dropout(Hidden(x), options_.dropout, random));
}

Mlp::Mlp(ParameterSet& parameters, std::string_view name, std::span<const int64_t> widths,
         const MlpOptions& options)
    : options_(options) {
  if (widths.size() < 2) ThrowInvalidTensor("mlp: ", widths.size(), " widths; at least 2 needed");
  const LinearMapFactory maps = options.maps ? options.maps : DenseMaps();
  for (size_t i = 0; i + 1 < widths.size(); ++i) {
    const bool last = i + 2 == widths.size();
    maps_.push_back(maps(
        parameters, absl::StrCat(std::string(name), ".", i), widths[i], widths[i + 1],
        {.bias = options.bias, .activation = last ? options.last_activation : options.activation}));
  }
}

Variable Mlp::operator()(const Variable& x, RandomSource* random) const {
  Variable y = x;
  for (size_t i = 0; i < maps_.size(); ++i) {
    y = (*maps_[i])(y);
    if (i + 1 < maps_.size()) y = Dropout(y, options_.dropout, random);
  }
  return y;
}

}  // namespace trainyard::nn
