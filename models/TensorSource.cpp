//===- TensorSource.cpp - Where weights come from -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/TensorSource.h"

#include <string>

using namespace dsv2;

Status TensorSource::checkRows(std::string_view name, const TensorInfo &info,
                               int64_t firstRow, int64_t rows) {
  int64_t count = info.rows();
  if (firstRow >= 0 && rows >= 0 && firstRow <= count &&
      rows <= count - firstRow)
    return Status();
  return Status(StatusCode::invalidArgument,
                "tensor '" + std::string(name) + "' has " +
                    std::to_string(count) + " rows, asked for " +
                    std::to_string(rows) + " from row " +
                    std::to_string(firstRow));
}

Status TensorSource::readGroups(std::string_view name, int64_t, int64_t,
                                int8_t *, uint16_t *) const {
  return Status(StatusCode::invalidArgument,
                "tensor '" + std::string(name) + "' is not stored in groups");
}

Status TensorSource::readFp8(std::string_view name, int64_t, int64_t, uint8_t *,
                             float *) const {
  return Status(StatusCode::invalidArgument,
                "tensor '" + std::string(name) +
                    "' is not stored as e4m3 in blocks of 128 x 128");
}
