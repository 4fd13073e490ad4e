//===- TokenizerReaderTest.cpp - Files of checkpoints ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/TokenizerReader.h"

#include "runtime/text/Tokenizer.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

using namespace dsv2;

using Json = nlohmann::json;

namespace {

/// A vocabulary of a few bytes in the printable alphabet, and two merges.
Json tokenizerJson() {
  return Json::parse(R"({
    "version": "1.0",
    "added_tokens": [
      {"id": 7, "content": "<B>", "special": true, "normalized": false,
       "lstrip": false, "rstrip": false, "single_word": false},
      {"id": 9, "content": "<E>", "special": true}
    ],
    "normalizer": {"type": "Sequence", "normalizers": []},
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\s?\\p{L}+"},
       "behavior": "Isolated", "invert": false},
      {"type": "Split", "pattern": {"String": "."}, "behavior": "Removed",
       "invert": false},
      {"type": "Digits", "individual_digits": true},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}
    ]},
    "post_processor": {"type": "ByteLevel"},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": "",
      "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
      "vocab": {"a": 0, "b": 1, "Ġ": 2, "Ċ": 3, "ab": 4, "Ġab": 5, "Ã": 6},
      "merges": ["a b", "Ġ ab"]}
  })");
}

Result<TokenizerModel> parse(const Json &tokenizer,
                             const char *config = nullptr,
                             const char *generation = nullptr) {
  std::string text = tokenizer.dump();
  TokenizerFiles files;
  files.tokenizer = text;
  if (config)
    files.config = config;
  if (generation)
    files.generationConfig = generation;
  return parseTokenizer(files);
}

TokenizerModel parsed(const Json &tokenizer, const char *config = nullptr,
                      const char *generation = nullptr) {
  Result<TokenizerModel> model = parse(tokenizer, config, generation);
  EXPECT_TRUE(model.ok()) << model.status().message();
  return model.ok() ? *std::move(model) : TokenizerModel();
}

std::string error(const Json &tokenizer, const char *config = nullptr,
                  const char *generation = nullptr) {
  Result<TokenizerModel> model = parse(tokenizer, config, generation);
  std::string message = model.ok() ? "" : model.status().message();
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  return message;
}

