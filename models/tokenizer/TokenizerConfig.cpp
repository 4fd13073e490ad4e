//===- TokenizerConfig.cpp - BOS, EOS and chat format ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/ByteAlphabet.h"
#include "models/tokenizer/TokenizerParts.h"

#include <algorithm>

using namespace dsv2;

using Json = nlohmann::json;

namespace {

/// The id of a token given as "text" or {"content": "text", ...}; `id` stays
/// as it is when the key is absent.
Status readToken(const Json &json, const char *key, const TokenizerModel &model,
                 int32_t &id) {
  const std::string where = std::string("tokenizer_config.json: ") + key;
  auto value = json.find(key);
  if (value == json.end() || value->is_null())
    return {};
  const Json *text = &*value;
  if (auto content = value->find("content");
      value->is_object() && content != value->end())
    text = &*content;
  if (!text->is_string())
    return unexpected(where, "a token's text", *text);
  const std::string &name = text->get_ref<const std::string &>();
  for (const AddedToken &token : model.addedTokens)
    if (token.content == name) {
      id = token.id;
      return {};
    }
  std::optional<std::string> bytes = bytesFromAlphabet(name);
  auto found = std::find(model.vocabulary.begin(), model.vocabulary.end(),
                         bytes ? *bytes : name);
  if (name.empty() || found == model.vocabulary.end())
    return unexpected(where, "a token of the vocabulary", *text);
  id = static_cast<int32_t>(found - model.vocabulary.begin());
  return {};
}

/// The template: a string, or the one named "default" of several.
std::string chatTemplateOf(const Json &json) {
  auto value = json.find("chat_template");
  if (value == json.end())
    return "";
  if (value->is_string())
    return value->get<std::string>();
  if (value->is_array())
    for (const Json &entry : *value) {
      JsonFields fields(entry, "chat_template");
      if (fields.text("name", "") == "default")
        return fields.text("template", "");
    }
  return "";
}

} // namespace

ChatFormatKind dsv2::detectChatFormat(std::string_view chatTemplate) {
  auto has = [&](std::string_view marker) {
    return chatTemplate.find(marker) != std::string_view::npos;
  };
  if (has("<\uFF5CUser\uFF5C>") && has("<\uFF5CAssistant\uFF5C>"))
    // V3's template joins several system messages, which V2.5's does not.
    return has("is_first_sp") ? ChatFormatKind::v3 : ChatFormatKind::v25;
  if (has("User: ") && has("Assistant:"))
    return ChatFormatKind::v2Chat;
  return ChatFormatKind::none;
}

Status dsv2::readTokenizerConfig(const Json &json, TokenizerModel &model) {
  DSV2_RETURN_IF_ERROR(readToken(json, "bos_token", model, model.bosId));
  DSV2_RETURN_IF_ERROR(readToken(json, "eos_token", model, model.eosId));
  JsonFields fields(json, "tokenizer_config.json");
  model.addBos = fields.boolean("add_bos_token", model.addBos);
  model.addEos = fields.boolean("add_eos_token", model.addEos);
  if (model.addBos && model.bosId < 0)
    fields.fail(
        "expected a bos_token because of add_bos_token, but found none");
  if (model.addEos && model.eosId < 0)
    fields.fail(
        "expected an eos_token because of add_eos_token, but found none");
  model.chatFormat = detectChatFormat(chatTemplateOf(json));
  return fields.status();
}

Status dsv2::readGenerationConfig(const Json &json, TokenizerModel &model) {
  constexpr size_t mostStops = 64;
  JsonFields fields(json, "generation_config.json");
  std::vector<int64_t> stops =
      fields.integers("eos_token_id", 0, maxTokenId, mostStops);
  int64_t bos = fields.integer("bos_token_id", 0, maxTokenId, model.bosId);
  DSV2_RETURN_IF_ERROR(fields.status());
  model.stopIds.assign(stops.begin(), stops.end());
  if (model.bosId < 0)
    model.bosId = static_cast<int32_t>(bos);
  if (model.eosId < 0 && !stops.empty())
    model.eosId = static_cast<int32_t>(stops.front());
  return {};
}
