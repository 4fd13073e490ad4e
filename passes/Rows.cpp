//===- Rows.cpp - Where the number of rows of a tensor comes from ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/Rows.h"

using namespace mlir;
using namespace mlir::dsv2;

static bool isAllRows(tensor::ExtractSliceOp slice);

/// An operand of `op` with as many rows as its results, or null.
static Value getRowsOperand(Operation *op) {
  if (op->hasTrait<dsv2::OpTrait::RowWise>() ||
      isa<RopeOp, AttentionOp, ExpandedAttentionOp, LatentAttentionOp>(op))
    return op->getOperand(0);
  if (op->hasTrait<mlir::OpTrait::Elementwise>() && op->getNumOperands() > 0 &&
      isa<RankedTensorType>(op->getOperand(0).getType()))
    return op->getOperand(0);
  if (auto reshape = dyn_cast<tensor::ExpandShapeOp>(op))
    if (reshape.getReassociationIndices().front().size() == 1)
      return reshape.getSrc();
  if (auto reshape = dyn_cast<tensor::CollapseShapeOp>(op))
    if (reshape.getReassociationIndices().front().size() == 1)
      return reshape.getSrc();
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    if (isAllRows(slice))
      return slice.getSource();
  return {};
}

Value dsv2::getRowsOrigin(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    Value operand = getRowsOperand(op);
    if (!operand)
      break;
    value = operand;
  }
  return value;
}

static bool isAllRows(tensor::ExtractSliceOp slice) {
  if (slice.getMixedOffsets().empty() ||
      !isConstantIntValue(slice.getMixedOffsets().front(), 0) ||
      !isConstantIntValue(slice.getMixedStrides().front(), 1) ||
      slice.getDroppedDims().test(0))
    return false;
  OpFoldResult size = slice.getMixedSizes().front();
  int64_t rows = slice.getSourceType().getDimSize(0);
  if (!ShapedType::isDynamic(rows))
    return isConstantIntValue(size, rows);
  auto sizeValue = dyn_cast<Value>(size);
  auto dim = sizeValue ? sizeValue.getDefiningOp<tensor::DimOp>() : nullptr;
  return dim && dim.getConstantIndex() == 0 &&
         getRowsOrigin(dim.getSource()) == getRowsOrigin(slice.getSource());
}

OpFoldResult dsv2::getRows(OpBuilder &builder, Location loc, Value value) {
  return tensor::getMixedSize(builder, loc, getRowsOrigin(value), 0);
}

bool dsv2::isColumnSlice(tensor::ExtractSliceOp slice, int64_t offset) {
  return slice.getSourceType().getRank() == 2 &&
         slice.getType().getRank() == 2 && slice.hasUnitStride() &&
         isAllRows(slice) &&
         isConstantIntValue(slice.getMixedOffsets().back(), offset);
}

Value dsv2::sliceColumns(OpBuilder &builder, Location loc, Value value,
                         int64_t offset, int64_t width) {
  OpFoldResult one = builder.getIndexAttr(1);
  SmallVector<OpFoldResult> offsets = {builder.getIndexAttr(0),
                                       builder.getIndexAttr(offset)};
  SmallVector<OpFoldResult> sizes = {getRows(builder, loc, value),
                                     builder.getIndexAttr(width)};
  return tensor::ExtractSliceOp::create(builder, loc, value, offsets, sizes,
                                        SmallVector<OpFoldResult>{one, one});
}
