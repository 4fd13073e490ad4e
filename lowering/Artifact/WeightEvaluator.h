//===- WeightEvaluator.h - The bytes of a weight ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Computes what a dsv2.weight stands for, a few rows at a time: its expression
// is turned into a tree of row readers over the tensors of a checkpoint, and
// the rows that come out are written in the format of its type.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_ARTIFACT_WEIGHTEVALUATOR_H
#define DSV2_LOWERING_ARTIFACT_WEIGHTEVALUATOR_H

#include "dialect/DSV2Dialect.h"
#include "models/TensorSource.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <span>

namespace mlir::dsv2 {

/// A tensor in float32, read by rows: all leading dimensions flattened, a
/// vector being one row. Readers are safe to use from several threads.
class RowReader {
public:
  RowReader(ArrayRef<int64_t> shape) : shape(shape) {}
  virtual ~RowReader() = default;

  virtual ::dsv2::Status read(int64_t firstRow, int64_t rows,
                              float *out) const = 0;

  /// Whether the rows are quantized, and readGroups() gives their quants.
  virtual bool hasGroups() const { return false; }

  /// The quants of the rows, without zero point, and the f16 scale of each
  /// group of a row. Called only where hasGroups() is true.
  virtual ::dsv2::Status readGroups(int64_t firstRow, int64_t rows,
                                    int8_t *quants, uint16_t *scales) const;

  /// Whether the rows are e4m3 in blocks of 128 x 128 of each matrix, and
  /// readFp8() gives them.
  virtual bool hasFp8() const { return false; }

  /// The e4m3 of the rows, and for each row the scales of its blocks. Called
  /// only where hasFp8() is true.
  virtual ::dsv2::Status readFp8(int64_t firstRow, int64_t rows,
                                 uint8_t *quants, float *scales) const;

  int64_t rowSize() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rowCount() const;

  const SmallVector<int64_t> shape;
};

/// The reader of a weight's values, before any packing; emits a diagnostic when
/// its expression has an operation that cannot be evaluated.
FailureOr<std::shared_ptr<const RowReader>>
makeRowReader(WeightOp weight, const ::dsv2::TensorSource &source);

/// Bytes that a weight of this type takes in an artifact.
uint64_t weightBytes(RankedTensorType type);

/// Called with consecutive bytes of a weight.
using ByteSink = std::function<::dsv2::Status(std::span<const std::byte>)>;

/// Evaluates `weight` and gives its bytes to `sink`, in order, using
/// `threads` threads.
LogicalResult writeWeight(WeightOp weight, const ::dsv2::TensorSource &source,
                          unsigned threads, const ByteSink &sink);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_ARTIFACT_WEIGHTEVALUATOR_H
