#include "tests/core/nn/gpt_model.h"

#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/nn/ops/arithmetic.h"
#include "core/nn/ops/cross_entropy.h"

namespace trainyard::nn {
namespace {

std::string NameOf(int index, const char* part) {
  return absl::StrCat("blocks.", index, ".", part);
}

}  // namespace

GptModel::Block::Block(ParameterSet& parameters, int index, const GptSizes& sizes)
    : norm1(parameters, NameOf(index, "norm1"), NormKind::kLayer, sizes.width),
      attention(parameters, NameOf(index, "attention"), sizes.width,
                {.heads = sizes.heads, .causal = true}),
      norm2(parameters, NameOf(index, "norm2"), NormKind::kLayer, sizes.width),
      feed_forward(parameters, NameOf(index, "feed_forward"), sizes.width, 4 * sizes.width) {}

Variable GptModel::Block::operator()(const Variable& x) const {
  const Variable y = x + attention(norm1(x));
  return y + feed_forward(norm2(y), nullptr);
}

GptModel::GptModel(ParameterSet& parameters, const GptSizes& sizes)
    : width_(sizes.width),
      tokens_(parameters, "tokens", sizes.vocabulary, sizes.width, Initializer::Normal(0.02)),
      positions_(parameters, "positions", sizes.context, sizes.width, Initializer::Normal(0.02)),
      norm_(parameters, "norm", NormKind::kLayer, sizes.width) {
  for (int i = 0; i < sizes.layers; ++i) {
    blocks_.push_back(std::make_unique<Block>(parameters, i, sizes));
  }
}

Variable GptModel::Features(const Tensor& tokens) const {
  std::vector<int32_t> positions(static_cast<size_t>(tokens.size(1)));
  std::iota(positions.begin(), positions.end(), 0);
  const Tensor at =
      Tensor::FromValues(tokens.device(), {tokens.size(1)}, std::span<const int32_t>(positions));
  Variable x = tokens_(tokens) + positions_(at);
  for (const auto& block : blocks_) x = (*block)(x);
  return norm_(x);
}

Variable GptModel::Loss(const Tensor& tokens, const Tensor& targets) const {
  return LinearCrossEntropy(Features(tokens), table(), Variable(), targets,
                            {.divisor = static_cast<double>(tokens.elements())});
}

}  // namespace trainyard::nn
