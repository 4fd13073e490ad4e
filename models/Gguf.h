//===- Gguf.h - Reading one GGUF file ---------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A GGUF file is metadata, a list of tensors, and their data, aligned. All of
// the first two is checked when the file is opened; afterwards a tensor is
// plain memory of the mapped file.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_GGUF_H
#define DSV2_MODELS_GGUF_H

#include "models/GgufType.h"
#include "runtime/base/MappedFile.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

/// One tensor of a mapped file; the data need not be aligned.
struct GgufTensor {
  std::string name;
  GgufType type = GgufType::f32;
  std::vector<int64_t> shape; ///< the outermost dimension first
  const std::byte *data = nullptr;
  size_t size = 0; ///< bytes

  /// Of the last dimension, a whole number of blocks.
  size_t rowBytes() const;
};

/// What a file holds. Texts and data point into it.
struct GgufContents {
  /// Scalars by key; an array is only a mark that the key is one.
  nlohmann::json values = nlohmann::json::object();
  std::map<std::string, std::vector<std::string_view>, std::less<>> texts;
  std::map<std::string, std::vector<int64_t>, std::less<>> integers;
  std::vector<GgufTensor> tensors; ///< sorted by name
};

/// Checks a whole file in memory. `path` begins every message.
Result<GgufContents> parseGguf(std::span<const std::byte> file,
                               std::string_view path);

/// A mapped GGUF file.
class GgufFile {
public:
  static Result<GgufFile> open(const std::string &path);

  /// Whether a file begins like one.
  static bool isGguf(const std::string &path);

  const std::string &path() const { return file.path(); }
  const MappedFile &mapping() const { return file; }
  const GgufContents &contents() const { return parsed; }

private:
  GgufFile() = default;

  MappedFile file;
  GgufContents parsed;
};

} // namespace dsv2

#endif // DSV2_MODELS_GGUF_H