void expectError(const std::string &message, const std::string &part) {
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(TokenizerReader, ReadsAllParts) {
  TokenizerModel model = parsed(tokenizerJson());
  EXPECT_EQ(model.vocabulary, (std::vector<std::string>{"a", "b", " ", "\n",
                                                        "ab", " ab", "\xC3"}));
  ASSERT_EQ(model.merges.size(), 2u);
  EXPECT_EQ(model.merges[1].left, 2);
  EXPECT_EQ(model.merges[1].right, 4);
  EXPECT_EQ(model.merges[1].merged, 5);
  ASSERT_EQ(model.addedTokens.size(), 2u);
  EXPECT_EQ(model.addedTokens[1].id, 9);
  EXPECT_TRUE(model.addedTokens[1].special);
  EXPECT_FALSE(model.addedTokens[1].normalized);
  ASSERT_EQ(model.preTokenizer.size(), 3u);
  EXPECT_EQ(model.preTokenizer[1].pattern, "\\.");
  EXPECT_EQ(model.preTokenizer[1].behavior, SplitBehavior::removed);
  EXPECT_EQ(model.preTokenizer[2].kind, PreTokenizerKind::digitsIndividual);
  EXPECT_EQ(model.bosId, -1);
  EXPECT_FALSE(model.addBos);
  EXPECT_EQ(model.chatFormat, ChatFormatKind::none);

  Result<Tokenizer> tokenizer = Tokenizer::create(model);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  Result<std::vector<int32_t>> ids = tokenizer->encode("ab ab.a<E>");
  ASSERT_TRUE(ids.ok()) << ids.status().message();
  EXPECT_EQ(*ids, (std::vector<int32_t>{4, 5, 0, 9}));
}

TEST(TokenizerReader, MergesAsPairs) {
  Json json = tokenizerJson();
  json["model"]["merges"] = Json::parse(R"([["a", "b"], ["Ġ", "ab"]])");
  EXPECT_EQ(parsed(json).merges.size(), 2u);
  json["model"]["merges"] = {"#version: 0.2", "a b"};
  EXPECT_EQ(parsed(json).merges.size(), 1u);
}

TEST(TokenizerReader, ByteLevelDefaults) {
  Json json = tokenizerJson();
  json["pre_tokenizer"] = {{"type", "ByteLevel"}};
  TokenizerModel model = parsed(json);
  EXPECT_TRUE(model.addPrefixSpace);
  ASSERT_EQ(model.preTokenizer.size(), 1u);
  json["pre_tokenizer"] = nullptr;
  expectError(error(json), "pre_tokenizer");
}

TEST(TokenizerReader, TemplateAddsBosAndEos) {
  Json json = tokenizerJson();
  json["post_processor"] = Json::parse(R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel"},
    {"type": "TemplateProcessing",
     "single": [{"SpecialToken": {"id": "<B>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "<E>", "type_id": 0}}],
     "pair": [],
     "special_tokens": {"<B>": {"id": "<B>", "ids": [7], "tokens": ["<B>"]},
                        "<E>": {"id": "<E>", "ids": [9], "tokens": ["<E>"]}}}
  ]})");
  TokenizerModel model = parsed(json);
  EXPECT_TRUE(model.addBos);
  EXPECT_TRUE(model.addEos);
  EXPECT_EQ(model.bosId, 7);
  EXPECT_EQ(model.eosId, 9);
  EXPECT_EQ(model.stopIds, (std::vector<int32_t>{9}));
  // The configuration has the last word.
  EXPECT_FALSE(parsed(json, R"({"add_eos_token": false})").addEos);

  Json &single = json["post_processor"]["processors"][1]["single"];
  single[2]["SpecialToken"]["id"] = "<X>";
  expectError(error(json), "post_processor");
}

TEST(TokenizerReader, TokenizerConfig) {
  TokenizerModel model = parsed(tokenizerJson(), R"({
    "add_bos_token": true, "add_eos_token": false,
    "bos_token": {"__type": "AddedToken", "content": "<B>"},
    "eos_token": "<E>", "unk_token": null})");
  EXPECT_TRUE(model.addBos);
  EXPECT_FALSE(model.addEos);
  EXPECT_EQ(model.bosId, 7);
  EXPECT_EQ(model.eosId, 9);
  EXPECT_EQ(parsed(tokenizerJson(), R"({"eos_token": "Ġab"})").eosId, 5);
  expectError(error(tokenizerJson(), R"({"bos_token": "<none>"})"),
              "bos_token: expected a token of the vocabulary, but found "
              "\"<none>\"");
  expectError(error(tokenizerJson(), R"({"bos_token": 7})"), "bos_token");
  expectError(error(tokenizerJson(), R"({"add_bos_token": true})"),
              "bos_token");
  expectError(error(tokenizerJson(), R"({"add_bos_token": 1})"),
              "add_bos_token");
  expectError(error(tokenizerJson(), "[]"), "tokenizer_config.json");
}

TEST(TokenizerReader, GenerationConfig) {
  const char *config = R"({"eos_token": "<E>"})";
  EXPECT_EQ(parsed(tokenizerJson(), config, R"({"eos_token_id": 9})").stopIds,
            (std::vector<int32_t>{9}));
  EXPECT_EQ(
      parsed(tokenizerJson(), config, R"({"eos_token_id": [5, 6]})").stopIds,
      (std::vector<int32_t>{5, 6, 9}));
  TokenizerModel model = parsed(tokenizerJson(), nullptr,
                                R"({"bos_token_id": 7, "eos_token_id": [9]})");
  EXPECT_EQ(model.bosId, 7);
  EXPECT_EQ(model.eosId, 9);
  expectError(error(tokenizerJson(), nullptr, R"({"eos_token_id": "<E>"})"),
              "eos_token_id");
}

TEST(TokenizerReader, ChatFormats) {
  auto formatOf = [](const std::string &chatTemplate) {
    Json config = {{"chat_template", chatTemplate}};
    return parsed(tokenizerJson(), config.dump().c_str()).chatFormat;
  };
  std::string markers = "{{'<\uFF5CUser\uFF5C>' + message['content']}}"
                        "{{'<\uFF5CAssistant\uFF5C>'}}";
  EXPECT_EQ(formatOf("{{ 'User: ' + message['content'] + '\\n\\n' }}"
                     "{{ 'Assistant: ' + message['content'] + eos_token }}"),
            ChatFormatKind::v2Chat);
  EXPECT_EQ(formatOf(markers), ChatFormatKind::v25);
  EXPECT_EQ(formatOf("{% set ns = namespace(is_first_sp=true) %}" + markers),
            ChatFormatKind::v3);
  EXPECT_EQ(formatOf("### Instruction:"), ChatFormatKind::none);

  Json several = {{"chat_template",
                   {{{"name", "tool_use"}, {"template", "x"}},
                    {{"name", "default"}, {"template", markers}}}}};
  EXPECT_EQ(parsed(tokenizerJson(), several.dump().c_str()).chatFormat,
            ChatFormatKind::v25);
}

TEST(TokenizerReader, NamesUnknownComponents) {
  auto with = [](const char *key, const char *value) {
    Json json = tokenizerJson();
    json[key] = Json::parse(value);
    return error(json);
  };
  expectError(with("normalizer", R"({"type": "NFC"})"),
              "normalizer: expected none, as byte-level tokenizers have, but "
              "found \"NFC\"");
  expectError(with("pre_tokenizer", R"({"type": "Metaspace"})"),
              "\"Metaspace\"");
  expectError(with("pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [
                 {"type": "ByteLevel", "add_prefix_space": false},
                 {"type": "ByteLevel"}]})"),
              "pretokenizers[1]: expected add_prefix_space");
  expectError(with("pre_tokenizer", R"({"type": "Split", "invert": false,
                 "pattern": {"Regex": "[a[b]]"}, "behavior": "Isolated"})"),
              "pre_tokenizer: expected a pattern without a character class");
  expectError(with("pre_tokenizer", R"({"type": "Split", "invert": false,
                 "pattern": {"Regex": "a("}, "behavior": "Isolated"})"),
              "PCRE2");
  expectError(with("pre_tokenizer", R"({"type": "Split", "invert": false,
                 "pattern": {"Regex": "a"}, "behavior": "Torn"})"),
              "\"Torn\"");
  expectError(with("post_processor", R"({"type": "BertProcessing"})"),
              "\"BertProcessing\"");
  expectError(with("decoder", R"({"type": "WordPiece"})"), "\"WordPiece\"");
  expectError(with("model", R"({"type": "Unigram", "vocab": []})"),
              "\"Unigram\"");
}

