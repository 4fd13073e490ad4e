//===- WeightOps.cpp - Weights and their formats --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/Verify.h"

using namespace mlir;
using namespace mlir::dsv2;

#define GET_OP_CLASSES
#include "dialect/DSV2Ops.cpp.inc"

//===----------------------------------------------------------------------===//
// WeightOp, GetWeightOp
//===----------------------------------------------------------------------===//

Value WeightOp::getYielded() {
  return cast<YieldOp>(getBody().front().getTerminator()).getValue();
}

LogicalResult WeightOp::verify() {
  bool hasBody = !getBody().empty();
  if (hasBody == getSource().has_value()) // (C1)
    return emitOpError("expects either a source or a body");
  if (getSource() && getSource()->contains('*') &&
      getWeightType().getRank() < 2) // (C3)
    return emitOpError("expects a stacked weight to have rank 2 or more, but "
                       "found ")
           << getWeightType();
  return success();
}

LogicalResult WeightOp::verifyRegions() {
  if (getBody().empty())
    return success();
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getValue().getType() != getWeightType()) // (C2)
    return emitOpError("expects its body to yield ") << getWeightType();
  return success();
}

LogicalResult
GetWeightOp::verifySymbolUses(SymbolTableCollection &symbolTable) {
  auto weight =
      symbolTable.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight) // (C1)
    return emitOpError("expects a dsv2.weight named ") << getWeightAttr();
  if (weight.getWeightType() != getType()) // (C1)
    return emitOpError("expects the type of ")
           << getWeightAttr() << ", " << weight.getWeightType();
  return success();
}

void GetWeightOp::getAsmResultNames(OpAsmSetValueNameFn setName) {
  setName(getResult(), getWeight().rsplit('.').second);
}

//===----------------------------------------------------------------------===//
// Formats
//===----------------------------------------------------------------------===//

static LogicalResult expectSameShape(Operation *op, Value a, Value b) {
  auto first = cast<RankedTensorType>(a.getType());
  auto second = cast<RankedTensorType>(b.getType());
  if (first.getShape() == second.getShape())
    return success();
  return op->emitOpError("expects operand and result of one shape, but found ")
         << first << " and " << second;
}

LogicalResult QuantizeOp::verify() {
  if (failed(expectSameShape(*this, getWeight(), getResult()))) // (C1)
    return failure();
  auto type = cast<RankedTensorType>(getType());
  Attribute encoding = type.getEncoding();
  bool fits = type.getElementType().isInteger(8)
                  ? isa_and_nonnull<BlockInt8Attr>(encoding)
              : type.getElementType().isInteger(4)
                  ? isa_and_nonnull<BlockInt4Attr>(encoding)
                  : isa_and_nonnull<BlockFp8Attr>(encoding);
  if (!fits) // (C2)
    return emitOpError("expects a result of type i8 in block_int8, i4 in "
                       "block_int4 or f8E4M3FN in block_fp8, but found ")
           << type;
  return success();
}

LogicalResult DequantizeOp::verify() {
  if (failed(expectSameShape(*this, getWeight(), getResult()))) // (C1)
    return failure();
  Attribute encoding =
      cast<RankedTensorType>(getWeight().getType()).getEncoding();
  if (!isa_and_nonnull<BlockInt8Attr, BlockInt4Attr, BlockFp8Attr>(encoding))
    return emitOpError("expects an operand with a block encoding, but found ")
           << getWeight().getType(); // (C2)
  return success();
}

LogicalResult PackWeightOp::verify() {
  auto from = cast<RankedTensorType>(getWeight().getType());
  auto to = cast<RankedTensorType>(getType());
  if (from.getShape() != to.getShape() ||
      from.getElementType() != to.getElementType()) // (C1)
    return emitOpError("expects operand and result of one shape and element "
                       "type, but found ")
           << from << " and " << to;
  auto panels = dyn_cast_or_null<PanelsAttr>(to.getEncoding());
  if (!panels || panels.getFormat() != from.getEncoding()) // (C2)
    return emitOpError("expects a panels encoding of the operand's format, but "
                       "found ")
           << to;
  int64_t pair = 2 * panels.getInterleave();
  if (pair && (to.getRank() < 2 || to.getDimSize(to.getRank() - 2) % pair))
    return emitOpError("expects halves of a matrix in runs of ") // (C3)
           << panels.getInterleave() << " rows, but found " << to;
  return success();
}

LogicalResult PackRowsOp::verify() {
  if (failed(expectSameShape(*this, getInput(), getResult()))) // (C1)
    return failure();
  if (!isa_and_nonnull<RowsAttr>(
          cast<RankedTensorType>(getType()).getEncoding())) // (C2)
    return emitOpError("expects a rows encoding, but found ") << getType();
  return success();
}
