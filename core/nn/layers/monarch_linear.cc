#include "core/nn/layers/monarch_linear.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/layers/initializers.h"
#include "core/nn/ops/monarch.h"
#include "core/nn/ops/unary.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {
namespace {

int64_t CeilDivide(int64_t a, int64_t b) { return (a + b - 1) / b; }

Initializer StartOf(int64_t fan_in, bool matched) {
  const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
  return Initializer::Uniform(matched ? bound * std::pow(3, 0.25) : bound);
}

}  // namespace

MonarchSizes MonarchSizes::OfBlocks(int64_t in, int64_t out, int64_t blocks, bool pad_middle) {
  if (blocks < 1 || in < 1 || out < 1) {
    ThrowInvalidTensor("monarch: ", blocks, " blocks for ", in, " inputs and ", out, " outputs");
  }
  const int64_t p = CeilDivide(in, blocks);
  const int64_t s = CeilDivide(out, blocks);
  int64_t q = std::min(p, s);
  if (pad_middle) q = CeilDivide(q, blocks) * blocks;
  if (q < blocks) {
    ThrowInvalidTensor("monarch: ", blocks, " blocks for ", in, " inputs and ", out,
                       " outputs leave blocks of the matrix without a parameter; at most ",
                       static_cast<int64_t>(std::sqrt(static_cast<double>(std::min(in, out)))),
                       " blocks, or a padded middle");
  }
  return {blocks, blocks, p, q, s, q};
}

MonarchSizes MonarchSizes::OfRank(int64_t in, int64_t out, int64_t first_blocks,
                                  int64_t second_blocks, int64_t rank) {
  if (first_blocks < 1 || second_blocks < 1 || rank < 1 || in < 1 || out < 1) {
    ThrowInvalidTensor("monarch: ", first_blocks, " and ", second_blocks, " blocks of rank ", rank,
                       " for ", in, " inputs and ", out, " outputs");
  }
  return {first_blocks,
          second_blocks,
          CeilDivide(in, first_blocks),
          rank * second_blocks,
          CeilDivide(out, second_blocks),
          first_blocks * rank};
}

MonarchLinear::MonarchLinear(ParameterSet& parameters, std::string_view name, int64_t out,
                             const MonarchSizes& sizes, const MonarchLinearOptions& options)
    : out_(out),
      activation_(options.activation),
      first_(parameters.Add(absl::StrCat(std::string(name), ".first"),
                            {sizes.first_blocks, sizes.first_out, sizes.in_block},
                            StartOf(sizes.in_block, options.matched_start), /*decays=*/true)),
      second_(parameters.Add(absl::StrCat(std::string(name), ".second"),
                             {sizes.second_blocks, sizes.out_block, sizes.second_in},
                             StartOf(sizes.second_in, options.matched_start), /*decays=*/true)),
      bias_(options.bias ? &parameters.Add(absl::StrCat(std::string(name), ".bias"), {out},
                                           TorchUniform(out), /*decays=*/false)
                         : nullptr) {}

Variable MonarchLinear::operator()(const Variable& x) const {
  const Variable bias = bias_ != nullptr ? bias_->variable() : Variable();
  if (activation_ == Activation::kNone) return MonarchProduct(x, first_, second_, bias, out_);
  return BiasActivation(MonarchProduct(x, first_, second_, Variable(), out_), bias, activation_);
}

}  // namespace trainyard::nn
