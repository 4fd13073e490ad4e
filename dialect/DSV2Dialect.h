//===- DSV2Dialect.h - The dsv2 dialect -------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_DIALECT_DSV2DIALECT_H
#define DSV2_DIALECT_DSV2DIALECT_H

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialect/DSV2Dialect.h.inc"
#include "dialect/DSV2Enums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialect/DSV2Attributes.h.inc"

#define GET_TYPEDEF_CLASSES
#include "dialect/DSV2Types.h.inc"

namespace mlir::dsv2::OpTrait {

/// Marks operations that may be computed for any block of rows alone; see
/// DSV2Base.td.
template <typename ConcreteType>
class RowWise : public mlir::OpTrait::TraitBase<ConcreteType, RowWise> {};

} // namespace mlir::dsv2::OpTrait

#define GET_OP_CLASSES
#include "dialect/DSV2Ops.h.inc"

#endif // DSV2_DIALECT_DSV2DIALECT_H
