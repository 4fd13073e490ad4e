//===- Regex.cpp - Regular expressions over UTF-8 -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Regex.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <pcre2.h>
#include <string>

using namespace dsv2;

namespace {

/// Steps a search may take: enough for any sensible pattern to walk the whole
/// text, too few to hang on one that backtracks without end.
uint32_t matchLimit(size_t textSize) {
  uint64_t limit = 10'000'000 + 64 * static_cast<uint64_t>(textSize);
  return static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX));
}

} // namespace

struct RegexScratch::Memory {
  pcre2_match_data *match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context *context = pcre2_match_context_create(nullptr);

  Memory() {
    if (!match || !context) {
      release();
      throw std::bad_alloc();
    }
  }
  ~Memory() { release(); }

  void release() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
  }
};

RegexScratch::RegexScratch() : memory(std::make_unique<Memory>()) {}
RegexScratch::~RegexScratch() = default;

struct Regex::Code {
  pcre2_code *pattern;
  bool jit;

  Code(pcre2_code *pattern, bool jit) : pattern(pattern), jit(jit) {}
  ~Code() { pcre2_code_free(pattern); }
  Code(const Code &) = delete;
  Code &operator=(const Code &) = delete;
};

Result<Regex> Regex::compile(std::string_view pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code *compiled = pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset,
      nullptr);
  if (!compiled) {
    PCRE2_UCHAR text[128] = {};
    pcre2_get_error_message(error, text, sizeof(text));
    return Status(StatusCode::dataLoss,
                  "expected a PCRE2 pattern, but at byte " +
                      std::to_string(offset) +
                      " it fails: " + reinterpret_cast<const char *>(text));
  }
  // Without a JIT (or executable memory) the interpreter gives equal results.
  bool jit = pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE) == 0;
  return Regex(std::make_shared<const Code>(compiled, jit));
}

Regex::Outcome Regex::find(std::string_view text, size_t start,
                           RegexScratch &scratch, RegexMatch &match) const {
  RegexScratch::Memory &memory = *scratch.memory;
  pcre2_set_match_limit(memory.context, matchLimit(text.size()));
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (code->jit)
    rc = pcre2_jit_match(code->pattern, subject, text.size(), start,
                         PCRE2_NO_UTF_CHECK, memory.match, memory.context);
  // The interpreter needs no machine stack, only time.
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
    rc = pcre2_match(code->pattern, subject, text.size(), start,
                     PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, memory.match,
                     memory.context);
  if (rc == PCRE2_ERROR_NOMATCH)
    return Outcome::absent;
  if (rc < 0)
    return Outcome::exhausted;
  const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(memory.match);
  match = {offsets[0], offsets[1]};
  // \K in a lookahead may set the start behind the end.
  if (match.begin > match.end || match.begin < start)
    return Outcome::exhausted;
  return Outcome::found;
}
