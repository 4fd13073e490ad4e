//===- ConcatWeights.cpp - One weight from several ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "passes/ConcatWeights.h"

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::dsv2;

/// The weight without its number format, or null where it is not known.
static Value getPlain(Value weight) {
  if (auto quantize = weight.getDefiningOp<QuantizeOp>())
    weight = quantize.getWeight();
  auto type = cast<RankedTensorType>(weight.getType());
  return type.getEncoding() || !type.hasStaticShape() ? Value() : weight;
}

bool dsv2::canConcat(Value a, Value b) {
  auto aType = cast<RankedTensorType>(a.getType());
  auto bType = cast<RankedTensorType>(b.getType());
  if (aType.getElementType() != bType.getElementType() ||
      aType.getEncoding() != bType.getEncoding())
    return false;
  Value aPlain = getPlain(a), bPlain = getPlain(b);
  return aPlain && bPlain &&
         getElementTypeOrSelf(aPlain) == getElementTypeOrSelf(bPlain);
}

Value dsv2::concatWeights(OpBuilder &builder, Location loc, int64_t dim,
                          ArrayRef<Value> weights) {
  SmallVector<Value> plain = llvm::map_to_vector(weights, getPlain);
  Value result = tensor::ConcatOp::create(builder, loc, dim, plain);
  auto type = cast<RankedTensorType>(weights.front().getType());
  if (!type.getEncoding())
    return result;
  auto shape = cast<RankedTensorType>(result.getType()).getShape();
  return QuantizeOp::create(
      builder, loc,
      RankedTensorType::get(shape, type.getElementType(), type.getEncoding()),
      result);
}
