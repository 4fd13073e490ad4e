//===- TokenizerModel.h - Data of a byte-level BPE tokenizer ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// All that a tokenizer needs, as plain data: importers fill it, artifacts
// store it, Tokenizer::create() checks it and compiles it.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_TOKENIZERMODEL_H
#define DSV2_RUNTIME_TEXT_TOKENIZERMODEL_H

#include <cstdint>
#include <string>
#include <vector>

namespace dsv2 {

/// How one pre-tokenizer step finds its matches.
enum class PreTokenizerKind : uint8_t {
  split = 0,            ///< the matches of `pattern`
  digitsIndividual = 1, ///< each numeric character
  digitsGrouped = 2,    ///< each run of numeric characters
};

/// What happens to the matches of a split.
enum class SplitBehavior : uint8_t {
  isolated = 0,           ///< each match is a piece
  removed = 1,            ///< matches are dropped
  mergedWithPrevious = 2, ///< a match joins the text before it
  mergedWithNext = 3,     ///< a match joins the text after it
  contiguous = 4,         ///< adjacent matches are one piece
};

/// One step of the pre-tokenizer; it splits each piece that the step before
/// it left, and sees nothing outside that piece.
struct PreTokenizerStep {
  PreTokenizerKind kind = PreTokenizerKind::split;
  SplitBehavior behavior = SplitBehavior::isolated;
  /// Whether matches and the text between them change roles.
  bool invert = false;
  /// A PCRE2 pattern over UTF-8 with Unicode properties; `split` only.
  std::string pattern;
};

/// Text that becomes one token before pre-tokenization.
struct AddedToken {
  int32_t id = -1;
  std::string content;
  /// A control token: hidden by decoding, recognized in text only if asked.
  bool special = false;
  /// Looked for after all tokens that are not normalized.
  bool normalized = false;
  bool lstrip = false;     ///< also takes the white space before it
  bool rstrip = false;     ///< also takes the white space after it
  bool singleWord = false; ///< only between characters that form no word
};

/// Two adjacent tokens that become one. Earlier merges go first.
struct TokenMerge {
  int32_t left = -1;
  int32_t right = -1;
  int32_t merged = -1;
};

/// How a conversation is written as tokens.
enum class ChatFormatKind : uint8_t {
  none = 0,   ///< a base model: conversations are refused
  raw = 1,    ///< the contents, one after the other, with no markers
  v2Chat = 2, ///< DeepSeek-V2-Chat, V2-Lite-Chat and Coder-V2-Instruct
  v25 = 3,    ///< DeepSeek-V2.5
  v3 = 4,     ///< DeepSeek-V3
};

/// A byte-level BPE tokenizer.
struct TokenizerModel {
  /// The bytes of each token by id; an empty string is an id without token.
  std::vector<std::string> vocabulary;
  std::vector<TokenMerge> merges;
  std::vector<AddedToken> addedTokens;
  std::vector<PreTokenizerStep> preTokenizer;
  /// Whether text that starts with no space is given one.
  bool addPrefixSpace = false;
  /// Whether a piece that is a token is taken whole, whatever the merges.
  bool ignoreMerges = false;

  int32_t bosId = -1; ///< -1 when there is none
  int32_t eosId = -1; ///< -1 when there is none
  bool addBos = false;
  bool addEos = false;
  /// The tokens that end a generation, usually `eosId` alone.
  std::vector<int32_t> stopIds;
  ChatFormatKind chatFormat = ChatFormatKind::none;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_TOKENIZERMODEL_H
