//===- TokenizerParts.h - Readers of parts of tokenizer.json ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each reader fills its part of a model from a JSON value.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_TOKENIZERPARTS_H
#define DSV2_MODELS_TOKENIZER_TOKENIZERPARTS_H

#include "models/JsonFields.h"
#include "runtime/base/Status.h"
#include "runtime/text/TokenizerModel.h"

#include <string>
#include <string_view>

namespace dsv2 {

/// Ids are array indices; a file must not ask for an absurd array.
inline constexpr int64_t maxTokenId = (1 << 22) - 1;

/// Parses a file into an object, or says where it is not JSON.
Result<nlohmann::json> parseJsonObject(std::string_view text,
                                       std::string_view name);

/// "<where>: expected <expected>, but found <value>".
Status unexpected(const std::string &where, const std::string &expected,
                  const nlohmann::json &value);

/// The "type" of a component; "none" for null, empty when there is none.
std::string componentType(const nlohmann::json &component);

/// model: vocabulary, merges, ignoreMerges.
Status readBpe(const nlohmann::json &json, TokenizerModel &model);

/// pre_tokenizer: preTokenizer, addPrefixSpace.
Status readPreTokenizer(const nlohmann::json &json, TokenizerModel &model);

/// post_processor: the BOS and EOS tokens it adds.
Status readPostProcessor(const nlohmann::json &json, TokenizerModel &model);

/// tokenizer_config.json: BOS and EOS, and the chat template if there is one.
Status readTokenizerConfig(const nlohmann::json &json, TokenizerModel &model);

/// generation_config.json: stopIds, and BOS and EOS where still unknown.
Status readGenerationConfig(const nlohmann::json &json, TokenizerModel &model);

/// Recognizes the format a Jinja template writes.
ChatFormatKind detectChatFormat(std::string_view chatTemplate);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_TOKENIZERPARTS_H
