//===- CharacterSets.cpp - Named sets of characters -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/CharacterSets.h"

#include "runtime/text/UnicodeAdditions.h"

#include <algorithm>

using namespace dsv2;

namespace {

constexpr std::string_view categories[] = {
    "L",  "Ll", "Lm", "Lo", "Lt", "Lu", "M",  "Mc", "Me", "Mn", "N",  "Nd",
    "Nl", "No", "P",  "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S",  "Sc",
    "Sk", "Sm", "So", "Z",  "Zl", "Zp", "Zs", "C",  "Cc", "Cf", "Cn", "Co"};

/// White_Space. PCRE2's own \s also has U+180E.
constexpr std::string_view whiteSpace =
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}"
    "\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}";
constexpr std::string_view notWhiteSpace =
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{84}\\x{86}-\\x{9f}"
    "\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}\\x{200b}-\\x{2027}"
    "\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"
    "\\x{3001}-\\x{10ffff}";

/// Han characters that Unicode 14 lacks.
constexpr std::string_view hanAdditions =
    "\\x{2b739}\\x{2ebf0}-\\x{2ee5d}\\x{31350}-\\x{323af}";

} // namespace

std::optional<CharacterSet> dsv2::shorthandSet(char letter) {
  switch (letter) {
  case 's':
    return CharacterSet{std::string(whiteSpace), std::string(notWhiteSpace)};
  case 'd':
    return propertySet("Nd");
  case 'h':
    return CharacterSet{"0-9A-Fa-f", "\\x{0}-\\x{2f}\\x{3a}-\\x{40}\\x{47}-"
                                     "\\x{60}\\x{67}-\\x{10ffff}"};
  case 'w':
    // Oniguruma counts the superscripts and fractions of Latin-1 in.
    return CharacterSet{"\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{b2}\\x{b3}"
                        "\\x{b9}\\x{bc}-\\x{be}" +
                            unicodeAdditions("L") + unicodeAdditions("M") +
                            unicodeAdditions("Nd"),
                        ""};
  default:
    return std::nullopt;
  }
}

std::optional<CharacterSet> dsv2::propertySet(std::string_view name) {
  if (std::find(std::begin(categories), std::end(categories), name) !=
      std::end(categories)) {
    std::string text(name);
    return CharacterSet{"\\p{" + text + "}" + unicodeAdditions(name),
                        unicodeAdditions(name).empty() ? "\\P{" + text + "}"
                                                       : ""};
  }
  bool word = name.size() > 2 &&
              std::all_of(name.begin(), name.end(), [](unsigned char c) {
                return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
              });
  if (!word)
    return std::nullopt;
  // Without "sc:" PCRE2 would also take characters that scripts share.
  std::string items = "\\p{sc:" + std::string(name) + "}";
  if (name == "Han")
    items += hanAdditions;
  return CharacterSet{items, ""};
}
