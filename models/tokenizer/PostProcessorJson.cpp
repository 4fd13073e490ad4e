//===- PostProcessorJson.cpp - BOS and EOS from tokenizer.json ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/TokenizerParts.h"

#include <optional>

using namespace dsv2;

using Json = nlohmann::json;

namespace {

const std::string where = "tokenizer.json: post_processor";

/// The id a template gives a special token.
std::optional<int32_t> specialId(const Json &templates, const Json &name) {
  auto tokens = templates.find("special_tokens");
  if (tokens == templates.end() || !tokens->is_object() || !name.is_string())
    return std::nullopt;
  auto token = tokens->find(name.get_ref<const std::string &>());
  if (token == tokens->end() || !token->is_object())
    return std::nullopt;
  auto ids = token->find("ids");
  if (ids == token->end() || !ids->is_array() || ids->size() != 1 ||
      !(*ids)[0].is_number_unsigned() ||
      (*ids)[0].get<uint64_t>() > static_cast<uint64_t>(maxTokenId))
    return std::nullopt;
  return (*ids)[0].get<int32_t>();
}

/// At most one token before the text and one after it.
Status readTemplate(const Json &json, TokenizerModel &model) {
  auto single = json.find("single");
  if (single == json.end() || !single->is_array())
    return unexpected(where, "a template for a single text", json);
  bool sequenceSeen = false;
  for (const Json &part : *single) {
    if (part.find("Sequence") != part.end() && !sequenceSeen) {
      sequenceSeen = true;
      continue;
    }
    auto special = part.find("SpecialToken");
    if (special == part.end() || !special->is_object())
      return unexpected(where, "one text and special tokens around it", part);
    auto name = special->find("id");
    std::optional<int32_t> id =
        specialId(json, name == special->end() ? Json() : *name);
    if (!id)
      return unexpected(where, "special tokens of one id each", part);
    bool &add = sequenceSeen ? model.addEos : model.addBos;
    if (add)
      return unexpected(where,
                        "at most one token before and one behind the "
                        "text",
                        *single);
    add = true;
    (sequenceSeen ? model.eosId : model.bosId) = *id;
  }
  return {};
}

Status readPart(const Json &json, int depth, TokenizerModel &model) {
  std::string type = componentType(json);
  if (type == "none" || type == "ByteLevel") // offsets only
    return {};
  if (type == "TemplateProcessing")
    return readTemplate(json, model);
  auto parts = json.find("processors");
  if (type == "Sequence" && parts != json.end() && parts->is_array() &&
      depth < 8) {
    for (const Json &part : *parts)
      DSV2_RETURN_IF_ERROR(readPart(part, depth + 1, model));
    return {};
  }
  auto found = json.find("type");
  return unexpected(where, "ByteLevel or TemplateProcessing",
                    found == json.end() ? json : *found);
}

} // namespace

Status dsv2::readPostProcessor(const Json &json, TokenizerModel &model) {
  return readPart(json, 0, model);
}
