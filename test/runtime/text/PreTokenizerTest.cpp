//===- PreTokenizerTest.cpp - Splitting behaviors -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/PreTokenizer.h"

#include <gtest/gtest.h>

using namespace dsv2;

namespace {

using Pieces = std::vector<std::string_view>;

Pieces split(const std::vector<PreTokenizerStep> &steps,
             std::string_view text) {
  Result<PreTokenizer> preTokenizer = PreTokenizer::create(steps);
  EXPECT_TRUE(preTokenizer.ok()) << preTokenizer.status().message();
  RegexScratch scratch;
  Pieces pieces;
  Status status = preTokenizer->split(text, scratch, pieces);
  EXPECT_TRUE(status.ok()) << status.message();
  return pieces;
}

PreTokenizerStep by(const char *pattern, SplitBehavior behavior,
                    bool invert = false) {
  PreTokenizerStep step;
  step.pattern = pattern;
  step.behavior = behavior;
  step.invert = invert;
  return step;
}

TEST(PreTokenizer, Behaviors) {
  using enum SplitBehavior;
  std::string_view text = "the-final--countdown";
  EXPECT_EQ(split({by("-", isolated)}, text),
            (Pieces{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split({by("-", removed)}, text),
            (Pieces{"the", "final", "countdown"}));
  EXPECT_EQ(split({by("-", mergedWithPrevious)}, text),
            (Pieces{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split({by("-", mergedWithNext)}, text),
            (Pieces{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split({by("-", contiguous)}, text),
            (Pieces{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(split({by("-", removed, /*invert=*/true)}, text),
            (Pieces{"-", "-", "-"}));
  EXPECT_EQ(split({by("x", removed, /*invert=*/true)}, text), Pieces());
}

TEST(PreTokenizer, StepsSeeOnlyTheirPiece) {
  using enum SplitBehavior;
  EXPECT_EQ(split({by("b", isolated), by("a+\\z", isolated)}, "aabxaa"),
            (Pieces{"aa", "b", "x", "aa"}));
}

TEST(PreTokenizer, EmptyMatchesCutButLeaveNoPieces) {
  using enum SplitBehavior;
  EXPECT_EQ(split({by("a*", isolated)}, "bab\u00E9"),
            (Pieces{"b", "a", "b", "\u00E9"}));
  EXPECT_EQ(split({by("(?=b)", isolated)}, "abab"), (Pieces{"a", "ba", "b"}));
}

TEST(PreTokenizer, DigitsAreAllNumericCharacters) {
  PreTokenizerStep individual, grouped;
  individual.kind = PreTokenizerKind::digitsIndividual;
  grouped.kind = PreTokenizerKind::digitsGrouped;
  // The last two are a letter-like number and a digit of Unicode 16.
  std::string_view text = "a12\u00BD\u2167\U00010D40z";
  EXPECT_EQ(split({individual}, text),
            (Pieces{"a", "1", "2", "\u00BD", "\u2167", "\U00010D40", "z"}));
  EXPECT_EQ(split({grouped}, text),
            (Pieces{"a", "12\u00BD\u2167\U00010D40", "z"}));
}

TEST(PreTokenizer, NoStepsAndNoText) {
  EXPECT_EQ(split({}, "a b"), (Pieces{"a b"}));
  EXPECT_EQ(split({by(" ", SplitBehavior::isolated)}, ""), Pieces());
}

} // namespace
