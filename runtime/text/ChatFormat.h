//===- ChatFormat.h - Conversations as tokens -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The chat formats of the DeepSeek-V2 family. `B` and `E` are the BOS and EOS
// tokens; there is no space after the marker that prompts an answer.
//
//   v2Chat   B{system}\n\n User: {user}\n\n Assistant: {answer}E
//            prompt: `Assistant:`             (spaces before roles not written)
//   v25, v3  B{system} <｜User｜>{user} <｜Assistant｜>{answer}E
//            prompt: `<｜Assistant｜>`
//   raw      B{content}{content}...           no prompt, no E
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_CHATFORMAT_H
#define DSV2_RUNTIME_TEXT_CHATFORMAT_H

#include "runtime/base/Status.h"
#include "runtime/text/TokenizerModel.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dsv2 {

class Tokenizer;

enum class ChatRole : uint8_t { system, user, assistant };

struct ChatMessage {
  ChatRole role = ChatRole::user;
  std::string content; ///< UTF-8
};

/// Writes conversations in one format. The tokenizer must outlive it. All
/// functions are const and safe to call from several threads at once.
class ChatFormat {
public:
  /// Fails when the format is `none` or needs tokens the tokenizer lacks.
  static Result<ChatFormat> create(const Tokenizer &tokenizer,
                                   ChatFormatKind kind);

  /// A whole conversation, from its one BOS on. With `prompt`, it ends where
  /// the assistant's answer begins. Control tokens written out in a content
  /// remain text. In v25 and v3, system messages come before all others, and
  /// v25 has at most one.
  Result<std::vector<int32_t>> render(std::span<const ChatMessage> messages,
                                      bool prompt = true) const;

  /// What follows an answer of the assistant that is already in the context:
  /// its EOS, unless `answerEnded` says that this is there too, and `messages`,
  /// in which v25 and v3 allow no system message.
  Result<std::vector<int32_t>> renderNext(std::span<const ChatMessage> messages,
                                          bool answerEnded,
                                          bool prompt = true) const;

  /// The tokens that end an answer.
  const std::vector<int32_t> &stopIds() const { return stops; }

  ChatFormatKind kind() const { return formatKind; }

private:
  class Writer;

  ChatFormat(const Tokenizer &tokenizer, ChatFormatKind kind)
      : tokenizer(&tokenizer), formatKind(kind) {}

  Status write(std::span<const ChatMessage> messages, bool starts, bool prompt,
               Writer &writer) const;

  const Tokenizer *tokenizer;
  ChatFormatKind formatKind;
  int32_t userId = -1;
  int32_t assistantId = -1;
  std::vector<int32_t> stops;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_CHATFORMAT_H
