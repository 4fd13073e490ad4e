//===- UnicodeAdditions.h - Characters newer than PCRE2's -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Tokenizers are defined by libraries that know newer versions of Unicode than
// widely installed versions of PCRE2 (10.42: Unicode 14). Splits must not
// depend on that, so patterns name the later characters one by one.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_UNICODEADDITIONS_H
#define DSV2_RUNTIME_TEXT_UNICODEADDITIONS_H

#include <string>
#include <string_view>

namespace dsv2 {

/// The characters of a general category ("L", "Nd", ...) that Unicode 14 lacks
/// and Unicode 16 has, as items for a PCRE2 character class; perhaps empty.
std::string unicodeAdditions(std::string_view category);

/// The items of a PCRE2 character class of all numeric characters (Unicode 17).
std::string numericCharacters();

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_UNICODEADDITIONS_H
