//===- TokenOutput.h - Generated tokens on standard output ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_TOKENOUTPUT_H
#define DSV2_TOOLS_RUN_TOKENOUTPUT_H

#include "tools/common/RuntimeTool.h"

namespace dsv2 {

/// Prints tokens as text, or as ids with commas between, as they come.
class TokenOutput {
public:
  /// Ids when `tokenizer` is null; it must outlive the output.
  static Result<TokenOutput> create(const dsv2_tokenizer_t *tokenizer);

  Status write(int32_t token);
  /// Ends an answer with a new line.
  Status finish();

private:
  TextStreamHandle stream;
  bool first = true;
};

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_TOKENOUTPUT_H
