//===- TensorSource.h - Where weights come from -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_TENSORSOURCE_H
#define DSV2_MODELS_TENSORSOURCE_H

#include "models/DataType.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace dsv2 {

/// Integers in groups of 32 along a row that share an f16 scale.
enum class GroupFormat {
  none,
  int8, ///< from -128 to 127
  int4, ///< from -8 to 7
};

/// Elements that share a scale.
inline constexpr int64_t groupElements = 32;

/// Rows and columns of a block of e4m3 that share an f32 scale.
inline constexpr int64_t fp8BlockSize = 128;

/// The stored type and the shape of a tensor.
struct TensorInfo {
  DataType dtype = DataType::f32;
  std::vector<int64_t> shape;
  /// The format that this matrix is best used in; `none`: that of `dtype`.
  GroupFormat groups = GroupFormat::none;
  /// Whether it is stored in that format, and readGroups() reads it.
  bool hasGroups = false;
  /// Whether it is stored as e4m3 in blocks of 128 x 128, and readFp8() reads
  /// it.
  bool hasFp8 = false;

  /// All leading dimensions flattened; a vector is one row.
  int64_t rows() const {
    int64_t count = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i)
      count *= shape[i];
    return count;
  }
  int64_t rowSize() const { return shape.empty() ? 1 : shape.back(); }
};

/// Named tensors that can be read as float32, some rows at a time. Reads may
/// run concurrently.
class TensorSource {
public:
  virtual ~TensorSource() = default;

  virtual Result<TensorInfo> info(std::string_view name) const = 0;

  /// Writes rows [firstRow, firstRow + rows) to `out`, densely. Fails, naming
  /// tensor and element, if a value is NaN or infinite; `out` then holds
  /// unspecified values.
  virtual Status readRows(std::string_view name, int64_t firstRow, int64_t rows,
                          float *out) const = 0;

  /// Writes the quants of rows [firstRow, firstRow + rows) of a tensor that has
  /// groups, densely, and a scale for each group of a row.
  virtual Status readGroups(std::string_view name, int64_t firstRow,
                            int64_t rows, int8_t *quants,
                            uint16_t *scales) const;

  /// Writes the e4m3 of rows [firstRow, firstRow + rows) of a matrix that has
  /// them, densely, and for each row the scales of its blocks.
  virtual Status readFp8(std::string_view name, int64_t firstRow, int64_t rows,
                         uint8_t *quants, float *scales) const;

protected:
  /// The error of a range outside of the tensor, or success.
  static Status checkRows(std::string_view name, const TensorInfo &info,
                          int64_t firstRow, int64_t rows);
};

} // namespace dsv2

#endif // DSV2_MODELS_TENSORSOURCE_H
