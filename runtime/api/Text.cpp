//===- Text.cpp - Tokenizers of the C API ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"
#include "runtime/artifact/TokenizerTable.h"
#include "runtime/text/ChatFormat.h"
#include "runtime/text/StreamingDecoder.h"
#include "runtime/text/Tokenizer.h"

#include <optional>
#include <span>
#include <vector>

using namespace dsv2;
using namespace dsv2::api;

namespace {

/// A tokenizer and the chat format that refers to it; stays in place.
struct TextModel {
  explicit TextModel(Tokenizer tokenizer) : tokenizer(std::move(tokenizer)) {}

  Tokenizer tokenizer;
  std::optional<ChatFormat> chat;
  std::vector<int32_t> stopIds;
};

/// Copies `values` when there is room and says how many there are in any case.
template <typename From, typename To>
Status copyOut(const From &values, const char *what, To *out, size_t capacity,
               size_t *outCount) {
  *outCount = values.size();
  if (values.size() > capacity)
    return Status(StatusCode::exhausted,
                  "room for " + std::to_string(capacity) + " " + what +
                      ", expected at least " + std::to_string(values.size()));
  std::copy(values.begin(), values.end(), out);
  return Status();
}

Result<ChatRole> roleOf(const char *name) {
  std::string_view role = name;
  if (role == "system")
    return ChatRole::system;
  if (role == "user")
    return ChatRole::user;
  if (role == "assistant")
    return ChatRole::assistant;
  return Status(StatusCode::invalidArgument,
                "role is '" + std::string(role) +
                    "', expected 'system', 'user' or 'assistant'");
}

} // namespace

struct dsv2_tokenizer {
  std::shared_ptr<const TextModel> text;
};

struct dsv2_text_stream {
  std::shared_ptr<const TextModel> text;
  StreamingDecoder decoder;
  std::string last;
};

dsv2_status_t dsv2_tokenizer_create(const dsv2_model_t *model,
                                    dsv2_tokenizer_t **out_tokenizer) {
  return guarded([&] {
    DSV2_REQUIRE(model);
    DSV2_REQUIRE(out_tokenizer);
    Result<TokenizerModel> data = unpackTokenizer(model->model->metadata());
    if (!data.ok())
      return data.status();
    ChatFormatKind kind = data->chatFormat;
    Result<Tokenizer> tokenizer = Tokenizer::create(*std::move(data));
    if (!tokenizer.ok())
      return tokenizer.status();
    auto text = std::make_shared<TextModel>(*std::move(tokenizer));
    text->stopIds = text->tokenizer.stopIds();
    if (kind != ChatFormatKind::none) {
      Result<ChatFormat> chat = ChatFormat::create(text->tokenizer, kind);
      if (!chat.ok())
        return chat.status();
      text->stopIds = chat->stopIds();
      text->chat = *std::move(chat);
    }
    *out_tokenizer = new dsv2_tokenizer{std::move(text)};
    return Status();
  });
}

void dsv2_tokenizer_release(dsv2_tokenizer_t *tokenizer) { delete tokenizer; }

int64_t dsv2_tokenizer_vocab(const dsv2_tokenizer_t *tokenizer) {
  return tokenizer
             ? static_cast<int64_t>(tokenizer->text->tokenizer.vocabularySize())
             : 0;
}

bool dsv2_tokenizer_has_chat(const dsv2_tokenizer_t *tokenizer) {
  return tokenizer && tokenizer->text->chat.has_value();
}

const int32_t *dsv2_tokenizer_stop_ids(const dsv2_tokenizer_t *tokenizer,
                                       size_t *out_count) {
  if (out_count)
    *out_count = tokenizer ? tokenizer->text->stopIds.size() : 0;
  return tokenizer ? tokenizer->text->stopIds.data() : nullptr;
}

bool dsv2_tokenizer_is_special(const dsv2_tokenizer_t *tokenizer,
                               int32_t token) {
  return tokenizer && tokenizer->text->tokenizer.isSpecial(token);
}

const char *dsv2_tokenizer_token(const dsv2_tokenizer_t *tokenizer,
                                 int32_t token, size_t *out_bytes) {
  std::string_view bytes;
  if (tokenizer)
    bytes = tokenizer->text->tokenizer.idToBytes(token);
  if (out_bytes)
    *out_bytes = bytes.size();
  return bytes.empty() ? "" : bytes.data();
}

