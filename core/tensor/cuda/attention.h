// Launches of softmax attention. T is float or double.
#pragma once

#include <cstdint>

namespace trainyard::cuda {

class Platform;

// [batch, heads, rows, width], the last stride 1.
struct HeadRows {
  void* data = nullptr;
  int64_t batch_stride = 0;
  int64_t head_stride = 0;
  int64_t row_stride = 0;
};

struct AttentionKernelArguments {
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t rows = 0;  // queries
  int64_t keys = 0;
  int64_t width = 0;  // of queries and keys
  int64_t v_width = 0;
  HeadRows q;
  HeadRows k;
  HeadRows v;
  HeadRows out;
  void* logsumexp = nullptr;  // [batch, heads, rows], or null
  double scale = 1;
  bool causal = false;
  const int32_t* query_segments = nullptr;  // null: one segment
  int64_t query_segment_strides[2] = {};
  const int32_t* key_segments = nullptr;
  int64_t key_segment_strides[2] = {};
  const uint8_t* key_mask = nullptr;  // or null
  int64_t key_mask_strides[2] = {};
};
template <typename T>
void LaunchAttention(Platform& platform, const AttentionKernelArguments& arguments);

struct AttentionBackwardArguments {
  HeadRows dout;
  HeadRows dq;
  HeadRows dk;
  HeadRows dv;
  void* out_products = nullptr;  // [batch, heads, rows]: scratch for the sums of dout * out
};
// `forward` with out and logsumexp.
template <typename T>
void LaunchAttentionBackward(Platform& platform, const AttentionKernelArguments& forward,
                             const AttentionBackwardArguments& backward);

}  // namespace trainyard::cuda
