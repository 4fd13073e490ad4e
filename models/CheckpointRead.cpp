//===- CheckpointRead.cpp - Rows of a checkpoint as float32 ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/Checkpoint.h"
#include "models/RowConversion.h"
#include "runtime/base/NumberFormats.h"

#include <algorithm>
#include <cmath>
#include <cstring>

using namespace dsv2;

/// Scales above this could overflow float32 together with an e4m3 value.
static constexpr float largestScale = 1e30f;

/// One element without regard to block scales; slow, for error messages and
/// scales.
static float elementAt(const TensorView &view, int64_t index) {
  const std::byte *at = view.data + index * byteSize(view.dtype);
  uint16_t half;
  float single;
  switch (view.dtype) {
  case DataType::f16:
    std::memcpy(&half, at, sizeof(half));
    return f16ToFloat(half);
  case DataType::bf16:
    std::memcpy(&half, at, sizeof(half));
    return bf16ToFloat(half);
  case DataType::f8e4m3:
    return e4m3ToFloat(static_cast<uint8_t>(*at));
  default:
    std::memcpy(&single, at, sizeof(single));
    return single;
  }
}

/// Names the first element of [first, first + count) that is not finite.
static Status notFinite(const std::string &path, const TensorView &view,
                        int64_t first, int64_t count) {
  int64_t index = first;
  while (index < first + count && std::isfinite(elementAt(view, index)))
    ++index;
  std::string position;
  int64_t rest = index;
  for (size_t i = view.shape.size(); i-- > 0;) {
    position = std::to_string(rest % view.shape[i]) +
               (position.empty() ? "" : ", ") + position;
    rest /= view.shape[i];
  }
  return Status(StatusCode::dataLoss,
                path + ": tensor '" + view.name + "' holds " +
                    (std::isnan(elementAt(view, index)) ? "NaN" : "infinity") +
                    " at [" + position + "], expected finite weights");
}

/// Asks for the pages of a large range in one go, rather than fault by fault.
static void prefetch(const std::vector<Safetensors> &files,
                     const std::byte *data, size_t size) {
  constexpr size_t worthwhile = size_t(1) << 20;
  if (size < worthwhile)
    return;
  for (const Safetensors &file : files) {
    std::span<const std::byte> bytes = file.mapping().bytes();
    if (data >= bytes.data() && data < bytes.data() + bytes.size())
      return file.mapping().advise(MappedFile::Access::soon,
                                   data - bytes.data(), size);
  }
}

Result<TensorInfo> Checkpoint::info(std::string_view name) const {
  const TensorView *view = find(name);
  if (!view)
    return Status(StatusCode::notFound,
                  path + ": there is no tensor '" + std::string(name) + "'");
  TensorInfo info{view->dtype, view->shape};
  info.hasFp8 = view->dtype == DataType::f8e4m3 && modelConfig.fp8 &&
                modelConfig.fp8->rows == fp8BlockSize &&
                modelConfig.fp8->cols == fp8BlockSize;
  return info;
}

Status Checkpoint::readRows(std::string_view name, int64_t firstRow,
                            int64_t rows, float *out) const {
  Result<TensorInfo> shape = info(name);
  if (!shape.ok())
    return shape.status();
  DSV2_RETURN_IF_ERROR(checkRows(name, *shape, firstRow, rows));

  const TensorView &view = *find(name);
  int64_t first = firstRow * shape->rowSize();
  int64_t count = rows * shape->rowSize();
  if (count == 0)
    return Status();
  const std::byte *data = view.data + first * byteSize(view.dtype);
  prefetch(files, data, static_cast<size_t>(count * byteSize(view.dtype)));
  bool finite = false;
  switch (view.dtype) {
  case DataType::f32:
    finite = convertF32(data, count, out);
    break;
  case DataType::f16:
    finite = convertF16(data, count, out);
    break;
  case DataType::bf16:
    finite = convertBf16(data, count, out);
    break;
  case DataType::f8e4m3:
    return readFp8Rows(view, firstRow, rows, out);
  default:
    return Status(StatusCode::incompatible,
                  path + ": tensor '" + view.name + "' has the type " +
                      std::string(nameOf(view.dtype)) +
                      ", expected F32, F16, BF16 or F8_E4M3");
  }
  return finite ? Status() : notFinite(path, view, first, count);
}

Result<float> Checkpoint::readScale(const TensorView &scales,
                                    int64_t index) const {
  float factor = elementAt(scales, index);
  if (std::fabs(factor) <= largestScale)
    return factor;
  if (!std::isfinite(factor))
    return notFinite(path, scales, index, 1);
  return Status(StatusCode::dataLoss,
                path + ": tensor '" + scales.name +
                    "' holds a scale above 1e30, which overflows");
}

Status Checkpoint::readFp8Rows(const TensorView &weight, int64_t firstRow,
                               int64_t rows, float *out) const {
  Result<const TensorView *> found = findScales(weight, modelConfig);
  if (!found.ok())
    return found.status();
  const TensorView &scales = **found;
  int64_t columns = weight.shape[1];
  int64_t blockRows = modelConfig.fp8->rows;
  int64_t blockCols = modelConfig.fp8->cols;
  for (int64_t row = firstRow; row < firstRow + rows; ++row) {
    int64_t scale = row / blockRows * scales.shape[1];
    for (int64_t column = 0; column < columns; column += blockCols, ++scale) {
      Result<float> factor = readScale(scales, scale);
      if (!factor.ok())
        return factor.status();
      int64_t count = std::min(blockCols, columns - column);
      int64_t first = row * columns + column;
      if (!convertE4m3(weight.data + first, count, *factor, out))
        return notFinite(path, weight, first, count);
      out += count;
    }
  }
  return Status();
}

Status Checkpoint::readFp8(std::string_view name, int64_t firstRow,
                           int64_t rows, uint8_t *quants, float *scales) const {
  Result<TensorInfo> shape = info(name);
  if (!shape.ok())
    return shape.status();
  if (!shape->hasFp8)
    return TensorSource::readFp8(name, firstRow, rows, quants, scales);
  DSV2_RETURN_IF_ERROR(checkRows(name, *shape, firstRow, rows));
  const TensorView &view = *find(name);
  Result<const TensorView *> found = findScales(view, modelConfig);
  if (!found.ok())
    return found.status();
  const TensorView &factors = **found;
  int64_t first = firstRow * shape->rowSize();
  int64_t count = rows * shape->rowSize();
  if (count == 0)
    return Status();
  prefetch(files, view.data + first, static_cast<size_t>(count));
  std::memcpy(quants, view.data + first, static_cast<size_t>(count));
  bool hasNaN = std::any_of(quants, quants + count,
                            [](uint8_t bits) { return (bits & 0x7f) == 0x7f; });
  if (hasNaN)
    return notFinite(path, view, first, count);
  for (int64_t row = firstRow; row < firstRow + rows; ++row)
    for (int64_t i = 0; i < factors.shape[1]; ++i) {
      Result<float> factor =
          readScale(factors, row / fp8BlockSize * factors.shape[1] + i);
      if (!factor.ok())
        return factor.status();
      *scales++ = *factor;
    }
  return Status();
}
