//===- GgufTokenizer.cpp - Tokenizers of GGUF files -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Writes what the metadata says as the files of a checkpoint, which the other
// reader checks. How text is split has only a name in a GGUF file.
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/GgufTokenizer.h"

#include "models/JsonFields.h"
#include "models/tokenizer/TokenizerParts.h"
#include "models/tokenizer/TokenizerReader.h"
#include "runtime/text/Utf8.h"

#include <charconv>

using namespace dsv2;

using Json = nlohmann::json;

namespace {

/// The types of tokens that are no plain ones.
constexpr int64_t controlToken = 3, userDefinedToken = 4, unusedToken = 5;

/// The cased letters by which "deepseek-llm" finds words: those that were known
/// to the version of Unicode its tokenizer was made with.
constexpr uint32_t casedLetters[][2] = {
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},
    {0xc0, 0xd6},       {0xd8, 0xf6},       {0xf8, 0x1ba},
    {0x1bc, 0x1bf},     {0x1c4, 0x293},     {0x295, 0x2af},
    {0x370, 0x373},     {0x376, 0x377},     {0x37b, 0x37d},
    {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
    {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},
    {0x3f7, 0x481},     {0x48a, 0x52f},     {0x531, 0x556},
    {0x10a0, 0x10c5},   {0x13a0, 0x13f5},   {0x13f8, 0x13fd},
    {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
    {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},
    {0x1f18, 0x1f1d},   {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},
    {0x1f50, 0x1f57},   {0x1f59, 0x1f59},   {0x1f5b, 0x1f5b},
    {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},
    {0x1fc6, 0x1fcc},   {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},
    {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},   {0x1ff6, 0x1ffc},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212a, 0x212d},
    {0x212f, 0x2134},   {0x2139, 0x2139},   {0x213c, 0x213f},
    {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2184},
    {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},
    {0xab70, 0xabbf},   {0xfb00, 0xfb06},   {0xfb13, 0xfb17},
    {0xff21, 0xff3a},   {0xff41, 0xff5a},   {0x10400, 0x1044f},
    {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
    {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
};

std::string casedLetterClass() {
  auto escaped = [](uint32_t code) {
    char digits[8];
    auto [end, error] = std::to_chars(digits, std::end(digits), code, 16);
    return "\\x{" + std::string(digits, end) + "}";
  };
  std::string text = "[";
  for (const auto &[first, last] : casedLetters)
    text += escaped(first) + "-" + escaped(last);
  return text + "]";
}

Json split(const std::string &pattern) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", pattern}}},
          {"behavior", "Isolated"}};
}

Json digits() { return {{"type", "Digits"}, {"individual_digits", true}}; }

/// The steps of a pre-tokenizer by its name; null for an unknown one.
Json stepsOf(const std::string &name) {
  const std::string eastAsian = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+";
  if (name == "deepseek-llm")
    return {split("[\r\n]"),
            split("\\s?" + casedLetterClass() + "+"),
            split("\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f"
                  "\u3000-\u3002]+"),
            split("\\s+$"),
            split(eastAsian),
            digits()};
  if (name == "deepseek-coder")
    return {split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"),
            split(eastAsian), digits()};
  if (name == "deepseek-v3")
    return {split("\\p{N}{1,3}"),
            split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
            split("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                  "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
                  " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|"
                  "\\s+(?!\\S)|\\s+")};
  return nullptr;
}

class GgufTokenizer {
public:
  GgufTokenizer(const GgufContents &file, std::string_view path)
      : file(file), path(path), fields(file.values, path) {}

  Result<std::optional<TokenizerModel>> read();

private:
  Status failure(const std::string &text) const {
    return Status(StatusCode::incompatible, path + ": " + text);
  }
  Status tokens();
  Status merges();
  Status preTokenizer();
  Status special();
  /// A token as bos_token or eos_token.
  Status specialToken(const char *key, const char *name);

  const GgufContents &file;
  std::string path;
  JsonFields fields;
  const std::vector<std::string_view> *texts = nullptr;
  Json model = {{"type", "BPE"}}, added = Json::array();
  Json steps, config = Json::object(), generation = Json::object();
};

} // namespace

