//===- StreamingDecoderTest.cpp - Text as tokens arrive -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/StreamingDecoder.h"

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"
#include "test/runtime/text/SmallTokenizer.h"

#include <gtest/gtest.h>

#include <random>

using namespace dsv2;

namespace {

class StreamingDecoderTest : public testing::Test {
protected:
  Result<Tokenizer> tokenizer = Tokenizer::create(test::smallModel());
};

TEST_F(StreamingDecoderTest, HoldsUnfinishedCharacters) {
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.add(259), "hello");
  EXPECT_EQ(decoder.add(0xF0), "");
  EXPECT_EQ(decoder.add(0x9F), "");
  EXPECT_EQ(decoder.add(0xA6), "");
  EXPECT_EQ(decoder.add(0x99), "\U0001F999");
  EXPECT_EQ(decoder.flush(), "");
}

TEST_F(StreamingDecoderTest, FlushReplacesWhatIsUnfinished) {
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.add(0xE2), "");
  EXPECT_EQ(decoder.add(0x82), "");
  EXPECT_EQ(decoder.flush(), "\uFFFD");
  EXPECT_EQ(decoder.add('a'), "a");
}

TEST_F(StreamingDecoderTest, ReplacesBytesThatFormNoCharacter) {
  StreamingDecoder decoder(*tokenizer);
  EXPECT_EQ(decoder.add(0xE2), "");
  EXPECT_EQ(decoder.add(259), "\uFFFDhello");
  EXPECT_EQ(decoder.add(0xFF), "\uFFFD");
}

TEST_F(StreamingDecoderTest, SkipsControlTokensUnlessTold) {
  StreamingDecoder quiet(*tokenizer);
  EXPECT_EQ(quiet.add(0xC3), "");
  EXPECT_EQ(quiet.add(264), "");
  EXPECT_EQ(quiet.add(0xA9), "\u00E9");
  StreamingDecoder full(*tokenizer, /*skipSpecial=*/false);
  EXPECT_EQ(full.add(264), "<\uFF5Cend\uFF5C>");
}

TEST_F(StreamingDecoderTest, AgreesWithDecodeAndIsAlwaysUtf8) {
  std::mt19937 random(4711);
  for (int round = 0; round < 500; ++round) {
    std::vector<int32_t> ids(random() % 40);
    for (int32_t &id : ids)
      id = static_cast<int32_t>(random() % 270);
    StreamingDecoder decoder(*tokenizer);
    std::string text;
    for (int32_t id : ids) {
      std::string part = decoder.add(id);
      EXPECT_EQ(findInvalidUtf8(part), std::string::npos);
      text += part;
    }
    text += decoder.flush();
    EXPECT_EQ(text, tokenizer->decode(ids));
  }
}

} // namespace
