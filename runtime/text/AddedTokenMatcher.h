//===- AddedTokenMatcher.h - Finds added tokens in text ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Added tokens are cut out of a text before it is pre-tokenized: first those
// that are not normalized, then, in what is left, the others. In each round
// the leftmost match counts, and of those that start together the longest.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_ADDEDTOKENMATCHER_H
#define DSV2_RUNTIME_TEXT_ADDEDTOKENMATCHER_H

#include "runtime/base/Status.h"
#include "runtime/text/Regex.h"
#include "runtime/text/TokenizerModel.h"

#include <array>
#include <string_view>
#include <utility>
#include <vector>

namespace dsv2 {

/// A part of a text: an added token, or text (`id` is -1).
struct TextSegment {
  int32_t id = -1;
  std::string_view text;
};

/// Whether a token shapes a conversation, rather than being part of a text:
/// it is special, or written like one ("<|...|>" or "<｜...｜>").
bool isControlToken(const AddedToken &token);

class AddedTokenMatcher {
public:
  static Result<AddedTokenMatcher>
  create(const std::vector<AddedToken> &tokens);

  /// Cuts well-formed `text` into added tokens and the text between them.
  /// Without `parseSpecial`, control tokens stay text.
  std::vector<TextSegment> segment(std::string_view text, bool parseSpecial,
                                   RegexScratch &scratch) const;

private:
  struct Pattern {
    AddedToken token;
    bool control; ///< what `parseSpecial` governs
  };
  /// Tokens that are looked for together, sorted by content.
  struct Round {
    std::vector<Pattern> patterns;
    std::array<bool, 256> starts = {}; ///< the first bytes of all contents
  };

  AddedTokenMatcher(Regex wordCharacter, Regex whiteSpace)
      : wordCharacter(std::move(wordCharacter)),
        whiteSpace(std::move(whiteSpace)) {}

  static const Pattern *longestAt(const Round &round, std::string_view text);
  void run(const Round &round, std::string_view text, bool parseSpecial,
           RegexScratch &scratch, std::vector<TextSegment> &segments) const;

  Round plain;
  Round normalized;
  Regex wordCharacter;
  Regex whiteSpace;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_ADDEDTOKENMATCHER_H
