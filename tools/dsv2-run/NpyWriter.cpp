//===- NpyWriter.cpp - float32 matrices as .npy files ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/NpyWriter.h"

using namespace dsv2;

/// Of format version 1.0. The size is fixed, so that the number of rows can be
/// filled in at the end.
static std::string npyHeader(int64_t rows, int64_t columns) {
  constexpr size_t size = 128, prefix = 10;
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(size - prefix);
  header += '\0';
  header += "{'descr': '<f4', 'fortran_order': False, 'shape': (" +
            std::to_string(rows) + ", " + std::to_string(columns) + "), }";
  header.resize(size - 1, ' ');
  return header + "\n";
}

Result<NpyWriter> NpyWriter::create(const std::string &path, int64_t columns) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok())
    return file.status();
  NpyWriter writer(*std::move(file), columns);
  DSV2_RETURN_IF_ERROR(writer.file.append(npyHeader(0, columns)));
  return writer;
}

Status NpyWriter::append(std::span<const float> values) {
  rows += static_cast<int64_t>(values.size()) / columns;
  return file.append(std::as_bytes(values));
}

Status NpyWriter::commit() {
  std::string header = npyHeader(rows, columns);
  DSV2_RETURN_IF_ERROR(
      file.writeAt(0, std::as_bytes(std::span(header.data(), header.size()))));
  return file.commit();
}
