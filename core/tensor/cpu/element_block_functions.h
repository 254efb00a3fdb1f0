// The functions of element_blocks.h, compiled once for each instruction set.
#pragma once

#include <utility>

#include "core/tensor/cpu/element_blocks.h"
#include "core/tensor/cpu/lanes_access.h"
#include "core/tensor/cpu/lanes_functions.h"

namespace trainyard::TRAINYARD_LANES {

using Args = Block<Scalar>;

template <typename Body>
inline void ForLanes(const Args& block, Body body) {
  block.stream ? ForStreamedLanes(block.count, body) : ForLanes(block.count, body);
}

// out (+)= function(in[0], …, in[inputs - 1]).
template <int inputs, typename Function>
inline void Map(const Args& block, Function function) {
  const auto [a, b, c] = block.in;
  Scalar* const out = block.out[0];
  const auto value = [=](auto access, int64_t j) {
    if constexpr (inputs == 1) return function(access.Load(a + j));
    if constexpr (inputs == 2) return function(access.Load(a + j), access.Load(b + j));
    if constexpr (inputs == 3) {
      return function(access.Load(a + j), access.Load(b + j), access.Load(c + j));
    }
  };
  if (block.accumulate) {
    ForLanes(block, [=](auto access, int64_t j) {
      access.Store(access.Load(out + j) + value(access, j), out + j);
    });
  } else {
    ForLanes(block, [=](auto access, int64_t j) { access.Store(value(access, j), out + j); });
  }
}

// Map for two inputs, either of which may be repeated.
template <typename Function>
inline void MapRepeating(const Args& block, Function function) {
  if (block.repeated == 0) return Map<2>(block, function);
  const Lanes first = Lanes::Of(*block.in[0]);
  const Lanes second = Lanes::Of(*block.in[1]);
  Args rest = block;
  if (block.repeated == 1) {
    rest.in[0] = block.in[1];
    return Map<1>(rest, [=](Lanes b) { return function(first, b); });
  }
  if (block.repeated == 2) return Map<1>(rest, [=](Lanes a) { return function(a, second); });
  rest.in[0] = block.out[0];  // not used
  Map<1>(rest, [=](Lanes) { return function(first, second); });
}

template <UnaryOp op>
void UnaryBlock(const Args& block) {
  Map<1>(block, [](Lanes x) { return Apply<op>(x); });
}

template <UnaryOp op>
void UnaryBackwardBlock(const Args& block) {
  Map<2>(block, [](Lanes saved, Lanes dy) { return dy * Slope<op>(saved); });
}

template <BinaryOp op>
void BinaryBlock(const Args& block) {
  MapRepeating(block, [](Lanes a, Lanes b) { return Combine<op>(a, b); });
}

inline void MultiplyAddBlock(const Args& block) {
  MapRepeating(block, [](Lanes a, Lanes b) { return a * b; });
}

// Whether x was chosen is asked so that of two inputs exactly one was.
template <BinaryOp op, bool first>
void ChoiceBackwardBlock(const Args& block) {
  Map<3>(block, [](Lanes x, Lanes other, Lanes dy) {
    const Lanes zero = Lanes::Of(0);
    const bool maximum = op == BinaryOp::kMaximum;
    if constexpr (first) return Select(maximum ? other <= x : x <= other, dy, zero);
    return Select(maximum ? x <= other : other <= x, zero, dy);
  });
}

inline void AffineBlock(const Args& block) {
  const Lanes scale = Lanes::Of(block.scale);
  const Lanes shift = Lanes::Of(block.shift);
  Map<1>(block, [=](Lanes x) { return Fma(scale, x, shift); });
}

template <Activation activation>
void ActivationBlock(const Args& block) {
  Map<1>(block, [](Lanes x) { return Activate<activation>(x); });
}

template <Activation activation>
void BiasActivationBlock(const Args& block) {
  const Scalar* const x = block.in[0];
  const Scalar* const bias = block.in[1];
  Scalar* const y = block.out[0];
  Scalar* const pre = block.out[1];
  if (bias == nullptr && pre == nullptr) return ActivationBlock<activation>(block);
  if (pre == nullptr) {
    return Map<2>(block, [](Lanes a, Lanes b) { return Activate<activation>(a + b); });
  }
  ForLanes(block, [=](auto access, int64_t j) {
    Lanes sum = access.Load(x + j);
    if (bias != nullptr) sum = sum + access.Load(bias + j);
    access.Store(sum, pre + j);
    access.Store(Activate<activation>(sum), y + j);
  });
}

template <Activation activation>
void ActivationBackwardBlock(const Args& block) {
  if constexpr (activation == Activation::kNone) {
    Args gradient = block;
    gradient.in[0] = block.in[1];
    return ActivationBlock<activation>(gradient);
  }
  Map<2>(block, [](Lanes saved, Lanes dy) { return dy * ActivationSlope<activation>(saved); });
}

template <Activation activation>
void ActivationBackwardRows(const Args& block, int64_t rows, Scalar* sums) {
  for (int64_t i = 0; i < rows; ++i) {
    const Scalar* const saved = block.in[0] + i * block.count;
    const Scalar* const dy = block.in[1] + i * block.count;
    Scalar* const dx = block.out[0] + i * block.count;
    ForLanes(block, [=](auto access, int64_t j) {
      const Lanes gradient =
          access.Load(dy + j) * ActivationSlope<activation>(access.Load(saved + j));
      access.Store(gradient, dx + j);
      // The sums stay in the cache.
      if constexpr (access.kStreams) {
        (Lanes::Load(sums + j) + gradient).Store(sums + j);
      } else {
        access.Store(access.Load(sums + j) + gradient, sums + j);
      }
    });
  }
}

template <Activation activation>
void GateBlock(const Args& block) {
  Map<2>(block, [](Lanes a, Lanes b) { return Activate<activation>(a) * b; });
}

template <Activation activation>
void GateBackwardBlock(const Args& block) {
  const auto [a, b, dy] = block.in;
  const auto [da, db] = block.out;
  ForLanes(block, [=](auto access, int64_t j) {
    const ValueAndSlope act = ActivateBoth<activation>(access.Load(a + j));
    const Lanes gradient = access.Load(dy + j);
    const Lanes other = access.Load(b + j);
    access.Store(gradient * other * act.slope, da + j);
    access.Store(gradient * act.value, db + j);
  });
}

template <int... ops>
void SetUnary(ElementBlocks<Scalar>& blocks, std::integer_sequence<int, ops...>) {
  ((blocks.unary[ops] = UnaryBlock<static_cast<UnaryOp>(ops)>), ...);
  ((blocks.unary_backward[ops] = UnaryBackwardBlock<static_cast<UnaryOp>(ops)>), ...);
}

template <int... ops>
void SetBinary(ElementBlocks<Scalar>& blocks, std::integer_sequence<int, ops...>) {
  ((blocks.binary[ops] = BinaryBlock<static_cast<BinaryOp>(ops)>), ...);
}

template <int... ops>
void SetActivations(ElementBlocks<Scalar>& blocks, std::integer_sequence<int, ops...>) {
  ((blocks.activation[ops] = ActivationBlock<static_cast<Activation>(ops)>), ...);
  ((blocks.bias_activation[ops] = BiasActivationBlock<static_cast<Activation>(ops)>), ...);
  ((blocks.activation_backward[ops] = ActivationBackwardBlock<static_cast<Activation>(ops)>), ...);
  ((blocks.activation_backward_rows[ops] = ActivationBackwardRows<static_cast<Activation>(ops)>),
   ...);
  ((blocks.gate[ops] = GateBlock<static_cast<Activation>(ops)>), ...);
  ((blocks.gate_backward[ops] = GateBackwardBlock<static_cast<Activation>(ops)>), ...);
}

inline void SetAll(ElementBlocks<Scalar>& blocks) {
  SetUnary(blocks, std::make_integer_sequence<int, kUnaryOps>());
  SetBinary(blocks, std::make_integer_sequence<int, kBinaryOps>());
  SetActivations(blocks, std::make_integer_sequence<int, kActivations>());
  blocks.multiply_add = MultiplyAddBlock;
  blocks.affine = AffineBlock;
  blocks.maximum_backward[0] = ChoiceBackwardBlock<BinaryOp::kMaximum, true>;
  blocks.maximum_backward[1] = ChoiceBackwardBlock<BinaryOp::kMaximum, false>;
  blocks.minimum_backward[0] = ChoiceBackwardBlock<BinaryOp::kMinimum, true>;
  blocks.minimum_backward[1] = ChoiceBackwardBlock<BinaryOp::kMinimum, false>;
}

}  // namespace trainyard::TRAINYARD_LANES
