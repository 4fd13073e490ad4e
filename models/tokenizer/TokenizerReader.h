//===- TokenizerReader.h - Tokenizers of checkpoints ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Reads the Hugging Face files that describe a byte-level BPE tokenizer and
// its chat format.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_TOKENIZERREADER_H
#define DSV2_MODELS_TOKENIZER_TOKENIZERREADER_H

#include "runtime/base/Status.h"
#include "runtime/text/TokenizerModel.h"

#include <filesystem>
#include <optional>
#include <string_view>

namespace dsv2 {

/// The contents of a checkpoint's files; only `tokenizer` is required.
struct TokenizerFiles {
  std::string_view tokenizer;                       ///< tokenizer.json
  std::optional<std::string_view> config;           ///< tokenizer_config.json
  std::optional<std::string_view> generationConfig; ///< generation_config.json
  std::optional<std::string_view> chatTemplate;     ///< chat_template.jinja
};

/// Builds a model from untrusted files. What they ask for and this tokenizer
/// does not have is an error that names it, never ignored.
Result<TokenizerModel> parseTokenizer(const TokenizerFiles &files);

/// Reads the files of a checkpoint.
Result<TokenizerModel>
readTokenizer(const std::filesystem::path &checkpointDir);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_TOKENIZERREADER_H
