//===- TensorOps.cpp - Verifiers of embedding, norm, linear, RoPE ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "dialect/Verify.h"

using namespace mlir;
using namespace mlir::dsv2;

LogicalResult BatchGetOp::verify() {
  bool isTable = getField() == BatchField::PageTable;
  if (getType().getRank() != (isTable ? 2 : 1)) // (C1)
    return emitOpError("expects ")
           << stringifyBatchField(getField()) << " to have rank "
           << (isTable ? 2 : 1) << ", but found " << getType();
  return success();
}

LogicalResult EmbedOp::verify() {
  return expectSize(*this, "the width of the result", dimOf(getResult(), 1),
                    dimOf(getTable(), 1)); // (C1)
}

LogicalResult SelectRowsOp::verify() {
  return expectSize(*this, "the width of the result", dimOf(getResult(), 1),
                    dimOf(getInput(), 1)); // (C1)
}

LogicalResult RMSNormOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (input.getShape() != result.getShape()) // (C1)
    return emitOpError("expects input and result of one shape, but found ")
           << input << " and " << result;
  return expectSize(*this, "the length of gamma", dimOf(getGamma(), 0),
                    input.getDimSize(1)); // (C2)
}

/// Whether the formats of an input and a weight fit each other: i8 rows go with
/// integer weights, fp8 rows with those in fp8, and bf16, packed or not, with
/// all but f32.
static bool formatsFit(RankedTensorType input, RankedTensorType weight) {
  Type from = input.getElementType(), element = weight.getElementType();
  if (from.isBF16())
    return !element.isF32();
  if (!isa_and_nonnull<RowsAttr>(input.getEncoding()))
    return from.isF32();
  if (isa<Float8E4M3FNType>(from))
    return from == element;
  return from.isInteger() && element.isInteger();
}

LogicalResult LinearOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  auto weight = cast<RankedTensorType>(getWeight().getType());
  if (input.getRank() != 2 || weight.getRank() != 2) // (C1)
    return emitOpError("expects a matrix of inputs and a matrix of weights, "
                       "but found ")
           << input << " and " << weight;
  if (failed(expectSize(*this, "the last dimension of the weight",
                        weight.getDimSize(1), input.getDimSize(1)))) // (C1)
    return failure();
  if (failed(expectSize(*this, "the width of the result", dimOf(getResult(), 1),
                        weight.getDimSize(0)))) // (C2)
    return failure();
  if (!formatsFit(input, weight)) // (C3)
    return emitOpError("expects formats that go together, but found ")
           << input << " and " << weight;
  return success();
}

LogicalResult HeadProjectOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  auto weight = cast<RankedTensorType>(getWeight().getType());
  if (weight.getRank() != 3 || (input.getRank() != 2 && input.getRank() != 3))
    return emitOpError(
               "expects a weight of rank 3 and an input of rank 2 or 3, "
               "but found ")
           << weight << " and " << input; // (C1)
  if (failed(expectSize(*this, "the last dimension of the weight",
                        weight.getDimSize(2), lastDimOf(getInput())))) // (C1)
    return failure();
  if (failed(expectSize(*this, "the number of heads of the result",
                        dimOf(getResult(), 1), weight.getDimSize(0))) ||
      failed(expectSize(*this, "the width of the result", dimOf(getResult(), 2),
                        weight.getDimSize(1)))) // (C2)
    return failure();
  if (input.getRank() == 3) // (C3)
    return expectSize(*this, "the number of heads of the input",
                      input.getDimSize(1), weight.getDimSize(0));
  return success();
}

LogicalResult RopeOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (input.getShape() != result.getShape()) // (C1)
    return emitOpError("expects input and result of one shape, but found ")
           << input << " and " << result;
  int64_t width = lastDimOf(getInput());
  if (ShapedType::isDynamic(width) || width % 2 != 0) // (C2)
    return emitOpError("expects an even last dimension, but found ") << input;
  return success();
}

LogicalResult SwigluOp::verify() {
  auto gate = cast<RankedTensorType>(getGate().getType());
  auto up = cast<RankedTensorType>(getUp().getType());
  auto result = cast<RankedTensorType>(getResult().getType());
  if (gate != up || gate.getShape() != result.getShape()) // (C1)
    return emitOpError("expects gate, up and result of one shape, but found ")
           << gate << ", " << up << " and " << result;
  return success();
}
