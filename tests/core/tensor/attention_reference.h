// Attention by its formulas: double loops over pairs of positions, in double precision.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/tensor/kernels/attention_kernels.h"
#include "core/tensor/tensor.h"

namespace trainyard {

// The elements of a floating tensor in row-major order.
std::vector<double> ValuesOf(const Tensor& tensor);

// max |a - b| / max |b|; |a - b| where b is 0. Infinite where sizes differ or a number is none.
double RelativeError(std::span<const double> a, std::span<const double> b);
double RelativeError(const Tensor& a, std::span<const double> b);

struct AttentionReference {
  std::vector<double> out;
  std::vector<double> logsumexp;
  std::vector<double> dq;
  std::vector<double> dk;
  std::vector<double> dv;
};

// Softmax attention of the arguments' inputs, and its gradients for dL/dout = `dout`.
AttentionReference ReferenceOf(const AttentionArguments& arguments, const Tensor& dout);

struct MixedChunkReference {
  std::vector<double> ungated;
  std::vector<double> out;
  std::vector<double> dquad_q;
  std::vector<double> dquad_k;
  std::vector<double> dlin_q;
  std::vector<double> dlin_k;
  std::vector<double> dv;
  std::vector<double> dgate;
  std::vector<double> dbias;
};

// Mixed chunk attention as a sum over pairs of positions, with linear attention as (Ql Kl') V.
MixedChunkReference ReferenceOf(const MixedChunkArguments& arguments, const Tensor& dout);

}  // namespace trainyard