TEST(TokenizerReader, RefusesBadModels) {
  auto with = [](const char *pointer, const char *value) {
    Json json = tokenizerJson();
    json[Json::json_pointer(pointer)] = Json::parse(value);
    return error(json);
  };
  expectError(with("/model/vocab/a", "-1"), "found -1");
  expectError(with("/model/vocab/a", "1e9"), "model.vocab");
  expectError(with("/model/vocab/a", "99999999999"), "99999999999");
  expectError(with("/model/vocab/a", "1"), "has two");
  expectError(with("/model/merges/1", "\"x y\""), "merges[1]");
  expectError(with("/model/merges/1", "\"a\""), "merges[1]");
  expectError(with("/model/merges/1", "[\"a\"]"), "merges[1]");
  expectError(with("/model/byte_fallback", "true"), "byte_fallback");
  expectError(with("/model/dropout", "0.1"), "dropout");
  expectError(with("/added_tokens/0/id", "99999999"), "added_tokens[0]");
  expectError(with("/added_tokens/0/content", "\"\""), "added_tokens[0]");
  expectError(with("/added_tokens/0", "3"), "added_tokens[0]");
  std::string deep(100000, '[');
  TokenizerFiles files;
  for (std::string_view text :
       {std::string_view(), std::string_view("{"),
        std::string_view("{\"a\": \"\xFF\"}"), std::string_view(deep)}) {
    files.tokenizer = text;
    Result<TokenizerModel> model = parseTokenizer(files);
    ASSERT_FALSE(model.ok());
    expectError(model.status().message(), "tokenizer.json");
  }
}

TEST(TokenizerReader, TextOutsideTheAlphabetStaysAsItIs) {
  Json json = tokenizerJson();
  json["model"]["vocab"]["<\uFF5Cx\uFF5C>"] = 12;
  json["model"]["vocab"]["\n"] = 13; // not the token of a line feed: Ċ is
  TokenizerModel model = parsed(json);
  EXPECT_EQ(model.vocabulary[12], "<\uFF5Cx\uFF5C>");
  EXPECT_EQ(model.vocabulary[3], "\n");
  EXPECT_TRUE(model.vocabulary.size() < 14 || model.vocabulary[13].empty());
}

TEST(TokenizerReader, ReadsDirectories) {
  std::filesystem::path directory =
      std::filesystem::path(testing::TempDir()) / "dsv2-tokenizer-reader";
  std::filesystem::remove_all(directory);
  std::filesystem::create_directories(directory);
  Result<TokenizerModel> missing = readTokenizer(directory);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), StatusCode::notFound);

  std::ofstream(directory / "tokenizer.json") << tokenizerJson();
  ASSERT_TRUE(readTokenizer(directory).ok());
  std::ofstream(directory / "tokenizer_config.json")
      << R"({"eos_token": "<E>", "chat_template": "x"})";
  std::ofstream(directory / "generation_config.json")
      << R"({"eos_token_id": 5})";
  std::ofstream(directory / "chat_template.jinja") << "User: Assistant:";
  Result<TokenizerModel> model = readTokenizer(directory);
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(model->stopIds, (std::vector<int32_t>{5, 9}));
  EXPECT_EQ(model->chatFormat, ChatFormatKind::v2Chat);
  std::filesystem::remove_all(directory);
}

} // namespace
