//===- GgufRead.cpp - Rows of GGUF files ----------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/GgufCheckpoint.h"
#include "models/GgufDequantize.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>

using namespace dsv2;

/// The tensor as far as it is known which; a scale may be at fault, so no
/// element is named.
Status GgufCheckpoint::notFinite(const GgufTensor &tensor) const {
  return Status(StatusCode::dataLoss,
                files.front().path() + ": tensor '" + tensor.name +
                    "' holds NaN or infinity, expected finite weights");
}

Result<const GgufCheckpoint::Place *>
GgufCheckpoint::placeOf(std::string_view name, int64_t firstRow,
                        int64_t rows) const {
  auto found = places.find(name);
  if (found == places.end())
    return Status(StatusCode::notFound, files.front().path() +
                                            ": there is no tensor '" +
                                            std::string(name) + "'");
  DSV2_RETURN_IF_ERROR(checkRows(name, found->second.info, firstRow, rows));
  return &found->second;
}

Result<TensorInfo> GgufCheckpoint::info(std::string_view name) const {
  Result<const Place *> place = placeOf(name, 0, 0);
  if (!place.ok())
    return place.status();
  return (*place)->info;
}

Status GgufCheckpoint::readTensorRows(const GgufTensor &tensor,
                                      int64_t firstRow, int64_t rows,
                                      float *out) const {
  const std::byte *data =
      tensor.data + static_cast<size_t>(firstRow) * tensor.rowBytes();
  if (dequantizeGguf(tensor.type, data, rows * tensor.shape.back(), out))
    return Status();
  return notFinite(tensor);
}

/// Of each head: the keys, of which the file has the columns, then the values.
Status GgufCheckpoint::readSplitRows(const Place &place, int64_t firstRow,
                                     int64_t rows, float *out) const {
  int64_t nope = modelConfig.qkNopeHeadDim, valueDim = modelConfig.vHeadDim;
  int64_t latent = modelConfig.kvLoraRank, each = nope + valueDim;
  std::vector<float> columns;
  while (rows > 0) {
    int64_t head = firstRow / each, row = firstRow % each;
    bool isKey = row < nope;
    int64_t count = std::min(rows, (isKey ? nope : each) - row);
    if (isKey) {
      columns.resize(static_cast<size_t>(latent * nope));
      DSV2_RETURN_IF_ERROR(
          readTensorRows(*place.tensor, head * latent, latent, columns.data()));
      for (int64_t r = 0; r < count; ++r)
        for (int64_t c = 0; c < latent; ++c)
          out[r * latent + c] = columns[c * nope + row + r];
    } else {
      DSV2_RETURN_IF_ERROR(readTensorRows(
          *place.values, head * valueDim + row - nope, count, out));
    }
    firstRow += count;
    rows -= count;
    out += count * latent;
  }
  return Status();
}

Status GgufCheckpoint::readRows(std::string_view name, int64_t firstRow,
                                int64_t rows, float *out) const {
  Result<const Place *> found = placeOf(name, firstRow, rows);
  if (!found.ok())
    return found.status();
  const Place &place = **found;
  if (place.values)
    return readSplitRows(place, firstRow, rows, out);
  DSV2_RETURN_IF_ERROR(
      readTensorRows(*place.tensor, place.firstRow + firstRow, rows, out));
  // A table that is quantized is given in the type that info() says.
  if (place.info.dtype == DataType::bf16 &&
      place.tensor->type != GgufType::bf16)
    for (int64_t i = 0; i < rows * place.info.rowSize(); ++i)
      out[i] = bf16ToFloat(floatToBf16(out[i]));
  return Status();
}

Status GgufCheckpoint::readGroups(std::string_view name, int64_t firstRow,
                                  int64_t rows, int8_t *quants,
                                  uint16_t *scales) const {
  Result<const Place *> found = placeOf(name, firstRow, rows);
  if (!found.ok())
    return found.status();
  const Place &place = **found;
  if (!place.info.hasGroups)
    return TensorSource::readGroups(name, firstRow, rows, quants, scales);
  const GgufTensor &tensor = *place.tensor;
  const std::byte *data =
      tensor.data +
      static_cast<size_t>(place.firstRow + firstRow) * tensor.rowBytes();
  if (readGgufGroups(tensor.type, data, rows * place.info.rowSize(), quants,
                     scales))
    return Status();
  return notFinite(tensor);
}
