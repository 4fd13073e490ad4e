//===- DSV2Dialect.cpp - The dsv2 dialect ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/DSV2Dialect.h"

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
