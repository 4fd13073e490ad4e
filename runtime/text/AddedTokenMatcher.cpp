//===- AddedTokenMatcher.cpp - Finds added tokens in text -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/AddedTokenMatcher.h"

#include "runtime/text/Utf8.h"

#include <algorithm>

using namespace dsv2;

namespace {

/// The last character of `text`, which is not empty.
std::string_view lastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
    --begin;
  return text.substr(begin);
}

/// The first character of `text`, which is not empty.
std::string_view firstCharacter(std::string_view text) {
  return text.substr(0, utf8Front(text).length);
}

bool contains(const Regex &set, std::string_view character,
              RegexScratch &scratch) {
  RegexMatch match;
  return set.find(character, 0, scratch, match) == Regex::Outcome::found;
}

} // namespace

bool dsv2::isControlToken(const AddedToken &token) {
  auto enclosedBy = [&](std::string_view open, std::string_view close) {
    return token.content.size() > open.size() + close.size() &&
           token.content.starts_with(open) && token.content.ends_with(close);
  };
  return token.special || enclosedBy("<|", "|>") ||
         enclosedBy("<\uFF5C", "\uFF5C>");
}

Result<AddedTokenMatcher>
AddedTokenMatcher::create(const std::vector<AddedToken> &tokens) {
  Result<Regex> word =
      Regex::compile("[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]");
  Result<Regex> space = Regex::compile("\\p{White_Space}");
  if (!word.ok())
    return word.status();
  if (!space.ok())
    return space.status();

  AddedTokenMatcher matcher(*std::move(word), *std::move(space));
  for (const AddedToken &token : tokens) {
    if (token.content.empty())
      return Status(StatusCode::dataLoss,
                    "expected added token " + std::to_string(token.id) +
                        " to have a content, but it is empty");
    Round &round = token.normalized ? matcher.normalized : matcher.plain;
    round.patterns.push_back({token, isControlToken(token)});
    round.starts[static_cast<unsigned char>(token.content[0])] = true;
  }
  for (Round *round : {&matcher.plain, &matcher.normalized})
    std::stable_sort(round->patterns.begin(), round->patterns.end(),
                     [](const Pattern &a, const Pattern &b) {
                       return a.token.content < b.token.content;
                     });
  return matcher;
}

const AddedTokenMatcher::Pattern *
AddedTokenMatcher::longestAt(const Round &round, std::string_view text) {
  // Narrows the sorted patterns to those that agree with ever more of `text`;
  // a pattern that ends there sorts before all that go on.
  const Pattern *longest = nullptr;
  auto first = round.patterns.begin();
  auto last = round.patterns.end();
  for (size_t depth = 0; depth < text.size(); ++depth) {
    auto byteAt = [depth](const Pattern &pattern) {
      return static_cast<unsigned char>(pattern.token.content[depth]);
    };
    auto wanted = static_cast<unsigned char>(text[depth]);
    first = std::partition_point(first, last, [&](const Pattern &pattern) {
      return byteAt(pattern) < wanted;
    });
    last = std::partition_point(first, last, [&](const Pattern &pattern) {
      return byteAt(pattern) == wanted;
    });
    if (first != last && first->token.content.size() == depth + 1) {
      longest = &*first;
      while (first != last && first->token.content.size() == depth + 1)
        ++first;
    }
    if (first == last)
      break;
  }
  return longest;
}

void AddedTokenMatcher::run(const Round &round, std::string_view text,
                            bool parseSpecial, RegexScratch &scratch,
                            std::vector<TextSegment> &segments) const {
  size_t covered = 0;
  for (size_t i = 0; i < text.size();) {
    if (!round.starts[static_cast<unsigned char>(text[i])]) {
      ++i;
      continue;
    }
    const Pattern *pattern = longestAt(round, text.substr(i));
    if (!pattern) {
      ++i;
      continue;
    }
    // A match that does not count still hides what lies inside it.
    const AddedToken &token = pattern->token;
    size_t begin = i;
    size_t end = i + token.content.size();
    i = end;
    if (pattern->control && !parseSpecial)
      continue;
    if (token.singleWord &&
        ((begin > 0 &&
          contains(wordCharacter, lastCharacter(text.substr(0, begin)),
                   scratch)) ||
         (end < text.size() &&
          contains(wordCharacter, firstCharacter(text.substr(end)), scratch))))
      continue;
    if (token.lstrip)
      while (begin > covered) {
        std::string_view before = lastCharacter(text.substr(0, begin));
        if (!contains(whiteSpace, before, scratch))
          break;
        begin -= before.size();
      }
    if (token.rstrip)
      while (end < text.size()) {
        std::string_view after = firstCharacter(text.substr(end));
        if (!contains(whiteSpace, after, scratch))
          break;
        end += after.size();
      }
    if (covered < begin)
      segments.push_back({-1, text.substr(covered, begin - covered)});
    segments.push_back({token.id, text.substr(begin, end - begin)});
    i = covered = end;
  }
  if (covered < text.size())
    segments.push_back({-1, text.substr(covered)});
}

std::vector<TextSegment>
AddedTokenMatcher::segment(std::string_view text, bool parseSpecial,
                           RegexScratch &scratch) const {
  std::vector<TextSegment> outer;
  run(plain, text, parseSpecial, scratch, outer);
  if (normalized.patterns.empty())
    return outer;
  std::vector<TextSegment> segments;
  for (const TextSegment &segment : outer) {
    if (segment.id >= 0)
      segments.push_back(segment);
    else
      run(normalized, segment.text, parseSpecial, scratch, segments);
  }
  return segments;
}