dsv2_status_t dsv2_tokenizer_encode(const dsv2_tokenizer_t *tokenizer,
                                    const char *text, size_t bytes,
                                    uint32_t flags, int32_t *tokens,
                                    size_t capacity, size_t *out_count) {
  return guarded([&] {
    DSV2_REQUIRE(tokenizer);
    DSV2_REQUIRE(text || bytes == 0);
    DSV2_REQUIRE(tokens || capacity == 0);
    DSV2_REQUIRE(out_count);
    EncodeOptions options;
    options.addBos = flags & DSV2_ENCODE_ADD_SPECIAL;
    options.parseSpecial = flags & DSV2_ENCODE_PARSE_SPECIAL;
    Result<std::vector<int32_t>> ids =
        tokenizer->text->tokenizer.encode({text, bytes}, options);
    if (!ids.ok())
      return ids.status();
    return copyOut(*ids, "tokens", tokens, capacity, out_count);
  });
}

dsv2_status_t dsv2_tokenizer_decode(const dsv2_tokenizer_t *tokenizer,
                                    const int32_t *tokens, size_t count,
                                    bool skip_special, char *text,
                                    size_t capacity, size_t *out_bytes) {
  return guarded([&] {
    DSV2_REQUIRE(tokenizer);
    DSV2_REQUIRE(tokens || count == 0);
    DSV2_REQUIRE(text || capacity == 0);
    DSV2_REQUIRE(out_bytes);
    std::string decoded =
        tokenizer->text->tokenizer.decode({tokens, count}, skip_special);
    return copyOut(decoded, "bytes", text, capacity, out_bytes);
  });
}

dsv2_status_t dsv2_tokenizer_encode_chat(const dsv2_tokenizer_t *tokenizer,
                                         const dsv2_chat_message_t *messages,
                                         size_t message_count, uint32_t flags,
                                         int32_t *tokens, size_t capacity,
                                         size_t *out_count) {
  return guarded([&] {
    DSV2_REQUIRE(tokenizer);
    DSV2_REQUIRE(messages || message_count == 0);
    DSV2_REQUIRE(tokens || capacity == 0);
    DSV2_REQUIRE(out_count);
    if (!tokenizer->text->chat)
      return Status(StatusCode::invalidArgument,
                    "this model has no chat format, expected a chat model; "
                    "encode plain text instead");
    std::vector<ChatMessage> list(message_count);
    for (size_t i = 0; i < message_count; ++i) {
      DSV2_REQUIRE(messages[i].role);
      DSV2_REQUIRE(messages[i].content || messages[i].content_bytes == 0);
      Result<ChatRole> role = roleOf(messages[i].role);
      if (!role.ok())
        return role.status();
      list[i].role = *role;
      list[i].content.assign(messages[i].content, messages[i].content_bytes);
    }
    const ChatFormat &chat = *tokenizer->text->chat;
    bool prompt = !(flags & DSV2_CHAT_NO_PROMPT);
    Result<std::vector<int32_t>> ids =
        flags & DSV2_CHAT_CONTINUE
            ? chat.renderNext(list, flags & DSV2_CHAT_ANSWER_ENDED, prompt)
            : chat.render(list, prompt);
    if (!ids.ok())
      return ids.status();
    return copyOut(*ids, "tokens", tokens, capacity, out_count);
  });
}

dsv2_status_t dsv2_text_stream_create(const dsv2_tokenizer_t *tokenizer,
                                      bool skip_special,
                                      dsv2_text_stream_t **out_stream) {
  return guarded([&] {
    DSV2_REQUIRE(tokenizer);
    DSV2_REQUIRE(out_stream);
    *out_stream = new dsv2_text_stream{
        tokenizer->text,
        StreamingDecoder(tokenizer->text->tokenizer, skip_special),
        {}};
    return Status();
  });
}

void dsv2_text_stream_release(dsv2_text_stream_t *stream) { delete stream; }

/// Hands out `text` from a place that lives until the next call.
static Status hold(dsv2_text_stream_t &stream, std::string text,
                   const char **outText, size_t *outBytes) {
  stream.last = std::move(text);
  *outText = stream.last.c_str();
  *outBytes = stream.last.size();
  return Status();
}

dsv2_status_t dsv2_text_stream_push(dsv2_text_stream_t *stream, int32_t token,
                                    const char **out_text, size_t *out_bytes) {
  return guarded([&] {
    DSV2_REQUIRE(stream);
    DSV2_REQUIRE(out_text);
    DSV2_REQUIRE(out_bytes);
    return hold(*stream, stream->decoder.add(token), out_text, out_bytes);
  });
}

dsv2_status_t dsv2_text_stream_finish(dsv2_text_stream_t *stream,
                                      const char **out_text,
                                      size_t *out_bytes) {
  return guarded([&] {
    DSV2_REQUIRE(stream);
    DSV2_REQUIRE(out_text);
    DSV2_REQUIRE(out_bytes);
    return hold(*stream, stream->decoder.flush(), out_text, out_bytes);
  });
}
