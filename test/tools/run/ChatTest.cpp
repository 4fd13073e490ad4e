//===- ChatTest.cpp - Conversations with dsv2-run -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

using namespace dsv2;
using namespace dsv2::test;

using ChatTest = RunTest;

TEST_F(ChatTest, NeedsFormat) {
  expectError(plain + " --chat", "--chat needs a tokenizer");
  expectWritten(writeToy(text, [](schema::ArtifactT &artifact) {
    TokenizerModel model = letterTokenizer();
    model.chatFormat = ChatFormatKind::none;
    artifact.tokenizer = packTokenizer(model);
  }));
  expectError(text + " --chat", "--chat needs a chat format");
}

/// The history stays in the cache: each turn feeds only what is new.
TEST_F(ChatTest, Piped) {
  std::string logits = directory.path("logits.npy");
  ToolResult result = run(
      text + " --chat -n 2 --temp 0 -t 1 --logits-out " + logits, "ab\n\nc\n");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "ff\nff\n");
  // <bos> <User> a b <Assistant> f f <eos> <User> c <Assistant> f (f)
  std::vector<int32_t> tokens = {0, 2, 4, 5, 3, 9, 9, 1, 2, 6, 3, 9};
  std::string file = readFile(logits);
  ASSERT_EQ(file.size(), 128 + tokens.size() * toyVocab * sizeof(float));
  std::vector<float> last(toyVocab);
  std::copy_n(file.end() - toyVocab * sizeof(float), toyVocab * sizeof(float),
              reinterpret_cast<char *>(last.data()));
  EXPECT_EQ(last, toyLogits(tokens));
}

TEST_F(ChatTest, Commands) {
  ToolResult result = run(text + " --chat --system z -n 1 --temp 0 -t 1 -q",
                          "/help\n/nonsense\na\\\nb\n/reset\na\n/quit\nb\n");
  // "\" joins lines; the letters have no newline, so that fails.
  EXPECT_EQ(result.status, 1) << result;
  result = run(text + " --chat --system z -n 1 --temp 0 -t 1 -q",
               "/help\n/nonsense\na\n/reset\na\n/quit\nb\n");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "f\nf\n");
  EXPECT_NE(result.err.find("/reset"), std::string::npos) << result;
  EXPECT_NE(result.err.find("unknown command '/nonsense'"), std::string::npos);
}

TEST_F(ChatTest, FullContext) {
  ToolResult result = run(text + " --chat -c 12 --temp 0 -t 1 -q", "ab\n");
  EXPECT_EQ(result.status, 0) << result;
  EXPECT_EQ(result.out, "ffffffff\n");
  EXPECT_NE(result.err.find("the context is full; /reset"), std::string::npos);
  // A pipe cannot answer, so the program ends.
  expectError(text + " --chat -c 8 -n 1 --temp 0 -t 1 -q",
              "of which 5 are taken", "ab\nabc\n");
}
