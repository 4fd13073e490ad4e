//===- Utf8.cpp - Well-formed and ill-formed UTF-8 ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Utf8.h"

#include <cstdint>
#include <cstring>

using namespace dsv2;

Utf8Front dsv2::utf8Front(std::string_view text) {
  auto byteAt = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned lead = byteAt(0);
  if (lead < 0x80)
    return {Utf8State::complete, 1};
  if (lead < 0xC2 || lead > 0xF4)
    return {Utf8State::invalid, 1};

  size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Only the second byte's range depends on the lead byte: it rules out
  // overlong forms, surrogates and values above U+10FFFF.
  unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    if (i == text.size())
      return {Utf8State::incomplete, i};
    if (byteAt(i) < low || byteAt(i) > high)
      return {Utf8State::invalid, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Utf8State::complete, length};
}

size_t dsv2::findInvalidUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII bytes at a time: most texts are mostly that.
    uint64_t block;
    if (text.size() - i >= sizeof(block)) {
      std::memcpy(&block, text.data() + i, sizeof(block));
      if ((block & 0x8080808080808080u) == 0) {
        i += sizeof(block);
        continue;
      }
    }
    Utf8Front front = utf8Front(text.substr(i));
    if (front.state != Utf8State::complete)
      return i;
    i += front.length;
  }
  return std::string_view::npos;
}

void dsv2::takeUtf8(std::string &pending, std::string &text) {
  std::string_view rest = pending;
  while (!rest.empty()) {
    Utf8Front front = utf8Front(rest);
    if (front.state == Utf8State::incomplete)
      break;
    if (front.state == Utf8State::complete)
      text.append(rest.substr(0, front.length));
    else
      text.append(utf8Replacement);
    rest.remove_prefix(front.length);
  }
  pending.erase(0, pending.size() - rest.size());
}
