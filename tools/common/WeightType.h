//===- WeightType.h - Reading the types of weights --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Artifacts name the type of a weight as MLIR prints it, for example
// "tensor<64x1408x2048xi4, #dsv2.panels<32, #dsv2.block_int4<32>>>".
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_COMMON_WEIGHTTYPE_H
#define DSV2_TOOLS_COMMON_WEIGHTTYPE_H

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

struct WeightType {
  std::vector<int64_t> shape;
  std::string element; ///< "i4", "bf16"; "" for a text that is no tensor type
  std::string format;  ///< "block_int4<32>"; the element when not quantized
};

WeightType parseWeightType(std::string_view text);

} // namespace dsv2

#endif // DSV2_TOOLS_COMMON_WEIGHTTYPE_H
