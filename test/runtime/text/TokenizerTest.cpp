//===- TokenizerTest.cpp - Encoding and decoding --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"

#include "runtime/text/Utf8.h"
#include "test/runtime/text/SmallTokenizer.h"

#include <gtest/gtest.h>

#include <random>

using namespace dsv2;
using test::smallModel;

namespace {

using Ids = std::vector<int32_t>;

constexpr EncodeOptions plain = {.addBos = false, .parseSpecial = true};

Tokenizer make(TokenizerModel model) {
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(model));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  return *std::move(tokenizer);
}

Ids encode(const Tokenizer &tokenizer, std::string_view text,
           const EncodeOptions &options = plain) {
  Result<Ids> ids = tokenizer.encode(text, options);
  EXPECT_TRUE(ids.ok()) << ids.status().message();
  return ids.ok() ? *std::move(ids) : Ids();
}

std::string createError(TokenizerModel model) {
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(model));
  return tokenizer.ok() ? "" : tokenizer.status().message();
}

TEST(Tokenizer, MergesInRankOrder) {
  Tokenizer tokenizer = make(smallModel());
  EXPECT_EQ(encode(tokenizer, "hello hello"), (Ids{259, 260}));
  EXPECT_EQ(encode(tokenizer, "hell"), (Ids{258}));
  EXPECT_EQ(encode(tokenizer, "aaaaaaa"), (Ids{262, 261, 'a'}));
  EXPECT_EQ(encode(tokenizer, "  hello"), (Ids{' ', 260}));
  EXPECT_EQ(encode(tokenizer, ""), Ids());
}

TEST(Tokenizer, ShortAndLongPiecesAgree) {
  // The two algorithms meet at 48 bytes; without a pre-tokenizer, a prefix
  // that no merge crosses makes a long piece of the same text.
  TokenizerModel model = smallModel();
  model.preTokenizer.clear();
  Tokenizer tokenizer = make(std::move(model));
  std::mt19937 random(20240507);
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = random() % 48; n > 0; --n)
      text += "hela o"[random() % 6];
    Ids expected(60, '!');
    Ids ids = encode(tokenizer, text);
    expected.insert(expected.end(), ids.begin(), ids.end());
    EXPECT_EQ(encode(tokenizer, std::string(60, '!') + text), expected) << text;
  }
}

TEST(Tokenizer, IgnoreMergesTakesWholePieces) {
  TokenizerModel model = smallModel();
  model.merges.pop_back();
  EXPECT_EQ(encode(make(model), "aaaa"), (Ids{261, 261}));
  model.ignoreMerges = true;
  EXPECT_EQ(encode(make(model), "aaaa"), (Ids{262}));
}

TEST(Tokenizer, PrefixSpace) {
  TokenizerModel model = smallModel();
  model.addPrefixSpace = true;
  Tokenizer tokenizer = make(model);
  EXPECT_EQ(encode(tokenizer, "hello"), (Ids{260}));
  EXPECT_EQ(encode(tokenizer, " hello"), (Ids{260}));
}

TEST(Tokenizer, AddsBosAndEosOnlyWhenAsked) {
  TokenizerModel model = smallModel();
  EXPECT_EQ(encode(make(model), "a", {}), (Ids{263, 'a'}));
  model.addEos = true;
  EXPECT_EQ(encode(make(model), "a", {}), (Ids{263, 'a', 264}));
  EXPECT_EQ(encode(make(model), "a", plain), (Ids{'a'}));
  model.addBos = model.addEos = false;
  EXPECT_EQ(encode(make(model), "a", {}), (Ids{'a'}));
}

TEST(Tokenizer, ControlTokensInTextAreOptional) {
  Tokenizer tokenizer = make(smallModel());
  std::string text = "a<\uFF5Cend\uFF5C>a<\uFF5CUser\uFF5C>";
  EXPECT_EQ(encode(tokenizer, text), (Ids{'a', 264, 'a', 265}));
  Ids ids = encode(tokenizer, text, {.addBos = false, .parseSpecial = false});
  EXPECT_EQ(ids.size(), text.size()); // bytes, no control token among them
  EXPECT_EQ(tokenizer.decode(ids), text);
}

