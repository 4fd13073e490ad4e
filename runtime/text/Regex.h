//===- Regex.h - Regular expressions over UTF-8 -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A thin owner of compiled PCRE2 patterns. The library itself stays out of
// this header.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_REGEX_H
#define DSV2_RUNTIME_TEXT_REGEX_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <memory>
#include <string_view>

namespace dsv2 {

/// The memory one thread needs while it matches, with any patterns.
class RegexScratch {
public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch &) = delete;
  RegexScratch &operator=(const RegexScratch &) = delete;

private:
  friend class Regex;
  struct Memory;
  std::unique_ptr<Memory> memory;
};

/// Where a pattern matched, in bytes.
struct RegexMatch {
  size_t begin = 0;
  size_t end = 0;
};

/// A compiled pattern; matching is const and safe from several threads.
class Regex {
public:
  enum class Outcome {
    found,
    absent,
    exhausted, ///< the search was given up: too much backtracking
  };

  /// Compiles `pattern` for UTF-8 with Unicode properties, with the JIT where
  /// the machine has one.
  static Result<Regex> compile(std::string_view pattern);

  /// Looks for the first match of well-formed `text` at or after `start`,
  /// which lies between characters.
  Outcome find(std::string_view text, size_t start, RegexScratch &scratch,
               RegexMatch &match) const;

private:
  struct Code;
  explicit Regex(std::shared_ptr<const Code> code) : code(std::move(code)) {}

  std::shared_ptr<const Code> code;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_REGEX_H
