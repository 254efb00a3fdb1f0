// Convolutions along one dimension.
#pragma once

#include <cstdint>

#include "core/tensor/tensor.h"

namespace trainyard {

// y[b, t, o] = bias[o] + sum over k, c of w[k, c, o] * x[b, t + k - pad_left, c]; x outside the
// sequence is 0.
struct Convolution1dArguments {
  Tensor x;     // [batch, length, in_channels], contiguous
  Tensor w;     // [width, in_channels, out_channels], contiguous
  Tensor bias;  // [out_channels] or undefined
  Tensor y;     // [batch, length, out_channels]; last stride 1 (a slice of channels is fine)
  int64_t pad_left = 0;  // "same": (width - 1) / 2; causal: width - 1
};

class ConvolutionKernels {
 public:
  virtual ~ConvolutionKernels() = default;
  virtual void Convolve1d(const Convolution1dArguments& arguments) = 0;
  // `forward` as above, its y not read. dx (+)= …; dw, dbias += …; each unless undefined.
  virtual void Convolve1dBackward(const Convolution1dArguments& forward, const Tensor& dy,
                                  const Tensor& dx, bool accumulate_dx, const Tensor& dw,
                                  const Tensor& dbias) = 0;
};

}  // namespace trainyard
