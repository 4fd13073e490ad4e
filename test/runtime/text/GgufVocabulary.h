//===- GgufVocabulary.h - The vocabulary of a GGUF file ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_TEXT_GGUFVOCABULARY_H
#define DSV2_TEST_RUNTIME_TEXT_GGUFVOCABULARY_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace dsv2::test {

/// The arrays of strings and of 32-bit integers in a GGUF file's metadata.
struct GgufMetadata {
  std::map<std::string, std::vector<std::string>> strings;
  std::map<std::string, std::vector<int32_t>> integers;
};

/// Reads the metadata of `path`; none when it is no GGUF file.
std::optional<GgufMetadata> readGgufMetadata(const std::string &path);

/// tokenizer.json for the byte-level BPE vocabulary in `metadata`, with the
/// pre-tokenizer of DeepSeek-Coder.
std::string coderTokenizerJson(const GgufMetadata &metadata);

} // namespace dsv2::test

#endif // DSV2_TEST_RUNTIME_TEXT_GGUFVOCABULARY_H
