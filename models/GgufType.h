//===- GgufType.h - Element types of GGUF tensors ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUFTYPE_H
#define DSV2_MODELS_GGUFTYPE_H

#include "models/TensorSource.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace dsv2 {

/// The types that dsv2 reads, by the numbers that files hold.
enum class GgufType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
};

struct GgufTypeInfo {
  GgufType type;
  std::string_view name; ///< "Q4_K"
  int64_t blockElements; ///< of a row that are stored together
  int64_t blockBytes;
  /// The format of kernels that is nearest, `none` for plain numbers.
  GroupFormat groups;
  /// Whether that format has the same quants and scales.
  bool isExact;
};

/// What is known of a type, or null for a number that dsv2 does not read.
const GgufTypeInfo *findGgufType(uint32_t number);
const GgufTypeInfo &infoOf(GgufType type);

/// The names of all types, for messages.
std::string ggufTypeNames();

} // namespace dsv2

#endif // DSV2_MODELS_GGUFTYPE_H
