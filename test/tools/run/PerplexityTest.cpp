//===- PerplexityTest.cpp - dsv2-run --perplexity -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

#include <cmath>

using namespace dsv2;
using namespace dsv2::test;

namespace {

using PerplexityTest = RunTest;

/// The loss of a token, whatever came before it: logits of the toy model differ
/// by a constant from one position to another.
double toyLoss(int32_t token) {
  std::vector<float> logits = toyLogits({});
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit));
  return std::log(sum) - logits[token];
}

/// The numbers after "mean loss" and "over".
std::pair<double, int64_t> parsed(const ToolResult &result) {
  EXPECT_EQ(result.status, 0) << result;
  double perplexity = 0, loss = 0, error = 0, likeliest = 0;
  long long tokens = 0;
  EXPECT_EQ(std::sscanf(result.out.c_str(),
                        "perplexity %lf, mean loss %lf +- %lf, %lf %% "
                        "likeliest, over %lld tokens",
                        &perplexity, &loss, &error, &likeliest, &tokens),
            5)
      << result;
  EXPECT_NEAR(perplexity, std::exp(loss), 1e-3 * perplexity) << result;
  return {loss, tokens};
}

TEST_F(PerplexityTest, CountsAShortTextAsAWhole) {
  auto [loss, tokens] =
      parsed(run(plain + " --perplexity --tokens 3,4,5 -t 1"));
  EXPECT_EQ(tokens, 2);
  EXPECT_NEAR(loss, (toyLoss(4) + toyLoss(5)) / 2, 1e-4);
}

TEST_F(PerplexityTest, CountsTheLikeliest) {
  ToolResult result =
      run(plain + " --perplexity --tokens 3,9,5,9,9 -t 1"); // 9 always
  EXPECT_NE(result.out.find(" 75.00 % likeliest"), std::string::npos) << result;
}

TEST_F(PerplexityTest, CountsTheSecondHalfOfWindows) {
  // Two windows of four and a rest; steps of three tokens change nothing.
  for (const char *chunk : {"", " --chunk 3", " --chunk 1"}) {
    auto [loss, tokens] =
        parsed(run(plain +
                   " --perplexity --tokens 1,2,3,4,5,6,7,8,9,10 -c 4 "
                   "-t 1" +
                   chunk));
    EXPECT_EQ(tokens, 4);
    EXPECT_NEAR(loss, (toyLoss(3) + toyLoss(4) + toyLoss(7) + toyLoss(8)) / 4,
                1e-4);
  }
}

TEST_F(PerplexityTest, CountsLines) {
  writeFile(directory.path("lines"), "abc\nab\n");
  auto [byLine, lineTokens] = parsed(
      run(text + " --perplexity --by-line -t 1 -f " + directory.path("lines")));
  auto [loss, tokens] = parsed(run(text + " --perplexity -t 1 -p abcab"));
  // The BOS before each line predicts its first letter; so does the one before
  // the text, of which "a" is the fourth.
  EXPECT_EQ(lineTokens, 5);
  EXPECT_EQ(tokens, 5);
  EXPECT_NEAR(byLine, loss, 1e-4);
}

TEST_F(PerplexityTest, CountsWhatFollows) {
  writeFile(directory.path("lines"), "abc\naab\nccc\n");
  auto [loss, tokens] =
      parsed(run(text + " --perplexity --by-line --count-after ab -t 1 -f " +
                 directory.path("lines")));
  EXPECT_EQ(tokens, 1); // the "c" of the first line
  EXPECT_GT(loss, 0);
}

TEST_F(PerplexityTest, Errors) {
  expectError(plain + " --perplexity --tokens 3 -t 1", "two tokens or more");
  expectError(plain + " --perplexity --tokens 3,4 --chat", "excludes");
  expectError(plain + " --tokens 3,4 --by-line", "requires");
  expectError(
      plain + " --perplexity -c 100 --tokens " +
          [] {
            std::string ids = "1";
            for (int i = 0; i < 99; ++i)
              ids += ",1";
            return ids;
          }(),
      "--max-context");
}

} // namespace
