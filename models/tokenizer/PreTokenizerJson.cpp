//===- PreTokenizerJson.cpp - Splits from tokenizer.json ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/PatternTranslator.h"
#include "models/tokenizer/TokenizerParts.h"
#include "runtime/text/Regex.h"

#include <optional>

using namespace dsv2;

using Json = nlohmann::json;

namespace {

/// What a ByteLevel step with "use_regex" splits by: contractions, words,
/// numbers, other signs, and white space up to the last before a word.
constexpr std::string_view byteLevelPattern =
    "'(?:s|t|re|ve|m|ll|d)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
    "\\s+(?!\\S)|\\s+";

std::optional<SplitBehavior> parseBehavior(std::string_view name) {
  if (name == "Isolated")
    return SplitBehavior::isolated;
  if (name == "Removed")
    return SplitBehavior::removed;
  if (name == "MergedWithPrevious")
    return SplitBehavior::mergedWithPrevious;
  if (name == "MergedWithNext")
    return SplitBehavior::mergedWithNext;
  if (name == "Contiguous")
    return SplitBehavior::contiguous;
  return std::nullopt;
}

/// Adds a split by an Oniguruma pattern.
Status addPattern(const std::string &where, std::string_view pattern,
                  PreTokenizerStep step, TokenizerModel &model) {
  Result<std::string> translated = translatePattern(pattern);
  if (!translated.ok())
    return Status(translated.status().code(),
                  where + ": " + translated.status().message());
  step.pattern = *std::move(translated);
  // Compiled here too, so that the message names the file.
  if (Result<Regex> regex = Regex::compile(step.pattern); !regex.ok())
    return Status(regex.status().code(),
                  where + ": " + regex.status().message());
  model.preTokenizer.push_back(std::move(step));
  return {};
}

Status readSplit(const Json &json, const std::string &where,
                 TokenizerModel &model) {
  JsonFields fields(json, where);
  PreTokenizerStep step;
  std::string behavior = fields.text("behavior", "");
  step.invert = fields.boolean("invert", false);
  DSV2_RETURN_IF_ERROR(fields.status());
  std::optional<SplitBehavior> parsed = parseBehavior(behavior);
  if (!parsed)
    return unexpected(where, "a known behavior", Json(behavior));
  step.behavior = *parsed;

  const Json *pattern = fields.find("pattern");
  if (pattern && pattern->is_object()) {
    auto regex = pattern->find("Regex");
    if (regex != pattern->end() && regex->is_string())
      return addPattern(where, regex->get_ref<const std::string &>(), step,
                        model);
    auto text = pattern->find("String");
    if (text != pattern->end() && text->is_string()) {
      step.pattern = literalPattern(text->get_ref<const std::string &>());
      if (!step.pattern.empty()) {
        model.preTokenizer.push_back(std::move(step));
        return {};
      }
    }
  }
  return Status(StatusCode::incompatible,
                where + ": expected a pattern {\"Regex\": ...} or {\"String\": "
                        "...}, but found another");
}

Status readStep(const Json &json, const std::string &where, int depth,
                TokenizerModel &model) {
  std::string type = componentType(json);
  JsonFields fields(json, where);
  if (type == "Sequence") {
    const Json *parts = fields.find("pretokenizers");
    // Nothing real is nested; the bound keeps hostile files off the stack.
    if (!parts || !parts->is_array() || depth > 8)
      return Status(StatusCode::incompatible,
                    where + ": expected a list of pretokenizers, but found "
                            "none or one nested too deeply");
    for (size_t i = 0; i < parts->size(); ++i)
      DSV2_RETURN_IF_ERROR(readStep(
          (*parts)[i], where + ".pretokenizers[" + std::to_string(i) + "]",
          depth + 1, model));
    return {};
  }
  if (type == "Split")
    return readSplit(json, where, model);
  if (type == "Digits") {
    PreTokenizerStep step;
    step.kind = fields.boolean("individual_digits", false)
                    ? PreTokenizerKind::digitsIndividual
                    : PreTokenizerKind::digitsGrouped;
    DSV2_RETURN_IF_ERROR(fields.status());
    model.preTokenizer.push_back(std::move(step));
    return {};
  }
  if (type == "ByteLevel") {
    bool prefix = fields.boolean("add_prefix_space", true);
    bool pattern = fields.boolean("use_regex", true);
    DSV2_RETURN_IF_ERROR(fields.status());
    // Behind other steps it would put a space before each of their pieces.
    if (prefix && !model.preTokenizer.empty())
      return Status(StatusCode::incompatible,
                    where + ": expected add_prefix_space only in the first "
                            "step, but a step comes before it");
    model.addPrefixSpace |= prefix;
    return pattern ? addPattern(where, byteLevelPattern, {}, model) : Status();
  }
  auto found = json.find("type");
  return unexpected(where, "Sequence, Split, Digits or ByteLevel",
                    found == json.end() ? Json() : *found);
}

} // namespace

Status dsv2::readPreTokenizer(const Json &json, TokenizerModel &model) {
  return readStep(json, "tokenizer.json: pre_tokenizer", 0, model);
}
