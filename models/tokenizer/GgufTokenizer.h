//===- GgufTokenizer.h - Tokenizers of GGUF files ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_GGUFTOKENIZER_H
#define DSV2_MODELS_TOKENIZER_GGUFTOKENIZER_H

#include "models/Gguf.h"
#include "runtime/text/TokenizerModel.h"

#include <optional>
#include <string_view>

namespace dsv2 {

/// The tokenizer of a GGUF file, none where it has no tokens. `path` begins
/// every message.
Result<std::optional<TokenizerModel>>
readGgufTokenizer(const GgufContents &file, std::string_view path);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_GGUFTOKENIZER_H
