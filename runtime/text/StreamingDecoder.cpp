//===- StreamingDecoder.cpp - Text as tokens arrive -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/StreamingDecoder.h"

#include "runtime/text/Tokenizer.h"
#include "runtime/text/Utf8.h"

using namespace dsv2;

std::string StreamingDecoder::add(int32_t id) {
  std::string text;
  if (skipSpecial && tokenizer->isSpecial(id))
    return text;
  pending.append(tokenizer->idToBytes(id));
  takeUtf8(pending, text);
  return text;
}

std::string StreamingDecoder::flush() {
  if (pending.empty())
    return {};
  pending.clear();
  return std::string(utf8Replacement);
}
