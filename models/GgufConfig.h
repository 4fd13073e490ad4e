//===- GgufConfig.h - The config of a GGUF file -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUFCONFIG_H
#define DSV2_MODELS_GGUFCONFIG_H

#include "models/Gguf.h"

#include <functional>

namespace dsv2 {

/// Finds a tensor by its GGUF name, or null.
using FindGgufTensor = std::function<const GgufTensor *(std::string_view)>;

/// The config.json that the metadata of the architecture `deepseek2` stands
/// for. What it leaves open and is guessed is added to `notes`, a line each.
Result<std::string> ggufConfigJson(const GgufContents &file,
                                   const FindGgufTensor &find,
                                   std::string_view path,
                                   std::vector<std::string> &notes);

} // namespace dsv2

#endif // DSV2_MODELS_GGUFCONFIG_H
