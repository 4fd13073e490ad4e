//===- ChatFormat.cpp - Conversations as tokens ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/ChatFormat.h"

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <string_view>

using namespace dsv2;

/// Collects tokens and text. Text between two tokens is tokenized as a whole,
/// because merges reach across the parts of a template.
class ChatFormat::Writer {
public:
  explicit Writer(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}

  void text(std::string_view part) { pending.append(part); }

  Status token(int32_t id) {
    DSV2_RETURN_IF_ERROR(flush());
    ids.push_back(id);
    return {};
  }

  Result<std::vector<int32_t>> finish() {
    DSV2_RETURN_IF_ERROR(flush());
    return std::move(ids);
  }

private:
  Status flush() {
    if (pending.empty())
      return {};
    Result<std::vector<int32_t>> encoded =
        tokenizer.encode(pending, {.addBos = false, .parseSpecial = false});
    if (!encoded.ok())
      return encoded.status();
    ids.insert(ids.end(), encoded->begin(), encoded->end());
    pending.clear();
    return {};
  }

  const Tokenizer &tokenizer;
  std::string pending;
  std::vector<int32_t> ids;
};

Result<ChatFormat> ChatFormat::create(const Tokenizer &tokenizer,
                                      ChatFormatKind kind) {
  ChatFormat format(tokenizer, kind);
  if (kind == ChatFormatKind::none)
    return Status(StatusCode::invalidArgument,
                  "expected a model with a chat format, but this one has none; "
                  "complete text instead, or choose a format");
  if (tokenizer.bosId() < 0 ||
      (kind != ChatFormatKind::raw && tokenizer.eosId() < 0))
    return Status(StatusCode::invalidArgument,
                  "expected a tokenizer with BOS and EOS tokens for the chat "
                  "format, but one is missing; complete text instead");
  if (kind == ChatFormatKind::v25 || kind == ChatFormatKind::v3) {
    constexpr const char *userMarker = "<\uFF5CUser\uFF5C>";
    constexpr const char *assistantMarker = "<\uFF5CAssistant\uFF5C>";
    std::optional<int32_t> user = tokenizer.findAddedToken(userMarker);
    std::optional<int32_t> assistant =
        tokenizer.findAddedToken(assistantMarker);
    if (!user || !assistant)
      return Status(StatusCode::invalidArgument,
                    std::string("expected the chat format's token ") +
                        (user ? assistantMarker : userMarker) +
                        " in the vocabulary, but it is missing; choose "
                        "another format");
    format.userId = *user;
    format.assistantId = *assistant;
  }
  format.stops = tokenizer.stopIds();
  if (tokenizer.eosId() >= 0 &&
      std::find(format.stops.begin(), format.stops.end(), tokenizer.eosId()) ==
          format.stops.end())
    format.stops.push_back(tokenizer.eosId());
  return format;
}

Status ChatFormat::write(std::span<const ChatMessage> messages, bool starts,
                         bool prompt, Writer &writer) const {
  bool markers =
      formatKind == ChatFormatKind::v25 || formatKind == ChatFormatKind::v3;
  bool v2 = formatKind == ChatFormatKind::v2Chat;
  for (size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage &message = messages[i];
    if (size_t at = findInvalidUtf8(message.content);
        at != std::string_view::npos)
      return Status(StatusCode::invalidArgument,
                    "expected UTF-8 text in message " + std::to_string(i) +
                        ", but byte " + std::to_string(at) +
                        " begins no whole character; convert it to UTF-8");
    switch (message.role) {
    case ChatRole::system: {
      bool leads =
          starts && (i == 0 || (formatKind == ChatFormatKind::v3 &&
                                messages[i - 1].role == ChatRole::system));
      if (markers && !leads)
        return Status(StatusCode::invalidArgument,
                      "expected system messages only at the start of the "
                      "conversation, but message " +
                          std::to_string(i) +
                          " is one; move it to the front or join them");
      if (markers && i > 0)
        writer.text("\n\n");
      writer.text(message.content);
      if (v2)
        writer.text("\n\n");
      break;
    }
    case ChatRole::user:
      if (markers)
        DSV2_RETURN_IF_ERROR(writer.token(userId));
      if (v2)
        writer.text("User: ");
      writer.text(message.content);
      if (v2)
        writer.text("\n\n");
      break;
    case ChatRole::assistant:
      if (markers)
        DSV2_RETURN_IF_ERROR(writer.token(assistantId));
      if (v2)
        writer.text("Assistant: ");
      writer.text(message.content);
      if (markers || v2)
        DSV2_RETURN_IF_ERROR(writer.token(tokenizer->eosId()));
      break;
    }
  }
  if (prompt && markers)
    DSV2_RETURN_IF_ERROR(writer.token(assistantId));
  if (prompt && v2)
    writer.text("Assistant:");
  return {};
}

Result<std::vector<int32_t>>
ChatFormat::render(std::span<const ChatMessage> messages, bool prompt) const {
  Writer writer(*tokenizer);
  DSV2_RETURN_IF_ERROR(writer.token(tokenizer->bosId()));
  DSV2_RETURN_IF_ERROR(write(messages, /*starts=*/true, prompt, writer));
  return writer.finish();
}

Result<std::vector<int32_t>>
ChatFormat::renderNext(std::span<const ChatMessage> messages, bool answerEnded,
                       bool prompt) const {
  Writer writer(*tokenizer);
  if (!answerEnded && formatKind != ChatFormatKind::raw)
    DSV2_RETURN_IF_ERROR(writer.token(tokenizer->eosId()));
  DSV2_RETURN_IF_ERROR(write(messages, /*starts=*/false, prompt, writer));
  return writer.finish();
}
