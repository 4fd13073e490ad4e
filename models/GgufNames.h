//===- GgufNames.h - Names of tensors in GGUF files -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUFNAMES_H
#define DSV2_MODELS_GGUFNAMES_H

#include <cstdint>
#include <string>
#include <string_view>

namespace dsv2 {

/// What a GGUF file calls a tensor of a Hugging Face checkpoint.
struct GgufName {
  std::string name;    ///< empty for a tensor that no GGUF file has
  int64_t expert = -1; ///< in a stack of experts
};

GgufName ggufNameOf(std::string_view name);

} // namespace dsv2

#endif // DSV2_MODELS_GGUFNAMES_H
