//===- Chat.h - A conversation with the model -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_CHAT_H
#define DSV2_TOOLS_RUN_CHAT_H

#include "tools/dsv2-run/Generator.h"
#include "tools/dsv2-run/TokenOutput.h"

namespace dsv2 {

/// Reads messages from a terminal or a pipe and prints answers until the input
/// ends. `systemText` may be empty.
Status holdConversation(Generator &generator, TokenOutput &output,
                        const dsv2_tokenizer_t *tokenizer,
                        const std::string &systemText);

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_CHAT_H
