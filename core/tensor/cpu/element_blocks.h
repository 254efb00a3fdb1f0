// Element-wise functions on contiguous blocks, for the instruction set of this machine.
#pragma once

#include <cstdint>

#include "core/tensor/kernels/elementwise_kernels.h"

namespace trainyard {

inline constexpr int kUnaryOps = static_cast<int>(UnaryOp::kCos) + 1;
inline constexpr int kBinaryOps = static_cast<int>(BinaryOp::kMinimum) + 1;
inline constexpr int kActivations = static_cast<int>(Activation::kTanh) + 1;

// What one call of a function works on: `count` elements of each operand, contiguous. An output may
// be an input. (Plain arrays: see lanes.h.)
template <typename T>
struct Block {
  static constexpr int kMaxInputs = 3;
  static constexpr int kMaxOutputs = 2;
  int64_t count = 0;
  const T* in[kMaxInputs] = {};
  T* out[kMaxOutputs] = {};
  // Bit i: input i is one number that is repeated (functions that say so).
  unsigned repeated = 0;
  bool accumulate = false;
  // Writes past the caches. Outputs are aligned to 64 bytes then.
  bool stream = false;
  T scale = 1;
  T shift = 0;
};

template <typename T>
struct ElementBlocks {
  using Function = void (*)(const Block<T>&);
  Function unary[kUnaryOps] = {};           // x; y
  Function unary_backward[kUnaryOps] = {};  // saved, dy; dx (accumulates)
  Function binary[kBinaryOps] = {};         // a, b; out (repeats either)
  Function multiply_add = nullptr;          // a, b; out (repeats either, accumulates)
  // x, other, dy; dx (accumulates), for x as the first and as the second input.
  Function maximum_backward[2] = {};
  Function minimum_backward[2] = {};
  Function affine = nullptr;                        // x; scale x + shift (accumulates)
  Function activation[kActivations] = {};           // x; y
  Function bias_activation[kActivations] = {};      // x, bias or null; y, pre or null
  Function activation_backward[kActivations] = {};  // pre or y, dy; dx
  // Likewise for `rows` rows of block.count numbers that follow each other; sums += columns of dx.
  void (*activation_backward_rows[kActivations])(const Block<T>& block, int64_t rows, T* sums) = {};
  Function gate[kActivations] = {};           // a, b; y
  Function gate_backward[kActivations] = {};  // a, b, dy; da, db
};

// float: for the widest instruction set that the machine has. double: plain code.
template <typename T>
const ElementBlocks<T>& BlocksOf();
template <>
const ElementBlocks<float>& BlocksOf<float>();
template <>
const ElementBlocks<double>& BlocksOf<double>();

// One file each; the machine must have the instructions.
void SetAvx2Blocks(ElementBlocks<float>& blocks);
void SetAvx512Blocks(ElementBlocks<float>& blocks);
void SetDoubleBlocks(ElementBlocks<double>& blocks);

}  // namespace trainyard
