//===- NpyWriter.h - float32 matrices as .npy files -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_NPYWRITER_H
#define DSV2_TOOLS_RUN_NPYWRITER_H

#include "runtime/base/AtomicFile.h"

#include <cstdint>
#include <span>
#include <string>

namespace dsv2 {

/// Streams rows to a file that appears under its name when it is complete.
class NpyWriter {
public:
  static Result<NpyWriter> create(const std::string &path, int64_t columns);

  /// `values` are whole rows.
  Status append(std::span<const float> values);
  Status commit();

private:
  NpyWriter(AtomicFile file, int64_t columns)
      : file(std::move(file)), columns(columns) {}

  AtomicFile file;
  int64_t columns;
  int64_t rows = 0;
};

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_NPYWRITER_H
