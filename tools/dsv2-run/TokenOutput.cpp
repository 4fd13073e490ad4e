//===- TokenOutput.cpp - Generated tokens on standard output --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/TokenOutput.h"

#include <cstdio>

using namespace dsv2;

Result<TokenOutput> TokenOutput::create(const dsv2_tokenizer_t *tokenizer) {
  TokenOutput output;
  if (tokenizer) {
    dsv2_text_stream_t *stream = nullptr;
    DSV2_RETURN_IF_ERROR(takeStatus(
        dsv2_text_stream_create(tokenizer, /*skip_special=*/true, &stream)));
    output.stream.reset(stream);
  }
  return output;
}

Status TokenOutput::write(int32_t token) {
  if (!stream) {
    std::printf(first ? "%d" : ",%d", token);
    first = false;
    return flushOutput();
  }
  const char *text = nullptr;
  size_t bytes = 0;
  DSV2_RETURN_IF_ERROR(
      takeStatus(dsv2_text_stream_push(stream.get(), token, &text, &bytes)));
  if (bytes == 0)
    return Status();
  std::fwrite(text, 1, bytes, stdout);
  return flushOutput();
}

Status TokenOutput::finish() {
  if (stream) {
    const char *text = nullptr;
    size_t bytes = 0;
    DSV2_RETURN_IF_ERROR(
        takeStatus(dsv2_text_stream_finish(stream.get(), &text, &bytes)));
    std::fwrite(text, 1, bytes, stdout);
  }
  first = true;
  std::fputc('\n', stdout);
  return flushOutput();
}
