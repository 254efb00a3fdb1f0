// Position-wise networks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/nn/layers/linear_map.h"
#include "core/nn/random_source.h"

namespace trainyard::nn {

struct FeedForwardOptions {
  Activation activation = Activation::kGelu;
  // act(x W_a) * (x W_b) instead of act(x W_a): a gated linear unit.
  bool gated = false;
  bool bias = true;
  double dropout = 0;  // of the hidden layer
  // Makes the maps one by one. Without it both halves of a gated layer come from one dense product.
  LinearMapFactory maps;
};

// width -> hidden -> width. Parameters: NAME.in (gated: 2 * hidden columns, the activated half
// first; or NAME.gate and NAME.in) and NAME.out.
class FeedForward {
 public:
  FeedForward(ParameterSet& parameters, std::string_view name, int64_t width, int64_t hidden,
              const FeedForwardOptions& options = {});

  // `random`: null in evaluation.
  Variable operator()(const Variable& x, RandomSource* random) const;

 private:
  Variable Hidden(const Variable& x) const;

  const FeedForwardOptions options_;
  const int64_t hidden_;
  std::unique_ptr<LinearMap> gate_;
  std::unique_ptr<LinearMap> in_;
  std::unique_ptr<LinearMap> out_;
};

struct MlpOptions {
  Activation activation = Activation::kRelu;
  Activation last_activation = Activation::kNone;
  bool bias = true;
  double dropout = 0;     // after every hidden layer
  LinearMapFactory maps;  // dense ones unless given
};

// A stack of maps: widths[0] -> widths[1] -> …, with the activation between. Parameters: NAME.0,
// NAME.1, ….
class Mlp {
 public:
  Mlp(ParameterSet& parameters, std::string_view name, std::span<const int64_t> widths,
      const MlpOptions& options = {});

  Variable operator()(const Variable& x, RandomSource* random) const;

 private:
  const MlpOptions options_;
  std::vector<std::unique_ptr<LinearMap>> maps_;
};

}  // namespace trainyard::nn
