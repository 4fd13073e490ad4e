//===- CharacterSets.h - Named sets of characters ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// What Oniguruma's shorthands stand for, as items of a PCRE2 character class.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_CHARACTERSETS_H
#define DSV2_MODELS_TOKENIZER_CHARACTERSETS_H

#include <optional>
#include <string>
#include <string_view>

namespace dsv2 {

/// The items of a set and, where known, those of its complement.
struct CharacterSet {
  std::string items;
  std::string complement;
};

/// The set of `\s`, `\d`, `\w` or `\h`, by its letter.
std::optional<CharacterSet> shorthandSet(char letter);

/// The set of `\p{name}`: a general category or a script.
std::optional<CharacterSet> propertySet(std::string_view name);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_CHARACTERSETS_H