TEST(Tokenizer, AddedTokensLeftmostLongest) {
  TokenizerModel model = smallModel();
  auto add = [&](int32_t id, std::string content) -> AddedToken & {
    AddedToken token;
    token.id = id;
    token.content = std::move(content);
    return model.addedTokens.emplace_back(token);
  };
  add(300, "ab");
  add(301, "abc");
  add(302, "bcd");
  add(303, "x").normalized = true;
  add(304, "axa");
  add(305, "S").singleWord = true;
  add(306, "L").lstrip = true;
  add(307, "R").rstrip = true;
  Tokenizer tokenizer = make(model);
  EXPECT_EQ(encode(tokenizer, "abcd"), (Ids{301, 'd'}));
  EXPECT_EQ(encode(tokenizer, "abd"), (Ids{300, 'd'}));
  EXPECT_EQ(encode(tokenizer, "bcd"), (Ids{302}));
  // Tokens that are not normalized go first, wherever they stand.
  EXPECT_EQ(encode(tokenizer, "xaxa"), (Ids{303, 304}));
  EXPECT_EQ(encode(tokenizer, "S S. éS"),
            (Ids{305, ' ', 305, '.', ' ', 0xC3, 0xA9, 'S'}));
  EXPECT_EQ(encode(tokenizer, "( \u3000L ("), (Ids{'(', 306, ' ', '('}));
  EXPECT_EQ(encode(tokenizer, "( R\u00A0\t("), (Ids{'(', ' ', 307, '('}));
  // An id beyond the vocabulary belongs to its added token alone.
  EXPECT_EQ(tokenizer.idToBytes(304), "axa");
  EXPECT_EQ(tokenizer.idToBytes(299), "");
  EXPECT_EQ(tokenizer.vocabularySize(), 308u);
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  Tokenizer tokenizer = make(smallModel());
  struct Case {
    std::string text;
    const char *offset;
  };
  for (const Case &bad : {Case{"abc\xFF", "byte 3 "},
                          {"\xC3", "byte 0 "},
                          {"a\xE2\x82", "byte 1 "},
                          {"12345678\xED\xA0\x80", "byte 8 "},
                          {"\xC0\x80", "byte 0 "},
                          {"ab\xF4\x90\x80\x80", "byte 2 "},
                          {"\xF0\x80\x80\x80", "byte 0 "}}) {
    Result<Ids> ids = tokenizer.encode(bad.text);
    ASSERT_FALSE(ids.ok());
    EXPECT_EQ(ids.status().code(), StatusCode::invalidArgument);
    EXPECT_NE(ids.status().message().find(bad.offset), std::string::npos)
        << ids.status().message();
  }
}

TEST(Tokenizer, MissingByteIsAnError) {
  TokenizerModel model = smallModel();
  model.vocabulary['z'].clear();
  Tokenizer tokenizer = make(model);
  EXPECT_EQ(encode(tokenizer, "y"), (Ids{'y'}));
  Result<Ids> ids = tokenizer.encode("z");
  ASSERT_FALSE(ids.ok());
  EXPECT_NE(ids.status().message().find("byte 122"), std::string::npos);
}

TEST(Tokenizer, PatternsThatExplodeAreErrors) {
  TokenizerModel model = smallModel();
  model.preTokenizer[0].pattern = "(?:a+)+$";
  Tokenizer tokenizer = make(model);
  Result<Ids> ids = tokenizer.encode(std::string(5000, 'a') + "b");
  ASSERT_FALSE(ids.ok());
  EXPECT_EQ(ids.status().code(), StatusCode::exhausted);
}

TEST(Tokenizer, DecodesAnyIds) {
  Tokenizer tokenizer = make(smallModel());
  EXPECT_EQ(tokenizer.decode(Ids{263, 259, 264}), "hello");
  EXPECT_EQ(tokenizer.decode(Ids{265, 259}, /*skipSpecial=*/false),
            "<\uFF5CUser\uFF5C>hello");
  EXPECT_EQ(tokenizer.decode(Ids{-1, 'a', 5000, INT32_MAX}), "a");
  EXPECT_EQ(tokenizer.decode(Ids{0xE2, 0x82, 'a', 0xFF}), "\uFFFDa\uFFFD");
}

