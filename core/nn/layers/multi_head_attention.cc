#include "core/nn/layers/multi_head_attention.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/nn/ops/shapes.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::nn {

MultiHeadAttention::MultiHeadAttention(ParameterSet& parameters, std::string_view name,
                                       int64_t width, const MultiHeadAttentionOptions& options)
    : width_(width), options_(options) {
  if (options.heads < 1 || width % options.heads != 0) {
    ThrowInvalidTensor("multi_head_attention: ", options.heads, " heads do not divide a width of ",
                       width);
  }
  const LinearMapFactory maps = options.maps ? options.maps : DenseMaps();
  const auto map = [&](const char* part, int64_t out) {
    LinearMapOptions own;
    own.bias = options.bias;
    return maps(parameters, absl::StrCat(std::string(name), ".", part), width, out, own);
  };
  if (options.maps) {
    q_ = map("q", width);
    k_ = map("k", width);
    v_ = map("v", width);
  } else {
    qkv_ = map("qkv", 3 * width);
  }
  out_ = map("out", width);
}

Variable MultiHeadAttention::operator()(const Variable& x, const AttentionMasks& masks) const {
  std::vector<Variable> qkv = qkv_ != nullptr ? Split((*qkv_)(x), -1, {width_, width_, width_})
                                              : std::vector{(*q_)(x), (*k_)(x), (*v_)(x)};
  if (options_.rotary) {
    const RotaryOptions rotary{
        .heads = options_.heads, .base = options_.rotary_base, .pairing = options_.rotary_pairing};
    for (const int part : {0, 1}) qkv[part] = Rotary(qkv[part], rotary);
  }
  AttentionOptions attention;
  attention.heads = options_.heads;
  attention.causal = options_.causal;
  attention.query_segments = masks.query_segments;
  attention.key_segments = masks.key_segments;
  attention.key_mask = masks.key_mask;
  return (*out_)(Attention(qkv[0], qkv[1], qkv[2], attention));
}

}  // namespace trainyard::nn
