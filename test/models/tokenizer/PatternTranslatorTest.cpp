//===- PatternTranslatorTest.cpp - Oniguruma patterns for PCRE2 -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Expectations are what Oniguruma matches.
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/PatternTranslator.h"

#include "runtime/text/Regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

using namespace dsv2;

namespace {

using Matches = std::vector<std::string>;

/// All matches of a translated pattern; empty ones end the search.
Matches matches(std::string_view pattern, std::string_view text) {
  Result<std::string> translated = translatePattern(pattern);
  EXPECT_TRUE(translated.ok()) << translated.status().message();
  Result<Regex> regex = Regex::compile(*translated);
  EXPECT_TRUE(regex.ok()) << *translated << ": " << regex.status().message();
  RegexScratch scratch;
  RegexMatch match;
  Matches found;
  size_t start = 0;
  while (regex->find(text, start, scratch, match) == Regex::Outcome::found &&
         match.begin != match.end) {
    found.emplace_back(text.substr(match.begin, match.end - match.begin));
    start = match.end;
  }
  return found;
}

TEST(PatternTranslator, WhiteSpace) {
  // U+180E is no white space any more; U+0085 and U+000B are.
  EXPECT_EQ(matches("\\s", "\u180E\u0085\x0B\u3000x"),
            (Matches{"\u0085", "\x0B", "\u3000"}));
  EXPECT_EQ(matches("\\S+", "a\u180E b"), (Matches{"a\u180E", "b"}));
  EXPECT_EQ(matches("[^\\S\\n]+", "a \t\n b"), (Matches{" \t", " "}));
}

TEST(PatternTranslator, LineEnds) {
  EXPECT_EQ(matches("\\s+$", "  \n \n\n x \n "), (Matches{"  \n \n", " \n "}));
  EXPECT_EQ(matches("a$", "a\na\r\na"), (Matches{"a", "a"}));
  EXPECT_EQ(matches("^a", "aa\na"), (Matches{"a", "a"}));
  EXPECT_EQ(matches(".+", "a\r\u2028\nb"), (Matches{"a\r\u2028", "b"}));
}

TEST(PatternTranslator, TrailingWhiteSpaceEqualsItsDefinition) {
  // `\s+$` has a fast form of its own; (?:) keeps the plain one.
  for (std::string_view text :
       {"", " ", "\n", " \n ", "a \n\n b\n", "\n\n\na", " a ", "\t\n\ta\n \n"})
    EXPECT_EQ(matches("\\s+$", text), matches("(?:)\\s+$", text)) << text;
}

TEST(PatternTranslator, Shorthands) {
  EXPECT_EQ(matches("\\h+", "xyz 09afAFg\t"), (Matches{"09afAF"}));
  EXPECT_EQ(matches("\\v", "\x0B\n"), (Matches{"\x0B"}));
  EXPECT_EQ(matches("\\d+", "1\u0663\u00BD"), (Matches{"1\u0663"}));
  EXPECT_EQ(matches("\\w+", "a\u0301_\u203F\u2160\u00B2\u2070"),
            (Matches{"a\u0301_\u203F\u2160\u00B2"}));
  EXPECT_EQ(matches("\\bx", "x \u0301x x"), (Matches{"x", "x"}));
}

TEST(PatternTranslator, PropertiesOfNewerUnicode) {
  // A letter of Unicode 15, a mark, digit, punctuation and symbol of 15 or 16.
  EXPECT_EQ(matches("\\p{L}", "\U00031350"), (Matches{"\U00031350"}));
  EXPECT_EQ(matches("[\\p{M}x]", "\u0897"), (Matches{"\u0897"}));
  EXPECT_EQ(matches("\\p{Nd}", "\U00010D40"), (Matches{"\U00010D40"}));
  EXPECT_EQ(matches("\\P{P}", "\u1B4E"), Matches());
  EXPECT_EQ(matches("[^\\p{S}]", "\u2427"), Matches());
  EXPECT_EQ(matches("\\p{^Lu}", "aA"), (Matches{"a"}));
  // U+3001 is shared by Han and other scripts, but its script is Common.
  EXPECT_EQ(matches("\\p{Han}+", "\u3001\u4E2D\u3005"),
            (Matches{"\u4E2D\u3005"}));
}

TEST(PatternTranslator, ClassesAndEscapes) {
  EXPECT_EQ(matches("[!-/:-~\uFF01-\uFF0F]+", "a{\uFF02!"),
            (Matches{"a{\uFF02!"}));
  EXPECT_EQ(matches("[\\[\\]\\\\^-]+", "[\\]^-x"), (Matches{"[\\]^-"}));
  EXPECT_EQ(matches("\\u4e2d\\x{1F999}\\x41\\t\\/", "\u4E2D\U0001F999A\t/"),
            (Matches{"\u4E2D\U0001F999A\t/"}));
  EXPECT_EQ(matches("a{,2}b|x{1}|[\\b]{z", "aaab x \b{z"),
            (Matches{"aab", "x", "\b{z"}));
  EXPECT_EQ(matches("(?i:'S|'t)|(a)\\1", "'s 'T aa a"),
            (Matches{"'s", "'T", "aa"}));
}

TEST(PatternTranslator, LiteralText) {
  Result<Regex> regex = Regex::compile(literalPattern("a.*(\u4E2D\\E\n"));
  ASSERT_TRUE(regex.ok());
  RegexScratch scratch;
  RegexMatch match;
  EXPECT_EQ(regex->find("xa.*(\u4E2D\\E\n", 0, scratch, match),
            Regex::Outcome::found);
  EXPECT_EQ(match.begin, 1u);
}

TEST(PatternTranslator, RefusesWhatWouldDiffer) {
  for (std::string_view pattern :
       {"[a[bc]]",     "[a-z&&[^b]]", "[[:alpha:]]", "(?m:.)",  "a(?i)b",
        "(?<n>a)",     "(*ACCEPT)",   "a{2}+",       "a{2}?",   "\\K",
        "\\R",         "\\X",         "\\G",         "\\Q",     "\\p{Alpha1}",
        "\\p",         "\\pL",        "\\xe4",       "\\u12",   "\\x{D800}",
        "\\x{110000}", "[",           "[]",          "[^]",     "[a",
        "\\",          "[\\",         "[\\w-z]",     "[a-\\w]", "[\\P{L}]"}) {
    Result<std::string> translated = translatePattern(pattern);
    EXPECT_FALSE(translated.ok()) << pattern << " gave " << *translated;
  }
}

} // namespace
