//===- PreTokenizer.cpp - Splits text into pieces -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/PreTokenizer.h"

#include "runtime/text/UnicodeAdditions.h"
#include "runtime/text/Utf8.h"

#include <string>

using namespace dsv2;

namespace {

/// A part of a text that is, or is not, a match.
struct Span {
  size_t begin;
  size_t end;
  bool matched;
};

/// Lets each match grow over the unmatched text on its far side: the text
/// before it, or after it when `spans` are visited from the back.
template <typename Iterator, typename Extend>
void mergeMatches(Iterator first, Iterator last, std::vector<Span> &merged,
                  Extend extend) {
  bool previousMatched = false;
  for (; first != last; ++first) {
    if (first->matched && !previousMatched && !merged.empty())
      extend(merged.back(), *first);
    else
      merged.push_back(*first);
    previousMatched = first->matched;
  }
}

std::vector<Span> merge(const std::vector<Span> &spans,
                        SplitBehavior behavior) {
  std::vector<Span> merged;
  switch (behavior) {
  case SplitBehavior::isolated:
    return spans;
  case SplitBehavior::removed:
    for (const Span &span : spans)
      if (!span.matched)
        merged.push_back(span);
    return merged;
  case SplitBehavior::contiguous:
    for (const Span &span : spans) {
      if (!merged.empty() && merged.back().matched == span.matched)
        merged.back().end = span.end;
      else
        merged.push_back(span);
    }
    return merged;
  case SplitBehavior::mergedWithPrevious:
    mergeMatches(spans.begin(), spans.end(), merged,
                 [](Span &last, const Span &span) { last.end = span.end; });
    return merged;
  case SplitBehavior::mergedWithNext:
    mergeMatches(spans.rbegin(), spans.rend(), merged,
                 [](Span &last, const Span &span) { last.begin = span.begin; });
    return {merged.rbegin(), merged.rend()};
  }
  return merged;
}

} // namespace

Result<PreTokenizer>
PreTokenizer::create(const std::vector<PreTokenizerStep> &steps) {
  PreTokenizer preTokenizer;
  for (size_t i = 0; i < steps.size(); ++i) {
    const PreTokenizerStep &step = steps[i];
    if (step.kind > PreTokenizerKind::digitsGrouped ||
        step.behavior > SplitBehavior::contiguous)
      return Status(StatusCode::incompatible,
                    "expected pre-tokenizer step " + std::to_string(i) +
                        " to be of a known kind, but it is not; it may need a "
                        "newer version");
    std::string pattern = step.pattern;
    if (step.kind == PreTokenizerKind::digitsIndividual)
      pattern = "[" + numericCharacters() + "]";
    else if (step.kind == PreTokenizerKind::digitsGrouped)
      pattern = "[" + numericCharacters() + "]+";
    Result<Regex> regex = Regex::compile(pattern);
    if (!regex.ok())
      return Status(regex.status().code(), "pre-tokenizer step " +
                                               std::to_string(i) + ": " +
                                               regex.status().message());
    preTokenizer.steps.push_back(
        {*std::move(regex), step.behavior, step.invert});
  }
  return preTokenizer;
}

Status PreTokenizer::apply(const Step &step, std::string_view text,
                           RegexScratch &scratch,
                           std::vector<std::string_view> &pieces) {
  RegexMatch match;
  Regex::Outcome outcome = step.regex.find(text, 0, scratch, match);
  // Most pieces are left alone by most steps.
  if (outcome == Regex::Outcome::absent &&
      (step.behavior != SplitBehavior::removed || !step.invert)) {
    pieces.push_back(text);
    return {};
  }

  std::vector<Span> spans;
  size_t covered = 0;
  bool anyMatch = false;
  while (outcome == Regex::Outcome::found) {
    size_t next = match.end;
    if (match.begin == match.end && anyMatch && match.begin == covered) {
      // An empty match right behind the last match does not count.
      if (next == text.size())
        break;
      next += utf8Front(text.substr(next)).length;
    } else {
      if (covered != match.begin)
        spans.push_back({covered, match.begin, step.invert});
      spans.push_back({match.begin, match.end, !step.invert});
      covered = match.end;
      anyMatch = true;
    }
    outcome = step.regex.find(text, next, scratch, match);
  }
  if (outcome == Regex::Outcome::exhausted)
    return Status(
        StatusCode::exhausted,
        "expected the pre-tokenizer's patterns to need few steps, but "
        "one gave up on a piece of " +
            std::to_string(text.size()) + " bytes; tokenize a shorter text");
  if (covered != text.size())
    spans.push_back({covered, text.size(), step.invert});

  for (const Span &span : merge(spans, step.behavior))
    if (span.begin != span.end)
      pieces.push_back(text.substr(span.begin, span.end - span.begin));
  return {};
}

Status PreTokenizer::split(std::string_view text, RegexScratch &scratch,
                           std::vector<std::string_view> &pieces) const {
  pieces.clear();
  if (text.empty())
    return {};
  pieces.push_back(text);
  std::vector<std::string_view> split;
  for (const Step &step : steps) {
    split.clear();
    for (std::string_view piece : pieces)
      DSV2_RETURN_IF_ERROR(apply(step, piece, scratch, split));
    pieces.swap(split);
  }
  return {};
}
