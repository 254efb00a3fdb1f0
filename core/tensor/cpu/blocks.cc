#include "core/tensor/cpu/element_blocks.h"
#include "core/tensor/cpu/optimizer_blocks.h"
#include "core/tensor/cpu/random_blocks.h"
#include "core/tensor/cpu/row_blocks.h"

namespace trainyard {
namespace {

template <typename Blocks>
Blocks FloatBlocks() {
  Blocks blocks;
  __builtin_cpu_supports("avx512f") ? SetAvx512Blocks(blocks) : SetAvx2Blocks(blocks);
  return blocks;
}

template <typename Blocks>
Blocks PlainBlocks() {
  Blocks blocks;
  SetDoubleBlocks(blocks);
  return blocks;
}

}  // namespace

template <>
const ElementBlocks<float>& BlocksOf<float>() {
  static const auto blocks = FloatBlocks<ElementBlocks<float>>();
  return blocks;
}
template <>
const ElementBlocks<double>& BlocksOf<double>() {
  static const auto blocks = PlainBlocks<ElementBlocks<double>>();
  return blocks;
}

template <>
const RowBlocks<float>& RowBlocksOf<float>() {
  static const auto blocks = FloatBlocks<RowBlocks<float>>();
  return blocks;
}
template <>
const RowBlocks<double>& RowBlocksOf<double>() {
  static const auto blocks = PlainBlocks<RowBlocks<double>>();
  return blocks;
}

template <>
const OptimizerBlocks<float>& OptimizerBlocksOf<float>() {
  static const auto blocks = FloatBlocks<OptimizerBlocks<float>>();
  return blocks;
}
template <>
const OptimizerBlocks<double>& OptimizerBlocksOf<double>() {
  static const auto blocks = PlainBlocks<OptimizerBlocks<double>>();
  return blocks;
}

PhiloxWords BestPhiloxWords() {
  static const PhiloxWords best =
      __builtin_cpu_supports("avx512f") ? Avx512PhiloxWords() : Avx2PhiloxWords();
  return best;
}

}  // namespace trainyard
