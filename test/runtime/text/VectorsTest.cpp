//===- VectorsTest.cpp - Real vocabularies --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Texts with their expected ids, for the vocabularies of DeepSeek-LLM (which
// DeepSeek-V2 shares) and DeepSeek-Coder.
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/GgufTokenizer.h"
#include "models/tokenizer/TokenizerReader.h"
#include "runtime/text/StreamingDecoder.h"
#include "runtime/text/Tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

using namespace dsv2;

namespace {

const std::filesystem::path dataDirectory = DSV2_TOKENIZER_DATA;

std::string readFile(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The texts of an .inp file: each ends before a line feed and the separator.
std::vector<std::string> readTexts(const std::filesystem::path &path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::string all = readFile(path);
  std::vector<std::string> texts;
  size_t begin = 0;
  for (size_t end; (end = all.find(separator, begin)) != std::string::npos;
       begin = end + separator.size())
    texts.push_back(all.substr(begin, end - begin));
  return texts;
}

/// The ids of an .out file: those of one text on each line.
std::vector<std::vector<int32_t>> readIds(const std::filesystem::path &path) {
  std::istringstream file(readFile(path));
  std::vector<std::vector<int32_t>> lists;
  for (std::string line; std::getline(file, line);) {
    std::istringstream numbers(line);
    lists.emplace_back(std::istream_iterator<int32_t>(numbers),
                       std::istream_iterator<int32_t>());
  }
  return lists;
}

void check(const Tokenizer &tokenizer, const std::string &name) {
  auto texts = readTexts(dataDirectory / (name + ".inp"));
  auto lists = readIds(dataDirectory / (name + ".out"));
  ASSERT_EQ(texts.size(), lists.size());
  ASSERT_GT(texts.size(), 30u);
  for (size_t i = 0; i < texts.size(); ++i) {
    auto ids = tokenizer.encode(texts[i], {.addBos = false});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_EQ(*ids, lists[i]) << texts[i];
    EXPECT_EQ(tokenizer.decode(*ids, /*skipSpecial=*/false), texts[i]);
  }
}

class VectorsTest : public testing::Test {
protected:
  void SetUp() override {
    if (!std::filesystem::exists(dataDirectory))
      GTEST_SKIP() << "the real vocabularies are not shipped; set "
                      "DSV2_TOKENIZER_DATA to a directory that has them";
  }
};

TEST_F(VectorsTest, DeepSeekLlm) {
  auto model = readTokenizer(dataDirectory / "deepseek-llm");
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto tokenizer = Tokenizer::create(*std::move(model));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  check(*tokenizer, "ggml-vocab-deepseek-llm.gguf");
}

// The splits of a GGUF file have only a name, so both are tried.
TEST_F(VectorsTest, Gguf) {
  for (const char *name :
       {"ggml-vocab-deepseek-llm.gguf", "ggml-vocab-deepseek-coder.gguf"}) {
    auto file = GgufFile::open((dataDirectory / name).string());
    ASSERT_TRUE(file.ok()) << file.status().message();
    auto model = readGgufTokenizer(file->contents(), name);
    ASSERT_TRUE(model.ok()) << model.status().message();
    ASSERT_TRUE(model->has_value());
    auto tokenizer = Tokenizer::create(**std::move(model));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    check(*tokenizer, name);
  }
}

// No text without a place to split may take more than seconds.
TEST_F(VectorsTest, LongTexts) {
  auto model = readTokenizer(dataDirectory / "deepseek-llm");
  ASSERT_TRUE(model.ok()) << model.status().message();
  auto tokenizer = Tokenizer::create(*std::move(model));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  for (const char *unit :
       {"a", "\U0001F999", "\n", " ", "\t", "7", "\u4E2D", "<", "\u00E9a",
        " \U0001F999", "\u0300", "!\u3000"}) {
    std::string text;
    while (text.size() < (1 << 20))
      text += unit;
    text += "\U0001F680"; // no white space ends the text
    auto ids = tokenizer->encode(text, {.addBos = false});
    ASSERT_TRUE(ids.ok()) << ids.status().message();
    EXPECT_TRUE(tokenizer->decode(*ids) == text) << unit;
  }
}

} // namespace
