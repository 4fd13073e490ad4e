//===- Rows.h - Where the number of rows of a tensor comes from -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_PASSES_ROWS_H
#define DSV2_PASSES_ROWS_H

#include "dialect/DSV2Dialect.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace mlir::dsv2 {

/// The oldest value known to have as many rows (dimension 0) as `value`:
/// follows operations that compute each row from one row.
Value getRowsOrigin(Value value);

/// The number of rows of `value`, an attribute where it is static.
OpFoldResult getRows(OpBuilder &builder, Location loc, Value value);

/// Whether `slice` keeps all rows of its source, every stride is one, and of
/// the source's rank-2 shape it takes the columns from `offset` on.
bool isColumnSlice(tensor::ExtractSliceOp slice, int64_t offset);

/// Columns [offset, offset + width) of all rows of the matrix `value`.
Value sliceColumns(OpBuilder &builder, Location loc, Value value,
                   int64_t offset, int64_t width);

} // namespace mlir::dsv2

#endif // DSV2_PASSES_ROWS_H
