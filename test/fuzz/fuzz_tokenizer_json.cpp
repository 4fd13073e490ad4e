//===- fuzz_tokenizer_json.cpp - Hostile tokenizer files ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The input holds the files of a checkpoint and a text, between zero bytes:
// tokenizer.json, tokenizer_config.json, generation_config.json, text.
// Whatever is accepted must also encode, decode and write conversations.
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/TokenizerReader.h"
#include "runtime/text/ChatFormat.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"

#include <cstdlib>
#include <string_view>

using namespace dsv2;

static std::string_view takeField(std::string_view &input) {
  size_t end = std::min(input.find('\0'), input.size());
  std::string_view field = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return field;
}

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void requireOneLine(const Status &status) {
  require(!status.message().empty() &&
          status.message().find('\n') == std::string::npos);
}

static void useTokenizer(const Tokenizer &tokenizer, std::string_view text) {
  for (bool parseSpecial : {false, true}) {
    auto ids = tokenizer.encode(text, {.parseSpecial = parseSpecial});
    if (!ids.ok()) {
      requireOneLine(ids.status());
      continue;
    }
    std::string decoded = tokenizer.decode(*ids, /*skipSpecial=*/false);
    require(findInvalidUtf8(decoded) == std::string_view::npos);
  }
  for (ChatFormatKind kind : {tokenizer.chatFormat(), ChatFormatKind::raw,
                              ChatFormatKind::v2Chat, ChatFormatKind::v3}) {
    auto format = ChatFormat::create(tokenizer, kind);
    if (!format.ok()) {
      requireOneLine(format.status());
      continue;
    }
    ChatMessage message = {ChatRole::user, std::string(text)};
    auto ids = format->render(std::span(&message, 1));
    if (!ids.ok())
      requireOneLine(ids.status());
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  TokenizerFiles files;
  files.tokenizer = takeField(input);
  if (!input.empty())
    files.config = takeField(input);
  if (!input.empty())
    files.generationConfig = takeField(input);
  auto model = parseTokenizer(files);
  if (!model.ok()) {
    requireOneLine(model.status());
    return 0;
  }
  auto tokenizer = Tokenizer::create(*std::move(model));
  if (!tokenizer.ok()) {
    requireOneLine(tokenizer.status());
    return 0;
  }
  useTokenizer(*tokenizer, input);
  return 0;
}
