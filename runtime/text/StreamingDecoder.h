//===- StreamingDecoder.h - Text as tokens arrive ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_STREAMINGDECODER_H
#define DSV2_RUNTIME_TEXT_STREAMINGDECODER_H

#include <cstdint>
#include <string>

namespace dsv2 {

class Tokenizer;

/// Turns tokens into text one by one and never splits a character: bytes of
/// an unfinished one wait for the next token. All it returns is well-formed
/// UTF-8; U+FFFD stands for bytes that form no character. The tokenizer must
/// outlive it. One decoder serves one sequence, in one thread.
class StreamingDecoder {
public:
  explicit StreamingDecoder(const Tokenizer &tokenizer, bool skipSpecial = true)
      : tokenizer(&tokenizer), skipSpecial(skipSpecial) {}

  /// The text that is certain once `id` is known; perhaps empty.
  std::string add(int32_t id);

  /// Ends the sequence: U+FFFD if a character is unfinished, else nothing.
  /// The decoder may be used again.
  std::string flush();

private:
  const Tokenizer *tokenizer;
  bool skipSpecial;
  std::string pending;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_STREAMINGDECODER_H