Status GgufTokenizer::tokens() {
  auto types = file.integers.find("tokenizer.ggml.token_type");
  bool typed = types != file.integers.end();
  if (typed && types->second.size() != texts->size())
    return failure("tokenizer.ggml.token_type has " +
                   std::to_string(types->second.size()) +
                   " entries, expected one for each of the " +
                   std::to_string(texts->size()) + " tokens");
  Json vocabulary = Json::object();
  for (size_t id = 0; id < texts->size(); ++id) {
    std::string_view text = (*texts)[id];
    if (text.empty() || findInvalidUtf8(text) != std::string_view::npos)
      return failure("token " + std::to_string(id) +
                     " is empty or not UTF-8, expected text");
    int64_t type = typed ? types->second[id] : 1;
    if (type == controlToken || type == userDefinedToken)
      added.push_back({{"id", id},
                       {"content", std::string(text)},
                       {"special", type == controlToken}});
    else if (type != unusedToken)
      vocabulary.emplace(std::string(text), id);
  }
  model["vocab"] = std::move(vocabulary);
  return Status();
}

Status GgufTokenizer::merges() {
  Json list = Json::array();
  auto found = file.texts.find("tokenizer.ggml.merges");
  if (found != file.texts.end())
    for (std::string_view merge : found->second) {
      if (findInvalidUtf8(merge) != std::string_view::npos)
        return failure("tokenizer.ggml.merges holds text that is not UTF-8");
      list.push_back(std::string(merge));
    }
  model["merges"] = std::move(list);
  return Status();
}

Status GgufTokenizer::preTokenizer() {
  std::string name = fields.text("tokenizer.ggml.pre", "default");
  DSV2_RETURN_IF_ERROR(fields.status());
  steps = stepsOf(name);
  if (steps.is_null())
    return failure("tokenizer.ggml.pre is " + JsonFields::describe(Json(name)) +
                   ", expected deepseek-llm, deepseek-coder or deepseek-v3");
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", false},
                   {"use_regex", false}});
  return Status();
}

Status GgufTokenizer::specialToken(const char *key, const char *name) {
  if (!fields.find(key))
    return Status();
  int64_t id = fields.integer(key, 0, maxTokenId);
  DSV2_RETURN_IF_ERROR(fields.status());
  if (static_cast<size_t>(id) >= texts->size())
    return failure(std::string(key) + " is " + std::to_string(id) +
                   ", expected less than the number of tokens");
  config[name] = std::string((*texts)[static_cast<size_t>(id)]);
  return Status();
}

Status GgufTokenizer::special() {
  DSV2_RETURN_IF_ERROR(
      specialToken("tokenizer.ggml.bos_token_id", "bos_token"));
  DSV2_RETURN_IF_ERROR(
      specialToken("tokenizer.ggml.eos_token_id", "eos_token"));
  config["add_bos_token"] =
      fields.boolean("tokenizer.ggml.add_bos_token", false);
  config["add_eos_token"] =
      fields.boolean("tokenizer.ggml.add_eos_token", false);
  std::string chat = fields.text("tokenizer.chat_template", "");
  if (findInvalidUtf8(chat) != std::string::npos)
    return failure("tokenizer.chat_template is not UTF-8");
  if (!chat.empty())
    config["chat_template"] = chat;
  Json ends = Json::array();
  for (const char *key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
    if (fields.find(key))
      ends.push_back(fields.integer(key, 0, maxTokenId));
  generation["eos_token_id"] = ends;
  return fields.status();
}

Result<std::optional<TokenizerModel>> GgufTokenizer::read() {
  auto found = file.texts.find("tokenizer.ggml.tokens");
  if (found == file.texts.end())
    return std::optional<TokenizerModel>();
  texts = &found->second;
  std::string kind = fields.text("tokenizer.ggml.model", "gpt2");
  if (kind != "gpt2")
    return failure("tokenizer.ggml.model is " +
                   JsonFields::describe(Json(kind)) +
                   ", expected gpt2, a byte-level BPE");
  using Part = Status (GgufTokenizer::*)();
  for (Part part : {&GgufTokenizer::tokens, &GgufTokenizer::merges,
                    &GgufTokenizer::preTokenizer, &GgufTokenizer::special})
    DSV2_RETURN_IF_ERROR((this->*part)());

  Json whole = {
      {"added_tokens", std::move(added)},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", steps}}},
      {"model", std::move(model)}};
  std::string tokenizerText = whole.dump(), configText = config.dump(),
              generationText = generation.dump();
  TokenizerFiles files;
  files.tokenizer = tokenizerText;
  files.config = configText;
  files.generationConfig = generationText;
  Result<TokenizerModel> parsed = parseTokenizer(files);
  if (!parsed.ok())
    return Status(parsed.status().code(),
                  path + ": as " + parsed.status().message());
  return std::optional<TokenizerModel>(*std::move(parsed));
}

Result<std::optional<TokenizerModel>>
dsv2::readGgufTokenizer(const GgufContents &file, std::string_view path) {
  return GgufTokenizer(file, path).read();
}
