// A stack of pre-norm Transformer blocks with a tied output, for tests, benchmarks and comparisons.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/nn/layers/embedding.h"
#include "core/nn/layers/feed_forward.h"
#include "core/nn/layers/multi_head_attention.h"
#include "core/nn/layers/norm.h"
#include "core/nn/parameter.h"

namespace trainyard::nn {

struct GptSizes {
  int64_t vocabulary = 256;
  int64_t context = 512;
  int64_t width = 256;
  int layers = 4;
  int heads = 4;
};

// Parameters: tokens.weight, positions.weight, blocks.I.{norm1,attention,norm2,feed_forward}.…,
// norm.…
class GptModel {
 public:
  GptModel(ParameterSet& parameters, const GptSizes& sizes);

  // int32 [batch, n] to [batch, n, width].
  Variable Features(const Tensor& tokens) const;
  // Mean cross-entropy with `targets` [batch, n].
  Variable Loss(const Tensor& tokens, const Tensor& targets) const;
  const Parameter& table() const { return tokens_.table(); }

 private:
  struct Block {
    Block(ParameterSet& parameters, int index, const GptSizes& sizes);
    Variable operator()(const Variable& x) const;
    Norm norm1;
    MultiHeadAttention attention;
    Norm norm2;
    FeedForward feed_forward;
  };

  const int64_t width_;
  Embedding tokens_;
  Embedding positions_;
  std::vector<std::unique_ptr<Block>> blocks_;
  Norm norm_;
};

}  // namespace trainyard::nn
