//===- Verify.h - What several verifiers check ------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_VERIFY_H
#define DSV2_DIALECT_VERIFY_H

#include "dialect/DSV2Dialect.h"

namespace mlir::dsv2 {

/// The size of dimension `dim`, or kDynamic; rank is checked by the caller.
inline int64_t dimOf(Value value, unsigned dim) {
  return cast<RankedTensorType>(value.getType()).getDimSize(dim);
}

inline int64_t lastDimOf(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  return type.getDimSize(type.getRank() - 1);
}

inline int64_t rankOf(Value value) {
  return cast<RankedTensorType>(value.getType()).getRank();
}

/// Fails unless `found` is `expected`, naming both as `what`.
inline LogicalResult expectSize(Operation *op, StringRef what, int64_t found,
                                int64_t expected) {
  if (found == expected)
    return success();
  return op->emitOpError("expects ")
         << what << " to be " << expected << ", but found " << found;
}

} // namespace mlir::dsv2

#endif // DSV2_DIALECT_VERIFY_H
