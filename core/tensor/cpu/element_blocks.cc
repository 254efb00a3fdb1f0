#include "core/tensor/cpu/element_blocks.h"

namespace trainyard {

template <>
const ElementBlocks<float>& BlocksOf<float>() {
  static const ElementBlocks<float> blocks = [] {
    ElementBlocks<float> result;
    __builtin_cpu_supports("avx512f") ? SetAvx512Blocks(result) : SetAvx2Blocks(result);
    return result;
  }();
  return blocks;
}

template <>
const ElementBlocks<double>& BlocksOf<double>() {
  static const ElementBlocks<double> blocks = [] {
    ElementBlocks<double> result;
    SetDoubleBlocks(result);
    return result;
  }();
  return blocks;
}

}  // namespace trainyard
