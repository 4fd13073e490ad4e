//===- ByteAlphabet.cpp - Bytes written as characters ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/ByteAlphabet.h"

#include <array>
#include <cstdint>

using namespace dsv2;

namespace {

constexpr bool isPrintable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
}

/// The byte of each character up to U+0143, the last in use, or -1.
constexpr std::array<int16_t, 0x144> makeAlphabet() {
  std::array<int16_t, 0x144> bytes = {};
  bytes.fill(-1);
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 0x100; ++byte)
    bytes[isPrintable(byte) ? byte : next++] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, 0x144> alphabet = makeAlphabet();

} // namespace

std::optional<std::string> dsv2::bytesFromAlphabet(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned c = static_cast<unsigned char>(text[i]);
    if (c >= 0xC2 && c <= 0xDF && i + 1 < text.size()) // two bytes of UTF-8
      c = (c & 0x1F) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F);
    else if (c >= 0x80)
      return std::nullopt;
    if (c >= alphabet.size() || alphabet[c] < 0)
      return std::nullopt;
    bytes += static_cast<char>(alphabet[c]);
  }
  return bytes;
}
