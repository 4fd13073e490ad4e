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

/// The stored type and the shape of a tensor.
struct TensorInfo {
  DataType dtype = DataType::f32;
  std::vector<int64_t> shape;

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

protected:
  /// The error of a range outside of the tensor, or success.
  static Status checkRows(std::string_view name, const TensorInfo &info,
                          int64_t firstRow, int64_t rows);
};

} // namespace dsv2

#endif // DSV2_MODELS_TENSORSOURCE_H
