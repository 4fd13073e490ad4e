//===- Tokenizer.h - Text to tokens and back --------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_TOKENIZER_H
#define DSV2_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/base/Status.h"
#include "runtime/text/AddedTokenMatcher.h"
#include "runtime/text/BytePairEncoder.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/TokenizerModel.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

struct EncodeOptions {
  /// Whether to begin with the BOS token and end with the EOS token where the
  /// model says so (`addBos`, `addEos`).
  bool addBos = true;
  /// Whether control tokens written out in the text become those tokens. Off
  /// for text from users, who could otherwise forge the end of a turn.
  bool parseSpecial = true;
};

/// A byte-level BPE tokenizer. It gives the ids that the Hugging Face
/// tokenizers library gives for the same description.
///
/// All functions are const and safe to call from several threads at once.
class Tokenizer {
public:
  /// Compiles `model`, or says what is wrong with it.
  static Result<Tokenizer> create(TokenizerModel model);

  /// The tokens of `text`. Text that is not UTF-8 is refused, with the offset
  /// of its first bad byte.
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      const EncodeOptions &options = {}) const;

  /// The text of `ids`, in which added tokens are as written: well-formed
  /// UTF-8, in which U+FFFD stands for bytes that form no character. Ids
  /// without a token give no text.
  std::string decode(std::span<const int32_t> ids,
                     bool skipSpecial = true) const;

  /// The bytes of a token, perhaps only a part of a character; empty for an id
  /// without a token. Valid as long as the tokenizer.
  std::string_view idToBytes(int32_t id) const;

  /// Whether `id` is a control token.
  bool isSpecial(int32_t id) const;

  /// The added token written `content`.
  std::optional<int32_t> findAddedToken(std::string_view content) const;

  /// One more than the largest id.
  size_t vocabularySize() const { return model.vocabulary.size(); }
  int32_t bosId() const { return model.bosId; }
  int32_t eosId() const { return model.eosId; }
  const std::vector<int32_t> &stopIds() const { return model.stopIds; }
  ChatFormatKind chatFormat() const { return model.chatFormat; }

private:
  Tokenizer(TokenizerModel model, PreTokenizer preTokenizer,
            AddedTokenMatcher addedTokens, BytePairEncoder encoder);

  Status encodeText(std::string_view text, RegexScratch &scratch,
                    std::vector<int32_t> &ids) const;

  /// With the contents of added tokens in the vocabulary.
  TokenizerModel model;
  PreTokenizer preTokenizer;
  AddedTokenMatcher addedTokens;
  BytePairEncoder encoder;
  std::vector<bool> special;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_TOKENIZER_H