TEST(Tokenizer, CreateRefusesInconsistentModels) {
  TokenizerModel model = smallModel();
  model.merges[2].merged = 259;
  EXPECT_NE(createError(model).find("merge 2 "), std::string::npos);
  model.merges[2].merged = 100000;
  EXPECT_NE(createError(model).find("no token 100000"), std::string::npos);
  model.merges[2].merged = -5;
  EXPECT_NE(createError(model).find("no token -5"), std::string::npos);

  model = smallModel();
  model.bosId = 267;
  EXPECT_NE(createError(model).find("BOS token"), std::string::npos);
  model.bosId = -1; // absent, yet to be added
  EXPECT_NE(createError(model).find("BOS token"), std::string::npos);
  model.addBos = false;
  EXPECT_EQ(createError(model), "");
  model.stopIds.push_back(267);
  EXPECT_NE(createError(model).find("stop token"), std::string::npos);

  model = smallModel();
  model.addedTokens[0].content.clear();
  EXPECT_NE(createError(model).find("added token 263"), std::string::npos);
  model.addedTokens[0].content = "\xFF";
  EXPECT_NE(createError(model).find("UTF-8"), std::string::npos);
  model.addedTokens[0].id = INT32_MAX;
  EXPECT_NE(createError(model).find("2147483647"), std::string::npos);

  model = smallModel();
  model.preTokenizer[0].pattern = "(";
  EXPECT_NE(createError(model).find("step 0"), std::string::npos);
  model.preTokenizer[0].behavior = static_cast<SplitBehavior>(5);
  EXPECT_NE(createError(model).find("known kind"), std::string::npos);
  model.preTokenizer.clear();
  model.chatFormat = static_cast<ChatFormatKind>(9);
  EXPECT_NE(createError(model).find("number 9"), std::string::npos);
}

// A megabyte without a place to split must take seconds at most.
TEST(Tokenizer, LongPieces) {
  TokenizerModel model = smallModel();
  PreTokenizerStep trailing;
  trailing.pattern = "(?<!\\s)\\s+(?=\\n|\\z)";
  PreTokenizerStep digits;
  digits.kind = PreTokenizerKind::digitsIndividual;
  model.preTokenizer.insert(model.preTokenizer.end(), {trailing, digits});
  Tokenizer tokenizer = make(model);
  constexpr size_t megabyte = 1 << 20;
  EXPECT_EQ(encode(tokenizer, std::string(megabyte, 'a')),
            Ids(megabyte / 4, 262));
  EXPECT_EQ(encode(tokenizer, std::string(megabyte, '\n')),
            Ids(megabyte, '\n'));
  std::string emoji;
  while (emoji.size() < megabyte)
    emoji += "\U0001F999";
  EXPECT_EQ(tokenizer.decode(encode(tokenizer, emoji)), emoji);
  std::string spaces = std::string(megabyte, ' ') + "\U0001F999";
  EXPECT_EQ(tokenizer.decode(encode(tokenizer, spaces)), spaces);
  EXPECT_EQ(encode(tokenizer, std::string(megabyte, '7')), Ids(megabyte, '7'));
}

TEST(Utf8, ReplacesTheLongestStartOfACharacter) {
  auto lossy = [](std::string bytes) {
    std::string text;
    takeUtf8(bytes, text);
    return text + (bytes.empty() ? "" : "|" + std::to_string(bytes.size()));
  };
  EXPECT_EQ(lossy("a\u00E9\u20AC\U0001F999"), "a\u00E9\u20AC\U0001F999");
  EXPECT_EQ(lossy("\xF0\x9F\xA6z"), "\uFFFDz");
  EXPECT_EQ(lossy("\xF0\x9F\xA6"), "|3");
  EXPECT_EQ(lossy("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(lossy("\xC3\xC3\xA9"), "\uFFFD\u00E9");
  EXPECT_EQ(lossy("\x80\xBF"), "\uFFFD\uFFFD");
}

} // namespace
