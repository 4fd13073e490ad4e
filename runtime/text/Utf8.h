//===- Utf8.h - Well-formed and ill-formed UTF-8 ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Checks of UTF-8 as Unicode defines it: no overlong forms, no surrogates,
// nothing above U+10FFFF.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_UTF8_H
#define DSV2_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <string>
#include <string_view>

namespace dsv2 {

/// U+FFFD, which stands for bytes that are not UTF-8.
inline constexpr std::string_view utf8Replacement = "\xEF\xBF\xBD";

enum class Utf8State {
  complete,   ///< a whole character
  incomplete, ///< the text ends inside a character
  invalid,    ///< bytes that no character has
};

/// What a text starts with and how many bytes that takes: the character, all
/// that is left of the text, or the longest start of a character (at least one
/// byte), which one replacement character stands for.
struct Utf8Front {
  Utf8State state;
  size_t length;
};

/// Examines the front of `text`, which is not empty.
Utf8Front utf8Front(std::string_view text);

/// The offset of the first byte that is not part of a whole character, or
/// npos when `text` is well formed.
size_t findInvalidUtf8(std::string_view text);

/// Moves whole characters from `pending` to `text`, with replacement
/// characters for invalid bytes; an incomplete character stays in `pending`.
void takeUtf8(std::string &pending, std::string &text);

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_UTF8_H
