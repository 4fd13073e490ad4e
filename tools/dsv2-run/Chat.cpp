//===- Chat.cpp - A conversation with the model ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/Chat.h"

#include "tools/dsv2-run/Interrupt.h"
#include "tools/dsv2-run/LineEditor.h"

#include <cstdio>

using namespace dsv2;

static const char help[] =
    "/help   show this\n"
    "/reset  forget the conversation\n"
    "/quit   leave, as Ctrl-D does\n"
    "Ctrl-C stops an answer. A line that ends with \\ goes on in the next.\n";

/// A message may span lines: "\" at the end of one joins the next.
static std::optional<std::string> readMessage(LineEditor &editor) {
  std::optional<std::string> message = editor.read();
  while (message && !message->empty() && message->back() == '\\') {
    message->back() = '\n';
    std::optional<std::string> more = editor.read();
    if (!more)
      break;
    *message += *more;
  }
  return message;
}

static Result<std::vector<int32_t>>
encodeTurn(const dsv2_tokenizer_t *tokenizer, const std::string &message,
           const std::string &systemText, bool isFirst) {
  std::vector<dsv2_chat_message_t> messages;
  if (isFirst && !systemText.empty())
    messages.push_back({"system", systemText.data(), systemText.size()});
  messages.push_back({"user", message.data(), message.size()});
  uint32_t flags = isFirst ? DSV2_CHAT_WHOLE : DSV2_CHAT_CONTINUE;
  // Bytes bound the number of tokens, save for the markers around them.
  std::vector<int32_t> tokens(message.size() + systemText.size() + 64);
  size_t count = 0;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_tokenizer_encode_chat(tokenizer, messages.data(), messages.size(),
                                 flags, tokens.data(), tokens.size(), &count)));
  tokens.resize(count);
  return tokens;
}

/// What the user should know about an end that is not the model's.
static void explain(Finish finish) {
  if (finish == Finish::contextFull)
    std::fputs("the context is full; /reset starts a new conversation\n",
               stderr);
}

Status dsv2::holdConversation(Generator &generator, TokenOutput &output,
                              const dsv2_tokenizer_t *tokenizer,
                              const std::string &systemText) {
  LineEditor editor("> ");
  bool isFirst = true;
  for (;;) {
    std::optional<std::string> message = readMessage(editor);
    if (!message || *message == "/quit") {
      if (!message && editor.onTerminal())
        std::fputc('\n', stdout);
      return flushOutput();
    }
    if (*message == "/help") {
      std::fputs(help, stderr);
      continue;
    }
    if (*message == "/reset") {
      DSV2_RETURN_IF_ERROR(generator.reset());
      isFirst = true;
      continue;
    }
    if (!message->empty() && message->front() == '/') {
      std::fprintf(stderr, "unknown command '%s'; /help lists them\n",
                   message->c_str());
      continue;
    }
    if (message->empty())
      continue;

    Result<std::vector<int32_t>> tokens =
        encodeTurn(tokenizer, *message, systemText, isFirst);
    if (!tokens.ok())
      return tokens.status();
    InterruptScope interrupt;
    Result<Finish> finish = generator.generate(
        *tokens, [&](int32_t token) { return output.write(token); });
    if (!finish.ok() && finish.status().code() == StatusCode::exhausted &&
        editor.onTerminal()) {
      // The message did not fit; the user can send another or start again.
      std::fprintf(stderr, "%s\n", finish.status().message().c_str());
      continue;
    }
    if (!finish.ok())
      return finish.status();
    DSV2_RETURN_IF_ERROR(output.finish());
    explain(*finish);
    isFirst = generator.isEmpty();
  }
}
