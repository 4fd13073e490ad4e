//===- ByteAlphabet.h - Bytes written as characters -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// tokenizer.json writes each byte of a token as one printable character:
// printable Latin-1 bytes as themselves, the others, in order, as U+0100 on.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TOKENIZER_BYTEALPHABET_H
#define DSV2_MODELS_TOKENIZER_BYTEALPHABET_H

#include <optional>
#include <string>
#include <string_view>

namespace dsv2 {

/// The bytes that `text`, well-formed UTF-8, stands for; none when one of its
/// characters stands for no byte.
std::optional<std::string> bytesFromAlphabet(std::string_view text);

} // namespace dsv2

#endif // DSV2_MODELS_TOKENIZER_BYTEALPHABET_H
