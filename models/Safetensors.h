//===- Safetensors.h - Reading one safetensors file -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A safetensors file is a length, a JSON header and one block of tensor data
// without holes. Everything in the header is checked when the file is opened;
// afterwards a view is plain memory of the mapped file.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_SAFETENSORS_H
#define DSV2_MODELS_SAFETENSORS_H

#include "models/DataType.h"
#include "runtime/base/MappedFile.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

/// One tensor of a mapped file; the data need not be aligned.
struct TensorView {
  std::string name;
  DataType dtype = DataType::f32;
  std::vector<int64_t> shape;
  const std::byte *data = nullptr;
  size_t size = 0; ///< bytes
};

/// Checks a whole file in memory and returns its tensors, sorted by name. The
/// views point into `file`; `path` begins every message.
Result<std::vector<TensorView>>
parseSafetensors(std::span<const std::byte> file, std::string_view path);

/// A mapped safetensors file.
class Safetensors {
public:
  static Result<Safetensors> open(const std::string &path);

  const std::string &path() const { return file.path(); }
  const MappedFile &mapping() const { return file; }

  /// Sorted by name.
  std::span<const TensorView> tensors() const { return views; }

  /// The tensor called `name`, or null.
  const TensorView *find(std::string_view name) const;

private:
  Safetensors() = default;

  MappedFile file;
  std::vector<TensorView> views;
};

} // namespace dsv2

#endif // DSV2_MODELS_SAFETENSORS_H
