//===- DSV2Dialect.cpp - The dsv2 dialect ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"

#include "mlir/Interfaces/FunctionInterfaces.h"

using namespace mlir;
using namespace mlir::dsv2;

#include "dialect/DSV2Dialect.cpp.inc"

void DSV2Dialect::initialize() {
  registerAttributes();
  registerTypes();
  addOperations<
#define GET_OP_LIST
#include "dialect/DSV2Ops.cpp.inc"
      >();
}

LogicalResult DSV2Dialect::verifyOperationAttribute(Operation *op,
                                                    NamedAttribute attribute) {
  if (attribute.getName() != getMaxQueryTokensAttrHelper().getName())
    return success();
  auto value = dyn_cast<IntegerAttr>(attribute.getValue());
  if (!isa<FunctionOpInterface>(op) || !value ||
      !value.getType().isSignlessInteger(64) || value.getInt() < 1)
    return op->emitOpError("expects ")
           << attribute.getName()
           << " on a function, as an i64 of at least 1, but found "
           << attribute.getValue();
  return success();
}
