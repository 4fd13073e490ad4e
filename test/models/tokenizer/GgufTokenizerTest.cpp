//===- GgufTokenizerTest.cpp - Tokenizers of GGUF files -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/GgufTokenizer.h"
#include "runtime/text/Tokenizer.h"
#include "test/models/CheckpointBuilder.h"
#include "test/models/GgufBuilder.h"

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// Letters a to e, "ab", a character of two bytes, and two control tokens.
GgufImage letters() {
  GgufImage image;
  image.text("tokenizer.ggml.model", "gpt2");
  image.text("tokenizer.ggml.pre", "deepseek-llm");
  image.texts("tokenizer.ggml.tokens", {"a", "b", "c", "\u0120", "ab", "1", "2",
                                        "<bos>", "<eos>", "[PAD9]", "<user>"});
  image.integers("tokenizer.ggml.token_type",
                 {1, 1, 1, 1, 1, 1, 1, 3, 3, 5, 4});
  image.texts("tokenizer.ggml.merges", {"a b"});
  image.u32("tokenizer.ggml.bos_token_id", 7);
  image.u32("tokenizer.ggml.eos_token_id", 8);
  image.boolean("tokenizer.ggml.add_bos_token", true);
  return image;
}

Result<std::optional<TokenizerModel>> read(const GgufImage &image) {
  std::string bytes = image.bytes();
  Result<GgufContents> file =
      parseGguf(std::as_bytes(std::span(bytes)), "file");
  EXPECT_TRUE(file.ok()) << file.status().message();
  return readGgufTokenizer(*file, "file");
}

TEST(GgufTokenizer, ReadsTokensMergesAndSplits) {
  GgufImage image = letters();
  image.text("tokenizer.chat_template", "{{'User: ' + x + 'Assistant:'}}");
  auto model = read(image);
  ASSERT_TRUE(model.ok()) << model.status().message();
  ASSERT_TRUE(model->has_value());
  EXPECT_EQ((*model)->bosId, 7);
  EXPECT_EQ((*model)->eosId, 8);
  EXPECT_TRUE((*model)->addBos);
  EXPECT_FALSE((*model)->addEos);
  EXPECT_EQ((*model)->stopIds, (std::vector<int32_t>{8}));
  EXPECT_EQ((*model)->chatFormat, ChatFormatKind::v2Chat);
  auto tokenizer = Tokenizer::create(**std::move(model));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  auto ids = tokenizer->encode("ab c12<user>b<eos>", {.parseSpecial = true});
  ASSERT_TRUE(ids.ok()) << ids.status().message();
  EXPECT_EQ(*ids, (std::vector<int32_t>{7, 4, 3, 2, 5, 6, 10, 1, 8}));
  EXPECT_EQ(tokenizer->decode(*ids, /*skipSpecial=*/true), "ab c12<user>b");
}

TEST(GgufTokenizer, KnowsTheSplitsOfEachModel) {
  for (const char *pre : {"deepseek-llm", "deepseek-coder", "deepseek-v3"}) {
    GgufImage image;
    image.text("tokenizer.ggml.pre", pre);
    image.texts("tokenizer.ggml.tokens", {"a"});
    auto model = read(image);
    ASSERT_TRUE(model.ok()) << model.status().message();
    EXPECT_GE((*model)->preTokenizer.size(), 3u) << pre;
  }
}

TEST(GgufTokenizer, NoTokensAreNoTokenizer) {
  auto model = read(GgufImage());
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_FALSE(model->has_value());
}

TEST(GgufTokenizer, RefusesWhatItDoesNotKnow) {
  auto with = [](auto change) {
    GgufImage image;
    change(image);
    image.texts("tokenizer.ggml.tokens", {"a", "b"});
    return read(image).status();
  };
  expectFailure(
      with([](GgufImage &i) { i.text("tokenizer.ggml.model", "llama"); }),
      {"file", "llama", "expected gpt2"});
  expectFailure(
      with([](GgufImage &i) { i.text("tokenizer.ggml.pre", "kimi-k2"); }),
      {"kimi-k2", "deepseek-v3"});
  auto known = [](GgufImage &i) {
    i.text("tokenizer.ggml.pre", "deepseek-llm");
  };
  expectFailure(with([&](GgufImage &i) {
                  known(i);
                  i.integers("tokenizer.ggml.token_type", {1});
                }),
                {"token_type", "2 tokens"});
  expectFailure(with([&](GgufImage &i) {
                  known(i);
                  i.u32("tokenizer.ggml.eos_token_id", 2);
                }),
                {"eos_token_id is 2"});
  expectFailure(with([&](GgufImage &i) {
                  known(i);
                  i.texts("tokenizer.ggml.merges", {"a x"});
                }),
                {"file", "merges[0]"});
}

} // namespace
