//===- TokenizerReader.cpp - Tokenizers of checkpoints --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/TokenizerReader.h"

#include "models/tokenizer/TokenizerParts.h"
#include "runtime/base/MappedFile.h"

#include <algorithm>
#include <utility>

using namespace dsv2;

using Json = nlohmann::json;

Result<Json> dsv2::parseJsonObject(std::string_view text,
                                   std::string_view name) {
  Json json = Json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                          /*allow_exceptions=*/false);
  if (json.is_object())
    return json;
  return Status(StatusCode::dataLoss,
                std::string(name) +
                    ": expected a JSON object in UTF-8, but found something "
                    "else or a damaged file; copy it again");
}

Status dsv2::unexpected(const std::string &where, const std::string &expected,
                        const Json &value) {
  return Status(StatusCode::incompatible, where + ": expected " + expected +
                                              ", but found " +
                                              JsonFields::describe(value));
}

std::string dsv2::componentType(const Json &component) {
  if (component.is_null())
    return "none";
  auto type = component.find("type");
  if (type == component.end() || !type->is_string())
    return "";
  return type->get<std::string>();
}

namespace {

const Json &child(const Json &json, const char *key) {
  static const Json null;
  auto found = json.find(key);
  return found == json.end() ? null : *found;
}

Status readAddedTokens(const Json &json, TokenizerModel &model) {
  const std::string where = "tokenizer.json: added_tokens";
  if (json.is_null())
    return {};
  if (!json.is_array())
    return unexpected(where, "an array", json);
  for (size_t i = 0; i < json.size(); ++i) {
    JsonFields fields(json[i], where + "[" + std::to_string(i) + "]");
    AddedToken token;
    token.id = static_cast<int32_t>(fields.integer("id", 0, maxTokenId));
    token.content = fields.text("content", "");
    token.special = fields.boolean("special", false);
    token.normalized = fields.boolean("normalized", !token.special);
    token.lstrip = fields.boolean("lstrip", false);
    token.rstrip = fields.boolean("rstrip", false);
    token.singleWord = fields.boolean("single_word", false);
    if (token.content.empty())
      fields.fail("expected a content, but it is empty");
    DSV2_RETURN_IF_ERROR(fields.status());
    model.addedTokens.push_back(std::move(token));
  }
  return {};
}

/// Nothing real is nested more; the bound keeps hostile files off the stack.
constexpr int mostNesting = 8;

Status readNormalizer(const Json &json, int depth = 0) {
  if (json.is_null())
    return {};
  const Json &parts = child(json, "normalizers");
  if (componentType(json) == "Sequence" && parts.is_array() &&
      depth < mostNesting) {
    for (const Json &part : parts)
      DSV2_RETURN_IF_ERROR(readNormalizer(part, depth + 1));
    return {};
  }
  return unexpected("tokenizer.json: normalizer",
                    "none, as byte-level tokenizers have", child(json, "type"));
}

Status readDecoder(const Json &json, int depth = 0) {
  std::string type = componentType(json);
  if (type == "none" || type == "ByteLevel")
    return {};
  const Json &parts = child(json, "decoders");
  if (type == "Sequence" && parts.is_array() && depth < mostNesting) {
    for (const Json &part : parts)
      DSV2_RETURN_IF_ERROR(readDecoder(part, depth + 1));
    return {};
  }
  return unexpected("tokenizer.json: decoder", "ByteLevel",
                    child(json, "type"));
}

Status readTokenizerJson(const Json &json, TokenizerModel &model) {
  DSV2_RETURN_IF_ERROR(readBpe(child(json, "model"), model));
  DSV2_RETURN_IF_ERROR(readAddedTokens(child(json, "added_tokens"), model));
  DSV2_RETURN_IF_ERROR(readNormalizer(child(json, "normalizer")));
  DSV2_RETURN_IF_ERROR(readPreTokenizer(child(json, "pre_tokenizer"), model));
  DSV2_RETURN_IF_ERROR(readPostProcessor(child(json, "post_processor"), model));
  return readDecoder(child(json, "decoder"));
}

/// A file that need not exist; `file` keeps its text alive.
Status readOptional(const std::filesystem::path &path,
                    std::optional<MappedFile> &file,
                    std::optional<std::string_view> &text) {
  Result<MappedFile> opened = MappedFile::open(path.string());
  if (!opened.ok())
    return opened.status().code() == StatusCode::notFound ? Status()
                                                          : opened.status();
  file.emplace(*std::move(opened));
  text = std::string_view(reinterpret_cast<const char *>(file->data()),
                          file->size());
  return {};
}

} // namespace

Result<TokenizerModel> dsv2::parseTokenizer(const TokenizerFiles &files) {
  TokenizerModel model;
  struct Part {
    std::optional<std::string_view> text;
    const char *name;
    Status (*read)(const Json &, TokenizerModel &);
  };
  for (const Part &part :
       {Part{files.tokenizer, "tokenizer.json", readTokenizerJson},
        Part{files.config, "tokenizer_config.json", readTokenizerConfig},
        Part{files.generationConfig, "generation_config.json",
             readGenerationConfig}}) {
    if (!part.text)
      continue;
    Result<Json> json = parseJsonObject(*part.text, part.name);
    if (!json.ok())
      return json.status();
    DSV2_RETURN_IF_ERROR(part.read(*json, model));
  }
  if (files.chatTemplate)
    model.chatFormat = detectChatFormat(*files.chatTemplate);
  if (model.eosId >= 0 && std::find(model.stopIds.begin(), model.stopIds.end(),
                                    model.eosId) == model.stopIds.end())
    model.stopIds.push_back(model.eosId);
  return model;
}

Result<TokenizerModel>
dsv2::readTokenizer(const std::filesystem::path &checkpointDir) {
  Result<MappedFile> tokenizer =
      MappedFile::open((checkpointDir / "tokenizer.json").string());
  if (!tokenizer.ok())
    return tokenizer.status();
  std::optional<MappedFile> config, generationConfig, chatTemplate;
  TokenizerFiles files;
  files.tokenizer = {reinterpret_cast<const char *>(tokenizer->data()),
                     tokenizer->size()};
  DSV2_RETURN_IF_ERROR(readOptional(checkpointDir / "tokenizer_config.json",
                                    config, files.config));
  DSV2_RETURN_IF_ERROR(readOptional(checkpointDir / "generation_config.json",
                                    generationConfig, files.generationConfig));
  DSV2_RETURN_IF_ERROR(readOptional(checkpointDir / "chat_template.jinja",
                                    chatTemplate, files.chatTemplate));
  return parseTokenizer(files);
}
