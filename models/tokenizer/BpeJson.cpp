//===- BpeJson.cpp - Vocabulary and merges from tokenizer.json ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/ByteAlphabet.h"
#include "models/tokenizer/TokenizerParts.h"

#include <unordered_map>

using namespace dsv2;

using Json = nlohmann::json;
using TokenIds = std::unordered_map<std::string_view, int32_t>;

namespace {

const std::string where = "tokenizer.json: model";

/// Options of other kinds of tokenizers, which would change the tokens.
Status refuseOptions(const Json &json) {
  for (const char *key : {"dropout", "continuing_subword_prefix",
                          "end_of_word_suffix", "byte_fallback"}) {
    auto value = json.find(key);
    bool unused = value == json.end() || value->is_null() || *value == "" ||
                  *value == false || (value->is_number() && *value == 0);
    if (!unused)
      return unexpected(where, std::string("no ") + key, *value);
  }
  return {};
}

/// Fills the vocabulary; `ids` refers to the keys of `json`.
Status readVocabulary(const Json &json, TokenizerModel &model, TokenIds &ids) {
  ids.reserve(json.size());
  for (auto it = json.begin(); it != json.end(); ++it) {
    const Json &value = it.value();
    bool valid = value.is_number_unsigned() &&
                 value.get<uint64_t>() <= static_cast<uint64_t>(maxTokenId);
    if (!valid)
      return unexpected(where + ".vocab",
                        "ids from 0 to " + std::to_string(maxTokenId), value);
    size_t id = value.get<size_t>();
    if (id >= model.vocabulary.size())
      model.vocabulary.resize(id + 1);
    const std::string &text = it.key();
    std::optional<std::string> bytes = bytesFromAlphabet(text);
    // Text outside the alphabet is reached by no merge and decodes to itself;
    // but it must not be taken for the token of a byte.
    std::string token = bytes ? *bytes : text.size() > 1 ? text : "";
    if (token.empty())
      continue;
    if (!model.vocabulary[id].empty())
      return Status(StatusCode::dataLoss,
                    where + ".vocab: expected one token an id, but " +
                        std::to_string(id) + " has two");
    model.vocabulary[id] = std::move(token);
    if (bytes)
      ids.emplace(text, static_cast<int32_t>(id));
  }
  return {};
}

/// The two parts of a merge: "a b" or ["a", "b"].
bool splitMerge(const Json &json, std::string_view &left,
                std::string_view &right) {
  if (json.is_string()) {
    std::string_view text = json.get_ref<const std::string &>();
    size_t space = text.find(' ');
    if (space == std::string_view::npos ||
        text.find(' ', space + 1) != std::string_view::npos)
      return false;
    left = text.substr(0, space);
    right = text.substr(space + 1);
    return true;
  }
  if (!json.is_array() || json.size() != 2 || !json[0].is_string() ||
      !json[1].is_string())
    return false;
  left = json[0].get_ref<const std::string &>();
  right = json[1].get_ref<const std::string &>();
  return true;
}

Status readMerges(const Json &json, const TokenIds &ids,
                  TokenizerModel &model) {
  model.merges.reserve(json.size());
  std::string joined;
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string here = ".merges[" + std::to_string(i) + "]";
    // Old files keep the comment line of merges.txt.
    if (json[i].is_string() &&
        json[i].get_ref<const std::string &>().starts_with("#version"))
      continue;
    std::string_view left, right;
    if (!splitMerge(json[i], left, right))
      return unexpected(where + here, "\"a b\" or [\"a\", \"b\"]", json[i]);
    joined.assign(left).append(right);
    auto leftId = ids.find(left);
    auto rightId = ids.find(right);
    auto mergedId = ids.find(joined);
    if (leftId == ids.end() || rightId == ids.end() || mergedId == ids.end())
      return Status(StatusCode::dataLoss,
                    where + here +
                        ": expected a merge of two tokens into a third, but "
                        "one of them is not in the vocabulary");
    model.merges.push_back({leftId->second, rightId->second, mergedId->second});
  }
  return {};
}

} // namespace

Status dsv2::readBpe(const Json &json, TokenizerModel &model) {
  auto vocabulary = json.find("vocab");
  auto merges = json.find("merges");
  std::string type = componentType(json);
  // Old files have no type; vocabulary and merges together mean BPE.
  if ((type != "BPE" && !type.empty()) || vocabulary == json.end() ||
      merges == json.end())
    return unexpected(where, "a BPE model with a vocabulary and merges",
                      type.empty() ? json : Json(type));
  if (!vocabulary->is_object())
    return unexpected(where + ".vocab", "an object", *vocabulary);
  if (!merges->is_array())
    return unexpected(where + ".merges", "an array", *merges);
  DSV2_RETURN_IF_ERROR(refuseOptions(json));

  JsonFields fields(json, where);
  model.ignoreMerges = fields.boolean("ignore_merges", false);
  DSV2_RETURN_IF_ERROR(fields.status());
  TokenIds ids;
  DSV2_RETURN_IF_ERROR(readVocabulary(*vocabulary, model, ids));
  return readMerges(*merges, ids, model);
}
