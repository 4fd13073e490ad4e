//===- PatternTranslator.h - Oniguruma patterns for PCRE2 -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The patterns in tokenizer.json are written for Oniguruma, whose `$`, `^`,
// `.`, `\s`, `\w`, `\h`, `\v` and scripts mean other things than PCRE2's.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_PATTERNTRANSLATOR_H
#define DSV2_MODELS_TOKENIZER_PATTERNTRANSLATOR_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>

namespace dsv2 {

/// A PCRE2 pattern (UTF-8, Unicode properties) that matches what `pattern`
/// matches in Oniguruma. Syntax whose meaning would differ is refused.
Result<std::string> translatePattern(std::string_view pattern);

/// A PCRE2 pattern that matches `text` itself.
std::string literalPattern(std::string_view text);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_PATTERNTRANSLATOR_H
