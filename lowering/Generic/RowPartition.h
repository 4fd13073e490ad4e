//===- RowPartition.h - Which operations split by rows ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_LOWERING_GENERIC_ROWPARTITION_H
#define DSV2_LOWERING_GENERIC_ROWPARTITION_H

#include "lowering/Generic/GenericKernel.h"

namespace mlir::dsv2 {

/// How an operation is computed row by row: every result, the operands listed,
/// and the batch fields that have `rows` are cut to one row.
struct RowPartition {
  RowCount rows;
  SmallVector<unsigned> operands;
};

/// The partition of `op`; none if its rows are not independent or are of a
/// number that is known.
std::optional<RowPartition> findRowPartition(Operation *op,
                                             ArrayRef<TensorBuffer> operands,
                                             ArrayRef<TensorBuffer> results);

} // namespace mlir::dsv2

#endif // DSV2_LOWERING_GENERIC_ROWPARTITION_H
