//===- RunTool.h - Programs as their users see them -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_TOOLS_SUPPORT_RUNTOOL_H
#define DSV2_TEST_TOOLS_SUPPORT_RUNTOOL_H

#include "runtime/text/TokenizerModel.h"

#include <ostream>
#include <string>

namespace dsv2::test {

struct ToolResult {
  int status = -1; ///< as a shell reports it: 128 + n after signal n
  std::string out;
  std::string err;
};

std::ostream &operator<<(std::ostream &stream, const ToolResult &result);

/// Runs `command` in a shell, with `input` as its standard input.
ToolResult runTool(const std::string &command, const std::string &input = "");

/// Whether `text` is one line, its end included.
bool isOneLine(const std::string &text);

/// A tokenizer for the toy model: <bos> 0, <eos> 1, <｜User｜> 2,
/// <｜Assistant｜> 3, and letters from "a" 4 on.
TokenizerModel letterTokenizer();

} // namespace dsv2::test

#endif // DSV2_TEST_TOOLS_SUPPORT_RUNTOOL_H
